/** What is shown of an earlier answer because asking again failed: it stays on the page, which says so, and is asked for again. */

import { notifyManager, type Query, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useSyncExternalStore } from "react";
import { Problem } from "@/lib/api";

/** Milliseconds after which what failed is asked for again: nothing may change that would be a reason to. */
const AGAIN = 10_000;

/** Whether an answer is older than it should be. Of a next page that did not come the list itself tells. */
function isBehind({ state }: Query): boolean {
  return state.status === "error" && state.data !== undefined && !state.fetchMeta?.fetchMore;
}

/** Whether asking once more may help: not where the answer was a refusal. */
function mayCome(query: Query): boolean {
  const { error } = query.state;
  return isBehind(query) && !(error instanceof Problem && error.status >= 400 && error.status < 500);
}

/** Why something on the page is behind; null when nothing is. */
export function useBehind(): string | null {
  const client = useQueryClient();
  const cache = client.getQueryCache();
  const why = useSyncExternalStore(
    useCallback((heard) => cache.subscribe(notifyManager.batchCalls(heard)), [cache]),
    () => cache.findAll({ type: "active", predicate: isBehind })[0]?.state.error?.message ?? null,
  );
  const isSome = why !== null;
  useEffect(() => {
    if (!isSome) return;
    const ask = () => void client.refetchQueries({ type: "active", predicate: mayCome });
    const timer = window.setInterval(ask, AGAIN);
    return () => window.clearInterval(timer);
  }, [client, isSome]);
  return why;
}
