/** The rows of the board: only those that are seen are on the page, and only those come from the server. */

import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { type JSX, type KeyboardEvent, useEffect, useLayoutEffect, useRef, useState } from "react";
import { mayGoOn, nextPage, PageFailure } from "@/kit/NextPage";
import { Empty, Failure, Loading } from "@/kit/Notice";
import { get, type Parameter, Problem } from "@/lib/api";
import type { AssetPage } from "@/lib/types";
import { untilNext } from "@/pages/board/behind";
import { Row } from "@/pages/board/Row";

const PAGE = 100;

interface Props {
  asked: Record<string, Parameter>;
  asOf: string;
  hasFilter: boolean;
  /** Without the names of the columns: inside a group. */
  inside?: boolean;
}

export function Rows({ asked, asOf, hasFilter, inside = false }: Props): JSX.Element {
  const pages = useInfiniteQuery({
    queryKey: ["assets", asked],
    queryFn: ({ pageParam, signal }) =>
      get<AssetPage>("/api/assets", { ...asked, limit: PAGE, cursor: pageParam }, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) => untilNext(state.data?.pages[0], asOf),
  });
  if (pages.data === undefined) {
    // What is wrong with a filter is told at its field.
    if (pages.error instanceof Problem && hasFilter) return <Empty title="No assets to show" />;
    if (pages.isError) return <Failure error={pages.error} again={() => void pages.refetch()} />;
    return <Loading rows={10} />;
  }
  const rows = pages.data.pages.flatMap((page) => page.assets);
  if (rows.length === 0) return <Nothing hasFilter={hasFilter} />;
  const total = pages.data.pages[0]?.total ?? rows.length;
  return (
    <div
      className="rows"
      role="table"
      aria-label="Assets"
      aria-rowcount={total + 1}
      aria-busy={pages.isPlaceholderData}
    >
      {inside ? null : <Head />}
      <Seen rows={rows} asOf={asOf} hasMore={mayGoOn(pages)} more={() => void nextPage(pages)} />
      <PageFailure of={pages} />
    </div>
  );
}

function Head(): JSX.Element {
  return (
    <div role="rowgroup" className="rows-head">
      <div role="row" className="row">
        <span role="columnheader">State</span>
        <span role="columnheader">Asset</span>
        <span role="columnheader">Data through</span>
        <span role="columnheader">Why</span>
        <span role="columnheader">Partitions</span>
        <span role="columnheader" className="num">
          Rows
        </span>
        <span role="columnheader" className="num">
          Made
        </span>
      </div>
    </div>
  );
}

interface SeenProps {
  rows: AssetPage["assets"];
  asOf: string;
  hasMore: boolean;
  more: () => void;
}

function Seen({ rows, asOf, hasMore, more }: SeenProps): JSX.Element {
  const list = useRef<HTMLDivElement>(null);
  const margin = useOffset(list);
  const virtual = useWindowVirtualizer({
    count: rows.length,
    estimateSize: () => 53,
    overscan: 12,
    scrollMargin: margin,
    getItemKey: (index) => rows[index]?.name ?? index,
  });
  const seen = virtual.getVirtualItems();
  const last = seen.at(-1)?.index ?? 0;
  useEffect(() => {
    if (hasMore && last >= rows.length - 20) more();
  }, [hasMore, last, rows.length, more]);
  const move = (event: KeyboardEvent) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    const at = (event.target as HTMLElement).closest<HTMLElement>("[data-index]")?.dataset.index;
    if (step === 0 || at === undefined) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(rows.length - 1, Number(at) + step));
    virtual.scrollToIndex(next, { align: "auto" });
    requestAnimationFrame(() => {
      list.current?.querySelector<HTMLElement>(`[data-index="${next}"] a.row-name`)?.focus();
    });
  };
  return (
    <div
      role="rowgroup"
      ref={list}
      style={{ height: virtual.getTotalSize(), position: "relative" }}
      onKeyDown={move}
    >
      {seen.map((item) => {
        const row = rows[item.index];
        return row ? (
          <div
            key={item.key}
            role="row"
            tabIndex={-1}
            aria-rowindex={item.index + 2}
            data-index={item.index}
            ref={virtual.measureElement}
            className="row"
            style={{ transform: `translateY(${item.start - margin}px)` }}
          >
            <Row row={row} asOf={asOf} />
          </div>
        ) : null;
      })}
    </div>
  );
}

/** Where an element begins on the page, also when what is above it grows. */
function useOffset(of: { readonly current: HTMLElement | null }): number {
  const [offset, setOffset] = useState(0);
  useLayoutEffect(() => {
    const measure = () => {
      const found = of.current;
      if (found) setOffset(Math.round(found.getBoundingClientRect().top + window.scrollY));
    };
    measure();
    const watch = new ResizeObserver(measure);
    watch.observe(document.body);
    return () => watch.disconnect();
  }, [of]);
  return offset;
}

function Nothing({ hasFilter }: { hasFilter: boolean }): JSX.Element {
  if (hasFilter) return <Empty title="No asset is like that">Take a part of the filter away.</Empty>;
  return (
    <Empty title="No assets yet">
      <p>
        Write a function with <code>@materialize</code> and run it: <code>headwater materialize</code>. What
        it makes appears here by itself.
      </p>
    </Empty>
  );
}
