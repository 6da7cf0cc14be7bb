"""The pytest plugin, used as somebody who tests a project of their own would."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import pytest

from headwater import Asset, DailyPartitions, Partition, check, flow, materialize, sql, task
from headwater.errors import LocationError, PartitionError, ReturnTypeError
from headwater.testing import project
from headwater.testing.sandbox import Sandbox, sandbox

SHOP = """
import polars as pl
from headwater import Asset, DailyPartitions, flow, get_logger, materialize, task

days = DailyPartitions("2024-01-01")
orders = Asset("orders", at="parquet://lake/orders", partitions=days)
totals = Asset("totals", at="duckdb://warehouse.duckdb/totals", partitions=days)

@materialize(orders)
def load_orders(partition):
    raise RuntimeError("the shop is closed")

@materialize(totals, inputs={"orders": orders})
def sum_up(orders: pl.LazyFrame):
    return orders.select(total=pl.col("amount").sum())

@task(retries=3, retry_delay=3600)
def asks(answers):
    print("asking")
    return answers.pop()()

@flow
def nightly(answers):
    return asks(answers)
"""

TESTS = """
import polars as pl
import pytest
from shop import asks, load_orders, nightly, orders, sum_up, totals

def test_totals_of_a_day(headwater):
    headwater.put(orders, pl.DataFrame({"amount": [1, 2, 39]}), partition="2024-01-05")
    headwater.make(sum_up, partition="2024-01-05")
    assert headwater.load(totals, partition="2024-01-05").to_dicts() == [{"total": 42}]
    lineage = headwater.project.reader.lineage("totals", columns=True)
    assert ("orders.amount", "totals.total") in {(edge["from"], edge["to"]) for edge in lineage["edges"]}

def test_nothing_is_left_of_the_test_before(headwater):
    assert headwater.states() == headwater.states(nightly) == []
    with pytest.raises(Exception, match="there is no data of 'orders'"):
        headwater.load(orders)

def test_hours_of_waiting_take_no_time(headwater):
    def closed():
        raise ValueError("closed")
    began = headwater.clock.now_us()
    assert nightly([lambda: "open", closed, closed]) == "open"
    assert headwater.clock.now_us() - began >= 2 * 3600 * 1_000_000
    assert headwater.logs() == ["asking"] * 3
    assert headwater.states("nightly") == headwater.states(nightly) == ["Completed"]

def test_a_failure_is_the_functions_own(headwater):
    with pytest.raises(RuntimeError, match="the shop is closed"):
        headwater.make(load_orders, partition="2024-01-05")
    assert headwater.states() == ["Failed"]
