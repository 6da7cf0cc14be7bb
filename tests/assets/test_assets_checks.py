"""Checks as a user has them: what is published and what is not, what is recorded, and what each built-in one sees."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import polars as pl
import pytest
from check_cases import DAY, ask, one, past
from polars.io.plugins import register_io_source

from headwater import (
    Asset,
    DailyPartitions,
    Freshness,
    Partition,
    check,
    checks,
    clock,
    flow,
    materialize,
    observe,
    sql,
)
from headwater.assets import board, registry
from headwater.assets.checks import context, history
from headwater.assets.checks.base import Check
from headwater.assets.checks.history import histories
from headwater.checks import (
    CheckContext,
    CheckResult,
    accepted_values,
    anomaly,
    in_range,
    inputs_fresh,
    not_null,
    reconciles,
    row_count,
    run_checks,
    schema,
    sql_check,
    unique,
)
from headwater.errors import CheckFailed, DefinitionError, LocationError, PartitionError, UnknownNameError, UsageError
from headwater.project import Project
from headwater.testing import FakeClock, project

days = DailyPartitions("2024-01-01", "2024-03-01")
FIRST = clock.to_us(datetime(2024, 1, 1, tzinfo=UTC))


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Project]:
    with project(tmp_path) as found:
        yield found


def told(shop: Project, columns: str = "name, passed, message", **where: str) -> list[tuple[Any, ...]]:
    """Rows of the view `checks`, the oldest first."""
    condition = " and ".join(f"{name} = '{value}'" for name, value in where.items()) or "true"
    return shop.reader.sql(f'select {columns} from checks where {condition} order by "at", name')[1]


def row_of(shop: Project, name: str, as_of: int | None = None) -> dict[str, Any]:
    """An asset's row on the board."""
    facts = shop.catalog.facts()
    return board.status(facts, [name], clock.now_us() if as_of is None else as_of)["assets"][0]


def put(asset: Asset, columns: dict[str, list[Any]]) -> None:
    """Make an asset of these columns."""

    @materialize(asset)
    def make() -> pl.DataFrame:
        return pl.DataFrame(columns)

    make()


def test_the_public_names() -> None:
    assert checks.__all__ == sorted(checks.__all__)
    classes, made = {"Check", "CheckContext", "CheckResult", "PastVersion"}, {"check", "run_checks"}
    built_in = {"accepted_values", "anomaly", "in_range", "inputs_fresh", "not_null", "pandera_check", "reconciles"}
    assert set(checks.__all__) == classes | made | built_in | {"row_count", "schema", "sql_check", "unique"}
    for name in checks.__all__:
        assert getattr(checks, name).__doc__


# --- what is published and what is not ----------------------------------------------------------------------------------


def test_a_blocking_check_leaves_the_old_table_in_place_and_the_board_says_so(shop: Project, tmp_path: Path) -> None:
    orders = Asset("orders", at="parquet://lake/orders", checks=[not_null("id", blocking=True), row_count(min=2)])
    given = [1, 2]

    @materialize(orders)
    def ingest() -> pl.DataFrame:
        return pl.DataFrame({"id": given}, schema={"id": pl.Int64})

    ingest()
    given[:] = [None]
    with pytest.raises(CheckFailed) as caught:
        ingest()
    assert caught.value.message == "the check 'not_null(id)' failed on orders: 1 of 1 rows: id is null"
    assert (caught.value.check, caught.value.asset, caught.value.exit_code) == ("not_null(id)", "orders", 3)
    assert pl.read_parquet(tmp_path / "lake/orders.parquet")["id"].to_list() == [1, 2]
    assert [file.name for file in (tmp_path / "lake").iterdir()] == ["orders.parquet"]
    assert told(shop, "name, passed, published, severity, blocking") == [
        ("not_null(id)", True, True, "error", True),
        ("row_count", True, True, "warn", False),
        ("not_null(id)", False, False, "error", True),
        ("row_count", False, False, "warn", False),
    ]
    row = row_of(shop, "orders")
    assert row["checks"] == ["not_null(id)", "row_count"]
    [refused] = row["refused"]
    assert (refused["state"], refused["kept"], refused["partition"]) == ("refused", True, None)
    assert "not_null(id)" in refused["message"]
    # What is in place passed: the failure belongs to what was not published.
    assert row["failed_checks"] == []


def test_a_failure_that_does_not_block_is_published_logged_and_shown(
    shop: Project, caplog: pytest.LogCaptureFixture
) -> None:
    orders = Asset("orders", at="parquet://lake/orders", checks=[in_range("n", 0, 10, description="n is small")])

    @materialize(orders)
    def ingest() -> pl.DataFrame:
        return pl.DataFrame({"n": [1, 11]})

    @flow
    def nightly() -> None:
        ingest()

    with caplog.at_level(logging.WARNING):
        nightly()
    text = "the check 'in_range(n)' failed on orders: 1 of 2 rows: n is outside 0 to 10 (n=11)"
    assert text in caplog.messages
    [run] = shop.reader.runs()["runs"]
    assert text in [row["message"] for row in shop.reader.logs(run["id"])["logs"]]
    row = row_of(shop, "orders")
    assert row["refused"] == []
    [failed] = row["failed_checks"]
    assert (failed["name"], failed["severity"], failed["partition"]) == ("in_range(n)", "warn", None)
    assert told(shop, "description, kind, metrics->>'failed', run_id is not null") == [
        ("n is small", "in_range", "1", True)
    ]


