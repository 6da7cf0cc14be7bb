"""One partition: its key, its window, and what lies around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import date, datetime
from typing import TYPE_CHECKING, TypeAlias

from headwater import clock
from headwater.errors import PartitionError
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.assets.partition_sets import PartitionsDefinition, PartitionSet

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
    def next(self) -> Partition | None:
        """The partition after this one, None for the last one; of a product, the one of the next time.

        >>> from headwater import DailyPartitions
        >>> DailyPartitions("2013-01-01", "2013-01-03").partition("2013-01-01").next
        Partition('2013-01-02')
        """
        return self._divided().neighbour(self, 1)

    @property
    def previous(self) -> Partition | None:
        """The partition before this one, None for the first one; of a product, the one of the time before."""
        return self._divided().neighbour(self, -1)

    def window(self, first: int, last: int) -> PartitionSet:
        """The partitions from `first` to `last` steps away, both included, as far as there are any.

        >>> from headwater import DailyPartitions
        >>> str(DailyPartitions("2013-01-01").partition("2013-01-03").window(-6, 0))
        '2013-01-01..2013-01-03'
        """
        return self._divided().around(self, first, last)

    @property
    def dimensions(self) -> Mapping[str, Partition]:
        """The partition of each dimension, by the dimension's name; a PartitionError when it is not of a product."""
        return self._divided().dimensions_of(self)

    def dimension(self, name: str) -> Partition:
        """The partition of one dimension of a product. Raises PartitionError for a dimension that there isn't.

        >>> from headwater import DailyPartitions, ProductPartitions, StaticPartitions
        >>> sales = ProductPartitions(date=DailyPartitions("2013-01-01"), region=StaticPartitions(["eu", "us"]))
        >>> part = sales.partition("region=eu,date=2013-01-05")
        >>> part.dimension("date").start.isoformat(), part["region"]
        ('2013-01-05T00:00:00+00:00', 'eu')
        """
        found = self.dimensions
        if name not in found:
            raise PartitionError(
                f"the partition '{self}' has no dimension {shown(name)}", hint=f"it has {', '.join(found)}"
            )
        return found[name]

    def __getitem__(self, name: str) -> str:
        """The key of one dimension of a product."""
        return str(self.dimension(name).key)

    def _divided(self) -> PartitionsDefinition:
        if self.definition is None:
            raise PartitionError(
                f"the partition '{self}' belongs to no definition", hint="take it from one: definition.partition(key)"
            )
        return self.definition

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


def shown(value: object) -> str:
    """A value as an error shows it: escaped and cut, for it may be hostile."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:40]}… ({len(str(value))} characters)"
