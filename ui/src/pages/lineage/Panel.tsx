/** What is known of the card, or of the column, that is looked at closer. */

import { useQuery } from "@tanstack/react-query";
import { type JSX, type ReactNode, useState } from "react";
import { Link } from "react-router";
import { links } from "@/app/links";
import { Answer } from "@/kit/Answer";
import { AssetLink } from "@/kit/AssetLink";
import { Icon } from "@/kit/Icon";
import { State } from "@/kit/State";
import { Time } from "@/kit/Time";
import { get } from "@/lib/api";
import { count, span } from "@/lib/text";
import type { AssetOne, Reason } from "@/lib/types";
import type { Detail } from "@/pages/asset/types";
import { noteOf } from "@/pages/lineage/Card";
import { ImpactPart } from "@/pages/lineage/Impact";
import type { Graph, GraphEdge, GraphNode } from "@/pages/lineage/types";
import { manner } from "@/pages/lineage/walk";

interface Props {
  graph: Graph;
  node: GraphNode;
  column: string | null;
  witness: boolean;
  close: () => void;
  center: (name: string, columns?: boolean) => void;
  trace: (node: GraphNode, column: string | null) => void;
  further: (node: GraphNode, direction: "up" | "down") => void;
  follow: (node: GraphNode, path: readonly string[]) => void;
  openGroup: (name: string) => void;
}

export function Panel(props: Props): JSX.Element {
  const { node, column } = props;
  const title = column ?? node.name;
  return (
    <aside className="panel" aria-label={`About ${title}`}>
      <header>
        <h2 title={title}>
          <bdi>{title}</bdi>
        </h2>
        <button
          type="button"
          className="button quiet"
          aria-label="Close"
          title="Close (Esc)"
          onClick={props.close}
        >
          <Icon name="close" />
        </button>
      </header>
      <div className="panel-body">
        {column ? (
          <ColumnPart {...props} column={column} />
        ) : node.type === "group" ? (
          <GroupPart {...props} />
        ) : (
          <AssetPart {...props} />
        )}
      </div>
    </aside>
  );
}

function AssetPart(props: Props): JSX.Element {
  const { node } = props;
  const found = useQuery({
    queryKey: ["asset", node.name],
    queryFn: ({ signal }) => get<AssetOne>("/api/assets/one", { name: node.name }, signal),
  });
  const [impact, showImpact] = useState(false);
  return (
    <>
      {node.kind === null ? (
        <p className="dim">Runs read it, and no definition of this project names it.</p>
      ) : (
        <Answer of={found} rows={4}>
          {(asset) => <About {...props} asset={asset} />}
        </Answer>
      )}
      {node.unknown ? (
        <p className="panel-unknown">Where its columns come from is unknown: {node.unknown}</p>
      ) : null}
      <div className="panel-actions">
        {node.kind === null ? null : (
          <Link className="button primary" to={links.asset(node.name)}>
            Open the asset
          </Link>
        )}
        <button type="button" className="button" onClick={() => props.center(node.name)}>
          Centre the graph here
        </button>
        {node.more_up > 0 ? (
          <button type="button" className="button" onClick={() => props.further(node, "up")}>
            Show {count(node.more_up)} more {node.more_up === 1 ? "input" : "inputs"}
          </button>
        ) : null}
        {node.more_down > 0 ? (
          <button type="button" className="button" onClick={() => props.further(node, "down")}>
            Show {count(node.more_down)} more {node.more_down === 1 ? "reader" : "readers"}
          </button>
        ) : null}
        <button type="button" className="button" aria-expanded={impact} onClick={() => showImpact(!impact)}>
          What is downstream
        </button>
      </div>
      {impact ? <ImpactPart subject={node.name} /> : null}
      <ColumnList {...props} />
    </>
  );
}

