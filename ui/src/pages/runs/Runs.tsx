/** The runs, the newest first: how each went, how long it took beside what its flow usually takes, what failed it. */

import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { type JSX, useEffect, useRef } from "react";
import { Link } from "react-router";
import { links } from "@/app/links";
import { Empty, Failure, Loading } from "@/kit/Notice";
import { type Share, Shares } from "@/kit/Shares";
import { State, type Tone, toneOf } from "@/kit/State";
import { Time, useNow } from "@/kit/Time";
import { type Change, useParameters, useTitle } from "@/kit/usePage";
import { get } from "@/lib/api";
import { count, span } from "@/lib/text";
import type { Flow, RunRow, RunsPage } from "@/pages/runs/types";
import "@/pages/runs/runs.css";

const STATES = [
  "Running",
  "Completed",
  "Failed",
  "Crashed",
  "Cancelled",
  "TimedOut",
  "AwaitingSlot",
] as const;

export default function Runs(): JSX.Element {
  useTitle("Runs");
  const [parameters, change] = useParameters();
  const [flow, state, q] = [parameters.get("flow"), parameters.get("state"), parameters.get("q")];
  const runs = useInfiniteQuery({
    queryKey: ["runs", { flow, state, q }],
    queryFn: ({ pageParam, signal }) =>
      get<RunsPage>("/api/runs", { flow, state, q, cursor: pageParam, limit: 50 }, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
    placeholderData: keepPreviousData,
  });
  const flows = useQuery({
    queryKey: ["runs", "flows"],
    queryFn: ({ signal }) => get<{ flows: Flow[] }>("/api/flows", {}, signal),
    staleTime: 30_000,
  });
  const usual = new Map((flows.data?.flows ?? []).map((one) => [one.flow, one.usual]));
  const rows = runs.data?.pages.flatMap((page) => page.runs) ?? [];
  return (
    <>
      <div className="page-head">
        <h1>Runs</h1>
        <Filters parameters={parameters} change={change} flows={flows.data?.flows ?? []} />
      </div>
      {runs.isPending ? (
        <Loading rows={10} />
      ) : runs.isError && rows.length === 0 ? (
        <Failure error={runs.error} again={() => void runs.refetch()} />
      ) : rows.length === 0 ? (
        <Nothing isFiltered={parameters.size > 0} />
      ) : (
        <div className="runs card">
          <div className="runs-row runs-titles" aria-hidden="true">
            <span>State</span>
            <span>Flow</span>
            <span>Started</span>
            <span>Took</span>
            <span>Tasks</span>
          </div>
          <ul aria-label="Runs">
            {rows.map((run) => (
              <Row key={run.id} run={run} usual={usual.get(run.flow ?? "") ?? null} />
            ))}
          </ul>
          <More when={runs.hasNextPage && !runs.isFetchingNextPage} then={() => void runs.fetchNextPage()} />
          {runs.isFetchingNextPage ? <Loading rows={2} /> : null}
        </div>
      )}
    </>
  );
}

function Filters({
  parameters,
  change,
  flows,
}: {
  parameters: URLSearchParams;
  change: (change: Change) => void;
  flows: readonly Flow[];
}): JSX.Element {
  return (
    <search className="runs-filters">
      <input
        className="field"
        type="search"
        aria-label="Part of a flow's name"
        placeholder="Part of a name"
        defaultValue={parameters.get("q") ?? ""}
        onChange={(event) => change({ q: event.target.value })}
      />
      <select
        className="field"
        aria-label="Flow"
        value={parameters.get("flow") ?? ""}
        onChange={(event) => change({ flow: event.target.value })}
      >
        <option value="">All flows</option>
        {parameters.get("flow") && !flows.some((one) => one.flow === parameters.get("flow")) ? (
          <option>{parameters.get("flow")}</option>
        ) : null}
        {flows.map((one) => (
          <option key={one.flow} value={one.flow}>
            {one.flow}
          </option>
        ))}
      </select>
      <select
        className="field"
        aria-label="State"
        value={parameters.get("state") ?? ""}
        onChange={(event) => change({ state: event.target.value })}
      >
        <option value="">All states</option>
        {STATES.map((one) => (
          <option key={one}>{one}</option>
        ))}
      </select>
    </search>
  );
}

function Row({ run, usual }: { run: RunRow; usual: number | null }): JSX.Element {
  const isOpen = run.ended === null;
  return (
    <li className="runs-row">
      <span>
        <State state={run.state} />
      </span>
      <span className="runs-flow">
        <Link className="name" to={links.run(run.id)} title={run.flow ?? run.id}>
          <bdi>{run.flow ?? run.id}</bdi>
        </Link>
        {run.type && run.type !== "flow" && !run.flow?.startsWith(run.type) ? (
          <span className="chip">{run.type}</span>
        ) : null}
        {run.parent ? (
          <Link className="chip" to={links.run(run.parent)} title={`Called by the run ${run.parent}`}>
            ↳ nested
          </Link>
        ) : null}
        {run.attempt && run.attempt > 1 ? <span className="chip">attempt {run.attempt}</span> : null}
        {run.error ? (
          <span className="runs-error ellipsis" title={run.error}>
            <bdi>{run.error.split("\n", 1)[0]}</bdi>
          </span>
        ) : null}
      </span>
      <span className="dim">
        <Time at={run.started} />
      </span>
      <span>
        {isOpen ? <Going run={run} usual={usual} /> : <Took seconds={run.duration ?? 0} usual={usual} />}
      </span>
      <span className="runs-tasks">
        <Shares of={taskShares(run.tasks)} />
        <span className="num dim">{count(Object.values(run.tasks).reduce((sum, one) => sum + one, 0))}</span>
      </span>
    </li>
  );
}

const ORDER: readonly Tone[] = ["fresh", "running", "warn", "late", "unknown", "none"];

export function taskShares(tasks: Record<string, number>): Share[] {
  return Object.entries(tasks)
    .map(([state, number]) => [state, number, toneOf(state)] as const)
    .sort((one, other) => ORDER.indexOf(one[2]) - ORDER.indexOf(other[2]));
}

function Going({ run, usual }: { run: RunRow; usual: number | null }): JSX.Element {
  const now = useNow(1);
  return (
    <Took
      seconds={run.started ? Math.max(0, (now - Date.parse(run.started)) / 1000) : 0}
      usual={usual}
      isOpen
    />
  );
}

/** A duration, with a bar beside what is usual: the mark stands at the usual one, half of the bar. */
function Took({
  seconds,
  usual,
  isOpen,
}: {
  seconds: number;
  usual: number | null;
  isOpen?: boolean;
}): JSX.Element {
  const text = span(isOpen ? Math.floor(seconds) : seconds);
  const share = usual ? Math.min(100, (seconds / usual) * 50) : 0;
  const tone = usual && seconds > usual * 1.5 ? "warn" : isOpen ? "running" : "none";
  return (
    <span className="took" title={usual ? `${text}; usually ${span(usual)}` : text}>
      <span className="num">{text}</span>
      {usual ? (
        <span className="took-bar" data-tone={tone} aria-hidden="true">
          <span style={{ width: `${share}%` }} />
        </span>
      ) : null}
    </span>
  );
}

function Nothing({ isFiltered }: { isFiltered: boolean }): JSX.Element {
  if (isFiltered)
    return (
      <Empty title="No runs like that">
        <Link className="button" to={links.runs()}>
          Show all runs
        </Link>
      </Empty>
    );
  return (
    <Empty title="Nothing has run yet">
      <p>
        <code>headwater run flow.py:nightly</code> runs a flow; it appears here while it goes on.
      </p>
    </Empty>
  );
}

/** Calls `then` when the end of a list comes into view, and `when` says that there is more. */
export function More({ when, then }: { when: boolean; then: () => void }): JSX.Element {
  const end = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!when || !end.current) return;
    const watcher = new IntersectionObserver(
      ([entry]) => {
        if (entry?.isIntersecting) then();
      },
      { rootMargin: "400px" },
    );
    watcher.observe(end.current);
    return () => watcher.disconnect();
  }, [when, then]);
  return <div ref={end} />;
}
