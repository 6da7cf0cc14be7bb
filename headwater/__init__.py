"""Headwater: asset- and lineage-centric orchestration of ordinary functions.

The names below are loaded when they are first used: importing Headwater loads none of the libraries that it builds on.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from headwater.core import runtime as _runtime

if TYPE_CHECKING:
    from headwater.assets.asset import Asset
    from headwater.assets.checks import check
    from headwater.assets.freshness import Freshness
    from headwater.assets.materialize import materialize
    from headwater.assets.observing import derived_from, materializing, observe, record
    from headwater.assets.partitions import (
        DailyPartitions,
        HourlyPartitions,
        MonthlyPartitions,
        Partition,
        WeeklyPartitions,
    )
    from headwater.assets.sql import sql
    from headwater.core.flow import flow
    from headwater.core.futures import TaskFuture, allow_failure, as_completed, unmapped, wait
    from headwater.core.hooks import StateChange
    from headwater.core.logs import get_logger
    from headwater.core.options import exponential_backoff
    from headwater.core.states import State
    from headwater.core.task import task
    from headwater.errors import HeadwaterError

__version__ = "0.1.0"

_WHERE = {
    "Asset": "assets.asset",
    "DailyPartitions": "assets.partitions",
    "Freshness": "assets.freshness",
    "HeadwaterError": "errors",
    "HourlyPartitions": "assets.partitions",
    "MonthlyPartitions": "assets.partitions",
    "Partition": "assets.partitions",
    "State": "core.states",
    "StateChange": "core.hooks",
    "TaskFuture": "core.futures",
    "WeeklyPartitions": "assets.partitions",
    "allow_failure": "core.futures",
    "as_completed": "core.futures",
    "check": "assets.checks",
    "derived_from": "assets.observing",
    "exponential_backoff": "core.options",
    "flow": "core.flow",
    "get_logger": "core.logs",
    "materialize": "assets.materialize",
    "materializing": "assets.observing",
    "observe": "assets.observing",
    "record": "assets.observing",
    "sql": "assets.sql",
    "task": "core.task",
    "unmapped": "core.futures",
    "wait": "core.futures",
}

__all__ = [
    "Asset",
    "DailyPartitions",
    "Freshness",
    "HeadwaterError",
    "HourlyPartitions",
    "MonthlyPartitions",
    "Partition",
    "State",
    "StateChange",
    "TaskFuture",
    "WeeklyPartitions",
    "allow_failure",
    "as_completed",
    "check",
    "derived_from",
    "exponential_backoff",
    "flow",
    "get_logger",
    "materialize",
    "materializing",
    "observe",
    "record",
    "sql",
    "task",
    "unmapped",
    "wait",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'headwater' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"headwater.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def _project() -> Any:
    from headwater.project import Project

    return Project.open()


_runtime.register(_project)
