"""Sets of partitions: a definition numbers its partitions, and a set is made of intervals of those numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Any

from headwater.assets import intervals as ranges
from headwater.assets.intervals import Interval, Intervals
from headwater.assets.key_text import split
from headwater.assets.partition import Partition, shown
from headwater.errors import PartitionError
from headwater.records import dataclass


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

    def has(self, key: str | None) -> bool:
        """Whether there is a partition of that key, now or to come.

        >>> from headwater import StaticPartitions
        >>> StaticPartitions(["eu", "us"]).has("eu"), StaticPartitions(["eu", "us"]).has("fr")
        (True, False)
        """
        try:
            number = self.ordinal(key)
        except PartitionError:
            return False
        low, high = self.bounds
        return low <= number < high

    @abstractmethod
    def at(self, ordinal: int) -> Partition:
        """The partition of that number."""

    @abstractmethod
    def partition(self, value: str | date | datetime | Mapping[str, Any] | Partition | None) -> Partition:
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

    @property
    def in_time(self) -> bool:
        """Whether its partitions have windows of time."""
        return False

    @property
    def fixed(self) -> bool:
        """Whether its partitions are known from the definition alone (and the time)."""
        return True

    @property
    def sample(self) -> str:
        """A key, for messages that show how one is written."""
        return str(self.key(self.bounds[0]))

    @property
    def existing(self) -> Intervals:
        """The numbers that have a partition now, of an open-ended definition also those that are to come."""
        return (self.bounds,)

    def neighbour(self, partition: Partition, steps: int) -> Partition | None:
        """The partition so many steps after another one (before it, when negative), None where there is none."""
        found = self.around(partition, steps, steps)
        return found.first if found else None

    def around(self, partition: Partition, first: int, last: int) -> PartitionSet:
        """The partitions from `first` to `last` steps away from one, both included, as far as there are any."""
        number = self.ordinal(partition.key)
        return self.away([(number, number + 1)], first, last)

    def away(self, intervals: Iterable[Interval], first: int, last: int) -> PartitionSet:
        """The partitions from `first` to `last` steps away from any of these numbers, as far as there are any."""
        return self.clip((low + first, high + last) for low, high in intervals)

    def dimensions_of(self, partition: Partition) -> Mapping[str, Partition]:
        """The partition of each dimension; a PartitionError: only products have dimensions."""
        raise self._error(f"the partition '{partition}' has no dimensions", hint="only those of ProductPartitions have")

    def all(self, as_of: int | None = None) -> PartitionSet:
        """Every partition; of an open-ended definition, those that have ended by then (µs; default: now).

        >>> from headwater.assets.partitions import DailyPartitions
        >>> len(DailyPartitions("2013-01-01", "2023-01-01").all())
        3652
        """
        return self.ended(as_of) if self.open_ended else PartitionSet(self, self.existing)

    def empty(self) -> PartitionSet:
        """The set of no partitions."""
        return PartitionSet(self)

    def clip(self, intervals: Iterable[Interval]) -> PartitionSet:
        """The set of these numbers, without those that lie outside the definition."""
        return PartitionSet(self, ranges.intersection(ranges.merged(intervals), self.existing))

    def set_of(self, keys: Iterable[str | None]) -> PartitionSet:
        """The set of these keys; a PartitionError for one that is unknown."""
        return PartitionSet(self, ranges.of_numbers(self.ordinal(key) for key in keys))

    def union_of(self, parts: Iterable[PartitionSet]) -> PartitionSet:
        """All that is in any of these sets of this definition."""
        return PartitionSet(self, ranges.merged(interval for part in parts for interval in part.intervals))

    def range(self, first: str | date | Partition, last: str | date | Partition) -> PartitionSet:
        """The partitions from `first` to `last`, both included; a PartitionError when they are the wrong way round."""
        low, high = (self.ordinal(self.partition(value).key) for value in (first, last))
        if low > high:
            raise self._error(
                f"the range {self.key(low)}..{self.key(high)} runs backwards",
                hint=f"write {self.key(high)}..{self.key(low)}",
            )
        return self.clip([(low, high + 1)])

    def parse(self, text: str) -> PartitionSet:
        """The set that a person writes: a key, a range `first..last` with both ends included, or several with commas.

        A range may leave out an end: `2013-01-05..` goes on to the last partition (of an open-ended definition, the last
        one that has ended), `..2013-01-05` begins with the first. `*` is every partition. Raises PartitionError for anything else.

        >>> from headwater.assets.partitions import DailyPartitions
        >>> days = DailyPartitions("2013-01-01", "2014-01-01")
        >>> print(days.parse("2013-01-03, 2013-01-01..2013-01-02, 2013-02-01"))
        2013-01-01..2013-01-03, 2013-02-01
        >>> print(days.parse("2013-12-30.."))
        2013-12-30..2013-12-31
        """
        return self.union_of([self.parse_part(part) for part in split(text, ",")])

    def parse_part(self, text: str) -> PartitionSet:
        """The set that a key, a range or `*` stands for, without commas."""
        if text == "*":
            return self.all()
        first, dots, last = (piece.strip(" ") for piece in text.partition(".."))
        if not first and not last:
            raise self._error(f"{shown(text)} names no partition", hint=f"write {self._example()}")
        if dots and not (first and last):
            return self._half_open(first, last)
        return self.range(self.read(first), self.read(last if dots else first))

    def read(self, text: str) -> str:
        """The key that is written so."""
        return text

    def write(self, key: str | None) -> str:
        """A key as it is written beside others; `read` gives it back."""
        return str(key)

    def text_of(self, intervals: Intervals) -> str:
        """Stretches of partitions as a person writes them; `parse` reads them back."""
        ends = ((self.write(self.key(low)), self.write(self.key(high - 1)), high - low) for low, high in intervals)
        return ", ".join(low if count == 1 else f"{low}..{high}" for low, high, count in ends)

    def _half_open(self, first: str, last: str) -> PartitionSet:
        number = self.ordinal(self.partition(self.read(first or last)).key)
        if last:
            return self.clip([(self.bounds[0], number + 1)])
        found = self.all() & self.clip([(number, self.bounds[1])])
        if not found:
            raise self._error(
                f"{shown(first + '..')} begins after the last partition that has ended", hint="give both ends"
            )
        return found

    def set_from_json(self, value: Iterable[Iterable[Any]]) -> PartitionSet:
        """The set that `PartitionSet.to_json` wrote."""
        pairs = [tuple(pair) for pair in value]
        return PartitionSet(self, ranges.merged((self.ordinal(low), self.ordinal(high) + 1) for low, high in pairs))

    def intervals_json(self, intervals: Intervals) -> list[Any]:
        """These partitions as JSON; `set_from_json` reads them back."""
        return [[self.key(low), self.key(high - 1)] for low, high in intervals]

    def _example(self) -> str:
        return "a key"

    def _error(self, message: str, *, hint: str | Callable[[], str] | None = None) -> PartitionError:
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

    @property
    def shape(self) -> tuple[Any, ...]:
        """What tells the set from others of the same definition: hashable, and small also where `intervals` are many."""
        return self.intervals

    def stretches(self, most: int) -> PartitionSet:
        """The set without what comes after its first so many stretches."""
        return PartitionSet(self.definition, self.intervals[:most])

    def to_json(self) -> list[Any]:
        """Pairs of first and last key, a pair for each contiguous stretch; `set_from_json` reads it back."""
        return self.definition.intervals_json(self.intervals)

    def __str__(self) -> str:
        return self.definition.text_of(self.intervals)

    def __repr__(self) -> str:
        return f"PartitionSet({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.definition, self.shape)

    def _ends(self) -> Interval:
        if not self.intervals:
            raise PartitionError("the set of partitions is empty", where=self.definition.describe())
        return self.intervals[0][0], self.intervals[-1][1] - 1

    def _alike(self, other: PartitionSet) -> Intervals:
        self._check_alike(other)
        return other.intervals

    def _check_alike(self, other: PartitionSet) -> None:
        if other.definition != self.definition:
            raise PartitionError(
                f"sets of different definitions can't be combined: {self.definition.describe()}; "
                f"{other.definition.describe()}",
                hint="take one to the other through a mapping",
            )
