"""What `@materialize` promises, through the public names: data published, evidence recorded, old data kept when refused."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import pytest

from headwater import (
    Asset,
    DailyPartitions,
    Partition,
    check,
    derived_from,
    flow,
    materialize,
    materializing,
    observe,
    record,
    sql,
    task,
)
from headwater.checks import run_checks
from headwater.errors import CheckFailed, DefinitionError, InputMissing, PartitionError, ReturnTypeError
from headwater.materializers.parquet import ParquetMaterializer
from headwater.testing import project

days = DailyPartitions("2024-01-01", "2024-02-01")


@pytest.fixture
def shop(tmp_path: Path):
    with project(tmp_path) as found:
        yield found


def edges(shop) -> set[tuple]:
    with shop.projection.session() as session:
        return set(
            session.rows("select source, source_partition, target, target_partition, origin from edges order by all")
        )


def observed(shop) -> set[tuple]:
    return {(source, target) for source, _, target, _, origin in edges(shop) if origin == "observed"}


def columns(shop) -> set[tuple]:
    with shop.projection.session() as session:
        return set(session.rows("select source, source_column, target, target_column, subtype from column_edges"))


def made(shop, name: str) -> list[tuple]:
    with shop.projection.session() as session:
        return list(
            session.rows("select partition, rows from materializations where asset = ? order by partition", [name])
        )


@pytest.mark.parametrize("left", [0, 100])
def test_a_damaged_file_is_made_again(shop, left: int) -> None:
    """As its error advises: what is damaged must not stand in the way of what takes its place."""
    orders = Asset("orders", at="parquet://lake/orders", partitions=days)

    @materialize(orders)
    def ingest(partition: Partition) -> pl.DataFrame:
        return pl.DataFrame({"day": [partition.date]})

    ingest.at("2024-01-01")()
    file = shop.settings.root / "lake/orders/2024-01-01.parquet"
    file.write_bytes(file.read_bytes()[:left])
    ingest.at("2024-01-01")()
    assert pl.read_parquet(file).height == 1


def test_a_task_in_a_flow_and_a_node_of_the_graph(shop, tmp_path):
    orders = Asset("orders", at="parquet://lake/orders")
    revenue = Asset("revenue", at="parquet://lake/revenue")

    @materialize(orders)
    def ingest() -> pl.DataFrame:
        return pl.DataFrame({"id": [1, 2], "amount": [10.0, 5.0]})

    @materialize(revenue)
    def summarise(sold: Annotated[pl.LazyFrame, orders]) -> pl.LazyFrame:
        return sold.select(total=pl.col("amount").sum())

    @flow
    def daily():
        return summarise(sold=ingest())

    result = daily()
    assert isinstance(result, pl.LazyFrame)
    assert result.collect().item() == 15.0
    assert pl.read_parquet(tmp_path / "lake/revenue.parquet").item() == 15.0
    assert observed(shop) == {("orders", "revenue")}
    assert ("orders", "amount", "revenue", "total", "AGGREGATION") in columns(shop)

    # Started alone, its input is read from its asset; the lineage is the same.
    assert summarise().collect().item() == 15.0
    assert observed(shop) == {("orders", "revenue")}


def test_partitions_are_made_known_and_read_by_themselves(shop):
    events = Asset("events", at="parquet://lake/events", partitions=days, time_column="at")
    weekly = Asset("weekly", at="parquet://lake/weekly", partitions=days)

    @materialize(events)
    def ingest(partition: Partition) -> pl.DataFrame:
        return pl.DataFrame({"at": [partition.start], "n": [partition.date.day]})

    @materialize(weekly)
    def rolling(seen: Annotated[pl.LazyFrame, events.window(-2, 0)]) -> pl.LazyFrame:
        return seen.select(pl.col("n").sum())

    for day in ("2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"):
        ingest.at(day)()
    assert rolling.at("2024-01-04")().collect().item() == 2 + 3 + 4
    assert rolling.at("2024-01-01")().collect().item() == 1  # clipped where the definition begins
    assert {edge[1] for edge in edges(shop) if edge[2:4] == ("weekly", "2024-01-04")} == {
        "2024-01-02",
        "2024-01-03",
        "2024-01-04",
    }

    with pytest.raises(InputMissing, match="misses 2 of 3 partitions: 2024-01-05, 2024-01-06"):
        rolling.at("2024-01-06")()
    with pytest.raises(PartitionError, match="no partition was given"):
        ingest()


def test_rows_outside_their_partition_are_refused(shop):
    events = Asset("events", at="parquet://lake/events", partitions=days, time_column="at")

    @materialize(events)
    def ingest(partition: Partition) -> pl.DataFrame:
        return pl.DataFrame({"at": [partition.start, partition.end]})

    with pytest.raises(PartitionError):
        ingest.at("2024-01-01")()
    assert made(shop, "events") == []


def test_a_failing_blocking_check_keeps_the_old_data(shop, tmp_path):
    orders = Asset("orders", at="parquet://lake/orders")
    values = [[1, 2], []]

    @materialize(orders)
    def ingest() -> pl.DataFrame:
        return pl.DataFrame({"id": values.pop(0)}, schema={"id": pl.Int64})

    @check(orders, blocking=True)
    def some(df: pl.DataFrame) -> tuple[bool, str]:
        return df.height > 0, f"{df.height} rows"

    ingest()
    with pytest.raises(CheckFailed, match="the check 'some' failed on orders: 0 rows"):
        ingest()
    assert pl.read_parquet(tmp_path / "lake/orders.parquet")["id"].to_list() == [1, 2]
    assert made(shop, "orders") == [(None, 2)]
    assert [path.name for path in (tmp_path / "lake").iterdir()] == ["orders.parquet"]
    states = [run["state"] for run in shop.reader.runs()["runs"]]
    assert states == ["Blocked", "Completed"]
    with shop.projection.session() as session:
        assert list(session.rows("select state from task_runs order by started")) == [("Completed",), ("Blocked",)]


def test_what_can_not_be_discarded_hides_no_error(shop, monkeypatch, caplog):
    orders, prices = Asset("orders", at="parquet://lake/orders"), Asset("prices", at="parquet://lake/prices")

    @materialize(orders, prices)
    def ingest() -> tuple:
        return pl.DataFrame({"id": [1]}), pl.DataFrame({"id": [0]})

    @check(prices, blocking=True)
    def some(df: pl.DataFrame) -> bool:
        return df["id"].min() > 0

    def full(*_: object) -> None:
        raise PermissionError("read only")

    monkeypatch.setattr(ParquetMaterializer, "discard", full)
    with pytest.raises(CheckFailed, match="'some' failed on prices"):
        ingest()
    assert "what was staged for 'orders' could not be discarded: PermissionError: read only" in caplog.text
    facts = shop.catalog.facts()
    assert [facts.of(name).failed[None].state for name in ("orders", "prices")] == ["refused", "refused"]


def test_sql_is_executed_in_the_engine_and_its_columns_are_known(shop):
    orders = Asset("orders", at="parquet://lake/orders")
    totals = Asset("totals", at="duckdb://shop.duckdb/main.totals")
    best = Asset("best", at="duckdb://shop.duckdb/main.best")

    @materialize(orders)
    def ingest() -> pl.DataFrame:
        return pl.DataFrame({"who": ["a", "b", "a"], "amount": [1.0, 2.0, 3.0]})

    @materialize(totals, inputs={"sold": orders})
    def summarise(sold: Asset):
        return sql("select who, sum(amount) as total from {sold} where amount > 0 group by who", sold=sold)

    @materialize(best)
    def pick(rows: Annotated[Asset, totals]):
        return sql("select max(total) as best from {rows}", rows=rows)

    @flow
    def nightly():
        ingest()
        summarise()
        return pick().collect().item()

    assert nightly() == 4.0
    assert observed(shop) == {("orders", "totals"), ("totals", "best")}
    found = columns(shop)
    assert ("orders", "amount", "totals", "total", "AGGREGATION") in found
    assert ("orders", "who", "totals", "who", "IDENTITY") in found
    assert ("orders", "amount", "totals", None, "FILTER") in found
    assert ("totals", "total", "best", "best", "AGGREGATION") in found


@pytest.mark.parametrize("at", ["memory://sales", "parquet://lake/sales", "duckdb://warehouse.duckdb/main.sales"])
def test_a_query_over_no_partition_at_all_finds_no_rows(shop, at):
    sales = Asset("sales", at=at, partitions=days)
    recent = Asset("recent", at="duckdb://warehouse.duckdb/main.recent", partitions=days)

    @materialize(sales)
    def sell(partition):
        return [{"n": 1}]

    @materialize(recent, inputs={"before": sales.window(-2, -1, at_least=0)})
    def count(before: Asset):
        return sql("select count(*) as days, max(n) as most from {before}", before=before)

    sell.at("2024-01-20")()
    assert count.at("2024-01-05")().collect().rows() == [(0, None)]


def test_values_are_followed_through_containers_futures_and_subflows(shop):
    for name in "abcde":
        Asset(name, at=f"memory://{name}")

    @materialize("memory://a")
    def a():
        return [{"x": 1}]

    @materialize("memory://b")
    def b():
        return {"y": [2]}

    @task
    def carry(value):
        return {"deep": [(value,)]}

    @materialize("memory://c")
    def c(value):
        return [{"n": len(value)}]

    @flow
    def inner():
        return b()

    @materialize("memory://d")
    def d():
        return [{"x": 4}]

    @materialize("memory://e")
    def e(unrelated):
        return [{"x": 5}]

    @flow
    def outer():
        c([carry(a()), inner()])
        before = d.submit()
        e.submit([{"x": 1}], wait_for=[before]).result()

    outer()
    # The rows given to e are equal to those of a, and are not the same object: no phantom edge.
    assert observed(shop) == {("a", "c"), ("b", "c"), ("d", "e")}


def test_a_changed_eager_frame_is_of_unknown_origin_unless_it_says_so(shop):
    raw, clean, stated = (Asset(name, at=f"parquet://lake/{name}") for name in ("raw", "clean", "stated"))

    @materialize(raw)
    def ingest() -> pl.DataFrame:
        return pl.DataFrame({"x": [1, 2]})

    @materialize(clean)
    def keep(frame: pl.DataFrame) -> pl.DataFrame:
        return frame

    @materialize(stated)
    def keep_stated(frame: pl.DataFrame) -> pl.DataFrame:
        return frame

    @flow
    def daily():
        frame = ingest()
        keep(frame.filter(pl.col("x") > 1))
        keep_stated(derived_from(frame.filter(pl.col("x") > 1), frame))

    daily()
    assert observed(shop) == {("raw", "stated")}
    facts = shop.catalog.facts()
    assert facts.of("clean").made[None].unknown_inputs
    assert not facts.of("stated").made[None].unknown_inputs


def test_lazy_frames_keep_their_edges_through_plans(shop):
    left, right, joined = (Asset(name, at=f"parquet://lake/{name}") for name in ("left_", "right_", "joined"))

    @materialize(left)
    def make_left() -> pl.DataFrame:
        return pl.DataFrame({"k": [1, 2], "a": [1, 2]})

    @materialize(right)
    def make_right() -> pl.DataFrame:
        return pl.DataFrame({"k": [1, 2], "b": [3, 4]})

    @materialize(joined)
    def join(both) -> pl.LazyFrame:
        return both.with_columns(c=pl.col("a") + pl.col("b"))

    @flow
    def daily():
        join(make_left().lazy().join(make_right().lazy(), on="k"))

    daily()
    assert observed(shop) == {("left_", "joined"), ("right_", "joined")}
    found = columns(shop)
    assert ("left_", "a", "joined", "c", "TRANSFORMATION") in found
    assert ("right_", "b", "joined", "c", "TRANSFORMATION") in found
    assert ("left_", "k", "joined", None, "JOIN") in found


def test_several_outputs_each_by_itself(shop):
    good, bad = Asset("good", at="parquet://lake/good"), Asset("bad", at="parquet://lake/bad")

    @materialize(good, bad)
    def split():
        frame = pl.DataFrame({"x": [1, 2, 3]})
        return {"bad": frame.filter(pl.col("x") > 2), "good": frame.filter(pl.col("x") <= 2)}

    split()
    assert made(shop, "good") == [(None, 2)]
    assert made(shop, "bad") == [(None, 1)]


def test_an_async_function_is_materialized_alike(shop):
    @materialize("parquet://lake/fetched")
    async def fetched() -> pl.DataFrame:
        await asyncio.sleep(0)
        return pl.DataFrame({"x": [1]})

    @flow
    async def main():
        return await fetched()

    assert asyncio.run(main()).height == 1
    assert made(shop, "fetched") == [(None, 1)]


def test_a_retried_materialization_publishes_once(shop):
    tries = []

    @materialize("parquet://lake/shaky", retries=2)
    def shaky() -> pl.DataFrame:
        tries.append(1)
        if len(tries) < 3:
            raise OSError("not yet")
        return pl.DataFrame({"x": [1]})

    shaky()
    assert made(shop, "shaky") == [(None, 1)]


def test_an_input_that_changes_while_it_is_read_makes_the_step_run_again(shop):
    source, target = Asset("source", at="parquet://lake/source"), Asset("target", at="parquet://lake/target")
    seen = []

    @materialize(source)
    def make(n: int = 1) -> pl.DataFrame:
        return pl.DataFrame({"x": [n]})

    @materialize(target)
    def read(frame: Annotated[pl.DataFrame, source]) -> pl.DataFrame:
        seen.append(frame["x"].item())
        if len(seen) == 1:
            make.fn  # noqa: B018
            _publish_elsewhere(shop, make, 2)
        return frame

    make()
    assert read()["x"].item() == 2
    assert seen == [1, 2]
    assert made(shop, "target") == [(None, 1)]


def _publish_elsewhere(shop, make, n: int) -> None:
    import threading

    # A thread has no context: this is another run, as it would be from another process.
    other = threading.Thread(target=make, args=(n,))
    other.start()
    other.join()


def test_sources_are_observed_and_others_work_recorded(shop, tmp_path):
    (tmp_path / "rates.csv").write_text("at,rate\n2024-01-05T10:00:00Z,1.1\n2024-01-06T10:00:00Z,1.2\n")
    options = {"schema_overrides": {"at": pl.Datetime("us", "UTC")}}
    rates = Asset("rates", at="csv://rates.csv", time_column="at", options=options)
    report = Asset("report", at="parquet://lake/report")

    @flow
    def look():
        return observe(rates)

    seen = look()
    assert seen.rows == 2
    assert [column.name for column in seen.columns] == ["at", "rate"]
    record(report, version="v1", rows=7, inputs=[rates])
    with materializing("parquet://lake/chosen", inputs=[]) as m:
        m.write(pl.DataFrame({"x": [1]}))
    with materializing("parquet://lake/linked", inputs=[rates]) as m:
        m.write(pl.DataFrame({"x": [1]}))
    status = {row["name"]: row for row in _status(shop)["assets"]}
    assert status["rates"]["data_through"] == "2024-01-06T10:00:00.000000Z"
    assert status["rates"]["basis"] == "observed"
    assert status["report"]["rows"] == 7
    assert status["chosen"]["rows"] == 1
    assert observed(shop) == {("rates", "report"), ("rates", "linked")}


def _status(shop):
    from headwater import clock
    from headwater.assets import board

    facts = shop.catalog.facts()
    return board.status(facts, facts.definitions, clock.now_us())


def test_wrong_definitions_say_what_to_do(shop):
    one = Asset("one", at="memory://one")

    @materialize(one)
    def first():
        return [{"x": 1}]

    with pytest.raises(DefinitionError, match="two assets named 'one'"):
        Asset("one", at="memory://two")
    with pytest.raises(DefinitionError, match="same place"):
        Asset("uno", at="memory://one")
    with pytest.raises(DefinitionError, match="needs the asset"):
        materialize(first.fn)
    with pytest.raises(DefinitionError, match=r"needs a function, got functools\.partial"):
        materialize("memory://partly")(partial(first.fn))
    for name, value in (("tags", ["gold"]), ("tags", "gold"), ("options", [";"]), ("time_column", ["at"])):
        with pytest.raises(DefinitionError, match=f"{name} of the asset 'six' can't be") as caught:
            Asset("six", at="memory://six", **{name: value})
        assert caught.value.hint.startswith(f"write {name}=")
    for says in (observe, record, run_checks):
        with pytest.raises(DefinitionError, match="the location 'one' has no scheme") as caught:
            says("one")
        assert caught.value.where == f"{says.__name__}(…)"
    with pytest.raises(DefinitionError, match="no parameter of"):
        materialize("memory://three", inputs={"nope": one})(first.fn)
    with pytest.raises(DefinitionError, match="can't be given as"):

        @materialize("memory://four")
        def wrong(value: Annotated[int, Asset("table", at="parquet://table")]):
            return value

    with pytest.raises(DefinitionError, match="would be its own input"):

        @materialize("memory://five", inputs={"itself": "memory://five"})
        def itself(itself):
            return itself


def test_an_argument_that_the_function_does_not_have_is_told_with_its_name(shop):
    @materialize("memory://single")
    def single(rows=None):
        return {"id": [1]}

    # A type checker can't: any input may be left out of a call, and come in another form.
    with pytest.raises(TypeError, match=r"^single\(\) got an unexpected keyword argument 'row'$"):
        single(row={"id": [2]})
    assert made(shop, "single") == []


def test_what_an_asset_cannot_store_is_refused(shop):
    @materialize("parquet://lake/odd")
    def odd():
        return object()

    with pytest.raises(ReturnTypeError):
        odd()
    assert made(shop, "odd") == []


def test_values_go_from_one_call_to_the_next_outside_any_flow(shop):
    first, second = Asset("first", at="memory://first"), Asset("second", at="parquet://lake/second")

    @materialize(first)
    def one():
        return [{"x": 1}]

    @materialize(second)
    def two(rows: Annotated[pl.LazyFrame, first]) -> pl.LazyFrame:
        return rows.select(y=pl.col("x") + 1)

    two(rows=one())
    assert observed(shop) == {("first", "second")}
    assert ("first", "x", "second", "y", "TRANSFORMATION") in columns(shop)


def test_declared_inputs_are_known_before_they_are_observed(shop, tmp_path):
    (tmp_path / "rates.csv").write_text("rate\n1\n")
    rates = Asset("rates", at="csv://rates.csv", static=True, owners=["team:x"])

    @materialize("parquet://lake/rated")
    def rated(read: Annotated[pl.LazyFrame, rates]) -> pl.LazyFrame:
        return read

    rated()
    with shop.projection.session() as session:
        assert set(session.rows("select name from assets")) == {("rates",), ("rated",)}


FORKS = """
import importlib, os, signal, sys, threading
from headwater import Asset, flow, materialize

