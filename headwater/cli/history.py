"""`runs` and `logs`: what happened."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from headwater.cli.common import COMMON, Common, open_project
from headwater.cli.output import duration, emit, instant, table

_COLOURS = {"Completed": "green", "Failed": "red", "Crashed": "red", "Cancelled": "yellow", "Running": "bold"}


def runs(*, flow: str | None = None, limit: int = 50, common: Common = COMMON) -> int:
    """List the runs, the newest first.

    Parameters
    ----------
    flow
        Only runs of this flow.
    limit
        At most so many.
    """
    value = open_project().reader.runs(limit=limit, flow=flow)
    emit(value, common.json, lambda: _runs_text(value))
    return 0


def logs(run_id: str, /, *, common: Common = COMMON) -> int:
    """Print what a run logged.

    Parameters
    ----------
    run_id
        The run's id as `headwater runs` prints it, or the beginning of it.
    """
    value = open_project().reader.logs(run_id)
    emit(value, common.json, lambda: "\n".join(_log_line(row) for row in value["logs"]) or "it logged nothing")
    return 0


def _runs_text(value: Mapping[str, Any]) -> str:
    if not value["runs"]:
        return "no runs yet"
    rows = [
        (
            row["id"],
            row["flow"],
            row["state"],
            instant(row["started"]),
            duration(row["duration"]),
            ", ".join(f"{count} {state}" for state, count in sorted(row["tasks"].items())) or None,
            _error(row.get("error")),
        )
        for row in value["runs"]
    ]
    return table(("run", "flow", "state", "started", "took", "tasks", "error"), rows, colours=_COLOURS)


def _error(found: Any) -> str | None:
    if not found:
        return None
    text = f"{found['type']}: {found['message']}" if isinstance(found, Mapping) else str(found)
    return text.splitlines()[0]


def _log_line(row: Mapping[str, Any]) -> str:
    level = row["level"] if isinstance(row["level"], str) else logging.getLevelName(row["level"])
    return f"{instant(row['at'])}  {level:<8} {row['logger']}  {row['message']}"
