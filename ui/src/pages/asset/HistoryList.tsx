/** What was tried to make an asset: how many rows, how long it took, whether it went well. */

import { useInfiniteQuery } from "@tanstack/react-query";
import { type JSX, useState } from "react";
import { Link } from "react-router";
import { links } from "@/app/links";
import { nextPage, PageFailure } from "@/kit/NextPage";
import { Failure, Loading } from "@/kit/Notice";
import { Segments } from "@/kit/Segments";
import { State } from "@/kit/State";
import { Time } from "@/kit/Time";
import type { Change } from "@/kit/usePage";
import { get } from "@/lib/api";
import { bytes, count, span } from "@/lib/text";
import { Chart } from "@/pages/asset/Chart";
import type { Attempt, History } from "@/pages/asset/types";

const STATES = [
  ["", "All"],
  ["published", "Made"],
  ["failed", "Failed"],
  ["refused", "Refused"],
] as const;

/** Bars of the charts. */
const DRAWN = 90;
const PAGE = 10;

export function HistoryList({
  name,
  state,
  change,
}: {
  name: string;
  state: string;
  change: (change: Change) => void;
}): JSX.Element {
  const pages = useInfiniteQuery({
    queryKey: ["materializations", name, state],
    queryFn: ({ pageParam, signal }) =>
      get<History>(
        "/api/assets/history",
        { name, state, cursor: pageParam, limit: pageParam === null ? DRAWN : 100 },
        signal,
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
  });
  const [all, setAll] = useState(false);
  const attempts = pages.data?.pages.flatMap((page) => page.attempts) ?? [];
  const shown = all ? attempts : attempts.slice(0, PAGE);
  const more = () => {
    // The charts have more than the table shows at first.
    if (all) void nextPage(pages);
    setAll(true);
  };
  const hasMore = pages.hasNextPage || shown.length < attempts.length;
  return (
    <section className="card" aria-labelledby="history">
      <header>
        <h2 id="history">History</h2>
        <Segments label="Attempts" value={state} options={STATES} choose={(one) => change({ state: one })} />
      </header>
      {pages.data === undefined ? (
        pages.isError ? (
          <Failure error={pages.error} again={() => void pages.refetch()} />
        ) : (
          <Loading rows={4} />
        )
      ) : attempts.length === 0 ? (
        <p className="panel-none dim">{state ? "Nothing ended so." : "Nothing was tried yet."}</p>
      ) : (
        <>
          <div className="charts">
            <Chart title="Rows" attempts={attempts.slice(0, DRAWN)} value={(one) => one.rows} shown={count} />
            <Chart
              title="Duration"
              attempts={attempts.slice(0, DRAWN)}
              value={(one) => one.seconds}
              shown={span}
            />
          </div>
          <Attempts attempts={shown} />
          {hasMore ? (
            <button type="button" className="panel-more" disabled={pages.isFetchingNextPage} onClick={more}>
              {pages.isFetchingNextPage ? "Loading…" : "Show more"}
            </button>
          ) : null}
          <PageFailure of={pages} />
        </>
      )}
    </section>
  );
}

function Attempts({ attempts }: { attempts: readonly Attempt[] }): JSX.Element {
  const divided = attempts.some((one) => one.partition !== null);
  return (
    <div className="table-scroll">
      <table className="table attempts">
        <thead>
          <tr>
            <th>State</th>
            {divided ? <th>Partition</th> : null}
            <th className="num">Rows</th>
            <th className="num wide">Size</th>
            <th className="num">Took</th>
            <th className="num">When</th>
            <th>Run</th>
          </tr>
        </thead>
        <tbody>
          {attempts.map((one) => (
            <tr key={one.id}>
              <td>
                <State state={one.state} label={one.state === "published" ? "made" : one.state} plain />
                {one.error ? (
                  <div className="attempt-error" title={one.error}>
                    <bdi>{one.error.split("\n")[0]}</bdi>
                  </div>
                ) : null}
              </td>
              {divided ? (
                <td className="attempt-partition ellipsis" title={one.partition ?? undefined}>
                  <bdi>{one.partition}</bdi>
                </td>
              ) : null}
              <td className="num">{one.rows === null ? "–" : count(one.rows)}</td>
              <td className="num wide">{one.bytes === null ? "–" : bytes(one.bytes)}</td>
              <td className="num">{one.seconds === null ? "–" : span(one.seconds)}</td>
              <td className="num">
                <Time at={one.at} />
              </td>
              <td>
                {one.run ? (
                  <Link
                    className="name attempt-run"
                    to={links.run(one.run)}
                    title={`${one.flow ?? ""} ${one.run}`}
                  >
                    <bdi>{one.flow ?? one.run.slice(0, 8)}</bdi>
                  </Link>
                ) : null}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
