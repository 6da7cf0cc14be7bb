/** What surrounds every page: the navigation, the search, who looks, and whether live updates come. */

import { useQueryClient } from "@tanstack/react-query";
import { type JSX, lazy, type ReactNode, Suspense, useCallback, useEffect, useRef, useState } from "react";
import { NavLink, useLocation } from "react-router";
import { Account } from "@/app/Account";
import { Boundary } from "@/app/Boundary";
import { links } from "@/app/links";
import { useSession } from "@/app/session";
import { Icon, type IconName } from "@/kit/Icon";
import { useBehind } from "@/lib/behind";
import { type Connection, listen } from "@/lib/live";
import "@/app/shell.css";

const Search = lazy(() => import("@/pages/search/Search"));

interface Page {
  to: string;
  name: string;
  icon: IconName;
  /** Other addresses that belong to it. */
  also?: readonly string[];
}

/** Approvals will stand behind the checks once there are any. */
const PAGES: readonly Page[] = [
  { to: links.board(), name: "Assets", icon: "asset", also: ["/asset", "/partitions"] },
  { to: links.lineage(), name: "Lineage", icon: "lineage" },
  { to: links.runs(), name: "Runs", icon: "run" },
  { to: links.backfills(), name: "Backfills", icon: "backfill" },
  { to: links.checks(), name: "Checks", icon: "check" },
];

const WORDS: Record<Connection | "behind", string> = {
  connecting: "Connecting…",
  live: "Live",
  lost: "Reconnecting…",
  behind: "Not up to date",
};

export function Shell({ children }: { children: ReactNode }): JSX.Element {
  const client = useQueryClient();
  const { pathname } = useLocation();
  const [connection, setConnection] = useState<Connection>("connecting");
  const [searching, setSearching] = useState(false);
  const closeSearch = useCallback(() => setSearching(false), []);
  // Of the first answer alone: what is shown was asked for after that, and all that came since is heard.
  const since = useRef(useSession().events);
  useEffect(() => listen(client, since.current, setConnection), [client]);
  useSearchKeys(setSearching);
  const behind = useBehind();
  const shown = connection === "live" && behind !== null ? "behind" : connection;
  return (
    <div className="shell">
      <a className="skip" href="#page">
        Skip to the page
      </a>
      <header className="shell-bar">
        <NavLink to={links.board()} className="shell-name">
          <img src="/favicon.svg" alt="" width="20" height="20" /> <span>Headwater</span>
        </NavLink>
        <nav aria-label="Pages">
          {PAGES.map((page) => (
            <NavLink
              key={page.to}
              to={page.to}
              end={page.to === "/"}
              className={({ isActive }) => (isActive || page.also?.includes(pathname) ? "active" : "")}
            >
              <Icon name={page.icon} />
              <span>{page.name}</span>
            </NavLink>
          ))}
        </nav>
        <button type="button" className="shell-search" onClick={() => setSearching(true)}>
          <Icon name="search" size={14} />
          <span className="shell-search-words">Search</span>
          <kbd className="kbd">{/Mac|iPhone|iPad/.test(navigator.platform) ? "⌘K" : "Ctrl K"}</kbd>
        </button>
        <span
          className="shell-live"
          data-connection={shown}
          role="status"
          title={shown === "behind" ? `${WORDS.behind}: ${behind}` : WORDS[shown]}
        >
          <span>{WORDS[shown]}</span>
        </span>
        <Account />
      </header>
      <main id="page" tabIndex={-1}>
        <Boundary of={pathname} connection={connection}>
          {children}
          {searching ? (
            <Suspense fallback={null}>
              <Search close={closeSearch} />
            </Suspense>
          ) : null}
        </Boundary>
      </main>
    </div>
  );
}

/** ⌘K or Ctrl-K anywhere, and `/` where nothing is being typed. */
function useSearchKeys(set: (open: boolean | ((before: boolean) => boolean)) => void): void {
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const at = event.target as HTMLElement | null;
      const typing = at?.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(at?.tagName ?? "");
      if ((event.metaKey || event.ctrlKey) && !event.altKey && event.key.toLowerCase() === "k") {
        event.preventDefault();
        set((before) => !before);
      } else if (event.key === "/" && !typing && !event.metaKey && !event.ctrlKey) {
        event.preventDefault();
        set(true);
      }
    };
    window.addEventListener("keydown", press);
    return () => window.removeEventListener("keydown", press);
  }, [set]);
}
