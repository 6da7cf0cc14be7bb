/** The same graph as a table: for screen readers, for small screens, and to be read line by line. */

import type { JSX } from "react";
import { State } from "@/kit/State";
import { count, counted, span } from "@/lib/text";
import type { Graph, GraphNode } from "@/pages/lineage/types";

interface Props {
  graph: Graph;
  picked: string | null;
  pick: (node: GraphNode) => void;
}

export function Table({ graph, picked, pick }: Props): JSX.Element {
  const nodes = new Map(graph.nodes.map((node) => [node.id, node]));
  const beside = (id: string, up: boolean) =>
    graph.edges
      .filter((edge) => !edge.type && (up ? edge.target : edge.source) === id)
      .map((edge) => nodes.get(up ? edge.source : edge.target))
      .filter((node) => node !== undefined);
  const rows = [...graph.nodes].sort((a, b) => a.x - b.x || a.y - b.y);
  return (
    <div className="table-scroll lineage-table">
      <table className="table">
        <caption className="visually-hidden">The graph, in the order of the data</caption>
        <thead>
          <tr>
            <th scope="col">Asset</th>
            <th scope="col">State</th>
            <th scope="col">Made of</th>
            <th scope="col">Read by</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((node) => (
            <tr key={node.id} aria-selected={node.id === picked}>
              <th scope="row">
                <button type="button" className="link" title={node.name} onClick={() => pick(node)}>
                  <bdi>{node.name}</bdi>
                </button>
                <span className="dim">
                  {node.type === "group" ? counted(node.assets ?? 0, "asset") : node.kind}
                </span>
              </th>
              <td>
                <State
                  state={node.verdict}
                  label={node.verdict === "none" ? "no policy" : node.verdict}
                  plain
                />
                {node.lag === null ? null : <span className="dim"> {span(node.lag)}</span>}
                {node.stale ? <State state="stale" plain /> : null}
              </td>
              <td>{names(beside(node.id, true), node.more_up)}</td>
              <td>{names(beside(node.id, false), node.more_down)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function names(nodes: readonly GraphNode[], hidden: number): JSX.Element {
  const shown = nodes.slice(0, 8);
  const more = hidden + nodes.length - shown.length;
  return (
    <span className="lineage-names">
      {shown.map((node) => (
        <bdi key={node.id} title={node.name}>
          {node.name}
        </bdi>
      ))}
      {more > 0 ? <span className="dim">{count(more)} more</span> : null}
    </span>
  );
}
