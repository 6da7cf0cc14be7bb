/** What the asset's page asks for beside the asset itself (headwater/api/asset_detail_routes.py). */

import type { Page } from "@/lib/types";

export interface ColumnSource {
  id: string;
  asset: string;
  column: string;
  type: string | null;
  subtype: string | null;
}

export interface ColumnRow {
  name: string;
  type: string | null;
  /** What a query says of it, unless it only hands the column on. */
  expression: string | null;
  tags: string[];
  sources: ColumnSource[];
  unknown: string | null;
}

export interface Detail {
  name: string;
  policy: string | null;
  max_lag: number | null;
  warn: number | null;
  columns: ColumnRow[];
  all_rows: ColumnSource[];
  consumers: { asset: string; origin: string; runs: number; last_seen: string | null }[];
  consumers_total: number;
  query: string | null;
}

export interface Attempt {
  id: string;
  partition: string | null;
  state: string;
  version: string | null;
  run: string | null;
  flow: string | null;
  at: string;
  rows: number | null;
  bytes: number | null;
  seconds: number | null;
  error: string | null;
  error_type: string | null;
}

export interface History extends Page {
  asset: string;
  attempts: Attempt[];
}

export interface Check {
  asset: string;
  name: string;
  passed: boolean | null;
  severity: string | null;
  message: string | null;
  description: string | null;
  at: string | null;
  partition: string | null;
  blocking: boolean;
  kind: string | null;
  metrics: Record<string, unknown>;
  run: string | null;
  partitions: number;
  failing: number;
}

export interface CheckAnswer {
  partition: string | null;
  passed: boolean;
  severity: string | null;
  message: string | null;
  run: string | null;
  at: string;
  metrics: Record<string, unknown>;
}
