/** What failed a run: the error first, legible; its traceback below; the failed task's log one click away. */

import { useQuery } from "@tanstack/react-query";
import type { JSX } from "react";
import { State } from "@/kit/State";
import { Time } from "@/kit/Time";
import type { Change } from "@/kit/usePage";
import { get } from "@/lib/api";
import type { Failure, RunOne } from "@/pages/runs/types";

export function Failures({
  run,
  change,
}: {
  run: RunOne;
  change: (change: Change) => void;
}): JSX.Element | null {
  const found = useQuery({
    queryKey: ["run", run.id, "failures"],
    queryFn: ({ signal }) =>
      get<{ failures: Failure[] }>(`/api/runs/${encodeURIComponent(run.id)}/failures`, { limit: 20 }, signal),
  });
  if (found.isPending) return null;
  const tasks = found.data?.failures ?? [];
  const own = run.attempts[0]?.error ?? null;
  // A flow fails with the error of its task: it is told once.
  const isTold = own !== null && tasks.some((one) => one.message === own.message);
  if (tasks.length === 0 && own === null) return null;
  return (
    <section className="failures card" aria-label="What failed">
      {own && !isTold ? (
        <article>
          <h2 className="failure-message">
            <span className="mono">{own.type}</span> <bdi>{own.message}</bdi>
          </h2>
          <Traceback text={own.traceback} isOpen={tasks.length === 0} />
        </article>
      ) : null}
      {tasks.map((one, place) => (
        <article key={one.id}>
          <p className="failure-task">
            <State state={one.state} plain /> <b className="ellipsis">{one.task}</b>
            {one.tries && one.tries > 1 ? <span className="dim">after {one.tries} tries</span> : null}
            <span className="dim">
              <Time at={one.at} />
            </span>
            <button
              type="button"
              className="link"
              onClick={() => {
                change({ task: one.id });
                document.getElementById("logs")?.scrollIntoView({ block: "start" });
              }}
            >
              Its log
            </button>
          </p>
          <h2 className="failure-message">
            <span className="mono">{one.type}</span> <bdi>{one.message}</bdi>
          </h2>
          <Traceback text={one.traceback} isOpen={place === 0} />
        </article>
      ))}
    </section>
  );
}

function Traceback({ text, isOpen }: { text: string | null; isOpen: boolean }): JSX.Element | null {
  if (!text) return null;
  return (
    <details open={isOpen}>
      <summary>Traceback</summary>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard */}
      <pre className="traceback" tabIndex={0}>
        {text.trimEnd()}
      </pre>
    </details>
  );
}
