/** What a picture of partitions is made of, without any drawing: months, looks of cells, ranges as they are written. */

import type { Tone } from "@/kit/State";
import { type Cell, type PartitionState, STATES, type StateCounts } from "@/pages/partitions/types";

export const WORDS: Record<PartitionState, string> = {
  running: "running",
  failed: "failed",
  stale: "stale",
  missing: "missing",
  made: "up to date",
};

export const TONES: Record<PartitionState, Tone> = {
  running: "running",
  failed: "late",
  stale: "warn",
  missing: "none",
  made: "fresh",
};

/** How a cell looks: the worst state in it, and the share of its partitions that are in place. */
export interface Look {
  state: PartitionState;
  share: number;
  text: string;
}

export function total(states: StateCounts): number {
  return STATES.reduce((sum, state) => sum + (states[state] ?? 0), 0);
}

/** `{made: 23, failed: 1}` → failed, 0.958, "1 failed, 23 up to date". */
export function look(states: StateCounts): Look {
  const all = total(states);
  const there = STATES.filter((state) => states[state]);
  const text =
    all === 1
      ? WORDS[there[0] ?? "missing"]
      : there.map((state) => `${states[state]} ${WORDS[state]}`).join(", ");
  const share = all === 0 ? 0 : ((states.made ?? 0) + (states.stale ?? 0)) / all;
  return { state: there[0] ?? "missing", share, text: text || "no partitions" };
}

export interface Month {
  /** `2013-01`. */
  key: string;
  name: string;
  /** Weeks of seven places from Monday, each the number of a cell or null. */
  weeks: (number | null)[][];
}

const NAMES = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** The months that these cells (one a day, labelled `2013-01-31`) lie in. */
export function months(cells: readonly Cell[]): Month[] {
  const found: Month[] = [];
  const places = new Map(cells.map((cell, place) => [cell.label, place]));
  for (const key of new Set(cells.map((cell) => cell.label.slice(0, 7)))) {
    const [year, month] = key.split("-").map(Number) as [number, number];
    const days = new Date(Date.UTC(year, month, 0)).getUTCDate();
    const before = (new Date(Date.UTC(year, month - 1, 1)).getUTCDay() + 6) % 7;
    const weeks: (number | null)[][] = [];
    for (let day = 1; day <= days; day++) {
      const slot = before + day - 1;
      if (weeks.length <= Math.floor(slot / 7)) weeks.push(Array<number | null>(7).fill(null));
      const week = weeks[weeks.length - 1];
      if (week) week[slot % 7] = places.get(`${key}-${String(day).padStart(2, "0")}`) ?? null;
    }
    found.push({ key, name: NAMES[month - 1] ?? key, weeks });
  }
  return found;
}

/** A stretch of cells, as numbers, both ends included, the first one first. */
export function ordered(anchor: number, focus: number): readonly [number, number] {
  return anchor <= focus ? [anchor, focus] : [focus, anchor];
}

/** Stretches of partitions as one text that the server reads. */
export function written(first: string, last: string): string {
  return first === last ? first : `${first}..${last}`;
}

/** The box of a product's table as a text: `region=eu|us,date=2013-01-01..2013-01-07`. */
export function box(sides: readonly (readonly [string, string])[]): string {
  return sides.map(([name, text]) => `${name}=${text}`).join(",");
}

/** Where an arrow leads in a calendar, whose weeks stand below each other; null for other keys. */
export function step(key: string, downward: number): number | null {
  switch (key) {
    case "ArrowRight":
      return 1;
    case "ArrowLeft":
      return -1;
    case "ArrowDown":
      return downward;
    case "ArrowUp":
      return -downward;
    case "Home":
      return Number.NEGATIVE_INFINITY;
    case "End":
      return Number.POSITIVE_INFINITY;
    default:
      return null;
  }
}

/** The rows and the columns between two places of a table of that many columns. */
export function corners(range: { anchor: number; focus: number }, columns: number) {
  const at = (place: number) => [Math.floor(place / columns), place % columns] as const;
  const [[row, column], [otherRow, otherColumn]] = [at(range.anchor), at(range.focus)];
  return {
    rows: [Math.min(row, otherRow), Math.max(row, otherRow)] as const,
    columns: [Math.min(column, otherColumn), Math.max(column, otherColumn)] as const,
  };
}
