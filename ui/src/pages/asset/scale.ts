/** Places on an axis of time that is long ago on the left and now on the right: each tenfold distance is as wide as the last. */

const MINUTE = 60_000;

export interface Tick {
  place: number;
  label: string;
}

const TICKS: readonly (readonly [number, string])[] = [
  [MINUTE, "1 min"],
  [60 * MINUTE, "1 h"],
  [24 * 60 * MINUTE, "1 d"],
  [7 * 24 * 60 * MINUTE, "1 wk"],
  [30 * 24 * 60 * MINUTE, "1 mo"],
  [365 * 24 * 60 * MINUTE, "1 yr"],
  [10 * 365 * 24 * 60 * MINUTE, "10 yr"],
];

export interface Scale {
  /** From 0 (the longest ago) to 100 (now, or later). */
  place: (age: number) => number;
  ticks: Tick[];
}

/** An axis that reaches as far back as the greatest of these ages, in milliseconds, and at least two hours. */
export function scaleOf(ages: readonly number[]): Scale {
  const longest = Math.max(120 * MINUTE, ...ages.filter(Number.isFinite)) * 1.4;
  const width = Math.log1p(longest / MINUTE);
  const place = (age: number) =>
    Math.round((1 - Math.log1p(Math.max(0, Math.min(age, longest)) / MINUTE) / width) * 1000) / 10;
  const ticks: Tick[] = [];
  for (const [age, label] of TICKS) {
    const at = place(age);
    const before = ticks.at(-1)?.place ?? 100;
    if (age < longest && at > 4 && before - at >= 9) ticks.push({ place: at, label });
  }
  return { place, ticks };
}
