/** The backfills, the newest first, and what was asked for and is not yet one. */

import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import type { JSX } from "react";
import { Link } from "react-router";
import { links } from "@/app/links";
import { Empty, Failure, Loading } from "@/kit/Notice";
import { Shares } from "@/kit/Shares";
import { State } from "@/kit/State";
import { Time } from "@/kit/Time";
import { useParameters, useTitle } from "@/kit/usePage";
import { get } from "@/lib/api";
import { count } from "@/lib/text";
import type { Page, WorkRequest } from "@/lib/types";
import { OPEN, shares, Waiting } from "@/pages/backfills/Progress";
import type { Listed } from "@/pages/backfills/types";
import { More } from "@/pages/runs/Runs";
import "@/pages/backfills/backfills.css";
import "@/pages/backfills/progress.css";

const STATES = ["running", "paused", "completed", "failed", "cancelled", "interrupted"];

export default function Backfills(): JSX.Element {
  useTitle("Backfills");
  const [parameters, change] = useParameters();
  const [state, q] = [parameters.get("state") ?? "", parameters.get("q") ?? ""];
  const found = useInfiniteQuery({
    queryKey: ["backfills"],
    queryFn: ({ pageParam, signal }) =>
      get<Page & { backfills: Listed[] }>("/api/backfills", { limit: 200, cursor: pageParam }, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
    refetchInterval: (query) =>
      query.state.data?.pages.some((page) => page.backfills.some((one) => OPEN.has(one.state)))
        ? 2_000
        : false,
  });
  const all = found.data?.pages.flatMap((page) => page.backfills) ?? [];
  const requests = useQuery({
    queryKey: ["requests", "open"],
    queryFn: ({ signal }) => get<{ requests: WorkRequest[] }>("/api/requests", { open: true }, signal),
  });
  const begun = new Set(all.map((one) => one.id));
  const waiting = (requests.data?.requests ?? []).filter(
    (one) => one.what === "backfill" && !begun.has(one.id),
  );
  const rows = all.filter(
    (one) =>
      (state === "" || one.state === state) &&
      (q === "" || one.assets.some((name) => name.toLowerCase().includes(q.toLowerCase()))),
  );
  return (
    <>
      <div className="page-head">
        <h1>Backfills</h1>
        <search className="backfills-filters">
          <input
            className="field"
            type="search"
            aria-label="Part of an asset's name"
            placeholder="Part of a name"
            defaultValue={q}
            onChange={(event) => change({ q: event.target.value })}
          />
          <select
            className="field"
            aria-label="State"
            value={state}
            onChange={(event) => change({ state: event.target.value })}
          >
            <option value="">All states</option>
            {STATES.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
        </search>
      </div>
      {waiting.map((request) => (
        <div key={request.id} className="card waiting-card">
          <Link to={links.backfill(request.id)}>
            <bdi>{String(request.arguments.selection ?? "")}</bdi>
          </Link>
          <span className="dim">
            asked <Time at={request.at} /> {request.asked_by ? `by ${request.asked_by}` : ""}
          </span>
          <Waiting request={request} />
        </div>
      ))}
      {found.isPending ? (
        <Loading rows={8} />
      ) : found.isError && all.length === 0 ? (
        <Failure error={found.error} again={() => void found.refetch()} />
      ) : rows.length > 0 ? (
        <ul className="backfills card" aria-label="Backfills">
          {rows.map((row) => (
            <Row key={row.id} row={row} />
          ))}
        </ul>
      ) : waiting.length > 0 ? null : (
        <Nothing isFiltered={state !== "" || q !== ""} />
      )}
      <More when={found.hasNextPage && !found.isFetchingNextPage} then={() => void found.fetchNextPage()} />
    </>
  );
}

function Row({ row }: { row: Listed }): JSX.Element {
  const { requested, completed, skipped, failed } = row.partitions;
  const name = row.assets.join(", ");
  return (
    <li className="backfills-row">
      <State state={row.state} />
      <span className="backfills-what">
        <Link className="name" to={links.backfill(row.id)} title={name}>
          <bdi>{name}</bdi>
        </Link>
        <span className="dim ellipsis" title={row.range ?? undefined}>
          {row.range ?? "all partitions"}
        </span>
      </span>
      <Shares of={shares(row.partitions)} />
      <span className="num">
        {count(completed + skipped)} <span className="dim">/ {count(requested)}</span>
      </span>
      <span className="num backfills-failed">{failed > 0 ? `${count(failed)} failed` : ""}</span>
      <span className="dim num">
        <Time at={row.at} />
      </span>
    </li>
  );
}

function Nothing({ isFiltered }: { isFiltered: boolean }): JSX.Element {
  if (isFiltered)
    return (
      <Empty title="No backfills like that">
        <Link className="button" to={links.backfills()}>
          Show all backfills
        </Link>
      </Empty>
    );
  return (
    <Empty title="No backfills yet">
      <p>
        Drag over the partitions of an asset, or run <code>headwater backfill ASSET --from … --to …</code>.
      </p>
    </Empty>
  );
}
