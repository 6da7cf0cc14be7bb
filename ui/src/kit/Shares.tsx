/** How a whole is divided, as a bar: what it says stands in its label, too. */

import type { JSX } from "react";
import type { Tone } from "@/kit/State";
import { count } from "@/lib/text";

export type Share = readonly [label: string, value: number, tone: Tone];

/** `<Shares of={[["made", 364, "fresh"], ["missing", 1, "none"]]} />`; what is there at all is at least two pixels wide. */
export function Shares({ of }: { of: readonly Share[] }): JSX.Element {
  const there = of.filter(([, value]) => value > 0);
  const text = there.map(([label, value]) => `${count(value)} ${label}`).join(", ") || "none";
  return (
    <span className="shares" role="img" aria-label={text} title={text}>
      {there.map(([label, value, tone]) => (
        <span key={label} data-tone={tone} style={{ flexGrow: value }} />
      ))}
    </span>
  );
}
