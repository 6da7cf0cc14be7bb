"""Columns of assets as a user makes them: what the function returned decides what is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError
from typing import Any

import duckdb
import polars as pl
import pytest

from headwater import Asset, derived_from, flow, materialize, sql, sql_connection
from headwater.assets.events import InputVersion
from headwater.assets.reading import remember
from headwater.assets.tracking import Sources, Tracker
from headwater.project import Project
from headwater.testing import project


@pytest.fixture
def shop() -> Iterator[Project]:
    with project() as found:
        yield found


def orders(at: str) -> Asset:
    asset = Asset("orders", at=at)

    @materialize(asset)
    def make() -> pl.DataFrame:
        return pl.DataFrame({"id": [1, 2, 3], "customer": [1, 1, 2], "amount": [5.0, 7.5, None]})

    make()
    return asset


def edges(shop: Project, target: str) -> set[tuple[Any, ...]]:
    with shop.projection.session() as session:
        found = session.rows(
            "select target_column, source, source_column, subtype from column_edges where target = ?", [target]
        )
        return set(found)


def unknown(shop: Project, target: str) -> dict[str | None, str]:
    return {row["column"]: row["reason"] for row in shop.reader.unknown_columns(target)}


def has_unknown_inputs(shop: Project, name: str) -> bool:
    return shop.catalog.facts().of(name).made[None].unknown_inputs


@pytest.mark.parametrize("form", [pl.LazyFrame, pl.DataFrame])
@pytest.mark.parametrize("at", ["parquet://lake/kept", "duckdb://shop.duckdb/main.kept"])
def test_what_a_plan_holds_of_an_input_that_was_collected_is_unknown(shop: Project, form: Any, at: str) -> None:
    source, banned = orders("parquet://lake/orders"), Asset("banned", at="parquet://lake/banned")

    @materialize(banned)
    def ban() -> pl.DataFrame:
        return pl.DataFrame({"id": [2, 5]})

    def in_plan(rows: pl.LazyFrame, those: Any) -> pl.LazyFrame:
        return rows.filter(~pl.col("id").is_in(those.lazy().collect()["id"]))

    def in_text(rows: pl.LazyFrame, those: Any) -> Any:
        return sql(f"SELECT * FROM {{rows}} WHERE id <> {those.lazy().collect().item(0, 'id')}", rows=rows)

    made = in_plan if at.startswith("parquet") else in_text
    made.__annotations__["those"] = form
    ban()
    materialize(at, inputs={"rows": source, "those": banned})(made)()
    assert ("amount", "orders", "amount", "IDENTITY") in edges(shop, "kept")
    assert unknown(shop, "kept") == {None: "'banned' was read outside of the plan or query"}


def test_an_input_of_one_output_is_not_missed_in_another_one_nor_is_what_was_waited_for(shop: Project) -> None:
    source, other = orders("parquet://lake/orders"), Asset("other", at="parquet://lake/other")
    one, two, three = (Asset(name, at=f"parquet://lake/{name}") for name in ("one", "two", "three"))

    @materialize(other)
    def make() -> pl.DataFrame:
        return pl.DataFrame({"n": [1]})

    @materialize(one, two, inputs={"rows": source, "numbers": other})
    def both(rows: pl.LazyFrame, numbers: pl.LazyFrame) -> tuple[pl.LazyFrame, pl.LazyFrame]:
        return rows.select("id"), numbers

    @materialize(three, inputs={"rows": source})
    def after(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows

    @flow
    def main() -> None:
        made = make.submit()
        after.submit(wait_for=[made]).result()
        both()

    main()
    assert [unknown(shop, name) for name in ("one", "two", "three")] == [{}, {}, {}]


PLACES = ["parquet://lake/orders", "duckdb://shop.duckdb/main.orders", "memory://orders"]


@pytest.mark.parametrize("at", PLACES)
def test_a_relation_says_by_which_query_it_was_made(shop: Project, at: str) -> None:
    source = orders(at)

    @materialize("parquet://lake/spent", inputs={"rows": source})
    def spent(rows: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
        return rows.filter("amount > 1").aggregate("customer, sum(amount) AS total").order("total")

    spent()
    assert edges(shop, "spent") == {
        ("customer", "orders", "customer", "IDENTITY"),
        ("total", "orders", "amount", "AGGREGATION"),
        (None, "orders", "amount", "FILTER"),
        (None, "orders", "amount", "SORT"),
        (None, "orders", "customer", "GROUP_BY"),
    }
    assert not unknown(shop, "spent")
    assert not has_unknown_inputs(shop, "spent")


def test_a_relation_as_it_was_given_and_a_statement_on_it(shop: Project) -> None:
    source = orders("duckdb://shop.duckdb/main.orders")

    @materialize("parquet://lake/same", inputs={"rows": source})
    def same(rows: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
        return rows

    @materialize("parquet://lake/asked", inputs={"rows": source})
    def asked(rows: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
        return rows.query("o", "SELECT COLUMNS('i|a.*'), id * 2 AS twice FROM o WHERE customer = 1")

    @flow
    def main() -> None:
        same()
        asked()

    main()
    assert edges(shop, "same") == {(each, "orders", each, "IDENTITY") for each in ("id", "customer", "amount")}
    assert edges(shop, "asked") == {
        ("id", "orders", "id", "IDENTITY"),
        ("amount", "orders", "amount", "IDENTITY"),
        ("twice", "orders", "id", "TRANSFORMATION"),
        (None, "orders", "customer", "FILTER"),
    }


def test_a_relation_of_elsewhere_is_of_unknown_origin(shop: Project) -> None:
    @materialize("parquet://lake/numbers")
    def numbers() -> duckdb.DuckDBPyRelation:
        return duckdb.connect().sql("SELECT * FROM (VALUES (1), (2)) AS v(n)")

    connection = duckdb.connect()
    connection.execute("CREATE TABLE elsewhere AS SELECT 1 AS id")

    @materialize("parquet://lake/taken")
    def taken() -> duckdb.DuckDBPyRelation:
        return connection.sql("SELECT id FROM elsewhere")

    numbers()
    taken()
    assert (edges(shop, "numbers"), unknown(shop, "numbers"), has_unknown_inputs(shop, "numbers")) == (set(), {}, False)
    assert unknown(shop, "taken") == {"id": "elsewhere is no known asset"}
    assert has_unknown_inputs(shop, "taken")


def test_a_query_over_an_asset_may_be_as_awkward_as_duckdb_allows(shop: Project) -> None:
    source = orders("duckdb://shop.duckdb/main.orders")

    @materialize("duckdb://shop.duckdb/main.wide", inputs={"rows": source})
    def wide(rows: Asset) -> Any:
        return sql("SELECT max(COLUMNS(* EXCLUDE (customer))) FROM {rows} o GROUP BY customer", rows=rows)

    wide()
    assert edges(shop, "wide") == {
        ("id", "orders", "id", "AGGREGATION"),
        ("amount", "orders", "amount", "AGGREGATION"),
        (None, "orders", "customer", "GROUP_BY"),
    }
    assert not unknown(shop, "wide")


def test_nested_types_do_not_hide_a_query_from_duckdb(shop: Project) -> None:
    source = Asset("nested", at="parquet://lake/nested")

    @materialize(source)
    def make() -> pl.DataFrame:
        return pl.DataFrame({"id": [1], "place": [{"city": "A", "at": [1.0, 2.0]}], "items": [[1, 2]]})

    @materialize("duckdb://shop.duckdb/main.flat", inputs={"rows": source})
    def flat(rows: Asset) -> Any:
        return sql("SELECT id, place.*, unnest(items) AS item FROM {rows}", rows=rows)

    make()
    flat()
    assert edges(shop, "flat") == {
        ("id", "nested", "id", "IDENTITY"),
        ("city", "nested", "place", "TRANSFORMATION"),
        ("at", "nested", "place", "TRANSFORMATION"),
        ("item", "nested", "items", "TRANSFORMATION"),
        (None, "nested", "items", "JOIN"),
    }


def test_an_eager_frame_that_was_changed_in_place_keeps_what_still_lies_where_it_lay(shop: Project) -> None:
    source = orders("parquet://lake/orders")

    @materialize("parquet://lake/changed", inputs={"rows": source})
    def changed(rows: pl.DataFrame) -> pl.DataFrame:
        rows.insert_column(1, pl.Series("made", [7, 8, 9]))
        rows.insert_column(1, pl.Series("nothing", [None] * 3))
        rows.replace_column(rows.get_column_index("amount"), pl.Series("amount", [0.0, 0.0, 0.0]))
        return rows

    changed()
    assert edges(shop, "changed") == {
        ("id", "orders", "id", "IDENTITY"),
        ("customer", "orders", "customer", "IDENTITY"),
    }
    assert set(unknown(shop, "changed")) == {"made", "nothing", "amount"}


def test_an_eager_frame_whose_columns_changed_names_in_place_is_not_mistaken(shop: Project) -> None:
    source = orders("parquet://lake/orders")

    @materialize("parquet://lake/swapped", inputs={"rows": source})
    def swapped(rows: pl.DataFrame) -> pl.DataFrame:
        rows.columns = ["customer", "id", "amount"]
        return rows

    swapped()
    assert edges(shop, "swapped") == {("amount", "orders", "amount", "IDENTITY")}
    assert set(unknown(shop, "swapped")) == {"customer", "id"}


@pytest.mark.parametrize(
    ("change", "expected", "added"),
    [
        (lambda rows: rows.rename({"amount": "total"}), {"id": "id", "customer": "customer", "total": "amount"}, set()),
        (
            lambda rows: rows.rename({"id": "customer", "customer": "id"}).drop("amount"),
            {"customer": "id", "id": "customer"},
            set(),
        ),
        (lambda rows: rows.select("customer", id="customer"), {"id": "customer", "customer": "customer"}, set()),
        (lambda rows: rows.select("id", twin="id"), {"id": "id", "twin": "id"}, set()),
        (lambda rows: rows.select("id", amount=None), {"id": "id"}, {"amount"}),
        (lambda rows: rows.with_columns(late=pl.lit(False)).select("id", "late"), {"id": "id"}, {"late"}),
        (lambda rows: rows.with_columns(pl.col("id").cast(pl.Duration)), {}, {"id", "customer", "amount"}),
    ],
    ids=["renamed", "swapped", "overwritten", "twice", "emptied", "added without memory", "cast in place"],
)
def test_a_column_of_an_eager_frame_is_known_by_where_it_lies_and_not_by_its_name(
    shop: Project, change: Any, expected: dict[str, str], added: set[str]
) -> None:
    source = orders("parquet://lake/orders")

    @materialize("parquet://lake/changed", inputs={"rows": source})
    def changed(rows: pl.DataFrame) -> pl.LazyFrame:
        found: pl.DataFrame = change(rows)
        return found.lazy()

    changed()
    found = {column: of for column, _, of, _ in edges(shop, "changed")}
    assert found == expected
    assert set(unknown(shop, "changed")) - {None} == added


@pytest.mark.parametrize("way", ["lazy", "sql", "connection"])
@pytest.mark.parametrize("changed", [False, True], ids=["derived", "changed in place"])
def test_what_python_made_of_an_eager_frame_is_unknown_in_a_plan_and_in_a_query(
    shop: Project, way: str, changed: bool
) -> None:
    source = orders("parquet://lake/orders")

    def made(rows: pl.DataFrame) -> Any:
        if changed:
            rows.columns = ["customer", "id", "amount"]
        else:
            rows = derived_from(pl.DataFrame({"id": [1], "customer": [3], "amount": [2.0]}), rows)
        if way == "lazy":
            return rows.lazy().select("id", "customer")
        text = "SELECT id, customer FROM {rows}"
        return sql(text, rows=rows) if way == "sql" else sql_connection(rows=rows).sql(text.format(rows="rows"))

    materialize("duckdb://shop.duckdb/main.made", inputs={"rows": source})(made)()
    if changed and way == "lazy":
        assert edges(shop, "made") == {
            ("id", "orders", "customer", "IDENTITY"),
            ("customer", "orders", "id", "IDENTITY"),
        }
        assert not unknown(shop, "made")
    else:
        assert edges(shop, "made") == set()
        assert unknown(shop, "made")[None] == (
            "'rows' was changed since it was loaded" if changed else "derived_from does not say how"
        )
    assert [one.source for one in shop.reader.graph("made").edges] == ["orders"]


@pytest.mark.parametrize("form", ["pandas", "eager", "lazy", "relation"])
def test_a_query_over_an_input_in_any_form(shop: Project, form: str) -> None:
    source = orders("parquet://lake/orders")
    kinds: dict[str, Any] = {"eager": pl.DataFrame, "lazy": pl.LazyFrame, "relation": duckdb.DuckDBPyRelation}
    if form == "pandas":
        kinds["pandas"] = pytest.importorskip("pandas").DataFrame

    def made(rows: Any) -> Any:
        return sql("SELECT id, COLUMNS('am.*') * 2 AS twice FROM {rows}", rows=rows)

    made.__annotations__["rows"] = kinds[form]
    materialize("duckdb://shop.duckdb/main.made", inputs={"rows": source})(made)()
    assert edges(shop, "made") == {
        ("id", "orders", "id", "IDENTITY"),
        ("twice", "orders", "amount", "TRANSFORMATION"),
    }
    assert not unknown(shop, "made")


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.__setitem__("customer", rows["id"] * 2),
        lambda rows: rows.__setitem__("x", rows["amount"] * 2),
        lambda rows: rows.loc.__setitem__((0, "amount"), 7.0),
        lambda rows: setattr(rows, "columns", ["customer", "id", "amount"]),
        lambda rows: rows.loc.__setitem__(3, [4, 2, 1.5]),
    ],
    ids=["column", "new column", "value", "exchanged", "more rows"],
)
@pytest.mark.parametrize("way", ["sql", "connection"])
def test_a_pandas_frame_that_was_changed_in_place_is_unknown_in_a_query(shop: Project, change: Any, way: str) -> None:
    pd = pytest.importorskip("pandas")
    source = orders("parquet://lake/orders")

    def made(rows: Any) -> Any:
        change(rows)
        text = "SELECT id, customer, amount FROM {rows}"
        return sql(text, rows=rows) if way == "sql" else sql_connection(rows=rows).sql(text.format(rows="rows"))

    made.__annotations__["rows"] = pd.DataFrame
    materialize("duckdb://shop.duckdb/main.made", inputs={"rows": source})(made)()
    assert edges(shop, "made") == set()
    assert unknown(shop, "made")[None] == "'rows' was changed since it was loaded"
    assert [one.source for one in shop.reader.graph("made").edges] == ["orders"]


def test_a_pandas_frame_without_some_of_its_columns_keeps_the_others(shop: Project) -> None:
    pd = pytest.importorskip("pandas")
    source = orders("parquet://lake/orders")

    def made(rows: Any) -> Any:
        copied = rows[["id"]]
        copied["id"] = 0
        del rows["customer"]
        return sql("SELECT id, amount FROM {rows}", rows=rows)

    made.__annotations__["rows"] = pd.DataFrame
    materialize("duckdb://shop.duckdb/main.made", inputs={"rows": source})(made)()
    assert edges(shop, "made") == {("id", "orders", "id", "IDENTITY"), ("amount", "orders", "amount", "IDENTITY")}
    assert not unknown(shop, "made")


def test_tables_and_views_of_somebody_else_are_inputs_of_a_version_of_their_own(shop: Project) -> None:
    def elsewhere(statement: str) -> None:
        with duckdb.connect(str(shop.root / "theirs.duckdb")) as connection:
            connection.execute(statement)

    elsewhere("CREATE SCHEMA raw; CREATE TABLE raw.paid AS SELECT range AS id, 5 AS amount FROM range(3)")
    elsewhere("CREATE VIEW large AS SELECT id, amount * 2 AS twice FROM raw.paid; CREATE TABLE other AS SELECT 1 AS n")
    paid, large = (
        Asset(name, at=f"duckdb://theirs.duckdb/{at}") for name, at in (("paid", "raw.paid"), ("large", "main.large"))
    )

    @materialize("duckdb://ours.duckdb/main.both", inputs={"rows": paid, "more": large})
    def both(rows: Asset, more: pl.LazyFrame) -> Any:
        return sql("SELECT id, amount, twice FROM {rows} JOIN {more} USING (id)", rows=rows, more=more)

    both()
    assert {("twice", "large", "twice", "IDENTITY"), ("amount", "paid", "amount", "IDENTITY")} <= edges(shop, "both")
    target = shop.definitions.target(large)
    before = shop.materializer(target.asset).version(target, None)
    elsewhere("INSERT INTO other VALUES (2)")
    assert shop.materializer(target.asset).version(target, None) == before
    elsewhere("UPDATE raw.paid SET amount = 6 WHERE id = 1")
    assert shop.materializer(target.asset).version(target, None) != before


def test_two_threads_that_hand_on_the_same_rows_are_told_apart(shop: Project) -> None:
    both = Barrier(2)

    class Meeting(Tracker):
        def knows_other(self, addresses: Mapping[str, int], sources: Sources) -> bool:
            found = super().knows_other(addresses, sources)
            with suppress(BrokenBarrierError):
                both.wait(timeout=0.2)
            return found

    tracker, rows = Meeting(), pl.DataFrame({"id": [1, 2, 3]})
    versions = [(InputVersion(asset=name, namespace="file", dataset=f"/{name}"),) for name in ("left", "right")]
    with ThreadPoolExecutor(2) as pool:
        frames = list(pool.map(lambda one: remember(shop, tracker, rows.clone(), one), versions))
    found = [tracker.of_leaf(leaf) for frame in frames for leaf in shop.columns.leaves(frame.lazy())]
    assert found == versions


def test_assets_that_are_concatenated_are_both_what_it_is_made_of(shop: Project) -> None:
    first, older, file = (
        orders("parquet://lake/orders"),
        Asset("older", at="parquet://lake/older"),
        shop.root / "x.parquet",
    )
    pl.DataFrame({"id": [7], "customer": [1], "amount": [1.0]}).write_parquet(file)

    @materialize(older)
    def make_older() -> pl.DataFrame:
        return pl.DataFrame({"id": [4], "customer": [1], "amount": [1.0]})

    make_older()

    @materialize("parquet://lake/all", inputs={"new": first, "old": older})
    def every(new: pl.LazyFrame, old: pl.LazyFrame) -> pl.LazyFrame:
        return pl.concat([new, old, new]).with_columns(double=pl.col("amount") * 2)

    @materialize("parquet://lake/some", inputs={"new": first})
    def some(new: pl.LazyFrame) -> pl.LazyFrame:
        # As Headwater scans a file, so that Polars makes one scan of the two.
        return pl.concat([new, pl.scan_parquet(file, glob=False, hive_partitioning=False, schema=new.collect_schema())])

    every()
    some()
    assert not has_unknown_inputs(shop, "all")
    assert has_unknown_inputs(shop, "some")
    assert edges(shop, "all") == {
        (column, source, of, kind)
        for source in ("orders", "older")
        for column, of, kind in [
            *((name, name, "IDENTITY") for name in ("id", "customer", "amount")),
            ("double", "amount", "TRANSFORMATION"),
        ]
    }
    assert unknown(shop, "all") == {}
