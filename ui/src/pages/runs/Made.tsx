/** What a run made of each asset. */

import { useQuery } from "@tanstack/react-query";
import type { JSX } from "react";
import { Link } from "react-router";
import { links } from "@/app/links";
import { AssetLink } from "@/kit/AssetLink";
import { State } from "@/kit/State";
import { address, get } from "@/lib/api";
import { count } from "@/lib/text";
import type { MadeRow, RunOne } from "@/pages/runs/types";

export function Made({ run, isOpen }: { run: RunOne; isOpen: boolean }): JSX.Element | null {
  const found = useQuery({
    queryKey: ["run", run.id, "made"],
    queryFn: ({ signal }) =>
      get<{ assets: MadeRow[] }>(`/api/runs/${encodeURIComponent(run.id)}/made`, {}, signal),
    refetchInterval: isOpen ? 3_000 : false,
  });
  const rows = found.data?.assets ?? [];
  if (rows.length === 0) return null;
  return (
    <section className="card" aria-labelledby="made">
      <header>
        <h2 id="made">Assets</h2>
      </header>
      <div className="table-scroll">
        <table className="table">
          <thead>
            <tr>
              <th scope="col">Asset</th>
              <th scope="col">Partitions</th>
              <th scope="col" className="num">
                Made
              </th>
              <th scope="col" className="num">
                Failed
              </th>
              <th scope="col" className="num">
                Rows
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.asset}>
                <td className="made-asset">
                  <State state={row.failed > 0 ? "failed" : "materialized"} label="" plain />{" "}
                  <AssetLink name={row.asset} />
                </td>
                <td className="made-partitions">
                  <Keys row={row} />
                </td>
                <td className="num">{count(row.published)}</td>
                <td className="num">{row.failed > 0 ? <b className="late">{count(row.failed)}</b> : "–"}</td>
                <td className="num">{row.rows === null ? "–" : count(row.rows)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Keys({ row }: { row: MadeRow }): JSX.Element {
  if (row.first === null) return <span className="dim">whole</span>;
  const text = row.first === row.last ? row.first : `${row.first} … ${row.last}`;
  // A calendar opens where the newest of them lies.
  const year = /^\d{4}/.exec(row.last ?? "")?.[0] ?? null;
  const to = address("/partitions", { asset: row.asset, year, from: row.first, to: row.last });
  return (
    <Link className="name" to={row.partitions > 1 || year ? to : links.partitions(row.asset)} title={text}>
      <bdi>{text}</bdi>
    </Link>
  );
}
