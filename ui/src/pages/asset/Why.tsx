/** Why an asset stands as it does: the path to what holds it back, and the reasons behind the verdict. */

import { useQuery } from "@tanstack/react-query";
import type { JSX } from "react";
import { Answer } from "@/kit/Answer";
import { Witness } from "@/kit/AssetLink";
import { get } from "@/lib/api";
import type { AssetOne, Reason } from "@/lib/types";

interface Explanation {
  subject: string;
  verdict: string;
  reason: Reason;
}

export function Why({ asset, asOf }: { asset: AssetOne; asOf: string }): JSX.Element {
  const parameters = { subject: asset.name, as_of: asOf };
  const found = useQuery({
    queryKey: ["explain", parameters],
    queryFn: ({ signal }) => get<Explanation>("/api/explain", parameters, signal),
  });
  const { witness } = asset.freshness;
  return (
    <div className="why">
      {witness.length > 1 ? (
        <nav className="why-path" aria-label="The path to what holds it back">
          <Witness path={witness} />
        </nav>
      ) : null}
      <Answer of={found} rows={3}>
        {({ reason }) => <Reasons reasons={reason.because} />}
      </Answer>
    </div>
  );
}

/** What only says how it is wired stands elsewhere on the page. */
const ELSEWHERE = new Set(["mapping"]);
const TONES: Record<string, string> = {
  late: "late",
  warn: "warn",
  unknown: "unknown",
  fresh: "fresh",
  failed: "late",
  check: "late",
};

function Reasons({ reasons }: { reasons: readonly Reason[] }): JSX.Element {
  return (
    <ul className="reasons">
      {reasons
        .filter((one) => !ELSEWHERE.has(one.kind))
        .map((one) => (
          <li key={`${one.kind} ${one.text}`} data-tone={TONES[one.kind]}>
            <span className="reason">
              <bdi>{one.text}</bdi>
            </span>
            {one.because.length > 0 ? <Reasons reasons={one.because} /> : null}
          </li>
        ))}
    </ul>
  );
}
