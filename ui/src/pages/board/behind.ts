/** Whether what the board shows lags: very many assets are judged together, behind the pages. */

import type { JudgedAnswer } from "@/lib/types";

/** Milliseconds that nobody minds. */
const UNNOTICED = 5_000;

/** `asOf` is the moment that was asked for: of one to come nothing can have been judged then. */
export function isBehind(answer: JudgedAnswer, asOf: string): boolean {
  return asOf === "" && Date.parse(answer.as_of) - Date.parse(answer.judged_as_of) > UNNOTICED;
}

/** Milliseconds until it is asked for again: verdicts change with time alone, and what lags is about to be made anew. */
export function untilNext(answer: JudgedAnswer | undefined, asOf: string): number {
  return answer !== undefined && isBehind(answer, asOf) ? 10_000 : 60_000;
}
