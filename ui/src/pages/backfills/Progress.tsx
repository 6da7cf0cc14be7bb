/** How far a backfill is, in a line: its state, a bar, done of all, the pace, and when it will have ended. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { JSX } from "react";
import { Link } from "react-router";
import { links } from "@/app/links";
import { Failure } from "@/kit/Notice";
import { type Share, Shares } from "@/kit/Shares";
import { State } from "@/kit/State";
import { change, get, Problem } from "@/lib/api";
import { count, span } from "@/lib/text";
import type { Backfill, WorkRequest } from "@/lib/types";
import type { Picture } from "@/pages/backfills/types";

export const OPEN = new Set(["running", "resuming", "pausing", "cancelling", "asked"]);
/** Milliseconds after which one that goes on is asked for again: its pace changes with time. */
const PACED = 2_000;

/** A backfill's parts as shares of a bar. */
export function shares(partitions: Backfill["partitions"]): Share[] {
  const { requested, completed, failed, running, skipped, blocked } = partitions;
  const rest = Math.max(0, requested - completed - failed - running - skipped - blocked);
  return [
    ["done", completed + skipped, "fresh"],
    ["failed", failed, "late"],
    ["blocked", blocked, "warn"],
    ["running", running, "running"],
    ["waiting", rest, "none"],
  ];
}

/** Nobody but a worker starts what is asked for. */
export function Waiting({ request }: { request: WorkRequest }): JSX.Element | null {
  if (request.state === "failed")
    return (
      <p className="waiting" role="alert" data-tone="late">
        It could not be carried out. {request.message}
      </p>
    );
  if (request.state === "running")
    return (
      <p className="waiting" role="status">
        A worker has taken it, and loads its code.
      </p>
    );
  if (request.state !== "asked") return null;
  return (
    <p className="waiting" role="status" data-tone="warn">
      Nobody has taken it yet. Start <code>headwater worker</code>, or the server as{" "}
      <code>headwater serve --run</code>.
    </p>
  );
}

/** As long as no run has begun for it, what was asked for can be taken back. */
export function TakeBack({ request }: { request: WorkRequest }): JSX.Element | null {
  const client = useQueryClient();
  const taking = useMutation({
    mutationFn: () => change<WorkRequest>("POST", `/api/requests/${encodeURIComponent(request.id)}/cancel`),
    onSettled: () => client.invalidateQueries({ queryKey: ["request", request.id] }),
  });
  if (request.state !== "asked" && request.state !== "running") return null;
  return (
    <>
      <button
        type="button"
        className="button danger"
        disabled={taking.isPending}
        onClick={() => taking.mutate()}
      >
        Take it back
      </button>
      {taking.error ? (
        <p role="alert" className="late">
          {taking.error.message} {taking.error instanceof Problem ? taking.error.hint : null}
        </p>
      ) : null}
    </>
  );
}

/** What was asked for, followed until it has ended; nothing as long as nothing was. */
export function useRequest(asked: WorkRequest | undefined): WorkRequest | undefined {
  const found = useQuery({
    queryKey: ["request", asked?.id],
    queryFn: ({ signal }) =>
      get<WorkRequest>(`/api/requests/${encodeURIComponent(asked?.id ?? "")}`, {}, signal),
    enabled: asked !== undefined,
    initialData: asked,
  });
  return found.data;
}

export function usePicture(id: string | undefined) {
  return useQuery({
    queryKey: ["backfill", id],
    queryFn: ({ signal }) =>
      get<Picture>(`/api/backfills/${encodeURIComponent(id ?? "")}/picture`, {}, signal),
    enabled: id !== undefined,
    // That somebody takes what was asked for, or takes it back, live updates say.
    refetchInterval: (query) => {
      const state = query.state.data?.state ?? "";
      return OPEN.has(state) && state !== "asked" ? PACED : false;
    },
  });
}

/** Progress in place: of a request that nobody may have taken yet, too. */
export function Progress({ id }: { id: string }): JSX.Element {
  const picture = usePicture(id);
  if (picture.isError) return <Failure error={picture.error} again={() => void picture.refetch()} />;
  if (!picture.data) return <p className="dim">Asking…</p>;
  const { backfill, request, state } = picture.data;
  if (!backfill)
    return (
      <div className="progress">
        <div className="progress-line">
          <State state={state} />
          <Link to={links.backfill(id)}>Open the backfill</Link>
        </div>
        {request ? <Waiting request={request} /> : null}
      </div>
    );
  const { requested, completed, skipped, failed } = backfill.partitions;
  return (
    <div className="progress" aria-live="polite">
      <div className="progress-line">
        <State state={state} />
        <span className="num">
          {count(completed + skipped)} / {count(requested)}
        </span>
        {failed > 0 ? <span className="progress-failed">{count(failed)} failed</span> : null}
        <span className="dim progress-pace">{paceOf(picture.data)}</span>
        <Link to={links.backfill(id)}>Open the backfill</Link>
      </div>
      <Shares of={shares(backfill.partitions)} />
    </div>
  );
}

/** `3.2/s, 4 min left`. */
export function paceOf(picture: Picture): string {
  if (!picture.rate || !OPEN.has(picture.state)) return "";
  const rate =
    picture.rate >= 1
      ? `${Number(picture.rate.toFixed(1))}/s`
      : `${Number((picture.rate * 60).toFixed(1))}/min`;
  return picture.left === null ? rate : `${rate}, ${span(picture.left)} left`;
}
