/** The lines of the graph: between cards, and with columns also between these. */

import { type JSX, memo } from "react";
import type { Graph, GraphEdge } from "@/pages/lineage/types";
import { manner } from "@/pages/lineage/walk";

interface Props {
  graph: Graph;
  lit: ReadonlySet<string> | null;
  witness: readonly string[];
  picked: string | null;
}

export const Edges = memo(function Edges({ graph, lit, witness, picked }: Props): JSX.Element {
  // Nothing is left out while a column is traced but what has no part in it; else the faint lines of filters are.
  const shown = graph.edges.filter((edge) => edge.type !== "INDIRECT" || (lit && isLit(edge, lit)));
  const path = new Set(witness.slice(1).map((id, place) => `${id}\n${witness[place]}`));
  return (
    // biome-ignore lint/a11y/noAriaHiddenOnFocusable: lines take no focus; the table says what they join
    <g aria-hidden="true">
      <defs>
        {["plain", "lit", "late"].map((kind) => (
          <marker
            key={kind}
            id={`tip-${kind}`}
            className={`tip-${kind}`}
            viewBox="0 0 8 8"
            refX="7"
            refY="4"
            markerWidth="8"
            markerHeight="8"
            markerUnits="userSpaceOnUse"
            orient="auto"
          >
            <path d="M0 0L8 4L0 8z" />
          </marker>
        ))}
      </defs>
      {shown.map((edge) => {
        const late = !edge.type && path.has(`${edge.source}\n${edge.target}`);
        const bright = lit
          ? isLit(edge, lit)
          : picked !== null && (edge.source === picked || edge.target === picked);
        const dimmed = (lit !== null || witness.length > 1) && !bright && !late;
        const style = late ? "is-late" : bright ? "is-lit" : dimmed ? "is-dimmed" : "";
        return (
          <path
            key={`${edge.from_id}\n${edge.to_id}\n${edge.type}\n${edge.subtype}`}
            className={`edge ${edge.type ? edge.type.toLowerCase() : edge.origin} ${style}`}
            d={edge.path}
            markerEnd={
              edge.type && !bright ? undefined : `url(#tip-${late ? "late" : bright ? "lit" : "plain"})`
            }
          >
            <title>{about(edge)}</title>
          </path>
        );
      })}
    </g>
  );
});

function isLit(edge: GraphEdge, lit: ReadonlySet<string>): boolean {
  return edge.type !== null && lit.has(edge.from_id) && lit.has(edge.to_id);
}

function about(edge: GraphEdge): string {
  const ends = `${name(edge.from_id)} → ${name(edge.to_id)}`;
  if (edge.type) return `${ends}: ${manner(edge)}`;
  return edge.origin === "grouped" ? `${ends}: ${edge.count} edges` : `${ends}: ${edge.origin}`;
}

function name(id: string): string {
  return id.replace(/^(asset|group):/, "");
}
