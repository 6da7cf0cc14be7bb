"""`runs` and `logs`: what happened."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from headwater import clock
from headwater.cli.common import open_project
from headwater.cli.options import COMMON, Common, RunId
from headwater.cli.output import ago, duration, emit, instant
from headwater.cli.tables import table
from headwater.errors import UsageError

SHAPES = {
    "Completed": "● Completed",
    "Failed": "✖ Failed",
    "Crashed": "✖ Crashed",
    "Cancelled": "▲ Cancelled",
    "Running": "▶ Running",
}
"""A run's state with its shape: what a colour says must also be seen without it."""
_COLOURS = {
    SHAPES["Completed"]: "green",
    SHAPES["Failed"]: "red",
    SHAPES["Crashed"]: "red",
    SHAPES["Cancelled"]: "yellow",
    SHAPES["Running"]: "bold",
}


def runs(*, flow: str | None = None, limit: int = 50, common: Common = COMMON) -> int:
    """List the runs, the newest first.

    Parameters
    ----------
    flow
        Only runs of this flow.
    limit
        At most so many.
    """
    if limit < 1:
        raise UsageError(f"--limit {limit} is not a number of runs", hint="give 1 or more")
    value = open_project(None).reader.runs(limit=limit, flow=flow)
    emit(value, common.json, lambda: _runs_text(value))
    return 0


def logs(run_id: RunId, /, *, common: Common = COMMON) -> int:
    """Print what a run logged.

    Parameters
    ----------
    run_id
        The run's id as `headwater runs` prints it, or the beginning of it.
    """
    value = open_project(None).reader.logs(run_id)
    emit(value, common.json, lambda: _logs_text(value))
    return 0


def _logs_text(value: Mapping[str, Any]) -> str:
    lines = [_log_line(row) for row in value["logs"]]
    if "pruned" in value:
        lines.insert(0, f"what it logged before {instant(value['pruned'])} has expired (headwater prune)")
    return "\n".join(lines) or "it logged nothing"


def _runs_text(value: Mapping[str, Any]) -> str:
    if not value["runs"]:
        return "no runs yet"
    now = clock.rfc3339(clock.now_us())
    rows = [
        (
            row["id"],
            row["flow"],
            SHAPES.get(row["state"], row["state"]),
            instant(row["started"]),
            ago(row["started"], now),
            duration(row["duration"]),
            ", ".join(f"{count} {state}" for state, count in sorted(row["tasks"].items())) or None,
            _error(row.get("error")),
        )
        for row in value["runs"]
    ]
    headers = ("run", "flow", "state", "started", "", "took", "tasks", "error")
    return table(headers, rows, numbers=("", "took"), spare=("started", "tasks", "took", ""), colours=_COLOURS)


def _error(found: Any) -> str | None:
    if not found:
        return None
    text = f"{found['type']}: {found['message']}" if isinstance(found, Mapping) else str(found)
    return text.splitlines()[0]


def _log_line(row: Mapping[str, Any]) -> str:
    level = row["level"] if isinstance(row["level"], str) else logging.getLevelName(row["level"])
    return f"{instant(row['at'])}  {level:<8} {row['logger']}  {row['message']}"
