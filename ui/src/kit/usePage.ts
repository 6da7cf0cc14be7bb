/** What pages share: their title, and what is looked at, kept in the address. */

import { useCallback, useEffect } from "react";
import { useLocation, useSearchParams } from "react-router";

/** Name the document after the page: `delays · Headwater`. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title ? `${title} · Headwater` : "Headwater";
  }, [title]);
}

export type Change = Record<string, string | readonly string[] | null | undefined>;

/** The parameters of the address, and a way to change some: null, "" and [] take one away. It makes no entry in the history. */
export function useParameters(): readonly [URLSearchParams, (change: Change) => void] {
  const [parameters, set] = useSearchParams();
  const { pathname } = useLocation();
  const change = useCallback(
    (wanted: Change) => {
      // The address itself counts, not what was drawn of it last: another change may not be drawn yet, and would be undone.
      if (window.location.pathname !== pathname) return;
      const after = new URLSearchParams(window.location.search);
      for (const [name, value] of Object.entries(wanted)) {
        after.delete(name);
        for (const one of typeof value === "string" ? [value] : (value ?? []))
          if (one) after.append(name, one);
      }
      set(after, { replace: true });
    },
    [set, pathname],
  );
  return [parameters, change];
}
