"""Fundamentals 3: partitions: one asset, made piece by piece."""

from typing import Annotated

import polars as pl
import pytest

from headwater import (
    Asset,
    DailyPartitions,
    HeadwaterError,
    HourlyPartitions,
    MonthlyPartitions,
    Partition,
    WeeklyPartitions,
    flow,
    materialize,
)
from headwater.testing import project


def test_a_definition_names_its_partitions() -> None:
    days = DailyPartitions("2024-01-01", "2024-02-01")
    assert len(days.all()) == 31
    assert str(days.parse("2024-01-05..2024-01-07, 2024-01-20")) == "2024-01-05..2024-01-07, 2024-01-20"
    assert [part.key for part in WeeklyPartitions("2024-01-01", "2024-01-15").all()] == ["2024-01-01", "2024-01-08"]
    assert [part.key for part in MonthlyPartitions("2024-01", "2024-03").all()] == ["2024-01", "2024-02"]
    assert len(HourlyPartitions("2024-01-01T00", "2024-01-02T00").all()) == 24
    with pytest.raises(HeadwaterError):
        days.partition("2024-02-01")


def test_days_are_local_days() -> None:
    day = DailyPartitions("2024-01-01", timezone="Europe/Berlin").partition("2024-03-31")
    assert day.start is not None
    assert day.end is not None
    assert (day.start.isoformat(), day.end.isoformat()) == ("2024-03-31T00:00:00+01:00", "2024-04-01T00:00:00+02:00")


def test_a_call_makes_one_partition() -> None:
    with project() as found:
        sales = Asset("sales", at="parquet://lake/sales", partitions=DailyPartitions("2024-01-01", "2024-02-01"))

        @materialize(sales)
        def ingest(partition: Partition) -> pl.DataFrame:
            return pl.DataFrame({"day": [partition.date], "n": [1]})

        @flow
        def main() -> None:
            for day in ("2024-01-01", "2024-01-02"):
                ingest.at(day)()

        main()
        made = found.reader.materializations("sales")["materializations"]
        assert [row["partition"] for row in made] == ["2024-01-02", "2024-01-01"]
        with pytest.raises(HeadwaterError, match="no partition was given"):
            ingest()


def test_an_input_is_read_through_its_mapping() -> None:
    with project() as found:
        days = DailyPartitions("2024-01-01", "2024-02-01")
        sales = Asset("sales", at="parquet://lake/sales", partitions=days)

        @materialize(sales)
        def ingest(partition: Partition) -> pl.DataFrame:
            return pl.DataFrame({"day": [partition.date], "n": [partition.date.day if partition.date else 0]})

        @materialize(Asset("weekly", at="parquet://lake/weekly", partitions=days))
        def weekly(last: Annotated[pl.LazyFrame, sales.window(-6, 0, at_least=2)]) -> pl.LazyFrame:
            return last.select(pl.col("n").sum())

        @materialize("parquet://lake/total")
        def total(every: Annotated[pl.LazyFrame, sales.all()]) -> pl.LazyFrame:
            return every.select(pl.col("n").sum())

        for day in (3, 4, 5):
            ingest.at(f"2024-01-0{day}")()
        assert weekly.at("2024-01-05")().collect().item() == 12
        assert total().collect().item() == 12
        # A window that finds fewer than it needs refuses the step: nothing is written.
        with pytest.raises(HeadwaterError, match="sales"):
            weekly.at("2024-01-20")()
        _, rows = found.reader.sql(
            "SELECT DISTINCT source_partition FROM edges WHERE target = 'weekly' AND run_id IS NOT NULL"
        )
        assert sorted(key for (key,) in rows) == ["2024-01-03", "2024-01-04", "2024-01-05"]
