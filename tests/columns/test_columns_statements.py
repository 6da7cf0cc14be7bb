"""Statements on a connection as people write them: each is executed, and what it makes must be accounted for by the edges."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import pytest
from columns_data import Pair, read_pairs

from headwater import Asset, materialize, sql_connection
from headwater.project import Project
from headwater.testing import project

TABLES = {
    "t": {"a": [1, 2, 3, 4, 5], "b": [2, 3, 1, 4, 0], "c": [3, 1, 4, 0, 3], "d": [4, 0, 4, 2, 1]},
    "u": {"k": [1, 2, 3, 7, 8], "x": [5, 4, 3, 2, 6], "y": [2, 1, 0, 3, 1]},
}
OTHERS = {"a": "11 - a", "b": "b * 7 % 5 + 1", "c": "c + 3", "d": "3 - d", "k": "9 - k", "x": "x * 3 % 7", "y": "y + 2"}
"""Other values of each column."""

FORMS = read_pairs("statements.txt")


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        yield con


def outcome(con: duckdb.DuckDBPyConnection, script: str, changed: str | None) -> dict[str, list[str]]:
    """The values of each column of `m`, in any order, where one column of the tables has other ones."""
    of_tables = "SELECT 'TABLE', table_name FROM duckdb_tables()"
    of_views = "SELECT 'VIEW', view_name FROM duckdb_views() WHERE NOT internal"
    for kind, name in con.execute(f"{of_views} UNION ALL {of_tables}").fetchall():
        con.execute(f"DROP {kind} {name}")
    for name, rows in TABLES.items():
        listed = [f"({OTHERS[one] if one == changed else one})::BIGINT AS {one}" for one in rows]
        values = ", ".join(map(str, zip(*rows.values(), strict=True)))
        con.execute(f"CREATE TABLE {name} AS SELECT {', '.join(listed)} FROM (VALUES {values}) AS v({', '.join(rows)})")
    con.execute(script)
    found = con.sql("FROM m")
    return dict(
        zip(found.columns, (sorted(map(repr, each)) for each in zip(*found.fetchall(), strict=True)), strict=False)
    )


@pytest.mark.parametrize("pair", FORMS, ids=lambda pair: pair.title)
def test_all_that_statements_make_is_accounted_for(
    pair: Pair, database: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    script = pair.text.replace("{folder}", str(tmp_path))
    with project() as shop:
        found = edges_of(shop, script)
    assert found == [*pair.edges, *pair.unknown]
    before = outcome(database, script, None)
    for source in OTHERS:
        claimed = {edge.partition(" <- ")[0] for edge in found if edge.split()[2].partition(".")[2] == source}
        after = outcome(database, script, source)
        differs = {name for name in before | after if before.get(name) != after.get(name)}
        assert "*" in claimed or differs <= claimed, source


def edges_of(shop: Project, script: str) -> list[str]:
    """What is found of the table `m` that a function's statements make."""
    t, u = Asset("t", at="memory://t"), Asset("u", at="memory://u")

    @materialize(t, u)
    def given() -> tuple[pl.DataFrame, ...]:
        return tuple(map(pl.DataFrame, TABLES.values()))

    @materialize("memory://found", inputs={"t": t, "u": u})
    def found(t: Asset, u: Asset) -> duckdb.DuckDBPyRelation:
        return sql_connection(t=t, u=u).execute(script).sql("FROM m")

    given()
    found()
    ask = """
        select coalesce(target_column, '*') || ' <- ' || source || '.' || source_column || ' ' || subtype as edge
        from column_edges where target = 'found' order by target_column nulls last, edge
    """
    with shop.projection.session() as session:
        edges = [edge for (edge,) in session.rows(ask, [])]
    unknown = shop.reader.unknown_columns("found")
    return [*edges, *(f"? {each['column'] or '*'}: {each['reason']}" for each in unknown)]
