/** What an asset is: where it lies, how it is divided, what it is made of, and what is made of it. */

import type { JSX } from "react";
import { Link } from "react-router";
import { links } from "@/app/links";
import { AssetLink } from "@/kit/AssetLink";
import { type Share, Shares } from "@/kit/Shares";
import { count, quoted } from "@/lib/text";
import type { AssetOne } from "@/lib/types";
import type { Detail } from "@/pages/asset/types";

export function Facts({ asset, detail }: { asset: AssetOne; detail: Detail | undefined }): JSX.Element {
  return (
    <aside className="facts" aria-label="About it">
      <Partitions asset={asset} />
      <dl>
        <dt>Location</dt>
        <dd className="mono">
          <bdi>{asset.location}</bdi>
        </dd>
        {asset.partitioned ? (
          <>
            <dt>Partitioned</dt>
            <dd>
              <bdi>{asset.partitioned}</bdi>
            </dd>
          </>
        ) : null}
        {asset.code ? (
          <>
            <dt>Code</dt>
            <dd className="mono" title={asset.code.name}>
              <bdi>
                {asset.code.file}:{asset.code.line}
              </bdi>
              <div className="dim">
                <bdi>{asset.code.name}()</bdi>
              </div>
            </dd>
          </>
        ) : (
          <>
            <dt>Code</dt>
            <dd className="dim">a source: nothing here makes it</dd>
          </>
        )}
        {asset.rows === null ? null : (
          <>
            <dt>Rows</dt>
            <dd>{count(asset.rows)}</dd>
          </>
        )}
        <dt>Made of</dt>
        <dd>
          {asset.inputs.length === 0 ? <span className="dim">nothing</span> : null}
          {asset.inputs.map((one) => (
            <div key={`${one.asset} ${one.parameter}`} className="facts-input">
              <AssetLink name={one.asset} />
              <div className="dim">
                <bdi>{one.mapping}</bdi>
              </div>
            </div>
          ))}
        </dd>
        <dt>Used by</dt>
        <dd>{detail ? <Consumers detail={detail} /> : <span className="dim">…</span>}</dd>
      </dl>
    </aside>
  );
}

const LISTED = 12;

function Consumers({ detail }: { detail: Detail }): JSX.Element {
  const { consumers, consumers_total: total } = detail;
  if (total === 0) return <span className="dim">nothing</span>;
  return (
    <>
      {consumers.slice(0, LISTED).map((one) => (
        <div key={one.asset}>
          <AssetLink name={one.asset} />
          {one.origin === "declared" ? <span className="dim"> · declared, not read yet</span> : null}
        </div>
      ))}
      {total > LISTED ? (
        <Link className="dim" to={links.board({ selection: `${quoted(detail.name)}+1` })}>
          all {count(total)}
        </Link>
      ) : null}
    </>
  );
}

function Partitions({ asset }: { asset: AssetOne }): JSX.Element | null {
  const counts = asset.partitions;
  if (!counts) return null;
  const shares: Share[] = [
    ["made", Math.max(0, counts.materialized - counts.failed), "fresh"],
    ["failed", counts.failed, "late"],
    ["missing", counts.missing, "none"],
  ];
  return (
    <Link className="facts-partitions" to={links.partitions(asset.name)}>
      <span>
        <strong>Partitions</strong>
        <span className="dim num">
          {count(counts.materialized)} of {count(counts.total)}
        </span>
      </span>
      <Shares of={shares} />
      <span className="dim">
        {[
          counts.missing > 0 ? `${count(counts.missing)} missing` : "none missing",
          counts.failed > 0 ? `${count(counts.failed)} failed` : "",
          asset.stale.partitions > 0 ? `${count(asset.stale.partitions)} stale` : "",
        ]
          .filter(Boolean)
          .join(" · ")}
      </span>
    </Link>
  );
}
