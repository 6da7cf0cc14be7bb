"""`requests`: what was asked of the server, what became of it, and taking it back."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import Parameter

from headwater import clock
from headwater.api.commands import command
from headwater.cli.commands import REQUESTS
from headwater.cli.common import open_project, who
from headwater.cli.options import COMMON, Common, Flag, RequestId, check_limit
from headwater.cli.output import ago, emit, instant
from headwater.cli.tables import table
from headwater.cli.trees import tree
from headwater.errors import UnknownNameError
from headwater.lineage.asking import cancel_request


def requests(
    *, open_only: Annotated[Flag, Parameter(name="--open")] = False, limit: int = 50, common: Common = COMMON
) -> int:
    """List what was asked of the server, the newest first: the command that a worker starts for it, and what became of it.

    Parameters
    ----------
    open_only
        Only what has not ended.
    limit
        At most so many.
    """
    check_limit(limit, "requests")
    value = open_project(None).reader.work_requests(open_only=open_only, limit=limit)
    emit(value, common.json, lambda: _text(value) or ("nothing is open" if open_only else "no requests yet"))
    return 0


def cancel(request_id: RequestId, /, *, common: Common = COMMON) -> int:
    """Take back what was asked of the server, as long as no run has begun for it; `runs cancel` stops a run.

    A process that still loads its code is stopped: it gets three seconds to end by itself.

    Parameters
    ----------
    request_id
        The whole id of the request, as `headwater requests` prints it.
    """
    project = open_project(None)
    cancel_request(project.projection, project.carrier, project.journal, request_id, who())
    value = project.reader.work_request(request_id) or {}
    emit(value, common.json, lambda: f"{value['id']}  {value['state']}")
    return 0


def _text(value: Mapping[str, Any]) -> str:
    now = clock.rfc3339(clock.now_us())
    rows = [
        (
            row["id"],
            row["state"],
            instant(row["at"]),
            ago(row["at"], now),
            row["asked_by"],
            row["run"],
            _asked(row),
            (row["message"] or "").split("\n", 1)[0] or None,
        )
        for row in value["requests"]
    ]
    headers = ("id", "state", "asked", "", "by", "run", "what", "message")
    return table(headers, rows, numbers=("",), spare=("run", "asked", "by"), colours=_COLOURS) if rows else ""


def _asked(row: Mapping[str, Any]) -> str:
    try:
        return shlex.join(one for one in command(row["what"], row["arguments"]) if one != "--")
    except (UnknownNameError, KeyError):
        return str(row["what"])  # of a newer Headwater


_COLOURS = {"done": "green", "failed": "red", "cancelled": "yellow", "running": "bold"}


requests_app = tree("requests", REQUESTS, requests)
"""`requests` itself, and the commands under it."""
