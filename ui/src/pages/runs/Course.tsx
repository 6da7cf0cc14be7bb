/** The course of a run: its task runs along time; by task where they are many. Drag to look closer, and by keyboard. */

import { type JSX, useMemo } from "react";
import { Segments } from "@/kit/Segments";
import { useNow } from "@/kit/Time";
import type { Change } from "@/kit/usePage";
import { Bars, SINGLE } from "@/pages/runs/Bars";
import { readWindow, wholeOf, writeWindow } from "@/pages/runs/course";
import { Groups } from "@/pages/runs/Groups";
import { Axis, useZoom, ZoomButtons } from "@/pages/runs/Scale";
import { TaskTable } from "@/pages/runs/TaskTable";
import type { RunOne } from "@/pages/runs/types";

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
