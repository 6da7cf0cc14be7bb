/** One asset: how fresh it is and why, what was tried to make it, its columns, checks and neighbours. */

import { useQuery } from "@tanstack/react-query";
import type { JSX } from "react";
import { Link } from "react-router";
import { links } from "@/app/links";
import { useMayRun } from "@/app/session";
import { Answer } from "@/kit/Answer";
import { Icon } from "@/kit/Icon";
import { Empty, Failure } from "@/kit/Notice";
import { State } from "@/kit/State";
import { Time } from "@/kit/Time";
import { useParameters, useTitle } from "@/kit/usePage";
import { get } from "@/lib/api";
import { quoted } from "@/lib/text";
import type { AssetOne } from "@/lib/types";
import { Checks } from "@/pages/asset/Checks";
import { Clocks } from "@/pages/asset/Clocks";
import { Columns } from "@/pages/asset/Columns";
import { Facts } from "@/pages/asset/Facts";
import { HistoryList } from "@/pages/asset/HistoryList";
import type { Detail, History } from "@/pages/asset/types";
import { Why } from "@/pages/asset/Why";
import { WORDS } from "@/pages/board/filter";
import "@/pages/asset/asset.css";

export default function Asset(): JSX.Element {
  const [parameters] = useParameters();
  const name = parameters.get("name") ?? "";
  const asOf = parameters.get("as_of") ?? "";
  useTitle(name || "Asset");
  const asset = useQuery({
    queryKey: ["asset", name, asOf],
    queryFn: ({ signal }) => get<AssetOne>("/api/assets/one", { name, as_of: asOf }, signal),
    enabled: name !== "",
    refetchInterval: 60_000,
  });
  if (name === "")
    return (
      <Empty page title="Which asset?">
        The address names none.
      </Empty>
    );
  return (
    <Answer page of={asset} rows={8}>
      {(found) => <Shown key={name} asset={found} asOf={asOf} />}
    </Answer>
  );
}

function Shown({ asset, asOf }: { asset: AssetOne; asOf: string }): JSX.Element {
  const [parameters, change] = useParameters();
  const { name } = asset;
  const detail = useQuery({
    queryKey: ["asset", name, "detail"],
    queryFn: ({ signal }) => get<Detail>("/api/assets/detail", { name }, signal),
  });
  return (
    <article className="asset">
      <Head asset={asset} />
      {asOf ? (
        <p className="asset-as-of">
          Judged as of <Time at={asOf} exact />.{" "}
          <button type="button" className="button quiet" onClick={() => change({ as_of: null })}>
            Judge now
          </button>
        </p>
      ) : null}
      <Failed asset={asset} />
      <div className="asset-body">
        <div className="asset-main">
          <section className="card" aria-labelledby="freshness">
            <header>
              <h2 id="freshness">Freshness</h2>
            </header>
            <Clocks asset={asset} detail={detail.data} asOf={asOf} />
            <Why asset={asset} asOf={asOf} />
          </section>
          <HistoryList name={name} state={parameters.get("state") ?? ""} change={change} />
          {detail.data ? <Columns detail={detail.data} /> : null}
          {detail.isLoadingError ? (
            <Failure error={detail.error} again={() => void detail.refetch()} />
          ) : null}
          <Checks name={name} />
        </div>
        <Facts asset={asset} detail={detail.data} />
      </div>
    </article>
  );
}

function Head({ asset }: { asset: AssetOne }): JSX.Element {
  const mayRun = useMayRun();
  const isMade = asset.code !== null;
  return (
    <header className="asset-head">
      <div className="asset-title">
        <h1>
          <bdi>{asset.name}</bdi>
        </h1>
        <State state={asset.freshness.verdict} label={WORDS[asset.freshness.verdict]} />
        {asset.stale.is_stale ? <State state="stale" title={asset.stale.reasons[0]?.text} /> : null}
        <span className="asset-actions">
          <Link className="button" to={links.lineage(asset.name)}>
            <Icon name="lineage" size={14} /> Lineage
          </Link>
          {isMade ? (
            <Link className={mayRun ? "button primary" : "button"} to={links.partitions(asset.name)}>
              {asset.partitions ? "Partitions & backfill" : "Materialize"}
            </Link>
          ) : null}
        </span>
      </div>
      <div className="asset-about">
        <span className="chip">{asset.kind}</span>
        {asset.owners.map((owner) => (
          <Link
            key={owner}
            className="chip"
            to={links.board({ selection: `owner:${quoted(owner)}` })}
            title={owner}
          >
            <bdi>{owner}</bdi>
          </Link>
        ))}
        {Object.entries(asset.tags).map(([key, value]) => (
          <Link
            key={key}
            className="chip"
            to={links.board({ selection: `tag:${quoted(key)}=${quoted(value)}` })}
            title={`${key}=${value}`}
          >
            <bdi>
              {key}
              {value ? `=${value}` : ""}
            </bdi>
          </Link>
        ))}
      </div>
      {asset.description ? <p className="asset-description">{asset.description}</p> : null}
    </header>
  );
}

/** The newest attempt that went wrong, if the last one at some partition did. */
function Failed({ asset }: { asset: AssetOne }): JSX.Element | null {
  const failed = asset.refused[0];
  const parameters = { name: asset.name, state: failed?.state, partition: failed?.partition, limit: 1 };
  const attempt = useQuery({
    queryKey: ["materializations", parameters],
    queryFn: ({ signal }) => get<History>("/api/assets/history", parameters, signal),
    enabled: failed !== undefined,
  });
  if (!failed) return null;
  const run = attempt.data?.attempts[0]?.run;
  const others = asset.refused.length - 1;
  return (
    <section className="failed" role="note" aria-label="The last attempt failed">
      <State state="failed" label={failed.state} />
      <div className="failed-text">
        <p>
          <strong>
            The last attempt{failed.partition ? ` at ${failed.partition}` : ""} {failed.state}
          </strong>{" "}
          <span className="dim">
            <Time at={failed.at} />
            {failed.kept ? ", what was there before is still in place" : ""}
            {others > 0 ? ` · and ${others} more` : ""}
          </span>
        </p>
        {failed.message ? <pre>{failed.message}</pre> : null}
      </div>
      {run ? (
        <Link className="button" to={links.run(run)}>
          Run and log
        </Link>
      ) : null}
    </section>
  );
}