function About({ asset, node, witness, follow }: Props & { asset: AssetOne }): JSX.Element {
  const { freshness, stale } = asset;
  const path = freshness.witness;
  return (
    <>
      <p className="panel-states">
        <State
          state={freshness.verdict}
          label={freshness.verdict === "none" ? "no policy" : freshness.verdict}
        />
        {freshness.lag === null ? null : <span className="num">{span(freshness.lag)} behind</span>}
        {stale.is_stale ? <State state="stale" /> : null}
      </p>
      {freshness.reason ? <p>{freshness.reason}</p> : null}
      {path.length > 1 ? (
        <section>
          <h3>What holds it back</h3>
          <ol className="panel-path">
            {path.map((step) => (
              <li key={step} title={step}>
                <bdi>{step}</bdi>
              </li>
            ))}
          </ol>
          <button type="button" className="button" aria-pressed={witness} onClick={() => follow(node, path)}>
            {witness ? "Stop following the witness" : "Follow the witness"}
          </button>
        </section>
      ) : null}
      <Reasons of={stale.reasons} />
      <dl className="panel-facts">
        <Fact name="Data through">
          <Time at={asset.data_through} />
        </Fact>
        <Fact name="Last materialized">
          <Time at={asset.last_materialized} />
        </Fact>
        <Fact name="Stored as">
          {asset.kind} <span className="dim">{asset.location}</span>
        </Fact>
        {asset.group ? <Fact name="Group">{asset.group}</Fact> : null}
        {asset.owners.length > 0 ? <Fact name="Owners">{asset.owners.join(", ")}</Fact> : null}
      </dl>
    </>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Reasons({ of }: { of: readonly Reason[] }): JSX.Element | null {
  if (of.length === 0) return null;
  return (
    <section>
      <h3>Why it is stale</h3>
      <ul className="panel-list">
        {of.slice(0, 6).map((reason) => (
          <li key={reason.text}>{reason.text}</li>
        ))}
      </ul>
    </section>
  );
}

function ColumnList({ node, trace }: Props): JSX.Element | null {
  const names = [...node.columns.map((one) => one.id), ...node.other_columns];
  if (names.length === 0) return null;
  const types = new Map(node.columns.map((one) => [one.id, one.type]));
  return (
    <section>
      <h3>Columns</h3>
      <ul className="panel-columns">
        {names.map((id) => (
          <li key={id}>
            <button type="button" onClick={() => trace(node, id)} title={`Trace ${id}`}>
              <bdi>{shortColumn(node, id)}</bdi>
            </button>
            <span className="dim mono">{types.get(id)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function shortColumn(node: GraphNode, id: string): string {
  return (
    node.columns.find((one) => one.id === id)?.name ??
    (id.startsWith(`${node.name}.`) ? id.slice(node.name.length + 1) : id)
  );
}

function ColumnPart(props: Props & { column: string }): JSX.Element {
  const { graph, node, column, center, trace } = props;
  const about = node.columns.find((one) => one.id === column);
  const [impact, showImpact] = useState(false);
  const into = graph.edges.filter(
    (edge) => edge.type && (edge.to_id === column || (edge.to_id === node.id && edge.type)),
  );
  const from = graph.edges.filter((edge) => edge.type && edge.from_id === column);
  const unknown = about?.unknown ?? node.unknown;
  return (
    <>
      <p className="dim">
        Column {about?.type ? <span className="mono">{about.type}</span> : null} of{" "}
        <AssetLink name={node.name} />
      </p>
      {unknown ? <p className="panel-unknown">Where it comes from is unknown: {unknown}</p> : null}
      {node.kind === null || node.is_source ? null : <Expression asset={node.name} column={about?.name} />}
      <EdgeList
        title="Made of"
        edges={into}
        end="from_id"
        pick={(id) => pickColumn(graph, id, trace)}
        none={
          unknown
            ? null
            : node.is_source
              ? "Nothing here: its asset is a source."
              : "Nothing that is shown here."
        }
      />
      <EdgeList
        title="Part of"
        edges={from}
        end="to_id"
        pick={(id) => pickColumn(graph, id, trace)}
        none="Nothing that is shown here."
      />
      <div className="panel-actions">
        {graph.column === null ? (
          <button type="button" className="button primary" onClick={() => center(column, true)}>
            Trace it as far as it goes
          </button>
        ) : null}
        <button type="button" className="button" aria-expanded={impact} onClick={() => showImpact(!impact)}>
          What breaks without it
        </button>
        <button type="button" className="button" onClick={() => trace(node, null)}>
          Back to {node.name}
        </button>
      </div>
      {impact ? <ImpactPart subject={column} /> : null}
    </>
  );
}

/** What the asset's query says of the column. */
function Expression({ asset, column }: { asset: string; column: string | undefined }): JSX.Element | null {
  const found = useQuery({
    queryKey: ["asset", asset, "detail"],
    queryFn: ({ signal }) => get<Detail>("/api/assets/detail", { name: asset }, signal),
  });
  const text = found.data?.columns.find((one) => one.name === column)?.expression;
  return text ? <pre className="panel-expression">{text}</pre> : null;
}

function pickColumn(graph: Graph, id: string, trace: Props["trace"]): void {
  const owner = graph.nodes.find((one) => one.id === id || one.columns.some((column) => column.id === id));
  const edge = graph.edges.find((one) => one.from_id === id || one.to_id === id);
  const node =
    owner ?? graph.nodes.find((one) => one.id === (edge?.from_id === id ? edge?.source : edge?.target));
  if (node) trace(node, id === node.id ? null : id);
}

interface EdgeListProps {
  title: string;
  edges: readonly GraphEdge[];
  end: "from_id" | "to_id";
  none: string | null;
  pick: (id: string) => void;
}

function EdgeList({ title, edges, end, none, pick }: EdgeListProps): JSX.Element | null {
  const found = new Map<string, { direct: boolean; how: string[] }>();
  for (const edge of edges) {
    const entry = found.get(edge[end]) ?? { direct: false, how: [] };
    const how = manner(edge);
    if (!entry.how.includes(how)) entry.how.push(how);
    entry.direct ||= edge.type === "DIRECT";
    found.set(edge[end], entry);
  }
  if (found.size === 0 && none === null) return null;
  const order = [...found].sort(([, a], [, b]) => Number(b.direct) - Number(a.direct));
  return (
    <section>
      <h3>{title}</h3>
      {order.length === 0 ? <p className="dim">{none}</p> : null}
      <ul className="panel-edges">
        {order.map(([id, { direct, how }]) => (
          <li key={id} data-direct={direct}>
            <button type="button" onClick={() => pick(id)} title={id}>
              <bdi>{id.replace(/^asset:/, "")}</bdi>
            </button>
            <span className="dim">
              {direct ? "" : "indirect: "}
              {how.join(", ")}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function GroupPart({ node, graph, openGroup }: Props): JSX.Element {
  const selection = `${graph.collapse}:"${node.name}"`;
  return (
    <>
      <p className="panel-states">
        <State state={node.verdict} label={node.verdict === "none" ? "no policy" : node.verdict} />{" "}
        {noteOf(node)}
      </p>
      <dl className="panel-facts">
        {Object.entries(node.verdicts ?? {}).map(([verdict, number]) =>
          number > 0 ? (
            <Fact key={verdict} name={verdict === "none" ? "no policy" : verdict}>
              {count(number)}
            </Fact>
          ) : null,
        )}
      </dl>
      <div className="panel-actions">
        <button type="button" className="button primary" onClick={() => openGroup(node.name)}>
          Open the group
        </button>
        {["group", "owner", "kind"].includes(graph.collapse) &&
        !node.name.includes('"') &&
        node.name !== "(others)" ? (
          <Link className="button" to={links.board({ selection })}>
            See them on the board
          </Link>
        ) : null}
      </div>
    </>
  );
}