def test_each_partition_is_judged_by_itself(shop: Project) -> None:
    sales = Asset("sales", at="parquet://lake/sales", partitions=days, checks=[row_count(min=1, blocking=True)])

    @materialize(sales)
    def ingest(partition: Partition) -> pl.DataFrame:
        return pl.DataFrame({"n": [1] * (partition.date.day % 2)}, schema={"n": pl.Int64})

    ingest.at("2024-01-01")()
    with pytest.raises(CheckFailed, match="the check 'row_count' failed on sales@2024-01-02: 0 rows") as caught:
        ingest.at("2024-01-02")()
    assert caught.value.partition == "2024-01-02"
    ingest.at("2024-01-03")()
    assert told(shop, "partition, passed") == [("2024-01-01", True), ("2024-01-02", False), ("2024-01-03", True)]
    [refused] = row_of(shop, "sales")["refused"]
    assert (refused["partition"], refused["kept"]) == ("2024-01-02", False)


def test_several_failures_are_named(shop: Project) -> None:
    bad = Asset("bad", at="memory://bad", checks=[not_null("a", blocking=True), unique("a", blocking=True)])

    @materialize(bad)
    def make() -> pl.DataFrame:
        return pl.DataFrame({"a": [1, 1, None]})

    with pytest.raises(CheckFailed, match=r"'not_null\(a\)' failed on bad: .* \(and 1 more: unique\(a\)\)"):
        make()


def test_one_pass_over_the_data_for_all_declared_checks() -> None:
    reads = []

    def read(columns: Any, predicate: Any, n_rows: Any, batch_size: Any) -> Iterator[pl.DataFrame]:
        reads.append(columns)
        whole = pl.DataFrame({"a": [1, 2], "b": ["x", None]})
        yield whole if columns is None else whole.select(columns)

    frame = register_io_source(read, schema={"a": pl.Int64, "b": pl.String})
    many = [not_null("a"), unique("a", "b"), accepted_values("b", ["x"]), in_range("a", 0, 9), row_count(min=1)]
    results = ask(frame, *many, schema({"a": "Int64", "b": "String not null"}), anomaly("mean(a)"))
    assert [result.passed for result in results] == [True, True, True, True, True, False, True]
    assert len(reads) == 1


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_a_bound_with_a_zone_is_an_instant_in_any_zone(zone: str) -> None:
    noon = datetime(2024, 1, 1, 12, tzinfo=ZoneInfo("Asia/Tokyo"))
    frame = pl.DataFrame({"at": [datetime(2024, 1, 1, hour, tzinfo=UTC) for hour in (2, 3, 4)]})
    frame = frame.with_columns(pl.col("at").dt.convert_time_zone(zone))
    for asked, failed in ((in_range("at", noon), 1), (in_range("at", max=noon), 1), (in_range("at", noon, noon), 2)):
        assert one(frame, asked).metrics["failed"] == failed


# --- functions ----------------------------------------------------------------------------------------------------------


def test_functions_answer_in_many_ways(shop: Project) -> None:
    orders = Asset("orders", at="parquet://lake/orders", partitions=days)

    @materialize(orders)
    def ingest() -> pl.DataFrame:
        return pl.DataFrame({"n": [1, 2, 3]})

    @check(orders)
    def lazily(df: pl.LazyFrame) -> bool:
        return df.collect().height == 3

    @check(orders, description="of January")
    def partitioned(df: pl.DataFrame, partition: Partition) -> tuple[bool, str]:
        """Not this text."""
        return partition.date.month == 2, f"it is {partition}"

    @check(orders, severity="error")
    def figures(df: pl.DataFrame, context: CheckContext) -> CheckResult:
        """Counts what is odd.

        And more.
        """
        assert context.rows == df.height
        return CheckResult(passed=False, metrics={"odd": df.filter(pl.col("n") % 2 == 1).height, "bad": float("nan")})

    @check(orders)
    def asserts(df: pl.DataFrame) -> None:
        raise AssertionError("too few")

    @check(orders)
    def raises(df: pl.DataFrame) -> bool:
        raise KeyError("b")

    @check(orders)
    def as_relation(rows: Any) -> Any:
        return pl.Series([True]).all()

    @check(orders)
    def of_pandas(df: pd.DataFrame) -> Any:
        return (df["n"] > 1).all(), "some are small"

    @check(orders)
    def wild_figures(df: pl.DataFrame) -> CheckResult:
        return CheckResult(passed=True, metrics={"huge": 10**400, "exact": 2**53 + 1})

    @check(orders)
    def no_figures(df: pl.DataFrame) -> Any:
        return CheckResult(passed=True, metrics=None)  # type: ignore[arg-type]

    ingest.at("2024-01-05")()
    found = told(shop, "name, passed, message, severity, description, kind")
    assert found == [
        ("as_relation", True, None, "warn", None, "function"),
        ("asserts", False, "too few", "warn", None, "function"),
        ("figures", False, None, "error", "Counts what is odd.", "function"),
        ("lazily", True, None, "warn", None, "function"),
        (
            "no_figures",
            False,
            "the check raised AttributeError: 'NoneType' object has no attribute 'items'",
            "warn",
            None,
            "function",
        ),
        ("of_pandas", False, "some are small", "warn", None, "function"),
        ("partitioned", False, "it is 2024-01-05", "warn", "of January", "function"),
        ("raises", False, "the check raised KeyError: 'b'", "warn", None, "function"),
        ("wild_figures", True, None, "warn", None, "function"),
    ]
    assert told(shop, "metrics->>'odd', metrics->>'bad'", name="figures") == [("2", None)]
    assert told(shop, "metrics->>'huge'", name="wild_figures") == [(None,)]


