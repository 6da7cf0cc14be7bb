/** The next page of a list: asked for when that takes nobody's place, and what is said when it does not come. */

import type { JSX } from "react";
import { Failure } from "@/kit/Notice";

interface Pages {
  hasNextPage: boolean;
  isFetching: boolean;
  isFetchNextPageError: boolean;
  error: unknown;
  fetchNextPage: () => Promise<unknown>;
  refetch: (options: { cancelRefetch: boolean }) => Promise<unknown>;
}

/** Whether a list that goes on by itself may ask for its next page: after an error it waits to be told. */
export function mayGoOn(of: Pages): boolean {
  return of.hasNextPage && !of.isFetching && !of.isFetchNextPageError;
}

/** Ask for the next page. What is being read again comes first: it would be given up, and what is new would be missed. */
export async function nextPage(of: Pages): Promise<void> {
  if (of.isFetching) await of.refetch({ cancelRefetch: false });
  await of.fetchNextPage();
}

/** Why the next page did not come. */
export function PageFailure({ of }: { of: Pages }): JSX.Element | null {
  return of.isFetchNextPageError ? <Failure error={of.error} again={() => void nextPage(of)} /> : null;
}
