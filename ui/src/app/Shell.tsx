/** What surrounds every page: the navigation, the search, the theme, and whether live updates come. */

import { useQueryClient } from "@tanstack/react-query";
import { type JSX, type ReactNode, useEffect, useState } from "react";
import { NavLink } from "react-router";
import { links } from "@/app/links";
import { type Connection, listen } from "@/lib/live";
import "@/app/shell.css";

const PAGES: readonly (readonly [string, string])[] = [
  [links.board(), "Assets"],
  [links.lineage(), "Lineage"],
  [links.runs(), "Runs"],
  [links.backfills(), "Backfills"],
  [links.checks(), "Checks"],
];

export function Shell({ children }: { children: ReactNode }): JSX.Element {
  const client = useQueryClient();
  const [connection, setConnection] = useState<Connection>("connecting");
  useEffect(() => listen(client, setConnection), [client]);
  return (
    <div className="shell">
      <a className="skip" href="#page">
        Skip to the page
      </a>
      <header className="shell-bar">
        <NavLink to={links.board()} className="shell-name">
          <img src="/favicon.svg" alt="" width="20" height="20" /> Headwater
        </NavLink>
        <nav aria-label="Pages">
          {PAGES.map(([to, name]) => (
            <NavLink key={to} to={to} end={to === "/"}>
              {name}
            </NavLink>
          ))}
        </nav>
        <span className="shell-live" data-connection={connection} role="status">
          {connection === "lost" ? "Reconnecting…" : connection === "live" ? "Live" : "Connecting…"}
        </span>
      </header>
      <main id="page" tabIndex={-1}>
        {children}
      </main>
    </div>
  );
}
