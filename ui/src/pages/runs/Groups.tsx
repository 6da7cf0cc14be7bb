/** The tasks of a run along time: where the runs of each begin, and those one by one when it is opened. */

import { useQuery } from "@tanstack/react-query";
import type { JSX } from "react";
import { Loading } from "@/kit/Notice";
import { Shape, toneOf } from "@/kit/State";
import type { Change } from "@/kit/usePage";
import { get } from "@/lib/api";
import { count, span } from "@/lib/text";
import { Bars } from "@/pages/runs/Bars";
import { placed, taskShares, type Window } from "@/pages/runs/course";
import type { Group, RunOne } from "@/pages/runs/types";

export function Groups({
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
