/** The freshness board: how many assets stand how, and each of them, the worst first. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import type { JSX } from "react";
import { Failure } from "@/kit/Notice";
import { Segments } from "@/kit/Segments";
import { Time } from "@/kit/Time";
import { useParameters, useTitle } from "@/kit/usePage";
import { get, Problem } from "@/lib/api";
import { count } from "@/lib/text";
import type { Overview } from "@/lib/types";
import { isBehind, untilNext } from "@/pages/board/behind";
import { FilterField } from "@/pages/board/FilterField";
import { asked, wantedOf } from "@/pages/board/filter";
import { Groups } from "@/pages/board/Groups";
import { MomentField } from "@/pages/board/MomentField";
import { Rows } from "@/pages/board/Rows";
import { Strip } from "@/pages/board/Strip";
import "@/pages/board/board.css";

type Option = readonly [string, string];

const TITLES: Record<string, string> = { owner: "Owner", kind: "Kind", group: "Group" };

export default function Board(): JSX.Element {
  useTitle("Assets");
  const [parameters, change] = useParameters();
  const wanted = wantedOf(parameters);
  const by = parameters.get("group") ?? "";
  const { selection, q, asOf } = wanted;
  const overview = useQuery({
    queryKey: ["summary", { selection, q, asOf }],
    queryFn: ({ signal }) => get<Overview>("/api/assets/overview", { selection, q, as_of: asOf }, signal),
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) => untilNext(state.data, asOf),
  });
  const problem = overview.error instanceof Problem ? overview.error : null;
  const groupings = overview.data?.groupings ?? [];
  const options: Option[] = [
    ["", "None"],
    ...groupings.map((one): Option => [one, TITLES[one] ?? one.slice(4)]),
  ];
  return (
    <>
      <div className="page-head board-head">
        <h1>Assets</h1>
        <span className="dim">{overview.data ? count(overview.data.assets) : null}</span>
        {overview.data && isBehind(overview.data, asOf) ? (
          <span className="dim" title="So many assets are judged together, behind the page">
            judged as of <Time at={overview.data.judged_as_of} />
          </span>
        ) : null}
        <MomentField value={asOf} choose={(moment) => change({ as_of: moment })} />
      </div>
      <Strip standing={overview.data} wanted={wanted} change={change} />
      <div className="board-tools">
        <FilterField wanted={wanted} problem={problem} change={change} />
        {groupings.length > 1 || by !== "" ? (
          <div className="board-group-by">
            <span className="dim" aria-hidden="true">
              Group by
            </span>
            <Choice options={options} value={by} choose={(value) => change({ group: value, open: null })} />
          </div>
        ) : null}
      </div>
      {overview.isError && overview.data === undefined && problem === null ? (
        <Failure error={overview.error} again={() => void overview.refetch()} />
      ) : by === "" ? (
        <Rows asked={asked(wanted)} asOf={asOf} hasFilter={parameters.size > 0} />
      ) : (
        <Groups by={by} wanted={wanted} open={parameters.getAll("open")} change={change} />
      )}
    </>
  );
}

interface ChoiceProps {
  options: readonly Option[];
  value: string;
  choose: (value: string) => void;
}

/** Side by side while there are few. */
function Choice({ options, value, choose }: ChoiceProps): JSX.Element {
  if (options.length <= 5)
    return <Segments label="Group by" value={value} options={options} choose={choose} />;
  return (
    <select
      className="field board-choice"
      aria-label="Group by"
      value={value}
      onChange={(event) => choose(event.target.value)}
    >
      {options.map(([option, text]) => (
        <option key={option} value={option}>
          {text}
        </option>
      ))}
    </select>
  );
}
