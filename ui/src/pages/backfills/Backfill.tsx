/** A backfill: how far it is, each partition of each asset, what failed, and stopping or going on with it. */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type JSX, useState } from "react";
import { Link, useParams } from "react-router";
import { links } from "@/app/links";
import { useMayRun } from "@/app/session";
import { Answer } from "@/kit/Answer";
import { AssetLink } from "@/kit/AssetLink";
import { Dialog } from "@/kit/Dialog";
import { Empty } from "@/kit/Notice";
import { Shares } from "@/kit/Shares";
import { State, type Tone } from "@/kit/State";
import { Time } from "@/kit/Time";
import { useTitle } from "@/kit/usePage";
import { address, change, Problem } from "@/lib/api";
import { count, counted, span } from "@/lib/text";
import type { WorkRequest } from "@/lib/types";
import { OPEN, paceOf, shares, TakeBack, usePicture, useRequest, Waiting } from "@/pages/backfills/Progress";
import { type Listed, OUTCOMES, type OutcomeCounts, type Picture } from "@/pages/backfills/types";
import "@/pages/backfills/backfills.css";
import "@/pages/backfills/progress.css";

export default function Backfill(): JSX.Element {
  const { id = "" } = useParams();
  const picture = usePicture(id);
  const found = picture.data?.backfill ?? null;
  useTitle(found ? `Backfill of ${found.assets.join(", ")}` : "Backfill");
  return (
    <Answer page of={picture} rows={8}>
      {(one) =>
        one.backfill ? (
          <Page picture={one} one={one.backfill} />
        ) : one.request ? (
          <Asked request={one.request} />
        ) : (
          <Empty page title="Nothing is known of it" />
        )
      }
    </Answer>
  );
}

function Page({ picture, one }: { picture: Picture; one: Listed }): JSX.Element {
  const isOpen = OPEN.has(one.state);
  const { requested, completed, skipped, failed, blocked, running } = one.partitions;
  return (
    <div className="backfill-page">
      <div className="page-head">
        <State state={one.state} />
        <h1 className="ellipsis" title={one.assets.join(", ")}>
          <bdi>{one.assets.join(", ")}</bdi>
        </h1>
        <span className="dim ellipsis">{one.range ?? "all partitions"}</span>
        <Actions key={one.state} id={one.id} offers={offered(one)} />
      </div>
      <section className="backfill-sum" aria-label="Progress">
        <div className="backfill-numbers">
          <Figure name="done" value={`${count(completed + skipped)} / ${count(requested)}`} />
          {running > 0 ? <Figure name="running" value={count(running)} tone="running" /> : null}
          {failed > 0 ? <Figure name="failed" value={count(failed)} tone="late" /> : null}
          {blocked > 0 ? <Figure name="blocked by them" value={count(blocked)} tone="warn" /> : null}
          {isOpen ? (
            <Figure name="pace" value={paceOf(picture) || "…"} />
          ) : one.at && one.ended ? (
            <Figure name="took" value={span((Date.parse(one.ended) - Date.parse(one.at)) / 1000)} />
          ) : null}
          <div className="figure">
            <span className="dim">asked for</span>
            <span>
              <Time at={one.at} exact />
              {picture.request?.asked_by ? ` by ${picture.request.asked_by}` : null}
            </span>
          </div>
          <Link className="figure-link" to={links.run(one.id)}>
            Its run and log
          </Link>
        </div>
        <Shares of={shares(one.partitions)} />
      </section>
      <Trouble picture={picture} />
      <Assets picture={picture} />
    </div>
  );
}

function Figure({ name, value, tone }: { name: string; value: string; tone?: Tone }): JSX.Element {
  return (
    <div className="figure" data-tone={tone}>
      <span className="dim">{name}</span>
      <b>{value}</b>
    </div>
  );
}

function Asked({ request }: { request: WorkRequest }): JSX.Element {
  return (
    <div className="backfill-page">
      <div className="page-head">
        <State state={request.state} />
        <h1 className="ellipsis">
          <bdi>{String(request.arguments.selection ?? request.what)}</bdi>
        </h1>
        <span className="dim">
          asked for <Time at={request.at} /> {request.asked_by ? `by ${request.asked_by}` : null}
        </span>
        <Actions id={request.id} offers={OPEN.has(request.state) ? ["cancel"] : []} />
      </div>
      <Waiting request={request} />
    </div>
  );
}

/** What each state of a partition in a backfill is drawn as. */
const LOOKS: Record<string, string> = {
  completed: "made",
  skipped: "made",
  failed: "failed",
  blocked: "stale",
  running: "running",
  cancelled: "missing",
  waiting: "missing",
};

