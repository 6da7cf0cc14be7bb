/** The runs, the newest first: how each went, how long it took beside what its flow usually takes, what failed it. */

import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import type { JSX } from "react";
import { Link } from "react-router";
import { links } from "@/app/links";
import { ListFilters, Listing } from "@/kit/Listing";
import { Empty } from "@/kit/Notice";
import { Shares } from "@/kit/Shares";
import { State } from "@/kit/State";
import { Time, useNow } from "@/kit/Time";
import { useParameters, useTitle } from "@/kit/usePage";
import { get } from "@/lib/api";
import { count, span } from "@/lib/text";
import { taskShares } from "@/pages/runs/course";
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
        <ListFilters parameters={parameters} change={change} named="a flow" states={STATES}>
          <FlowChoice chosen={flow} flows={flows.data?.flows ?? []} choose={(one) => change({ flow: one })} />
        </ListFilters>
      </div>
      <Listing
        label="Runs"
        className="runs"
        titles={["State", "Flow", "Started", { number: "Took" }, "Tasks"]}
        of={runs}
        rows={rows}
        row={(run) => <Row key={run.id} run={run} usual={usual.get(run.flow ?? "") ?? null} />}
        nothing={<Nothing isFiltered={parameters.size > 0} />}
      />
    </>
  );
}

interface ChoiceProps {
  chosen: string | null;
  flows: readonly Flow[];
  choose: (flow: string) => void;
}

function FlowChoice({ chosen, flows, choose }: ChoiceProps): JSX.Element {
  const names = flows.map((one) => one.flow);
  return (
    <select
      className="field"
      aria-label="Flow"
      value={chosen ?? ""}
      onChange={(event) => choose(event.target.value)}
    >
      <option value="">All flows</option>
      {(chosen && !names.includes(chosen) ? [chosen, ...names] : names).map((name) => (
        <option key={name} value={name}>
          {name}
        </option>
      ))}
    </select>
  );
}

function Row({ run, usual }: { run: RunRow; usual: number | null }): JSX.Element {
  const isOpen = run.ended === null;
  return (
    <li className="listing-row">
      <span>
        <State state={run.state} />
      </span>
      <span className="listing-name">
        <Link className="name" to={links.run(run.id)} title={run.flow ?? run.id}>
          <bdi>{run.flow ?? run.id}</bdi>
        </Link>
        {run.name ? (
          <span className="dim ellipsis" title={run.name}>
            <bdi>{run.name}</bdi>
          </span>
        ) : null}
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
