/** The graph as a picture that can be moved and zoomed: by pointer, by touch, by keyboard. */

import {
  type JSX,
  type KeyboardEvent,
  type PointerEvent,
  useCallback,
  useEffect,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from "react";
import { Card, type CardHandlers } from "@/pages/lineage/Card";
import { Edges } from "@/pages/lineage/Edges";
import { Minimap } from "@/pages/lineage/Minimap";
import type { Graph, GraphNode } from "@/pages/lineage/types";
import {
  centred,
  first,
  fitted,
  read,
  type Size,
  sees,
  type View,
  written,
  zoomed,
} from "@/pages/lineage/view";
import { beside, type Direction } from "@/pages/lineage/walk";

interface Props extends CardHandlers {
  graph: Graph;
  picked: string | null;
  column: string | null;
  lit: ReadonlySet<string> | null;
  witness: readonly string[];
  at: string | null;
  /** Keep where one looks. */
  look: (at: string) => void;
  close: () => void;
}

const ARROWS: Record<string, Direction> = {
  ArrowLeft: "left",
  ArrowRight: "right",
  ArrowUp: "up",
  ArrowDown: "down",
};
const MANY = 60;

export function Canvas(props: Props): JSX.Element {
  const { graph, picked, column, lit, witness } = props;
  const box = useRef<HTMLDivElement>(null);
  const [screen, setScreen] = useState<Size | null>(null);
  const [view, setView] = useState<View | null>(() => read(props.at));
  const nodes = useMemo(() => new Map(graph.nodes.map((node) => [node.id, node])), [graph]);
  const root = graph.root === null ? undefined : nodes.get(`asset:${graph.root}`);
  const begin = (picked ? nodes.get(picked) : undefined) ?? root;
  const [stop, setStop] = useState<string | null>(null);
  const stopAt = [stop, picked, root?.id].find((one) => one && nodes.has(one)) ?? graph.nodes[0]?.id ?? null;

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const measure = () => setScreen({ width: element.clientWidth, height: element.clientHeight });
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  // Another picture is looked at from the beginning; where the root was, it stays.
  const shape = `${graph.root}\n${graph.nodes.length}\n${graph.width}\n${graph.height}`;
  const before = useRef<{ shape: string; root: GraphNode | undefined } | null>(null);
  useLayoutEffect(() => {
    if (!screen) return;
    const last = before.current;
    before.current = { shape, root };
    if (last === null) setView((now) => now ?? first(graph, screen, begin));
    else if (last.shape !== shape) {
      const stays = last.root && root && last.root.id === root.id ? last.root : null;
      setView((now) =>
        now && stays && root
          ? { ...now, x: now.x + (stays.x - root.x) * now.scale, y: now.y + (stays.y - root.y) * now.scale }
          : first(graph, screen, begin),
      );
    }
  }, [graph, screen, shape, root, begin]);

  const { look } = props;
  useEffect(() => {
    if (!view) return;
    const timer = window.setTimeout(() => look(written(view)), 400);
    return () => window.clearTimeout(timer);
  }, [view, look]);

  useWheel(box, setView);
  const drag = useDrag(setView);

  const focus = useCallback(
    (id: string) => {
      const node = nodes.get(id);
      if (!node || !screen) return;
      setStop(id);
      setView((now) => (now && !sees(now, screen, node, -20) ? centred(now, node, screen) : now));
      requestAnimationFrame(() => find(box.current, id)?.focus({ preventScroll: true }));
    },
    [nodes, screen],
  );

  const middle = screen ? ([screen.width / 2, screen.height / 2] as const) : ([0, 0] as const);
  const zoom = (factor: number) => setView((now) => now && zoomed(now, factor, ...middle));
  const showAll = () => screen && setView(fitted(graph, screen));

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const id = (event.target as Element).getAttribute("data-node");
    const node = id === null ? undefined : nodes.get(id);
    const arrow = ARROWS[event.key];
    if (arrow && node && event.shiftKey && (arrow === "left" || arrow === "right"))
      props.further(node, arrow === "left" ? "up" : "down");
    else if (arrow && node) focus(beside(graph, node.id, arrow) ?? node.id);
    else if (arrow) setView((now) => now && moved(now, arrow));
    else if (event.key === "+" || event.key === "=") zoom(1.25);
    else if (event.key === "-") zoom(0.8);
    else if (event.key === "0") showAll();
    else if (event.key === "Enter" && node) props.open(node);
    else if (event.key === " " && node) props.pick(node);
    else if (event.key === "Escape") props.close();
    else return;
    event.preventDefault();
  };

  const seen =
    view && screen && graph.nodes.length > MANY
      ? graph.nodes.filter((node) => sees(view, screen, node) || node.id === stopAt)
      : graph.nodes;
  const path = new Set(witness);
  const dims = lit !== null || witness.length > 1;
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: a canvas answers to the keys of the cards in it
    <div className="canvas" ref={box} onKeyDown={onKeyDown} {...drag}>
      {view && screen ? (
        <svg
          className={view.scale < 0.35 ? "graph is-far" : "graph"}
          role="group"
          aria-label="Lineage graph: arrows move along edges, Enter opens, Space selects, plus and minus zoom, 0 fits"
        >
          <g transform={`translate(${view.x} ${view.y}) scale(${view.scale})`}>
            <Edges graph={graph} lit={lit} witness={witness} picked={picked} />
            {seen.map((node) => {
              const columns = lit ? node.columns.filter((one) => lit.has(one.id)).map((one) => one.id) : [];
              return (
                <Card
                  key={node.id}
                  node={node}
                  root={node.id === root?.id}
                  picked={node.id === picked}
                  stop={node.id === stopAt}
                  late={witness.length > 1 && path.has(node.id)}
                  dimmed={dims && !(lit ? columns.length > 0 || lit.has(node.id) : path.has(node.id))}
                  lit={columns.join("\n")}
                  column={column}
                  pick={props.pick}
                  open={props.open}
                  pickColumn={props.pickColumn}
                  further={props.further}
                />
              );
            })}
          </g>
        </svg>
      ) : null}
      <div className="canvas-zoom">
        <button
          type="button"
          className="button"
          aria-label="Zoom in"
          title="Zoom in (+)"
          onClick={() => zoom(1.25)}
        >
          +
        </button>
        <button
          type="button"
          className="button"
          aria-label="Zoom out"
          title="Zoom out (−)"
          onClick={() => zoom(0.8)}
        >
          −
        </button>
        <button type="button" className="button" title="Show everything (0)" onClick={showAll}>
          Fit
        </button>
        {graph.edges.some((edge) => edge.origin === "declared") ? (
          <span className="canvas-key">
            <svg width="26" height="6" aria-hidden="true">
              <path className="edge declared" d="M0 3H26" />
            </svg>
            declared, not yet seen in a run
          </span>
        ) : null}
      </div>
      {view && screen && graph.nodes.length > 24 ? (
        <Minimap graph={graph} view={view} screen={screen} move={setView} />
      ) : null}
    </div>
  );
}

