"""What an asset may be asked before it is published: `Asset(…, checks=[not_null("id"), unique("id"), row_count(min=1)])`.

`check` in the package itself makes a check of a function. Nothing here imports a library of frames.
"""

from __future__ import annotations

from headwater.assets.checks.anomalies import anomaly
from headwater.assets.checks.base import Check
from headwater.assets.checks.context import CheckContext
from headwater.assets.checks.contract import schema
from headwater.assets.checks.functions import check
from headwater.assets.checks.history import PastVersion
from headwater.assets.checks.inputs_fresh import inputs_fresh
from headwater.assets.checks.pandera_schemas import pandera_check
from headwater.assets.checks.published import run_checks
from headwater.assets.checks.queries import sql_check
from headwater.assets.checks.reconciliation import reconciles
from headwater.assets.checks.rows import accepted_values, in_range, not_null, row_count, unique
from headwater.assets.events import CheckResult

__all__ = [
    "Check",
    "CheckContext",
    "CheckResult",
    "PastVersion",
    "accepted_values",
    "anomaly",
    "check",
    "in_range",
    "inputs_fresh",
    "not_null",
    "pandera_check",
    "reconciles",
    "row_count",
    "run_checks",
    "schema",
    "sql_check",
    "unique",
]
