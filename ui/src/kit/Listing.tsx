/** A list that comes in pages: its titles and rows in columns, what is said while there is none, and the pages as they are needed. */

import type { InfiniteData, UseInfiniteQueryResult } from "@tanstack/react-query";
import { type JSX, type ReactNode, useEffect, useRef } from "react";
import { mayGoOn, nextPage, PageFailure } from "@/kit/NextPage";
import { Failure, Loading } from "@/kit/Notice";
import { SearchField } from "@/kit/SearchField";
import { words } from "@/kit/State";
import type { Change } from "@/kit/usePage";
import "@/kit/listing.css";

interface Props<T> {
  label: string;
  /** Gives its columns their widths, as the class of the list. */
  className: string;
  /** The titles of the columns; those of numbers stand at the right, as the numbers do. */
  titles: readonly (string | { number: string })[];
  of: UseInfiniteQueryResult<InfiniteData<unknown>>;
  rows: readonly T[];
  row: (one: T) => JSX.Element;
  nothing: ReactNode;
}

export function Listing<T>({ label, className, titles, of, rows, row, nothing }: Props<T>): JSX.Element {
  const more = (
    <>
      <More when={mayGoOn(of)} then={() => void nextPage(of)} />
      <PageFailure of={of} />
    </>
  );
  if (of.isPending) return <Loading rows={10} />;
  if (of.isError && rows.length === 0) return <Failure error={of.error} again={() => void of.refetch()} />;
  // What is looked for may stand on a page that has not come yet.
  if (rows.length === 0)
    return (
      <>
        {of.isFetchNextPageError ? null : of.hasNextPage ? <Loading rows={4} /> : nothing}
        {more}
      </>
    );
  return (
    <div className={`listing card ${className}`}>
      <div className="listing-row listing-titles" aria-hidden="true">
        {titles.map((one) =>
          typeof one === "string" ? (
            <span key={one}>{one}</span>
          ) : (
            <span key={one.number} className="num">
              {one.number}
            </span>
          ),
        )}
      </div>
      <ul aria-label={label}>{rows.map(row)}</ul>
      {more}
      {of.isFetchingNextPage ? <Loading rows={2} /> : null}
    </div>
  );
}

interface FilterProps {
  parameters: URLSearchParams;
  change: (change: Change) => void;
  /** What the text is a part of. */
  named: string;
  states: readonly string[];
  children?: ReactNode;
}

/** What a list is narrowed by: a part of a name, a state, and what the page adds between them. */
export function ListFilters({ parameters, change, named, states, children }: FilterProps): JSX.Element {
  return (
    <search className="listing-filters">
      <SearchField
        label={`Part of ${named}'s name`}
        placeholder="Part of a name"
        name="q"
        parameters={parameters}
        change={change}
      />
      {children}
      <select
        className="field"
        aria-label="State"
        value={parameters.get("state") ?? ""}
        onChange={(event) => change({ state: event.target.value })}
      >
        <option value="">All states</option>
        {states.map((one) => (
          <option key={one} value={one}>
            {words(one)}
          </option>
        ))}
      </select>
    </search>
  );
}

/** Calls `then` when the end of a list comes into view, and `when` says that there is more. */
export function More({ when, then }: { when: boolean; then: () => void }): JSX.Element {
  const end = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!when || !end.current) return;
    const watcher = new IntersectionObserver(
      ([entry]) => {
        if (entry?.isIntersecting) then();
      },
      { rootMargin: "400px" },
    );
    watcher.observe(end.current);
    return () => watcher.disconnect();
  }, [when, then]);
  return <div ref={end} />;
}
