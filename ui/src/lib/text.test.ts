import { describe, expect, it } from "vitest";
import { assetOf, bytes, counted, distance, quoted, span } from "@/lib/text";

describe("numbers and spans", () => {
  it("have at most two units", () => {
    expect([0.012, 4.25, 90, 3_600, 200_000, 406_713_992].map(span)).toEqual([
      "12 ms",
      "4.3 s",
      "1 min 30 s",
      "1 h",
      "2 d 7 h",
      "12 y 327 d",
    ]);
    expect([-7_200_000, 1_000, 300_000].map(distance)).toEqual(["2 h ago", "now", "in 5 min"]);
    expect([0, 1, 1_260].map((one) => counted(one, "asset"))).toEqual([
      "0 assets",
      "1 asset",
      "1,260 assets",
    ]);
    expect([12, 1_536, 5e9].map(bytes)).toEqual(["12 B", "1.5 kB", "5.0 GB"]);
  });
});

describe("names", () => {
  it("are found in a step of a witness, and stand in quotes in a selection", () => {
    expect(["flights@2013-01-05", "flights", "a@b@2013", "@x"].map(assetOf)).toEqual([
      "flights",
      "flights",
      "a@b",
      "@x",
    ]);
    expect(quoted('a "b" \\c')).toBe('"a \\"b\\" \\\\c"');
  });
});
