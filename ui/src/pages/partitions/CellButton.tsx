/** A cell of a picture: its colour and pattern say the worst state in it, its fill how much of it is there. */

import { type CSSProperties, type JSX, memo } from "react";
import { look } from "@/pages/partitions/cells";
import type { StateCounts } from "@/pages/partitions/types";

interface Props {
  place: number;
  label: string;
  /** What stands in it: the day of the month, a short key; nothing at all. */
  text?: string;
  states: StateCounts;
  isChosen: boolean;
  isReachable: boolean;
  wide?: boolean;
}

export const CellButton = memo(function CellButton(props: Props): JSX.Element {
  const { place, label, text, states, isChosen, isReachable, wide } = props;
  const { state, share, text: words } = look(states);
  const name = `${label || "the whole"}: ${words}`;
  return (
    <button
      type="button"
      className={wide ? "cell wide" : "cell"}
      data-cell={place}
      data-state={state}
      aria-pressed={isChosen}
      aria-label={name}
      title={name}
      tabIndex={isReachable ? 0 : -1}
      style={
        share > 0 && share < 1 ? ({ "--share": `${Math.round(share * 100)}%` } as CSSProperties) : undefined
      }
      data-part={share > 0 && share < 1 ? "" : undefined}
    >
      <span data-text={text} aria-hidden="true" />
    </button>
  );
});
