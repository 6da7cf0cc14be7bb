/** Figures of attempts one after the other, the newest on the right: a bar each, with the state as its colour and pattern. */

import { type JSX, useState } from "react";
import { toneOf } from "@/kit/State";
import type { Attempt } from "@/pages/asset/types";

interface Props {
  title: string;
  /** The newest first. */
  attempts: readonly Attempt[];
  value: (attempt: Attempt) => number | null;
  shown: (value: number) => string;
}

const HEIGHT = 64;
const LEAST = 24;

export function Chart({ title, attempts, value, shown }: Props): JSX.Element {
  const [pointed, setPointed] = useState<number | null>(null);
  const bars = [...attempts].reverse();
  const values = bars.map(value);
  const greatest = Math.max(0, ...values.filter((one) => one !== null));
  const at = pointed === null ? undefined : bars[pointed];
  const last = values.filter((one) => one !== null).at(-1) ?? null;
  const tell = at ? value(at) : last;
  const slots = Math.max(LEAST, bars.length);
  return (
    <figure className="chart">
      <figcaption>
        <span className="dim">{title}</span>
        <strong className="num">{tell === null ? "–" : shown(tell)}</strong>
        <span className="dim chart-of ellipsis">
          <bdi>{at ? (at.partition ?? at.state) : "the newest"}</bdi>
        </span>
        <span className="dim chart-most num">most {shown(greatest)}</span>
      </figcaption>
      <svg
        viewBox={`0 0 ${slots * 10} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${title} of the last ${bars.length}: at most ${shown(greatest)}. The table below has each.`}
        onPointerLeave={() => setPointed(null)}
      >
        <line x1="0" x2={slots * 10} y1={HEIGHT - 0.5} y2={HEIGHT - 0.5} className="chart-ground" />
        {bars.map((attempt, index) => {
          const found = values[index] ?? null;
          const high =
            found === null || greatest === 0 ? 0 : Math.max(1.5, (found / greatest) * (HEIGHT - 4));
          const x = (slots - bars.length + index) * 10;
          return (
            <g key={attempt.id} data-tone={toneOf(attempt.state)} onPointerEnter={() => setPointed(index)}>
              <rect
                x={x}
                y={0}
                width={10}
                height={HEIGHT}
                className="chart-place"
                data-pointed={pointed === index || undefined}
              />
              <rect
                x={x + 1}
                y={HEIGHT - (found === null ? 6 : high)}
                width={8}
                height={found === null ? 6 : high}
                className={found === null ? "chart-none" : "chart-bar"}
              />
            </g>
          );
        })}
      </svg>
    </figure>
  );
}
