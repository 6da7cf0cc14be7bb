/** One field for both: a part of a name, or a selection; what is wrong with it is told below it. */

import { type JSX, useEffect, useRef, useState } from "react";
import { Icon } from "@/kit/Icon";
import type { Change } from "@/kit/usePage";
import type { Problem } from "@/lib/api";
import { useSettled } from "@/lib/settled";
import { isSelection, type Wanted } from "@/pages/board/filter";
import "@/pages/board/filter.css";

interface Props {
  wanted: Wanted;
  problem: Problem | null;
  change: (change: Change) => void;
}

export function FilterField({ wanted, problem, change }: Props): JSX.Element {
  const said = wanted.selection || wanted.q;
  const [text, setText] = useState(said);
  const asked = useRef(said);
  const settled = useSettled(text, 250);
  useEffect(() => {
    if (settled === asked.current) return;
    asked.current = settled;
    const selects = isSelection(settled);
    change({ selection: selects ? settled.trim() : null, q: selects ? null : settled.trim() });
  }, [settled, change]);
  useEffect(() => {
    // The address changed by other means: a link, or the way back.
    if (said === asked.current.trim()) return;
    asked.current = said;
    setText(said);
  }, [said]);
  return (
    <div className="filter">
      <div className="filter-field" data-problem={problem !== null || undefined}>
        <Icon name="search" size={14} />
        <input
          aria-label="Filter assets"
          aria-invalid={problem !== null}
          aria-describedby="filter-problem"
          placeholder="Name, or selection: +delays, tag:tier=gold, stale() and not owner:ops"
          spellCheck={false}
          autoComplete="off"
          maxLength={1000}
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
        {text ? (
          <button type="button" aria-label="Clear the filter" onClick={() => setText("")}>
            <Icon name="close" size={14} />
          </button>
        ) : null}
      </div>
      <p id="filter-problem" className="filter-problem" role="status">
        {problem ? (
          <>
            <strong>{problem.message}</strong> {problem.hint}
          </>
        ) : null}
      </p>
    </div>
  );
}
