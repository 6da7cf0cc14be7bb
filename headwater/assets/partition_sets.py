"""Partitions and sets of them: a definition numbers its partitions, and a set is made of intervals of those numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, TypeAlias

from headwater import clock
from headwater.assets import intervals as ranges
from headwater.assets.intervals import Interval, Intervals
from headwater.errors import PartitionError

Date: TypeAlias = date


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Partition:
    """One partition: its key, and its window in the definition's time zone (`end` is exclusive).

    Two partitions are equal when key and definition are. An asset without partitions has a single one, whose key and
    window are None. `definition` is None only for a partition that was made by hand.

    >>> from headwater.assets.partitions import DailyPartitions
    >>> day = DailyPartitions("2013-01-01", timezone="America/New_York").partition("2013-03-10")
    >>> str(day), day.date, (day.end_us - day.start_us) // 3_600_000_000
    ('2013-03-10', datetime.date(2013, 3, 10), 23)
    """

    key: str | None
    start: datetime | None = field(default=None, compare=False)
    end: datetime | None = field(default=None, compare=False)
    definition: PartitionsDefinition | None = None

    @property
    def date(self) -> Date:
        """The local date on which the partition starts; a PartitionError when it has no window."""
        found = self.definition.date_of(self.key) if self.definition is not None else None
        if found is None and self.start is not None:
            found = self.start.date()
        if found is None:
            raise PartitionError(f"the partition '{self}' has no date", hint="only time partitions have one")
        return found

    @property
    def start_us(self) -> int | None:
        """The first instant, microseconds since the epoch."""
        return None if self.start is None else clock.to_us(self.start)

    @property
    def end_us(self) -> int | None:
        """The end (exclusive), microseconds since the epoch."""
        return None if self.end is None else clock.to_us(self.end)

    def __str__(self) -> str:
        return "unpartitioned" if self.key is None else self.key

    def __repr__(self) -> str:
        return f"Partition({self.key!r})"


class PartitionsDefinition(ABC):
    """How an asset is divided: frozen and hashable; its partitions are numbered without gaps, in order."""

    __slots__ = ()

    @property
    def open_ended(self) -> bool:
        """Whether new partitions appear as time passes."""
        return False

    @property
    @abstractmethod
    def bounds(self) -> Interval:
        """The numbers of the first partition and behind the last one; of an open-ended definition, a far end."""

    @abstractmethod
    def key(self, ordinal: int) -> str | None:
        """The key of the partition of that number."""

    @abstractmethod
    def ordinal(self, key: str | None) -> int:
        """The number of the partition of that key; a PartitionError when there is none."""

    @abstractmethod
    def at(self, ordinal: int) -> Partition:
        """The partition of that number."""

    @abstractmethod
    def partition(self, value: str | date | datetime | Partition | None) -> Partition:
        """The partition of that key, on that date, or around that instant; a PartitionError when there is none."""

    @abstractmethod
    def ended(self, as_of: int | None = None) -> PartitionSet:
        """The partitions that have ended by then (microseconds since the epoch; default: now)."""

    @abstractmethod
    def describe(self) -> str:
        """The definition in a few words."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The definition as JSON; `partitions_from_json` reads it back."""

    def date_of(self, key: str | None) -> date | None:
        """The local date on which the partition of that key starts, if it has one."""
        return None

    def aligned(self, other: PartitionsDefinition) -> bool:
        """Whether equal numbers mean equal windows in both, so that only the ends may differ."""
        return self == other

    def all(self, as_of: int | None = None) -> PartitionSet:
        """Every partition; of an open-ended definition, those that have ended by then (µs; default: now).

        >>> from headwater.assets.partitions import DailyPartitions
        >>> len(DailyPartitions("2013-01-01", "2023-01-01").all())
        3652
        """
        return self.ended(as_of) if self.open_ended else PartitionSet(self, (self.bounds,))

    def empty(self) -> PartitionSet:
        """The set of no partitions."""
        return PartitionSet(self)

    def clip(self, intervals: Iterable[Interval]) -> PartitionSet:
        """The set of these numbers, without those that lie outside the definition."""
        return PartitionSet(self, ranges.intersection(ranges.merged(intervals), (self.bounds,)))

    def set_of(self, keys: Iterable[str | None]) -> PartitionSet:
        """The set of these keys; a PartitionError for one that is unknown."""
        return PartitionSet(self, ranges.of_numbers(self.ordinal(key) for key in keys))

    def range(self, first: str | date | Partition, last: str | date | Partition) -> PartitionSet:
        """The partitions from `first` to `last`, both included; a PartitionError when they are the wrong way round."""
        low, high = (self.ordinal(self.partition(value).key) for value in (first, last))
        if low > high:
            raise self._error(
                f"the range {self.key(low)}..{self.key(high)} runs backwards",
                hint=f"write {self.key(high)}..{self.key(low)}",
            )
        return PartitionSet(self, ((low, high + 1),))

    def parse(self, text: str) -> PartitionSet:
        """The set that a person writes: a key, a range `first..last` with both ends included, or several with commas.

        >>> from headwater.assets.partitions import DailyPartitions
        >>> days = DailyPartitions("2013-01-01", "2014-01-01")
        >>> print(days.parse("2013-01-03, 2013-01-01..2013-01-02, 2013-02-01"))
        2013-01-01..2013-01-03, 2013-02-01
        """
        found: list[Interval] = []
        for part in text.split(","):
            first, dots, last = (piece.strip(" ") for piece in part.partition(".."))
            if not first or (dots and not last):
                raise self._error(f"{shown(text)} names no partition", hint=f"write {self._example()}")
            found.extend(self.range(first, last if dots else first).intervals)
        return PartitionSet(self, ranges.merged(found))

    def set_from_json(self, value: Iterable[Iterable[str | None]]) -> PartitionSet:
        """The set that `PartitionSet.to_json` wrote."""
        pairs = [tuple(pair) for pair in value]
        return PartitionSet(self, ranges.merged((self.ordinal(low), self.ordinal(high) + 1) for low, high in pairs))

    def _example(self) -> str:
        return "a key"

    def _error(self, message: str, *, hint: str | None = None) -> PartitionError:
        return PartitionError(message, where=self.describe(), hint=hint)

    def _foreign(self, value: object) -> PartitionError:
        return self._error(f"{shown(value)} is not a partition of this definition", hint=f"give {self._example()}")


