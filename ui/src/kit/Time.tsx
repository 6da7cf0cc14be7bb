/** A moment: near or far in words, exact in the viewer's zone on hover, in UTC for machines. */

import { type JSX, useEffect, useState } from "react";
import { distance } from "@/lib/text";

const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

interface Props {
  at: string | null | undefined;
  /** In full. */
  exact?: boolean;
  /** As a date, to the minute. */
  date?: boolean;
}

/** The present, kept up every `seconds`. */
export function useNow(seconds = 15): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = window.setInterval(() => setNow(Date.now()), seconds * 1000);
    return () => window.clearInterval(timer);
  }, [seconds]);
  return now;
}

/** `<Time at="2026-01-05T06:10:00Z" />` → “2 h ago”; a dash where there is none. */
export function Time({ at, exact = false, date = false }: Props): JSX.Element {
  const now = useNow();
  if (!at) return <span className="dim">–</span>;
  const moment = new Date(at);
  const text = EXACT.format(moment);
  return (
    <time dateTime={at} title={text}>
      {exact ? text : date ? DATE.format(moment) : distance(moment.getTime() - now)}
    </time>
  );
}
