/** The shapes of the drawn graph (headwater/api/graph_routes.py). Places and sizes are pixels at a scale of one. */

import type { Verdict } from "@/lib/types";

export interface GraphColumn {
  id: string;
  name: string;
  type: string | null;
  /** Why nobody can tell where it comes from. */
  unknown: string | null;
}

export interface GraphNode {
  id: string;
  type: "asset" | "group";
  name: string;
  kind: string | null;
  group: string | null;
  owners: string[];
  is_source: boolean;
  verdict: Verdict;
  lag: number | null;
  stale: boolean;
  x: number;
  y: number;
  width: number;
  height: number;
  more_up: number;
  more_down: number;
  columns: GraphColumn[];
  other_columns: string[];
  unknown: string | null;
  assets?: number;
  verdicts?: Record<Verdict, number>;
}

export interface GraphEdge {
  source: string;
  target: string;
  from_id: string;
  to_id: string;
  origin: "declared" | "observed" | "reported" | "grouped";
  path: string;
  type: "DIRECT" | "INDIRECT" | null;
  subtype: string | null;
  count?: number;
}

export interface Graph {
  root: string | null;
  column: string | null;
  collapse: string;
  as_of: string;
  total: number;
  truncated: boolean;
  hint: string | null;
  width: number;
  height: number;
  nodes: GraphNode[];
  edges: GraphEdge[];
  trace: string[];
}

export interface Affected {
  id: string;
  steps: number;
  effect: string;
  via?: string[];
}

export interface Impact {
  subject: string;
  columns: Affected[];
  wholes: Affected[];
  assets: Affected[];
  checks: { asset: string; name: string; columns: string[] }[];
  stale: string[];
  unknown: string[];
  totals: Record<string, number>;
  truncated: boolean;
}