@dataclass(frozen=True, slots=True, repr=False)
class PartitionSet:
    """A set of partitions of one definition, kept as intervals of their numbers: a decade costs no more than a day.

    >>> from headwater.assets.partitions import DailyPartitions
    >>> days = DailyPartitions("2013-01-01", "2014-01-01")
    >>> spring = days.parse("2013-03-01..2013-05-31")
    >>> print(spring - days.parse("2013-04-01..2013-04-30"))
    2013-03-01..2013-03-31, 2013-05-01..2013-05-31
    >>> len(spring), "2013-03-05" in spring, str(spring.first)
    (92, True, '2013-03-01')
    """

    definition: PartitionsDefinition
    intervals: Intervals = ()

    def __len__(self) -> int:
        return sum(high - low for low, high in self.intervals)

    def __bool__(self) -> bool:
        return bool(self.intervals)

    def __iter__(self) -> Iterator[Partition]:
        return (self.definition.at(ordinal) for low, high in self.intervals for ordinal in range(low, high))

    def __reversed__(self) -> Iterator[Partition]:
        back = reversed(self.intervals)
        return (self.definition.at(ordinal) for low, high in back for ordinal in range(high - 1, low - 1, -1))

    def __contains__(self, item: object) -> bool:
        if isinstance(item, Partition):
            if item.definition not in (None, self.definition):
                return False
            item = item.key
        if not (item is None or isinstance(item, str)):
            return False
        try:
            ordinal = self.definition.ordinal(item)
        except PartitionError:
            return False
        place = bisect_right(self.intervals, ordinal, key=lambda interval: interval[0]) - 1
        return place >= 0 and ordinal < self.intervals[place][1]

    def __or__(self, other: PartitionSet) -> PartitionSet:
        return PartitionSet(self.definition, ranges.merged(self.intervals + self._alike(other)))

    def __and__(self, other: PartitionSet) -> PartitionSet:
        return PartitionSet(self.definition, ranges.intersection(self.intervals, self._alike(other)))

    def __sub__(self, other: PartitionSet) -> PartitionSet:
        return PartitionSet(self.definition, ranges.difference(self.intervals, self._alike(other)))

    def __le__(self, other: PartitionSet) -> bool:
        return not self - other

    def keys(self) -> Iterator[str | None]:
        """The keys in order, one at a time."""
        return (self.definition.key(ordinal) for low, high in self.intervals for ordinal in range(low, high))

    def ranges(self) -> Iterator[tuple[Partition, Partition]]:
        """The first and the last partition of each contiguous stretch."""
        return ((self.definition.at(low), self.definition.at(high - 1)) for low, high in self.intervals)

    @property
    def first(self) -> Partition:
        """The first partition; a PartitionError when the set is empty."""
        return self.definition.at(self._ends()[0])

    @property
    def last(self) -> Partition:
        """The last partition; a PartitionError when the set is empty."""
        return self.definition.at(self._ends()[1])

    def to_json(self) -> list[list[str | None]]:
        """Pairs of first and last key, a pair for each contiguous stretch; `set_from_json` reads it back."""
        return [[self.definition.key(low), self.definition.key(high - 1)] for low, high in self.intervals]

    def __str__(self) -> str:
        return ", ".join(str(low) if low == high else f"{low}..{high}" for low, high in self.ranges())

    def __repr__(self) -> str:
        return f"PartitionSet({str(self)!r})"

    def _ends(self) -> Interval:
        if not self.intervals:
            raise PartitionError("the set of partitions is empty", where=self.definition.describe())
        return self.intervals[0][0], self.intervals[-1][1] - 1

    def _alike(self, other: PartitionSet) -> Intervals:
        if other.definition != self.definition:
            raise PartitionError(
                f"sets of different definitions can't be combined: {self.definition.describe()}; "
                f"{other.definition.describe()}",
                hint="take one to the other through a mapping",
            )
        return other.intervals


