/** A run: how it stands, why it failed, the course of its tasks, what it made, what it logged. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type JSX, useState } from "react";
import { Link, useParams } from "react-router";
import { links } from "@/app/links";
import { useMayRun } from "@/app/session";
import { Answer } from "@/kit/Answer";
import { Dialog } from "@/kit/Dialog";
import { State } from "@/kit/State";
import { Time, useNow } from "@/kit/Time";
import { type Change, useParameters, useTitle } from "@/kit/usePage";
import { change as ask, get, Problem } from "@/lib/api";
import { count, span } from "@/lib/text";
import type { WorkRequest } from "@/lib/types";
import { TakeBack, useRequest, Waiting } from "@/pages/backfills/Progress";
import { Course } from "@/pages/runs/Course";
import { Failures } from "@/pages/runs/Failures";
import { Logs } from "@/pages/runs/Logs";
import { Made } from "@/pages/runs/Made";
import type { RunOne } from "@/pages/runs/types";
import "@/pages/backfills/progress.css";
import "@/pages/runs/run.css";

/** What ended so has an error to tell; a flow may have caught that of a task, and gone on. */
const FAILED = /^(Failed|Crashed|TimedOut)$/;

export default function Run(): JSX.Element {
  const { id = "" } = useParams();
  const [parameters, change] = useParameters();
  const run = useQuery({
    queryKey: ["run", id],
    queryFn: ({ signal }) => get<RunOne>(`/api/runs/${encodeURIComponent(id)}`, {}, signal),
    refetchInterval: (query) => (query.state.data?.ended === null ? 3_000 : false),
  });
  useTitle(run.data ? `${run.data.flow ?? run.data.id}` : "Run");
  return (
    <Answer page of={run} rows={8}>
      {(found) => <Page key={found.id} run={found} parameters={parameters} change={change} />}
    </Answer>
  );
}

function Page({
  run,
  parameters,
  change,
}: {
  run: RunOne;
  parameters: URLSearchParams;
  change: (change: Change) => void;
}): JSX.Element {
  const isOpen = run.ended === null;
  const hasFailed = [run.state, ...Object.keys(run.tasks)].some((state) => FAILED.test(state));
  return (
    <div className="run-page">
      <Head run={run} isOpen={isOpen} />
      {hasFailed ? <Failures run={run} change={change} /> : null}
      <Course run={run} parameters={parameters} change={change} />
      <Made run={run} isOpen={isOpen} />
      <Logs run={run} isOpen={isOpen} parameters={parameters} change={change} />
    </div>
  );
}

function Head({ run, isOpen }: { run: RunOne; isOpen: boolean }): JSX.Element {
  const parameters = Object.entries(run.parameters ?? {});
  const backfill = run.type === "backfill";
  return (
    <header className="run-head">
      <div className="page-head">
        <State state={run.state} />
        <h1 className="ellipsis" title={run.flow ?? undefined}>
          <bdi>{run.flow ?? run.id}</bdi>
        </h1>
        {run.name ? (
          <span className="dim ellipsis" title={run.name}>
            <bdi>{run.name}</bdi>
          </span>
        ) : null}
        <div className="end run-actions">
          {backfill ? (
            <Link className="button" to={links.backfill(run.id)}>
              The backfill
            </Link>
          ) : null}
          {isOpen ? <Cancel id={run.id} /> : null}
        </div>
      </div>
      <dl className="run-facts">
        <Fact name="Started">
          <Time at={run.started} exact />
        </Fact>
        <Fact name={isOpen ? "Running for" : "Took"}>
          {isOpen ? <Elapsed since={run.started} /> : span(run.duration ?? 0)}
        </Fact>
        <Fact name="Tasks">{count(Object.values(run.tasks).reduce((sum, one) => sum + one, 0))}</Fact>
        {run.attempts.length > 1 ? <Fact name="Attempts">{run.attempts.length}</Fact> : null}
        {run.asked_by ? <Fact name="Asked by">{run.asked_by}</Fact> : null}
        {run.cancelled_by ? <Fact name="Cancelled by">{run.cancelled_by}</Fact> : null}
        {run.parent ? (
          <Fact name="Called by">
            <Link className="mono" to={links.run(run.parent)}>
              {run.parent.slice(0, 8)}…{run.parent.slice(-4)}
            </Link>
          </Fact>
        ) : null}
        {run.source ? (
          <Fact name="Source">
            <span className="mono ellipsis" title={`${run.source.file}:${run.source.line}`}>
              {run.source.file}:{run.source.line}
            </span>
          </Fact>
        ) : null}
        <Fact name="Id">
          <Copy text={run.id} />
        </Fact>
      </dl>
      {parameters.length > 0 ? (
        <dl className="parameters" aria-label="Parameters">
          {parameters.map(([name, value]) => {
            const text = JSON.stringify(value);
            return (
              <div key={name} className="chip" title={`${name} = ${text}`}>
                <dt>{name}</dt>
                <dd className="mono ellipsis">
                  <bdi>{text}</bdi>
                </dd>
              </div>
            );
          })}
        </dl>
      ) : null}
      {run.attempts.length > 1 ? <Attempts run={run} /> : null}
      {!isOpen && run.state !== "Completed" && !run.parent && (backfill || run.type === "flow") ? (
        <Again run={run} isBackfill={backfill} />
      ) : null}
      {run.pruned ? (
        <p className="dim">
          Detail from before <Time at={run.pruned} exact /> has expired.
        </p>
      ) : null}
    </header>
  );
}

