/** A stretch of the picture as a choice of partitions. */

import { count } from "@/lib/text";
import { box, corners, ordered, total, written } from "@/pages/partitions/cells";
import { type Cell, type Grid, STATES, type StateCounts } from "@/pages/partitions/types";
import type { Range } from "@/pages/partitions/useRange";

export interface Choice {
  /** As the server reads it. */
  partition: string;
  text: string;
  states: StateCounts;
  isOne: boolean;
}

/** What each place of the picture is called in the address. */
export function labelsOf(grid: Grid): string[] {
  if (!grid.rows) return grid.cells.map((cell) => cell.label);
  // As they are written: what parts the two stands in neither.
  return grid.rows.flatMap((row) => (grid.columns ?? []).map((column) => `${row.text},${column.first}`));
}

export function chosenOf(grid: Grid, range: Range): Choice {
  if (grid.rows) return boxOf(grid, range);
  const [low, high] = ordered(range.anchor, range.focus);
  const cells = grid.cells.slice(low, high + 1);
  const [first, last] = [cells[0] as Cell, cells[cells.length - 1] as Cell];
  const states = sum(cells.map((cell) => cell.states));
  const partition = written(first.first, last.last);
  return {
    partition,
    text: first === last ? first.label || "the whole" : `${first.label} … ${last.label}`,
    states,
    isOne: total(states) === 1,
  };
}

function boxOf(grid: Grid, range: Range): Choice {
  const columns = grid.columns ?? [];
  const ends = corners(range, columns.length);
  const rows = (grid.rows ?? []).slice(ends.rows[0], ends.rows[1] + 1);
  const shown = columns.slice(ends.columns[0], ends.columns[1] + 1);
  const [first, last] = [shown[0], shown[shown.length - 1]];
  const along = first && last ? written(first.first, last.last) : "";
  const across = rows.map((row) => row.text).join("|");
  const texts = { ...grid.at, [grid.across ?? ""]: across, [grid.along ?? ""]: along };
  const sides = (grid.dimensions ?? []).map(({ name }) => [name, texts[name] ?? ""] as const);
  const states = sum(rows.flatMap((row) => row.cells.slice(ends.columns[0], ends.columns[1] + 1)));
  const many = rows.length > 1 ? `${count(rows.length)} of ${grid.across}` : (rows[0]?.key ?? "");
  const text = `${many}, ${first?.label}${first === last ? "" : ` … ${last?.label}`}`;
  return { partition: box(sides), text, states, isOne: total(states) === 1 };
}

function sum(all: readonly StateCounts[]): StateCounts {
  const found: StateCounts = {};
  for (const one of all)
    for (const state of STATES) if (one[state]) found[state] = (found[state] ?? 0) + (one[state] ?? 0);
  return found;
}
