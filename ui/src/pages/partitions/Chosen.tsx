/** What is chosen in the picture: one partition in full, several counted, and a backfill of them. */

import type { JSX } from "react";
import { Shares } from "@/kit/Shares";
import type { Change } from "@/kit/usePage";
import { count, counted } from "@/lib/text";
import { BackfillPanel } from "@/pages/partitions/BackfillPanel";
import { TONES, total, WORDS } from "@/pages/partitions/cells";
import type { Choice } from "@/pages/partitions/choice";
import { PartitionPanel } from "@/pages/partitions/PartitionPanel";
import { type Grid, STATES } from "@/pages/partitions/types";

export function Chosen({
  grid,
  chosen,
  started,
  change,
  isDay,
  clear,
}: {
  grid: Grid;
  chosen: Choice;
  started: string | null;
  change: (change: Change) => void;
  isDay: boolean;
  /** Chooses nothing; null where there is no choice: what has no partitions is always chosen as a whole. */
  clear: (() => void) | null;
}): JSX.Element {
  const many = total(chosen.states);
  const label = /^(.{10})T?/.exec(chosen.text)?.[1] ?? "";
  return (
    <div className="card side-card">
      <header>
        <div className="chosen-head">
          <b className="ellipsis" title={chosen.text}>
            <bdi>{chosen.text}</bdi>
          </b>
          <span className="dim">{counted(many, "partition")}</span>
        </div>
        {clear ? (
          <button type="button" className="button quiet" aria-label="Choose nothing" onClick={clear}>
            ×
          </button>
        ) : null}
      </header>
      {chosen.isOne ? (
        <PartitionPanel asset={grid.asset} partition={chosen.partition} />
      ) : (
        <div className="chosen-states">
          <Shares
            of={STATES.toReversed().map((one) => [WORDS[one], chosen.states[one] ?? 0, TONES[one]] as const)}
          />
          <p className="dim">
            {STATES.filter((one) => chosen.states[one])
              .map((one) => `${count(chosen.states[one] ?? 0)} ${WORDS[one]}`)
              .join(", ")}
          </p>
          {isDay && !chosen.text.includes("…") ? (
            <button
              type="button"
              className="button"
              onClick={() => change({ day: label, from: null, to: null, started: null })}
            >
              Look into {label}
            </button>
          ) : null}
        </div>
      )}
      <BackfillPanel
        asset={grid.asset}
        partition={grid.kind === "unpartitioned" ? null : chosen.partition}
        text={counted(many, "partition")}
        started={started}
        start={(id) => change({ started: id })}
      />
    </div>
  );
}

export function Hint({ grid }: { grid: Grid }): JSX.Element {
  return (
    <div className="card side-card hint">
      <h2>Choose partitions</h2>
      <p className="dim">
        A click shows one: its version, its run, and why it is as it is. Drag over several (a finger begins
        sideways), or hold Shift and use the arrow keys, to backfill them
        {grid.rows ? " as a block of the table" : ""}.
      </p>
    </div>
  );
}
