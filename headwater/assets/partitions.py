"""How an asset is divided: every kind of partitions, and their form as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headwater.assets.calendar_partitions import DailyPartitions, HourlyPartitions, MonthlyPartitions, WeeklyPartitions
from headwater.assets.cron_partitions import CronPartitions
from headwater.assets.key_partitions import DynamicPartitions, KeyPartitions, StaticPartitions
from headwater.assets.partition import Partition, shown
from headwater.assets.partition_sets import PartitionsDefinition, PartitionSet
from headwater.assets.product_partitions import ProductPartitions, boxes_of, dimensions
from headwater.assets.product_sets import ProductSet
from headwater.assets.time_partitions import TimePartitions
from headwater.assets.unpartitioned import UNPARTITIONED, Unpartitioned
from headwater.errors import DefinitionError

if TYPE_CHECKING:
    from headwater.assets.definitions import AssetDefinition

__all__ = [
    "UNPARTITIONED",
    "CronPartitions",
    "DailyPartitions",
    "DynamicPartitions",
    "HourlyPartitions",
    "KeyPartitions",
    "MonthlyPartitions",
    "Partition",
    "PartitionSet",
    "PartitionsDefinition",
    "ProductPartitions",
    "ProductSet",
    "StaticPartitions",
    "TimePartitions",
    "Unpartitioned",
    "WeeklyPartitions",
    "boxes_of",
    "dimensions",
    "partitioning",
    "partitions_from_json",
    "shown",
]

_STEPS: Mapping[str, type[TimePartitions]] = {
    kind.step: kind for kind in (CronPartitions, DailyPartitions, HourlyPartitions, WeeklyPartitions, MonthlyPartitions)
}


def partitions_from_json(value: Mapping[str, Any] | None) -> PartitionsDefinition:
    """The definition that `to_json` wrote; None is UNPARTITIONED. A DefinitionError for anything else.

    >>> partitions_from_json({"type": "daily", "start": "2013-01-01", "end": None, "timezone": "UTC"})
    DailyPartitions('2013-01-01', timezone='UTC')
    """
    if value is None or value.get("type") == "unpartitioned":
        return UNPARTITIONED
    kind = str(value.get("type"))
    if kind in _STEPS:
        return _STEPS[kind].from_json(value)
    if kind == "static":
        return StaticPartitions(value.get("keys", ()))
    if kind == "dynamic":
        return DynamicPartitions(value.get("name", ""))
    if kind == "product":
        return ProductPartitions(**{name: partitions_from_json(one) for name, one in value.get("dimensions", ())})
    known = sorted([*_STEPS, "static", "dynamic", "product"])
    raise DefinitionError(f"{shown(value.get('type'))} is no type of partitions", hint=f"known: {', '.join(known)}")


def partitioning(definition: AssetDefinition) -> PartitionsDefinition:
    """The partitions of an asset; UNPARTITIONED when it has none."""
    return UNPARTITIONED if definition.partitions is None else definition.partitions
