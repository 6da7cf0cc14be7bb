import { describe, expect, it } from "vitest";
import { scaleOf } from "@/pages/asset/scale";

const HOUR = 3_600_000;

describe("the axis of the clocks", () => {
  it("has now on the right, and what is longer ago further left", () => {
    const { place } = scaleOf([26 * HOUR]);
    expect(place(0)).toBe(100);
    expect(place(-HOUR)).toBe(100);
    const places = [0, HOUR, 5 * HOUR, 26 * HOUR].map(place);
    expect([...places].sort((a, b) => b - a)).toEqual(places);
    expect(place(1e15)).toBe(0);
  });

  it("has ticks that don't touch, however far it reaches", () => {
    for (const age of [0, HOUR, 1e9, 4e11, Number.NaN]) {
      const { ticks } = scaleOf([age]);
      expect(ticks.length).toBeGreaterThan(0);
      ticks.slice(1).forEach((tick, index) => {
        expect((ticks[index]?.place ?? 0) - tick.place).toBeGreaterThanOrEqual(9);
      });
    }
  });
});
