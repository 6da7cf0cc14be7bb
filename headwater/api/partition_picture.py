"""The states of an asset's partitions as counts over stretches: what a picture of a million partitions is drawn from."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

from headwater.assets.facts import AssetFacts
from headwater.assets.intervals import Intervals, of_numbers
from headwater.assets.partition_sets import PartitionsDefinition, PartitionSet
from headwater.assets.staleness import Staleness
from headwater.assets.time_partitions import TimePartitions
from headwater.errors import PartitionError
from headwater.records import dataclass

STATES = ("running", "failed", "stale", "missing", "made")
"""What a partition can be: the first of these that holds."""


@dataclass(frozen=True, kw_only=True)
class States:
    """The partitions of an asset by their states; no partition is in two of the sets."""

    divided: PartitionsDefinition
    every: PartitionSet
    sets: Mapping[str, PartitionSet]

    @cached_property
    def lines(self) -> Mapping[str, _Line]:
        """The sets as lines that can be counted on."""
        return {state: _Line(found.intervals) for state, found in self.sets.items()}

    def counts(self, low: int, high: int) -> dict[str, int]:
        """How many partitions from one number up to another one (exclusive) are in each state; states of none are left out."""
        found = {state: line.within(low, high) for state, line in self.lines.items()}
        return {state: count for state, count in found.items() if count}

    def total(self) -> dict[str, int]:
        """How many partitions are in each state; states of none are left out."""
        return {state: len(found) for state, found in self.sets.items() if found}

    def cell(self, label: str, low: int, high: int) -> dict[str, Any]:
        """A cell of the picture: its label, the first and the last partition in it as they are written, and its counts."""
        first, last = (self.divided.write(self.divided.key(number)) for number in (low, high - 1))
        return {"label": label, "first": first, "last": last, "states": self.counts(low, high)}


def states_of(
    divided: PartitionsDefinition,
    known: AssetFacts,
    stale: Staleness | None,
    running: Iterable[str | None],
    as_of: int,
) -> States:
    """The states of all partitions that there are by then; what was made under another definition is left out."""
    every = divided.all(as_of)
    made, failed, busy = (_known(divided, keys) & every for keys in (known.made, known.failed, running))
    old = divided.empty() if stale is None else stale.stale & every
    failed -= busy
    settled = busy | failed
    there = made - settled
    return States(
        divided=divided,
        every=every,
        sets={
            "running": busy,
            "failed": failed,
            "stale": there & old,
            "missing": every - made - settled,
            "made": there - old,
        },
    )


def days(divided: TimePartitions, first: date, last: date, within: Intervals) -> Iterator[tuple[date, int, int]]:
    """Each local day from one to another that partitions begin on, with their numbers (the last is exclusive)."""
    day, low = first, starting(divided, first)
    while day <= last:
        after = day + timedelta(days=1)
        high = starting(divided, after)
        if low < high and within and within[0][0] < high and low < within[-1][1]:
            yield day, max(low, within[0][0]), min(high, within[-1][1])
        day, low = after, high


def years(divided: TimePartitions, within: Intervals) -> Iterator[tuple[int, int, int]]:
    """Each year that partitions begin in, with their numbers (the last is exclusive)."""
    if not within:
        return
    low, stop = within[0][0], within[-1][1]
    while low < stop:
        year = divided.named(low).year
        high = min(starting(divided, date(year + 1, 1, 1)), stop)
        yield year, low, high
        low = max(high, low + 1)


def starting(divided: TimePartitions, day: date) -> int:
    """The number of the first partition whose key shows this local day or a later one.

    >>> from headwater import HourlyPartitions
    >>> hours = HourlyPartitions("2013-01-01")
    >>> hours.key(starting(hours, date(2013, 1, 5)))
    '2013-01-05T00'
    """
    midnight = datetime(day.year, day.month, day.day)
    number = divided.named_floor(midnight)
    return number if divided.named(number) >= midnight else number + 1


def _known(divided: PartitionsDefinition, keys: Iterable[str | None]) -> PartitionSet:
    numbers = []
    for key in keys:
        try:
            numbers.append(divided.ordinal(key))
        except PartitionError:
            continue  # it was made under an earlier definition, which had this partition
    return divided.clip(of_numbers(numbers))


class _Line:
    """Intervals that can be counted on from any number to any other, however many they are."""

    def __init__(self, intervals: Intervals) -> None:
        self._lows = [low for low, _ in intervals]
        self._intervals = intervals
        self._before = [0]
        for low, high in intervals:
            self._before.append(self._before[-1] + high - low)

    def within(self, low: int, high: int) -> int:
        """How many numbers there are from one up to another one (exclusive)."""
        return self._until(high) - self._until(low)

    def _until(self, number: int) -> int:
        place = bisect_right(self._lows, number)
        if place == 0:
            return 0
        low, high = self._intervals[place - 1]
        return self._before[place - 1] + min(number, high) - low
