"""A value of a wrong kind is refused by the name of its parameter, briefly, and not with Python's own error."""

from collections.abc import Callable
from typing import Any

import pytest

from headwater import Asset, BusinessCalendar, Freshness, StaticPartitions, materializing, record
from headwater.errors import UsageError
from headwater.testing import project


def record_with(inputs: Any) -> None:
    record("memory://recorded", inputs=inputs)


def materializing_with(inputs: Any) -> None:
    with materializing("memory://written", inputs=inputs):
        pass


@pytest.mark.parametrize(
    ("attempt", "says"),
    [
        (lambda: StaticPartitions(5), "StaticPartitions needs a list of keys"),  # type: ignore[arg-type]
        (lambda: StaticPartitions("eu"), "StaticPartitions needs a list of keys"),
        (lambda: BusinessCalendar(5), "holidays and weekend are lists"),  # type: ignore[arg-type]
        (lambda: BusinessCalendar(weekend=None), "holidays and weekend are lists"),  # type: ignore[arg-type]
        (lambda: record_with(5), "inputs must be a list"),
        (lambda: record_with("orders"), "inputs must be a list"),
        (lambda: materializing_with(None), "inputs must be a list"),
        (lambda: Freshness(max_lag=10**400), "is not a duration"),
        (lambda: Freshness(max_lag=float("nan")), "is not a duration"),
        (lambda: Freshness(max_lag=float("inf")), "is not a duration"),
        (lambda: Asset("a", at="memory://a", owners="9" * 5_000), "owners of asset 'a' must be a list"),
    ],
)
def test_it_is_named_and_told_what_to_write(attempt: Callable[[], object], says: str) -> None:
    with project(), pytest.raises(UsageError, match=says) as caught:
        attempt()
    assert caught.value.hint
    assert len(str(caught.value)) < 400
