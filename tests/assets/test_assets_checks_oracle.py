"""The built-in checks against what plain Python says of the same rows: small tables with nulls, NaN, repetitions, or no row."""

from __future__ import annotations

import math
from collections import Counter
from statistics import fmean, median
from typing import Any

import polars as pl
import pytest
from check_cases import ask, frames, one
from hypothesis import assume, given
from hypothesis import strategies as st
from tried import tried_on

from headwater.assets.checks.anomalies import bounds
from headwater.assets.checks.contract import Column, Declared, changes
from headwater.assets.checks.metrics import Metric
from headwater.checks import accepted_values, in_range, not_null, row_count, sql_check, unique

COLUMNS = st.lists(st.sampled_from(["x", "s", "i"]), min_size=1, max_size=3, unique=True)
few = tried_on(75)


def key(value: Any) -> Any:
    """A value as equality goes here: NaN is equal to itself, and 0.0 to -0.0."""
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


def is_failed(result: Any, failed: int, rows: int, at_most: float = 0.0) -> None:
    assert result.metrics["rows"] == rows, result
    assert result.metrics["failed"] == failed, result
    assert result.passed == (failed == 0 or failed / rows <= at_most), result
    assert (result.message is None) == (failed == 0), result


@few
@given(frames(), COLUMNS, st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_not_null(frame: pl.DataFrame, columns: list[str], at_most: float) -> None:
    failed = sum(1 for row in frame.iter_rows(named=True) if any(row[name] is None for name in columns))
    found = one(frame, not_null(*columns, at_most=at_most))
    is_failed(found, failed, frame.height, at_most)
    for name in columns:
        assert found.metrics[f"nulls({name})"] == frame[name].to_list().count(None)


@few
@given(frames(), COLUMNS, st.sampled_from([0.0, 0.5]))
def test_unique(frame: pl.DataFrame, columns: list[str], at_most: float) -> None:
    keys = [tuple(key(row[name]) for name in columns) for row in frame.iter_rows(named=True)]
    whole = [one for one in keys if None not in one]
    failed = sum(count for count in Counter(whole).values() if count > 1)
    is_failed(one(frame, unique(*columns, at_most=at_most)), failed, frame.height, at_most)


@few
@given(frames(), st.lists(st.sampled_from(["a", "b", "", "zz", None]), max_size=4))
def test_accepted_texts(frame: pl.DataFrame, values: list[str | None]) -> None:
    failed = sum(1 for value in frame["s"] if value is not None and value not in values)
    is_failed(one(frame, accepted_values("s", values)), failed, frame.height)
    for dtype in (pl.Categorical, pl.Enum(["", "a", "b", "B", "ä"])):
        is_failed(one(frame.cast({"s": dtype}), accepted_values("s", values)), failed, frame.height)


@few
@given(frames(), st.lists(st.sampled_from([0.0, 1.5, float("nan"), 7]), max_size=3))
def test_accepted_numbers(frame: pl.DataFrame, values: list[float]) -> None:
    known = {key(value) for value in values}
    failed = sum(1 for value in frame["x"] if value is not None and key(value) not in known)
    is_failed(one(frame, accepted_values("x", values)), failed, frame.height)


@few
@given(
    frames(),
    st.sampled_from([None, -2, 0, 1.5]),
    st.sampled_from([None, 0.0, 1, 1e300]),
    st.sampled_from(["both", "left", "right", "none"]),
)
def test_in_range(frame: pl.DataFrame, low: float | None, high: float | None, closed: Any) -> None:
    if low is None and high is None:
        low = 0
    assume(low is None or high is None or low <= high)

    def inside(value: float) -> bool:
        above = low is None or (value >= low if closed in ("both", "left") else value > low)
        return above and (high is None or (value <= high if closed in ("both", "right") else value < high))

    for name in ("x", "i"):
        failed = sum(1 for value in frame[name] if value is not None and not inside(value))
        is_failed(one(frame, in_range(name, low, high, closed=closed)), failed, frame.height)


@few
@given(frames(), st.integers(0, 4), st.integers(0, 4))
def test_row_count(frame: pl.DataFrame, low: int, more: int) -> None:
    found = one(frame, row_count(min=low, max=low + more))
    assert found.passed == (low <= frame.height <= low + more)
    assert found.metrics == {"rows": frame.height}


@few
@given(frames())
def test_metrics(frame: pl.DataFrame) -> None:
    def figure(text: str) -> Any:
        expression = Metric.parse(text).expression(frame.schema)
        return frame.lazy().select(expression).collect().item()

    whole = [value for value in frame["i"] if value is not None]
    assert figure("rows") == frame.height
    assert figure("nulls(i)") == frame.height - len(whole)
    assert figure("null_share(i)") == ((frame.height - len(whole)) / frame.height if frame.height else None)
    assert figure("distinct(i)") == len(set(whole))
    assert figure("sum(i)") == sum(whole)
    assert figure("min(i)") == min(whole, default=None)
    assert figure("max(i)") == max(whole, default=None)
    mean = figure("mean(i)")
    assert mean is None if not whole else mean == pytest.approx(fmean(whole), rel=1e-9)


@tried_on(25)
@given(frames())
def test_a_query_says_what_the_built_in_one_says(frame: pl.DataFrame) -> None:
    same = sql_check("select s from {this} where s is not null and s not in ('a', 'b')", name="same", examples=["s"])
    query, built_in = ask(frame, same, accepted_values("s", ["a", "b"]))
    assert (query.passed, query.metrics["failed"]) == (built_in.passed, built_in.metrics["failed"])


@few
@given(frames(), COLUMNS)
def test_together_they_say_what_each_says_alone(frame: pl.DataFrame, columns: list[str]) -> None:
    checks = [not_null(*columns), unique(*columns), in_range("x", 0, 1), accepted_values("s", ["a"]), row_count(min=1)]
    broken = [in_range("s", 0, 1), not_null("gone"), accepted_values("s", [1, 2], name="types")]
    together = ask(frame, *checks, *broken)
    assert together[: len(checks)] == tuple(one(frame, check) for check in checks)
    assert not together[-2].passed
    assert "'gone'" in str(together[-2].message)
    for result, check in zip(together[len(checks) :], broken, strict=True):
        assert result == one(frame, check)


VALUES = st.lists(st.integers(-50, 50).map(float), min_size=2, max_size=20)


@few
@given(VALUES, st.sampled_from(["mad", "iqr"]), st.sampled_from([1.0, 3.0, 5.0]), st.sampled_from([0.0, 0.1, 1.0]))
def test_the_expected_range(values: list[float], method: Any, threshold: float, slack: float) -> None:
    low, high = bounds(values, method=method, threshold=threshold, slack=slack)
    middle = median(values)
    assert low <= middle <= high
    assert low <= middle - slack * abs(middle)
    assert high >= middle + slack * abs(middle)
    # It does not depend on the order, moves with the values, and is wider with a greater threshold.
    assert bounds(sorted(values), method=method, threshold=threshold, slack=slack) == pytest.approx((low, high))
    moved = bounds([value + 1_000 for value in values], method=method, threshold=threshold, slack=0.0)
    plain = bounds(values, method=method, threshold=threshold, slack=0.0)
    assert moved == pytest.approx((plain[0] + 1_000, plain[1] + 1_000))
    wider = bounds(values, method=method, threshold=threshold + 1, slack=slack)
    assert wider[0] <= low
    assert wider[1] >= high
    if len(set(values)) == 1 and slack == 0:
        assert low == high == values[0]


TYPES = st.sampled_from(["Int64", "String", "Date"])
SCHEMAS = st.dictionaries(st.sampled_from("abcd"), TYPES, max_size=4)


@few
@given(SCHEMAS, SCHEMAS, st.booleans(), st.integers(0, 2))
def test_what_changed_in_a_schema(before: dict[str, str], after: dict[str, str], nullable: bool, nulls: int) -> None:
    declared = [Declared(name, dtype, nullable) for name, dtype in before.items()]
    found = changes(declared, [Column(name, (dtype,), nulls) for name, dtype in after.items()])
    both = before.keys() & after.keys()
    expected = Counter(
        {
            "added": len(after.keys() - both),
            "removed": len(before.keys() - both),
            "retyped": sum(1 for name in both if before[name] != after[name]),
            "nullable": len(both) if nulls and not nullable else 0,
        }
    )
    assert Counter(one.kind for one in found) == +expected
    assert [one.breaks for one in found] == [one.kind != "added" for one in found]
