import { expect, test } from "vitest";
import { isBehind, untilNext } from "@/pages/board/behind";

const now = { as_of: "2026-01-05T06:10:30.000000Z", judged_as_of: "2026-01-05T06:10:30.000000Z" };
const before = { ...now, judged_as_of: "2026-01-05T06:10:00.000000Z" };

test("what was judged a while ago is behind, and asked for again soon", () => {
  expect([isBehind(now, ""), isBehind(before, "")]).toEqual([false, true]);
  expect([untilNext(undefined, ""), untilNext(now, ""), untilNext(before, "")]).toEqual([
    60_000, 60_000, 10_000,
  ]);
});
