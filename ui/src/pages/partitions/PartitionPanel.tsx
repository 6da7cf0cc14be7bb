/** One partition: what is in place, since when, by which run, and why it is as it is. */

import { useQuery } from "@tanstack/react-query";
import type { JSX } from "react";
import { Link } from "react-router";
import { links } from "@/app/links";
import { Answer } from "@/kit/Answer";
import { State } from "@/kit/State";
import { Time } from "@/kit/Time";
import { get } from "@/lib/api";
import { count } from "@/lib/text";
import type { Reason } from "@/lib/types";
import { WORDS } from "@/pages/partitions/cells";
import type { PartitionOne } from "@/pages/partitions/types";

export function PartitionPanel({ asset, partition }: { asset: string; partition: string }): JSX.Element {
  const found = useQuery({
    queryKey: ["partitions", "one", asset, partition],
    queryFn: ({ signal }) => get<PartitionOne>("/api/partitions/one", { asset, partition }, signal),
  });
  return (
    <Answer of={found} rows={3}>
      {(one) => (
        <section className="partition-panel" aria-label={`Partition ${partition}`}>
          <State state={one.state === "made" ? "materialized" : one.state} label={WORDS[one.state]} />
          {one.error ? (
            <p className="panel-problem">
              <bdi>{one.error}</bdi>
            </p>
          ) : null}
          <dl className="facts">
            <dt>Made</dt>
            <dd>
              <Time at={one.at} />
              {one.run ? <ByRun id={one.run} /> : null}
            </dd>
            {one.tried && one.tried.run !== one.run ? (
              <>
                <dt>Last tried</dt>
                <dd>
                  <Time at={one.tried.at} />
                  <ByRun id={one.tried.run} />
                </dd>
              </>
            ) : null}
            <dt>Rows</dt>
            <dd>{one.rows === null ? "–" : count(one.rows)}</dd>
            <dt>Version</dt>
            <dd className="mono ellipsis" title={one.version ?? undefined}>
              {one.version ?? "–"}
            </dd>
          </dl>
          {one.reason ? <Why reason={one.reason} depth={0} /> : null}
        </section>
      )}
    </Answer>
  );
}

function ByRun({ id }: { id: string }): JSX.Element {
  return (
    <>
      {" by "}
      <Link className="mono" to={links.run(id)} title={id}>
        {id.slice(0, 8)}…{id.slice(-4)}
      </Link>
    </>
  );
}

function Why({ reason, depth }: { reason: Reason; depth: number }): JSX.Element {
  return (
    <div className="why" data-depth={depth}>
      <bdi>{reason.text}</bdi>
      {depth < 6
        ? reason.because
            .slice(0, 8)
            .map((one) => <Why key={`${one.kind} ${one.text}`} reason={one} depth={depth + 1} />)
        : null}
    </div>
  );
}
