"""Where plans and queries start: files, io sources, frames in memory, tables; and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from columns_data import FRAMES, found_lines, lineage_of_sql, orders, refunds
from polars.io.plugins import register_io_source

from headwater.assets.events import ColumnSchema, UnknownColumn
from headwater.assets.protocols import Leaf
from headwater.lineage.columns import Columns, polars_plan

COLUMNS = Columns()


def leaves_of(frame: pl.LazyFrame) -> list[Leaf]:
    found: list[Leaf] = []
    COLUMNS.of_frame(frame, lambda leaf: found.append(leaf))
    return found


def test_a_scan_gives_its_paths_and_made_up_columns_have_no_source(tmp_path: Path) -> None:
    path = tmp_path / "refunds.parquet"
    refunds().write_parquet(path)
    frame = pl.scan_parquet(path, row_index_name="row", include_file_paths="file").select("row", "id", "file")
    (leaf,) = leaves_of(frame)
    assert leaf.paths == (str(path),)
    assert found_lines(COLUMNS.of_frame(frame, lambda _: "refunds")) == ["id <- refunds.id IDENTITY"]


@pytest.mark.parametrize("kind", ["csv", "ndjson"])
def test_text_files_are_leaves_too(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"refunds.{kind}"
    getattr(refunds(), f"write_{kind}")(path)
    (leaf,) = leaves_of(getattr(pl, f"scan_{kind}")(path))
    assert leaf.paths == (str(path),)


def test_a_file_that_polars_does_not_show_is_an_unknown_source(tmp_path: Path) -> None:
    path = tmp_path / "refunds.arrow"
    refunds().write_ipc(path)
    lineage = COLUMNS.of_frame(pl.scan_ipc(path), lambda _: "refunds")
    assert lineage.sources == (None,)
    assert lineage.edges == ()
    assert {each.column for each in lineage.unknown} == {"id", "amount", "reason", None}


def test_an_io_source_is_known_by_its_own_function() -> None:
    def source(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        yield refunds()

    frame = register_io_source(source, schema=refunds().schema).filter(pl.col("amount") > 2).select("id")
    lineage = COLUMNS.of_frame(frame, lambda leaf: "refunds" if leaf.io_source is source else None)
    assert found_lines(lineage) == ["id <- refunds.id IDENTITY", "* <- refunds.amount FILTER"]


def test_an_unknown_leaf_is_named_and_leaves_the_rest_known(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.csv"
    refunds().write_csv(path)
    frame = FRAMES["orders"].lazy().join(pl.scan_csv(path), on="id").select("status", "reason")
    lineage = COLUMNS.of_frame(frame, lambda leaf: "orders" if leaf.buffers else None)
    assert lineage.sources == ("orders", None)
    assert lineage.unknown == (UnknownColumn(column="reason", reason=f"{path} is no known asset"),)


def test_a_source_used_twice_is_listed_once() -> None:
    frame = FRAMES["orders"].lazy()
    assert COLUMNS.of_frame(frame.join(frame, on="id"), lambda _: "orders").sources == ("orders",)


def test_columns_are_known_again_by_their_memory() -> None:
    frame = orders()
    known = COLUMNS.buffers(frame)
    assert set(known) == set(frame.columns)
    assert len(set(known.values())) == len(known)
    assert COLUMNS.buffers(frame.select("id", pl.col("amount").alias("price"))) == {
        "id": known["id"],
        "price": known["amount"],
    }
    assert not set(COLUMNS.buffers(frame.slice(2, 3)).values()) & set(known.values())


@pytest.mark.parametrize(
    "changed",
    [
        lambda frame: frame.filter(pl.col("id") > 2),
        lambda frame: frame.sort("day", descending=True),
        lambda frame: pl.concat(
            [frame, frame.with_columns(pl.col("id") + 1, pl.col("place").struct.with_fields(zip=pl.lit(1, pl.Int64)))]
        ),
        lambda frame: frame.with_columns(pl.col("items").list.eval(pl.element() + 1)),
        lambda frame: frame.with_columns(pl.col("place").struct.with_fields(zip=pl.lit(1))),
    ],
    ids=["filter", "sort", "concat", "list items", "struct field"],
)
def test_what_was_computed_lies_elsewhere(changed: object) -> None:
    frame = orders()
    before = COLUMNS.buffers(frame)
    assert callable(changed)
    after = COLUMNS.buffers(changed(frame))
    same = {name for name in before if before[name] == after.get(name)}
    assert all(frame[name].equals(changed(frame)[name]) for name in same)
    assert same < set(before)


def test_memory_that_polars_shares_between_columns_is_nobodys() -> None:
    empty = pl.DataFrame({"number": [], "flag": []}, schema={"number": pl.Int64, "flag": pl.Boolean})
    zeros = pl.DataFrame({"flag": pl.repeat(False, 5, eager=True), "nothing": [None] * 5})
    assert COLUMNS.buffers(empty) == {}
    assert COLUMNS.buffers(zeros) == {}


def test_a_plan_interface_that_was_not_examined_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polars_plan, "VERSIONS", frozenset({1}))
    lineage = COLUMNS.of_frame(FRAMES["orders"].lazy(), lambda _: "orders")
    assert (lineage.sources, lineage.edges) == ((None,), ())
    assert "plan interface" in lineage.unknown[0].reason


def test_a_plan_that_is_too_large_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polars_plan, "LIMIT", 100)
    frame = FRAMES["refunds"].lazy().select("id")
    for _ in range(8):
        frame = frame.join(frame, on="id")
    lineage = COLUMNS.of_frame(frame, lambda _: "refunds")
    assert lineage.unknown == (UnknownColumn(column=None, reason="a plan of more than 100 nodes"),)


def test_a_long_plan_needs_no_recursion() -> None:
    frame = FRAMES["orders"].lazy().select("id", "quantity")
    for _ in range(400):
        frame = frame.with_columns(pl.col("id") + 1)
    found = COLUMNS.of_frame(frame, lambda _: "orders")
    assert found_lines(found) == ["id <- orders.id TRANSFORMATION", "quantity <- orders.quantity IDENTITY"]


def test_a_plan_that_can_not_work_is_unknown() -> None:
    lineage = COLUMNS.of_frame(FRAMES["orders"].lazy().select("no such column"), lambda _: "orders")
    assert lineage.edges == ()
    assert lineage.unknown[0].column is None


def test_tables_may_have_dotted_names_and_columns_any_case() -> None:
    schema = (ColumnSchema(name="Id", type="BIGINT"), ColumnSchema(name="Total Amount", type="DOUBLE"))
    lineage = COLUMNS.of_sql(
        'SELECT lake.main.Sales.id, sales."total amount" AS t FROM lake.main.sales WHERE ID > 1',
        {"lake.main.sales": ("sales", schema)},
        dialect="duckdb",
    )
    assert found_lines(lineage) == [
        "Id <- sales.Id IDENTITY",
        "t <- sales.Total Amount IDENTITY",
        "* <- sales.Id FILTER",
    ]


def test_types_as_polars_prints_them_are_understood() -> None:
    schema = tuple(
        ColumnSchema(name=name, type=str(dtype)) for name, dtype in orders().drop("items", "place").schema.items()
    )
    lineage = COLUMNS.of_sql("SELECT amount + 1, day FROM o", {"o": ("orders", schema)}, dialect="duckdb")
    assert found_lines(lineage) == ["(amount + 1) <- orders.amount TRANSFORMATION", "day <- orders.day IDENTITY"]


def test_a_cte_hides_the_table_of_its_name() -> None:
    lines = found_lines(lineage_of_sql("WITH orders AS (SELECT id FROM refunds) SELECT id FROM orders", "duckdb"))
    assert lines == ["id <- refunds.id IDENTITY"]
