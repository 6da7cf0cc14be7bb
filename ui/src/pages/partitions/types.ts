/** The shapes of pictures of partitions (headwater/api/partition_routes.py). */

import type { Reason } from "@/lib/types";

export const STATES = ["running", "failed", "stale", "missing", "made"] as const;
export type PartitionState = (typeof STATES)[number];
export type StateCounts = Partial<Record<PartitionState, number>>;

/** Partitions that follow each other: `first` and `last` as they are written. */
export interface Cell {
  label: string;
  first: string;
  last: string;
  states: StateCounts;
}

export interface Dimension {
  name: string;
  kind: string;
  total: number;
  keys: string[];
}

export interface Grid {
  asset: string;
  kind: string;
  description: string;
  total: number;
  states: StateCounts;
  cells: Cell[];
  years: Cell[];
  year: number | null;
  next: number | null;
  month?: number;
  dimensions?: Dimension[];
  across?: string;
  along?: string;
  at?: Record<string, string>;
  columns?: Omit<Cell, "states">[];
  rows?: { key: string; text: string; cells: StateCounts[] }[];
  row_total?: number;
}

export interface PartitionOne {
  asset: string;
  partition: string | null;
  state: PartitionState;
  stale: boolean;
  version: string | null;
  at: string | null;
  rows: number | null;
  run: string | null;
  error: string | null;
  /** The newest attempt, whatever came of it. */
  tried: { run: string; at: string; state: string } | null;
  reason: Reason | null;
}

export interface Planned {
  total: number;
  seconds: number | null;
  steps: { asset: string; count: number; partitions: string; reason: Reason; usual: number | null }[];
}
