"""Sets of partitions of a product, as boxes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from headwater.assets import boxes
from headwater.assets.boxes import Shape
from headwater.assets.intervals import Interval, Intervals
from headwater.assets.partition import Partition
from headwater.assets.partition_sets import PartitionSet
from headwater.errors import PartitionError

if TYPE_CHECKING:
    from headwater.assets.product_partitions import ProductPartitions

Sides: TypeAlias = Mapping[str, PartitionSet]
"""A box: the partitions of each dimension, by its name."""


class ProductSet(PartitionSet):
    """A set of partitions of a product, kept as boxes: ten years of hours of a thousand regions cost what a day costs.

    >>> from headwater import HourlyPartitions, ProductPartitions, StaticPartitions
    >>> hours, regions = HourlyPartitions("2013-01-01", "2023-01-01"), StaticPartitions(f"r{n}" for n in range(1000))
    >>> found = ProductPartitions(hour=hours, region=regions).parse("region=r1..r500")
    >>> len(found), "hour=2020-02-29T05,region=r77" in found, str(found)
    (43824000, True, 'region=r1..r500')
    """

    __slots__ = ("_flat", "shape")
    definition: ProductPartitions
    shape: Shape

    def __init__(self, definition: ProductPartitions, shape: Shape = ()) -> None:
        object.__setattr__(self, "definition", definition)
        object.__setattr__(self, "shape", shape)

    @property
    def intervals(self) -> Intervals:
        """The numbers of the partitions: many intervals, unless the inner dimensions are there as a whole."""
        return boxes.flat(self.shape, self.definition.limits)

    @property
    def boxes(self) -> Iterator[Sides]:
        """The set as boxes, of which no two have a partition in common."""
        return self.definition.sides_of(self.shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProductSet) and (self.shape, self.definition) == (other.shape, other.definition)

    def __hash__(self) -> int:
        return hash((self.definition, self.shape))

    def __len__(self) -> int:
        return boxes.count(self.shape, self._depth)

    def __bool__(self) -> bool:
        return bool(self.shape)

    def __iter__(self) -> Iterator[Partition]:
        return map(self.definition.part_at, boxes.points(self.shape, self._depth))

    def __contains__(self, item: object) -> bool:
        if isinstance(item, Partition):
            if item.definition not in (None, self.definition):
                return False
            item = item.key
        if not isinstance(item, str):
            return False
        try:
            return boxes.contains(self.shape, self.definition.point_of(item))
        except PartitionError:
            return False

    def __or__(self, other: PartitionSet) -> PartitionSet:
        return ProductSet(self.definition, boxes.union(self.shape, self._same(other), self._depth))

    def __and__(self, other: PartitionSet) -> PartitionSet:
        return ProductSet(self.definition, boxes.intersection(self.shape, self._same(other), self._depth))

    def __sub__(self, other: PartitionSet) -> PartitionSet:
        return ProductSet(self.definition, boxes.difference(self.shape, self._same(other), self._depth))

    def keys(self) -> Iterator[str | None]:
        """The keys in order, one at a time."""
        return map(self.definition.key_at, boxes.points(self.shape, self._depth))

    def stretches(self, most: int) -> PartitionSet:
        """The set without what comes after its first so many boxes."""
        return self.definition.of_boxes(side for side, _ in zip(self.boxes, range(most), strict=False))

    def to_json(self) -> list[Any]:
        """The boxes, each as the partitions of its dimensions; `set_from_json` reads it back."""
        return [{name: side.to_json() for name, side in sides.items()} for sides in self.boxes]

    def __str__(self) -> str:
        return self.definition.text_of_shape(self.shape)

    @property
    def _depth(self) -> int:
        return len(self.definition.inner)

    def _ends(self) -> Interval:
        if not self.shape:
            raise PartitionError("the set of partitions is empty", where=self.definition.describe())
        first, last = (boxes.end(self.shape, self._depth, place) for place in (0, -1))
        return self.definition.number(first), self.definition.number(last)

    def _same(self, other: PartitionSet) -> Shape:
        self._check_alike(other)
        return other.shape
