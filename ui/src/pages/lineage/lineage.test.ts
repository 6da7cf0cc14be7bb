// @vitest-environment node
import { describe, expect, it } from "vitest";
import type { Graph, GraphEdge, GraphNode } from "@/pages/lineage/types";
import { fitted, read, sees, written, zoomed } from "@/pages/lineage/view";
import { beside, manner, trace, witnessed } from "@/pages/lineage/walk";

const node = (name: string, x: number, y: number): GraphNode =>
  ({ id: `asset:${name}`, type: "asset", name, x, y, width: 100, height: 40 }) as GraphNode;
const edge = (from: string, to: string, type: "DIRECT" | null = null): GraphEdge =>
  ({
    source: `asset:${from}`,
    target: `asset:${to}`,
    from_id: type ? from : `asset:${from}`,
    to_id: type ? to : `asset:${to}`,
    type,
    subtype: type && "GROUP_BY",
  }) as GraphEdge;
const graph = {
  nodes: [node("a", 0, 0), node("b", 200, 0), node("c", 200, 100), node("d@x", 400, 90)],
  edges: [edge("a", "b"), edge("a", "c"), edge("c", "d@x")],
} as Graph;

describe("walks", () => {
  it("goes along edges to the sides and within a layer up and down", () => {
    expect(beside(graph, "asset:a", "right")).toBe("asset:b");
    expect(beside(graph, "asset:b", "down")).toBe("asset:c");
    expect(beside(graph, "asset:d@x", "left")).toBe("asset:c");
    expect(beside(graph, "asset:a", "left")).toBeNull();
    expect(beside(graph, "asset:nothing", "up")).toBeNull();
  });
  it("traces a column both ways, but not to its siblings, and ends in a cycle", () => {
    const edges = [
      edge("x", "m", "DIRECT"),
      edge("m", "z", "DIRECT"),
      edge("x", "s", "DIRECT"),
      edge("z", "m", "DIRECT"),
    ];
    expect([...trace(edges, "m")].sort()).toEqual(["m", "x", "z"]);
  });
  it("finds the cards of a witness, whose names may hold an @", () => {
    expect(witnessed(graph, ["d@x@2024-01-01", "c@2024-01-01", "c@2024-01-02", "gone@p", "a"])).toEqual([
      "asset:d@x",
      "asset:c",
      "asset:a",
    ]);
  });
  it("says how a column is made", () => {
    expect(manner(edge("a", "b", "DIRECT"))).toBe("grouped by it");
    expect(manner({ subtype: "SOME_NEW" } as GraphEdge)).toBe("some new");
  });
});

describe("views", () => {
  const screen = { width: 800, height: 600 };
  it("keeps the point under the pointer in its place", () => {
    const before = { x: 10, y: 20, scale: 1 };
    const after = zoomed(before, 2, 110, 220);
    expect([(110 - after.x) / after.scale, (220 - after.y) / after.scale]).toEqual([100, 200]);
    expect(zoomed(before, 1000, 0, 0).scale).toBe(2.5);
  });
  it("fits a picture and never magnifies it", () => {
    expect(fitted({ width: 100, height: 100 }, screen).scale).toBe(1);
    expect(fitted({ width: 8000, height: 100 }, screen).scale).toBeCloseTo(0.092);
  });
  it("is written into the address and read from it", () => {
    expect(read(written({ x: 1.4, y: -2, scale: 0.5 }))).toEqual({ x: 1, y: -2, scale: 0.5 });
    for (const text of [null, "", "a,b,c", "1,2", "1,2,99"]) expect(read(text)).toBeNull();
  });
  it("knows what is seen", () => {
    expect(sees({ x: 0, y: 0, scale: 1 }, screen, node("a", 700, 0))).toBe(true);
    expect(sees({ x: 0, y: 0, scale: 1 }, screen, node("a", 2000, 0))).toBe(false);
  });
});
