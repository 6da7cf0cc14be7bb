/** The addresses of the pages. Names stand in the query, so that any name can be written. */

import { address } from "@/lib/api";

export const links = {
  board: (parameters: { selection?: string; verdict?: string; q?: string } = {}) => address("/", parameters),
  asset: (name: string) => address("/asset", { name }),
  partitions: (asset: string) => address("/partitions", { asset }),
  lineage: (root?: string, columns = false) => address("/lineage", { root, columns: columns || null }),
  runs: (parameters: { flow?: string; state?: string } = {}) => address("/runs", parameters),
  run: (id: string) => `/runs/${encodeURIComponent(id)}`,
  backfills: () => "/backfills",
  backfill: (id: string) => `/backfills/${encodeURIComponent(id)}`,
  checks: () => "/checks",
};
