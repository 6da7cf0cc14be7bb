/** The course of a run as numbers: the window that is shown, bars and their segments, ticks. Pure. */

import type { Share } from "@/kit/Shares";
import { type Tone, toneOf } from "@/kit/State";
import type { TaskStep } from "@/pages/runs/types";

/** A stretch of time, milliseconds since the epoch. */
export interface Window {
  from: number;
  to: number;
}

export interface Segment {
  state: string;
  from: number;
  to: number;
}

/** From the start to the end, or to the present; never empty. */
export function wholeOf(started: string | null, ended: string | null, now: number): Window {
  const from = started ? Date.parse(started) : now;
  return { from, to: Math.max(ended ? Date.parse(ended) : now, from + 1) };
}

/** Where a stretch lies in a window, as percent; null when it lies beside it. */
export function placed(from: number, to: number, within: Window): { left: number; width: number } | null {
  const size = within.to - within.from;
  const [low, high] = [Math.max(from, within.from), Math.min(to, within.to)];
  if (high < low) return null;
  return { left: ((low - within.from) / size) * 100, width: ((high - low) / size) * 100 };
}

/** The states that a task run came through: tries, waits between them, and how it ended. */
export function segments(
  run: { started: string | null; ended: string | null; state: string; steps: readonly TaskStep[] },
  now: number,
): Segment[] {
  if (!run.started) return [];
  const end = run.ended ? Date.parse(run.ended) : now;
  let [state, from] = ["Running", Date.parse(run.started)];
  const found: Segment[] = [];
  for (const step of run.steps) {
    const at = Math.min(Date.parse(step.at), end);
    // A try that another one followed has failed.
    if (at > from)
      found.push({ state: state === "Running" && isWait(step.state) ? "Failed" : state, from, to: at });
    [state, from] = [step.state, Math.max(at, from)];
  }
  found.push({ state: isWait(state) ? state : run.state, from, to: Math.max(end, from) });
  return found;
}

function isWait(state: string): boolean {
  return /^(Awaiting|Retrying|Scheduled|Pending)/.test(state);
}

const STEPS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000,
  600_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000, 43_200_000, 86_400_000, 604_800_000,
];

/** Some round moments after `start` that lie in a window. */
export function ticks(within: Window, start: number, most = 7): number[] {
  const size = within.to - within.from;
  const step = STEPS.find((one) => size / one <= most) ?? size / most;
  const found: number[] = [];
  for (let at = start + Math.ceil((within.from - start) / step) * step; at <= within.to; at += step)
    found.push(at);
  return found;
}

/** Nearer (factor < 1) or farther, around a moment, never beyond the whole. */
export function zoomed(window: Window, factor: number, around: number, whole: Window): Window {
  const size = Math.max(1, Math.min((window.to - window.from) * factor, whole.to - whole.from));
  const share = (around - window.from) / (window.to - window.from);
  return held({ from: around - share * size, to: around + (1 - share) * size }, whole);
}

/** Moved by a share of its width, never beyond the whole. */
export function moved(window: Window, share: number, whole: Window): Window {
  const by = (window.to - window.from) * share;
  return held({ from: window.from + by, to: window.to + by }, whole);
}

function held(window: Window, whole: Window): Window {
  const size = window.to - window.from;
  const from = Math.min(Math.max(window.from, whole.from), Math.max(whole.from, whole.to - size));
  return { from, to: Math.min(from + size, whole.to) };
}

/** `12-340` (milliseconds after the start) as a window, and back; null for what is none. */
export function readWindow(text: string | null, start: number): Window | null {
  const found = /^(\d{1,12})-(\d{1,12})$/.exec(text ?? "");
  if (!found) return null;
  const [from, to] = [Number(found[1]), Number(found[2])];
  return to > from ? { from: start + from, to: start + to } : null;
}

export function writeWindow(window: Window, start: number): string {
  return `${Math.max(0, Math.round(window.from - start))}-${Math.round(window.to - start)}`;
}

const ORDER: readonly Tone[] = ["fresh", "running", "warn", "late", "unknown", "none"];

/** The states of task runs as parts of a bar, those that went well first. */
export function taskShares(tasks: Record<string, number>): Share[] {
  return Object.entries(tasks)
    .map(([state, number]) => [state, number, toneOf(state)] as const)
    .sort((one, other) => ORDER.indexOf(one[2]) - ORDER.indexOf(other[2]));
}

const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
  hour12: false,
});

/** The time of day in the viewer's zone, to the millisecond. */
export function exact(at: string | null): string {
  return at ? CLOCK.format(new Date(at)) : "–";
}
