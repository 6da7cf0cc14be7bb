import { expect, test } from "vitest";
import { labelsOf } from "@/pages/partitions/choice";
import type { Grid } from "@/pages/partitions/types";

test("no two places of a table are called alike, whatever their keys hold", () => {
  const cells = [{ missing: 1 }, { missing: 1 }];
  const grid: Grid = {
    asset: "sales",
    kind: "product",
    description: "",
    total: 4,
    states: { missing: 4 },
    cells: [],
    years: [],
    year: null,
    next: null,
    columns: ["z", "y z"].map((key) => ({ label: key, first: key, last: key })),
    rows: ["x", "x y"].map((key) => ({ key, text: key, cells })),
  };
  expect(new Set(labelsOf(grid)).size).toBe(4);
});
