"""Partitions between the firings of a cron expression, in a time zone's local time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, ClassVar

from headwater.assets.cron import CronCalendar, calendar_of
from headwater.assets.partition import shown
from headwater.assets.time_partitions import TimePartitions
from headwater.errors import DefinitionError
from headwater.records import dataclass


@dataclass(frozen=True, slots=True, init=False, repr=False)
class CronPartitions(TimePartitions):
    """A partition from each firing of a cron expression to the next one, keyed by its local start: 2013-01-31T06:00.

    `start` and `end` are keys or dates: the first firing at or after them counts. Firings are those of the local clock, so
    one that the clock skips in spring comes at the first instant after it, and one that it shows twice comes once. Raises
    DefinitionError for an expression, a start or an end that is none.

    >>> days = CronPartitions("0 6 * * 1-5", "2024-01-01", timezone="America/New_York")
    >>> friday = days.partition("2024-01-05T06:00")
    >>> friday.end.isoformat(), days.partition(date(2024, 1, 5)) == friday
    ('2024-01-08T06:00:00-05:00', True)
    """

    cron: str

    step: ClassVar[str] = "cron"
    width: ClassVar[int] = len("2013-01-31T06:00")

    def __init__(self, cron: str, start: str | date, end: str | date | None = None, timezone: str = "UTC") -> None:
        if not isinstance(cron, str):
            raise DefinitionError(f"{shown(cron)} is no cron expression", hint='write one like "0 6 * * 1-5"')
        object.__setattr__(self, "cron", " ".join(cron.split()))
        TimePartitions.__init__(self, start, end, timezone)

    @property
    def calendar(self) -> CronCalendar:
        """The firings, numbered."""
        return calendar_of(self.cron)

    def local(self, ordinal: int) -> datetime:
        """The firing of that number."""
        return self.calendar.local(ordinal)

    def floor(self, moment: datetime) -> int:
        """The number of the last firing at or before a local time."""
        return self.calendar.floor(moment)

    @property
    def rule(self) -> tuple[object, ...]:
        """The firings and the zone."""
        return self.step, self.timezone, self.calendar.text

    def describe(self) -> str:
        """The definition in a few words."""
        return f"{self.step} {self.cron}, {self._span()}, {self.timezone}"

    def to_json(self) -> dict[str, Any]:
        """Type, expression, start, end (exclusive, None when open) and time zone."""
        return {"cron": self.cron, **TimePartitions.to_json(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> CronPartitions:
        """The definition that `to_json` wrote; a DefinitionError for anything else."""
        ends = value.get("start", ""), value.get("end")
        return cls(value.get("cron", ""), *ends, timezone=value.get("timezone", "UTC"))

    def __repr__(self) -> str:
        return f"CronPartitions({self.cron!r}, {TimePartitions.__repr__(self).partition('(')[2]}"

    def _on(self, value: date) -> int:
        """The number of the only firing on a date."""
        midnight = datetime.combine(value, time())
        first, last = self._from(midnight), self.floor(midnight + timedelta(days=1, minutes=-1))
        if first != last:
            raise self._error(
                f"{max(last - first + 1, 0)} partitions start on {value.isoformat()}", hint=f"give {self._example()}"
            )
        return first

    def _from(self, moment: datetime) -> int:
        """The number of the first firing at or after a local time."""
        return self.floor(moment - timedelta(minutes=1)) + 1

    def _edge(self, value: str | date) -> int:
        try:
            moment = datetime.fromisoformat(value) if isinstance(value, str) else value
            if not isinstance(moment, datetime):
                moment = datetime.combine(moment, time())
        except (ValueError, TypeError):
            moment = None
        if moment is None or moment.tzinfo is not None or moment.second or not 1000 <= moment.year < 9999:
            raise DefinitionError(
                f"{shown(value)} is not where partitions can start",
                where="CronPartitions",
                hint="write a date, or a local time like 2013-01-31T06:00, of the years 1000 to 9998",
            )
        return self._from(moment)