async def awaits(df: Any) -> bool:
    return True


def nothing() -> bool:
    return True


def two(df: Any, other: int) -> bool:
    return True


def yields(df: Any) -> Iterator[bool]:
    yield True


@pytest.mark.parametrize(
    ("fn", "says"),
    [
        (awaits, "must be a plain function"),
        (yields, "must be a plain function"),
        (nothing, "must take the data as its first argument"),
        (two, "has a parameter 'other' that nothing fills"),
    ],
)
def test_a_function_that_can_be_no_check(shop: Project, fn: Any, says: str) -> None:
    with pytest.raises(DefinitionError, match=says):
        check(Asset("orders", at="memory://orders"))(fn)


def made_wrong() -> list[Any]:
    return [
        lambda: not_null(),
        lambda: not_null(3),  # type: ignore[arg-type]
        lambda: not_null("a", 3),  # type: ignore[arg-type]
        lambda: unique("a", at_most=2),
        lambda: unique("a", at_most=True),
        lambda: unique("a", examples="a"),
        lambda: unique("a", blocking="yes"),  # type: ignore[arg-type]
        lambda: unique("a", severity="fatal"),  # type: ignore[arg-type]
        lambda: unique("a", blocking=True, severity="warn"),
        lambda: unique("a", name=""),
        lambda: unique("a", name="a\nb"),
        lambda: accepted_values("a", "abc"),
        lambda: in_range("a"),
        lambda: in_range("a", 1, closed="up"),  # type: ignore[arg-type]
        lambda: row_count(),
        lambda: in_range("a", 3, 2),
        lambda: in_range("a", "z", "a"),
        lambda: row_count(min=3, max=2),
        lambda: row_count(min=-1),
        lambda: anomaly("median(x)"),
        lambda: anomaly("mean"),
        lambda: anomaly("rows(x)"),
        lambda: anomaly(at_least=1),
        lambda: anomaly(threshold=0),
        lambda: anomaly(method="z"),  # type: ignore[arg-type]
        lambda: schema({}),
        lambda: schema({"a": "not null"}),
        lambda: schema(evolution="some"),  # type: ignore[arg-type]
        lambda: inputs_fresh(fail_on="fresh"),
        lambda: reconciles(Asset("flown", at="memory://flown"), tolerance=-0.1),
        lambda: reconciles(Asset("flown", at="memory://flown"), absolute=-1),
        lambda: row_count(min=True),
        lambda: reconciles("orders"),  # type: ignore[arg-type]
        lambda: sql_check("select 1"),
        lambda: sql_check("select * from {this} join {other}"),
        lambda: sql_check("select * from {this}", at_most=-1),
        lambda: sql_check("select * from {this} join {o}", inputs={"o": 3}),  # type: ignore[dict-item]
        lambda: Asset("a", at="memory://a", checks=[max]),  # type: ignore[list-item]
        lambda: Asset("a", at="memory://a", checks=not_null("x")),  # type: ignore[arg-type]
        lambda: Asset("a", at="memory://a", checks=[in_range("x", 0), in_range("x", max=3)]),  # type: ignore[arg-type]
    ]


COMMON = ("name", "blocking", "severity", "description")


