"""Which mapping stands between an input and the asset that reads it: the inferred one, or what was said, made to fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from headwater.assets.chosen_mappings import ChosenMapping, LastMapping
from headwater.assets.dimension_mappings import ByDimension, DimensionMapping, Link
from headwater.assets.mapping_base import Needs, PartitionMapping
from headwater.assets.mapping_kinds import AllMapping, OverlapMapping, SameMapping, UnpartitionedMapping, WindowMapping
from headwater.assets.partitions import (
    UNPARTITIONED,
    PartitionsDefinition,
    ProductPartitions,
    StaticPartitions,
    TimePartitions,
    Unpartitioned,
    dimensions,
)
from headwater.errors import DefinitionError

# Values without state of their own: one of each is enough for all assets.
_UNPARTITIONED, _ALL, _SAME, _OVERLAP = UnpartitionedMapping(), AllMapping(), SameMapping(), OverlapMapping()


def infer_mapping(upstream: PartitionsDefinition | None, downstream: PartitionsDefinition | None) -> PartitionMapping:
    """The mapping between an input and the asset that reads it, where none is given.

    The same key where both are divided alike (or the asset's list of keys is part of the input's), else what overlaps in
    time; the whole of an input without partitions; all partitions for an asset without. Between products these are
    found for each dimension of the input: by its name, else the only dimension of the asset that fits, else all of it.
    A DefinitionError when none of these fits.

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
    if isinstance(source, ProductPartitions) or isinstance(target, ProductPartitions):
        return _by_dimension(source, target, {}, None)
    if isinstance(source, TimePartitions) and isinstance(target, TimePartitions):
        return _OVERLAP
    if isinstance(source, StaticPartitions) and isinstance(target, StaticPartitions) and target.within(source):
        return _SAME
    raise DefinitionError(
        f"nothing says which partitions of the input ({source.describe()}) a partition of the asset "
        f"({target.describe()}) reads",
        hint='say it: asset.all(), asset.last(), asset.only("KEY"), asset.same() or asset.table({"KEY": "INPUT KEY"})',
    )


def mapping_of(
    mapping: PartitionMapping | ByDimension | None,
    upstream: PartitionsDefinition | None,
    downstream: PartitionsDefinition | None,
) -> PartitionMapping:
    """What was said of an input (None: nothing) as a mapping that stands between these two; a DefinitionError when it can't.

    A window, the last partitions, or what overlaps are meant of the dimension of time, where one side is a product.
    """
    if mapping is None:
        return infer_mapping(upstream, downstream)
    upstream, downstream = upstream or UNPARTITIONED, downstream or UNPARTITIONED
    if isinstance(mapping, ByDimension):
        return _by_dimension(upstream, downstream, dict(mapping.given), mapping.needs)
    time = _time_meant(mapping, upstream, downstream)
    if time is not None:
        return _by_dimension(upstream, downstream, {time: replace(mapping, needs=None)}, mapping.needs)
    mapping.check(upstream, downstream)
    return mapping


def _time_meant(
    mapping: PartitionMapping, upstream: PartitionsDefinition, downstream: PartitionsDefinition
) -> str | None:
    """The dimension of time of a product that a mapping between times is meant for."""
    if not isinstance(mapping, (WindowMapping, OverlapMapping, LastMapping)):
        return None
    if isinstance(upstream, ProductPartitions):
        return upstream.time
    follows = isinstance(upstream, TimePartitions) and not isinstance(mapping, LastMapping)
    return downstream.time if follows and isinstance(downstream, ProductPartitions) else None


def _by_dimension(
    upstream: PartitionsDefinition,
    downstream: PartitionsDefinition,
    given: Mapping[str, PartitionMapping],
    needs: Needs | None,
) -> DimensionMapping:
    found = DimensionMapping(tuple(_Matching(upstream, downstream, given).links()), needs=needs)
    found.check(upstream, downstream)
    return found


