import { beforeEach, describe, expect, it, vi } from "vitest";
import { grouped, recent, remember } from "@/pages/search/results";

const found = {
  assets: [{ name: "late.delays", kind: "parquet" }],
  columns: [{ id: '"late.delays".day', asset: "late.delays", column: "day" }],
  runs: [{ id: "0198a2", flow: "nightly", state: "Failed", started: "2026-01-05T06:10:00Z" }],
};

describe("what the search shows", () => {
  beforeEach(() => {
    const kept = new Map<string, string>();
    vi.stubGlobal("localStorage", {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => kept.set(key, value),
    });
  });

  it("comes in groups that lead somewhere; empty ones are left out", () => {
    const groups = grouped(found, "la");
    expect(groups.map((one) => one.title)).toEqual(["Assets", "Columns", "Runs"]);
    expect(groups.flatMap((one) => one.results.map((result) => result.to))).toEqual([
      "/asset?name=late.delays",
      "/lineage?root=%22late.delays%22.day&columns=true",
      "/runs/0198a2",
    ]);
    expect(grouped(undefined, "lin").map((one) => one.title)).toEqual(["Pages"]);
  });

  it("remembers the last five that were opened, each once", () => {
    expect(recent()).toEqual([]);
    const [asset] = grouped(found, "la").flatMap((one) => one.results);
    if (!asset) throw new Error("nothing was found");
    for (const name of ["a", "b", "c", "d", "e", "f", "b"]) remember({ ...asset, key: name, title: name });
    expect(recent()[0]?.results.map((one) => one.title)).toEqual(["b", "f", "e", "d", "c"]);
    localStorage.setItem("headwater-recent", "no JSON");
    expect(recent()).toEqual([]);
  });
});
