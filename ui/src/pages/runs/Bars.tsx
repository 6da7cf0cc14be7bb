/** Task runs one by one along time, each a line, and the flows that were called among them. */

import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { type JSX, useMemo } from "react";
import { Link } from "react-router";
import { links } from "@/app/links";
import { nextPage, PageFailure } from "@/kit/NextPage";
import { Loading } from "@/kit/Notice";
import { Shape, toneOf } from "@/kit/State";
import type { Change } from "@/kit/usePage";
import { get } from "@/lib/api";
import { count, span } from "@/lib/text";
import { exact, placed, segments, type Window } from "@/pages/runs/course";
import type { Bar, Child, RunOne, Timeline } from "@/pages/runs/types";

/** So many task runs are shown one by one; more are grouped by their tasks. */
export const SINGLE = 120;

/** Task runs page by page; those of a stretch of time alone when that is what one looks at. */
export function useBars(run: RunOne, task: string | null, shown: Window | null) {
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

export function Bars({
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
          onClick={() => void nextPage(found)}
        >
          Show {count(SINGLE)} more
        </button>
      ) : null}
      <PageFailure of={found} />
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
