"""Nothing is missed: change one source column, execute, and every output column that changes must have said so."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb
import polars as pl
import pytest
from columns_data import FRAMES, Pair, fill, frame_of, lineage_of_frame, lineage_of_sql, read_pairs

from headwater.assets.protocols import PlanLineage

Output = dict[int, tuple[str, list[str]]]


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


def columns(names: list[str], rows: list[tuple[Any, ...]]) -> Output:
    """Output columns with their values in a fixed order, since most queries promise none."""
    return {at: (name, sorted(repr(row[at]) for row in rows)) for at, name in enumerate(names)}


def missed(lineage: PlanLineage, table: str, column: str, before: Output, after: Output) -> list[str]:
    """The output columns that changed and that nothing in the lineage accounts for."""
    covered = {each.column for each in lineage.edges if (each.source, each.source_column) == (table, column)}
    covered |= {each.column for each in lineage.unknown}
    changed = {name for at, (name, values) in before.items() if after[at][1] != values}
    return [] if None in covered else sorted(changed - covered)


def execute_frame(text: str, frames: Mapping[str, pl.DataFrame]) -> Output:
    frame = frame_of(text, frames).collect()
    return columns(frame.columns, frame.rows())


RUNNABLE = [pair for pair in read_pairs("polars.txt") if "elsewhere" not in pair.text]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("pair", RUNNABLE, ids=lambda pair: pair.title)
def test_no_edge_of_a_plan_is_missed(pair: Pair) -> None:
    lineage = lineage_of_frame(pair.text)
    before = execute_frame(pair.text, FRAMES)
    for table, column, frames in WORLDS:
        if table in pair.text:
            after = execute_frame(pair.text, frames)
            assert not missed(lineage, table, column, before, after), f"{table}.{column}"


@pytest.fixture(scope="module")
def databases() -> Iterator[duckdb.DuckDBPyConnection]:
    """One schema for each perturbation, holding the changed table beside views of the others."""
    with duckdb.connect(config={"threads": 1}) as connection:
        fill(connection)
        for number, (table, _, frames) in enumerate(WORLDS):
            connection.execute(f"CREATE SCHEMA w{number}")
            connection.execute(f"USE w{number}")
            fill(connection, {table: frames[table]})
            for other in FRAMES.keys() - {table}:
                connection.execute(f"CREATE VIEW {other} AS FROM main.{other}")
        yield connection


def execute_query(text: str, database: duckdb.DuckDBPyConnection, schema: str) -> Output:
    database.execute(f"USE {schema}")
    result = database.execute(text)
    return columns(numbered([each[0] for each in result.description]), result.fetchall())


def numbered(names: list[str]) -> list[str]:
    """The names that these columns get in a table."""
    return [f"{name}_{names[:at].count(name)}" if name in names[:at] else name for at, name in enumerate(names)]


@pytest.mark.parametrize("pair", read_pairs("duckdb.txt"), ids=lambda pair: pair.title)
def test_no_edge_of_a_query_is_missed(pair: Pair, databases: duckdb.DuckDBPyConnection) -> None:
    lineage = lineage_of_sql(pair.text, "duckdb")
    before = execute_query(pair.text, databases, "main")
    for number, (table, column, _) in enumerate(WORLDS):
        if table in pair.text:
            after = execute_query(pair.text, databases, f"w{number}")
            assert not missed(lineage, table, column, before, after), f"{table}.{column}"


def test_this_test_would_notice_a_missing_edge() -> None:
    before, after = {0: ("x", ["1"])}, {0: ("x", ["2"])}
    lineage = lineage_of_frame('orders.filter(pl.col("quantity") > 1).select(x="amount")')
    assert missed(lineage, "orders", "amount", before, after) == []
    assert missed(lineage, "orders", "quantity", before, after) == []
    assert missed(lineage, "orders", "status", before, after) == ["x"]
