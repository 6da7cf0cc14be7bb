/** One asset, or a group of them, as a card in the graph. */

import { type JSX, memo } from "react";
import { Shape, type Tone } from "@/kit/State";
import { count, counted, span } from "@/lib/text";
import type { GraphNode } from "@/pages/lineage/types";

const PAD = 12;
const LETTER = 7.3;
const SMALL = 6.65;
const HEAD = 46;
const ROW = 18;

export interface CardHandlers {
  pick: (node: GraphNode) => void;
  open: (node: GraphNode) => void;
  pickColumn: (node: GraphNode, column: string) => void;
  further: (node: GraphNode, direction: "up" | "down") => void;
}

interface Props extends CardHandlers {
  node: GraphNode;
  root: boolean;
  picked: boolean;
  dimmed: boolean;
  late: boolean;
  /** Whether the Tab key stops here. */
  stop: boolean;
  /** Columns that are lit, as ids separated by line breaks: a text, so that a card is drawn again only when it changes. */
  lit: string;
  column: string | null;
}

/** As much of a text as there is room for. */
function cut(text: string, width: number, letter = LETTER): string {
  const letters = Math.max(4, Math.floor(width / letter));
  return text.length <= letters ? text : `${text.slice(0, letters - 1)}…`;
}

/** What stands below the name: `late 2 d 3 h · parquet`. */
export function noteOf(node: GraphNode): string {
  if (node.type === "group") {
    const worst = (["late", "unknown", "warn"] as const)
      .filter((one) => (node.verdicts?.[one] ?? 0) > 0)
      .slice(0, 2)
      .map((one) => `${count(node.verdicts?.[one] ?? 0)} ${one}`);
    return [counted(node.assets ?? 0, "asset"), ...worst].join(" · ");
  }
  const verdict = node.verdict === "none" ? "no policy" : node.verdict;
  return [node.lag === null ? verdict : `${verdict} ${span(node.lag)}`, node.kind ?? "not defined"].join(
    " · ",
  );
}

/** What the tooltip and a screen reader say of a card. */
export function aboutOf(node: GraphNode): string {
  const more = [
    node.stale ? "stale" : "",
    node.more_up ? `${count(node.more_up)} more inputs` : "",
    node.more_down ? `${count(node.more_down)} more readers` : "",
  ];
  return [node.name, noteOf(node), ...more].filter(Boolean).join(", ");
}

export const Card = memo(function Card(props: Props): JSX.Element {
  const { node, root, picked, dimmed, late, stop } = props;
  const style = [
    "node",
    root && "is-root",
    picked && "is-picked",
    dimmed && "is-dimmed",
    late && "is-witness",
  ];
  return (
    <g className={style.filter(Boolean).join(" ")} transform={`translate(${node.x} ${node.y})`}>
      {node.type === "group" ? (
        <rect className="node-behind" x="5" y="5" width={node.width} height={node.height} rx="7" />
      ) : null}
      <g
        role="button"
        tabIndex={stop ? 0 : -1}
        data-node={node.id}
        aria-pressed={picked}
        onClick={() => props.pick(node)}
        onDoubleClick={() => props.open(node)}
      >
        <title>{aboutOf(node)}</title>
        <rect className="node-box" width={node.width} height={node.height} rx="7" />
        <text className="node-name" x={PAD} y="19">
          {cut(node.name, node.width - 2 * PAD)}
        </text>
        <g className="node-state" data-tone={node.verdict}>
          <svg x={PAD} y="28" width="10" height="10" aria-hidden="true">
            <Shape tone={node.verdict as Tone} />
          </svg>
          <text x={PAD + 15} y="37">
            {cut(noteOf(node), node.width - 2 * PAD - 15 - (node.stale ? 44 : 0), SMALL)}
          </text>
        </g>
        {node.stale ? (
          <text className="node-stale" x={node.width - PAD} y="37">
            stale
          </text>
        ) : null}
      </g>
      <Columns {...props} />
      <More {...props} direction="up" hidden={node.more_up} x={-12} />
      <More {...props} direction="down" hidden={node.more_down} x={node.width + 12} />
    </g>
  );
});

function Columns({ node, lit, column, pickColumn }: Props): JSX.Element | null {
  if (node.columns.length === 0) return null;
  const shown = new Set(lit.split("\n"));
  return (
    <g className={lit || column ? "node-columns has-lit" : "node-columns"}>
      <path className="node-rule" d={`M0 ${HEAD - 2}H${node.width}`} />
      {node.columns.map((one, row) => (
        // biome-ignore lint/a11y/noStaticElementInteractions: the side panel lists the same columns as buttons
        <g
          key={one.id}
          className={["column", shown.has(one.id) && "is-lit", one.id === column && "is-column"]
            .filter(Boolean)
            .join(" ")}
          transform={`translate(0 ${HEAD + row * ROW})`}
          data-column={one.id}
          onClick={() => pickColumn(node, one.id)}
        >
          <title>
            {[one.id, one.type, one.unknown && `unknown: ${one.unknown}`].filter(Boolean).join("\n")}
          </title>
          <rect x="1" y="-1" width={node.width - 2} height={ROW} />
          <text x={PAD} y="12">
            {cut(one.name, node.width - 2 * PAD - (one.unknown ? 18 : 0))}
          </text>
          {one.unknown ? (
            <text className="column-unknown" x={node.width - PAD} y="12">
              ?
            </text>
          ) : null}
        </g>
      ))}
      {node.other_columns.length > 0 ? (
        <text className="column-more" x={PAD} y={HEAD + node.columns.length * ROW + 12}>
          {`… ${count(node.other_columns.length)} more`}
        </text>
      ) : null}
    </g>
  );
}

interface MoreProps extends Props {
  direction: "up" | "down";
  hidden: number;
  x: number;
}

function More({ node, direction, hidden, x, further }: MoreProps): JSX.Element | null {
  if (hidden === 0) return null;
  const what = direction === "up" ? "inputs" : "readers";
  const text = `+${hidden > 999 ? "999" : hidden}`;
  const width = text.length * 7 + 12;
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the side panel has the same as a button
    <g
      className="node-more"
      transform={`translate(${direction === "up" ? x - width : x} 5)`}
      data-further={direction}
      onClick={() => further(node, direction)}
    >
      <title>{`Show ${count(hidden)} more ${what} of ${node.name}`}</title>
      <rect width={width} height="18" rx="9" />
      <text x={width / 2} y="13">
        {text}
      </text>
    </g>
  );
}
