/** The lineage graph: what is made of what, how fresh it is, and where a column comes from. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { type JSX, useCallback, useMemo, useSyncExternalStore } from "react";
import { useNavigate } from "react-router";
import { links } from "@/app/links";
import { Empty, Failure, Loading } from "@/kit/Notice";
import { useParameters, useTitle } from "@/kit/usePage";
import { get } from "@/lib/api";
import type { AssetOne } from "@/lib/types";
import { asked as askedFor, MOST_STEPS, parametersOf } from "@/pages/lineage/asked";
import { Canvas } from "@/pages/lineage/Canvas";
import { Panel } from "@/pages/lineage/Panel";
import { Table } from "@/pages/lineage/Table";
import { Toolbar } from "@/pages/lineage/Toolbar";
import type { Graph, GraphNode } from "@/pages/lineage/types";
import { trace as traceOf, witnessed } from "@/pages/lineage/walk";
import "@/pages/lineage/lineage.css";

export default function Lineage(): JSX.Element {
  const [parameters, change] = useParameters();
  const asked = askedFor(parameters, useNarrow());
  const navigate = useNavigate();
  const wanted = parametersOf(asked);
  const found = useQuery({
    queryKey: ["graph", wanted],
    queryFn: ({ signal }) => get<Graph>("/api/graph", wanted, signal),
    placeholderData: keepPreviousData,
    refetchInterval: 60_000,
  });
  const graph = found.data;
  useTitle(asked.root === null ? "Lineage" : `Lineage of ${asked.root}`);

  const column = asked.trace ?? (graph?.column != null ? asked.root : null);
  const owner = graph && column ? ownerOf(graph, column) : undefined;
  const picked = graph?.nodes.find((node) => node.id === asked.pick) ?? owner;
  const path = useWitness(asked.witness ? picked : undefined);
  const witness = useMemo(() => (graph && path ? witnessed(graph, path) : []), [graph, path]);
  const lit = useMemo(() => (graph && column ? traceOf(graph.edges, column) : null), [graph, column]);

  const pick = useCallback(
    (node: GraphNode) => change({ pick: node.id, trace: null, witness: null }),
    [change],
  );
  const openGroup = (name: string) =>
    change({ opened: [...asked.opened, name], collapse: graph?.collapse, pick: null, at: null });
  const open = (node: GraphNode) =>
    node.type === "group" ? openGroup(node.name) : void navigate(links.asset(node.name));
  const further = (node: GraphNode, direction: "up" | "down") => {
    if (asked.root === null) change({ root: node.name, pick: node.id, at: null });
    else if (graph?.column != null)
      change({ [direction]: String(Math.min(MOST_STEPS, asked[direction] + 1)) });
    else change({ further: [...asked.further, `${direction}:${node.name}`] });
  };
  const trace = (node: GraphNode, id: string | null) =>
    change({ pick: node.id, trace: id, columns: "1", witness: null });
  const center = (name: string, columns = false) =>
    change({
      ...{ root: name, further: null, pick: null, trace: null, witness: null, at: null },
      ...(columns ? { columns: "1", up: String(MOST_STEPS), down: String(MOST_STEPS) } : {}),
    });
  const follow = (node: GraphNode, path: readonly string[]) =>
    asked.witness
      ? change({ witness: null })
      : change(
          graph && witnessed(graph, path).length < assetsOn(path)
            ? { ...around(node.name, path.length), pick: node.id, witness: "1" }
            : { pick: node.id, witness: "1", trace: null },
        );
  const close = useCallback(() => change({ pick: null, trace: null, witness: null }), [change]);
  const look = useCallback((at: string) => change({ at }), [change]);
  return (
    <div className="lineage">
      <h1 className="visually-hidden">{asked.root === null ? "Lineage" : `Lineage of ${asked.root}`}</h1>
      <Toolbar asked={asked} graph={graph} change={change} />
      {graph?.truncated ? (
        <p className="lineage-hint" role="note">
          {graph.hint}
        </p>
      ) : null}
      <div className="lineage-body" aria-busy={found.isFetching && found.isPlaceholderData}>
        {found.isError ? <Failure error={found.error} again={() => void found.refetch()} /> : null}
        {!graph && !found.isError ? <Loading /> : null}
        {graph && !found.isError && graph.nodes.length === 0 ? (
          <Empty title="No assets yet">
            <p>Define one, materialize it, and what it is made of is drawn here.</p>
          </Empty>
        ) : null}
        {graph && !found.isError && graph.nodes.length > 0 ? (
          asked.view === "table" ? (
            <Table graph={graph} picked={picked?.id ?? null} pick={pick} />
          ) : (
            <Canvas
              graph={graph}
              picked={picked?.id ?? null}
              column={column}
              lit={lit}
              witness={witness}
              at={asked.at}
              look={look}
              close={close}
              pick={pick}
              open={open}
              pickColumn={trace}
              further={further}
            />
          )
        ) : null}
        {graph && picked ? (
          <Panel
            key={picked.id + (column ?? "")}
            graph={graph}
            node={picked}
            column={column && owner === picked ? column : null}
            witness={asked.witness}
            close={close}
            center={center}
            trace={trace}
            further={further}
            follow={follow}
            openGroup={openGroup}
          />
        ) : null}
      </div>
    </div>
  );
}

function ownerOf(graph: Graph, column: string): GraphNode | undefined {
  return graph.nodes.find(
    (node) => node.columns.some((one) => one.id === column) || node.other_columns.includes(column),
  );
}

function around(root: string, steps: number): Record<string, string | null> {
  return { root, up: String(Math.min(MOST_STEPS, steps)), further: null, trace: null, at: null };
}

function assetsOn(path: readonly string[]): number {
  return new Set(path.map((step) => step.replace(/@[^@]*$/, ""))).size;
}

/** The path to what makes an asset late, once it is known. */
function useWitness(node: GraphNode | undefined): readonly string[] | undefined {
  const { data } = useQuery({
    queryKey: ["asset", node?.name],
    queryFn: ({ signal }) => get<AssetOne>("/api/assets/one", { name: node?.name }, signal),
    enabled: node?.type === "asset",
  });
  return node ? data?.freshness.witness : undefined;
}

const NARROW = "(max-width: 760px)";

function useNarrow(): boolean {
  return useSyncExternalStore(
    (heard) => {
      const query = window.matchMedia(NARROW);
      query.addEventListener("change", heard);
      return () => query.removeEventListener("change", heard);
    },
    () => window.matchMedia(NARROW).matches,
  );
}
