/** The task runs as a table, for those who read rather than look. */

import type { JSX } from "react";
import { nextPage, PageFailure } from "@/kit/NextPage";
import { State } from "@/kit/State";
import { count, span } from "@/lib/text";
import { SINGLE, useBars } from "@/pages/runs/Bars";
import { exact } from "@/pages/runs/course";
import type { RunOne } from "@/pages/runs/types";

export function TaskTable({ run }: { run: RunOne }): JSX.Element {
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
        <button type="button" className="button quiet gantt-more" onClick={() => void nextPage(found)}>
          Show {count(SINGLE)} more
        </button>
      ) : null}
      <PageFailure of={found} />
    </div>
  );
}