@pytest.mark.parametrize(
    ("make", "own"),
    [
        (row_count, ("min", "max")),
        (partial(not_null, "a"), ("at_most", "examples")),
        (partial(in_range, "a", 0), ("column", "min", "max", "closed", "at_most", "examples")),
        (partial(sql_check, "select * from {this}"), ("text", "inputs", "at_most", "examples")),
        (inputs_fresh, ("fail_on",)),
    ],
)
def test_an_option_that_a_check_does_not_have_is_named_with_those_that_it_has(make: Any, own: tuple[str, ...]) -> None:
    with pytest.raises(UnknownNameError, match="there is no option 'at_leest'") as caught:
        make(at_leest=1)
    assert caught.value.where == getattr(make, "func", make).__name__
    listed = (caught.value.hint or "").removeprefix("it takes ").split(", ")
    assert len(listed) == len(set(listed))
    assert set(listed) == {*own, *COMMON}


@pytest.mark.parametrize("make", made_wrong(), ids=range(len(made_wrong())))
def test_a_check_that_is_defined_wrongly(make: Any) -> None:
    with registry.scope(), pytest.raises(DefinitionError) as caught:
        make()
    assert caught.value.message


def test_how_severe_a_check_is() -> None:
    checks = [unique("a"), unique("a", severity="warn"), unique("a", severity="error"), unique("a", blocking=True)]
    assert [one.severity for one in checks] == ["warn", "warn", "error", "error"]


def test_a_function_can_not_take_the_name_of_a_declared_check(shop: Project) -> None:
    orders = Asset("orders", at="memory://orders", checks=[row_count(min=1)])
    with pytest.raises(DefinitionError, match="two checks named 'row_count'"):
        check(orders, name="row_count")(lambda df: True)
    assert [one.name for one in registry.current().checks_of("orders")] == ["row_count"]


# --- rows ---------------------------------------------------------------------------------------------------------------

FRAME = pl.DataFrame({"id": [1, 2, 3, 4], "s": ["a", "b", "secret@example.com", "x" * 60], "d": [date(2024, 1, 1)] * 4})


def test_messages_show_a_few_values_of_the_columns_that_are_named() -> None:
    found = one(FRAME, accepted_values("s", ["a", "b"]))
    assert found.message == f"2 of 4 rows: s is not accepted (s='secret@example.com'; s='{'x' * 38}…)"
    assert one(FRAME, accepted_values("s", ["a"], examples=[])).message == "3 of 4 rows: s is not accepted"
    by_id = one(FRAME, accepted_values("s", [], examples=["id"], at_most=0.5))
    assert by_id.message == "4 of 4 rows (100%, at most 50% may): s is not accepted (id=1; id=2; id=3)"
    assert one(FRAME, unique("d")).message == "4 of 4 rows: d is not unique (d=2024-01-01)"
    assert (
        one(FRAME, in_range("d", max=date(2023, 1, 1))).message == "4 of 4 rows: d is above 2023-01-01 (d=2024-01-01)"
    )


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (in_range("s", 0), "the column 's' is of type String: cannot compare string with numeric type"),
        (in_range("l", 0), "the column 'l' is of type List(Int64): could not evaluate '<' comparison"),
        (accepted_values("n", ["a"]), "the column 'n' is of type Int64: 'is_in' cannot check for Int64 values"),
        (accepted_values("n", [1, "a"]), "the column 'n' is of type Int64: unexpected value while building"),
    ],
)
def test_types_that_can_not_be_compared_are_named_in_a_line(asked: Check, says: str) -> None:
    frame = pl.DataFrame({"s": ["x"], "n": [1], "l": [[1]]})
    by_itself, beside_others = one(frame, asked), ask(frame, not_null("s"), asked)[1]
    for found in (by_itself, beside_others):
        assert not found.passed
        assert str(found.message).startswith(says)
        assert "\n" not in str(found.message)


@pytest.mark.parametrize(
    ("asked", "with_what"),
    [
        (in_range("d", 0, 10**9), "0"),
        (in_range("t", max=1e18), "1e+18"),
        (in_range("u", 0), "0"),
        (in_range("n", max=date(2030, 1, 1)), "2030-01-01"),
        (in_range("x", max=timedelta(days=9)), "9 days, 0:00:00"),
    ],
)
def test_a_time_is_within_no_numbers_and_a_number_within_no_times(asked: Check, with_what: str) -> None:
    frame = pl.DataFrame(
        {"d": [date(2024, 1, 1)], "t": [datetime(2024, 1, 1)], "u": [timedelta(1)], "n": [1], "x": [1.5]}
    )
    found = one(frame, asked)
    assert not found.passed
    assert str(found.message).endswith(f", which can't be compared with {with_what}")


def test_what_polars_says_of_a_function_is_told_without_its_plan(shop: Project) -> None:
    orders = Asset("orders", at="parquet://lake/orders")

    @check(orders)
    def compares(df: pl.LazyFrame) -> bool:
        return df.filter(pl.col("s") > 3).collect().height == 0

    put(orders, {"s": ["x"]})
    ((name, passed, message),) = told(shop)
    assert (name, passed) == ("compares", False)
    assert message.startswith("the check raised ComputeError: cannot compare string with numeric type")
    assert "\n" not in message


