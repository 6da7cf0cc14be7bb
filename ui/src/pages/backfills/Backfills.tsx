/** The backfills, the newest first, and what was asked for and is not yet one. */

import { useInfiniteQuery } from "@tanstack/react-query";
import { type JSX, useState } from "react";
import { Link } from "react-router";
import { links } from "@/app/links";
import { ListFilters, Listing } from "@/kit/Listing";
import { nextPage, PageFailure } from "@/kit/NextPage";
import { Empty } from "@/kit/Notice";
import { Shares } from "@/kit/Shares";
import { State } from "@/kit/State";
import { Time } from "@/kit/Time";
import { useParameters, useTitle } from "@/kit/usePage";
import { get } from "@/lib/api";
import { count } from "@/lib/text";
import type { Page, WorkRequest } from "@/lib/types";
import { OPEN, shares, Waiting } from "@/pages/backfills/Progress";
import type { Listed } from "@/pages/backfills/types";
import "@/pages/backfills/backfills.css";
import "@/pages/backfills/progress.css";

/** So many of those that wait are shown at first, and with each click more. */
const SHOWN = 50;
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
  const requests = useInfiniteQuery({
    queryKey: ["requests", "open"],
    queryFn: ({ pageParam, signal }) =>
      get<Page & { requests: WorkRequest[] }>(
        "/api/requests",
        { open: true, limit: 500, cursor: pageParam },
        signal,
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
  });
  const begun = new Set(all.map((one) => one.id));
  const waiting = (requests.data?.pages.flatMap((page) => page.requests) ?? []).filter(
    (one) => one.what === "backfill" && !begun.has(one.id),
  );
  const [most, setMost] = useState(SHOWN);
  const hidden = Math.max(0, waiting.length - most);
  const rows = all.filter(
    (one) =>
      (state === "" || one.state === state) &&
      (q === "" || one.assets.some((name) => name.toLowerCase().includes(q.toLowerCase()))),
  );
  return (
    <>
      <div className="page-head">
        <h1>Backfills</h1>
        <ListFilters parameters={parameters} change={change} named="an asset" states={STATES} />
      </div>
      {waiting.slice(0, most).map((request) => (
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
      {hidden > 0 || requests.hasNextPage ? (
        <button
          type="button"
          className="button"
          disabled={requests.isFetchingNextPage}
          onClick={() => {
            setMost(most + SHOWN);
            // There are so many that some of them have not come yet.
            if (hidden < SHOWN && requests.hasNextPage) void nextPage(requests);
          }}
        >
          {requests.hasNextPage ? "More may wait: show them" : `${count(hidden)} more wait: show them`}
        </button>
      ) : null}
      <PageFailure of={requests} />
      <Listing
        label="Backfills"
        className="backfills"
        titles={["State", "Assets", "Partitions", { number: "Done" }, "", { number: "Asked" }]}
        of={found}
        rows={rows}
        row={(one) => <Row key={one.id} row={one} />}
        nothing={waiting.length > 0 ? null : <Nothing isFiltered={state !== "" || q !== ""} />}
      />
    </>
  );
}

function Row({ row }: { row: Listed }): JSX.Element {
  const { requested, completed, skipped, failed } = row.partitions;
  const name = row.assets.join(", ");
  return (
    <li className="listing-row">
      <span>
        <State state={row.state} />
      </span>
      <span className="listing-name">
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
