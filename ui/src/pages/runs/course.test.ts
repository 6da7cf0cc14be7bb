import { expect, test } from "vitest";
import {
  moved,
  placed,
  readWindow,
  segments,
  ticks,
  wholeOf,
  writeWindow,
  zoomed,
} from "@/pages/runs/course";

const whole = { from: 1_000, to: 11_000 };

test("a bar is placed within what is looked at", () => {
  expect(placed(2_000, 3_000, whole)).toEqual({ left: 10, width: 10 });
  expect(placed(0, 2_000, whole)).toEqual({ left: 0, width: 10 });
  expect(placed(12_000, 13_000, whole)).toBeNull();
});

test("a task run that was tried three times has its tries, and the waits between them", () => {
  const at = (ms: number) => new Date(ms).toISOString();
  const parts = segments(
    {
      started: at(0),
      ended: at(500),
      state: "Completed",
      steps: [
        { at: at(100), state: "AwaitingRetry", tries: 1 },
        { at: at(200), state: "Running", tries: 2 },
      ],
    },
    9_999,
  );
  expect(parts).toEqual([
    { state: "Failed", from: 0, to: 100 },
    { state: "AwaitingRetry", from: 100, to: 200 },
    { state: "Completed", from: 200, to: 500 },
  ]);
});

test("what still runs reaches to the present", () => {
  const [part] = segments(
    { started: new Date(0).toISOString(), ended: null, state: "Running", steps: [] },
    700,
  );
  expect(part).toEqual({ state: "Running", from: 0, to: 700 });
  expect(wholeOf(null, null, 5)).toEqual({ from: 5, to: 6 });
});

test("looking closer and moving never leave the whole", () => {
  expect(zoomed(whole, 0.5, 6_000, whole)).toEqual({ from: 3_500, to: 8_500 });
  expect(zoomed(whole, 3, 6_000, whole)).toEqual(whole);
  expect(moved({ from: 9_000, to: 11_000 }, 0.5, whole)).toEqual({ from: 9_000, to: 11_000 });
});

test("a window stands in the address", () => {
  const window = { from: 2_000, to: 3_000 };
  expect(readWindow(writeWindow(window, 1_000), 1_000)).toEqual(window);
  for (const text of [null, "", "5-3", "a-b", "1-2-3"]) expect(readWindow(text, 0)).toBeNull();
});

test("ticks are round and few", () => {
  expect(ticks(whole, 1_000)).toEqual([1_000, 3_000, 5_000, 7_000, 9_000, 11_000]);
});