def test_a_share_of_rows_may_fail_exactly() -> None:
    frame = pl.DataFrame({"x": [None] * 29 + [1] * 71})
    assert one(frame, not_null("x", at_most=0.29)).passed
    assert not one(frame, not_null("x", at_most=0.289)).passed
    assert one(frame, not_null("x", at_most=0.29)).message == "29 of 100 rows (29%, at most 29% may): x is null"


def test_what_is_no_table_fails_and_rows_of_python_are_one() -> None:
    assert "can't be stored" in str(one({"a": 1}, row_count(min=1)).message)
    assert one([{"a": 1}], row_count(min=1)).passed


# --- schema -------------------------------------------------------------------------------------------------------------


def test_a_contract_with_what_may_change() -> None:
    frame = pl.DataFrame({"id": [1, None], "name": ["a", "b"], "at": [datetime(2024, 1, 1)] * 2})
    assert one(frame, schema({"id": "Int64", "name": pl.String, "at": "Datetime"}, evolution="none")).passed
    assert (
        one(frame, schema({"id": int, "name": str})).message == "at (Datetime(time_unit='us', time_zone=None)) is new"
    )
    assert not one(frame, schema({"id": pl.Int64, "name": pl.String()}, evolution="none")).passed
    strict = one(frame, schema({"id": "Int64 not null", "name": "Int64", "gone": "Date", "at": "Datetime"}))
    assert strict.message == "id holds 1 null, name is String, was Int64, gone is gone"
    assert strict.metrics == {"added": 0, "removed": 1, "retyped": 1, "nullable": 1}
    anything = one(frame, schema({"gone": "Date"}, evolution="any"))
    assert anything.passed
    assert str(anything.message).endswith("gone is gone")


def test_the_last_version_is_the_contract_when_none_is_declared(shop: Project) -> None:
    table = Asset("table", at="duckdb://shop.duckdb/main.t", checks=[schema(blocking=True)])
    given: dict[str, list[Any]] = {"id": [1]}

    @materialize(table)
    def make() -> pl.DataFrame:
        return pl.DataFrame(given)

    make()
    given["more"] = ["x"]
    make()
    given["id"] = ["one"]
    with pytest.raises(CheckFailed, match="id is VARCHAR, was BIGINT"):
        make()
    del given["id"]
    with pytest.raises(CheckFailed, match="id is gone"):
        make()
    assert [message for _, _, message in told(shop)] == [
        "no earlier version to compare the columns with",
        "more (VARCHAR) is new",
        "id is VARCHAR, was BIGINT",
        "id is gone",
    ]


# --- what is held against other things ----------------------------------------------------------------------------------


def test_an_anomaly_needs_history() -> None:
    frame = pl.DataFrame({"x": [1.0] * 100})
    little = one(frame, anomaly(), past=past(100, 90, 110))
    assert (little.passed, little.message) == (True, "not enough history: 3 of 8 earlier values of rows")
    assert one(frame, anomaly(), past=past(*[100, 104, 96, 99, 101] * 2)).passed
    far = one(frame, anomaly(), past=past(*[10, 11, 9, 10, 12] * 2))
    assert far.message == "rows is 100, expected 2.587 to 17.41 after 10 values"
    assert not one(frame, anomaly(method="iqr"), past=past(*[10, 11, 9, 10, 12] * 2)).passed
    # Only the newest values count.
    assert one(frame, anomaly(window=8), past=past(*[100] * 8, *[10] * 50)).passed
    # Where most values are the same one, the others still widen what is expected.
    assert one(frame, anomaly(slack=0), past=past(*[99] * 6, *[101] * 4)).passed
    nothing = one(pl.DataFrame({"x": []}, schema={"x": pl.Float64}), anomaly("mean(x)"))
    assert nothing.metrics == {"mean(x)": None}


def test_an_anomaly_by_the_day_of_the_week() -> None:
    # On Thursdays there is nothing: 1970-01-01, the time of the check, is one.
    rows = [0 if place % 7 == 0 else 100 for place in range(1, 80)]
    empty = pl.DataFrame({"x": []})
    assert not one(empty, anomaly(), past=past(*rows)).passed
    assert one(empty, anomaly(same_weekday=True), past=past(*rows)).passed
    # Of partitions it is their own day that counts, not that on which they were made.
    made_at_once = tuple(
        version._replace(partition=str(date(2024, 3, 28) - timedelta(days=place)), at=-place)
        for place, version in enumerate(past(*rows), start=1)
    )
    now = DailyPartitions("2023-01-01").partition("2024-03-28")
    assert not one(empty, anomaly(), past=made_at_once, partition=now).passed
    assert one(empty, anomaly(same_weekday=True), past=made_at_once, partition=now).passed


