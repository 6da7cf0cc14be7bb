"""Headwater: asset- and lineage-centric orchestration of ordinary functions.

The names below are loaded when they are first used: importing Headwater loads none of the libraries that it builds on.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from headwater.core import runtime as _runtime

if TYPE_CHECKING:
    from headwater.assets.asset import Asset
    from headwater.assets.business_days import BusinessCalendar
    from headwater.assets.checks.functions import check
    from headwater.assets.connections import sql_connection
    from headwater.assets.freshness import Freshness
    from headwater.assets.freshness_changes import FreshnessChange, on_freshness
    from headwater.assets.materialize import materialize
    from headwater.assets.observers import Observation, column_max, file_times, observer, sql_observer
    from headwater.assets.observing import derived_from, materializing, observe, record
    from headwater.assets.partitions import (
        CronPartitions,
        DailyPartitions,
        DynamicPartitions,
        HourlyPartitions,
        MonthlyPartitions,
        Partition,
        PartitionSet,
        ProductPartitions,
        StaticPartitions,
        WeeklyPartitions,
    )
    from headwater.assets.sql import sql
    from headwater.core.arguments import allow_failure, unmapped
    from headwater.core.cache_policies import INPUTS, NO_CACHE, PARAMETERS, RUN, SOURCE, CachePolicy
    from headwater.core.concurrency import concurrency
    from headwater.core.flow import flow
    from headwater.core.futures import TaskFuture, as_completed, wait
    from headwater.core.hooks import StateChange, TaskOutcome
    from headwater.core.logs import get_logger
    from headwater.core.options import exponential_backoff
    from headwater.core.rates import rate_limit, try_rate_limit
    from headwater.core.runners.processes import ProcessRunner
    from headwater.core.runners.runner import InlineRunner, ThreadRunner
    from headwater.core.states import State
    from headwater.core.task import task
    from headwater.core.transactions import get_transaction, transaction
    from headwater.errors import HeadwaterError

__version__ = "0.1.0"

_WHERE = {
    "Asset": "assets.asset",
    "BusinessCalendar": "assets.business_days",
    "CachePolicy": "core.cache_policies",
    "CronPartitions": "assets.partitions",
    "DailyPartitions": "assets.partitions",
    "DynamicPartitions": "assets.partitions",
    "Freshness": "assets.freshness",
    "FreshnessChange": "assets.freshness_changes",
    "HeadwaterError": "errors",
    "HourlyPartitions": "assets.partitions",
    "INPUTS": "core.cache_policies",
    "InlineRunner": "core.runners.runner",
    "MonthlyPartitions": "assets.partitions",
    "NO_CACHE": "core.cache_policies",
    "Observation": "assets.observers",
    "PARAMETERS": "core.cache_policies",
    "Partition": "assets.partitions",
    "PartitionSet": "assets.partitions",
    "ProcessRunner": "core.runners.processes",
    "ProductPartitions": "assets.partitions",
    "RUN": "core.cache_policies",
    "SOURCE": "core.cache_policies",
    "State": "core.states",
    "StateChange": "core.hooks",
    "StaticPartitions": "assets.partitions",
    "TaskFuture": "core.futures",
    "TaskOutcome": "core.hooks",
    "ThreadRunner": "core.runners.runner",
    "WeeklyPartitions": "assets.partitions",
    "allow_failure": "core.arguments",
    "as_completed": "core.futures",
    "check": "assets.checks.functions",
    "column_max": "assets.observers",
    "concurrency": "core.concurrency",
    "derived_from": "assets.observing",
    "exponential_backoff": "core.options",
    "file_times": "assets.observers",
    "flow": "core.flow",
    "get_logger": "core.logs",
    "get_transaction": "core.transactions",
    "materialize": "assets.materialize",
    "materializing": "assets.observing",
    "observe": "assets.observing",
    "observer": "assets.observers",
    "on_freshness": "assets.freshness_changes",
    "rate_limit": "core.rates",
    "record": "assets.observing",
    "sql": "assets.sql",
    "sql_connection": "assets.connections",
    "sql_observer": "assets.observers",
    "task": "core.task",
    "transaction": "core.transactions",
    "try_rate_limit": "core.rates",
    "unmapped": "core.arguments",
    "wait": "core.futures",
}

__all__ = [  # noqa: RUF022 - in the order of `sorted`
    "Asset",
    "BusinessCalendar",
    "CachePolicy",
    "CronPartitions",
    "DailyPartitions",
    "DynamicPartitions",
    "Freshness",
    "FreshnessChange",
    "HeadwaterError",
    "HourlyPartitions",
    "INPUTS",
    "InlineRunner",
    "MonthlyPartitions",
    "NO_CACHE",
    "Observation",
    "PARAMETERS",
    "Partition",
    "PartitionSet",
    "ProcessRunner",
    "ProductPartitions",
    "RUN",
    "SOURCE",
    "State",
    "StateChange",
    "StaticPartitions",
    "TaskFuture",
    "TaskOutcome",
    "ThreadRunner",
    "WeeklyPartitions",
    "allow_failure",
    "as_completed",
    "check",
    "column_max",
    "concurrency",
    "derived_from",
    "exponential_backoff",
    "file_times",
    "flow",
    "get_logger",
    "get_transaction",
    "materialize",
    "materializing",
    "observe",
    "observer",
    "on_freshness",
    "rate_limit",
    "record",
    "sql",
    "sql_connection",
    "sql_observer",
    "task",
    "transaction",
    "try_rate_limit",
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
