/** What the board shows, as it stands in the address: a filter, verdicts, stale or failed, a grouping, a moment. */

import type { Parameter } from "@/lib/api";
import type { Verdict } from "@/lib/types";

export interface Wanted {
  selection: string;
  q: string;
  verdict: readonly Verdict[];
  stale: boolean;
  failed: boolean;
  asOf: string;
}

export const VERDICTS: readonly Verdict[] = ["late", "unknown", "warn", "fresh", "none"];
export const WORDS: Record<Verdict, string> = {
  late: "Late",
  unknown: "Unknown",
  warn: "Warning",
  fresh: "Fresh",
  none: "No policy",
};

const KEYWORDS = /(^|[\s(])(and|or|not)(?=[\s)]|$)/;

/** Whether a text is written in the selection language; else it is a part of a name. */
export function isSelection(text: string): boolean {
  return (
    /^\s*\d*\+|\+\d*\s*$|[*"()]/.test(text) ||
    /(^|\s)(tag|owner|kind|group):/.test(text) ||
    KEYWORDS.test(text)
  );
}

export function wantedOf(parameters: URLSearchParams): Wanted {
  return {
    selection: parameters.get("selection") ?? "",
    q: parameters.get("q") ?? "",
    verdict: VERDICTS.filter((one) => parameters.getAll("verdict").includes(one)),
    stale: parameters.get("stale") === "true",
    failed: parameters.get("failed") === "true",
    asOf: parameters.get("as_of") ?? "",
  };
}

/** All of these selections at once; empty ones say nothing. */
export function both(...selections: readonly string[]): string {
  const said = selections.map((one) => one.trim()).filter((one) => one !== "" && one !== "*");
  return said.length > 1 ? said.map((one) => `(${one})`).join(" and ") : (said[0] ?? "");
}

/** What is asked of the API for the rows; `within` is the selection of a group. */
export function asked(wanted: Wanted, within = ""): Record<string, Parameter> {
  return {
    selection: both(wanted.selection, wanted.failed ? "failed()" : "", within),
    q: wanted.q,
    verdict: wanted.verdict,
    stale: wanted.stale ? true : null,
    as_of: wanted.asOf,
  };
}
