/** Asking for a backfill of what is chosen: what of it, what around it, what that will make, and how it goes. */

import { useMutation, useQuery } from "@tanstack/react-query";
import { type JSX, useId, useState } from "react";
import { useMayRun } from "@/app/session";
import { change, Problem } from "@/lib/api";
import { useSettled } from "@/lib/settled";
import { count, counted, quoted, span } from "@/lib/text";
import type { WorkRequest } from "@/lib/types";
import { OPEN, Progress, usePicture } from "@/pages/backfills/Progress";
import type { Planned } from "@/pages/partitions/types";

interface Props {
  asset: string;
  /** The partitions as the server reads them; null: all. */
  partition: string | null;
  /** The same for people. */
  text: string;
  started: string | null;
  start: (id: string) => void;
}

const ONLY = ["missing", "failed", "stale"] as const;

export function BackfillPanel({ asset, partition, text, started, start }: Props): JSX.Element {
  const mayRun = useMayRun();
  const [only, setOnly] = useState<readonly string[]>([]);
  const [upstream, setUpstream] = useState(false);
  const [downstream, setDownstream] = useState(false);
  const [parallel, setParallel] = useState(1);
  const heading = useId();
  const body = useSettled(
    JSON.stringify({ selection: quoted(asset), partition, upstream, downstream, only }),
    250,
  );
  const planned = useQuery({
    queryKey: ["partitions", "plan", body],
    queryFn: () => change<Planned>("POST", "/api/backfills/plan", JSON.parse(body)),
    enabled: mayRun,
    retry: false,
  });
  const asking = useMutation({
    mutationFn: (wanted: string) =>
      change<WorkRequest>("POST", "/api/backfills", { ...(JSON.parse(wanted) as object), parallel }),
    onSuccess: (request) => start(request.id),
  });
  // A second click asks for nothing more while the same goes on.
  const asked = usePicture(asking.data?.id);
  const goesOn = asking.isSuccess && asking.variables === body && OPEN.has(asked.data?.state ?? "asked");
  const problem = asking.error ?? planned.error;
  const nothing = planned.data?.total === 0;
  return (
    <section className="backfill-panel" aria-labelledby={heading}>
      <h2 id={heading}>Backfill</h2>
      {started ? <Progress id={started} /> : null}
      <fieldset className="checks">
        <legend>Only what is</legend>
        {ONLY.map((one) => (
          <label key={one}>
            <input
              type="checkbox"
              checked={only.includes(one)}
              onChange={() =>
                setOnly(only.includes(one) ? only.filter((other) => other !== one) : [...only, one])
              }
            />
            {one}
          </label>
        ))}
      </fieldset>
      <fieldset className="checks">
        <legend>Also</legend>
        <label>
          <input type="checkbox" checked={upstream} onChange={() => setUpstream(!upstream)} />
          upstream
        </label>
        <label>
          <input type="checkbox" checked={downstream} onChange={() => setDownstream(!downstream)} />
          downstream
        </label>
        <label className="parallel">
          <input
            className="field"
            type="number"
            min={1}
            max={64}
            value={parallel}
            onChange={(event) => setParallel(Math.min(64, Math.max(1, Number(event.target.value) || 1)))}
          />
          at a time
        </label>
      </fieldset>
      {mayRun ? <Plan planned={planned.data} isBusy={planned.isFetching} /> : null}
      {problem ? (
        <p role="alert" className="panel-problem">
          {problem.message} {problem instanceof Problem ? problem.hint : null}
        </p>
      ) : null}
      <button
        type="button"
        className="button primary"
        disabled={!mayRun || asking.isPending || goesOn || nothing || planned.isError}
        onClick={() => asking.mutate(body)}
        title={mayRun ? undefined : "Your token may look, not start work: ask for one of the scope run"}
      >
        {nothing ? "Nothing to make" : `Backfill ${text}`}
      </button>
      {mayRun ? null : <p className="dim">Starting work takes a token of the scope run.</p>}
    </section>
  );
}

function Plan({ planned, isBusy }: { planned: Planned | undefined; isBusy: boolean }): JSX.Element {
  if (!planned) return <p className="dim">Working out what it makes…</p>;
  return (
    <div className="plan" aria-busy={isBusy}>
      <p>
        Makes <b>{count(planned.total)}</b> {planned.total === 1 ? "partition" : "partitions"}
        {planned.seconds ? <span className="dim">, usually {span(planned.seconds)} of work</span> : null}
      </p>
      <ul>
        {planned.steps.slice(0, 8).map((one) => (
          <li key={one.asset} title={one.reason.text}>
            <bdi className="ellipsis">{one.asset}</bdi>
            <span className="dim ellipsis">{one.partitions}</span>
            <span className="num">{count(one.count)}</span>
          </li>
        ))}
      </ul>
      {planned.steps.length > 8 ? (
        <p className="dim">and {counted(planned.steps.length - 8, "more asset")}</p>
      ) : null}
    </div>
  );
}
