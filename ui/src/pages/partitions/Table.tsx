/** A product of dimensions: the keys of one as rows, the days (or the keys) of another one as columns. */

import { type JSX, useMemo } from "react";
import { CellButton } from "@/pages/partitions/CellButton";
import { corners } from "@/pages/partitions/cells";
import type { Grid } from "@/pages/partitions/types";
import { type Range, useRange } from "@/pages/partitions/useRange";

interface Props {
  grid: Grid;
  range: Range | null;
  choose: (range: Range | null) => void;
}

export function Table({ grid, range, choose }: Props): JSX.Element {
  const columns = grid.columns ?? [];
  const rows = grid.rows ?? [];
  const width = Math.max(columns.length, 1);
  const count = rows.length * width;
  const { holder, chosen, handlers } = useRange({ range, count, downward: width, choose });
  // A stretch of places is meant as the box between its ends: the ends are kept apart from their order.
  const ends = useMemo(
    () => (chosen ? corners({ anchor: chosen[0], focus: chosen[1] }, width) : null),
    [chosen, width],
  );
  const within = (row: number, column: number) =>
    ends !== null &&
    ends.rows[0] <= row &&
    row <= ends.rows[1] &&
    ends.columns[0] <= column &&
    column <= ends.columns[1];
  return (
    <div className="table-scroll" ref={holder} {...handlers}>
      <table className="product">
        <thead>
          <tr>
            <th scope="col">{grid.across}</th>
            {columns.map((column) => (
              <th key={column.label} scope="col" title={column.label}>
                {shortOf(column.label)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, line) => (
            <tr key={row.key}>
              <th scope="row" title={row.key}>
                <bdi>{row.key}</bdi>
              </th>
              {row.cells.map((states, column) => (
                <td key={columns[column]?.label}>
                  {Object.keys(states).length > 0 ? (
                    <CellButton
                      place={line * width + column}
                      label={`${row.key}, ${columns[column]?.label}`}
                      states={states}
                      isChosen={within(line, column)}
                      isReachable={line * width + column === (range?.focus ?? 0)}
                    />
                  ) : null}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** `2013-01-05` → `5`, `2013-01` → `01`; other keys stay. */
function shortOf(label: string): string {
  const day = /^\d{4}-\d\d-(\d\d)$/.exec(label);
  return day ? String(Number(day[1])) : label;
}
