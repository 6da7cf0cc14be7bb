/** Partitions one after the other: weeks, months, the hours of a day, the keys of a list. */

import type { JSX } from "react";
import { CellButton } from "@/pages/partitions/CellButton";
import type { Cell } from "@/pages/partitions/types";
import { type Range, useRange } from "@/pages/partitions/useRange";

interface Props {
  label: string;
  cells: readonly Cell[];
  range: Range | null;
  choose: (range: Range | null) => void;
  /** What of a label is said once for several cells: its year, its day. */
  group?: (label: string) => string;
  short: (label: string) => string;
  wide?: boolean;
}

export function Strip({ label, cells, range, choose, group, short, wide }: Props): JSX.Element {
  const { holder, chosen, handlers } = useRange({ range, count: cells.length, downward: 10, choose });
  const reachable = range?.focus ?? cells.length - 1;
  const groups = new Map<string, { cell: Cell; place: number }[]>();
  cells.forEach((cell, place) => {
    const name = group?.(cell.label) ?? "";
    groups.set(name, [...(groups.get(name) ?? []), { cell, place }]);
  });
  return (
    <div className="strips" role="group" aria-label={label} ref={holder} {...handlers}>
      {[...groups].map(([name, members]) => (
        <div key={name} className="strip">
          {name ? <h2>{name}</h2> : null}
          <div className={wide ? "strip-cells wide" : "strip-cells"}>
            {members.map(({ cell, place }) => (
              <CellButton
                key={cell.label}
                place={place}
                label={cell.label}
                text={short(cell.label)}
                states={cell.states}
                isChosen={chosen !== null && chosen[0] <= place && place <= chosen[1]}
                isReachable={place === reachable}
                {...(wide ? { wide } : {})}
              />
            ))}
          </div>
        </div>
      ))}
    </div>
  );
}
