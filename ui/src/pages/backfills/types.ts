/** The shapes of backfills beyond those of lib/types (headwater/api/run_page_routes.py). */

import type { Backfill, WorkRequest } from "@/lib/types";

export const OUTCOMES = [
  "failed",
  "blocked",
  "running",
  "cancelled",
  "waiting",
  "skipped",
  "completed",
] as const;
export type Outcome = (typeof OUTCOMES)[number];
export type OutcomeCounts = Partial<Record<Outcome, number>>;

export interface Listed extends Backfill {
  at?: string;
  ended?: string | null;
}

export interface Picture {
  id: string;
  state: string;
  /** Who asked for it; null when it was started without the server. */
  request: WorkRequest | null;
  /** Null for as long as nobody has begun it. */
  backfill: Listed | null;
  /** Partitions a second. */
  rate: number | null;
  /** Seconds that are left. */
  left: number | null;
  assets: {
    asset: string;
    total: number;
    states: OutcomeCounts;
    /** How many partitions a cell stands for. */
    size: number;
    cells: { first: string; last: string; states: OutcomeCounts }[];
  }[];
  more: number;
  trouble: {
    asset: string;
    partition: string | null;
    state: string;
    reason: string | null;
    at: string | null;
  }[];
}
