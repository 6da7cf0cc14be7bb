/** What is asked for stands in the address: `?root=delays&up=2&down=2&columns=1&pick=flights&trace=delays.day&…`. */

import type { Parameter } from "@/lib/api";

export interface Asked {
  root: string | null;
  up: number;
  down: number;
  columns: boolean;
  selection: string;
  collapse: string;
  opened: string[];
  further: string[];
  /** The id of the card that is looked at closer: `asset:…` or `group:…`. */
  pick: string | null;
  /** The id of the column that is traced through what is shown. */
  trace: string | null;
  witness: boolean;
  view: "graph" | "table";
  at: string | null;
}

export const MOST_STEPS = 10;

/** What an address asks for; `narrow` is whether the screen is: a table then is what is shown when nothing is said. */
export function asked(parameters: URLSearchParams, narrow = false): Asked {
  const view = parameters.get("view");
  return {
    root: parameters.get("root") || null,
    up: steps(parameters.get("up")),
    down: steps(parameters.get("down")),
    columns: ["1", "true"].includes(parameters.get("columns") ?? ""),
    selection: parameters.get("selection") ?? "",
    collapse: parameters.get("collapse") ?? "",
    opened: parameters.getAll("opened"),
    further: parameters.getAll("further"),
    pick: parameters.get("pick"),
    trace: parameters.get("trace"),
    witness: parameters.get("witness") === "1",
    view: view === "table" || (view === null && narrow) ? "table" : "graph",
    at: parameters.get("at"),
  };
}

function steps(text: string | null): number {
  const found = Number.parseInt(text ?? "", 10);
  return Number.isFinite(found) ? Math.min(MOST_STEPS, Math.max(0, found)) : 2;
}

/** The parameters of `/api/graph`. */
export function parametersOf(found: Asked): Record<string, Parameter> {
  const { root, up, down, columns } = found;
  const around = root === null ? {} : { root, up, down, further: found.further };
  const all =
    root === null ? { selection: found.selection, collapse: found.collapse, opened: found.opened } : {};
  return { ...around, ...all, columns: columns || null };
}