def test_an_anomaly_in_what_checks_have_measured_before(shop: Project) -> None:
    sales = Asset(
        "sales", at="parquet://lake/sales", partitions=days, checks=[anomaly("mean(n)", at_least=3), not_null("n")]
    )

    @materialize(sales)
    def ingest(partition: Partition) -> pl.DataFrame:
        return pl.DataFrame({"n": [1_000.0 if partition.date.day == 6 else partition.date.day]})

    for day in (6, 1, 2, 3, 4, 6):
        ingest.at(f"2024-01-{day:02}")()
    found = told(shop, "partition, passed, message", name="anomaly(mean(n))")
    assert found[:4] == [
        ("2024-01-06", True, "not enough history: 0 of 3 earlier values of mean(n)"),
        # What lies after it is no history, and neither is its own earlier version.
        ("2024-01-01", True, "not enough history: 0 of 3 earlier values of mean(n)"),
        ("2024-01-02", True, "not enough history: 1 of 3 earlier values of mean(n)"),
        ("2024-01-03", True, "not enough history: 2 of 3 earlier values of mean(n)"),
    ]
    assert found[4][:2] == ("2024-01-04", True)
    assert found[5][1:] == (False, "mean(n) is 1,000, expected -4.913 to 9.913 after 4 values")


def test_two_assets_reconcile_partition_by_partition(shop: Project) -> None:
    flown = Asset("flown", at="parquet://lake/flown", partitions=days)
    daily = Asset(
        "daily",
        at="duckdb://shop.duckdb/main.daily",
        partitions=days,
        checks=[reconciles(flown, on=("sum(flights)", "rows"), blocking=True)],
    )
    lost = 0

    @materialize(flown)
    def ingest(partition: Partition) -> pl.DataFrame:
        return pl.DataFrame({"carrier": ["a", "b"] * partition.date.day})

    @materialize(daily, inputs={"rows": flown})
    def count(rows: Asset) -> Any:
        return sql(f"select carrier, count(*) - {lost} as flights from {{rows}} group by carrier", rows=rows)

    for day in ("2024-01-01", "2024-01-03"):
        ingest.at(day)()
        count.at(day)()
    lost = 1
    with pytest.raises(CheckFailed, match=r"sum\(flights\) is 4, rows of flown is 6: 2 apart"):
        count.at("2024-01-03")()
    assert told(shop, "passed, metrics->>'difference'") == [(True, "0"), (True, "0"), (False, "2")]


def test_figures_may_differ_by_a_tolerance(shop: Project) -> None:
    other = Asset("other", at="memory://other")

    @materialize(other)
    def make() -> pl.DataFrame:
        return pl.DataFrame({"n": [50, 50], "none": [None, None]})

    def asked(**how: Any) -> CheckResult:
        wanted = Asset("mine", at="memory://mine", checks=[reconciles(other, **how)])
        materialize(wanted)(mine)()
        return run_checks(wanted)[0]

    def mine() -> pl.DataFrame:
        return pl.DataFrame({"n": [90], "none": [None]})

    with pytest.raises(UsageError, match="has no checks"):
        run_checks(other)
    assert "was never made" in str(asked().message)
    make()
    assert asked().message == "rows is 1, rows of other is 2: 1 apart"
    assert asked(on="sum(n)", tolerance=0.1).passed
    assert asked(on="sum(n)", tolerance=0.05).message == "sum(n) is 90, sum(n) of other is 100: 10 apart, 5% may be"
    assert asked(on="sum(n)", absolute=10).passed
    assert asked(on="mean(none)").passed
    for figures in (("mean(none)", "sum(n)"), ("sum(n)", "mean(none)")):
        none = asked(on=figures)
        assert not none.passed
        assert f"{figures[1]} of other is " in str(none.message)
    assert "no column 'gone'" in str(asked(on=("rows", "max(gone)")).message)


def test_inputs_must_be_fresh_as_of_now(tmp_path: Path) -> None:
    now = FakeClock(FIRST)
    with project(tmp_path, clock=now):
        raw = Asset("raw", at="memory://raw", freshness=Freshness("1d"))
        plain = Asset("plain", at="memory://plain")
        made = Asset("made", at="memory://made", checks=[inputs_fresh(blocking=True)])

        @materialize(made, inputs={"a": raw, "b": plain})
        def make(a: Any, b: Any) -> pl.DataFrame:
            return pl.DataFrame({"n": [1]})

        put(raw, {"n": [1]})
        put(plain, {"n": [1]})
        make()
        assert run_checks(made)[0].metrics == {"inputs": 2, "failing": 0, "lag(raw)": 0, "lag(plain)": 0}
        now.sleep(2 * 86_400)
        with pytest.raises(CheckFailed, match=r"raw is late: .*2d behind"):
            make()


def test_a_check_on_a_source_that_nothing_here_makes(shop: Project, tmp_path: Path) -> None:
    (tmp_path / "rates.csv").write_text("rate\n1.5\n-2\n")
    rates = Asset("rates", at="csv://rates.csv", checks=[in_range("rate", 0), sql_check("from {this} where rate < -1")])
    observe(rates)
    assert [result.passed for result in run_checks(rates)] == [False, False]


