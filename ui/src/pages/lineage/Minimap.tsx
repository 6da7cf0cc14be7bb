/** All of a large graph, small, with a frame around what is seen: drag it to look elsewhere. */

import { type JSX, type PointerEvent, useRef } from "react";
import type { Graph } from "@/pages/lineage/types";
import type { Size, View } from "@/pages/lineage/view";

interface Props {
  graph: Graph;
  view: View;
  screen: Size;
  move: (view: View) => void;
}

const WIDE = 180;
const HIGH = 120;

export function Minimap({ graph, view, screen, move }: Props): JSX.Element {
  const held = useRef(false);
  const scale = Math.min(WIDE / Math.max(graph.width, 1), HIGH / Math.max(graph.height, 1));
  const to = (event: PointerEvent<SVGSVGElement>) => {
    const { left, top } = event.currentTarget.getBoundingClientRect();
    const x = (event.clientX - left) / scale;
    const y = (event.clientY - top) / scale;
    move({ ...view, x: screen.width / 2 - x * view.scale, y: screen.height / 2 - y * view.scale });
  };
  return (
    <svg
      className="minimap"
      width={graph.width * scale}
      height={graph.height * scale}
      viewBox={`0 0 ${graph.width} ${graph.height}`}
      aria-hidden="true"
      onPointerDown={(event) => {
        held.current = true;
        event.currentTarget.setPointerCapture(event.pointerId);
        to(event);
      }}
      onPointerMove={(event) => held.current && to(event)}
      onPointerUp={() => {
        held.current = false;
      }}
    >
      {graph.nodes.map((node) => (
        <rect
          key={node.id}
          data-tone={node.verdict}
          className="minimap-node"
          x={node.x}
          y={node.y}
          width={node.width}
          height={node.height}
        />
      ))}
      <rect
        className="minimap-frame"
        vectorEffect="non-scaling-stroke"
        x={-view.x / view.scale}
        y={-view.y / view.scale}
        width={screen.width / view.scale}
        height={screen.height / view.scale}
      />
    </svg>
  );
}
