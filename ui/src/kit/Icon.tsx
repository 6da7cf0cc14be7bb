/** The few icons there are: strokes in the colour of the text, decoration only (what they mean stands beside them or in a label). */

import type { JSX } from "react";

const PATHS = {
  search: "M7 2.500a4.500 4.500 0 1 1 0 9 4.500 4.500 0 0 1 0-9ZM10.300 10.300 14 14",
  close: "m4 4 8 8M12 4l-8 8",
  right: "m6 3.500 4.500 4.500L6 12.500",
  down: "m3.500 6 4.500 4.500L12.500 6",
  left: "M13 8H3.500M7 4 3 8l4 4",
  user: "M8 2.500a2.700 2.700 0 1 1 0 5.400 2.700 2.700 0 0 1 0-5.400ZM3 13.500c.6-2.600 2.600-4 5-4s4.400 1.400 5 4",
  asset: "M8 1.800 13.500 5v6L8 14.200 2.500 11V5L8 1.800ZM2.500 5 8 8.200 13.500 5M8 8.200v6",
  column: "M2.500 3h11v10h-11zM6.200 3v10M9.800 3v10",
  run: "M4.500 2.800v10.400L13 8Z",
  lineage:
    "M3.500 6.200a1.800 1.800 0 1 0 0 3.600 1.800 1.800 0 0 0 0-3.600ZM12.500 2.200a1.800 1.800 0 1 0 0 3.600 1.800 1.800 0 0 0 0-3.600ZM12.500 10.200a1.800 1.800 0 1 0 0 3.600 1.800 1.800 0 0 0 0-3.600ZM5.300 8h2.200c1.200 0 1.200-4 3.200-4M7.500 8c1.200 0 1.200 4 3.200 4",
  backfill: "M2.500 4.500h11M2.500 8h7.500M2.500 11.500h4.500M11.500 9.500v4l3-2Z",
  check: "M2.800 8.500 6.300 12l7-8",
  page: "M4 2h5.500L12.500 5v9H4zM9.500 2v3h3",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }): JSX.Element {
  return (
    <svg
      className="icon"
      viewBox="0 0 16 16"
      width={size}
      height={size}
      fill="none"
      stroke="currentColor"
      strokeWidth="1.400"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
