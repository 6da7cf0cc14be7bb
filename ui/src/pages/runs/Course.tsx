/** The course of a run: its task runs along time; by task where they are many. Drag to look closer, and by keyboard. */

import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { type JSX, useMemo } from "react";
import { Link } from "react-router";
import { links } from "@/app/links";
import { Loading } from "@/kit/Notice";
import { Segments } from "@/kit/Segments";
import { Shape, State, toneOf } from "@/kit/State";
import { useNow } from "@/kit/Time";
import type { Change } from "@/kit/usePage";
import { get } from "@/lib/api";
import { count, span } from "@/lib/text";
import { placed, readWindow, segments, type Window, wholeOf, writeWindow } from "@/pages/runs/course";
import { taskShares } from "@/pages/runs/Runs";
import { Axis, useZoom, ZoomButtons } from "@/pages/runs/Scale";
import type { Bar, Child, Group, RunOne, Timeline } from "@/pages/runs/types";

/** So many task runs are shown one by one; more are grouped by their tasks. */
const SINGLE = 120;

interface Props {
  run: RunOne;
  parameters: URLSearchParams;
  change: (change: Change) => void;
}

export function Course({ run, parameters, change }: Props): JSX.Element | null {
  const tasks = Object.values(run.tasks).reduce((sum, one) => sum + one, 0);
  const isOpen = run.ended === null;
  const now = useNow(isOpen ? 1 : 60);
  const start = run.started ? Date.parse(run.started) : 0;
  const whole = useMemo(() => wholeOf(run.started, run.ended, now), [run.started, run.ended, now]);
  const window = readWindow(parameters.get("z"), start) ?? whole;
  const zoom = useZoom(window, whole, (wanted) => change({ z: wanted ? writeWindow(wanted, start) : null }));
  const by = parameters.get("by") ?? (tasks > SINGLE ? "task" : "run");
  const isTable = by === "table";
  if (tasks === 0 && run.children === 0) return null;
  return (
    <section className="card course" aria-labelledby="course">
      <header>
        <h2 id="course">Tasks</h2>
        <div className="course-tools">
          <Segments
            label="Show"
            value={by}
            options={[
              ["run", "Each"],
              ["task", "By task"],
              ["table", "Table"],
            ]}
            choose={(value) => change({ by: value })}
          />
          {isTable ? null : <ZoomButtons zoom={zoom} isZoomed={parameters.has("z")} />}
        </div>
      </header>
      {isTable ? (
        <TaskTable run={run} />
      ) : (
        <div className="gantt" {...zoom.handlers}>
          <Axis window={window} start={start} drawn={zoom.drawn} />
          {by === "task" ? (
            <Groups
              run={run}
              window={window}
              whole={whole}
              now={now}
              open={parameters.getAll("open")}
              change={change}
            />
          ) : (
            <Bars run={run} window={window} isZoomed={parameters.has("z")} now={now} change={change} />
          )}
        </div>
      )}
    </section>
  );
}

