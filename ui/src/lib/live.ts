/** Live updates: the server says what has changed, and what shows it is asked for again. */

import type { QueryClient } from "@tanstack/react-query";

export interface Change {
  kind: "run" | "log" | "asset" | "backfill" | "request" | "partitions" | "everything";
  id: string;
  event: string;
}

/** Which queries a kind of change touches: the first part of their keys. */
const TOUCHED: Record<Change["kind"], readonly string[]> = {
  run: ["runs", "run"],
  log: ["logs"],
  asset: [
    "assets",
    "asset",
    "summary",
    "explain",
    "partitions",
    "materializations",
    "checks",
    "graph",
    "search",
  ],
  backfill: ["backfills", "backfill"],
  request: ["requests", "request", "backfills"],
  partitions: ["partitions", "asset"],
  everything: [],
};

/** What is touched by all of these changes; null stands for everything. */
export function touched(changes: readonly Change[]): Set<string> | null {
  const found = new Set<string>();
  for (const change of changes) {
    if (change.kind === "everything") return null;
    for (const one of TOUCHED[change.kind] ?? []) found.add(one);
  }
  return found;
}

export type Connection = "connecting" | "live" | "lost";

/** Milliseconds after which is listened again where the browser has given up. */
const AGAIN = 3_000;

/** Listen until the returned function is called. */
export function listen(client: QueryClient, tell: (connection: Connection) => void): () => void {
  let source: EventSource;
  let again: number | undefined;
  const pending = new Set<string>();
  let timer: number | undefined;
  let everything = false;

  // Many changes come at once while something runs: what shows them is asked for again twice a second at most.
  const flush = () => {
    timer = undefined;
    const keys = new Set(pending);
    const all = everything;
    pending.clear();
    everything = false;
    void client.invalidateQueries(all ? {} : { predicate: (query) => keys.has(String(query.queryKey[0])) });
  };
  const soon = () => {
    timer ??= window.setTimeout(flush, 500);
  };
  const readAll = () => {
    everything = true;
    soon();
  };
  const open = () => {
    source = new EventSource("/api/events");
    source.addEventListener("open", () => tell("live"));
    source.addEventListener("error", () => {
      tell("lost");
      // The browser connects again by itself, where it was; not after an answer that is an error, as a proxy gives it while
      // the server is started again.
      if (source.readyState === EventSource.CLOSED)
        again = window.setTimeout(() => {
          open();
          source.addEventListener("hello", readAll);
        }, AGAIN);
    });
    source.addEventListener("reset", readAll);
    source.addEventListener("change", (event) => {
      const { changes } = JSON.parse(event.data) as { changes: Change[] };
      const keys = touched(changes);
      if (keys === null) everything = true;
      else for (const one of keys) pending.add(one);
      soon();
    });
  };
  open();
  return () => {
    source.close();
    window.clearTimeout(again);
    window.clearTimeout(timer);
  };
}
