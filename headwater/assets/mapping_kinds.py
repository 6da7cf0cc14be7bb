"""The mappings between partitions that need no more than two definitions: same, window, all, unpartitioned, overlap."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from headwater.assets.intervals import Interval
from headwater.assets.mapping_base import PartitionMapping
from headwater.assets.partitions import (
    KeyPartitions,
    PartitionsDefinition,
    PartitionSet,
    ProductPartitions,
    TimePartitions,
    Unpartitioned,
)
from headwater.errors import DefinitionError
from headwater.records import dataclass


@dataclass(frozen=True, slots=True)
class SameMapping(PartitionMapping):
    """The partition of the same key.

    >>> from headwater.assets.partitions import DailyPartitions
    >>> days, longer = DailyPartitions("2013-01-01", "2013-02-01"), DailyPartitions("2012-01-01")
    >>> str(SameMapping().downstream(longer.parse("2012-12-30..2013-01-02"), days))
    '2013-01-01..2013-01-02'
    """

    kind: ClassVar[str] = "same"

    def upstream(
        self, downstream: PartitionSet, upstream: PartitionsDefinition, *, as_of: int | None = None
    ) -> PartitionSet:
        """The same keys, as far as the input has them."""
        return self._same(downstream, upstream)

    def downstream(
        self, upstream: PartitionSet, downstream: PartitionsDefinition, *, as_of: int | None = None
    ) -> PartitionSet:
        """The same keys, as far as the asset has them."""
        return self._same(upstream, downstream)

    def _same(self, given: PartitionSet, wanted: PartitionsDefinition) -> PartitionSet:
        if given.definition == wanted:
            return given
        self.check(given.definition, wanted)
        if isinstance(wanted, KeyPartitions):
            here = wanted.all()
            return wanted.set_of(part.key for part in given if part.key in here)
        return wanted.clip(given.intervals)

    def check(self, upstream: PartitionsDefinition, downstream: PartitionsDefinition) -> None:
        """Both must have the same step, time zone and offset, or both must have keys without windows."""
        if not (isinstance(upstream, KeyPartitions) and isinstance(downstream, KeyPartitions)):
            _check_aligned(self, upstream, downstream)

    @property
    def steps(self) -> tuple[int, int]:
        """None: the same."""
        return 0, 0

    @property
    def not_later(self) -> bool:
        """It reads what is of the same time."""
        return True

    def describe(self) -> str:
        """'the same partition'."""
        return f"the same partition{self._enough()}"


@dataclass(frozen=True, slots=True)
class WindowMapping(PartitionMapping):
    """The partitions from `first` to `last` steps away, both included: (-6, 0) is it and the six before it.

    >>> from headwater.assets.partitions import DailyPartitions
    >>> days = DailyPartitions("2013-01-01", "2014-01-01")
    >>> str(WindowMapping(-6, 0).upstream(days.parse("2013-01-03, 2013-03-10"), days))
    '2013-01-01..2013-01-03, 2013-03-04..2013-03-10'
    """

    kind: ClassVar[str] = "window"

    first: int
    last: int

    def __post_init__(self) -> None:
        PartitionMapping.__post_init__(self)
        if type(self.first) is not int or type(self.last) is not int or self.first > self.last:
            raise DefinitionError(
                f"({self.first!r}, {self.last!r}) is not a window of partitions",
                hint="give two whole numbers, the lesser one first: (-6, 0) is it and the six before it",
            )

    def upstream(
        self, downstream: PartitionSet, upstream: PartitionsDefinition, *, as_of: int | None = None
    ) -> PartitionSet:
        """The windows around these partitions, clipped where the input begins and ends."""
        self.check(upstream, downstream.definition)
        return upstream.away(downstream.intervals, self.first, self.last)

    def downstream(
        self, upstream: PartitionSet, downstream: PartitionsDefinition, *, as_of: int | None = None
    ) -> PartitionSet:
        """The partitions whose windows hold one of these."""
        self.check(upstream.definition, downstream)
        return downstream.away(upstream.intervals, -self.last, -self.first)

    def check(self, upstream: PartitionsDefinition, downstream: PartitionsDefinition) -> None:
        """Both must have the same step, time zone and offset."""
        if isinstance(upstream, ProductPartitions):
            raise DefinitionError(
                f"a window of partitions needs a dimension of {upstream.describe()}",
                hint=f"write .by({upstream.dims[0][0]}=({self.first}, {self.last}))",
            )
        _check_aligned(self, upstream, downstream)

    @property
    def steps(self) -> tuple[int, int]:
        """From the first to the last."""
        return self.first, self.last

    @property
    def only_past(self) -> bool:
        """Whether the window ends before the partition that is made."""
        return self.last < 0

    @property
    def not_later(self) -> bool:
        """Whether the window ends with the partition that is made, or before it."""
        return self.last <= 0

    def describe(self) -> str:
        """The window in words."""
        if self.first == self.last:
            return f"the partition {_signed(self.first)} away{self._enough()}"
        return f"window of partitions from {_signed(self.first)} to {_signed(self.last)}{self._enough()}"

    def to_json(self) -> dict[str, Any]:
        """Type, first, last, and needs where it is set."""
        return PartitionMapping.to_json(self) | {"first": self.first, "last": self.last}


@dataclass(frozen=True, slots=True)
class AllMapping(PartitionMapping):
    """Every partition of the input; of an open-ended one, those that have ended.

    >>> from headwater.assets.partitions import UNPARTITIONED, DailyPartitions
    >>> str(AllMapping().upstream(UNPARTITIONED.all(), DailyPartitions("2013-01-01", "2014-01-01")))
    '2013-01-01..2013-12-31'
    """

    kind: ClassVar[str] = "all"
    usual: ClassVar[Literal["all", "any"]] = "any"
    fewest: ClassVar[int] = 1

    def upstream(
        self, downstream: PartitionSet, upstream: PartitionsDefinition, *, as_of: int | None = None
    ) -> PartitionSet:
        """All partitions of the input, if there is anything downstream at all."""
        return upstream.all(as_of) if downstream else upstream.empty()

    def downstream(
        self, upstream: PartitionSet, downstream: PartitionsDefinition, *, as_of: int | None = None
    ) -> PartitionSet:
        """All partitions of the asset, if anything upstream is given."""
        return downstream.all(as_of) if upstream else downstream.empty()

    def check(self, upstream: PartitionsDefinition, downstream: PartitionsDefinition) -> None:
        """It fits everywhere."""

    def describe(self) -> str:
        """'all partitions'."""
        return f"all partitions{self._enough()}"


@dataclass(frozen=True, slots=True)
class UnpartitionedMapping(PartitionMapping):
    """The whole of an input that has no partitions.

    >>> from headwater.assets.partitions import UNPARTITIONED, DailyPartitions
    >>> days = DailyPartitions("2013-01-01", "2014-01-01")
    >>> str(UnpartitionedMapping().upstream(days.parse("2013-01-05"), UNPARTITIONED))
    'unpartitioned'
    """

    kind: ClassVar[str] = "unpartitioned"

    def upstream(
        self, downstream: PartitionSet, upstream: PartitionsDefinition, *, as_of: int | None = None
    ) -> PartitionSet:
        """The only partition of the input, if there is anything downstream at all."""
        self.check(upstream, downstream.definition)
        return upstream.all(as_of) if downstream else upstream.empty()

    def downstream(
        self, upstream: PartitionSet, downstream: PartitionsDefinition, *, as_of: int | None = None
    ) -> PartitionSet:
        """All partitions of the asset, if the input is given."""
        self.check(upstream.definition, downstream)
        return downstream.all(as_of) if upstream else downstream.empty()

    def check(self, upstream: PartitionsDefinition, downstream: PartitionsDefinition) -> None:
        """The input must have no partitions."""
        if not isinstance(upstream, Unpartitioned):
            raise DefinitionError(
                f"the input has partitions ({upstream.describe()})", hint="map it with all of them, or a window"
            )

    def describe(self) -> str:
        """'the whole asset'."""
        return "the whole asset"


@dataclass(frozen=True, slots=True)
class OverlapMapping(PartitionMapping):
    """The partitions whose windows share time: between days and months, or days of two time zones.

    A partition of no length shares time with the one that its instant lies in.

    >>> from headwater.assets.partitions import DailyPartitions
    >>> here, there = DailyPartitions("2013-01-01"), DailyPartitions("2013-01-01", timezone="America/New_York")
    >>> str(OverlapMapping().upstream(there.parse("2013-03-05"), here))
    '2013-03-05..2013-03-06'
    """

    kind: ClassVar[str] = "overlap"

    def upstream(
        self, downstream: PartitionSet, upstream: PartitionsDefinition, *, as_of: int | None = None
    ) -> PartitionSet:
        """The partitions of the input that share time with these."""
        return _overlapping(self, downstream, upstream)

    def downstream(
        self, upstream: PartitionSet, downstream: PartitionsDefinition, *, as_of: int | None = None
    ) -> PartitionSet:
        """The partitions of the asset that share time with these of the input."""
        return _overlapping(self, upstream, downstream)

    def check(self, upstream: PartitionsDefinition, downstream: PartitionsDefinition) -> None:
        """Both must be partitioned by time."""
        for definition in (upstream, downstream):
            if not isinstance(definition, TimePartitions):
                raise DefinitionError(
                    f"{definition.describe()}: has no windows of time to overlap", hint="use another mapping"
                )

    def describe(self) -> str:
        """'the partitions that overlap in time'."""
        return f"the partitions that overlap in time{self._enough()}"


def _signed(offset: int) -> str:
    return f"{offset:+d}" if offset else "0"


def _check_aligned(mapping: PartitionMapping, upstream: PartitionsDefinition, downstream: PartitionsDefinition) -> None:
    if not upstream.aligned(downstream):
        raise DefinitionError(
            f"'{mapping.describe()}' needs the same step, time zone and offset on both sides: the input is "
            f"{upstream.describe()}; the asset is {downstream.describe()}",
            hint="leave the mapping out to have it inferred",
        )


def _overlapping(mapping: PartitionMapping, given: PartitionSet, wanted: PartitionsDefinition) -> PartitionSet:
    mapping.check(wanted, given.definition)
    assert isinstance(wanted, TimePartitions)
    assert isinstance(given.definition, TimePartitions)
    calendar, other = given.definition, wanted
    return wanted.clip(_cover(calendar, interval, other) for interval in given.intervals)


def _cover(calendar: TimePartitions, interval: Interval, other: TimePartitions) -> Interval:
    """The numbers of the other calendar's partitions whose windows share time with this stretch."""
    low, high = interval
    start, end = calendar.start_us(low), calendar.start_us(high)
    first = other.ordinal_at(start)
    while other.start_us(first - 1) == start:
        first -= 1  # partitions of no length that lie at the very start
    # The stretch may end with a partition of no length: its instant still belongs to it.
    last = end if calendar.start_us(high - 1) == end else end - 1
    return first, other.ordinal_at(last) + 1