function Fact({ name, children }: { name: string; children: React.ReactNode }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Elapsed({ since }: { since: string | null }): JSX.Element {
  const now = useNow(1);
  return <>{since ? span(Math.max(0, Math.floor((now - Date.parse(since)) / 1000))) : "–"}</>;
}

function Attempts({ run }: { run: RunOne }): JSX.Element {
  return (
    <ol className="attempts" aria-label="Attempts" reversed>
      {run.attempts.map((one) => (
        <li key={one.attempt}>
          <span className="dim">#{one.attempt}</span> <State state={one.state} plain />{" "}
          <Time at={one.started} />
          {one.duration === null ? null : <span className="dim"> {span(one.duration)}</span>}
        </li>
      ))}
    </ol>
  );
}

/** Going on with a run that ended early: asked of a worker, or a command to copy. */
function Again({ run, isBackfill }: { run: RunOne; isBackfill: boolean }): JSX.Element {
  const command = isBackfill ? `headwater backfill resume ${run.id}` : `headwater runs resume ${run.id}`;
  const path = isBackfill ? `/api/backfills/${run.id}/resume` : `/api/runs/${run.id}/resume`;
  const mayRun = useMayRun();
  const resuming = useMutation({ mutationFn: () => ask<WorkRequest>("POST", path) });
  const request = useRequest(resuming.data);
  return (
    <div className="again">
      {mayRun ? (
        <button
          type="button"
          className="button"
          disabled={resuming.isPending || request?.state === "asked" || request?.state === "running"}
          onClick={() => resuming.mutate()}
        >
          Resume
        </button>
      ) : null}
      <span className="dim">
        {mayRun ? "or" : "To go on where it stopped:"} <Copy text={command} />
      </span>
      {request ? (
        <>
          <Waiting request={request} />
          {mayRun ? <TakeBack request={request} /> : null}
        </>
      ) : null}
      {resuming.error ? (
        <p role="alert" className="late">
          {resuming.error.message} {resuming.error instanceof Problem ? resuming.error.hint : null}
        </p>
      ) : null}
    </div>
  );
}

export function Copy({ text }: { text: string }): JSX.Element {
  const [copied, setCopied] = useState(false);
  return (
    <button
      type="button"
      className="copy mono"
      title="Copy"
      onClick={() =>
        void navigator.clipboard?.writeText(text).then(() => {
          setCopied(true);
          window.setTimeout(() => setCopied(false), 1500);
        })
      }
    >
      {copied ? "copied" : text}
    </button>
  );
}

function Cancel({ id }: { id: string }): JSX.Element | null {
  const client = useQueryClient();
  const [asked, setAsked] = useState(false);
  const cancelling = useMutation({
    mutationFn: () => ask("POST", `/api/runs/${encodeURIComponent(id)}/cancel`),
    onSuccess: () => {
      setAsked(false);
      void client.invalidateQueries({ queryKey: ["run", id] });
    },
  });
  if (!useMayRun()) return null;
  return (
    <>
      <button type="button" className="button danger" onClick={() => setAsked(true)}>
        Cancel the run
      </button>
      {asked ? (
        <Dialog label="Cancel the run" close={() => setAsked(false)} className="confirm">
          <h2>Cancel this run?</h2>
          <p>Its process is asked to stop: it ends at the next point where it can. What it has made stays.</p>
          {cancelling.error ? <p role="alert">{cancelling.error.message}</p> : null}
          <div className="confirm-buttons">
            <button type="button" className="button" onClick={() => setAsked(false)}>
              Let it run
            </button>
            <button
              type="button"
              className="button danger"
              disabled={cancelling.isPending}
              onClick={() => cancelling.mutate()}
            >
              Cancel it
            </button>
          </div>
        </Dialog>
      ) : null}
    </>
  );
}