@dataclass(frozen=True, slots=True)
class Unpartitioned(PartitionsDefinition):
    """An asset that is not divided, as a definition of one partition whose key is None.

    >>> len(UNPARTITIONED.all()), str(UNPARTITIONED.all())
    (1, 'unpartitioned')
    """

    @property
    def bounds(self) -> Interval:
        """One number: 0."""
        return 0, 1

    def key(self, ordinal: int) -> None:
        """None."""

    def ordinal(self, key: str | None) -> int:
        """0 for None (or the word "unpartitioned"), else a PartitionError."""
        if key not in (None, "unpartitioned"):
            raise self._error(f"the asset has no partitions, so {shown(key)} is not one", hint="leave it out")
        return 0

    def at(self, ordinal: int) -> Partition:
        """The only partition."""
        return Partition(key=None, definition=self)

    def partition(self, value: str | date | datetime | Partition | None) -> Partition:
        """The only partition, for None or itself."""
        if isinstance(value, date):
            value = value.isoformat()
        return self.at(self.ordinal(value.key if isinstance(value, Partition) else value))

    def ended(self, as_of: int | None = None) -> PartitionSet:
        """The only partition, always."""
        return self.all()

    def describe(self) -> str:
        """'not partitioned'."""
        return "not partitioned"

    def to_json(self) -> dict[str, Any]:
        """The type alone."""
        return {"type": "unpartitioned"}

    def _example(self) -> str:
        return "no partition"


UNPARTITIONED = Unpartitioned()


def shown(value: object) -> str:
    """A value as an error shows it: escaped and cut, for it may be hostile."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:40]}… ({len(str(value))} characters)"
