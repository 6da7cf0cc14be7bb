/** What the search shows: results in groups, and what was opened from it last. */

import { links } from "@/app/links";
import type { IconName } from "@/kit/Icon";

export interface Found {
  assets: { name: string; kind: string }[];
  columns: { id: string; asset: string; column: string }[];
  runs: { id: string; flow: string | null; state: string; started: string }[];
}

export interface Result {
  key: string;
  to: string;
  icon: IconName;
  title: string;
  note: string;
  state?: string;
  started?: string;
}

export interface Group {
  title: string;
  results: Result[];
}

const page = (title: string, to: string, icon: IconName): Result => ({
  key: `page ${to}`,
  to,
  icon,
  title,
  note: "",
});

export const PAGES: Group = {
  title: "Pages",
  results: [
    page("Assets", links.board(), "asset"),
    page("Lineage", links.lineage(), "lineage"),
    page("Runs", links.runs(), "run"),
    page("Backfills", links.backfills(), "backfill"),
    page("Checks", links.checks(), "check"),
  ],
};

/** Results in their groups: assets, columns, runs, and pages whose titles begin so. */
export function grouped(found: Found | undefined, text: string): Group[] {
  const begins = text.trim().toLowerCase();
  const groups: Group[] = [
    {
      title: "Assets",
      results: (found?.assets ?? []).map((one) => ({
        key: `asset ${one.name}`,
        to: links.asset(one.name),
        icon: "asset",
        title: one.name,
        note: one.kind,
      })),
    },
    {
      title: "Columns",
      results: (found?.columns ?? []).map((one) => ({
        key: `column ${one.id}`,
        to: links.lineage(one.id, true),
        icon: "column",
        title: one.column,
        note: one.asset,
      })),
    },
    {
      title: "Runs",
      results: (found?.runs ?? []).map((one) => ({
        key: `run ${one.id}`,
        to: links.run(one.id),
        icon: "run",
        title: one.flow ?? one.id,
        note: one.id,
        state: one.state,
        started: one.started,
      })),
    },
    {
      title: "Pages",
      results: PAGES.results.filter((one) => one.title.toLowerCase().startsWith(begins)),
    },
  ];
  return groups.filter((group) => group.results.length > 0);
}

const KEY = "headwater-recent";
const KEPT = 5;

/** What was opened last, the newest first. */
export function recent(): Group[] {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "[]") as Result[];
    const results = found
      .filter((one) => typeof one.to === "string" && one.to.startsWith("/"))
      .slice(0, KEPT);
    return results.length > 0 ? [{ title: "Opened last", results }] : [];
  } catch {
    return [];
  }
}

export function remember(result: Result): void {
  if (result.key.startsWith("page ")) return;
  const { state: _, started: __, ...kept } = result;
  const before = recent()[0]?.results ?? [];
  const after = [kept, ...before.filter((one) => one.key !== kept.key)].slice(0, KEPT);
  try {
    localStorage.setItem(KEY, JSON.stringify(after));
  } catch {
    // a browser that keeps nothing
  }
}
