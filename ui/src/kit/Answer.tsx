/** What a query answers: shown when it is there, and what stands in its place when it is not. */

import type { UseQueryResult } from "@tanstack/react-query";
import type { JSX, ReactNode } from "react";
import { Failure, Loading } from "@/kit/Notice";

interface Props<T> {
  of: UseQueryResult<T>;
  rows?: number;
  /** Whether the whole page is its answer. */
  page?: boolean;
  children: (data: T) => ReactNode;
}

/** `<Answer of={useQuery(…)}>{(data) => …}</Answer>`: old data stays on the page while new data comes. */
export function Answer<T>({ of, rows, page, children }: Props<T>): JSX.Element {
  if (of.data !== undefined) return <>{children(of.data)}</>;
  if (of.isError) return <Failure error={of.error} page={page} again={() => void of.refetch()} />;
  return rows === undefined ? <Loading /> : <Loading rows={rows} />;
}
