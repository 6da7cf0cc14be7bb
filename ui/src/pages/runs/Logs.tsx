/** What a run logged: it follows while one is at its end, stands still when one scrolls up, and says what has come since. */

import { keepPreviousData, useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { type JSX, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import { nextPage, PageFailure } from "@/kit/NextPage";
import { Failure, Loading } from "@/kit/Notice";
import { SearchField } from "@/kit/SearchField";
import type { Change } from "@/kit/usePage";
import { get } from "@/lib/api";
import { useSettled } from "@/lib/settled";
import type { LogLine, LogPage, RunOne } from "@/pages/runs/types";

const LEVELS = [
  ["", "All levels"],
  ["INFO", "Info and above"],
  ["WARNING", "Warnings and errors"],
  ["ERROR", "Errors"],
] as const;

const SIZE = 200;

interface Props {
  run: RunOne;
  isOpen: boolean;
  parameters: URLSearchParams;
  change: (change: Change) => void;
}

export function Logs({ run, isOpen, parameters, change }: Props): JSX.Element {
  const [level, task, text] = [parameters.get("level"), parameters.get("task"), parameters.get("log")];
  const q = useSettled(text, 200);
  const asked = { level, task, q };
  const filter = JSON.stringify(asked);
  const [stoppedAt, setStoppedAt] = useState<string | null>(null);
  const follows = stoppedAt === null;
  // One has scrolled up in other lines: what is asked for now has to come first.
  if (!follows && stoppedAt !== filter) setStoppedAt(null);
  const path = `/api/runs/${encodeURIComponent(run.id)}/tail`;
  const client = useQueryClient();
  const found = useInfiniteQuery({
    queryKey: ["logs", run.id, asked],
    queryFn: ({ pageParam, signal }) =>
      get<LogPage>(path, { ...asked, cursor: pageParam, limit: SIZE }, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
    placeholderData: keepPreviousData,
    // Who has scrolled up reads: nothing moves below the eyes.
    enabled: follows,
    refetchInterval: isOpen && follows ? 2_000 : false,
  });
  const newest = useQuery({
    queryKey: ["logs", run.id, "newest", asked],
    queryFn: ({ signal }) => get<LogPage>(path, { ...asked, limit: 1 }, signal),
    enabled: !follows,
    refetchInterval: isOpen ? 3_000 : false,
  });
  const lines = (found.data?.pages.flatMap((page) => page.logs) ?? []).toReversed();
  const hasNew =
    !follows && newest.data?.logs[0] !== undefined && newest.data.logs[0].id !== lines.at(-1)?.id;
  const follow = useCallback(() => {
    // Only the end is read again, however far back one has gone.
    client.setQueryData<typeof found.data>(["logs", run.id, { level, task, q }], (data) =>
      data ? { pages: data.pages.slice(0, 1), pageParams: data.pageParams.slice(0, 1) } : data,
    );
    setStoppedAt(null);
  }, [client, run.id, level, task, q]);
  return (
    <section className="card logs" aria-labelledby="logs">
      <header>
        <h2 id="logs">Log</h2>
        {task ? (
          <button
            type="button"
            className="chip"
            onClick={() => change({ task: null })}
            title="Show the log of all tasks"
          >
            of one task ×
          </button>
        ) : null}
        <search className="logs-tools">
          <SearchField
            label="Search the log"
            placeholder="Search the log"
            name="log"
            parameters={parameters}
            change={change}
          />
          <select
            className="field"
            aria-label="Level"
            value={level ?? ""}
            onChange={(event) => change({ level: event.target.value })}
          >
            {LEVELS.map(([value, name]) => (
              <option key={value} value={value}>
                {name}
              </option>
            ))}
          </select>
        </search>
      </header>
      {found.isPending ? (
        <Loading rows={5} />
      ) : found.isError && lines.length === 0 ? (
        <Failure error={found.error} again={() => void found.refetch()} />
      ) : lines.length === 0 ? (
        <p className="logs-none dim">
          {level || task || q
            ? "Nothing in the log like that."
            : isOpen
              ? "Nothing logged yet."
              : "This run logged nothing."}
        </p>
      ) : (
        <Lines
          lines={lines}
          text={q}
          follows={follows}
          stop={() => setStoppedAt(filter)}
          earlier={
            found.hasNextPage && !found.isFetchingNextPage && !found.isFetchNextPageError
              ? () => void nextPage(found)
              : null
          }
        />
      )}
      <PageFailure of={found} />
      {follows ? null : (
        <button type="button" className="button logs-newest" onClick={follow}>
          {hasNew ? "New lines: jump to the newest ↓" : "Jump to the newest ↓"}
        </button>
      )}
    </section>
  );
}

function Lines({
  lines,
  text,
  follows,
  stop,
  earlier,
}: {
  lines: readonly LogLine[];
  text: string | null;
  follows: boolean;
  stop: () => void;
  earlier: (() => void) | null;
}): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const height = useRef(0);
  const top = lines[0]?.id;
  const before = useRef(top);

  useLayoutEffect(() => {
    const shown = box.current;
    if (!shown) return;
    if (follows) shown.scrollTop = shown.scrollHeight;
    // Earlier lines came above: what is read stays where it is.
    else if (before.current !== top) shown.scrollTop += shown.scrollHeight - height.current;
    height.current = shown.scrollHeight;
    before.current = top;
  }, [follows, top]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: each new line counts
  useEffect(() => {
    if (follows && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines.length, lines.at(-1)?.id]);

  return (
    <div
      className="logs-lines"
      ref={box}
      role="log"
      aria-label="Log"
      aria-live="off"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard
      tabIndex={0}
      onScroll={(event) => {
        const shown = event.currentTarget;
        const atEnd = shown.scrollHeight - shown.scrollTop - shown.clientHeight < 24;
        if (!atEnd && follows && shown.scrollHeight > shown.clientHeight) stop();
        if (shown.scrollTop < 200 && !follows) earlier?.();
      }}
    >
      {earlier ? (
        <button
          type="button"
          className="button quiet"
          onClick={() => {
            stop();
            earlier();
          }}
        >
          Earlier lines
        </button>
      ) : null}
      {lines.map((line) => (
        <Line key={line.id} line={line} text={text} />
      ))}
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
const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

function Line({ line, text }: { line: LogLine; text: string | null }): JSX.Element {
  const at = new Date(line.at);
  return (
    <div
      className="log-line"
      data-level={line.level >= 40 ? "error" : line.level >= 30 ? "warning" : undefined}
    >
      <time dateTime={line.at} title={EXACT.format(at)}>
        {CLOCK.format(at)}
      </time>
      <span className="log-level">{nameOf(line.level)}</span>
      <span className="log-message">
        <bdi>{text ? <Marked message={line.message ?? ""} text={text} /> : line.message}</bdi>
        {line.logger && line.logger !== "print" ? <span className="log-logger">{line.logger}</span> : null}
      </span>
    </div>
  );
}

function nameOf(level: number): string {
  return level >= 50 ? "CRIT" : level >= 40 ? "ERROR" : level >= 30 ? "WARN" : level >= 20 ? "INFO" : "DEBUG";
}

function Marked({ message, text }: { message: string; text: string }): JSX.Element {
  const at = message.toLowerCase().indexOf(text.toLowerCase());
  if (at < 0) return <>{message}</>;
  return (
    <>
      {message.slice(0, at)}
      <mark>{message.slice(at, at + text.length)}</mark>
      {message.slice(at + text.length)}
    </>
  );
}