# --- queries ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "dtype", "accepted", "failed"),
    [
        ([0.1, 0.2], pl.Float32, [0.1, 0.2], 0),
        ([0.1, 0.25], pl.Float32, [0.1], 1),
        ([1, 2**64 - 1], pl.UInt64, [1, 2**64 - 1], 0),
        ([1, 2**64 - 1], pl.UInt64, [-1, 1, 2**130], 1),
        ([1, 2], pl.Int8, [1.0, 1000], 1),
        ([1, 2], pl.Int64, [1.5, float("nan"), float("inf")], 2),
    ],
)
def test_a_number_is_accepted_whatever_its_width(
    values: list[float], dtype: Any, accepted: list[float], failed: int
) -> None:
    frame = pl.DataFrame({"n": values}, schema={"n": dtype})
    result = one(frame, accepted_values("n", accepted))
    assert (result.passed, result.metrics) == (failed == 0, {"rows": 2, "failed": failed})


@pytest.mark.parametrize("place", ["parquet://late", "duckdb://shop.duckdb/late"])
def test_a_query_shows_times_with_a_zone(shop: Project, place: str) -> None:
    few_late = sql_check("select * from {this}", name="few_late", at_most=1, examples=["at"], blocking=True)
    late = Asset("late", at=place, checks=[few_late])
    put(late, {"at": [datetime(2024, 1, 5, 12, tzinfo=UTC)]})
    assert told(shop) == [("few_late", True, "1 row fails, 1 may (at='2024-01-05 12:00:00+00')")]


@pytest.mark.parametrize("place", ["parquet://flown", "memory://flown"])
def test_a_duration_is_an_interval_in_every_query(shop: Project, place: str) -> None:
    short = sql_check("select * from {this} where air_time > interval '1 hour'", name="short")
    flown, kinds = Asset("flown", at=place, checks=[short]), Asset("kinds", at="duckdb://shop.duckdb/kinds")
    put(flown, {"air_time": [timedelta(minutes=50), timedelta(minutes=70)]})

    @materialize(kinds, inputs={"flown": flown})
    def make(flown: Any) -> Any:
        return sql("select distinct typeof(air_time) as kind from {flown}", flown=flown)

    assert make().collect().rows() == [("INTERVAL",)]
    assert told(shop) == [("short", False, "1 row fails")]


def test_a_query_asks_what_was_staged_as_it_asks_what_is_in_place(shop: Project) -> None:
    none_below = sql_check("select * from {this} where n < 0", name="none_below", blocking=True)
    wide = Asset("wide", at="parquet://wide", checks=[none_below])

    @materialize(wide)
    def make() -> pl.DataFrame:
        return pl.DataFrame({"n": pl.Series([5, 10**30], dtype=pl.Int128)})

    make()
    (again,) = run_checks(wide)
    assert told(shop) == [("none_below", True, None)] * 2
    assert again.passed


