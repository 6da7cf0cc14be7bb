"""Mappings: which partitions of an input a partition of an asset reads, and the other way round."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from headwater.assets.intervals import Interval
from headwater.assets.partitions import (
    UNPARTITIONED,
    PartitionsDefinition,
    PartitionSet,
    TimePartitions,
    Unpartitioned,
    shown,
)
from headwater.errors import DefinitionError


@dataclass(frozen=True, slots=True)
class PartitionMapping(ABC):
    """A relation between the partitions of an input (upstream) and those of the asset that reads it (downstream).

    Sets go through it both ways, as unions over their elements: a partition k is in `downstream(u)` exactly if
    `upstream({k})` meets u. `as_of` (microseconds) only says how far open-ended definitions reach where a mapping
    takes all of one; the default is now.
    """

    kind: ClassVar[str]

    at_least: int | None = field(default=None, kw_only=True)
    """How many of the partitions upstream must be there; None: every one."""

    def __post_init__(self) -> None:
        if self.at_least is not None and (type(self.at_least) is not int or self.at_least < 0):
            raise DefinitionError(f"at_least={self.at_least!r} is not a number of partitions", hint="give 0 or more")

    @abstractmethod
    def upstream(
        self, downstream: PartitionSet, upstream: PartitionsDefinition, *, as_of: int | None = None
    ) -> PartitionSet:
        """The partitions of the input that these partitions read, cut to those that the input has."""

    @abstractmethod
    def downstream(
        self, upstream: PartitionSet, downstream: PartitionsDefinition, *, as_of: int | None = None
    ) -> PartitionSet:
        """The partitions that read at least one of these partitions of the input."""

    @abstractmethod
    def check(self, upstream: PartitionsDefinition, downstream: PartitionsDefinition) -> None:
        """Raise a DefinitionError when the mapping can't stand between these two."""

    @abstractmethod
    def describe(self) -> str:
        """The mapping in a few words."""

    def to_json(self) -> dict[str, Any]:
        """The mapping as JSON; `mapping_from_json` reads it back."""
        return {"type": self.kind, **({} if self.at_least is None else {"at_least": self.at_least})}

    def _enough(self) -> str:
        return "" if self.at_least is None else f", at least {self.at_least} of them"


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
        self.check(upstream, downstream.definition)
        return upstream.clip(downstream.intervals)

    def downstream(
        self, upstream: PartitionSet, downstream: PartitionsDefinition, *, as_of: int | None = None
    ) -> PartitionSet:
        """The same keys, as far as the asset has them."""
        self.check(upstream.definition, downstream)
        return downstream.clip(upstream.intervals)

    def check(self, upstream: PartitionsDefinition, downstream: PartitionsDefinition) -> None:
        """Both must have the same step and time zone."""
        _check_aligned(self, upstream, downstream)

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
        return upstream.clip((low + self.first, high + self.last) for low, high in downstream.intervals)

    def downstream(
        self, upstream: PartitionSet, downstream: PartitionsDefinition, *, as_of: int | None = None
    ) -> PartitionSet:
        """The partitions whose windows hold one of these."""
        self.check(upstream.definition, downstream)
        return downstream.clip((low - self.last, high - self.first) for low, high in upstream.intervals)

    def check(self, upstream: PartitionsDefinition, downstream: PartitionsDefinition) -> None:
        """Both must have the same step and time zone."""
        _check_aligned(self, upstream, downstream)

    def describe(self) -> str:
        """The window in words."""
        if self.first == self.last:
            return f"the partition {_signed(self.first)} away{self._enough()}"
        return f"window of partitions from {_signed(self.first)} to {_signed(self.last)}{self._enough()}"

    def to_json(self) -> dict[str, Any]:
        """Type, first, last, and at_least where it is set."""
        return PartitionMapping.to_json(self) | {"first": self.first, "last": self.last}


@dataclass(frozen=True, slots=True)
class AllMapping(PartitionMapping):
    """Every partition of the input; of an open-ended one, those that have ended.

    >>> from headwater.assets.partitions import DailyPartitions
    >>> str(AllMapping().upstream(UNPARTITIONED.all(), DailyPartitions("2013-01-01", "2014-01-01")))
    '2013-01-01..2013-12-31'
    """

    kind: ClassVar[str] = "all"

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

    >>> from headwater.assets.partitions import DailyPartitions
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


def infer_mapping(upstream: PartitionsDefinition | None, downstream: PartitionsDefinition | None) -> PartitionMapping:
    """The mapping between an input and the asset that reads it, where none is given.

    The same key where step and zone agree, else what overlaps in time; the whole of an input without partitions;
    all partitions for an asset without. A DefinitionError when none of these fits.

    >>> from headwater.assets.partitions import DailyPartitions, MonthlyPartitions
    >>> infer_mapping(DailyPartitions("2013-01-01"), MonthlyPartitions("2013-01")).describe()
    'the partitions that overlap in time'
    """
    if upstream is None:
        return _UNPARTITIONED
    source, target = upstream, downstream or UNPARTITIONED
    if isinstance(source, Unpartitioned):
        return _UNPARTITIONED
    if isinstance(target, Unpartitioned):
        return _ALL
    if source.aligned(target):
        return _SAME
    _OVERLAP.check(source, target)
    return _OVERLAP


# Values without state of their own: one of each is enough for all assets.
_UNPARTITIONED, _ALL, _SAME, _OVERLAP = UnpartitionedMapping(), AllMapping(), SameMapping(), OverlapMapping()


def mapping_from_json(value: Mapping[str, Any]) -> PartitionMapping:
    """The mapping that `to_json` wrote; a DefinitionError for anything else.

    >>> mapping_from_json({"type": "window", "first": -6, "last": 0, "at_least": 5})
    WindowMapping(at_least=5, first=-6, last=0)
    """
    at_least = value.get("at_least")
    kind = str(value.get("type"))
    if kind == "window":
        ends: tuple[Any, Any] = (value.get("first"), value.get("last"))
        return WindowMapping(*ends, at_least=at_least)
    simple = {found.kind: found for found in (SameMapping, AllMapping, UnpartitionedMapping, OverlapMapping)}
    if kind not in simple:
        raise DefinitionError(
            f"{shown(kind)} is no type of mapping", hint=f"known: {', '.join(sorted([*simple, 'window']))}"
        )
    return simple[kind](at_least=at_least)


def _signed(offset: int) -> str:
    return f"{offset:+d}" if offset else "0"


def _check_aligned(mapping: PartitionMapping, upstream: PartitionsDefinition, downstream: PartitionsDefinition) -> None:
    if not upstream.aligned(downstream):
        raise DefinitionError(
            f"'{mapping.describe()}' needs the same step and time zone on both sides: the input is "
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
