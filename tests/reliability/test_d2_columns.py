"""D2: no column edge is missed: change one source column, execute, and every output column that changes must have said so.

All pairs of tests/columns/fixtures that can be executed here: Polars plans, DuckDB queries (the text, DuckDB's own plan, and
what is made of both, each by itself), and queries of other dialects, in DuckDB's words. The quick form takes a few of the
changes to each pair; the full one (HEADWATER_STRESS=1) takes all, and says how much of what is claimed was seen to matter.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import polars as pl
import pytest
import sqlglot
from columns_data import (
    FRAMES,
    SCHEMAS,
    Pair,
    fill,
    frame_of,
    lineage_of_frame,
    lineage_of_sql,
    read_pairs,
    resolver,
)
from sqlglot import exp
from sqlglot.errors import SqlglotError

from headwater.assets.protocols import PlanLineage
from headwater.lineage.columns import Columns, duckdb_plan, sqlglot_walk

EVERY = 12
"""The quick form takes every twelfth change, beginning at another one for each pair."""

Output = dict[int, tuple[str, list[str]]]
Execute = Callable[[str, int | None], Output]
Claim = tuple[str | None, str, str]


def altered(value: Any) -> Any:
    """Another value of the same type; small enough a step that joins and filters still meet something."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, str):
        return "paid" if value == "open" else "open" if value == "paid" else value + "x"
    if isinstance(value, dt.date):
        return value + dt.timedelta(days=2)
    if isinstance(value, list):
        return [altered(item) for item in value] + [1]
    return {key: altered(item) for key, item in value.items()}


def perturbations(column: pl.Series) -> Iterator[pl.Series]:
    """The column with other values, with its values in another order, and (windows by time refuse it) with nulls."""
    values = column.to_list()
    yield pl.Series(column.name, [altered(value) for value in values], dtype=column.dtype)
    yield pl.Series(column.name, values[1:] + values[:1], dtype=column.dtype)
    if column.dtype != pl.Date:
        yield pl.Series(
            column.name, [None if row % 3 == 1 else value for row, value in enumerate(values)], dtype=column.dtype
        )


def worlds() -> Iterator[tuple[str, str, Mapping[str, pl.DataFrame]]]:
    """Every source column with every perturbation: table, column, and all tables."""
    for table, frame in FRAMES.items():
        for column in frame.columns:
            for changed in perturbations(frame[column]):
                yield table, column, {**FRAMES, table: frame.with_columns(changed)}


WORLDS = list(worlds())


def columns(names: Iterable[str], rows: Sequence[tuple[Any, ...]]) -> Output:
    """Output columns with their values in a fixed order, since most queries promise none."""
    return {at: (name.casefold(), sorted(repr(row[at]) for row in rows)) for at, name in enumerate(names)}


def changed(before: Output, after: Output) -> set[str]:
    return {name for at, (name, values) in before.items() if after[at][1] != values}


def missed(lineage: PlanLineage, table: str, column: str, moved: set[str]) -> list[str]:
    """The output columns that changed and that nothing in the lineage accounts for."""
    covered = {claim[0] for claim in claims(lineage) if claim[1:] == (table, column)}
    covered |= {each.column.casefold() if each.column else None for each in lineage.unknown}
    return [] if None in covered else sorted(moved - covered)


def claims(lineage: PlanLineage) -> set[Claim]:
    """The edges without their kinds: of which output column (None: all), from which table and column."""
    return {
        (edge.column and edge.column.casefold(), str(edge.source), edge.source_column.casefold())
        for edge in lineage.edges
    }


@dataclass(slots=True)
class Tally:
    """What a whole run of perturbations came to."""

    what: str
    pairs: int = 0
    unknown: int = 0
    """Pairs of which something is unknown."""
    executed: int = 0
    refused: int = 0
    """Worlds in which the query fails, such as a subquery that now has two rows."""
    moved: int = 0
    missed: list[str] = field(default_factory=list)
    claimed: int = 0
    seen: int = 0
    full: bool = False
    """Whether all changes were made, so that an edge could be seen to matter if it does."""

    def hold(self, number: int, pair: Pair, read: Mapping[str, PlanLineage], execute: Execute, *, full: bool) -> None:
        """Hold what several readers say of one pair against what comes out when each source column is changed."""
        before = execute(pair.text, None)
        self.pairs += 1
        self.full = full
        # The first reader is the one that users get.
        told = next(iter(read.values()))
        own = claims(told)
        self.unknown += bool(told.unknown)
        seen: set[Claim] = set()
        for world, (table, column, _) in enumerate(WORLDS):
            if table not in pair.text.casefold() or not (full or (world + number) % EVERY == 0):
                continue
            try:
                moved = changed(before, execute(pair.text, world))
            except (duckdb.Error, pl.exceptions.PolarsError):
                self.refused += 1
                continue
            self.executed += 1
            self.moved += len(moved)
            for reader, lineage in read.items():
                for name in missed(lineage, table, column, moved):
                    self.missed.append(f"{pair.title} ({reader}): {name} <- {table}.{column}")
            seen |= {
                claim
                for claim in own
                if claim[1:] == (table, column) and (moved if claim[0] is None else claim[0] in moved)
            }
        self.claimed += len(own)
        self.seen += len(seen)

    def __str__(self) -> str:
        unseen = f"; of {self.claimed} edges claimed {self.claimed - self.seen} never mattered" if self.full else ""
        return (
            f"{self.what}: {self.pairs} pairs ({self.unknown} with something unknown), "
            f"{self.executed} executions with a changed column ({self.refused} refused), "
            f"{self.moved} output columns changed, {len(self.missed)} not accounted for{unseen}"
        )


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str], stress: bool) -> Callable[[Tally], None]:
    def print_figure(tally: Tally) -> None:
        if stress:
            with capsys.disabled():
                print(f"\nD2 {tally}")

    return print_figure


