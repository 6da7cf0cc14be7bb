/** The partitions of an asset as a picture, to look into and to drag a backfill over. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { type JSX, useCallback, useMemo } from "react";
import { Link } from "react-router";
import { links } from "@/app/links";
import { Answer } from "@/kit/Answer";
import { AssetLink } from "@/kit/AssetLink";
import { Empty } from "@/kit/Notice";
import { Segments } from "@/kit/Segments";
import { Shares } from "@/kit/Shares";
import { type Change, useParameters, useTitle } from "@/kit/usePage";
import { get } from "@/lib/api";
import { count } from "@/lib/text";
import { BackfillPanel } from "@/pages/partitions/BackfillPanel";
import { Calendar } from "@/pages/partitions/Calendar";
import { box, ordered, TONES, total, WORDS, written } from "@/pages/partitions/cells";
import { PartitionPanel } from "@/pages/partitions/PartitionPanel";
import { Strip } from "@/pages/partitions/Strip";
import { corners, Table } from "@/pages/partitions/Table";
import {
  type Cell,
  type Grid,
  type PartitionState,
  STATES,
  type StateCounts,
} from "@/pages/partitions/types";
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
  if (!asset) return <Empty title="Which asset?">Open the partitions of an asset from its page.</Empty>;
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
            clear={() => choose(null)}
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

function Legend({ states, all }: { states: StateCounts; all: number }): JSX.Element {
  return (
    <div className="legend">
      <b>{count(all)}</b> {all === 1 ? "partition" : "partitions"}
      <ul>
        {STATES.toReversed().map((state) =>
          states[state] ? (
            <li key={state}>
              <Swatch state={state} /> {count(states[state])} {WORDS[state]}
            </li>
          ) : null,
        )}
      </ul>
    </div>
  );
}

function Swatch({ state }: { state: PartitionState }): JSX.Element {
  return <span className="cell swatch" data-state={state} aria-hidden="true" />;
}

function Years({ grid, change }: { grid: Grid; change: (change: Change) => void }): JSX.Element {
  return (
    <nav className="years" aria-label="Years">
      {grid.years.map((year) => (
        <button
          key={year.label}
          type="button"
          className="year"
          aria-current={String(grid.year) === year.label}
          onClick={() => change({ year: year.label, month: null, from: null, to: null, day: null })}
        >
          {year.label}
          {total(year.states) > 0 ? (
            <Shares
              of={STATES.toReversed().map((one) => [WORDS[one], year.states[one] ?? 0, TONES[one]] as const)}
            />
          ) : null}
        </button>
      ))}
    </nav>
  );
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** The months of the year that is shown, as far as there are partitions in them. */
function monthsOf(grid: Grid): (readonly [string, string])[] {
  const year = grid.years.find((one) => one.label === String(grid.year));
  const [first, last] = [Number(year?.first.slice(5, 7) ?? 1), Number(year?.last.slice(5, 7) ?? 12)];
  return MONTHS.map((name, place) => [String(place + 1), name] as const).slice(first - 1, last);
}

function Choosers({ grid, change }: { grid: Grid; change: (change: Change) => void }): JSX.Element {
  const others = (grid.dimensions ?? []).filter((one) => one.name !== grid.along && one.name !== grid.across);
  const across = (grid.dimensions ?? []).filter((one) => one.name !== grid.along);
  const at = grid.at ?? {};
  return (
    <div className="choosers">
      {grid.month ? (
        <Segments
          label="Month"
          value={String(grid.month)}
          options={monthsOf(grid)}
          choose={(month) => change({ month, year: String(grid.year), from: null, to: null })}
        />
      ) : null}
      {across.length > 1 ? (
        <label>
          Rows
          <select
            className="field"
            value={grid.across}
            onChange={(event) =>
              change({ across: event.target.value, at: null, offset: null, from: null, to: null })
            }
          >
            {across.map((one) => (
              <option key={one.name}>{one.name}</option>
            ))}
          </select>
        </label>
      ) : null}
      {others.map((one) => (
        <label key={one.name}>
          {one.name}
          <select
            className="field"
            value={at[one.name]}
            onChange={(event) =>
              change({
                at: Object.entries({ ...at, [one.name]: event.target.value }).map(
                  ([name, key]) => `${name}=${key}`,
                ),
                from: null,
                to: null,
              })
            }
          >
            {one.keys.map((key) => (
              <option key={key}>{key}</option>
            ))}
          </select>
        </label>
      ))}
    </div>
  );
}

function Pages({
  grid,
  offset,
  change,
}: {
  grid: Grid;
  offset: number;
  change: (change: Change) => void;
}): JSX.Element | null {
  if (grid.next === null && offset === 0) return null;
  const size = grid.rows ? 50 : 1000;
  const go = (to: number) => change({ offset: to > 0 ? String(to) : null, from: null, to: null });
  return (
    <div className="pages">
      <button
        type="button"
        className="button"
        disabled={offset === 0}
        onClick={() => go(Math.max(0, offset - size))}
      >
        Earlier
      </button>
      <button
        type="button"
        className="button"
        disabled={grid.next === null}
        onClick={() => go(grid.next ?? offset)}
      >
        Later
      </button>
      <span className="dim">from {count(offset + 1)}</span>
    </div>
  );
}

