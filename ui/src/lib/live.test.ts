import { QueryClient, QueryObserver } from "@tanstack/react-query";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { listen } from "@/lib/live";

class Source extends EventTarget {
  static readonly CLOSED = 2;
  static readonly all: Source[] = [];
  readyState = 1;
  constructor(readonly url: string) {
    super();
    Source.all.push(this);
  }
  hear(type: string, id: string, kind: string, of = "r"): void {
    const data = JSON.stringify({ changes: [{ kind, id: of, event: "run.started" }] });
    this.dispatchEvent(new MessageEvent(type, { data, lastEventId: id }));
  }
  close(): void {}
}

beforeEach(() => {
  Source.all.length = 0;
  vi.useFakeTimers();
  vi.stubGlobal("window", globalThis);
  vi.stubGlobal("EventSource", Source);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("what changes while its first answer is on its way is asked for again", async () => {
  const client = new QueryClient();
  const answers: ((answer: string) => void)[] = [];
  const ask = () => new Promise<string>((resolve) => answers.push(resolve));
  const observer = new QueryObserver(client, { queryKey: ["runs"], queryFn: ask });
  const leave = observer.subscribe(() => {});
  const stop = listen(client, "a-1", () => {});
  Source.all[0]?.hear("change", "a-2", "run");
  await vi.advanceTimersByTimeAsync(2_000);
  expect(answers.length).toBe(1);
  answers[0]?.("old");
  await vi.advanceTimersByTimeAsync(1_000);
  expect(answers.length).toBe(2);
  answers[1]?.("new");
  await vi.advanceTimersByTimeAsync(2_000);
  expect([answers.length, observer.getCurrentResult().data]).toEqual([2, "new"]);
  stop();
  leave();
  client.clear();
});

test("it goes on behind what was heard last, also after an answer that was an error", async () => {
  const client = new QueryClient();
  const stop = listen(client, "a-1", () => {});
  Source.all[0]?.hear("change", "a-7", "run");
  const first = Source.all[0] as Source;
  first.readyState = Source.CLOSED;
  first.dispatchEvent(new Event("error"));
  await vi.advanceTimersByTimeAsync(3_000);
  expect(Source.all.map((one) => one.url)).toEqual(["/api/events?after=a-1", "/api/events?after=a-7"]);
  stop();
  client.clear();
});

test("the page of a run that has ended asks again when that run changes, not with each other one", async () => {
  const client = new QueryClient();
  const asked: string[] = [];
  const keys = [
    ["run", "over"],
    ["run", "over", "made"],
    ["logs", "over"],
    ["run", "open"],
    ["logs", "open"],
    ["runs"],
  ];
  const leave = keys.map((queryKey) => {
    const name = queryKey.join(" ");
    client.setQueryData(queryKey, { ended: queryKey[1] === "over" ? "2026-01-05T06:10:00Z" : null });
    const queryFn = () => {
      asked.push(name);
      return { ended: null };
    };
    return new QueryObserver(client, { queryKey, queryFn, staleTime: 60_000 }).subscribe(() => {});
  });
  const stop = listen(client, "a-1", () => {});
  const hears = async (kind: string, id: string) => {
    asked.length = 0;
    Source.all[0]?.hear("change", "a-2", kind, id);
    await vi.advanceTimersByTimeAsync(2_000);
    return asked.toSorted();
  };
  expect(await hears("run", "another")).toEqual(["run open", "runs"]);
  expect(await hears("log", "open")).toEqual(["logs open"]);
  expect(await hears("run", "over")).toEqual(["run open", "run over", "run over made", "runs"]);
  stop();
  for (const one of leave) one();
  client.clear();
});
