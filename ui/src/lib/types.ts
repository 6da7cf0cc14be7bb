/** The shapes that the API answers with (headwater/api/models.py); times are RFC 3339 in UTC, durations seconds. */

export type Verdict = "fresh" | "warn" | "late" | "unknown" | "none";

export interface Reason {
  kind: string;
  text: string;
  because: Reason[];
}

export interface Freshness {
  verdict: Verdict;
  clock: string | null;
  lag: number | null;
  next_change: string | null;
  witness: string[];
  reason: string | null;
}

export interface Counts {
  total: number;
  materialized: number;
  failed: number;
  missing: number;
}

export interface AssetRow {
  name: string;
  kind: string;
  location: string;
  namespace: string;
  dataset: string;
  owners: string[];
  tags: Record<string, string>;
  group?: string | null;
  partitions: Counts | null;
  rows: number | null;
  last_run: string | null;
  last_materialized: string | null;
  data_through: string | null;
  basis: string | null;
  complete_through: string | null;
  freshness: Freshness;
  stale: { is_stale: boolean; partitions: number; reasons: Reason[] };
  description: string | null;
  code: { file: string; line: number; name: string } | null;
  checks: string[];
  failed_checks: {
    name: string;
    partition: string | null;
    severity: string;
    message: string | null;
    at: string;
  }[];
  /** The newest attempts that were refused or failed; `kept`: what was there before is still in place. */
  refused: {
    partition: string | null;
    state: string;
    message: string | null;
    at: string;
    kept: boolean;
  }[];
}

export interface AssetOne extends AssetRow {
  inputs: { asset: string; parameter: string; mapping: string }[];
  partitioned: string | null;
  producer: string | null;
}

export interface Page {
  next: string | null;
}

/** What had come by `judged_as_of` is in it: with very many assets that may be a while before `as_of`. */
export interface JudgedAnswer {
  as_of: string;
  judged_as_of: string;
}

export interface AssetPage extends Page, JudgedAnswer {
  total: number;
  assets: AssetRow[];
}

export interface Summary {
  as_of: string;
  assets: number;
  verdicts: Record<Verdict, number>;
  stale: number;
}

export interface PartitionRow {
  partition: string | null;
  state: "materialized" | "failed" | "missing";
  stale: boolean;
  version: string | null;
  at: string | null;
  rows: number | null;
  run: string | null;
  error: string | null;
}

export interface Materialization {
  partition: string | null;
  state: string | null;
  version: string | null;
  run: string | null;
  at: string | null;
  rows: number | null;
  bytes: number | null;
  error: string | null;
}

export interface Run {
  id: string;
  flow: string | null;
  /** What its flow called it. */
  name?: string | null;
  state: string;
  started: string | null;
  ended: string | null;
  duration: number | null;
  tasks: Record<string, number>;
}

export interface TaskRun {
  id: string;
  task: string | null;
  state: string;
  tries: number | null;
  started: string | null;
  ended: string | null;
  duration: number | null;
}

export interface LogRow {
  id: string;
  at: string;
  level: number;
  logger: string | null;
  message: string | null;
}

export interface Backfill {
  id: string;
  state: string;
  assets: string[];
  range: string | null;
  partitions: Record<"requested" | "completed" | "failed" | "running" | "skipped" | "blocked", number>;
}

export interface WorkRequest {
  id: string;
  what: string;
  state: "asked" | "running" | "done" | "failed" | "cancelled";
  arguments: Record<string, unknown>;
  asked_by: string | null;
  at: string | null;
  exit_code: number | null;
  message: string | null;
}

export interface Session {
  name: string;
  scope: "read" | "run" | "admin";
  csrf: string | null;
  /** The newest message of the live updates: what is asked for after this was answered holds all that was told until then. */
  events: string;
}

/** How many assets stand how (GET /api/assets/overview, /api/assets/groups). */
export interface Standing {
  assets: number;
  verdicts: Record<Verdict, number>;
  stale: number;
  failed: number;
}

export interface Overview extends Standing, JudgedAnswer {
  groupings: string[];
}

export interface AssetGroup extends Standing {
  group: string | null;
  selection: string;
}
