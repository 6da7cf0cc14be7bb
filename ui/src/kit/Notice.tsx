/** What stands where data is not: nothing there, not there yet, or an error that says how to go on. */

import type { JSX, ReactNode } from "react";
import { Problem } from "@/lib/api";

export function Empty({ title, children }: { title: string; children?: ReactNode }): JSX.Element {
  return (
    <div className="notice">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

export function Failure({ error, again }: { error: unknown; again?: () => void }): JSX.Element {
  const problem = error instanceof Problem ? error : null;
  return (
    <div className="notice" role="alert">
      <h2>{problem?.message ?? "Something went wrong on this page"}</h2>
      <p>{problem?.hint ?? (problem ? null : String(error))}</p>
      {again ? (
        <button type="button" className="button" onClick={again}>
          Try again
        </button>
      ) : null}
    </div>
  );
}

export function Loading({ rows = 5 }: { rows?: number }): JSX.Element {
  return (
    <div className="notice" role="status" aria-label="Loading">
      {Array.from({ length: rows }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the rows are all alike
        <div key={row} className="skeleton" style={{ width: `${90 - ((row * 17) % 40)}%` }} />
      ))}
    </div>
  );
}
