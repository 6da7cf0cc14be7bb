"""When data is due: the moments that freshness policies come to, in local days and business days. Pure functions."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal, TypeAlias

from headwater import clock
from headwater.assets.business_days import BusinessCalendar
from headwater.assets.partitions import DailyPartitions

Covers: TypeAlias = Literal["previous day", "previous business day", "previous week", "previous month"]

_DAY = 24 * 60
_LOW = clock.to_us(datetime.fromisoformat("1100-01-01T00:00+00:00"))
_HIGH = clock.to_us(datetime.fromisoformat("9000-01-01T00:00+00:00"))


@lru_cache(maxsize=4096)
def business_limit(value: int, lag: int, timezone: str, calendar: BusinessCalendar) -> int:
    """The last moment at which no more than `lag` has passed since `value`, where only business days count.

    All in microseconds. A day is a local one, and what it lasts is what passes on it.

    >>> friday = clock.to_us(datetime.fromisoformat("2024-03-01T15:00+00:00"))
    >>> clock.rfc3339(business_limit(friday, 86_400_000_000, "UTC", BusinessCalendar()))
    '2024-03-04T15:00:00.000000Z'
    """
    days = _days(timezone, 0)
    at = min(max(value, _LOW), _HIGH)
    number, left = days.ordinal_at(at), lag
    while True:
        end = days.start_us(number + 1)
        if calendar.is_business(number):
            if left < end - at:
                return at + left
            left -= end - at
        at, number = end, number + 1


@lru_cache(maxsize=4096)
def deadline(
    value: int, *, at: int, early: int, timezone: str, covers: Covers, calendar: BusinessCalendar | None
) -> int:
    """The first deadline that data which reaches `value` does not meet, in microseconds.

    There is one on each day, or on each business day, `at` so many minutes of the local clock: data must reach the end of
    what it `covers`. Counted `early` minutes before each.
    """
    days = _days(timezone, 0)
    number = days.ordinal_at(min(max(value, _LOW), _HIGH))
    due = _due(number, covers, calendar)
    shift, minutes = divmod(at - early, _DAY)
    return _days(timezone, minutes).start_us(due + shift)


def _due(number: int, covers: Covers, calendar: BusinessCalendar | None) -> int:
    """The day of the first deadline that asks for more than the beginning of a day: for that day, or what it is in, as a whole."""
    if covers == "previous business day":
        wanted = calendar or BusinessCalendar()
        due = wanted.on_or_after(number) + 1
        return wanted.on_or_after(due)
    if covers == "previous week":
        # Day 1 is a Monday.
        due = number + 7 - (number - 1) % 7
    elif covers == "previous month":
        due = (datetime.fromordinal(number).replace(day=1) + timedelta(days=31)).replace(day=1).toordinal()
    else:
        due = number + 1
    return due if calendar is None else calendar.on_or_after(due)


@lru_cache(maxsize=256)
def _days(timezone: str, minutes: int) -> DailyPartitions:
    """The local days that begin so many minutes after midnight."""
    return DailyPartitions("1000-01-01", timezone=timezone, hour_offset=minutes // 60, minute_offset=minutes % 60)
