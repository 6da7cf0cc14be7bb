/** What is drawn: around what, how far, with columns or not, how grouped; and what one does with the picture. */

import { useQuery } from "@tanstack/react-query";
import { type FormEvent, type JSX, useEffect, useId, useState } from "react";
import { Segments } from "@/kit/Segments";
import type { Change } from "@/kit/usePage";
import { address, get } from "@/lib/api";
import { useSettled } from "@/lib/settled";
import { counted } from "@/lib/text";
import type { AssetPage } from "@/lib/types";
import { type Asked, MOST_STEPS, parametersOf } from "@/pages/lineage/asked";
import type { Graph } from "@/pages/lineage/types";

interface Props {
  asked: Asked;
  graph: Graph | undefined;
  change: (change: Change) => void;
}

const GROUPINGS = [
  ["", "Automatic"],
  ["none", "One by one"],
  ["group", "Group"],
  ["owner", "Owner"],
  ["kind", "Kind"],
  ["folder", "Folder"],
] as const;

export function Toolbar({ asked, graph, change }: Props): JSX.Element {
  const grouping = useId();
  return (
    <div className="lineage-bar">
      <Root root={asked.root} change={change} />
      {asked.root === null ? (
        <label className="lineage-label" htmlFor={grouping}>
          Cards
          <select
            id={grouping}
            className="field"
            value={asked.collapse}
            onChange={(event) => change({ collapse: event.target.value, opened: null, pick: null, at: null })}
          >
            {GROUPINGS.map(([value, text]) => (
              <option key={value} value={value}>
                {text}
              </option>
            ))}
          </select>
        </label>
      ) : (
        <>
          <Stepper label="Up" value={asked.up} set={(steps) => change({ up: String(steps) })} />
          <Stepper label="Down" value={asked.down} set={(steps) => change({ down: String(steps) })} />
        </>
      )}
      {(asked.root === null ? asked.opened : []).map((name) => (
        <button
          key={name}
          type="button"
          className="button quiet"
          aria-label={`Close the group ${name}`}
          onClick={() => change({ opened: asked.opened.filter((one) => one !== name), pick: null, at: null })}
        >
          <span aria-hidden="true">× </span>
          {name}
        </button>
      ))}
      <label className="lineage-label">
        <input
          type="checkbox"
          checked={asked.columns || graph?.column != null}
          disabled={graph?.column != null}
          onChange={(event) => change({ columns: event.target.checked ? "1" : null, trace: null })}
        />
        Columns
      </label>
      <span className="lineage-count dim" role="status">
        {graph ? shown(graph) : ""}
      </span>
      <Segments
        label="Show as"
        value={asked.view}
        options={[
          ["graph", "Graph"],
          ["table", "Table"],
        ]}
        choose={(view) => change({ view })}
      />
      <a className="button" href={address("/api/graph.svg", parametersOf(asked))} download="lineage.svg">
        SVG
      </a>
      <CopyLink />
    </div>
  );
}

function shown(graph: Graph): string {
  const cards = graph.nodes.length;
  if (graph.collapse !== "none") return `${counted(cards, "card")} of ${counted(graph.total, "asset")}`;
  return `${graph.truncated ? "the first " : ""}${counted(cards, "asset")}`;
}

/** Around what: an asset or a column, with the names that begin so. */
function Root({ root, change }: { root: string | null; change: Props["change"] }): JSX.Element {
  const list = useId();
  const [text, setText] = useState(root ?? "");
  useEffect(() => setText(root ?? ""), [root]);
  const wanted = useSettled(text, 200);
  const { data } = useQuery({
    queryKey: ["assets", "names", wanted],
    queryFn: ({ signal }) => get<AssetPage>("/api/assets", { q: wanted.slice(0, 200), limit: 8 }, signal),
    enabled: wanted !== "" && wanted !== root,
  });
  const go = (to: string) =>
    change({
      root: to || null,
      pick: null,
      trace: null,
      further: null,
      witness: null,
      at: null,
      selection: null,
    });
  return (
    <form
      className="lineage-root"
      role="search"
      onSubmit={(event: FormEvent) => {
        event.preventDefault();
        go(text.trim());
      }}
    >
      <input
        className="field"
        type="search"
        aria-label="Around an asset or a column"
        placeholder="Around an asset, or asset.column…"
        list={list}
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          // A name that was chosen from the list is meant.
          if (data?.assets.some((one) => one.name === event.target.value) && !("data" in event.nativeEvent))
            go(event.target.value);
        }}
      />
      <datalist id={list}>
        {data?.assets.map((one) => (
          <option key={one.name} value={one.name} />
        ))}
      </datalist>
      {root === null ? null : (
        <button type="button" className="button quiet" onClick={() => go("")}>
          All assets
        </button>
      )}
    </form>
  );
}

function Stepper({
  label,
  value,
  set,
}: {
  label: string;
  value: number;
  set: (steps: number) => void;
}): JSX.Element {
  return (
    <fieldset className="stepper">
      <legend className="visually-hidden">{`Steps ${label.toLowerCase()}`}</legend>
      <span aria-hidden="true">{label}</span>
      <button
        type="button"
        aria-label={`One step less ${label.toLowerCase()}`}
        disabled={value <= 0}
        onClick={() => set(value - 1)}
      >
        −
      </button>
      <output aria-label={`Steps ${label.toLowerCase()}`}>{value}</output>
      <button
        type="button"
        aria-label={`One step more ${label.toLowerCase()}`}
        disabled={value >= MOST_STEPS}
        onClick={() => set(value + 1)}
      >
        +
      </button>
    </fieldset>
  );
}

function CopyLink(): JSX.Element {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = window.setTimeout(() => setCopied(false), 2000);
    return () => window.clearTimeout(timer);
  }, [copied]);
  return (
    <button
      type="button"
      className="button"
      onClick={() => void navigator.clipboard?.writeText(window.location.href).then(() => setCopied(true))}
    >
      {copied ? "Copied" : "Copy link"}
    </button>
  );
}