interface ChosenRange {
  /** As the server reads it. */
  partition: string;
  text: string;
  states: StateCounts;
  isOne: boolean;
}

function Chosen({
  grid,
  chosen,
  started,
  change,
  isDay,
  clear,
}: {
  grid: Grid;
  chosen: ChosenRange;
  started: string | null;
  change: (change: Change) => void;
  isDay: boolean;
  clear: () => void;
}): JSX.Element {
  const many = total(chosen.states);
  const label = /^(.{10})T?/.exec(chosen.text)?.[1] ?? "";
  return (
    <div className="card side-card">
      <header>
        <div className="chosen-head">
          <b className="ellipsis" title={chosen.text}>
            <bdi>{chosen.text}</bdi>
          </b>
          <span className="dim">
            {count(many)} {many === 1 ? "partition" : "partitions"}
          </span>
        </div>
        <button type="button" className="button quiet" aria-label="Choose nothing" onClick={clear}>
          ×
        </button>
      </header>
      {chosen.isOne ? (
        <PartitionPanel asset={grid.asset} partition={chosen.partition} />
      ) : (
        <div className="chosen-states">
          <Shares
            of={STATES.toReversed().map((one) => [WORDS[one], chosen.states[one] ?? 0, TONES[one]] as const)}
          />
          <p className="dim">
            {STATES.filter((one) => chosen.states[one])
              .map((one) => `${count(chosen.states[one] ?? 0)} ${WORDS[one]}`)
              .join(", ")}
          </p>
          {isDay && !chosen.text.includes("…") ? (
            <button
              type="button"
              className="button"
              onClick={() => change({ day: label, from: null, to: null, started: null })}
            >
              Look into {label}
            </button>
          ) : null}
        </div>
      )}
      <BackfillPanel
        asset={grid.asset}
        partition={grid.kind === "unpartitioned" ? null : chosen.partition}
        text={`${count(many)} ${many === 1 ? "partition" : "partitions"}`}
        started={started}
        start={(id) => change({ started: id })}
      />
    </div>
  );
}

function Hint({ grid }: { grid: Grid }): JSX.Element {
  return (
    <div className="card side-card hint">
      <h2>Choose partitions</h2>
      <p className="dim">
        A click shows one: its version, its run, and why it is as it is. Drag over several, or hold Shift and
        use the arrow keys, to backfill them{grid.rows ? " as a block of the table" : ""}.
      </p>
    </div>
  );
}

/** What each place of the picture is called in the address. */
function labelsOf(grid: Grid): string[] {
  if (!grid.rows) return grid.cells.map((cell) => cell.label);
  return grid.rows.flatMap((row) => (grid.columns ?? []).map((column) => `${row.key} ${column.label}`));
}

function chosenOf(grid: Grid, range: Range): ChosenRange {
  if (grid.rows) return boxOf(grid, range);
  const [low, high] = ordered(range.anchor, range.focus);
  const cells = grid.cells.slice(low, high + 1);
  const [first, last] = [cells[0] as Cell, cells[cells.length - 1] as Cell];
  const states = sum(cells.map((cell) => cell.states));
  const partition = written(first.first, last.last);
  return {
    partition,
    text: first === last ? first.label || "the whole" : `${first.label} … ${last.label}`,
    states,
    isOne: total(states) === 1,
  };
}

function boxOf(grid: Grid, range: Range): ChosenRange {
  const columns = grid.columns ?? [];
  const ends = corners(range, columns.length);
  const rows = (grid.rows ?? []).slice(ends.rows[0], ends.rows[1] + 1);
  const shown = columns.slice(ends.columns[0], ends.columns[1] + 1);
  const [first, last] = [shown[0], shown[shown.length - 1]];
  const along = first && last ? written(first.first, last.last) : "";
  const across = rows.map((row) => row.text).join("|");
  const texts = { ...grid.at, [grid.across ?? ""]: across, [grid.along ?? ""]: along };
  const sides = (grid.dimensions ?? []).map(({ name }) => [name, texts[name] ?? ""] as const);
  const states = sum(rows.flatMap((row) => row.cells.slice(ends.columns[0], ends.columns[1] + 1)));
  const many = rows.length > 1 ? `${count(rows.length)} of ${grid.across}` : (rows[0]?.key ?? "");
  const text = `${many}, ${first?.label}${first === last ? "" : ` … ${last?.label}`}`;
  return { partition: box(sides), text, states, isOne: total(states) === 1 };
}

function sum(all: readonly StateCounts[]): StateCounts {
  const found: StateCounts = {};
  for (const one of all)
    for (const state of STATES) if (one[state]) found[state] = (found[state] ?? 0) + (one[state] ?? 0);
  return found;
}
