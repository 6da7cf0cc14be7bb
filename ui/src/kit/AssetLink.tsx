/** An asset by its name, wherever it is mentioned; long names are cut, the whole one stands in the title. */

import type { JSX } from "react";
import { Link } from "react-router";
import { links } from "@/app/links";
import { assetOf } from "@/lib/text";

export function AssetLink({ name }: { name: string }): JSX.Element {
  return (
    <Link className="name" to={links.asset(name)} title={name}>
      <bdi>{name}</bdi>
    </Link>
  );
}

/** The path to what holds an asset back, each step a link: `delays ← flights ← faa_feed`; steps are asset or asset@partition. */
export function Witness({ path, from = 0 }: { path: readonly string[]; from?: number }): JSX.Element {
  return (
    <span className="witness">
      {path.slice(from).map((step, place) => (
        <span key={step}>
          {place > 0 ? <span className="dim"> ← </span> : null}
          <Link className="name" to={links.asset(assetOf(step))} title={step}>
            <bdi>{step}</bdi>
          </Link>
        </span>
      ))}
    </span>
  );
}
