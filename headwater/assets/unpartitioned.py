"""An asset that is not divided, as a definition of one partition."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from headwater.assets.intervals import Interval
from headwater.assets.partition import Partition, shown
from headwater.assets.partition_sets import PartitionsDefinition, PartitionSet
from headwater.records import dataclass


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

    def partition(self, value: str | date | datetime | Mapping[str, Any] | Partition | None) -> Partition:
        """The only partition, for None or itself."""
        if isinstance(value, date):
            value = value.isoformat()
        if isinstance(value, Mapping):
            raise self._foreign(value)
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

    def write(self, key: str | None) -> str:
        """The word for it."""
        return "unpartitioned"

    def _example(self) -> str:
        return "no partition"


UNPARTITIONED = Unpartitioned()