def execute_frame(text: str, world: int | None) -> Output:
    frame = frame_of(text, FRAMES if world is None else WORLDS[world][2]).collect()
    return columns(frame.columns, frame.rows())


@pytest.mark.filterwarnings("ignore")
def test_no_edge_of_a_polars_plan_is_missed(stress: bool, tell: Callable[[Tally], None]) -> None:
    tally = Tally("Polars")
    for number, pair in enumerate(pair for pair in read_pairs("polars.txt") if "elsewhere" not in pair.text):
        tally.hold(number, pair, {"plan": lineage_of_frame(pair.text)}, execute_frame, full=stress)
    tell(tally)
    assert not tally.missed
    assert tally.moved > 40


def polars_wraps(frame: pl.LazyFrame) -> Iterator[tuple[str, pl.LazyFrame]]:
    """The frame as a part of other plans."""
    names = frame.collect_schema().names()
    first, last = names[0], names[-1]
    yield "counted", frame.group_by(first).agg(pl.len().alias("headwater_n"), pl.col(last).count().alias("headwater_m"))
    yield "filtered and sorted", frame.filter(pl.col(last).is_not_null()).sort(first, maintain_order=True)
    yield "joined with itself", frame.join(frame, left_on=last, right_on=last, how="left", suffix="_again")
    yield "ranked", frame.select(n=pl.col(first).rank("ordinal").over(last), x=pl.col(last))
    yield "chosen", frame.select(x=pl.when(pl.col(first).is_null()).then(None).otherwise(pl.col(last)))
    yield "under itself", pl.concat([frame.select(last), frame.select(last)]).unique()
    yield "beside its totals", frame.join(frame.select(headwater_n=pl.col(first).null_count()), how="cross")
    yield "in a struct", frame.select(s=pl.struct(first, last) if first != last else pl.struct(first)).unnest("s")


@pytest.mark.filterwarnings("ignore")
def test_no_edge_is_missed_when_a_plan_is_part_of_another_one(stress: bool, tell: Callable[[Tally], None]) -> None:
    tally = Tally("Polars, inside of other plans")

    def wrapped(text: str, frames: Mapping[str, pl.DataFrame], at: int) -> pl.LazyFrame:
        return [frame for _, frame in polars_wraps(frame_of(text, frames))][at]

    for number, pair in enumerate(pair for pair in read_pairs("polars.txt") if "elsewhere" not in pair.text):
        for at, (title, frame) in enumerate(polars_wraps(frame_of(pair.text))):
            if not stress and (number + at) % 30 != 0:
                continue

            def execute(text: str, world: int | None, at: int = at) -> Output:
                made = wrapped(text, FRAMES if world is None else WORLDS[world][2], at).collect()
                return columns(made.columns, made.rows())

            try:
                execute(pair.text, None)
            except pl.exceptions.PolarsError:
                continue
            read = {"plan": Columns().of_frame(frame, resolver(FRAMES))}
            tally.hold(number + at, Pair(title=f"{pair.title}, {title}", text=pair.text), read, execute, full=False)
    tell(tally)
    assert not tally.missed
    assert tally.pairs > (900 if stress else 25)


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """The tables, and one schema for each world, which holds only what is changed in it."""
    with duckdb.connect(config={"threads": 1}) as connection:
        fill(connection)
        for number, (table, _, frames) in enumerate(WORLDS):
            connection.execute(f"CREATE SCHEMA w{number}")
            connection.execute(f"USE w{number}")
            fill(connection, {table: frames[table]})
        yield connection


def execute_in(database: duckdb.DuckDBPyConnection) -> Execute:
    def execute(text: str, world: int | None) -> Output:
        database.execute("SET search_path = 'main'" if world is None else f"SET search_path = 'w{world},main'")
        result = database.execute(text)
        return columns(numbered([each[0] for each in result.description]), result.fetchall())

    return execute


def numbered(names: list[str]) -> list[str]:
    """The names that these columns get in a table."""
    return [f"{name}_{names[:at].count(name)}" if name in names[:at] else name for at, name in enumerate(names)]