lock = importlib.import_module(sys.argv[1])._lock
held, over = threading.Event(), threading.Event()

def hold():
    with lock:
        held.set()
        over.wait(20)

@materialize(Asset("greetings", at="memory://greetings"))
def greet():
    return [{"text": "hello"}]

@flow
def main():
    return greet()

thread = threading.Thread(target=hold)
thread.start()
held.wait(20)
child = os.fork()
if not child:
    signal.alarm(10)
    os._exit(0 if main() == [{"text": "hello"}] else 1)
over.set()
thread.join()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize("module", ["core.runtime", "core.logs", "materializers.registry", "materializers.memory"])
def test_a_child_that_is_forked_while_another_thread_is_at_it_materializes(tmp_path, module):
    run = [sys.executable, "-W", "ignore", "-c", FORKS, f"headwater.{module}"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("0\n", 0), done.stderr


def test_what_is_no_mapping_or_no_list_is_refused_by_its_name_in_a_definition() -> None:
    wrong: Any
    for wrong in (True, 5, ["days"], "days"):
        with pytest.raises(DefinitionError, match=r"inputs of .*made can't be"):

            @materialize(Asset("made", at="memory://made"), inputs=wrong)
            def made(days: Any) -> None: ...

    for wrong in (None, 5, True):
        with pytest.raises(DefinitionError, match="owners of asset 'made' must be a list"):
            Asset("made", at="memory://made", owners=wrong)
        with pytest.raises(DefinitionError, match="column_tags can't be"):
            Asset("made", at="memory://made", column_tags={"email": wrong})


def test_what_lies_in_memory_is_given_to_an_annotation_of_its_own_class() -> None:
    with project():
        model = Asset("model", at="memory://model")

        @materialize(model)
        def train() -> dict[str, float]:
            return {"slope": 2.0}

        @materialize("memory://forecast")
        def predict(trained: Annotated[dict[str, float], model]) -> list[float]:
            return [trained["slope"] * x for x in (1, 2)]

        train()
        assert predict() == [2.0, 4.0]


def test_what_is_no_table_is_none_where_no_partition_of_it_is_read() -> None:
    with project():
        model = Asset("model", at="memory://model", partitions=days)
        seen: list[object] = []

        @materialize(model, inputs={"before": model.window(-1, -1)})
        def train(before: dict[str, float]) -> dict[str, float]:
            seen.append(before)
            return {"slope": before["slope"] + 1 if before else 1.0}

        for day in ("2024-01-01", "2024-01-02", "2024-01-01"):
            train.at(day)()
        assert seen == [None, {"slope": 1.0}, None]


def test_what_is_no_table_is_no_table_where_no_partition_of_it_is_read() -> None:
    with project():
        model = Asset("model", at="memory://model", partitions=days)
        shown = Asset("shown", at="memory://shown", partitions=days)

        @materialize(model)
        def train() -> dict[str, float]:
            return {"slope": 1.0}

        @materialize(shown, inputs={"before": model.window(-1, -1)})
        def show(before: pl.DataFrame) -> pl.DataFrame:
            return before

        train.at("2024-01-01")()
        train.at("2024-01-02")()
        for day in ("2024-01-02", "2024-01-01"):
            with pytest.raises(ReturnTypeError, match="can't be"):
                show.at(day)()


def test_an_asset_without_partitions_has_no_past_to_read() -> None:
    kept = Asset("kept", at="memory://kept")

    def snapshot(before):
        return before

    for before in (kept, kept.window(-1, -1), kept.window(-1, -1, needs=0)):
        with pytest.raises(DefinitionError, match="would be its own input") as caught:
            materialize(kept, inputs={"before": before})(snapshot)
        assert caught.value.hint.startswith("give it partitions")


def test_who_returns_a_series_is_told_how_it_becomes_a_table() -> None:
    import pandas as pd

    with project():
        for series in (pd.Series([1], name="amount"), pl.Series("amount", [1])):

            @materialize("parquet://sums")
            def total(series=series):
                return series

            with pytest.raises(ReturnTypeError, match="Series can't be stored") as caught:
                total()
            assert ".to_frame()" in caught.value.hint
