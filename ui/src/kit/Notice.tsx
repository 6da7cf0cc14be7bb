/** What stands where data is not: nothing there, not there yet, or an error that says how to go on. */

import type { JSX, ReactNode } from "react";
import { Problem } from "@/lib/api";

interface Whole {
  /** Whether it stands for a whole page, whose title it has then. */
  page?: boolean | undefined;
}

interface EmptyProps extends Whole {
  title: string;
  children?: ReactNode;
}

export function Empty({ title, page, children }: EmptyProps): JSX.Element {
  const Title = page ? "h1" : "h2";
  return (
    <div className="notice">
      <Title>{title}</Title>
      {children}
    </div>
  );
}

interface FailureProps extends Whole {
  error: unknown;
  again?: () => void;
}

export function Failure({ error, page, again }: FailureProps): JSX.Element {
  const problem = error instanceof Problem ? error : null;
  const Title = page ? "h1" : "h2";
  return (
    <div className="notice" role="alert">
      <Title>{problem?.message ?? "Something went wrong on this page"}</Title>
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
