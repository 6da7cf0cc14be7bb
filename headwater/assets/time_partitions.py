"""Partitions by time, whatever clocks do in spring: what every calendar has in common."""

from __future__ import annotations

import difflib
import re
from abc import abstractmethod
from calendar import monthrange
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo, available_timezones

from headwater import clock
from headwater.assets.intervals import Interval
from headwater.assets.partition import Partition, shown
from headwater.assets.partition_sets import PartitionsDefinition, PartitionSet
from headwater.errors import DefinitionError
from headwater.records import dataclass

DAY = 24 * 60
"""The length of a day in minutes, as offsets are counted."""
_EARLIEST = datetime(1000, 1, 1)
_LATEST = datetime(9999, 1, 1)
"""Where calendars begin and end, so that every key has four digits of a year and every window fits a datetime."""
_EARLIEST_US, _LATEST_US = (
    clock.to_us(moment.replace(tzinfo=UTC)) for moment in (_EARLIEST - timedelta(days=99), _LATEST + timedelta(days=99))
)


@dataclass(frozen=True, slots=True, init=False, repr=False)
class TimePartitions(PartitionsDefinition):
    """Partitions that follow each other in a time zone's local time: `start` is the first key, `end` is exclusive.

    A partition starts at the first instant at which the local clock shows its start or a later time. So windows never
    leave a gap and never overlap: a day without a midnight starts at its first instant, an hour that the clock shows
    twice is one partition, and what the clock skips altogether (2011-12-30 in Apia) is a partition of no length.

    With an `offset` (minutes) every partition starts so much later than its calendar says: days from six in the morning.
    The date of a day, hour or month stays the one that the calendar names it by.

    A subclass says how its numbers and local times belong together: `local`, `floor`, and the length of its keys.
    """

    first: int
    stop: int | None
    timezone: str
    offset: int

    step: ClassVar[str]
    width: ClassVar[int]
    units: ClassVar[Mapping[str, tuple[int, int]]] = {}
    """The parts of an offset that the kind takes, each with its length in minutes and what it must be less than."""

    def __init__(self, start: str | date, end: str | date | None = None, timezone: str = "UTC", **offsets: int) -> None:
        object.__setattr__(self, "timezone", _zone(timezone))
        object.__setattr__(self, "offset", _minutes(type(self), offsets) if offsets else 0)
        object.__setattr__(self, "first", self._edge(start))
        object.__setattr__(self, "stop", None if end is None else self._edge(end))
        if self.stop is not None and self.stop <= self.first:
            raise DefinitionError(
                f"{type(self).__name__} from {self.start} to {self.end} has no partition",
                hint="the end is exclusive: it must lie after the start",
            )

    @abstractmethod
    def local(self, ordinal: int) -> datetime:
        """The local time (naive) at which the partition of that number starts, without the offset."""

    @abstractmethod
    def floor(self, moment: datetime) -> int:
        """The number of the partition that a local time (naive) lies in, without the offset."""

    def named(self, ordinal: int) -> datetime:
        """The local time (naive) that the key of the partition of that number shows."""
        return self.local(ordinal)

    def named_floor(self, moment: datetime) -> int:
        """The number of the last partition whose key shows this local time (naive) or an earlier one."""
        return self.floor(moment)

    def starting(self, ordinal: int) -> datetime:
        """The local time (naive) at which the partition of that number starts."""
        return self.local(ordinal) + timedelta(minutes=self.offset) if self.offset else self.local(ordinal)

    @property
    def rule(self) -> tuple[object, ...]:
        """What two definitions have in common whose equal numbers mean equal windows."""
        return self.step, self.timezone, self.offset

    @property
    def start(self) -> str:
        """The first key."""
        return self.key(self.first)

    @property
    def end(self) -> str | None:
        """The key at which the definition ends (exclusive), None when it is open-ended."""
        return None if self.stop is None else self.key(self.stop)

    @property
    def open_ended(self) -> bool:
        """Whether new partitions appear as time passes."""
        return self.stop is None

    @property
    def in_time(self) -> bool:
        """Yes."""
        return True

    @property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        return ZoneInfo(self.timezone)

    @property
    def bounds(self) -> Interval:
        """The numbers of the first partition and behind the last; open-ended definitions reach to the year 9998."""
        return self.first, self.floor(_LATEST) if self.stop is None else self.stop

    def key(self, ordinal: int) -> str:
        """The key: the local start in ISO 8601, as far as it is needed."""
        return self.named(ordinal).isoformat()[: self.width]

    def date_of(self, key: str | None) -> date | None:
        """The local date on which the partition of that key starts."""
        return self.named(self.ordinal(key)).date()

    def ordinal(self, key: str | None) -> int:
        """The number of the partition of that key; a PartitionError when there is none, with the nearest that is."""
        found = self._read(key) if isinstance(key, str) else None
        if found is None:
            raise self._error(f"{shown(key)} is not a {self.step} partition key", hint=self._nearest(key))
        return self._inside(found)

    def at(self, ordinal: int) -> Partition:
        """The partition of that number, with its window in the definition's zone."""
        zone = self.zone
        start, end = (_instant(self.starting(number), zone) for number in (ordinal, ordinal + 1))
        return Partition(key=self.key(ordinal), start=start, end=end, definition=self)

    def partition(self, value: str | date | datetime | Mapping[str, Any] | Partition | None) -> Partition:
        """The partition of a key, of a local date, around an instant (an aware datetime), or of an equal window.

        >>> from headwater import DailyPartitions
        >>> days = DailyPartitions("2013-01-01", timezone="America/New_York")
        >>> days.partition(datetime(2013, 1, 5, 2, tzinfo=UTC))
        Partition('2013-01-04')
        """
        if isinstance(value, Partition):
            return self._own(value)
        if isinstance(value, datetime):
            if value.tzinfo is None:
                raise self._error(f"{value.isoformat()} has no time zone", hint="give an aware datetime, or a key")
            return self.at(self._inside(self.ordinal_at(clock.to_us(value))))
        if isinstance(value, date):
            if not _EARLIEST.date() <= value <= _LATEST.date():
                day = value.isoformat()
                raise self._error(f"the date {day} lies outside the definition", hint=self._nearest(day))
            return self.at(self._inside(self._on(value)))
        if isinstance(value, Mapping):
            raise self._foreign(value)
        return self.at(self.ordinal(value))

    def ordinal_at(self, instant: int) -> int:
        """The number of the partition whose window holds an instant (microseconds since the epoch), bounds aside."""
        instant = min(max(instant, _EARLIEST_US), _LATEST_US)
        moment = clock.from_us(instant).astimezone(self.zone).replace(tzinfo=None)
        found = self.floor(moment - timedelta(minutes=self.offset))
        while self.start_us(found) > instant:
            found -= 1
        while self.start_us(found + 1) <= instant:
            found += 1
        return found

    def start_us(self, ordinal: int) -> int:
        """When the partition of that number starts, which is when the one before it ends, microseconds."""
        return clock.to_us(_instant(self.starting(ordinal), self.zone))

    def ended(self, as_of: int | None = None) -> PartitionSet:
        """The partitions that have ended by then (microseconds since the epoch; default: now).

        >>> from headwater import DailyPartitions
        >>> days = DailyPartitions("2013-01-01")
        >>> str(days.ended(clock.to_us(datetime(2013, 1, 4, 12, tzinfo=UTC))))
        '2013-01-01..2013-01-03'
        """
        now = clock.now_us() if as_of is None else as_of
        return self.clip([(self.first, self.ordinal_at(now))])

    def aligned(self, other: PartitionsDefinition) -> bool:
        """Whether the other has the same step, zone and offset."""
        return isinstance(other, TimePartitions) and self.rule == other.rule

    def describe(self) -> str:
        """The definition in a few words.

        >>> from headwater import DailyPartitions
        >>> DailyPartitions("2013-01-01", "2014-01-01", timezone="America/New_York").describe()
        'daily, 2013-01-01..2013-12-31, America/New_York'
        """
        offset = "".join(f", {name.replace('_', ' ')} {value}" for name, value in self._offsets().items())
        return f"{self.step}, {self._span()}, {self.timezone}{offset}"

    def to_json(self) -> dict[str, Any]:
        """Type, start, end (exclusive, None when open), time zone, and the offsets that are not 0."""
        found = {"type": self.step, "start": self.start, "end": self.end, "timezone": self.timezone}
        return {**found, **self._offsets()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TimePartitions:
        """The definition that `to_json` wrote; a DefinitionError for anything else."""
        offsets = {name: value[name] for name in cls.units if name in value}
        return cls(value.get("start", ""), value.get("end"), timezone=value.get("timezone", "UTC"), **offsets)

    def __str__(self) -> str:
        return self.describe()

    def __repr__(self) -> str:
        end = "" if self.end is None else f", {self.end!r}"
        offsets = "".join(f", {name}={value}" for name, value in self._offsets().items())
        return f"{type(self).__name__}({self.start!r}{end}, timezone={self.timezone!r}{offsets})"

    def _offsets(self) -> dict[str, int]:
        """The parts of the offset that are not 0."""
        found, left = {}, self.offset
        for name, (length, _) in self.units.items():
            value, left = divmod(left, length)
            if value:
                found[name] = value
        return found

    def _span(self) -> str:
        return f"from {self.start}" if self.stop is None else f"{self.start}..{self.key(self.stop - 1)}"

    def _example(self) -> str:
        return f"a key like {self.start}"

    def _inside(self, ordinal: int) -> int:
        low, high = self.bounds
        if not low <= ordinal < high:
            hint = f"the nearest is {self.key(min(max(ordinal, low), high - 1))}"
            raise self._error(f"the partition {self.key(ordinal)} lies outside the definition", hint=hint)
        return ordinal

    def _on(self, value: date) -> int:
        return self.floor(datetime.combine(value, time()) - timedelta(days=self.offset // DAY))

    def _own(self, value: Partition) -> Partition:
        if value.definition == self:
            return value
        found = self.at(self.ordinal(value.key))
        if value.definition is not None and (found.start_us, found.end_us) != (value.start_us, value.end_us):
            raise self._error(
                f"the partition {value} of another definition ({value.definition.describe()}) is not the same window",
                hint="take it through a mapping, or give the key",
            )
        return found

    def _read(self, key: str) -> int | None:
        """The number of a well-formed key, inside the bounds or not."""
        if len(key) != self.width:
            return None
        try:
            moment = datetime.fromisoformat(key + "0001-01-01"[len(key) :])
        except ValueError:
            return None
        # Another way to write the same moment is no key.
        return self._starting(moment) if moment.isoformat()[: self.width] == key else None

    def _starting(self, moment: datetime) -> int | None:
        """The number of the partition whose key shows this local time, if there is one."""
        if not _EARLIEST <= moment.replace(tzinfo=None) <= _LATEST:
            return None
        found = self.named_floor(moment)
        return found if self.named(found) == moment else None

    def _nearest(self, key: object) -> str:
        """What may have been meant: the partition of the date that a text begins with, cut to what exists."""
        text = key if isinstance(key, str) else ""
        digits = re.match(r"\s*([1-9][0-9]{3})\D?([0-9]{1,2})(?:\D?([0-9]{1,2}))?", text)
        hint = f"keys look like {self.start} (there are {self._span()})"
        if digits is None:
            return hint
        year, month, day = (int(part or 1) for part in digits.groups())
        month = min(max(month, 1), 12)
        moment = datetime(year, month, min(max(day, 1), monthrange(year, month)[1]))
        low, high = self.bounds
        return f"did you mean {self.key(min(max(self.named_floor(moment), low), high - 1))}? {hint}"

    def _edge(self, value: str | date) -> int:
        if isinstance(value, date):
            moment = value if isinstance(value, datetime) else datetime.combine(value, time())
            found = self._starting(moment)
        else:
            found = self._read(value) if isinstance(value, str) else None
            if found is None and (day := _as_date(value)) is not None:
                # A plain date says where hours, weeks and months begin as well.
                found = self._starting(datetime.combine(day, time()))
        if found is None:
            raise DefinitionError(
                f"{shown(value)} is not where a {self.step} partition starts",
                where=type(self).__name__,
                hint=f"write keys like {self.key(self.floor(datetime(2013, 1, 1)))}, of the years 1000 to 9998",
            )
        return found


def _as_date(value: object) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) and len(value) == len("2013-01-31") else None
    except ValueError:
        return None


def _instant(local: datetime, zone: ZoneInfo) -> datetime:
    """The first instant, in the zone, at which the local clock shows this time or a later one."""
    moment = local.replace(tzinfo=zone).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == local:
        return moment.astimezone(zone)
    # The clock skips this time: the jump lies between its readings with the offsets after and before it (PEP 495).
    early = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    low, high = 0, int((moment - early).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        shown = (early + timedelta(seconds=middle)).astimezone(zone).replace(tzinfo=None)
        low, high = (low, middle) if shown >= local else (middle, high)
    return (early + timedelta(seconds=high)).astimezone(zone)


def _minutes(kind: type[TimePartitions], offsets: Mapping[str, int]) -> int:
    """The sum of the parts of an offset."""
    found = 0
    for name, value in offsets.items():
        if name not in kind.units:
            known = ", ".join(kind.units) or "none"
            raise DefinitionError(f"{kind.__name__} has no {name}", hint=f"it has: {known}, timezone")
        length, limit = kind.units[name]
        if type(value) is not int or not 0 <= value < limit:
            message = f"{name}={value!r} is no offset of {kind.__name__}"
            raise DefinitionError(message, hint=f"give a whole number from 0 to {limit - 1}")
        found += value * length
    return found


def _zone(name: str) -> str:
    """The name, if it is one of a time zone."""
    try:
        return ZoneInfo(name).key
    except (KeyError, ValueError, OSError, TypeError):
        near = difflib.get_close_matches(str(name)[:60], available_timezones(), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "write a name like America/New_York"
        raise DefinitionError(f"{shown(name)} is not a time zone", hint=hint) from None
