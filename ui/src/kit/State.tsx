/** A state as a shape, a colour and a word: never as a colour alone. */

import type { JSX } from "react";

export type Tone = "fresh" | "warn" | "late" | "unknown" | "none" | "running";

/** The tone of every state that the API knows; what is not named here is shown as none. */
const TONES: Record<string, Tone> = {
  fresh: "fresh",
  warn: "warn",
  late: "late",
  unknown: "unknown",
  none: "none",
  completed: "fresh",
  cached: "fresh",
  materialized: "fresh",
  published: "fresh",
  passed: "fresh",
  done: "fresh",
  running: "running",
  resuming: "running",
  asked: "running",
  pending: "none",
  scheduled: "none",
  queued: "none",
  skipped: "none",
  missing: "none",
  paused: "warn",
  pausing: "warn",
  cancelling: "warn",
  cancelled: "warn",
  blocked: "warn",
  interrupted: "warn",
  stale: "warn",
  retrying: "warn",
  rolledback: "warn",
  failed: "late",
  crashed: "late",
  timedout: "late",
  refused: "late",
};

/** Which tone a state has, however it is spelled. */
export function toneOf(state: string): Tone {
  return TONES[state.toLowerCase().replaceAll(/[^a-z]/g, "")] ?? "none";
}

/** A state as one reads it: `TimedOut` → `Timed out`. */
export function words(state: string): string {
  const spaced = state.replaceAll(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

const SHAPES: Record<Tone, JSX.Element> = {
  fresh: <circle cx="5" cy="5" r="4.500" />,
  warn: <path d="M5 .5 9.700 9.300H.3Z" />,
  late: <path d="M5 0 10 5 5 10 0 5Z" />,
  unknown: (
    <path
      d="M5 .9a4.100 4.100 0 1 1 0 8.200 4.100 4.100 0 0 1 0-8.200Z"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.800"
      strokeDasharray="2.200 2"
    />
  ),
  none: <circle cx="5" cy="5" r="3.800" fill="none" stroke="currentColor" strokeWidth="1.600" />,
  running: <path d="M1.500.6 9.300 5 1.500 9.400Z" />,
};

/** The shape alone, for where the word stands beside it. */
export function Shape({ tone }: { tone: Tone }): JSX.Element {
  return (
    <svg viewBox="0 0 10 10" fill="currentColor" aria-hidden="true">
      {SHAPES[tone]}
    </svg>
  );
}

interface Props {
  state: string;
  /** Another word than the state's own. */
  label?: string;
  /** Without the coloured ground. */
  plain?: boolean;
  title?: string | undefined;
}

/** `<State state="late" />` */
export function State({ state, label, plain, title }: Props): JSX.Element {
  const tone = toneOf(state);
  return (
    <span className={plain ? "state plain" : "state"} data-tone={tone} title={title}>
      <Shape tone={tone} />
      {words(label ?? state)}
    </span>
  );
}
