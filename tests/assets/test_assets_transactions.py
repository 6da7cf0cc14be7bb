"""Materializations in a transaction: staged and checked at once, published at the commit, or never."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import duckdb
import polars as pl
import pytest

from headwater import (
    INPUTS,
    Asset,
    DailyPartitions,
    Partition,
    TaskOutcome,
    check,
    clock,
    flow,
    materialize,
    materializing,
    sql,
    task,
    transaction,
)
from headwater.assets.staleness import staleness
from headwater.errors import CheckFailed, MaterializationError, TransactionError, UsageError
from headwater.testing import project

CALLED: list[int] = []


@task(cache=INPUTS)
def slow(n: int) -> int:
    CALLED.append(n)
    return n


@pytest.fixture
def shop(tmp_path: Path):
    with project(tmp_path) as found:
        yield found


def outcomes(shop: Any) -> list[tuple[str, str, str | None]]:
    """Each outcome in its order: the asset, its state, and the type of its error."""
    _, rows = shop.reader.sql('SELECT asset, state, error_type FROM materialization_outcomes ORDER BY "at", asset')
    return [tuple(row) for row in rows]


def task_states(shop: Any) -> list[tuple[str, str]]:
    return [tuple(row) for row in shop.reader.sql("SELECT task, state FROM task_runs ORDER BY started, task")[1]]


class Shop:
    """Orders and what is made of them."""

    def __init__(self) -> None:
        orders = self.orders = Asset("orders", at="parquet://lake/orders")
        revenue = self.revenue = Asset("revenue", at="parquet://lake/revenue")
        self.amounts = [10.0, 5.0]

        @materialize(orders)
        def ingest() -> pl.DataFrame:
            return pl.DataFrame({"amount": self.amounts})

        @materialize(revenue)
        def summarise(sold: Annotated[pl.LazyFrame, orders]) -> pl.LazyFrame:
            return sold.select(total=pl.col("amount").sum())

        self.ingest, self.summarise = ingest, summarise


def total(folder: Path) -> float | None:
    path = folder / "lake/revenue.parquet"
    return pl.read_parquet(path).item() if path.exists() else None


def staged(folder: Path) -> list[Path]:
    return list(folder.rglob(".staging-*"))


def test_all_is_published_when_the_block_ends_and_nothing_before(shop: Any, tmp_path: Path) -> None:
    made = Shop()

    @flow
    def nightly() -> pl.LazyFrame:
        before = total(tmp_path)
        with transaction():
            found = made.summarise(made.ingest())
            assert len(staged(tmp_path)) == 2
            assert total(tmp_path) == before
            assert found.collect().item() == sum(made.amounts)
        assert total(tmp_path) == sum(made.amounts)
        return found

    # It stays readable, also when the asset has been made anew.
    found = nightly()
    made.amounts = [1.0]
    nightly()
    assert (found.collect().item(), total(tmp_path)) == (15.0, 1.0)
    assert outcomes(shop) == [("orders", "published", None), ("revenue", "published", None)] * 2
    assert staged(tmp_path) == []
    _, edges = shop.reader.sql("SELECT DISTINCT source, target FROM edges WHERE origin = 'observed' ORDER BY ALL")
    assert [tuple(edge) for edge in edges] == [("orders", "revenue")]
    _, columns = shop.reader.sql("SELECT DISTINCT source_column, target_column FROM column_edges")
    assert [tuple(row) for row in columns] == [("amount", "total")]


def test_a_rollback_leaves_the_old_data_in_place_and_says_so(shop: Any, tmp_path: Path) -> None:
    made = Shop()

    @flow
    def nightly(fails: bool) -> None:
        with transaction():
            made.summarise(made.ingest())
            if fails:
                raise ValueError("no")

    nightly(False)
    before = {row["name"]: (row["version"], row["made"]) for row in assets(shop)}
    made.amounts = [100.0]
    with pytest.raises(ValueError, match="no"):
        nightly(True)
    assert total(tmp_path) == 15.0
    assert outcomes(shop)[2:] == [("revenue", "discarded", "RolledBack"), ("orders", "discarded", "RolledBack")]
    assert staged(tmp_path) == []
    assert {row["name"]: (row["version"], row["made"]) for row in assets(shop)} == before
    _, rows = shop.reader.sql("SELECT task, state, error FROM task_runs WHERE state <> 'Completed' ORDER BY task")
    why = "its transaction was rolled back: ValueError: no"
    assert [tuple(row) for row in rows] == [("ingest", "RolledBack", why), ("summarise", "RolledBack", why)]
    assert {run["state"]: run["tasks"] for run in shop.reader.runs()["runs"]} == {
        "Completed": {"Completed": 2},
        "Failed": {"RolledBack": 2},
    }


def assets(shop: Any) -> list[dict[str, Any]]:
    names, rows = shop.reader.sql("SELECT asset AS name, version, count(*) AS made FROM materializations GROUP BY ALL")
    return [dict(zip(names, row, strict=True)) for row in rows]


def test_checks_run_when_it_is_staged(shop: Any, tmp_path: Path) -> None:
    made, told = Shop(), []

    @check(made.revenue, blocking=True)
    def not_negative(rows: pl.LazyFrame) -> bool:
        told.append("checked")
        return bool(rows.collect().item() >= 0)

    @flow
    def nightly() -> None:
        with transaction():
            rows = made.ingest()
            made.summarise(rows)
            told.append("over")

    nightly()
    made.amounts = [-1.0]
    with pytest.raises(CheckFailed):
        nightly()
    assert told == ["checked", "over", "checked"]
    assert total(tmp_path) == 15.0
    assert task_states(shop)[2:] == [("ingest", "RolledBack"), ("summarise", "Blocked")]
    assert outcomes(shop)[-2:] == [("revenue", "refused", "CheckFailed"), ("orders", "discarded", "RolledBack")]


def test_an_input_that_the_transaction_has_staged_is_passed_not_read(shop: Any, tmp_path: Path) -> None:
    made = Shop()

    @flow
    def nightly(inside: bool) -> None:
        with transaction():
            made.ingest()
            if inside:
                with transaction():
                    made.summarise()
        made.summarise()

    nightly(False)
    with pytest.raises(UsageError, match="'orders' was made in this transaction") as raised:
        nightly(True)
    assert "pass what made 'orders' returned" in str(raised.value)
    assert total(tmp_path) == 15.0

    query = Asset("query", at="duckdb://shop.duckdb/main.query")

    @materialize(query)
    def ask() -> Any:
        return sql("SELECT sum(amount) AS total FROM {orders}", orders=made.orders)

    @flow
    def asking() -> None:
        with transaction():
            made.ingest()
            ask()

    with pytest.raises(UsageError, match="'orders' was made in this transaction"):
        asking()


def test_only_the_partitions_that_are_staged_are_refused(shop: Any, tmp_path: Path) -> None:
    days = DailyPartitions("2024-01-01", "2024-01-04")
    raw = Asset("raw", at="parquet://lake/raw", partitions=days)
    clean = Asset("clean", at="duckdb://shop.duckdb/main.clean", partitions=days, partition_column="day")

    @materialize(raw)
    def take(partition: Partition) -> pl.DataFrame:
        return pl.DataFrame({"day": [partition.date]})

    @materialize(clean)
    def tidy(rows: Annotated[pl.LazyFrame, raw]) -> pl.LazyFrame:
        return rows

    take.at("2024-01-01")()

    @flow
    def main() -> Any:
        with transaction():
            rows = take.at("2024-01-02")()
            tidy.at("2024-01-01")()
            found = tidy.at("2024-01-02")(rows)
        return found.collect().height

    assert main() == 1
    with duckdb.connect(tmp_path / "shop.duckdb", read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM clean").fetchone() == (2,)


def test_an_inner_rollback_discards_its_own_alone(shop: Any, tmp_path: Path) -> None:
    made = Shop()

    @flow
    def nightly() -> None:
        with transaction():
            rows = made.ingest()
            with transaction() as inner:
                made.summarise(rows)
                inner.rollback()
            assert len(staged(tmp_path)) == 1
            with transaction():
                made.summarise(rows)
            assert total(tmp_path) is None

    nightly()
    assert total(tmp_path) == 15.0
    assert outcomes(shop) == [
        ("revenue", "discarded", "RolledBack"),
        ("orders", "published", None),
        ("revenue", "published", None),
    ]


def test_submitted_materializations_are_published_at_the_commit(shop: Any, tmp_path: Path) -> None:
    made = Shop()

    @flow
    def nightly() -> None:
        with transaction():
            made.summarise.submit(made.ingest.submit())
        assert total(tmp_path) == 15.0

    nightly()


def test_async_transactions_publish_too(shop: Any, tmp_path: Path) -> None:
    made = Shop()

    @flow
    async def nightly(fails: bool) -> None:
        async with transaction():
            made.summarise(made.ingest())
            if fails:
                raise ValueError("no")
            assert total(tmp_path) is None

    asyncio.run(nightly(False))
    made.amounts = [1.0]
    with pytest.raises(ValueError, match="no"):
        asyncio.run(nightly(True))
    assert total(tmp_path) == 15.0


def test_materializing_in_a_transaction_waits_for_the_commit(shop: Any, tmp_path: Path) -> None:
    with transaction() as txn:
        with materializing("parquet://lake/chosen") as block:
            block.write(pl.DataFrame({"n": [1]}))
        txn.rollback()
    assert not (tmp_path / "lake/chosen.parquet").exists()
    with transaction():
        with materializing("parquet://lake/chosen") as block:
            block.write(pl.DataFrame({"n": [1]}))
        assert not (tmp_path / "lake/chosen.parquet").exists()
    assert pl.read_parquet(tmp_path / "lake/chosen.parquet").item() == 1


class Three:
    """Three assets of one column."""

    def __init__(self, told: list[str]) -> None:
        self.value = 1
        self.makers = [self.maker(name, f"parquet://lake/{name}", told) for name in ("one", "two", "three")]

    def maker(self, name: str, place: str, told: list[str]) -> Any:
        def make() -> pl.DataFrame:
            return pl.DataFrame({"n": [self.value]})

        def undo(outcome: TaskOutcome) -> None:
            told.append(f"{outcome.name} {','.join(outcome.published)}".strip())

        make.__name__ = f"make_{name}"
        return materialize(Asset(name, at=place), on_rollback=undo)(make)


def test_what_can_not_be_published_keeps_back_the_rest_but_nothing_that_is_published(shop: Any, tmp_path: Path) -> None:
    CALLED.clear()
    told: list[str] = []
    three = Three(told)

    @task(on_rollback=lambda outcome: told.append(outcome.name))
    def other() -> None: ...

    @flow
    def nightly(breaks: bool) -> None:
        with transaction("nightly"):
            slow(2 + breaks)
            other()
            for make in three.makers:
                make()
            if breaks:
                (tmp_path / "lake/two.parquet").unlink()
                (tmp_path / "lake/two.parquet").mkdir()

    nightly(False)
    three.value = 2
    with pytest.raises(TransactionError) as raised:
        nightly(True)
    assert isinstance(raised.value.__cause__, MaterializationError)
    assert "published: one; not published: the kept result of slow, two, three" in raised.value.message
    assert told == ["make_three", "make_two", "make_one one", "other"]
    assert [pl.read_parquet(tmp_path / f"lake/{name}.parquet").item() for name in ("one", "three")] == [2, 1]
    assert outcomes(shop)[3:] == [
        ("one", "published", None),
        ("two", "failed", "LocationError"),
        ("three", "discarded", "RolledBack"),
    ]
    _, rows = shop.reader.sql(
        "SELECT task, t.state FROM task_runs AS t JOIN runs USING (run_id) WHERE runs.state = 'Failed'"
    )
    assert sorted(tuple(row) for row in rows) == [
        ("make_one", "Completed"),
        ("make_three", "RolledBack"),
        ("make_two", "RolledBack"),
        ("other", "RolledBack"),
        ("slow", "RolledBack"),
    ]
    assert staged(tmp_path) == []
    # What it had kept already was taken back with it.
    assert (slow(2), slow(3), CALLED) == (2, 3, [2, 3, 3])


def test_what_is_made_of_a_value_that_was_rolled_back_is_stale(shop: Any, tmp_path: Path) -> None:
    made = Shop()
    made.ingest()
    made.amounts = [100.0]

    @flow
    def nightly() -> None:
        with transaction() as txn:
            rows = made.ingest()
            txn.rollback()
        made.summarise(rows)

    nightly()
    assert total(tmp_path) == 100.0
    found = staleness(shop.catalog.facts(), clock.now_us())
    assert {name: [cause.kind for cause in one.causes] for name, one in found.items()} == {
        "orders": [],
        "revenue": ["input_updated"],
    }


def test_a_lazy_value_that_left_a_rolled_back_transaction_can_be_read(shop: Any, tmp_path: Path) -> None:
    made = Shop()

    @flow
    def nightly() -> pl.LazyFrame:
        with transaction() as txn:
            found = made.summarise(made.ingest())
            txn.rollback()
        return found

    assert nightly().collect().item() == 15.0
    assert total(tmp_path) is None


def test_a_cached_result_is_kept_when_the_transaction_commits(shop: Any) -> None:
    CALLED.clear()

    @flow
    def nightly(fails: bool) -> int:
        with transaction() as txn:
            found = slow(1)
            if fails:
                txn.rollback()
        return found

    assert [nightly(True), nightly(False), nightly(True)] == [1, 1, 1]
    assert CALLED == [1, 1]
    # What was cached has done nothing that could be taken back.
    assert [state for _, state in task_states(shop)] == ["RolledBack", "Completed", "Cached"]
