"""Mappings: which partitions of an input a partition of an asset reads, and the other way round; every kind, and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headwater.assets.chosen_mappings import LastMapping, SpecificMapping, TableMapping
from headwater.assets.dimension_mappings import ByDimension, DimensionMapping
from headwater.assets.mapping_base import Needs, PartitionMapping
from headwater.assets.mapping_inference import infer_mapping, mapping_of
from headwater.assets.mapping_kinds import AllMapping, OverlapMapping, SameMapping, UnpartitionedMapping, WindowMapping
from headwater.assets.partitions import shown
from headwater.errors import DefinitionError

__all__ = [
    "AllMapping",
    "ByDimension",
    "DimensionMapping",
    "LastMapping",
    "Needs",
    "OverlapMapping",
    "PartitionMapping",
    "SameMapping",
    "SpecificMapping",
    "TableMapping",
    "UnpartitionedMapping",
    "WindowMapping",
    "infer_mapping",
    "mapping_from_json",
    "mapping_of",
]


def mapping_from_json(value: Mapping[str, Any]) -> PartitionMapping:
    """The mapping that `to_json` wrote; a DefinitionError for anything else.

    >>> mapping_from_json({"type": "window", "first": -6, "last": 0, "needs": 5})
    WindowMapping(needs=5, first=-6, last=0)
    """
    kind, needs = str(value.get("type")), value.get("needs", value.get("at_least"))
    simple = {found.kind: found for found in (SameMapping, AllMapping, UnpartitionedMapping, OverlapMapping)}
    if kind in simple:
        return simple[kind](needs=needs)
    if kind == "window":
        ends: tuple[Any, Any] = (value.get("first"), value.get("last"))
        return WindowMapping(*ends, needs=needs)
    if kind == "last":
        return LastMapping(value.get("count", 1), needs=needs)
    if kind == "specific":
        return SpecificMapping(tuple(value.get("keys", ())), needs=needs)
    if kind == "table":
        return TableMapping.of(value.get("table", {}), needs=needs)
    if kind == "dimensions":
        links = ((above, below, mapping_from_json(one)) for above, below, one in value.get("links", ()))
        return DimensionMapping(tuple(links), needs=needs)
    known = sorted([*simple, "window", "last", "specific", "table", "dimensions"])
    raise DefinitionError(f"{shown(kind)} is no type of mapping", hint=f"known: {', '.join(known)}")