/** Task runs page by page; those of a stretch of time alone when that is what one looks at. */
function useBars(run: RunOne, task: string | null, shown: Window | null) {
  const since = shown ? new Date(shown.from).toISOString() : null;
  const until = shown ? new Date(shown.to).toISOString() : null;
  return useInfiniteQuery({
    queryKey: ["run", run.id, "timeline", task, since, until],
    queryFn: ({ pageParam, signal }) =>
      get<Timeline>(
        `/api/runs/${encodeURIComponent(run.id)}/timeline`,
        { task, since, until, cursor: pageParam, limit: SINGLE },
        signal,
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
    placeholderData: keepPreviousData,
    refetchInterval: run.ended === null ? 2_000 : false,
  });
}

function Bars({
  run,
  task = null,
  window,
  isZoomed,
  now,
  change,
}: {
  run: RunOne;
  task?: string | null;
  window: Window;
  isZoomed: boolean;
  now: number;
  change: (change: Change) => void;
}): JSX.Element {
  const found = useBars(run, task, isZoomed ? window : null);
  const rows = found.data?.pages.flatMap((page) => page.task_runs) ?? [];
  const children = found.data?.pages[0]?.children ?? [];
  const depths = useMemo(() => depthsOf(rows), [rows]);
  if (found.isPending) return <Loading rows={3} />;
  const all = [
    ...children.map((child) => ({ at: child.started ?? "", child, bar: null })),
    ...rows.map((bar) => ({ at: bar.started ?? "", child: null, bar })),
  ].sort((one, other) => (one.at < other.at ? -1 : one.at > other.at ? 1 : 0));
  return (
    <>
      <ul className="gantt-rows" aria-label={task ? `Runs of ${task}` : "Task runs"}>
        {all.map(({ child, bar }) =>
          child ? (
            <ChildRow key={child.id} child={child} window={window} now={now} />
          ) : bar ? (
            <BarRow
              key={bar.id}
              bar={bar}
              depth={depths.get(bar.id) ?? 0}
              window={window}
              now={now}
              choose={() => change({ task: bar.id })}
            />
          ) : null,
        )}
      </ul>
      {found.hasNextPage ? (
        <button
          type="button"
          className="button quiet gantt-more"
          disabled={found.isFetchingNextPage}
          onClick={() => void found.fetchNextPage()}
        >
          Show {count(SINGLE)} more
        </button>
      ) : null}
    </>
  );
}

function depthsOf(rows: readonly Bar[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const row of rows) found.set(row.id, row.parent ? Math.min(6, (found.get(row.parent) ?? -1) + 1) : 0);
  return found;
}

function BarRow({
  bar,
  depth,
  window,
  now,
  choose,
}: {
  bar: Bar;
  depth: number;
  window: Window;
  now: number;
  choose: () => void;
}): JSX.Element {
  const seconds = bar.started
    ? ((bar.ended ? Date.parse(bar.ended) : now) - Date.parse(bar.started)) / 1000
    : 0;
  const tries = bar.tries && bar.tries > 1 ? `, ${bar.tries} tries` : "";
  const title = `${bar.task}: ${bar.state}${tries}\n${exact(bar.started)} – ${bar.ended ? exact(bar.ended) : "now"}\n${span(Math.max(0, seconds))}${bar.error ? `\n${bar.error}` : ""}`;
  return (
    <li>
      <button type="button" className="gantt-row" title={title} onClick={choose}>
        <span className="gantt-name" style={{ paddingLeft: `${depth * 14}px` }}>
          <span className="state plain" data-tone={toneOf(bar.state)}>
            <Shape tone={toneOf(bar.state)} />
          </span>
          <bdi className="ellipsis">{bar.task}</bdi>
        </span>
        <Line parts={segments(bar, now)} window={window} />
        <span className="num dim gantt-took">{span(Math.max(0, seconds))}</span>
        <span className="visually-hidden">{bar.state}. Show its log.</span>
      </button>
    </li>
  );
}

function ChildRow({ child, window, now }: { child: Child; window: Window; now: number }): JSX.Element {
  const from = child.started ? Date.parse(child.started) : now;
  const to = child.ended ? Date.parse(child.ended) : now;
  return (
    <li>
      <Link
        to={links.run(child.id)}
        className="gantt-row gantt-child"
        title={`${child.flow}: ${child.state}\n${exact(child.started)} – ${child.ended ? exact(child.ended) : "now"}`}
      >
        <span className="gantt-name">
          <span className="state plain" data-tone={toneOf(child.state)}>
            <Shape tone={toneOf(child.state)} />
          </span>
          <bdi className="ellipsis">{child.flow}</bdi>
          <span className="chip">flow</span>
        </span>
        <Line parts={[{ state: child.state, from, to }]} window={window} isOutline />
        <span className="num dim gantt-took">{span(Math.max(0, (to - from) / 1000))}</span>
      </Link>
    </li>
  );
}

function Line({
  parts,
  window,
  isOutline = false,
}: {
  parts: { state: string; from: number; to: number }[];
  window: Window;
  isOutline?: boolean;
}): JSX.Element {
  return (
    <span className="gantt-line" aria-hidden="true">
      {parts.map((part) => {
        const place = placed(part.from, part.to, window);
        return place ? (
          <span
            key={part.from}
            className={isOutline ? "gantt-bar outline" : "gantt-bar"}
            data-tone={toneOf(part.state)}
            data-waits={/^(Awaiting|Retrying|Scheduled|Pending)/.test(part.state) || undefined}
            style={{ left: `${place.left}%`, width: `max(${place.width}%, 3px)` }}
          />
        ) : null;
      })}
    </span>
  );
}

function Groups({
  run,
  window,
  whole,
  now,
  open,
  change,
}: {
  run: RunOne;
  window: Window;
  whole: Window;
  now: number;
  open: readonly string[];
  change: (change: Change) => void;
}): JSX.Element {
  const found = useQuery({
    queryKey: ["run", run.id, "groups"],
    queryFn: ({ signal }) =>
      get<{ groups: Group[] }>(`/api/runs/${encodeURIComponent(run.id)}/groups`, {}, signal),
    refetchInterval: run.ended === null ? 3_000 : false,
  });
  if (found.isPending) return <Loading rows={3} />;
  return (
    <ul className="gantt-rows" aria-label="Tasks">
      {(found.data?.groups ?? []).map((group) => {
        const isOpen = open.includes(group.task);
        const shares = taskShares(group.states);
        const worst = shares.find(([, , tone]) => tone === "late") ?? shares[0];
        return (
          <li key={group.task}>
            <button
              type="button"
              className="gantt-row"
              aria-expanded={isOpen}
              onClick={() =>
                change({ open: isOpen ? open.filter((one) => one !== group.task) : [...open, group.task] })
              }
              title={`${group.task}: ${shares.map(([state, number]) => `${count(number)} ${state}`).join(", ")}${group.usual === null ? "" : `; usually ${span(group.usual)}`}`}
            >
              <span className="gantt-name">
                <span className="gantt-fold" aria-hidden="true">
                  {isOpen ? "▾" : "▸"}
                </span>
                {worst ? (
                  <span className="state plain" data-tone={worst[2]}>
                    <Shape tone={worst[2]} />
                  </span>
                ) : null}
                <bdi className="ellipsis">{group.task}</bdi>
                <span className="dim num">×{count(group.count)}</span>
                {worst?.[2] === "late" ? <span className="late">{count(worst[1])} failed</span> : null}
              </span>
              <Density group={group} window={window} whole={whole} now={now} />
              <span className="num dim gantt-took">
                {group.usual === null ? "" : `~${span(group.usual)}`}
              </span>
            </button>
            {isOpen ? (
              <div className="gantt-inside">
                <Bars
                  run={run}
                  task={group.task}
                  window={window}
                  isZoomed={window !== whole}
                  now={now}
                  change={change}
                />
              </div>
            ) : null}
          </li>
        );
      })}
    </ul>
  );
}

/** Where in a run's time the runs of a task begin: darker where they are many. */
function Density({
  group,
  window,
  whole,
  now,
}: {
  group: Group;
  window: Window;
  whole: Window;
  now: number;
}): JSX.Element {
  const most = Math.max(...group.bins, 1);
  const size = (whole.to - whole.from) / group.bins.length;
  const tone = Object.keys(group.states).some((state) => toneOf(state) === "late") ? "late" : "fresh";
  const place = placed(Date.parse(group.started), group.ended ? Date.parse(group.ended) : now, window);
  return (
    <span className="gantt-line" aria-hidden="true">
      {place ? (
        <span
          className="gantt-bar outline"
          data-tone={group.open > 0 ? "running" : tone}
          style={{ left: `${place.left}%`, width: `max(${place.width}%, 3px)` }}
        />
      ) : null}
      {group.bins.map((number, bin) => {
        const from = whole.from + bin * size;
        const part = number > 0 ? placed(from, from + size, window) : null;
        return part ? (
          <span
            // biome-ignore lint/suspicious/noArrayIndexKey: a part of the run's time is what it is
            key={bin}
            className="gantt-bar"
            data-tone={group.open > 0 ? "running" : "fresh"}
            style={{ left: `${part.left}%`, width: `${part.width}%`, opacity: 0.25 + (0.65 * number) / most }}
          />
        ) : null;
      })}
    </span>
  );
}

function TaskTable({ run }: { run: RunOne }): JSX.Element {
  const found = useBars(run, null, null);
  const rows = found.data?.pages.flatMap((page) => page.task_runs) ?? [];
  return (
    <div className="table-scroll">
      <table className="table">
        <caption className="visually-hidden">Task runs</caption>
        <thead>
          <tr>
            <th scope="col">State</th>
            <th scope="col">Task</th>
            <th scope="col">Started</th>
            <th scope="col" className="num">
              Took
            </th>
            <th scope="col" className="num">
              Tries
            </th>
            <th scope="col">Error</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.id}>
              <td>
                <State state={row.state} plain />
              </td>
              <td>
                <bdi>{row.task}</bdi>
              </td>
              <td className="dim">{exact(row.started)}</td>
              <td className="num">
                {row.started && row.ended
                  ? span((Date.parse(row.ended) - Date.parse(row.started)) / 1000)
                  : "–"}
              </td>
              <td className="num">{row.tries}</td>
              <td className="late">{row.error?.split("\n", 1)[0]}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {found.hasNextPage ? (
        <button type="button" className="button quiet gantt-more" onClick={() => void found.fetchNextPage()}>
          Show {count(SINGLE)} more
        </button>
      ) : null}
    </div>
  );
}

const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
  hour12: false,
});

/** The time of day in the viewer's zone, to the millisecond. */
export function exact(at: string | null): string {
  return at ? CLOCK.format(new Date(at)) : "–";
}
