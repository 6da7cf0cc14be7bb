"""What a run reads again: its own results without another look at them, a source as its materializer reads it best."""

from __future__ import annotations

import os

import polars as pl
import pytest

from headwater import Asset, flow, materialize
from headwater.lineage.columns import Columns
from headwater.testing import project


def test_a_csv_file_that_is_read_again_is_parsed_once() -> None:
    with project() as found:
        (found.root / "orders.csv").write_text("id\n1\n2\n")
        # What is written right now may change again before anybody could see that it has.
        os.utime(found.root / "orders.csv", (1_700_000_000, 1_700_000_000))
        source = Asset("orders_csv", at="csv://orders.csv")
        plans = []

        def copy(rows: pl.LazyFrame) -> pl.LazyFrame:
            plans.append(rows.explain().lower())
            return rows

        copies = [
            materialize(Asset(f"copy_{number}", at=f"parquet://lake/{number}"), inputs={"rows": source}, name="copy")(
                copy
            )
            for number in range(3)
        ]

        @flow
        def main() -> None:
            for one in copies:
                one()

        main()
    assert ["csv scan" in plan for plan in plans] == [True, False, False]


def test_the_plan_of_what_was_just_made_is_not_looked_at_by_who_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    of_frame, leaves = Columns.of_frame, Columns.leaves

    def counted(self: Columns, *arguments: object) -> object:
        looked.append("of_frame")
        return of_frame(self, *arguments)  # type: ignore[arg-type]

    def counted_leaves(self: Columns, frame: pl.LazyFrame) -> object:
        looked.append("leaves")
        return leaves(self, frame)

    with project() as found:
        first, second = Asset("first", at="parquet://lake/first"), Asset("second", at="parquet://lake/second")

        @materialize(first)
        def begin() -> pl.LazyFrame:
            return pl.LazyFrame({"id": [1, 2]})

        @materialize(second, inputs={"rows": first})
        def go_on(rows: pl.LazyFrame) -> pl.LazyFrame:
            return rows.select(double=pl.col("id") * 2)

        @flow
        def main() -> None:
            begin()
            monkeypatch.setattr(Columns, "of_frame", counted)
            monkeypatch.setattr(Columns, "leaves", counted_leaves)
            go_on()

        main()
        assert looked == ["of_frame", "leaves"]  # of what it returned, and of its own scan that it hands out
        edges = found.reader.lineage("second", columns=True)["edges"]
        assert ("first.id", "second.double") in {(edge["from"], edge["to"]) for edge in edges}
