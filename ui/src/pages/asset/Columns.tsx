/** The columns of an asset, and what each of them is made of. */

import { type JSX, useState } from "react";
import { Link } from "react-router";
import { links } from "@/app/links";
import { count } from "@/lib/text";
import type { ColumnRow, ColumnSource, Detail } from "@/pages/asset/types";

const MANY = 40;
const HOW: Record<string, string> = {
  IDENTITY: "as it is",
  TRANSFORMATION: "computed",
  AGGREGATION: "aggregated",
  JOIN: "joined on",
  FILTER: "filtered by",
  GROUP_BY: "grouped by",
  SORT: "sorted by",
  WINDOW: "windowed by",
  CONDITIONAL: "chosen by",
};

/** `asset.column` as an id: either part in quotes where it holds a dot or a quote. */
function idOf(asset: string, column: string): string {
  const part = (text: string) => (/[."]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return `${part(asset)}.${part(column)}`;
}

/** A text that is indented as a whole, without that. */
function trimmed(text: string): string {
  const lines = text.replaceAll("\t", "  ").split("\n");
  const indents = lines
    .slice(1)
    .filter((line) => line.trim())
    .map((line) => line.search(/\S/));
  const least = Math.min(...indents, text.length);
  return lines
    .map((line, number) => (number === 0 ? line.trimStart() : line.slice(least)))
    .join("\n")
    .trim();
}

export function Columns({ detail }: { detail: Detail }): JSX.Element | null {
  const [all, setAll] = useState(false);
  const { columns } = detail;
  if (columns.length === 0) return null;
  const shown = all ? columns : columns.slice(0, MANY);
  const reason = columns[0]?.unknown ?? null;
  const same = columns.every((one) => one.sources.length === 0 && one.unknown === reason) ? reason : null;
  return (
    <section className="card" aria-labelledby="columns">
      <header>
        <h2 id="columns">Columns</h2>
        <span className="dim">{count(columns.length)}</span>
      </header>
      <table className="table columns">
        <thead>
          <tr>
            <th>Name</th>
            <th>Type</th>
            <th>Made of</th>
          </tr>
        </thead>
        <tbody>
          {shown.map((column) => (
            <Column key={column.name} asset={detail.name} column={column} isTold={same !== null} />
          ))}
        </tbody>
      </table>
      {shown.length < columns.length ? (
        <button type="button" className="panel-more" onClick={() => setAll(true)}>
          Show all {count(columns.length)}
        </button>
      ) : null}
      {same === null ? null : (
        <p className="columns-rows dim">
          What they are made of can't be told: <bdi>{same}</bdi>
        </p>
      )}
      {detail.query ? (
        <details className="columns-rows column-query">
          <summary className="dim">The query that made what is there</summary>
          <pre>{trimmed(detail.query)}</pre>
        </details>
      ) : null}
      {detail.all_rows.length > 0 ? (
        <p className="columns-rows">
          <span className="dim">Which rows there are depends on</span> <Sources sources={detail.all_rows} />
        </p>
      ) : null}
    </section>
  );
}

function Column({
  asset,
  column,
  isTold,
}: {
  asset: string;
  column: ColumnRow;
  isTold: boolean;
}): JSX.Element {
  return (
    <tr>
      <td className="column-name">
        <Link className="name mono" to={links.lineage(idOf(asset, column.name), true)} title={column.name}>
          <bdi>{column.name}</bdi>
        </Link>{" "}
        {column.tags.map((tag) => (
          <span key={tag} className="chip" title={tag}>
            <bdi>{tag}</bdi>
          </span>
        ))}
      </td>
      <td className="mono dim column-type" title={column.type ?? undefined}>
        <bdi>{column.type}</bdi>
      </td>
      <td className="column-sources">
        {column.expression ? (
          <code className="column-expression" title={column.expression}>
            <bdi>{column.expression}</bdi>
          </code>
        ) : null}
        {column.sources.length > 0 ? (
          <Sources sources={column.sources} />
        ) : column.unknown && !isTold ? (
          <span className="dim" title={column.unknown}>
            can't be told: {column.unknown}
          </span>
        ) : (
          <span className="dim">–</span>
        )}
      </td>
    </tr>
  );
}

/** Sources by how they are used: `aggregated flights.dep_delay, weather.precip`. */
function Sources({ sources }: { sources: readonly ColumnSource[] }): JSX.Element {
  const ways = new Map<string, ColumnSource[]>();
  for (const one of sources) {
    const way = HOW[one.subtype ?? ""] ?? one.subtype?.toLowerCase() ?? "";
    ways.set(way, [...(ways.get(way) ?? []), one]);
  }
  return (
    <>
      {[...ways].map(([way, found]) => (
        <span key={way} className="sources">
          <span className="dim">{way}</span>
          {found.map((one) => (
            <Link key={one.id} className="name mono" to={links.lineage(one.id, true)} title={one.id}>
              <bdi>{one.id}</bdi>
            </Link>
          ))}
        </span>
      ))}
    </>
  );
}
