import { expect, test } from "vitest";
import { box, corners, look, months, ordered, step, written } from "@/pages/partitions/cells";
import type { Cell } from "@/pages/partitions/types";

function day(label: string): Cell {
  return { label, first: label, last: label, states: { made: 1 } };
}

test("the worst state of a cell is what it looks like", () => {
  expect(look({ made: 23, failed: 1 })).toEqual({
    state: "failed",
    share: 23 / 24,
    text: "1 failed, 23 up to date",
  });
  expect(look({ missing: 1 })).toEqual({ state: "missing", share: 0, text: "missing" });
  expect(look({})).toEqual({ state: "missing", share: 0, text: "no partitions" });
});

test("days stand in their months, under their weekdays", () => {
  const [january, march] = months([day("2024-01-01"), day("2024-01-31"), day("2024-03-03")]);
  expect(january?.name).toBe("Jan");
  expect(january?.weeks).toHaveLength(5);
  expect(january?.weeks[0]?.[0]).toBe(0); // 2024 began on a Monday
  expect(january?.weeks[4]?.[2]).toBe(1);
  expect(march?.weeks[0]?.[6]).toBe(2); // a Sunday
  expect(march?.weeks[0]?.[0]).toBeNull();
});

test("what is chosen is written as the server reads it", () => {
  expect(written("2013-01-01", "2013-01-07")).toBe("2013-01-01..2013-01-07");
  expect(written("eu", "eu")).toBe("eu");
  expect(
    box([
      ["region", "eu|us"],
      ["date", "2013-01-01..2013-01-07"],
    ]),
  ).toBe("region=eu|us,date=2013-01-01..2013-01-07");
  expect(ordered(5, 2)).toEqual([2, 5]);
});

test("a stretch of a table is the block between its corners", () => {
  expect(corners({ anchor: 3, focus: 11 }, 10)).toEqual({ rows: [0, 1], columns: [1, 3] });
  expect(corners({ anchor: 11, focus: 3 }, 10)).toEqual({ rows: [0, 1], columns: [1, 3] });
});

test("arrows lead to neighbours and to the same day of other weeks", () => {
  expect([step("ArrowLeft", 7), step("ArrowDown", 7), step("a", 7)]).toEqual([-1, 7, null]);
});
