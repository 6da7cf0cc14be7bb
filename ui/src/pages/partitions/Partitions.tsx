/** The partitions of an asset as a picture, to look into and to drag a backfill over. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { type JSX, useCallback, useMemo } from "react";
import { Link } from "react-router";
import { links } from "@/app/links";
import { Answer } from "@/kit/Answer";
import { AssetLink } from "@/kit/AssetLink";
import { Empty } from "@/kit/Notice";
import { type Change, useParameters, useTitle } from "@/kit/usePage";
import { get } from "@/lib/api";
import { Calendar } from "@/pages/partitions/Calendar";
import { Chosen, Hint } from "@/pages/partitions/Chosen";
import { chosenOf, labelsOf } from "@/pages/partitions/choice";
import { Strip } from "@/pages/partitions/Strip";
import { Table } from "@/pages/partitions/Table";
import { Choosers, Legend, Pages, Years } from "@/pages/partitions/Tools";
import type { Grid } from "@/pages/partitions/types";
import type { Range } from "@/pages/partitions/useRange";
import "@/pages/partitions/partitions.css";
import "@/pages/backfills/progress.css";

const BY_DAY = new Set(["daily", "hourly", "cron"]);

export default function Partitions(): JSX.Element {
  const [parameters, change] = useParameters();
  const asset = parameters.get("asset") ?? "";
  useTitle(asset ? `Partitions of ${asset}` : "Partitions");
  const asked = {
    asset,
    year: parameters.get("year"),
    month: parameters.get("month"),
    day: parameters.get("day"),
    across: parameters.get("across"),
    at: parameters.getAll("at"),
    offset: parameters.get("offset"),
  };
  const grid = useQuery({
    queryKey: ["partitions", "grid", asked],
    queryFn: ({ signal }) => get<Grid>("/api/partitions/grid", asked, signal),
    placeholderData: keepPreviousData,
    enabled: asset !== "",
  });
  if (!asset)
    return (
      <Empty page title="Which asset?">
        Open the partitions of an asset from its page.
      </Empty>
    );
  return (
    <>
      <div className="page-head">
        <h1 className="ellipsis">
          <AssetLink name={asset} />
        </h1>
        <span className="dim ellipsis" title={grid.data?.description}>
          {grid.data?.description}
        </span>
        <nav className="end page-links" aria-label="This asset">
          <Link to={links.asset(asset)}>Asset</Link>
          <Link to={links.lineage(asset)}>Lineage</Link>
        </nav>
      </div>
      <Answer of={grid} rows={8}>
        {(found) => <Picture grid={found} parameters={parameters} change={change} />}
      </Answer>
    </>
  );
}

interface PictureProps {
  grid: Grid;
  parameters: URLSearchParams;
  change: (change: Change) => void;
}

function Picture({ grid, parameters, change }: PictureProps): JSX.Element {
  const labels = useMemo(() => labelsOf(grid), [grid]);
  const places = useMemo(() => new Map(labels.map((label, place) => [label, place])), [labels]);
  const [from, to, day] = [parameters.get("from"), parameters.get("to"), parameters.get("day")];
  const range = useMemo<Range | null>(() => {
    const [anchor, focus] = [places.get(from ?? ""), places.get(to ?? "")];
    return anchor === undefined || focus === undefined ? null : { anchor, focus };
  }, [places, from, to]);
  const choose = useCallback(
    (one: Range | null) =>
      change({
        from: one ? (labels[one.anchor] ?? null) : null,
        to: one ? (labels[one.focus] ?? null) : null,
        started: null,
      }),
    [change, labels],
  );
  if (grid.total === 0) return <Empty title="No partitions yet">Nothing has ended by now.</Empty>;
  const chosen = range ? chosenOf(grid, range) : null;
  return (
    <div className="partitions-page">
      <div className="partitions-main">
        <Legend states={grid.states} all={grid.total} />
        {grid.years.length > 1 && day === null ? <Years grid={grid} change={change} /> : null}
        {grid.dimensions ? <Choosers grid={grid} change={change} /> : null}
        {day !== null ? (
          <p className="crumb">
            <button
              type="button"
              className="button quiet"
              onClick={() => change({ day: null, from: day, to: day })}
            >
              ← {day.slice(0, 4)}
            </button>
            <b>{day}</b>
          </p>
        ) : null}
        <Cells grid={grid} day={day} range={range} choose={choose} />
        <Pages grid={grid} offset={Number(parameters.get("offset") ?? 0)} change={change} />
      </div>
      <aside className="partitions-side" aria-label="What is chosen">
        {chosen ? (
          <Chosen
            key={chosen.partition}
            grid={grid}
            chosen={chosen}
            started={parameters.get("started")}
            change={change}
            isDay={day === null && grid.kind !== "daily" && BY_DAY.has(grid.kind)}
            clear={grid.kind === "unpartitioned" ? null : () => choose(null)}
          />
        ) : (
          <Hint grid={grid} />
        )}
      </aside>
    </div>
  );
}

function Cells({
  grid,
  day,
  range,
  choose,
}: {
  grid: Grid;
  day: string | null;
  range: Range | null;
  choose: (range: Range | null) => void;
}): JSX.Element {
  const label = `Partitions of ${grid.asset}`;
  if (grid.rows) return <Table grid={grid} range={range} choose={choose} />;
  const props = { label, cells: grid.cells, range, choose };
  if (day !== null) return <Strip {...props} short={(one) => one.slice(11)} wide />;
  if (BY_DAY.has(grid.kind)) return <Calendar {...props} />;
  if (grid.kind === "weekly" || grid.kind === "monthly")
    return <Strip {...props} group={(one) => one.slice(0, 4)} short={(one) => one.slice(5)} wide />;
  return <Strip {...props} short={(one) => one || "the whole"} wide />;
}
