"""Mappings of products, a dimension at a time."""

from __future__ import annotations

from typing import Any, ClassVar, TypeAlias

from headwater.assets.mapping_base import Needs, PartitionMapping
from headwater.assets.mapping_kinds import SameMapping
from headwater.assets.partitions import (
    UNPARTITIONED,
    PartitionsDefinition,
    PartitionSet,
    ProductPartitions,
    boxes_of,
    dimensions,
)
from headwater.errors import DefinitionError
from headwater.records import dataclass

Link: TypeAlias = tuple[str, str | None, PartitionMapping]
"""A dimension of the input, the dimension of the asset that it follows (None: none), and how. `""` is what has only one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ByDimension:
    """What somebody said of some dimensions of an input, before the asset that reads it is known."""

    given: tuple[tuple[str, PartitionMapping], ...]
    needs: Needs | None = None


@dataclass(frozen=True, slots=True)
class DimensionMapping(PartitionMapping):
    """Each dimension of the input by a mapping of its own from one dimension of the asset, or from none.

    >>> from headwater import DailyPartitions, StaticPartitions
    >>> from headwater.assets.mappings import infer_mapping
    >>> days, regions = DailyPartitions("2013-01-01", "2014-01-01"), StaticPartitions(["eu", "us"])
    >>> sales = ProductPartitions(region=regions, date=days)
    >>> totals = infer_mapping(sales, days)
    >>> totals.describe()
    'date: the same partition; region: all partitions'
    >>> str(totals.upstream(days.parse("2013-01-05"), sales)), str(totals.downstream(sales.parse("region=eu"), days))
    ('date=2013-01-05', '2013-01-01..2013-12-31')
    """

    kind: ClassVar[str] = "dimensions"

    links: tuple[Link, ...]

    def upstream(
        self, downstream: PartitionSet, upstream: PartitionsDefinition, *, as_of: int | None = None
    ) -> PartitionSet:
        """The combinations of what each dimension reads."""
        dims = dimensions(upstream)
        found = []
        for sides in boxes_of(downstream):
            one = {}
            for above, below, mapping in self.links:
                given = UNPARTITIONED.all() if below is None else sides[below]
                one[above] = mapping.upstream(given, dims[above], as_of=as_of)
            found.append(one)
        return _of_boxes(upstream, found)

    def downstream(
        self, upstream: PartitionSet, downstream: PartitionsDefinition, *, as_of: int | None = None
    ) -> PartitionSet:
        """The partitions that read one of these; dimensions that no link names are taken as a whole."""
        whole = {name: divided.all(as_of) for name, divided in dimensions(downstream).items()}
        found = []
        for sides in boxes_of(upstream):
            one, met = dict(whole), True
            for above, below, mapping in self.links:
                divided = UNPARTITIONED if below is None else whole[below].definition
                readers = mapping.downstream(sides[above], divided, as_of=as_of)
                met = met and bool(readers)
                if below is not None:
                    one[below] = readers
            if met:
                found.append(one)
        return _of_boxes(downstream, found)

    def check(self, upstream: PartitionsDefinition, downstream: PartitionsDefinition) -> None:
        """Each dimension of the input must have its link, and each link must fit what it stands between."""
        ups, downs = dimensions(upstream), dimensions(downstream)
        if sorted(ups) != sorted(above for above, _, _ in self.links):
            message = f"the mapping by dimension does not fit an input that is {upstream.describe()}"
            raise DefinitionError(message, hint=f"name its dimensions: {', '.join(ups)}")
        used = [below for _, below, _ in self.links if below is not None]
        if len(set(used)) < len(used) or not set(used) <= set(downs):
            message = f"the mapping by dimension does not fit an asset that is {downstream.describe()}"
            raise DefinitionError(message, hint="each of its dimensions may be followed once")
        for above, below, mapping in self.links:
            mapping.check(ups[above], UNPARTITIONED if below is None else downs[below])

    @property
    def only_past(self) -> bool:
        """Whether the outermost dimension that is not the same lies in the past."""
        for above, below, mapping in self.links:
            if above != below or not isinstance(mapping, SameMapping):
                return above == below and mapping.only_past
        return False

    @property
    def not_later(self) -> bool:
        """Whether it lies in the past, or no dimension goes beyond the partition that is made."""
        return self.only_past or all(above == below and mapping.not_later for above, below, mapping in self.links)

    def describe(self) -> str:
        """Each dimension in a few words."""
        parts = (_words(above, below, mapping) for above, below, mapping in self.links)
        return "; ".join(parts) + self._enough()

    def to_json(self) -> dict[str, Any]:
        """Type, the links, and needs where it is set."""
        links = [[above, below, mapping.to_json()] for above, below, mapping in self.links]
        return PartitionMapping.to_json(self) | {"links": links}


def _of_boxes(definition: PartitionsDefinition, found: list[dict[str, PartitionSet]]) -> PartitionSet:
    if isinstance(definition, ProductPartitions):
        return definition.of_boxes(found)
    return definition.union_of(one[""] for one in found)


def _words(above: str, below: str | None, mapping: PartitionMapping) -> str:
    name = above or below or ""
    other = f" (of {below})" if above and below and below != above else ""
    return f"{name}{other}: {mapping.describe()}" if name else mapping.describe()
