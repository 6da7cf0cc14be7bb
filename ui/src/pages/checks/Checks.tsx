/** All checks of all assets: what fails comes first. */

import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import type { JSX } from "react";
import { nextPage, PageFailure } from "@/kit/NextPage";
import { Empty, Failure, Loading } from "@/kit/Notice";
import { Segments } from "@/kit/Segments";
import { useParameters, useTitle } from "@/kit/usePage";
import { get, Problem } from "@/lib/api";
import { count } from "@/lib/text";
import type { Check } from "@/pages/asset/types";
import { FilterField } from "@/pages/board/FilterField";
import { wantedOf } from "@/pages/board/filter";
import { CheckRows } from "@/pages/checks/CheckRows";

interface Page {
  checks: Check[];
  next?: string | null;
}

const PAGE = 200;
const WHICH = [
  ["", "All"],
  ["true", "Failing"],
] as const;

export default function Checks(): JSX.Element {
  useTitle("Checks");
  const [parameters, change] = useParameters();
  const wanted = wantedOf(parameters);
  const open = parameters.getAll("open");
  const asked = { selection: wanted.selection, q: wanted.q, failed: wanted.failed || null };
  const pages = useInfiniteQuery({
    queryKey: ["checks", asked],
    queryFn: ({ pageParam, signal }) =>
      get<Page>("/api/checks", { ...asked, limit: PAGE, cursor: pageParam }, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next ?? null,
    placeholderData: keepPreviousData,
  });
  const problem =
    pages.error instanceof Problem &&
    pages.error.status < 500 &&
    pages.error.status > 0 &&
    !pages.isFetchNextPageError
      ? pages.error
      : null;
  const checks = pages.data?.pages.flatMap((page) => page.checks) ?? [];
  const toggle = (key: string) =>
    change({ open: open.includes(key) ? open.filter((one) => one !== key) : [...open, key] });
  return (
    <>
      <div className="page-head">
        <h1>Checks</h1>
        <span className="dim">
          {pages.data && problem === null ? `${count(checks.length)}${pages.hasNextPage ? "+" : ""}` : null}
        </span>
      </div>
      <div className="board-tools">
        <FilterField wanted={wanted} problem={problem} change={change} />
        <Segments
          label="Which"
          value={wanted.failed ? "true" : ""}
          options={WHICH}
          choose={(value) => change({ failed: value })}
        />
      </div>
      {problem !== null ? (
        <Empty title="No checks to show" />
      ) : pages.data === undefined ? (
        pages.isError ? (
          <Failure error={pages.error} again={() => void pages.refetch()} />
        ) : (
          <Loading rows={8} />
        )
      ) : checks.length === 0 ? (
        <Nothing filtered={parameters.size > 0} failed={wanted.failed} />
      ) : (
        <div className="card">
          <CheckRows checks={checks} withAsset open={open} toggle={toggle} />
          {pages.hasNextPage ? (
            <button
              type="button"
              className="panel-more"
              disabled={pages.isFetchingNextPage}
              onClick={() => void nextPage(pages)}
            >
              {pages.isFetchingNextPage ? "Loading…" : "Show more"}
            </button>
          ) : null}
          <PageFailure of={pages} />
        </div>
      )}
    </>
  );
}

function Nothing({ filtered, failed }: { filtered: boolean; failed: boolean }): JSX.Element {
  if (failed) return <Empty title="No check fails" />;
  if (filtered) return <Empty title="No asset like that has checks" />;
  return (
    <Empty title="No checks yet">
      <p>
        Give an asset some: <code>checks=[not_null("id")]</code>. What they said appears here.
      </p>
    </Empty>
  );
}
