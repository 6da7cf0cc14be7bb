"""Mappings that choose partitions of an input without looking at the one that is made: the last ones, or certain ones."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from headwater.assets.intervals import Intervals
from headwater.assets.mapping_base import Needs, PartitionMapping
from headwater.assets.partitions import (
    KeyPartitions,
    PartitionsDefinition,
    PartitionSet,
    ProductPartitions,
    Unpartitioned,
    shown,
)
from headwater.errors import DefinitionError, PartitionError
from headwater.records import dataclass


@dataclass(frozen=True, slots=True)
class ChosenMapping(PartitionMapping):
    """The same partitions of the input for every partition of the asset."""

    @abstractmethod
    def chosen(self, upstream: PartitionsDefinition, as_of: int | None) -> PartitionSet:
        """The partitions of the input that are read."""

    def upstream(
        self, downstream: PartitionSet, upstream: PartitionsDefinition, *, as_of: int | None = None
    ) -> PartitionSet:
        """The chosen partitions, if there is anything downstream at all."""
        return self.chosen(upstream, as_of) if downstream else upstream.empty()

    def downstream(
        self, upstream: PartitionSet, downstream: PartitionsDefinition, *, as_of: int | None = None
    ) -> PartitionSet:
        """All partitions of the asset, if one of the chosen ones is given."""
        return downstream.all(as_of) if upstream & self.chosen(upstream.definition, as_of) else downstream.empty()


@dataclass(frozen=True, slots=True)
class LastMapping(ChosenMapping):
    """The last partitions of the input: by time those that have ended, of a list those that stand last.

    >>> from headwater import DailyPartitions
    >>> from headwater.assets.partitions import UNPARTITIONED
    >>> str(LastMapping(2).upstream(UNPARTITIONED.all(), DailyPartitions("2013-01-01", "2014-01-01")))
    '2013-12-30..2013-12-31'
    """

    kind: ClassVar[str] = "last"
    fewest: ClassVar[int] = 1

    count: int = 1

    def __post_init__(self) -> None:
        PartitionMapping.__post_init__(self)
        if type(self.count) is not int or self.count < 1:
            raise DefinitionError(f"the last {self.count!r} partitions are none", hint="give 1 or more")

    def chosen(self, upstream: PartitionsDefinition, as_of: int | None) -> PartitionSet:
        """The last partitions that have ended."""
        every = upstream.ended(as_of)
        found: Intervals = ()
        left = self.count
        for low, high in reversed(every.intervals):
            found = ((max(low, high - left), high), *found)
            left -= high - low
            if left <= 0:
                break
        return upstream.clip(found)

    def check(self, upstream: PartitionsDefinition, downstream: PartitionsDefinition) -> None:
        """The input must have partitions in one order."""
        if isinstance(upstream, (ProductPartitions, Unpartitioned)):
            raise DefinitionError(
                f"the last partition of an input that is {upstream.describe()} means nothing",
                hint="name a dimension of it, .by(date=asset.last()), or leave .last() out",
            )

    def describe(self) -> str:
        """The number in words."""
        return f"the last {f'{self.count} partitions' if self.count > 1 else 'partition'}{self._enough()}"

    def to_json(self) -> dict[str, Any]:
        """Type, count, and needs where it is set."""
        return PartitionMapping.to_json(self) | {"count": self.count}


@dataclass(frozen=True, slots=True)
class SpecificMapping(ChosenMapping):
    """Certain partitions of the input, by their keys.

    >>> from headwater import StaticPartitions
    >>> from headwater.assets.partitions import UNPARTITIONED
    >>> str(SpecificMapping(("eu",)).upstream(UNPARTITIONED.all(), StaticPartitions(["eu", "us"])))
    'eu'
    """

    kind: ClassVar[str] = "specific"

    keys: tuple[str, ...]

    def __post_init__(self) -> None:
        PartitionMapping.__post_init__(self)
        if not isinstance(self.keys, tuple) or not self.keys or not all(isinstance(key, str) for key in self.keys):
            raise DefinitionError(f"{shown(self.keys)} are no partition keys", hint='give keys: .only("eu", "us")')

    def chosen(self, upstream: PartitionsDefinition, as_of: int | None) -> PartitionSet:
        """These partitions, as far as there are any."""
        return upstream.union_of(upstream.set_of([key]) for key in self.keys if upstream.has(key))

    def check(self, upstream: PartitionsDefinition, downstream: PartitionsDefinition) -> None:
        """The input must have these partitions, unless its list changes at run time."""
        if upstream.fixed:
            for key in self.keys:
                try:
                    upstream.ordinal(key)
                except PartitionError as error:
                    raise DefinitionError(error.message, where=error.where, hint=error.hint) from None

    def describe(self) -> str:
        """The keys."""
        more = f" and {len(self.keys) - 3} more" if len(self.keys) > 3 else ""
        return f"always {', '.join(map(shown, self.keys[:3]))}{more}{self._enough()}"

    def to_json(self) -> dict[str, Any]:
        """Type, keys, and needs where it is set."""
        return PartitionMapping.to_json(self) | {"keys": list(self.keys)}


@dataclass(frozen=True, slots=True)
class TableMapping(PartitionMapping):
    """Partitions by a table: for a key of the asset, the keys of the input that it reads. A key that is not in it reads none.

    >>> from headwater import StaticPartitions
    >>> shops, regions = StaticPartitions(["kiel", "nice"]), StaticPartitions(["north", "south"])
    >>> str(TableMapping.of({"kiel": "north", "nice": "south"}).upstream(shops.parse("nice"), regions))
    'south'
    """

    kind: ClassVar[str] = "table"

    pairs: tuple[tuple[str, tuple[str, ...]], ...]

    @classmethod
    def of(cls, table: Mapping[str, str | Iterable[str]], needs: Needs | None = None) -> TableMapping:
        """The mapping of a table; a DefinitionError for what is none."""
        if not isinstance(table, Mapping) or not table:
            raise DefinitionError(f"{shown(table)} is no table of keys", hint='write {"kiel": "north"}')
        pairs = tuple((key, (read,) if isinstance(read, str) else tuple(read)) for key, read in table.items())
        if not all(isinstance(key, str) for below, above in pairs for key in (below, *above)):
            raise DefinitionError(f"{shown(table)} is no table of keys", hint="keys are texts")
        return cls(pairs, needs=needs)

    def upstream(
        self, downstream: PartitionSet, upstream: PartitionsDefinition, *, as_of: int | None = None
    ) -> PartitionSet:
        """What the table says of these partitions, as far as the input has it."""
        found = {key for below, above in self.pairs if below in downstream for key in above}
        return upstream.set_of(key for key in found if upstream.has(key))

    def downstream(
        self, upstream: PartitionSet, downstream: PartitionsDefinition, *, as_of: int | None = None
    ) -> PartitionSet:
        """The partitions whose row in the table has one of these."""
        rows = (below for below, above in self.pairs if any(key in upstream for key in above))
        return downstream.set_of(key for key in rows if downstream.has(key))

    def check(self, upstream: PartitionsDefinition, downstream: PartitionsDefinition) -> None:
        """Both sides must have keys without windows, and the keys of the table where their lists are fixed."""
        for definition, side, keys in (
            (upstream, "input", [key for _, above in self.pairs for key in above]),
            (downstream, "asset", [below for below, _ in self.pairs]),
        ):
            if not isinstance(definition, KeyPartitions):
                message = f"a table of keys needs partitions by key: the {side} is {definition.describe()}"
                raise DefinitionError(message, hint="use a window or .all() for partitions by time")
            unknown = [key for key in keys if definition.fixed and not definition.has(key)]
            if unknown:
                message = f"the table names {shown(unknown[0])}, which is no partition of the {side}"
                raise DefinitionError(message, hint=f"it is {definition.describe()}")

    def describe(self) -> str:
        """How much the table says."""
        return f"by a table of {len(self.pairs)} keys{self._enough()}"

    def to_json(self) -> dict[str, Any]:
        """Type, the table, and needs where it is set."""
        return PartitionMapping.to_json(self) | {"table": {below: list(above) for below, above in self.pairs}}
