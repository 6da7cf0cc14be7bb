/** The three clocks of an asset against now: how far each is behind, and how far the policy lets the judged one be. */

import type { JSX } from "react";
import { Shape, toneOf } from "@/kit/State";
import { Time, useNow } from "@/kit/Time";
import { span } from "@/lib/text";
import type { AssetOne } from "@/lib/types";
import { scaleOf } from "@/pages/asset/scale";
import type { Detail } from "@/pages/asset/types";

const CLOCKS = [
  ["data_through", "Data through", "how far the data reaches"],
  ["complete_through", "Complete through", "up to here no partition is missing"],
  ["last_materialized", "Last materialized", "when it was made last"],
  ["last_run", "Last run", "when something last tried to make it"],
] as const;

export function Clocks({
  asset,
  detail,
  asOf,
}: {
  asset: AssetOne;
  detail: Detail | undefined;
  asOf: string;
}): JSX.Element {
  const present = useNow();
  const now = asOf ? new Date(asOf).getTime() : present;
  const ages = CLOCKS.map(([clock]) => {
    const at = asset[clock];
    return at === null ? null : now - new Date(at).getTime();
  });
  const limit = detail?.max_lag ?? null;
  const scale = scaleOf([...ages.filter((age) => age !== null), limit === null ? 0 : limit * 1000]);
  const tone = toneOf(asset.freshness.verdict);
  return (
    <div className="clocks">
      {CLOCKS.map(([clock, name, meaning], index) => {
        const age = ages[index] ?? null;
        const judged = asset.freshness.clock === clock && asset.freshness.verdict !== "none";
        return (
          <div
            key={clock}
            className="clock"
            data-tone={judged ? tone : "none"}
            data-judged={judged || undefined}
          >
            <span className="clock-name" title={meaning}>
              {name}
              {clock === "data_through" && asset.basis ? <span className="dim"> · {asset.basis}</span> : null}
            </span>
            <span className="clock-track" aria-hidden="true">
              {judged && limit !== null ? (
                <span
                  className="clock-allowed"
                  data-tone="fresh"
                  style={{ left: `${scale.place(limit * 1000)}%` }}
                />
              ) : null}
              {age === null ? null : (
                <>
                  <span className="clock-lag" style={{ left: `${scale.place(age)}%` }} />
                  <span className="clock-dot" style={{ left: `${scale.place(age)}%` }}>
                    <Shape tone={judged ? tone : "none"} />
                  </span>
                </>
              )}
            </span>
            <span className="clock-value num">
              {age === null ? (
                <span className="dim">not known</span>
              ) : asOf ? (
                <span title={asset[clock] ?? undefined}>
                  {age <= 0 ? "later" : `${span(age / 1000)} before`}
                </span>
              ) : (
                <Time at={asset[clock]} />
              )}
            </span>
          </div>
        );
      })}
      <div className="clock clock-axis" aria-hidden="true">
        <span />
        <span className="clock-track">
          {scale.ticks.map((tick) => (
            <span key={tick.label} style={{ left: `${tick.place}%` }}>
              {tick.label}
            </span>
          ))}
          <span style={{ left: "100%" }}>{asOf ? "then" : "now"}</span>
        </span>
        <span />
      </div>
      <p className="clocks-policy">
        {detail === undefined ? (
          <span className="dim">…</span>
        ) : detail.policy ? (
          <>
            {limit === null ? null : <span className="clock-key" data-tone="fresh" aria-hidden="true" />}
            Policy: {detail.policy}
            {detail.warn === null ? null : `, a warning after ${span(detail.warn)}`}
            <NextChange asset={asset} />
          </>
        ) : (
          <span className="dim">
            No freshness policy: nothing says how old it may be. <code>freshness=Freshness("26h")</code>{" "}
            would.
          </span>
        )}
      </p>
    </div>
  );
}

function NextChange({ asset }: { asset: AssetOne }): JSX.Element | null {
  const { next_change: at, verdict } = asset.freshness;
  if (at === null) return null;
  return (
    <span className="dim">
      {" "}
      · {verdict === "fresh" ? "fresh" : "so"} until <Time at={at} date /> if nothing new comes
    </span>
  );
}
