/** What stands above the picture: what its colours mean, and which part of the partitions it shows. */

import type { JSX } from "react";
import { Segments } from "@/kit/Segments";
import { Shares } from "@/kit/Shares";
import type { Change } from "@/kit/usePage";
import { count } from "@/lib/text";
import { TONES, total, WORDS } from "@/pages/partitions/cells";
import { type Grid, type PartitionState, STATES, type StateCounts } from "@/pages/partitions/types";

export function Legend({ states, all }: { states: StateCounts; all: number }): JSX.Element {
  return (
    <div className="legend">
      <b>{count(all)}</b> {all === 1 ? "partition" : "partitions"}
      <ul>
        {STATES.toReversed().map((state) =>
          states[state] ? (
            <li key={state}>
              <Swatch state={state} /> {count(states[state])} {WORDS[state]}
            </li>
          ) : null,
        )}
      </ul>
    </div>
  );
}

function Swatch({ state }: { state: PartitionState }): JSX.Element {
  return <span className="cell swatch" data-state={state} aria-hidden="true" />;
}

export function Years({ grid, change }: { grid: Grid; change: (change: Change) => void }): JSX.Element {
  return (
    <nav className="years" aria-label="Years">
      {grid.years.map((year) => (
        <button
          key={year.label}
          type="button"
          className="year"
          aria-current={String(grid.year) === year.label}
          onClick={() => change({ year: year.label, month: null, from: null, to: null, day: null })}
        >
          {year.label}
          {total(year.states) > 0 ? (
            <Shares
              of={STATES.toReversed().map((one) => [WORDS[one], year.states[one] ?? 0, TONES[one]] as const)}
            />
          ) : null}
        </button>
      ))}
    </nav>
  );
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** The months of the year that is shown, as far as there are partitions in them. */
function monthsOf(grid: Grid): (readonly [string, string])[] {
  const year = grid.years.find((one) => one.label === String(grid.year));
  const [first, last] = [Number(year?.first.slice(5, 7) ?? 1), Number(year?.last.slice(5, 7) ?? 12)];
  return MONTHS.map((name, place) => [String(place + 1), name] as const).slice(first - 1, last);
}

export function Choosers({ grid, change }: { grid: Grid; change: (change: Change) => void }): JSX.Element {
  const others = (grid.dimensions ?? []).filter((one) => one.name !== grid.along && one.name !== grid.across);
  const across = (grid.dimensions ?? []).filter((one) => one.name !== grid.along);
  const at = grid.at ?? {};
  return (
    <div className="choosers">
      {grid.month ? (
        <Segments
          label="Month"
          value={String(grid.month)}
          options={monthsOf(grid)}
          choose={(month) => change({ month, year: String(grid.year), from: null, to: null })}
        />
      ) : null}
      {across.length > 1 ? (
        <label>
          Rows
          <select
            className="field"
            value={grid.across}
            onChange={(event) =>
              change({ across: event.target.value, at: null, offset: null, from: null, to: null })
            }
          >
            {across.map((one) => (
              <option key={one.name}>{one.name}</option>
            ))}
          </select>
        </label>
      ) : null}
      {others.map((one) => (
        <label key={one.name}>
          {one.name}
          <select
            className="field"
            value={at[one.name]}
            onChange={(event) =>
              change({
                at: Object.entries({ ...at, [one.name]: event.target.value }).map(
                  ([name, key]) => `${name}=${key}`,
                ),
                from: null,
                to: null,
              })
            }
          >
            {one.keys.map((key) => (
              <option key={key}>{key}</option>
            ))}
          </select>
        </label>
      ))}
    </div>
  );
}

export function Pages({
  grid,
  offset,
  change,
}: {
  grid: Grid;
  offset: number;
  change: (change: Change) => void;
}): JSX.Element | null {
  if (grid.next === null && offset === 0) return null;
  const size = grid.rows ? 50 : 1000;
  const go = (to: number) => change({ offset: to > 0 ? String(to) : null, from: null, to: null });
  return (
    <div className="pages">
      <button
        type="button"
        className="button"
        disabled={offset === 0}
        onClick={() => go(Math.max(0, offset - size))}
      >
        Earlier
      </button>
      <button
        type="button"
        className="button"
        disabled={grid.next === null}
        onClick={() => go(grid.next ?? offset)}
      >
        Later
      </button>
      <span className="dim">from {count(offset + 1)}</span>
    </div>
  );
}
