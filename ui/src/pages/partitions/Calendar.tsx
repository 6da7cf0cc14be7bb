/** A year of days as twelve months; hours and the ticks of a cron expression are counted together by day. */

import { type JSX, useMemo } from "react";
import { CellButton } from "@/pages/partitions/CellButton";
import { months } from "@/pages/partitions/cells";
import type { Cell } from "@/pages/partitions/types";
import { type Range, useRange } from "@/pages/partitions/useRange";

interface Props {
  label: string;
  cells: readonly Cell[];
  range: Range | null;
  choose: (range: Range | null) => void;
}

const WEEKDAYS = ["M", "T", "W", "T", "F", "S", "S"];

export function Calendar({ label, cells, range, choose }: Props): JSX.Element {
  const drawn = useMemo(() => months(cells), [cells]);
  const { holder, chosen, handlers } = useRange({ range, count: cells.length, downward: 7, choose });
  const reachable = range?.focus ?? cells.length - 1;
  return (
    <div className="months" role="group" aria-label={label} ref={holder} {...handlers}>
      {drawn.map((month) => (
        <div key={month.key} className="month" role="group" aria-label={month.key}>
          <h2>{month.name}</h2>
          <div className="month-days">
            {WEEKDAYS.map((day, place) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: the days of a week are always the same
              <span key={place} className="weekday" aria-hidden="true">
                {day}
              </span>
            ))}
            {month.weeks.flatMap((week, row) =>
              week.map((place, day) => {
                const cell = place === null ? undefined : cells[place];
                // biome-ignore lint/suspicious/noArrayIndexKey: a place in a month is what it is
                if (place === null || !cell) return <span key={`${row}-${day}`} className="no-cell" />;
                return (
                  <CellButton
                    key={cell.label}
                    place={place}
                    label={cell.label}
                    text={String(Number(cell.label.slice(8)))}
                    states={cell.states}
                    isChosen={chosen !== null && chosen[0] <= place && place <= chosen[1]}
                    isReachable={place === reachable}
                  />
                );
              }),
            )}
          </div>
        </div>
      ))}
    </div>
  );
}
