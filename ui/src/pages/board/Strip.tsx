/** How many assets stand how; each count shows these alone, or everything again. */

import type { JSX } from "react";
import { Shape, type Tone } from "@/kit/State";
import type { Change } from "@/kit/usePage";
import { count } from "@/lib/text";
import type { Standing } from "@/lib/types";
import { VERDICTS, type Wanted, WORDS } from "@/pages/board/filter";

interface Props {
  standing: Standing | undefined;
  wanted: Wanted;
  change: (change: Change) => void;
}

export function Strip({ standing, wanted, change }: Props): JSX.Element {
  return (
    <fieldset className="strip" aria-label="Assets by state">
      {VERDICTS.map((verdict) => {
        const chosen = wanted.verdict.includes(verdict);
        const others = wanted.verdict.filter((one) => one !== verdict);
        return (
          <Cell
            key={verdict}
            tone={verdict}
            word={WORDS[verdict]}
            value={standing?.verdicts[verdict]}
            chosen={chosen}
            press={() => change({ verdict: chosen ? others : [...others, verdict] })}
          />
        );
      })}
      <span className="strip-gap" />
      <Cell
        tone="warn"
        word="Stale"
        value={standing?.stale}
        chosen={wanted.stale}
        press={() => change({ stale: wanted.stale ? null : "true" })}
      />
      <Cell
        tone="late"
        word="Failed"
        value={standing?.failed}
        chosen={wanted.failed}
        press={() => change({ failed: wanted.failed ? null : "true" })}
      />
    </fieldset>
  );
}

interface CellProps {
  tone: Tone;
  word: string;
  value: number | undefined;
  chosen: boolean;
  press: () => void;
}

function Cell({ tone, word, value, chosen, press }: CellProps): JSX.Element {
  return (
    <button
      type="button"
      className="strip-cell"
      data-tone={tone}
      data-empty={value === 0 || undefined}
      aria-pressed={chosen}
      onClick={press}
    >
      <span className="strip-word">
        <Shape tone={tone} />
        {word}
      </span>
      <strong>{value === undefined ? "–" : count(value)}</strong>
    </button>
  );
}
