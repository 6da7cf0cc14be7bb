"""The calendars of partitions by time: local days, hours, weeks and months."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import ClassVar

from headwater.assets.time_partitions import DAY, TimePartitions
from headwater.records import dataclass

_OF_THE_DAY: Mapping[str, tuple[int, int]] = {"hour_offset": (60, 24), "minute_offset": (1, 60)}


@dataclass(frozen=True, slots=True, init=False, repr=False)
class DailyPartitions(TimePartitions):
    """A partition for each local day, keyed by its ISO date; without `end`, days appear as they end.

    With `hour_offset` and `minute_offset` the day begins later: its date is still the one on which it begins.

    >>> days = DailyPartitions("2013-01-01", "2014-01-01", timezone="America/New_York")
    >>> len(days.all()), str(days.all())
    (365, '2013-01-01..2013-12-31')
    >>> DailyPartitions("2013-01-01", hour_offset=6).partition("2013-01-05").end.isoformat()
    '2013-01-06T06:00:00+00:00'
    """

    step: ClassVar[str] = "daily"
    width: ClassVar[int] = len("2013-01-31")
    units: ClassVar[Mapping[str, tuple[int, int]]] = _OF_THE_DAY

    @staticmethod
    def local(ordinal: int) -> datetime:
        """Midnight of the day of that number (day 1 is 0001-01-01, as in `date.toordinal`)."""
        return datetime.fromordinal(ordinal)

    @staticmethod
    def floor(moment: datetime) -> int:
        """The number of the day."""
        return moment.toordinal()


@dataclass(frozen=True, slots=True, init=False, repr=False)
class HourlyPartitions(TimePartitions):
    """A partition for each hour of the local clock, keyed like 2013-01-31T05; with `minute_offset` it begins later.

    >>> hours = HourlyPartitions("2024-10-27T00", "2024-10-28T00", timezone="Europe/Berlin")
    >>> (hours.partition("2024-10-27T02").end_us - hours.partition("2024-10-27T02").start_us) // 3_600_000_000  # clocks back
    2
    """

    step: ClassVar[str] = "hourly"
    width: ClassVar[int] = len("2013-01-31T05")
    units: ClassVar[Mapping[str, tuple[int, int]]] = {"minute_offset": (1, 60)}

    @staticmethod
    def local(ordinal: int) -> datetime:
        """The full hour of that number."""
        return datetime.fromordinal(ordinal // 24) + timedelta(hours=ordinal % 24)

    @staticmethod
    def floor(moment: datetime) -> int:
        """The number of the hour."""
        return moment.toordinal() * 24 + moment.hour

    def _on(self, value: date) -> int:
        raise self._error(f"{value.isoformat()} is a whole day", hint=f"give {self._example()}, or an aware datetime")


@dataclass(frozen=True, slots=True, init=False, repr=False)
class WeeklyPartitions(TimePartitions):
    """A partition for each week from Monday to Sunday, keyed by the ISO date of its first day.

    `day_offset` is the number of days after Monday on which the week begins: 6 is from Sunday to Saturday.

    >>> WeeklyPartitions("2024-01-01", "2024-02-05").partition("2024-01-29").end.date().isoformat()
    '2024-02-05'
    >>> WeeklyPartitions("2024-01-07", day_offset=6).partition("2024-01-14").date.strftime("%A")
    'Sunday'
    """

    step: ClassVar[str] = "weekly"
    width: ClassVar[int] = len("2013-01-28")
    units: ClassVar[Mapping[str, tuple[int, int]]] = {"day_offset": (DAY, 7), **_OF_THE_DAY}

    def named(self, ordinal: int) -> datetime:
        """Midnight of the first day of the week of that number."""
        return self.local(ordinal) + timedelta(days=self.offset // DAY)

    def named_floor(self, moment: datetime) -> int:
        """The number of the week whose first day is this one, or the last one before it."""
        return self.floor(moment - timedelta(days=self.offset // DAY))

    @staticmethod
    def local(ordinal: int) -> datetime:
        """Midnight of the Monday of the week of that number (0001-01-01 was a Monday)."""
        return datetime.fromordinal(ordinal * 7 + 1)

    @staticmethod
    def floor(moment: datetime) -> int:
        """The number of the week."""
        return (moment.toordinal() - 1) // 7


@dataclass(frozen=True, slots=True, init=False, repr=False)
class MonthlyPartitions(TimePartitions):
    """A partition for each month, keyed like 2013-01; with `day_offset` it begins so many days after the first.

    >>> str(MonthlyPartitions("2024-01", "2025-01").parse("2024-01..2024-03, 2024-12"))
    '2024-01..2024-03, 2024-12'
    """

    step: ClassVar[str] = "monthly"
    width: ClassVar[int] = len("2013-01")
    units: ClassVar[Mapping[str, tuple[int, int]]] = {"day_offset": (DAY, 28), **_OF_THE_DAY}

    @staticmethod
    def local(ordinal: int) -> datetime:
        """The first of the month of that number."""
        return datetime(ordinal // 12, ordinal % 12 + 1, 1)

    @staticmethod
    def floor(moment: datetime) -> int:
        """The number of the month."""
        return moment.year * 12 + moment.month - 1
