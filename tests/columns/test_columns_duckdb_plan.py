"""DuckDB's own plan beside the text of a query: when it holds, and when it is left alone."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from columns_data import FRAMES, SCHEMAS, found_lines, lineage_of_sql

from headwater.assets.events import ColumnSchema
from headwater.lineage.columns import Columns, duckdb_plan, queries
from headwater.lineage.columns.algebra import IDENTITY, of_source
from headwater.lineage.columns.duckdb_bound import Bound, bound
from headwater.lineage.columns.duckdb_expressions import read
from headwater.lineage.columns.duckdb_types import duckdb_type

QUERY = "SELECT COLUMNS('i.*') FROM refunds WHERE amount > 1"
REF = {"expression_class": "BOUND_REF", "index": 1}
INPUT = (of_source("orders", "id"), of_source("orders", "amount"))


@pytest.fixture(autouse=True)
def read_anew() -> None:
    queries._read.cache_clear()


def test_the_plan_holds_where_the_text_leaves_something_open() -> None:
    assert found_lines(lineage_of_sql(QUERY, "duckdb")) == ["id <- refunds.id IDENTITY", "* <- refunds.amount FILTER"]


def test_a_version_of_duckdb_that_was_not_examined_leaves_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_plan, "VERSIONS", ("1.",))
    (first, *others) = found_lines(lineage_of_sql(QUERY, "duckdb"))
    assert (first, [line[:5] for line in others]) == ("* <- refunds.amount FILTER", ["? *: "])
    assert found_lines(lineage_of_sql("SELECT id FROM refunds", "duckdb")) == ["id <- refunds.id IDENTITY"]


def test_an_operator_or_a_part_of_one_that_is_not_understood_makes_no_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    def planned(change: dict[str, Any]) -> object:
        found = bound("SELECT id FROM refunds", {"refunds": SCHEMAS["refunds"][1]})
        assert found is not None
        assert found.plan is not None
        strange = Bound(names=found.names, plan={**found.plan, **change})
        monkeypatch.setattr(duckdb_plan, "bound", lambda text, tables: strange)
        return duckdb_plan.of_sql("SELECT id FROM refunds", SCHEMAS)

    assert planned({}) is not None
    assert planned({"type": "LOGICAL_NEW"}) is None
    assert planned({"also": [REF]}) is None
    assert planned({"expressions": []}) is None


@pytest.mark.parametrize(
    "expression",
    [
        {"expression_class": "BOUND_NEW", "children": [REF]},
        {"expression_class": "BOUND_FUNCTION", "children": [REF], "also": {"inside": [REF]}},
        {"expression_class": "BOUND_REF", "index": 7},
    ],
    ids=["a kind", "a part", "a column that is not there"],
)
def test_an_expression_that_is_not_understood_is_unknown(expression: dict[str, Any]) -> None:
    assert read(expression, IDENTITY, INPUT).unknown
    assert not read({"expression_class": "BOUND_FUNCTION", "children": [REF]}, IDENTITY, INPUT).unknown


def test_variables_of_the_program_are_no_tables() -> None:
    elsewhere = pl.DataFrame({"x": [1]})
    assert bound("SELECT x FROM elsewhere", {}) is None
    assert found_lines(lineage_of_sql("SELECT x FROM elsewhere", "duckdb")) == ["? x: elsewhere is no known asset"]
    assert elsewhere.height == 1


def test_the_same_query_is_read_once() -> None:
    one, two = (lineage_of_sql("SELECT id FROM refunds", "duckdb") for _ in range(2))
    assert one is two
    assert lineage_of_sql("SELECT id FROM refunds", "postgres") is not one


def test_types_of_polars_as_duckdb_has_them_bind() -> None:
    frame = pl.DataFrame(
        {"a": [[{"b'": 1.5, "c, d": ["x"]}]], "e": [b"x"], "f": [None]},
        schema_overrides={"e": pl.Binary, "f": pl.Array(pl.UInt8, 2)},
    )
    types = [duckdb_type(str(dtype)) for dtype in frame.schema.values()]
    assert types == ['STRUCT("b\'" DOUBLE, "c, d" String[])[]', "BLOB", "UTINYINT[2]"]


def test_leaves_are_those_that_the_lineage_asks_for() -> None:
    asked = []
    first, second = FRAMES["orders"].lazy(), FRAMES["refunds"].lazy()
    frame = first.join(second, on="id").filter(pl.col("amount") > 1)
    Columns().of_frame(frame, asked.append)
    assert sorted(map(repr, Columns().leaves(frame))) == sorted(map(repr, asked))
    assert Columns().leaves(first.map_batches(lambda each: each).select("no such column")) == []


def test_columns_that_a_query_can_not_tell_apart_are_not_taken_for_each_other() -> None:
    tables = {"t": ("t", [ColumnSchema(name=name, type="BIGINT") for name in ("a", "A", "b")])}
    for text in ("SELECT * FROM t", 'SELECT "A" AS x FROM t', "SELECT sum(a) AS s, b FROM t"):
        found = Columns().of_sql(text, tables, dialect="duckdb")
        assert found.edges == ()
        assert [one.reason for one in found.unknown] == ["columns of 't' have names that differ only in case"]
    assert Columns().of_sql('SELECT "A" AS x FROM t', tables, dialect="postgres").edges[0].source_column == "A"
