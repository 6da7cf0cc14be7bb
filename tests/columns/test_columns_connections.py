"""Statements on a connection that Headwater gave: what they make of the inputs is followed to what the function returns."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tried import tried_on

from headwater import Asset, materialize, sql, sql_connection
from headwater.assets.events import ColumnSchema
from headwater.errors import DefinitionError
from headwater.lineage.columns import Columns
from headwater.project import Project
from headwater.testing import project


@pytest.fixture
def shop() -> Iterator[Project]:
    with project() as found:
        yield found


def made(name: str, at: str, rows: dict[str, list[Any]]) -> Asset:
    asset = Asset(name, at=at)

    @materialize(asset)
    def make() -> pl.DataFrame:
        return pl.DataFrame(rows)

    make()
    return asset


def orders(at: str = "parquet://lake/orders") -> Asset:
    return made("orders", at, {"id": [1, 2, 3], "customer": [1, 1, 2], "amount": [5.0, 7.5, 2.0]})


def edges(shop: Project, target: str) -> set[tuple[Any, ...]]:
    with shop.projection.session() as session:
        ask = "select target_column, source, source_column, subtype from column_edges where target = ?"
        return set(session.rows(ask, [target]))


def reasons(shop: Project, target: str) -> dict[str | None, str]:
    return {row["column"]: row["reason"] for row in shop.reader.unknown_columns(target)}


@pytest.mark.parametrize("at", ["parquet://lake/orders", "duckdb://shop.duckdb/main.orders", "memory://orders"])
def test_tables_and_views_on_the_way_are_followed(shop: Project, at: str) -> None:
    source = orders(at)

    @materialize("parquet://lake/spent", inputs={"rows": source})
    def spent(rows: Asset) -> duckdb.DuckDBPyRelation:
        con = sql_connection(orders=rows)
        con.execute("CREATE TABLE large AS SELECT customer, amount * 2 AS twice FROM orders WHERE id > ?", [1])
        con.execute("CREATE VIEW named AS SELECT customer AS who, twice FROM large; SELECT count(*) FROM named")
        assert con.fetchall() == [(2,)]
        return con.sql("SELECT who, sum(twice) AS total FROM named GROUP BY who").filter("total > 0")

    assert sorted(spent().fetchall()) == [(1, 15.0), (2, 4.0)]
    assert edges(shop, "spent") == {
        ("who", "orders", "customer", "IDENTITY"),
        ("total", "orders", "amount", "AGGREGATION"),
        (None, "orders", "id", "FILTER"),
        (None, "orders", "customer", "GROUP_BY"),
        (None, "orders", "amount", "FILTER"),
    }
    assert not reasons(shop, "spent")


def test_statements_with_comments_between_them_are_followed(shop: Project) -> None:
    source = orders()

    @materialize("duckdb://shop.duckdb/main.large", inputs={"rows": source})
    def large(rows: Asset) -> duckdb.DuckDBPyRelation:
        con = sql_connection(orders=rows)
        con.execute("""
            -- Where they are kept; until then
            CREATE TABLE kept (id BIGINT, twice DOUBLE); -- update me
            /* All of them */ INSERT INTO kept SELECT id, amount * 2 FROM orders;
            CREATE VIEW named AS SELECT id AS "größe; -- no", twice FROM kept WHERE id > 1;

            -- Nobody reads this one
            DROP VIEW IF EXISTS other; -- the end
        """)
        return con.sql("SELECT * FROM named; -- done")

    @materialize("duckdb://shop.duckdb/main.all_of_it", inputs={"rows": source})
    def all_of_it(rows: Asset) -> Any:
        return sql("SELECT max(COLUMNS(*)) FROM {rows}; -- the end", rows=rows)

    large()
    assert edges(shop, "large") == {
        ("größe; -- no", "orders", "id", "IDENTITY"),
        ("twice", "orders", "amount", "TRANSFORMATION"),
        (None, "orders", "id", "FILTER"),
    }
    all_of_it()
    assert {(column, of) for column, _, of, _ in edges(shop, "all_of_it")} == {
        (name, name) for name in ("id", "customer", "amount")
    }
    assert not {**reasons(shop, "large"), **reasons(shop, "all_of_it")}


def test_what_is_inserted_and_replaced_is_followed(shop: Project) -> None:
    source = orders()

    @materialize("parquet://lake/both", inputs={"rows": source})
    def both(rows: Asset) -> duckdb.DuckDBPyRelation:
        con = sql_connection(orders=rows)
        con.execute("CREATE TABLE found (n BIGINT, of DOUBLE); INSERT INTO found SELECT id, amount FROM orders")
        con.execute("INSERT INTO found (of, n) VALUES (0.5, 9)")
        con.execute("INSERT INTO found BY NAME SELECT customer AS n FROM orders")
        con.execute("CREATE OR REPLACE TABLE found AS SELECT n FROM found ORDER BY of; DROP TABLE IF EXISTS nothing")
        return con.table("found")

    assert len(both()) == 7
    assert edges(shop, "both") == {
        ("n", "orders", "id", "IDENTITY"),
        ("n", "orders", "customer", "IDENTITY"),
        (None, "orders", "amount", "SORT"),
    }


def test_several_inputs_meet_on_one_connection(shop: Project) -> None:
    source, people = orders(), made("people", "duckdb://shop.duckdb/main.people", {"id": [1, 2], "name": ["Ada", "Bo"]})

    @materialize("parquet://lake/named", inputs={"rows": source, "who": people})
    def named(rows: Asset, who: pl.LazyFrame) -> duckdb.DuckDBPyRelation:
        con = sql_connection(orders=rows, people=who)
        return (
            con.table("orders")
            .set_alias("o")
            .join(con.table("people").set_alias("p"), "o.customer = p.id")
            .select("name, amount")
        )

    named()
    assert edges(shop, "named") == {
        ("name", "people", "name", "IDENTITY"),
        ("amount", "orders", "amount", "IDENTITY"),
        (None, "orders", "customer", "JOIN"),
        (None, "people", "id", "JOIN"),
    }


Step = Callable[[Any], object]
UNSEEN: dict[str, Step] = {
    "executemany": lambda con: con.executemany("INSERT INTO kept VALUES (?, ?, ?)", [[7, 7, 7.0]]),
    "insert_into": lambda con: con.sql("SELECT id, id, id FROM orders").insert_into("kept"),
    "update": lambda con: con.table("kept").update({"amount": 1.0}, condition="id = 2"),
    "update of what was updated": lambda con: (
        con.execute("UPDATE kept SET amount = 2 WHERE id = 1").table("kept").update({"amount": 1.0})
    ),
    "insert in a transaction": lambda con: (con.begin(), con.sql("FROM orders").insert_into("kept"), con.commit()),
    "update in a transaction": lambda con: (
        con.begin().execute("CREATE OR REPLACE TABLE kept AS SELECT * FROM orders"),
        con.table("kept").update({"amount": 1.0}),
        con.execute("COMMIT"),
    ),
    "update of what is temporary": lambda con: (
        con.execute("CREATE TEMP TABLE x AS FROM kept; CREATE TEMP VIEW y AS FROM x"),
        con.table("x").update({"amount": 1.0}),
    ),
    "two of one name": lambda con: con.execute("CREATE TEMP TABLE kept AS SELECT id, customer, amount FROM orders"),
    "macro": lambda con: con.execute("CREATE MACRO least() AS (SELECT min(amount) FROM orders)"),
    "replaced view": lambda con: con.sql("SELECT 1 AS id, 2 AS customer, 3 AS amount").create_view(
        "seen", replace=True
    ),
    "variable": lambda con: con.execute("SET VARIABLE top = (SELECT max(amount) FROM orders)"),
    "search path": lambda con: con.execute("SET search_path = 'main'"),
    "trigger": lambda con: con.execute(
        "CREATE TABLE x AS FROM kept; CREATE TRIGGER more AFTER INSERT ON x FOR EACH STATEMENT INSERT INTO kept FROM x"
    ),
    "generated column": lambda con: con.execute("CREATE TABLE x (id BIGINT, twice BIGINT AS (id * 2))"),
    "conflict with any key": lambda con: con.execute(
        "CREATE TABLE x (id BIGINT PRIMARY KEY); INSERT OR REPLACE INTO x SELECT id FROM orders"
    ),
    "change in a query": lambda con: con.execute(
        "WITH x AS (DELETE FROM kept RETURNING id) SELECT * FROM x"
    ).fetchall(),
    "explained change": lambda con: con.execute("EXPLAIN ANALYZE DELETE FROM kept"),
    "schema": lambda con: con.execute("CREATE SCHEMA s; CREATE TABLE s.t AS SELECT id FROM kept").sql("FROM s.t"),
    "another schema": lambda con: con.execute("CREATE SCHEMA s; USE s; CREATE TABLE t (id BIGINT); USE memory.main"),
}


@pytest.mark.parametrize("step", UNSEEN.values(), ids=UNSEEN.keys())
def test_what_can_not_be_followed_is_unknown(shop: Project, step: Step) -> None:
    source = orders()

    @materialize("parquet://lake/after", inputs={"rows": source})
    def after(rows: Asset) -> duckdb.DuckDBPyRelation:
        con = sql_connection(orders=rows)
        con.execute("CREATE TABLE kept AS SELECT * FROM orders; CREATE VIEW seen AS SELECT * FROM kept")
        step(con)
        return con.sql("SELECT amount FROM seen")

    after()
    assert edges(shop, "after") == set()
    assert None in reasons(shop, "after")
    assert [edge.source for edge in shop.reader.graph("after").edges] == ["orders"], "the asset is known to be read"


def test_a_reason_names_the_statement(shop: Project) -> None:
    source = orders()

    @materialize("parquet://lake/after", inputs={"rows": source})
    def after(rows: Asset) -> duckdb.DuckDBPyRelation:
        con = sql_connection(orders=rows)
        con.execute("CREATE TABLE kept (id BIGINT PRIMARY KEY)")
        con.execute("INSERT INTO kept SELECT id FROM orders ON CONFLICT DO NOTHING; INSERT INTO kept VALUES (9)")
        return con.sql("FROM kept")

    after()
    assert reasons(shop, "after") == {
        None: "the connection executed 'INSERT INTO kept SELECT id FROM orders ON CONFLICT DO NOTHIN', which is not understood"
    }


def test_what_fails_and_what_is_still_to_be_fetched_change_nothing(shop: Project) -> None:
    source = orders()

    @materialize("parquet://lake/after", inputs={"rows": source})
    def after(rows: Asset) -> duckdb.DuckDBPyRelation:
        con = sql_connection(orders=rows)
        con.begin().execute("CREATE TEMP TABLE kept AS SELECT amount FROM orders")
        assert con.execute("INSERT INTO kept SELECT id FROM orders RETURNING amount").fetchall() == [
            (1.0,),
            (2.0,),
            (3.0,),
        ]
        con.rollback().begin().execute("CREATE TEMP TABLE kept AS SELECT customer AS amount FROM orders")
        with pytest.raises(duckdb.ConversionException):
            con.execute("UPDATE kept SET amount = 'much'")
        con.rollback().execute("CREATE TEMP TABLE kept AS SELECT amount FROM orders")
        con.execute("FROM range(1000000)")
        found = con.sql("FROM kept")
        assert con.fetchone() == (0,)
        con.execute("ANALYZE")
        return found

    after()
    assert edges(shop, "after") == {("amount", "orders", "amount", "IDENTITY")}
    assert not reasons(shop, "after")


def test_rows_that_were_fetched_keep_the_asset_and_lose_the_columns(shop: Project) -> None:
    source = orders()

    @materialize("parquet://lake/fetched", inputs={"rows": source})
    def fetched(rows: Asset) -> list[dict[str, Any]]:
        return [{"id": one} for (one,) in sql_connection(orders=rows).execute("SELECT id FROM orders").fetchall()]

    fetched()
    assert edges(shop, "fetched") == set()
    assert [edge.source for edge in shop.reader.graph("fetched").edges] == ["orders"]


def test_a_frame_that_nobody_knows_is_of_unknown_origin(shop: Project) -> None:
    @materialize("parquet://lake/foreign")
    def foreign() -> duckdb.DuckDBPyRelation:
        return sql_connection(given=pl.DataFrame({"a": [1]})).sql("SELECT a FROM given")

    foreign()
    assert shop.catalog.facts().of("foreign").made[None].unknown_inputs
    with pytest.raises(DefinitionError, match="the input 'given' of the query is a list"):
        sql_connection(given=[1])


SCHEMA = tuple(ColumnSchema(name=name, type="BIGINT") for name in "abcd")
OTHERS = {"a": "5 - a", "b": "b * 7 % 5", "c": "c + 3", "d": "NULL::BIGINT"}


class _Author:
    """Writes scripts of random statements, and a query at the end."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._tables = {"t": list("abcd")}

    def script(self) -> tuple[list[str], str]:
        statements = [self._statement(f"m{number}") for number in range(self._random.randint(1, 4))]
        query, columns = self._select()
        return statements, f"SELECT * FROM ({query}) ORDER BY {', '.join(columns)}"

    def _statement(self, name: str) -> str:
        query, columns = self._select()
        into = [table for table in self._tables if table != "t" and not table.startswith("v")]
        if into and self._random.random() < 0.3:
            table = self._random.choice(into)
            query = f"SELECT {', '.join(self._expression(columns) for _ in self._tables[table])} FROM ({query})"
            return f"INSERT INTO {table} {query}"
        if into and self._random.random() < 0.5:
            table = self._random.choice(into)
            one, value, *sides = (
                self._random.choice(self._tables[table]),
                *(self._expression(self._tables[table]) for _ in "123"),
            )
            where = f"WHERE {' > '.join(sides)}"
            return self._random.choice([f"UPDATE {table} SET {one} = {value} {where}", f"DELETE FROM {table} {where}"])
        kind = self._random.choice(["TABLE", "VIEW", "TEMP TABLE"])
        name = f"v{name}" if kind == "VIEW" else name
        self._tables[name] = columns
        return f"CREATE {kind} {name} AS {query}"

    def _select(self) -> tuple[str, list[str]]:
        table = self._random.choice(list(self._tables))
        own, made = self._tables[table], [f"c{number}" for number in range(self._random.randint(1, 3))]
        where = f" WHERE {self._expression(own)} > {self._expression(own)}" if self._random.random() < 0.4 else ""
        if self._random.random() < 0.25:
            key, *rest = made
            values = [
                f"{self._random.choice(['sum', 'max', 'count'])}({self._expression(own)}) AS {one}" for one in rest
            ]
            return (
                f"SELECT {', '.join([f'{self._expression(own)} AS {key}', *values])} FROM {table}{where} GROUP BY 1",
                made,
            )
        if self._random.random() < 0.2:
            other = self._random.choice(list(self._tables))
            on = f"x.{self._random.choice(own)} = y.{self._random.choice(self._tables[other])}"
            listed = [f"x.{self._random.choice(own)} AS {one}" for one in made[:1]]
            listed += [f"y.{self._random.choice(self._tables[other])} AS {one}" for one in made[1:]]
            return f"SELECT {', '.join(listed)} FROM {table} x LEFT JOIN {other} y ON {on}", made
        listed = [f"{self._expression(own)} AS {one}" for one in made]
        return f"SELECT {', '.join(listed)} FROM {table}{where}", made

    def _expression(self, columns: list[str]) -> str:
        one, two, three = (self._random.choice(columns) for _ in range(3))
        return self._random.choice(
            (
                *(one, one, "3", f"{one} + {two}", f"coalesce({one}, {two})"),
                f"CASE WHEN {one} > 2 THEN {two} ELSE {three} END",
                f"(SELECT max({self._random.choice('abcd')}) FROM t) - {one}",
            )
        )


