"""Products: partitions of several dimensions, and sets of them as boxes, never as lists of keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from datetime import date, datetime
from typing import Any

from headwater.assets import boxes
from headwater.assets import intervals as ranges
from headwater.assets.boxes import Shape
from headwater.assets.intervals import Interval, Intervals
from headwater.assets.key_text import split
from headwater.assets.partition import Partition, shown
from headwater.assets.partition_sets import PartitionsDefinition, PartitionSet
from headwater.assets.product_sets import ProductSet, Sides
from headwater.assets.time_partitions import TimePartitions
from headwater.assets.unpartitioned import Unpartitioned
from headwater.errors import DefinitionError, PartitionError
from headwater.records import dataclass


@dataclass(frozen=True, slots=True, init=False, repr=False)
class ProductPartitions(PartitionsDefinition):
    """Every combination of the partitions of two or more dimensions, keyed like region=eu,date=2013-01-01.

    A partition has the window of time of the first dimension that has one; `partition["region"]` is the key of a
    dimension, `partition.dimension("date")` its partition. Raises DefinitionError for what is no dimension.

    >>> from headwater import DailyPartitions, StaticPartitions
    >>> regions, days = StaticPartitions(["eu", "us"]), DailyPartitions("2013-01-01", "2014-01-01")
    >>> sales = ProductPartitions(region=regions, date=days)
    >>> len(sales.all()), str(sales.parse("region=eu,date=2013-12-30.."))
    (730, 'region=eu,date=2013-12-30..2013-12-31')
    """

    dims: tuple[tuple[str, PartitionsDefinition], ...]
    inner: tuple[tuple[str, PartitionsDefinition], ...] = field(compare=False)
    """The dimensions as partitions are numbered: those of time outermost, so that what comes later has a greater number."""
    limits: tuple[Interval, ...] = field(compare=False)

    def __init__(self, **dimensions: PartitionsDefinition) -> None:
        dims = tuple(dimensions.items())
        for name, divided in dims:
            _check_dimension(name, divided)
        if len(dims) < 2:
            hint = 'write ProductPartitions(region=StaticPartitions(["eu", "us"]), date=DailyPartitions("2024-01-01"))'
            raise DefinitionError("ProductPartitions needs two dimensions or more", hint=hint)
        object.__setattr__(self, "dims", dims)
        inner = tuple(sorted(dims, key=lambda one: not isinstance(one[1], TimePartitions)))
        object.__setattr__(self, "inner", inner)
        object.__setattr__(self, "limits", tuple(divided.bounds for _, divided in inner))

    @property
    def open_ended(self) -> bool:
        """Whether new partitions appear as time passes."""
        return any(divided.open_ended for _, divided in self.dims)

    @property
    def bounds(self) -> Interval:
        """From 0 to how many combinations of numbers there are."""
        return 0, boxes.room(self.limits)

    @property
    def existing(self) -> Intervals:
        """The numbers that have a partition now or will have one."""
        return boxes.flat(self.existing_shape, self.limits)

    @property
    def existing_shape(self) -> Shape:
        """The same, as a shape."""
        return boxes.box([divided.existing for _, divided in self.inner])

    @property
    def in_time(self) -> bool:
        """Whether a dimension gives the partitions their windows."""
        return self.time is not None

    @property
    def fixed(self) -> bool:
        """Whether the partitions of every dimension are known from the definition."""
        return all(divided.fixed for _, divided in self.dims)

    @property
    def sample(self) -> str:
        """A key."""
        return self._written({name: divided.sample for name, divided in self.dims})

    @property
    def time(self) -> str | None:
        """The name of the dimension that gives partitions their window: the first one of time."""
        name, divided = self.inner[0]
        return name if isinstance(divided, TimePartitions) else None

    def point(self, ordinal: int) -> tuple[int, ...]:
        """The numbers of a partition in each of the `inner` dimensions."""
        found = []
        for low, high in reversed(self.limits):
            ordinal, place = divmod(ordinal, high - low)
            found.append(low + place)
        return tuple(reversed(found))

    def number(self, point: Sequence[int]) -> int:
        """The number of the partition with these numbers in the `inner` dimensions."""
        found = 0
        for place, (low, high) in zip(point, self.limits, strict=True):
            found = found * (high - low) + place - low
        return found

    def key(self, ordinal: int) -> str:
        """The key of the partition of that number."""
        return self.key_at(self.point(ordinal))

    def key_at(self, point: Sequence[int]) -> str:
        """The key of the partition with these numbers in the `inner` dimensions."""
        keys = {name: divided.key(place) for (name, divided), place in zip(self.inner, point, strict=True)}
        return self._written(keys)

    def ordinal(self, key: str | None) -> int:
        """The number of the partition of that key; a PartitionError when there is none."""
        return self.number(self.point_of(key))

    def point_of(self, key: str | None) -> tuple[int, ...]:
        """The numbers of the partition of that key in the `inner` dimensions; a PartitionError when there is none."""
        found: dict[str, int] = {}
        parts = key.split(",") if isinstance(key, str) else ()
        for part, (name, divided) in zip(parts, self.dims, strict=False):
            before, _, text = part.partition("=")
            own = divided.read(text)
            if before != name or divided.write(own) != text:
                break
            found[name] = self._within(name, divided, own)
        if len(parts) != len(self.dims) or len(found) != len(parts):
            hint = f"write {self._written(self._keys(key))}"
            raise self._error(f"{shown(key)} is not how the key is written", hint=hint)
        return tuple([found[name] for name, _ in self.inner])

    def at(self, ordinal: int) -> Partition:
        """The partition of that number."""
        return self.part_at(self.point(ordinal))

    def part_at(self, point: Sequence[int]) -> Partition:
        """The partition with these numbers in the `inner` dimensions, with the window of its time."""
        key = self.key_at(point)
        if self.time is None:
            return Partition(key=key, definition=self)
        window = self.inner[0][1].at(point[0])
        return Partition(key=key, start=window.start, end=window.end, definition=self)

    def partition(self, value: str | date | datetime | Mapping[str, Any] | Partition | None) -> Partition:
        """The partition of a key, its dimensions in any order, or of a mapping from dimensions to their partitions.

        >>> from headwater import DailyPartitions, StaticPartitions
        >>> sales = ProductPartitions(region=StaticPartitions(["eu", "us"]), date=DailyPartitions("2013-01-01"))
        >>> sales.partition({"date": date(2013, 1, 5), "region": "eu"})
        Partition('region=eu,date=2013-01-05')
        """
        if isinstance(value, Partition):
            return value if value.definition == self else self.at(self.ordinal(value.key))
        if isinstance(value, Mapping):
            self._check_names(value, str(dict(value)))
            parts = {name: divided.partition(value[name]) for name, divided in self.dims}
            return self.at(self.ordinal(self._written({name: part.key for name, part in parts.items()})))
        if not isinstance(value, str):
            raise self._foreign(value)
        keys = self._keys(value)
        return self.part_at(tuple(self._within(name, divided, keys[name]) for name, divided in self.inner))

    def date_of(self, key: str | None) -> date | None:
        """The local date on which the partition of that key starts, if it has one."""
        return None if self.time is None else self.inner[0][1].date_of(self._keys(key)[self.time])

    def dimensions_of(self, partition: Partition) -> Mapping[str, Partition]:
        """The partition of each dimension, in the order of the definition."""
        keys = self._keys(partition.key)
        return {name: divided.partition(keys[name]) for name, divided in self.dims}

    def around(self, partition: Partition, first: int, last: int) -> PartitionSet:
        """The partitions whose time lies from `first` to `last` steps away, the other dimensions being the same."""
        if self.time is None:
            raise self._error(
                f"nothing comes before or after the partition '{partition}'", hint="take it in a dimension of it"
            )
        time, *others = self.point_of(partition.key)
        side = ranges.intersection(((time + first, time + last + 1),), self.inner[0][1].existing)
        return ProductSet(self, boxes.box([side, *(((place, place + 1),) for place in others)]))

    def all(self, as_of: int | None = None) -> PartitionSet:
        """Every partition; where a dimension is open-ended, those that have ended by then (µs; default: now)."""
        return self.of_sides({name: divided.all(as_of) for name, divided in self.dims})

    def ended(self, as_of: int | None = None) -> PartitionSet:
        """The partitions whose times have ended by then (microseconds since the epoch; default: now)."""
        return self.of_sides({name: divided.ended(as_of) for name, divided in self.dims})

    def empty(self) -> PartitionSet:
        """The set of no partitions."""
        return ProductSet(self)

    def clip(self, intervals: Iterable[Interval]) -> PartitionSet:
        """The set of these numbers, without those that lie outside the definition."""
        inside = ranges.intersection(ranges.merged(intervals), (self.bounds,))
        shape = boxes.folded(inside, self.limits)
        return ProductSet(self, boxes.intersection(shape, self.existing_shape, len(self.inner)))

    def set_of(self, keys: Iterable[str | None]) -> PartitionSet:
        """The set of these keys; a PartitionError for one that is unknown."""
        return ProductSet(self, boxes.folded(ranges.of_numbers(map(self.ordinal, keys)), self.limits))

    def of_sides(self, sides: Sides) -> PartitionSet:
        """The box of these partitions of each dimension."""
        return self.of_boxes([sides])

    def of_boxes(self, found: Iterable[Sides]) -> PartitionSet:
        """All that is in any of these boxes."""
        sides = ([one[name].intervals for name, _ in self.inner] for one in found)
        return ProductSet(self, boxes.of_boxes(sides, len(self.inner)))

    def union_of(self, parts: Iterable[PartitionSet]) -> PartitionSet:
        """All that is in any of these sets of this definition."""
        shape: Shape = ()
        for part in parts:
            shape = boxes.union(shape, part.shape, len(self.inner))
        return ProductSet(self, shape)

    def range(self, first: str | date | Partition, last: str | date | Partition) -> PartitionSet:
        """The box from one partition to another one, both included, in every dimension."""
        ends = [self.partition(value).dimensions for value in (first, last)]
        return self.of_sides({name: divided.range(ends[0][name], ends[1][name]) for name, divided in self.dims})

    def parse(self, text: str) -> PartitionSet:
        """The set that a person writes: `region=eu|us,date=2013-01-01..2013-01-31`, several such boxes with `;`.

        A dimension that is left out is meant as a whole; a text without a name is of the dimension of time. Raises
        PartitionError for anything else.
        """
        return self.union_of([self._parse_box(part) for part in split(text, ";")])

    def parse_part(self, text: str) -> PartitionSet:
        """The box that a text stands for."""
        return self._parse_box(text)

    def text_of(self, intervals: Intervals) -> str:
        """These partitions as a person writes them."""
        return self.text_of_shape(boxes.folded(intervals, self.limits))

    def text_of_shape(self, shape: Shape) -> str:
        """The boxes of a shape as a person writes them; `parse` reads them back."""
        return "; ".join(self._box_text(one) for one in self.sides_of(shape))

    def sides_of(self, shape: Shape) -> Iterator[Sides]:
        """The boxes of a shape; no two have a partition in common."""
        for sides in boxes.sides(shape, len(self.inner)):
            found = {name: PartitionSet(divided, side) for (name, divided), side in zip(self.inner, sides, strict=True)}
            yield {name: found[name] for name, _ in self.dims}

    def set_from_json(self, value: Iterable[Any]) -> PartitionSet:
        """The set that its `to_json` wrote."""
        found = ({name: divided.set_from_json(one[name]) for name, divided in self.dims} for one in value)
        return self.of_boxes(found)

    def before_first_gap(self, keys: Iterable[str | None]) -> tuple[str, ...]:
        """The partitions of the last time before the first one of which not all that there are now are among these keys."""
        if self.time is None:
            return ()
        others = boxes.box([divided.all().intervals for _, divided in self.inner[1:]])
        there: dict[int, list[tuple[int, ...]]] = {}
        for key in keys:
            try:
                point = self.point_of(key)
            except PartitionError:
                continue  # it was made under an earlier definition, which had this partition
            # What is made before it ends is not missing before that either.
            if boxes.contains(others, point[1:]):
                there.setdefault(point[0], []).append(point)
        wanted, place = boxes.count(others, len(self.inner) - 1), self.limits[0][0]
        while place in there and len(there[place]) == wanted:
            place += 1
        return tuple(map(self.key_at, there.get(place - 1, ())))

    def describe(self) -> str:
        """The dimensions in a few words."""
        return " by ".join(f"{name} ({divided.describe()})" for name, divided in self.dims)

    def to_json(self) -> dict[str, Any]:
        """Type, and the dimensions by name in their order."""
        return {"type": "product", "dimensions": [[name, divided.to_json()] for name, divided in self.dims]}

    def __repr__(self) -> str:
        return f"ProductPartitions({', '.join(f'{name}={divided!r}' for name, divided in self.dims)})"

    def _example(self) -> str:
        return f"a key like {self.sample}"

    def _written(self, keys: Mapping[str, str | None]) -> str:
        return ",".join(f"{name}={divided.write(keys[name])}" for name, divided in self.dims)

    def _keys(self, text: object) -> dict[str, str]:
        """The keys that a text gives to each dimension, in any order."""
        if not isinstance(text, str):
            raise self._foreign(text)
        found: dict[str, str] = {}
        dims = dict(self.dims)
        for part in text.split(","):
            name, equals, key = part.partition("=")
            if not equals or name not in dims or name in found:
                raise self._error(f"{shown(text)} is not a partition key", hint=f"write {self._example()}")
            found[name] = dims[name].read(key)
        self._check_names(found, text)
        return found

    def _check_names(self, found: Iterable[str], text: str) -> None:
        names = [name for name, _ in self.dims]
        if sorted(found) != sorted(names):
            message = f"{shown(text)} does not name {' and '.join(names)}"
            raise self._error(message, hint=f"write {self._example()}")

    def _within(self, name: str, divided: PartitionsDefinition, key: str) -> int:
        try:
            return divided.ordinal(key)
        except PartitionError as error:
            error.where = f"the dimension '{name}': {error.where}"
            raise

    def _parse_box(self, text: str) -> PartitionSet:
        sides: dict[str, PartitionSet] = {}
        dims = dict(self.dims)
        for part in split(text, ",") if text != "*" else ():
            name, equals, values = part.partition("=")
            if not equals and self.time is not None:
                name, values = self.time, part
            if name not in dims or name in sides or not (values or equals):
                raise self._error(
                    f"{shown(part)} is not NAME=KEYS of a dimension",
                    hint=f"the dimensions are {' and '.join(dims)}; write {self.sample}, with a|b for several keys",
                )
            divided = dims[name]
            sides[name] = divided.union_of([divided.parse_part(one) for one in split(values, "|")])
        return self.of_sides({name: sides[name] if name in sides else divided.all() for name, divided in self.dims})

    def _box_text(self, sides: Sides) -> str:
        parts = [
            f"{name}={str(side).replace(', ', '|')}"
            for name, side in sides.items()
            # What grows is always written out: left out, it would mean more tomorrow.
            if side.definition.open_ended or side.intervals != (side.definition.bounds,)
        ]
        return ",".join(parts) or "*"


def dimensions(definition: PartitionsDefinition) -> Mapping[str, PartitionsDefinition]:
    """The dimensions of a product by their names; anything else is a dimension without a name."""
    return dict(definition.inner) if isinstance(definition, ProductPartitions) else {"": definition}


def boxes_of(partitions: PartitionSet) -> Iterator[Mapping[str, PartitionSet]]:
    """A set as boxes, each with the partitions of every dimension."""
    divided = partitions.definition
    if isinstance(divided, ProductPartitions):
        yield from divided.sides_of(partitions.shape)
    elif partitions:
        yield {"": partitions}


def _check_dimension(name: str, divided: object) -> None:
    if not (name.isidentifier() and name.isascii()):
        raise DefinitionError(f"{shown(name)} can't be the name of a dimension", hint="use a plain word: region, date")
    if not isinstance(divided, PartitionsDefinition) or isinstance(divided, (ProductPartitions, Unpartitioned)):
        raise DefinitionError(
            f"the dimension '{name}' can't be {shown(divided)}",
            where="ProductPartitions",
            hint="give it partitions by time or by key; a product of products is one product of all their dimensions",
        )
