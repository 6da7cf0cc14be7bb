/** The shapes of runs beyond those of lib/types (headwater/api/run_routes.py, run_page_routes.py). */

import type { LogRow, Page, Run, TaskRun } from "@/lib/types";

export interface ErrorDetail {
  type: string;
  message: string;
  traceback: string | null;
}

export interface RunRow extends Run {
  type?: string;
  parent?: string | null;
  attempt?: number;
  error?: string | null;
  pruned?: string;
}

export interface RunOne extends RunRow {
  root?: string | null;
  parameters: Record<string, unknown>;
  source: { file: string; line: number; name: string } | null;
  asked_by: string | null;
  cancelled_by: string | null;
  children: number;
  attempts: {
    attempt: number;
    state: string;
    started: string | null;
    ended: string | null;
    duration: number | null;
    error: ErrorDetail | null;
  }[];
}

export interface Flow {
  flow: string;
  runs: number;
  usual: number | null;
  last_state: string | null;
}

export interface RunsPage extends Page {
  runs: RunRow[];
}

export interface TaskStep {
  at: string;
  state: string;
  tries: number | null;
}

export interface Bar extends TaskRun {
  parent?: string | null;
  error?: string | null;
  steps: TaskStep[];
}

export interface Child {
  id: string;
  flow: string;
  parent: string | null;
  state: string;
  started: string | null;
  ended: string | null;
}

export interface Timeline extends Page {
  run: string;
  task_runs: Bar[];
  children: Child[];
}

export interface Group {
  task: string;
  count: number;
  started: string;
  ended: string | null;
  open: number;
  seconds: number | null;
  usual: number | null;
  states: Record<string, number>;
  bins: number[];
}

export interface Failure {
  id: string;
  task: string;
  state: string;
  tries: number | null;
  at: string;
  type: string | null;
  message: string | null;
  traceback: string | null;
}

export interface MadeRow {
  asset: string;
  partitions: number;
  published: number;
  failed: number;
  rows: number | null;
  first: string | null;
  last: string | null;
  at: string | null;
  error: string | null;
}

export interface LogLine extends LogRow {
  task_run?: string | null;
  attempt?: number;
}

export interface LogPage extends Page {
  logs: LogLine[];
}