"""


def test_a_project_is_tested_with_the_fixture(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "test_shop.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-W", "error"]
    done = subprocess.run([*command, "--rootdir", tmp_path], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout
    left = {path.name for path in tmp_path.iterdir()} - {"__pycache__"}
    assert left == {"shop.py", "test_shop.py"}


def test_names_in_places_and_limits_are_those_of_the_project_that_is_tested(tmp_path: Path) -> None:
    shop = tmp_path / "services" / "shop"
    (shop / "tests").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'all'\n")
    (shop / "pyproject.toml").write_text(
        "[tool.headwater]\nlocations = { lake = 'lake' }\nlimits = { warehouse = 1 }\nhome = 'nowhere'\n"
    )
    (shop / "tests" / "test_places.py").write_text(
        "from headwater import Asset, materialize\n"
        "orders = Asset('orders', at='parquet://{lake}/orders')\n"
        "@materialize(orders, limits='warehouse')\n"
        "def load_orders():\n"
        "    return [{'id': 1}]\n"
        "def test_orders(headwater):\n"
        "    headwater.make(load_orders)\n"
        "    assert headwater.load(orders).height == 1\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"]
    for folder in (shop, tmp_path):  # a repository of several projects is tested from its top
        done = subprocess.run([*command, "--rootdir", tmp_path], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
    assert {path.name for path in shop.iterdir()} == {"pyproject.toml", "tests"}


def test_the_plugin_loads_nothing_that_a_test_does_not_use(tmp_path: Path) -> None:
    (tmp_path / "test_plain.py").write_text(
        "import sys\n"
        "def test_plain():\n"
        "    heavy = {'duckdb', 'polars', 'pydantic', 'sqlglot', 'networkx', 'orjson', 'fastapi'}\n"
        "    assert heavy & set(sys.modules) == set()\n"
    )
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "-p",
        "no:hypothesispytest",
        "-p",
        "no:schemathesis",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", tmp_path], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_what_is_defined_before_is_known_and_what_is_defined_inside_is_forgotten() -> None:
    with sandbox():
        outer = Asset("outer_orders", at="parquet://lake/outer_orders")

        @check(outer)
        def has_rows(rows) -> bool:
            return rows.collect().height > 0

        with sandbox() as inner:
            assert inner.project.definitions.of(outer).checks == ("has_rows",)
            Asset("inner_orders", at="parquet://lake/inner_orders")
        with sandbox() as again:
            assert "inner_orders" not in again.project.definitions.all()
            assert "outer_orders" in again.project.definitions.all()


def test_places_of_different_kinds_do_not_mix() -> None:
    with sandbox() as headwater:
        file = Asset("as_file", at="parquet://lake/x")
        table = Asset("as_value", at="memory://lake/x")
        headwater.put(file, [{"id": 1}])
        with pytest.raises(LocationError):
            headwater.load(table)


def test_tables_of_one_file_do_not_mix() -> None:
    with sandbox() as headwater:
        tables = [
            Asset("sales", at="duckdb://shop.duckdb/sales"),
            Asset("returns", at="duckdb://shop.duckdb/returns"),
            Asset("past", at="duckdb://shop.duckdb/past.sales"),
        ]
        for number, table in enumerate(tables):
            headwater.put(table, pl.DataFrame({"n": [number]}))
        assert [headwater.load(table).item() for table in tables] == [0, 1, 2]


def test_queries_and_plain_rows_are_tables_as_they_are_where_they_belong() -> None:
    days = DailyPartitions("2024-01-01")
    with sandbox() as headwater:
        orders = Asset("orders", at="parquet://lake/orders", partitions=days, partition_column="day")
        totals = Asset("totals", at="duckdb://shop.duckdb/totals", partitions=days)
        note = Asset("note", at="memory://note")
        asked = []

        @materialize(orders)
        def load(partition: Partition) -> list[dict[str, Any]]:
            return [{"day": partition.date, "n": 1}, {"day": partition.date, "n": 2}]

        @materialize(totals)
        def sum_up(orders: Annotated[Asset, orders]) -> Any:
            return sql("select sum(n) as total from {orders}", orders=orders)

        @materialize(note)
        def wrong(orders: Annotated[Asset, orders]) -> Any:
            return sql("select 1 as n from {orders}", orders=orders)

        @check(orders, blocking=True)
        def asks(df: pl.DataFrame) -> bool:
            asked.append(df.height)
            return True

        headwater.make(load, partition="2024-01-05")
        assert headwater.make(sum_up, partition="2024-01-05").collect().item() == 3
        assert asked == [2]
        assert headwater.load(totals).columns == ["total"]
        with pytest.raises(PartitionError, match="outside the partition"):
            headwater.put(orders, [{"day": date(2024, 1, 6), "n": 1}], partition="2024-01-05")
        with pytest.raises(ReturnTypeError, match="can't be stored"):
            headwater.put(orders, 7, partition="2024-01-05")
        with pytest.raises(ReturnTypeError, match="only be stored as a table of DuckDB"):
            headwater.make(wrong)
        assert headwater.project.reader.sql("SELECT asset FROM materializations WHERE asset = 'note'")[1] == []


def test_a_sandbox_may_begin_at_a_moment_of_its_own() -> None:
    noon = 1_704_456_000_000_000
    with sandbox(now=noon) as headwater:
        days = Asset("of_days", at="parquet://lake/of_days", partitions=DailyPartitions("2024-01-01"))
        headwater.put(days, [{"id": 1}], partition="2024-01-04")
        assert headwater.clock.now_us() >= noon
        rows = headwater.project.reader.materializations("of_days")["materializations"]
        assert rows[0]["at"].startswith("2024-01-05T12:00:00")


def test_flows_and_failures_are_seen(capsys: pytest.CaptureFixture[str]) -> None:
    def run(headwater: Sandbox) -> None:
        @task
        def fails() -> None:
            print("about to fail")
            raise ValueError("no")

        @flow
        def main() -> None:
            fails()

        with pytest.raises(ValueError, match="no"):
            main()
        assert headwater.states("main") == ["Failed"]
        assert headwater.logs() == ["about to fail"]

    with sandbox() as headwater:
        run(headwater)
    assert capsys.readouterr().out == "about to fail\n"


def test_a_temporary_folder_within_a_project_is_a_project_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @flow
    def main() -> None: ...

    (tmp_path / "pyproject.toml").write_text('[tool.headwater]\nproject = "shop"\n')
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with project() as found:
        main()
        assert found.root.parent == temporary
    with project(temporary):
        main()
    assert not (tmp_path / ".headwater").exists()


def test_all_runs_of_a_test_are_told_however_many() -> None:
    @flow
    def talks(number: int) -> None:
        print(number)

    with sandbox() as headwater:
        for number in range(60):
            talks(number)
        assert headwater.states() == headwater.states(talks) == ["Completed"] * 60
        assert headwater.logs() == [str(number) for number in range(60)]


def test_a_partition_of_what_has_none_is_not_loaded() -> None:
    with sandbox() as headwater:
        orders = Asset("orders", at="parquet://lake/orders")
        headwater.put(orders, [{"id": 1}])
        with pytest.raises(PartitionError, match="has no partitions, but '2024-01-05' was given"):
            headwater.load(orders, partition="2024-01-05")