def test_no_edge_of_a_duckdb_query_is_missed(
    database: duckdb.DuckDBPyConnection, stress: bool, tell: Callable[[Tally], None]
) -> None:
    tally, planned = Tally("DuckDB"), 0
    for number, pair in enumerate([*read_pairs("duckdb.txt"), *read_pairs("shapes.txt")]):
        read = {
            "both": lineage_of_sql(pair.text, "duckdb"),
            "text": sqlglot_walk.of_sql(pair.text, SCHEMAS, dialect="duckdb"),
        }
        plan = duckdb_plan.of_sql(pair.text, SCHEMAS)
        if plan is not None:
            planned += 1
            read["plan"] = plan
        tally.hold(number, pair, read, execute_in(database), full=stress)
    tell(tally)
    assert not tally.missed
    assert tally.moved > 100
    assert planned > 0.95 * tally.pairs


WRAPS = (
    "SELECT t.{first}, count(*) AS headwater_n FROM ({query}) AS t GROUP BY t.{first}",
    "SELECT * FROM ({query}) AS t WHERE t.{last} IS NOT NULL ORDER BY t.{first}",
    "WITH t AS ({query}) SELECT a.{first} AS x, b.{last} AS y FROM t AS a LEFT JOIN t AS b ON a.{last} = b.{last}",
    "SELECT row_number() OVER (PARTITION BY t.{last} ORDER BY t.{first}) AS n, t.{first} AS x FROM ({query}) AS t",
    "SELECT c.name, (SELECT count(t.{first}) FROM ({query}) AS t WHERE t.{last} IS NOT NULL) AS n FROM customers AS c",
    "SELECT c.name FROM customers AS c WHERE EXISTS (SELECT 1 FROM ({query}) AS t WHERE t.{first} IS NOT NULL)",
    "SELECT DISTINCT t.{last} AS x FROM ({query}) AS t UNION ALL SELECT t.{last} FROM ({query}) AS t",
    "SELECT CASE WHEN t.{first} IS NULL THEN 'none' ELSE t.{last}::VARCHAR END AS x FROM ({query}) AS t",
    "SELECT max(COLUMNS(*)) FROM ({query}) AS t",
    "SELECT c.name, l.* FROM customers AS c, LATERAL (SELECT t.{last} AS x FROM ({query}) AS t WHERE c.score > 3) AS l",
)
"""What is around a query when it is a part of another one."""


def test_no_edge_is_missed_when_a_query_is_part_of_another_one(
    database: duckdb.DuckDBPyConnection, stress: bool, tell: Callable[[Tally], None]
) -> None:
    tally = Tally("DuckDB, inside of other queries")
    pairs = [*read_pairs("duckdb.txt"), *read_pairs("shapes.txt")]
    for number, pair in enumerate(pairs):
        query = pair.text.rstrip("; ")
        names = ['"' + name.replace('"', '""') + '"' for name, _ in execute_in(database)(query, None).values()]
        for at, wrap in enumerate(WRAPS):
            if not stress and (number + at) % 40 != 0:
                continue
            text = wrap.format(query=query, first=names[0], last=names[-1])
            try:
                execute_in(database)(text, None)
            except duckdb.Error:
                continue
            read = {"both": lineage_of_sql(text, "duckdb")}
            tally.hold(
                number + at, Pair(title=f"{pair.title}: {wrap}", text=text), read, execute_in(database), full=False
            )
    tell(tally)
    assert not tally.missed
    assert tally.pairs > (1_000 if stress else 25)


def in_duckdb(text: str, dialect: str, database: duckdb.DuckDBPyConnection) -> str | None:
    """The query in DuckDB's words; None when it has none, or DuckDB can't execute them."""
    try:
        tree = sqlglot.parse_one(text, read=dialect)
        translated = tree.sql("duckdb")
        if not isinstance(tree, exp.Query) or tree.args.get("locks"):
            return None
        execute_in(database)(translated, None)
    except (SqlglotError, duckdb.Error):
        return None
    return translated


def test_no_edge_of_another_dialect_is_missed(
    database: duckdb.DuckDBPyConnection, stress: bool, tell: Callable[[Tally], None]
) -> None:
    tally = Tally("PostgreSQL and other dialects")
    pairs = [(pair, "postgres") for pair in read_pairs("postgres.txt")]
    pairs += [(pair, pair.title.partition(":")[0]) for pair in read_pairs("dialects.txt")]
    for number, (pair, dialect) in enumerate(pairs):
        text = in_duckdb(pair.text, dialect, database)
        if text is not None:
            lineage = lineage_of_sql(pair.text, dialect)
            tally.hold(number, Pair(title=pair.title, text=text), {"text": lineage}, execute_in(database), full=stress)
    tell(tally)
    assert not tally.missed
    assert tally.pairs > 0.7 * len(pairs)


def test_this_test_would_notice_a_missing_edge() -> None:
    lineage = lineage_of_frame('orders.filter(pl.col("quantity") > 1).select(x="amount")')
    assert missed(lineage, "orders", "amount", {"x"}) == []
    assert missed(lineage, "orders", "quantity", {"x"}) == []
    assert missed(lineage, "orders", "status", {"x"}) == ["x"]
