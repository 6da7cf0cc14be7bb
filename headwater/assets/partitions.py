"""How an asset is divided: every kind of partitions, and their form as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headwater.assets.partition_sets import (
    UNPARTITIONED,
    Partition,
    PartitionsDefinition,
    PartitionSet,
    Unpartitioned,
    shown,
)
from headwater.assets.time_partitions import (
    DailyPartitions,
    HourlyPartitions,
    MonthlyPartitions,
    TimePartitions,
    WeeklyPartitions,
)
from headwater.errors import DefinitionError

if TYPE_CHECKING:
    from headwater.assets.definitions import AssetDefinition

__all__ = [
    "UNPARTITIONED",
    "DailyPartitions",
    "HourlyPartitions",
    "MonthlyPartitions",
    "Partition",
    "PartitionSet",
    "PartitionsDefinition",
    "TimePartitions",
    "Unpartitioned",
    "WeeklyPartitions",
    "partitioning",
    "partitions_from_json",
    "shown",
]

_STEPS: Mapping[str, type[TimePartitions]] = {
    kind.step: kind for kind in (DailyPartitions, HourlyPartitions, WeeklyPartitions, MonthlyPartitions)
}


def partitions_from_json(value: Mapping[str, Any] | None) -> PartitionsDefinition:
    """The definition that `to_json` wrote; None is UNPARTITIONED. A DefinitionError for anything else.

    >>> partitions_from_json({"type": "daily", "start": "2013-01-01", "end": None, "timezone": "UTC"})
    DailyPartitions('2013-01-01', timezone='UTC')
    """
    if value is None or value.get("type") == "unpartitioned":
        return UNPARTITIONED
    kind = _STEPS.get(str(value.get("type")))
    if kind is None:
        raise DefinitionError(
            f"{shown(value.get('type'))} is no type of partitions", hint=f"known: {', '.join(sorted(_STEPS))}"
        )
    return kind(value.get("start", ""), value.get("end"), timezone=value.get("timezone", "UTC"))


def partitioning(definition: AssetDefinition) -> PartitionsDefinition:
    """The partitions of an asset; UNPARTITIONED when it has none."""
    return UNPARTITIONED if definition.partitions is None else definition.partitions