function find(box: HTMLElement | null, id: string): SVGGElement | null {
  return box?.querySelector<SVGGElement>(`[data-node="${CSS.escape(id)}"]`) ?? null;
}

const BY: Record<Direction, readonly [number, number]> = {
  left: [60, 0],
  right: [-60, 0],
  up: [0, 60],
  down: [0, -60],
};

function moved(view: View, direction: Direction): View {
  const [x, y] = BY[direction];
  return { ...view, x: view.x + x, y: view.y + y };
}

type SetView = (change: (now: View | null) => View | null) => void;

/** The wheel zooms, or moves while Shift is held and on a trackpad's two fingers; the page must not scroll then. */
function useWheel(box: { current: HTMLDivElement | null }, setView: SetView): void {
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const wheel = (event: WheelEvent) => {
      event.preventDefault();
      const { left, top } = element.getBoundingClientRect();
      const slides = event.shiftKey || (!event.ctrlKey && event.deltaX !== 0);
      setView((now) => {
        if (!now) return now;
        if (slides) {
          const [x, y] = event.deltaX === 0 ? [event.deltaY, 0] : [event.deltaX, event.deltaY];
          return { ...now, x: now.x - x, y: now.y - y };
        }
        const step = Math.max(-60, Math.min(60, event.deltaY * (event.deltaMode === 1 ? 16 : 1)));
        return zoomed(
          now,
          Math.exp(-step * (event.ctrlKey ? 0.01 : 0.004)),
          event.clientX - left,
          event.clientY - top,
        );
      });
    };
    element.addEventListener("wheel", wheel, { passive: false });
    return () => element.removeEventListener("wheel", wheel);
  }, [box, setView]);
}

interface Drag {
  onPointerDown: (event: PointerEvent<HTMLDivElement>) => void;
  onPointerMove: (event: PointerEvent<HTMLDivElement>) => void;
  onPointerUp: (event: PointerEvent<HTMLDivElement>) => void;
  onPointerCancel: (event: PointerEvent<HTMLDivElement>) => void;
  onClickCapture: (event: { stopPropagation: () => void }) => void;
}

/** One pointer moves the picture, two zoom it. A click that ends a movement is none. */
function useDrag(setView: SetView): Drag {
  const held = useRef(new Map<number, { x: number; y: number }>());
  const far = useRef(0);
  const up = (event: PointerEvent<HTMLDivElement>) => {
    held.current.delete(event.pointerId);
  };
  return {
    onPointerDown: (event) => {
      if (event.button !== 0 || (event.target as Element).closest("button, .minimap")) return;
      if (held.current.size === 0) far.current = 0;
      held.current.set(event.pointerId, { x: event.clientX, y: event.clientY });
    },
    onPointerMove: (event) => {
      const last = held.current.get(event.pointerId);
      if (!last) return;
      const { left, top } = event.currentTarget.getBoundingClientRect();
      const here = { x: event.clientX, y: event.clientY };
      far.current += Math.abs(here.x - last.x) + Math.abs(here.y - last.y);
      // Held only once it is a movement: a click must reach the card that it is on.
      if (far.current > 4 && !event.currentTarget.hasPointerCapture(event.pointerId))
        event.currentTarget.setPointerCapture(event.pointerId);
      const other = [...held.current].find(([id]) => id !== event.pointerId)?.[1];
      held.current.set(event.pointerId, here);
      setView((now) => {
        if (!now) return now;
        if (!other) return { ...now, x: now.x + here.x - last.x, y: now.y + here.y - last.y };
        const spread = Math.hypot(here.x - other.x, here.y - other.y);
        const was = Math.max(Math.hypot(last.x - other.x, last.y - other.y), 1);
        return zoomed(now, spread / was, (here.x + other.x) / 2 - left, (here.y + other.y) / 2 - top);
      });
    },
    onPointerUp: up,
    onPointerCancel: up,
    onClickCapture: (event) => {
      if (far.current > 4) event.stopPropagation();
      far.current = 0;
    },
  };
}
