/** Live updates: the server says what has changed, and what shows it is asked for again. */

import type { Query, QueryClient } from "@tanstack/react-query";
import { address } from "@/lib/api";

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
  request: ["requests", "request", "backfills", "backfill"],
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

/** Whether a query may answer otherwise now: `keys` are touched, and `runs` are those that changed or logged something. */
function concerns(query: Query, keys: ReadonlySet<string>, runs: ReadonlySet<string>, client: QueryClient) {
  const [name, id] = query.queryKey as readonly [string, unknown];
  if (!keys.has(name)) return false;
  if ((name !== "run" && name !== "logs") || typeof id !== "string") return true;
  // The beginning of an id is enough in an address.
  if ([...runs].some((run) => run.startsWith(id))) return true;
  // Of a run that goes on, those that it calls count, too; a log is that of one run.
  return name === "run" && client.getQueryData<{ ended: string | null }>(["run", id])?.ended == null;
}

export type Connection = "connecting" | "live" | "lost";

/** Milliseconds after which is listened again where the browser has given up. */
const AGAIN = 3_000;

/** Listen, from a message on, until the returned function is called. */
export function listen(
  client: QueryClient,
  since: string,
  tell: (connection: Connection) => void,
): () => void {
  let source: EventSource;
  let last = since;
  let again: number | undefined;
  let pending = new Set<string>();
  let runs = new Set<string>();
  /** The hashes of queries whose answers were on their way when something changed. */
  let underway = new Set<string>();
  let timer: number | undefined;
  let everything = false;

  // Many changes come at once while something runs: what shows them is asked for again twice a second at most.
  const flush = () => {
    timer = undefined;
    const [keys, changed, all, before] = [pending, runs, everything, underway];
    [pending, runs, everything, underway] = [new Set(), new Set(), false, new Set()];
    const idle = new Set<string>();
    for (const query of client.getQueryCache().getAll())
      if (all || concerns(query, keys, changed, client) || before.has(query.queryHash))
        // An answer on its way may have been made before the change: it is let come, and then asked for again.
        (query.state.fetchStatus === "idle" ? idle : underway).add(query.queryHash);
    void client.invalidateQueries({ predicate: (query) => idle.has(query.queryHash) });
    if (underway.size > 0) soon();
  };
  const soon = () => {
    timer ??= window.setTimeout(flush, 500);
  };
  const readAll = () => {
    everything = true;
    soon();
  };
  const open = () => {
    source = new EventSource(address("/api/events", { after: last }));
    const on = (event: string, heard: (event: MessageEvent<string>) => void) =>
      source.addEventListener(event, (one) => {
        last = one.lastEventId || last;
        heard(one);
      });
    source.addEventListener("open", () => tell("live"));
    source.addEventListener("error", () => {
      tell("lost");
      // The browser connects again by itself, where it was; not after an answer that is an error, as a proxy gives it while
      // the server is started again, and the server itself once the session has ended.
      if (source.readyState !== EventSource.CLOSED) return;
      void client.invalidateQueries({ queryKey: ["session"] });
      again = window.setTimeout(open, AGAIN);
    });
    on("reset", readAll);
    on("change", (event) => {
      const { changes } = JSON.parse(event.data) as { changes: Change[] };
      const keys = touched(changes);
      if (keys === null) everything = true;
      else for (const one of keys) pending.add(one);
      for (const one of changes) if (one.kind === "run" || one.kind === "log") runs.add(one.id);
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
