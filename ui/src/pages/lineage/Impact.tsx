/** What a change of an asset or a column reaches. */

import { useQuery } from "@tanstack/react-query";
import type { JSX } from "react";
import { Link } from "react-router";
import { links } from "@/app/links";
import { Answer } from "@/kit/Answer";
import { AssetLink } from "@/kit/AssetLink";
import { get } from "@/lib/api";
import { count, counted } from "@/lib/text";
import type { Impact } from "@/pages/lineage/types";

/** Columns that a change reaches, of which so many are listed at most. */
const COLUMNS = 100;

export function ImpactPart({ subject }: { subject: string }): JSX.Element {
  const found = useQuery({
    queryKey: ["graph", "impact", subject],
    queryFn: ({ signal }) => get<Impact>("/api/impact", { root: subject }, signal),
  });
  return (
    <Answer of={found} rows={3}>
      {(impact) => (
        <section aria-label="Impact">
          <h3>
            {counted(impact.totals.assets ?? 0, "asset")} downstream
            {impact.columns.length > 0 ? `, ${counted(impact.totals.columns ?? 0, "column")}` : ""}
          </h3>
          {impact.assets.length === 0 ? <p className="dim">Nothing is made of it.</p> : null}
          <ul className="panel-edges">
            {impact.assets.map((one) => (
              <li key={one.id}>
                <AssetLink name={one.id} />
                <span className="dim">
                  {counted(one.steps, "step")} · {one.effect}
                </span>
              </li>
            ))}
          </ul>
          <Nearest shown={impact.assets.length} of={impact.totals.assets} />
          {impact.columns.length > 0 ? <h3>Columns</h3> : null}
          <ul className="panel-edges">
            {impact.columns.slice(0, COLUMNS).map((one) => (
              <li key={one.id}>
                <Link className="name" to={links.lineage(one.id, true)} title={one.id}>
                  <bdi>{one.id}</bdi>
                </Link>
                <span className="dim">{one.effect}</span>
              </li>
            ))}
          </ul>
          <Nearest shown={Math.min(impact.columns.length, COLUMNS)} of={impact.totals.columns} />
          {impact.unknown.length > 0 ? (
            <p className="panel-unknown">
              Unknown, since nobody can see how they read it: {impact.unknown.join(", ")}
            </p>
          ) : null}
        </section>
      )}
    </Answer>
  );
}

function Nearest({ shown, of = 0 }: { shown: number; of: number | undefined }): JSX.Element | null {
  return shown < of ? (
    <p className="dim">
      The nearest {count(shown)} of {count(of)} are listed.
    </p>
  ) : null;
}
