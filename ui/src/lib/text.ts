/** Numbers and spans as people read them. Pure: the same text for the same value. */

const STEPS: readonly (readonly [number, string])[] = [
  [31_536_000, "y"],
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
  [1, "s"],
];

/** `90` → `1 min 30 s`, `0.012` → `12 ms`, `200000` → `2 d 7 h`: at most two units. */
export function span(seconds: number): string {
  if (seconds < 0) return `−${span(-seconds)}`;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${Number(seconds.toFixed(1))} s`;
  let rest = Math.round(seconds);
  const parts: string[] = [];
  for (const [size, unit] of STEPS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count} ${unit}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.join(" ");
}

/** `1234567` → `1,234,567`, with thin spaces as the language has them. */
export function count(value: number): string {
  return value.toLocaleString("en-US");
}

/** How many things of one name: "1 asset", "1,260 assets". */
export function counted(value: number, name: string): string {
  return `${count(value)} ${name}${value === 1 ? "" : "s"}`;
}

/** `2 h ago`, `in 5 min`, `now`. */
export function distance(milliseconds: number): string {
  const seconds = Math.abs(milliseconds) / 1000;
  if (seconds < 5) return "now";
  const [size, unit] = STEPS.find(([one]) => seconds >= one) ?? [1, "s"];
  const text = `${Math.floor(seconds / size)} ${unit}`;
  return milliseconds < 0 ? `${text} ago` : `in ${text}`;
}

/** `1536` → `1.5 kB`. */
export function bytes(value: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let size = value;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${units[unit]}`;
}

/** The asset of a step of a witness: `flights@2013-01-05` → `flights`. */
export function assetOf(step: string): string {
  const at = step.lastIndexOf("@");
  return at > 0 ? step.slice(0, at) : step;
}

/** A name as it stands in a selection: always in quotes, so that any name can be meant. */
export function quoted(name: string): string {
  return `"${name.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}
