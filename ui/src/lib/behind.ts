/** What is shown of an earlier answer because asking again failed: it stays on the page, which says so. */

import { notifyManager, type Query, useQueryClient } from "@tanstack/react-query";
import { useCallback, useSyncExternalStore } from "react";
import { Problem } from "@/lib/api";

/** Milliseconds after which what failed is asked for again. */
const AGAIN = 10_000;

/** Whether an answer is older than it should be. Of a next page that did not come the list itself tells. */
function isBehind({ state }: Query): boolean {
  return state.status === "error" && state.data !== undefined && !state.fetchMeta?.fetchMore;
}

/** When to ask again by the clock: nothing may change that would be a reason to. What was refused is not tried again. */
export function askAgain(query: Query): number | false {
  const { error } = query.state;
  const isRefused = error instanceof Problem && error.status >= 400 && error.status < 500;
  return isBehind(query) && !isRefused ? AGAIN : false;
}

/** Why something on the page is behind; null when nothing is. */
export function useBehind(): string | null {
  const client = useQueryClient();
  const cache = client.getQueryCache();
  return useSyncExternalStore(
    useCallback((heard) => cache.subscribe(notifyManager.batchCalls(heard)), [cache]),
    () => cache.findAll({ type: "active", predicate: isBehind })[0]?.state.error?.message ?? null,
  );
}