class _Matching:
    """The search for the dimension of the asset that each dimension of the input follows."""

    def __init__(
        self, upstream: PartitionsDefinition, downstream: PartitionsDefinition, given: Mapping[str, PartitionMapping]
    ) -> None:
        self._sides = upstream, downstream
        self._ups, self._left = dimensions(upstream), dict(dimensions(downstream))
        self._given = dict(given)
        if "" in self._ups and given:
            self._name_the_only()
        unknown = [name for name in self._given if name not in self._ups]
        if unknown:
            known = ", ".join(name for name in self._ups if name) or "none"
            raise self._error(f"the input has no dimension '{unknown[0]}'", hint=f"it has: {known}")

    def links(self) -> list[Link]:
        """One link for each dimension of the input."""
        found: dict[str, Link] = {}
        # What was said comes first, then equal names, then what is divided alike, then whatever fits.
        steps = (self._said, self._named, self._alike, self._fitting)
        for step in steps:
            for name, divided in self._ups.items():
                if name not in found and (link := step(name, divided)) is not None:
                    found[name] = link
                    if link[1] is not None:
                        self._left.pop(link[1], None)
        if not self._given and not any(below is not None for _, below, _ in found.values()):
            raise self._error(
                "no dimension of one fits one of the other", hint="say how: asset.all() or asset.by(DIMENSION=…)"
            )
        return [found.get(name, (name, None, _ALL)) for name in self._ups]

    def _name_the_only(self) -> None:
        """The input has one dimension without a name: what was said is named by the asset's dimension that it follows."""
        (name, mapping), *more = self._given.items()
        if more or name not in self._left:
            known = ", ".join(name for name in self._left if name) or "none"
            raise self._error(
                f"the asset has no dimension '{name}' that the input could follow", hint=f"it has: {known}"
            )
        self._left = {name: self._left[name]}
        self._given = {"": mapping}

    def _said(self, name: str, divided: PartitionsDefinition) -> Link | None:
        mapping = self._given.get(name)
        if mapping is None:
            return None
        if isinstance(mapping, (AllMapping, ChosenMapping)):
            return name, None, mapping
        if name in self._left:
            mapping.check(divided, self._left[name])
            return name, name, mapping
        fits = [below for below, other in self._left.items() if _fits(mapping, divided, other)]
        if len(fits) != 1:
            which = f"any of {', '.join(fits)}" if fits else "none"
            message = f"'{mapping.describe()}' of the dimension '{name}' could follow {which} of the asset's dimensions"
            raise self._error(message, hint="give both dimensions the same name, or read .all() of it")
        return name, fits[0], mapping

    def _named(self, name: str, divided: PartitionsDefinition) -> Link | None:
        if not name or name not in self._left:
            return None
        try:
            return name, name, infer_mapping(divided, self._left[name])
        except DefinitionError as error:
            message = f"the dimension '{name}': {error.message}"
            raise DefinitionError(message, hint=f"say it: asset.by({name}=asset.all()), or any other way") from error

    def _alike(self, name: str, divided: PartitionsDefinition) -> Link | None:
        return self._only(name, [below for below, other in self._left.items() if divided.aligned(other)], divided)

    def _fitting(self, name: str, divided: PartitionsDefinition) -> Link | None:
        fits = [below for below, other in self._left.items() if _inferable(divided, other)]
        return self._only(name, fits, divided)

    def _only(self, name: str, fits: list[str], divided: PartitionsDefinition) -> Link | None:
        if len(fits) > 1:
            message = f"{f'the dimension {name!r}' if name else 'the input'} could follow {' or '.join(fits)}"
            raise self._error(message, hint="give both dimensions the same name, or say which: asset.by(DIMENSION=…)")
        if not fits:
            return None
        return name, fits[0], infer_mapping(divided, self._left[fits[0]])

    def _error(self, message: str, *, hint: str) -> DefinitionError:
        source, target = (side.describe() for side in self._sides)
        return DefinitionError(f"{message}: the input is {source}; the asset is {target}", hint=hint)


def _fits(mapping: PartitionMapping, upstream: PartitionsDefinition, downstream: PartitionsDefinition) -> bool:
    try:
        mapping.check(upstream, downstream)
    except DefinitionError:
        return False
    return True


def _inferable(upstream: PartitionsDefinition, downstream: PartitionsDefinition) -> bool:
    if isinstance(downstream, Unpartitioned):
        return False
    try:
        infer_mapping(upstream, downstream)
    except DefinitionError:
        return False
    return True
