"""`audit`: who asked for what, who was let in and who was refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headwater.cli.common import open_project
from headwater.cli.options import COMMON, Common, check_limit
from headwater.cli.output import emit, instant
from headwater.cli.tables import table


def audit(*, limit: int = 50, common: Common = COMMON) -> int:
    """List who asked for something to be started or stopped, tokens that were made and revoked, log-ins and refusals.

    Parameters
    ----------
    limit
        At most so many, the newest.
    """
    check_limit(limit, "entries")
    value = open_project(None).reader.audit(limit=limit)
    emit(value, common.json, lambda: _text(value))
    return 0


def _text(value: Mapping[str, Any]) -> str:
    rows = [
        (instant(one["at"]), one["by"], one["what"], one["subject"], str(one["count"]) if one["count"] > 1 else None)
        for one in value["changes"]
    ]
    if not rows:
        return "nobody has asked for anything yet, through the server or to stop a run"
    return table(("at", "by", "what", "subject", "times"), rows, numbers=("times",), spare=("times",))