def test_a_query_is_executed_in_the_engine(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    carriers = Asset("carriers", at="duckdb://shop.duckdb/main.carriers")
    flown = Asset(
        "flown",
        at="duckdb://shop.duckdb/main.flown",
        checks=[
            sql_check(
                "select * from {this} anti join {carriers} using (carrier)",
                name="known_carriers",
                inputs={"carriers": carriers},
                examples=["carrier"],
            ),
            sql_check("select * from {this} where n < 0", at_most=1),
            sql_check("select no from {this}", name="broken"),
        ],
    )
    put(carriers, {"carrier": ["AA", "BB"]})
    queries = []
    ask_engine = shop.failing

    def spy(query: Any, columns: Any, limit: int) -> Any:
        queries.append({name: type(given).__name__ for name, given in query.inputs.items()})
        return ask_engine(query, columns, limit)

    monkeypatch.setattr(shop, "failing", spy)

    @materialize(flown)
    def make() -> Any:
        return sql("select 'AA' as carrier, -1 as n union all select 'ZZ', 2")

    make()
    found = {name: (passed, message) for name, passed, message in told(shop)}
    assert found["known_carriers"] == (False, "1 row fails (carrier='ZZ')")
    assert found["sql(select * from {this} where n < 0)"] == (True, "1 row fails, 1 may")
    assert not found["broken"][0]
    assert "can't be executed" in found["broken"][1]
    # No frame is handed to the engine: it reads what was staged by itself.
    assert {kind for query in queries for kind in query.values()} == {"SqlRelation"}


def test_a_project_in_memory_asks_the_same(tmp_path: Path) -> None:
    with project(tmp_path, in_memory=True):
        checked = [sql_check("select * from {this} where n > 1", examples=["n"], blocking=True), unique("n")]
        table = Asset("table", at="duckdb://shop.duckdb/main.t", checks=checked)
        with pytest.raises(CheckFailed, match=r"failed on table: 1 row fails \(n=2\)"):
            put(table, {"n": [1, 2]})


# --- what is in place ---------------------------------------------------------------------------------------------------


def test_what_is_in_place_can_be_asked_again(shop: Project) -> None:
    limit = {"most": 10}

    class AtMost(Check):
        """A check of the user's own kind."""

        __slots__ = ()
        kind = "at_most"

        def judge(self, found: Any, context: CheckContext) -> CheckResult:
            return CheckResult(passed=bool(context.rows is not None and context.rows <= limit["most"]))

    sales = Asset("sales", at="parquet://lake/sales", partitions=days, checks=[AtMost(name="at_most"), unique("n")])

    @materialize(sales)
    def ingest() -> pl.DataFrame:
        return pl.DataFrame({"n": [1, 2, 3]})

    ingest.at("2024-01-05")()
    assert row_of(shop, "sales")["failed_checks"] == []
    limit["most"] = 2
    assert [result.passed for result in run_checks(sales, partition="2024-01-05")] == [False, True]
    [failed] = row_of(shop, "sales")["failed_checks"]
    assert (failed["name"], failed["partition"]) == ("at_most", "2024-01-05")
    assert told(shop, "passed, run_id is null", name="at_most") == [(True, False), (False, True)]
    limit["most"] = 3
    run_checks("parquet://lake/sales", partition="2024-01-05")
    assert row_of(shop, "sales")["failed_checks"] == []
    with pytest.raises(LocationError, match="no data of sales@2024-01-06"):
        run_checks(sales, partition="2024-01-06")
    with pytest.raises(PartitionError):
        run_checks(sales)


def test_the_projection_says_the_same_when_it_is_made_again(shop: Project) -> None:
    orders = Asset("orders", at="memory://orders", checks=[row_count(min=3), in_range("n", 0)])
    put(orders, {"n": [-1]})
    run_checks(orders)
    before = told(shop, "*")
    assert len(before) == 4
    shop.projection.rebuild()
    assert told(shop, "*") == before
    assert shop.projection.verify() == []


def test_history_knows_the_newest_of_each_partition(shop: Project) -> None:
    sales = Asset("sales", at="parquet://lake/sales", partitions=days, checks=[not_null("n")])

    @materialize(sales)
    def ingest(partition: Partition) -> pl.DataFrame:
        return pl.DataFrame({"n": [None] * partition.date.day})

    for day in (1, 3, 2, 1):
        ingest.at(f"2024-01-{day:02}")()
    ref = shop.definitions.ref(sales)
    found = shop.catalog.history(ref)
    assert [(one.partition, one.rows, one.metrics["nulls(n)"]) for one in found] == [
        ("2024-01-03", 3, 3),
        ("2024-01-02", 2, 2),
        ("2024-01-01", 1, 1),
    ]
    assert [one.partition for one in shop.catalog.history(ref, before=FIRST + 2 * DAY)] == ["2024-01-02", "2024-01-01"]
    assert len(shop.catalog.history(ref, limit=1)) == 1
    assert [column.name for column in found[0].columns] == ["n"]


def test_a_process_knows_at_once_what_it_publishes_itself_and_soon_what_others_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = FakeClock(FIRST)
    with project(tmp_path, clock=now) as shop:
        sales = Asset("sales", at="parquet://lake/sales", partitions=days, checks=[not_null("n"), unique("n")])

        @materialize(sales)
        def ingest(partition: Partition) -> pl.DataFrame:
            return pl.DataFrame({"n": [1.0, None] * partition.date.day})

        ref = shop.definitions.ref(sales)
        ingest.at("2024-01-02")()
        assert len(histories(shop).of(ref)) == 1
        for day in (3, 1, 2):
            ingest.at(f"2024-01-{day:02}")()
            now.sleep(1)
        noted, told = histories(shop).of(ref), shop.catalog.history(ref)
        assert [one._replace(at=0) for one in noted] == [one._replace(at=0) for one in told]

        with project(tmp_path, clock=now) as other:
            elsewhere = Asset("sales", at="parquet://lake/sales", partitions=days)

            @materialize(elsewhere)
            def also(partition: Partition) -> pl.DataFrame:
                return pl.DataFrame({"n": [1.0]})

            also.at("2024-01-09")()
            assert len(other.catalog.history(other.definitions.ref(elsewhere))) == 4
        assert len(histories(shop).of(ref)) == 3
        now.sleep(11)
        assert histories(shop).of(ref)[0].partition == "2024-01-09"

        # Where more was made than is loaded at once, what lies far back is asked for by itself.
        for module in (history, context):
            monkeypatch.setattr(module, "LOADED", 2)
        now.sleep(11)
        seen = []

        @check(sales)
        def looks(df: pl.DataFrame, context: CheckContext) -> None:
            seen.append([one.partition for one in context.history()])

        ingest.at("2024-01-03")()
        assert seen == [["2024-01-02", "2024-01-01"]]
