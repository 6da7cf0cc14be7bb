/** Walks over the graph that is shown: neighbours of a card, the trace of a column, the path of a witness. Pure. */

import type { Graph, GraphEdge, GraphNode } from "@/pages/lineage/types";

export type Direction = "left" | "right" | "up" | "down";

/** The card that an arrow key leads to: along an edge to the left and right, within the layer up and down. */
export function beside(graph: Graph, id: string, direction: Direction): string | null {
  const here = graph.nodes.find((node) => node.id === id);
  if (!here) return null;
  if (direction === "up" || direction === "down") {
    const layer = graph.nodes.filter((node) => Math.abs(node.x - here.x) < 1);
    const ahead = layer.filter((node) => (direction === "up" ? node.y < here.y : node.y > here.y));
    return nearest(ahead, here);
  }
  const ids = new Set(
    graph.edges
      .filter((edge) => !edge.type && (direction === "left" ? edge.target : edge.source) === id)
      .map((edge) => (direction === "left" ? edge.source : edge.target)),
  );
  return nearest(
    graph.nodes.filter((node) => ids.has(node.id)),
    here,
  );
}

function nearest(nodes: readonly GraphNode[], to: GraphNode): string | null {
  let found: GraphNode | null = null;
  for (const node of nodes) if (!found || Math.abs(node.y - to.y) < Math.abs(found.y - to.y)) found = node;
  return found?.id ?? null;
}

/** All that a column (or a card, as the end of an indirect edge) is made of and is part of, itself included. */
export function trace(edges: readonly GraphEdge[], start: string): Set<string> {
  const found = new Set([start]);
  for (const forth of [true, false]) {
    const ahead = new Map<string, string[]>();
    for (const edge of edges) {
      if (!edge.type) continue;
      const [here, there] = forth ? [edge.from_id, edge.to_id] : [edge.to_id, edge.from_id];
      ahead.set(here, [...(ahead.get(here) ?? []), there]);
    }
    const border = [start];
    const seen = new Set(border);
    for (let id = border.pop(); id !== undefined; id = border.pop())
      for (const one of ahead.get(id) ?? [])
        if (!seen.has(one)) {
          seen.add(one);
          found.add(one);
          border.push(one);
        }
  }
  return found;
}

/** The cards of a witness's path, of which some may not be shown: steps are asset or asset@partition. */
export function witnessed(graph: Graph, path: readonly string[]): string[] {
  const names = new Map(
    graph.nodes.filter((node) => node.type === "asset").map((node) => [node.name, node.id]),
  );
  const found: string[] = [];
  for (const step of path) {
    const at = step.lastIndexOf("@");
    const id = names.get(step) ?? (at > 0 ? names.get(step.slice(0, at)) : undefined);
    if (id !== undefined && found.at(-1) !== id) found.push(id);
  }
  return found;
}

const SUBTYPES: Record<string, string> = {
  IDENTITY: "copied as it is",
  TRANSFORMATION: "computed from it",
  AGGREGATION: "aggregated from it",
  JOIN: "joined on it",
  FILTER: "filtered by it",
  GROUP_BY: "grouped by it",
  SORT: "sorted by it",
  WINDOW: "windowed by it",
  CONDITIONAL: "chosen by it",
};

/** `DIRECT, AGGREGATION` → `aggregated from it`: how the target of an edge is made of its source. */
export function manner(edge: GraphEdge): string {
  const kind = edge.subtype ?? "";
  return SUBTYPES[kind] ?? kind.toLowerCase().replaceAll("_", " ");
}