function Assets({ picture }: { picture: Picture }): JSX.Element {
  return (
    <section className="card" aria-labelledby="grid">
      <header>
        <h2 id="grid">Partitions</h2>
        <ul className="legend-states">
          {OUTCOMES.filter((state) => picture.assets.some((one) => one.states[state])).map((state) => (
            <li key={state}>
              <span className="unit" data-state={LOOKS[state]} aria-hidden="true" /> {state}
            </li>
          ))}
        </ul>
      </header>
      {picture.assets.map((one) => (
        <div key={one.asset} className="backfill-asset">
          <div className="backfill-asset-name">
            <AssetLink name={one.asset} />
            <span className="num dim">
              {count((one.states.completed ?? 0) + (one.states.skipped ?? 0))} / {count(one.total)}
            </span>
          </div>
          <div className="units" role="img" aria-label={`${one.asset}: ${wordsOf(one.states)}`}>
            {one.cells.map((cell) => {
              const state = OUTCOMES.find((outcome) => cell.states[outcome]) ?? "waiting";
              const text = cell.first === cell.last ? cell.first : `${cell.first} … ${cell.last}`;
              return (
                <span
                  key={cell.first}
                  className="unit"
                  data-state={LOOKS[state]}
                  title={`${text}: ${one.size === 1 ? state : wordsOf(cell.states)}`}
                />
              );
            })}
          </div>
        </div>
      ))}
      {picture.more > 0 ? (
        <p className="dim backfill-more">and {counted(picture.more, "more asset")}</p>
      ) : null}
    </section>
  );
}

function wordsOf(states: OutcomeCounts): string {
  return OUTCOMES.filter((state) => states[state])
    .map((state) => `${count(states[state] ?? 0)} ${state}`)
    .join(", ");
}

function Trouble({ picture }: { picture: Picture }): JSX.Element | null {
  if (picture.trouble.length === 0) return null;
  return (
    <section className="card" aria-labelledby="trouble">
      <header>
        <h2 id="trouble">What failed</h2>
        <Link className="dim" to={address(links.run(picture.id), { level: "ERROR" })}>
          The log
        </Link>
      </header>
      <ul className="trouble">
        {picture.trouble.map((one) => (
          <li key={`${one.asset} ${one.partition}`}>
            <State state={one.state} plain />
            <Link
              className="name"
              to={address("/partitions", {
                asset: one.asset,
                year: /^\d{4}(?=-)/.exec(one.partition ?? "")?.[0],
                from: one.partition,
                to: one.partition,
              })}
            >
              <bdi>{one.partition === null ? one.asset : `${one.asset}@${one.partition}`}</bdi>
            </Link>
            <span className="trouble-reason">
              <bdi>{one.reason}</bdi>
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

type What = "pause" | "resume" | "cancel" | "retry";

const ASKS: Record<What, readonly [button: string, question: string, text: string]> = {
  pause: [
    "Pause",
    "Pause this backfill?",
    "Nothing more is launched; what runs is finished. It can be resumed.",
  ],
  resume: ["Resume", "Resume this backfill?", "What is left is made, and what failed is tried again."],
  cancel: [
    "Cancel",
    "Cancel this backfill?",
    "Nothing more is launched, and what runs is stopped at its next step. What was made stays.",
  ],
  retry: [
    "Retry failed",
    "Retry what failed?",
    "What failed is tried again, and then what that has blocked.",
  ],
};

/** States in which nobody drives it, and something may be left; requested: its process died before it began. */
const LEFT = new Set(["requested", "interrupted", "failed", "cancelled"]);

function offered(one: Listed): What[] {
  if (one.state === "running" || one.state === "resuming") return ["pause", "cancel"];
  if (one.state === "pausing") return ["cancel"];
  if (one.state === "paused") return ["resume", "cancel"];
  const found: What[] = one.partitions.failed + one.partitions.blocked > 0 ? ["retry"] : [];
  return LEFT.has(one.state) ? ["resume", ...found] : found;
}

function Actions({ id, offers }: { id: string; offers: What[] }): JSX.Element | null {
  const client = useQueryClient();
  const [what, setWhat] = useState<What | null>(null);
  const asking = useMutation({
    mutationFn: (wanted: What) =>
      change<WorkRequest>("POST", `/api/backfills/${encodeURIComponent(id)}/${wanted}`),
    onSuccess: () => {
      setWhat(null);
      void client.invalidateQueries({ queryKey: ["backfill", id] });
      void client.invalidateQueries({ queryKey: ["request"] });
    },
  });
  const isWork = asking.variables === "resume" || asking.variables === "retry";
  const request = useRequest(isWork ? asking.data : undefined);
  if (!useMayRun()) return null;
  const problem = asking.error instanceof Problem ? asking.error : null;
  return (
    <div className="end backfill-actions">
      {offers.map((name) => (
        <button
          key={name}
          type="button"
          className={name === "cancel" ? "button danger" : "button"}
          onClick={() => {
            asking.reset();
            setWhat(name);
          }}
        >
          {ASKS[name][0]}
        </button>
      ))}
      {request ? (
        <>
          <Waiting request={request} />
          <TakeBack request={request} />
        </>
      ) : null}
      {what ? (
        <Dialog label={ASKS[what][1]} close={() => setWhat(null)} className="ask">
          <h2>{ASKS[what][1]}</h2>
          <p>{ASKS[what][2]}</p>
          {problem ? (
            <p role="alert" className="ask-problem">
              {problem.message} {problem.hint}
            </p>
          ) : null}
          <div className="ask-buttons">
            <button type="button" className="button" onClick={() => setWhat(null)}>
              No, leave it
            </button>
            <button
              type="button"
              className={what === "cancel" ? "button danger" : "button primary"}
              disabled={asking.isPending}
              onClick={() => asking.mutate(what)}
            >
              Yes, {ASKS[what][0].toLowerCase()}
            </button>
          </div>
        </Dialog>
      ) : null}
    </div>
  );
}
