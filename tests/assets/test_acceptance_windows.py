"""Windows that reach before the first partition, and assets that read their own past."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import polars as pl
import pytest

from headwater import Asset, DailyPartitions, Partition, materialize, sql
from headwater.assets.freshness import board
from headwater.clock import now_us
from headwater.testing import project

days = DailyPartitions("2024-01-01", "2024-01-04")
PLACES = ["parquet://lake/{name}", "duckdb://wh.duckdb/main.{name}", "memory://{name}"]


@pytest.fixture
def shop(tmp_path: Path):
    with project(tmp_path) as found:
        yield found


@pytest.mark.parametrize("place", PLACES)
def test_an_asset_that_reads_its_own_yesterday_can_be_made_from_its_first_day_on(shop, place: str) -> None:
    balance = Asset("balance", at=place.format(name="balance"), partitions=days)

    @materialize(balance)
    def add(before: Annotated[pl.DataFrame, balance.window(-1, -1)], partition: Partition) -> pl.DataFrame:
        return pl.DataFrame({"total": [10 + (before["total"].sum() if before.height else 0)]})

    totals = [add.at(day)()["total"].item() for day in days.all().keys()]  # noqa: SIM118 - a set of partitions

    assert totals == [10, 20, 30]
    with shop.projection.session() as session:
        edges = session.rows(
            "select source_partition, target_partition from edges where origin = 'observed' order by 2"
        )
    assert edges == [("2024-01-01", "2024-01-02"), ("2024-01-02", "2024-01-03")]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("form", [pl.LazyFrame, pl.DataFrame])
def test_an_empty_window_gives_no_rows_with_the_columns_that_there_are(shop, place: str, form: Any) -> None:
    sales = Asset("sales", at=place.format(name="sales"), partitions=days)
    change = Asset("change", at="parquet://lake/change", partitions=days)
    seen = []

    @materialize(sales)
    def sell() -> pl.DataFrame:
        return pl.DataFrame({"amount": [1]})

    @materialize(change, inputs={"yesterday": sales.window(-1, -1)})
    def compare(yesterday: form) -> pl.DataFrame:
        seen.append(yesterday.lazy().collect())
        return pl.DataFrame({"n": [1]})

    sell.at("2024-01-02")()
    compare.at("2024-01-01")()

    assert seen[0].height == 0
    assert seen[0].schema == pl.Schema({"amount": pl.Int64})


def test_a_query_over_an_empty_window_runs_and_a_plan_over_one_is_of_known_origin(shop) -> None:
    sales = Asset("sales", at="parquet://lake/sales", partitions=days, time_column="at")
    counted = Asset("counted", at="duckdb://wh.duckdb/main.counted", partitions=days)
    both = Asset("both", at="parquet://lake/both", partitions=days)

    @materialize(sales)
    def sell(partition: Partition) -> pl.DataFrame:
        return pl.DataFrame({"at": [partition.start]})

    @materialize(counted)
    def count(before: Annotated[Asset, sales.window(-1, -1)]) -> Any:
        return sql("select count(*) as n from {before}", before=before)

    @materialize(both)
    def join(
        now: Annotated[pl.LazyFrame, sales], before: Annotated[pl.LazyFrame, sales.window(-1, -1)]
    ) -> pl.LazyFrame:
        return pl.concat([now, before])

    sell.at("2024-01-01")()
    assert count.at("2024-01-01")().collect()["n"].to_list() == [0]
    assert join.at("2024-01-01")().collect().height == 1

    verdict = board(shop.catalog.facts(), now_us())["both"]
    assert (verdict.basis, verdict.witness) == ("derived", ("both@2024-01-01", "sales@2024-01-01"))
    assert not shop.reader.unknown_columns("both")
    edges = "SELECT DISTINCT target_column, source, source_column, subtype FROM column_edges WHERE target = 'both'"
    assert shop.reader.sql(edges)[1] == [("at", "sales", "at", "IDENTITY")]
