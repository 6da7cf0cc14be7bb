/** One asset on the board: how it stands, how far its data reaches, and what holds it back. */

import type { JSX } from "react";
import { Link } from "react-router";
import { links } from "@/app/links";
import { Witness } from "@/kit/AssetLink";
import { type Share, Shares } from "@/kit/Shares";
import { State } from "@/kit/State";
import { Time } from "@/kit/Time";
import { count, span } from "@/lib/text";
import type { AssetRow, Counts } from "@/lib/types";
import { WORDS } from "@/pages/board/filter";

/** What a lag is measured from, where it is not how far the data reaches. */
const SINCE: Record<string, string> = { last_materialized: "since made", last_run: "since run" };

export function Row({ row, asOf }: { row: AssetRow; asOf: string }): JSX.Element {
  const { freshness } = row;
  const asset = links.asset(row.name) + (asOf ? `&as_of=${encodeURIComponent(asOf)}` : "");
  return (
    <>
      <span role="cell" className="row-state">
        <State
          state={freshness.verdict}
          label={WORDS[freshness.verdict]}
          plain={freshness.verdict === "none"}
        />
      </span>
      <span role="cell" className="row-asset">
        <Link className="name row-name" to={asset} title={row.name}>
          <bdi>{row.name}</bdi>
        </Link>
        <span className="dim ellipsis">
          <bdi>{[row.kind, ...row.owners].join(" · ")}</bdi>
        </span>
      </span>
      <span role="cell" className="row-data">
        <span>
          {freshness.lag === null
            ? null
            : `${span(freshness.lag)} ${SINCE[freshness.clock ?? ""] ?? "behind"}`}
        </span>
        <span className="dim">
          <Time at={row.data_through} date />
        </span>
      </span>
      <span role="cell" className="row-why">
        <Why row={row} />
      </span>
      <span role="cell" className="row-partitions">
        {row.partitions ? <Partitions counts={row.partitions} /> : null}
      </span>
      <span role="cell" className="num row-rows">
        {row.rows === null ? <span className="dim">–</span> : count(row.rows)}
      </span>
      <span role="cell" className="num row-made">
        <Time at={row.last_materialized} />
      </span>
    </>
  );
}

/** At most two lines: failures and staleness first, then what the verdict waits for. */
function Why({ row }: { row: AssetRow }): JSX.Element | null {
  const { freshness, stale, refused } = row;
  const isBad = freshness.verdict !== "fresh" && freshness.verdict !== "none";
  const failed = refused[0];
  return (
    <>
      {failed ? (
        <span className="row-line" title={failed.message ?? undefined}>
          <State state="failed" label={failed.state} plain />{" "}
          <span className="ellipsis">
            <bdi>{failed.message?.split("\n")[0]}</bdi>
          </span>
        </span>
      ) : null}
      {isBad && freshness.witness.length > 1 ? (
        <span className="row-line">
          <span className="dim">waits for</span> <Witness path={freshness.witness} from={1} />
        </span>
      ) : isBad ? (
        <span className="row-line dim" title={freshness.reason ?? undefined}>
          <span className="ellipsis">{freshness.reason}</span>
        </span>
      ) : null}
      {stale.is_stale ? (
        <span className="row-line" title={stale.reasons[0]?.text}>
          <State
            state="stale"
            label={stale.partitions > 1 ? `${count(stale.partitions)} stale` : "stale"}
            plain
          />
          <span className="dim ellipsis">
            <bdi>{stale.reasons[0]?.text}</bdi>
          </span>
        </span>
      ) : null}
    </>
  );
}

function Partitions({ counts }: { counts: Counts }): JSX.Element {
  // A partition that failed may still hold what was made before: the bar tells the failure.
  const made = Math.max(0, counts.materialized - counts.failed);
  const shares: Share[] = [
    ["made", made, "fresh"],
    ["failed", counts.failed, "late"],
    ["missing", counts.missing, "none"],
  ];
  const failed = counts.failed > 0 ? ` · ${count(counts.failed)} failed` : "";
  return (
    <>
      <Shares of={shares} />
      <span className="dim">
        {count(counts.materialized)} of {count(counts.total)}
        {failed}
      </span>
    </>
  );
}