def outcome(statements: list[str], query: str, changed: str | None) -> dict[str, list[Any]]:
    with duckdb.connect() as con:
        listed = ", ".join(f"{OTHERS[one]} AS {one}" if one == changed else one for one in "abcd")
        rows = "(VALUES (1, 2, 3, 4), (2, 3, 1, 0), (3, 1, 4, 4), (4, 4, 0, 2), (2, 0, 3, 1)) AS v(a, b, c, d)"
        con.execute(f"CREATE TABLE t AS SELECT {listed} FROM {rows}")
        for statement in statements:
            con.execute(statement)
        found = con.sql(query)
        return dict(zip(found.columns, map(list, zip(*found.fetchall(), strict=True)), strict=False))


@tried_on(6, full=300)
@given(st.integers(min_value=0, max_value=2**32))
def test_no_edge_is_missed_through_random_statements(seed: int) -> None:
    statements, query = _Author(seed).script()
    script = Columns().script({"t": ("t", SCHEMA)})
    with duckdb.connect() as con:
        con.execute("CREATE TABLE t (a BIGINT, b BIGINT, c BIGINT, d BIGINT)")
        for statement in statements:
            con.execute(statement)
            described = con.execute(f"DESCRIBE {script.table_of(statement)}").fetchall()
            script.executed(statement, [ColumnSchema(name=row[0], type=row[1]) for row in described])
    found = script.of_query(query)
    assert not found.unknown
    before = outcome(statements, query, None)
    for column in "abcd":
        claimed = {edge.column for edge in found.edges if edge.source_column == column}
        after = outcome(statements, query, column)
        differs = {name for name in before | after if before.get(name) != after.get(name)}
        assert None in claimed or differs <= claimed, (statements, query, column)
