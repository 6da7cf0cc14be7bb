import { describe, expect, it } from "vitest";
import { asked, both, isSelection, wantedOf } from "@/pages/board/filter";

describe("the filter of the board", () => {
  it("knows selections from parts of names", () => {
    const selections = [
      "+delays",
      "delays+2",
      "2+delays",
      "tag:tier=gold",
      "stale()",
      "a or b",
      "not x",
      "(a)",
      "raw_*",
    ];
    for (const one of selections) expect(isSelection(one), one).toBe(true);
    for (const one of ["delays", "shop.orders", "band", "orders and_more", "nothing", "a/b-c"])
      expect(isSelection(one), one).toBe(false);
  });

  it("joins selections so that each keeps its meaning", () => {
    expect(both("", "*")).toBe("");
    expect(both("a or b")).toBe("a or b");
    expect(both("a or b", "", 'owner:"team:ops"')).toBe('(a or b) and (owner:"team:ops")');
  });

  it("stands in the address", () => {
    const wanted = wantedOf(
      new URLSearchParams("q=del&verdict=late&verdict=bogus&failed=true&as_of=2014-01-01"),
    );
    expect(asked(wanted, "kind:parquet")).toEqual({
      selection: "(failed()) and (kind:parquet)",
      q: "del",
      verdict: ["late"],
      stale: null,
      as_of: "2014-01-01",
    });
  });
});
