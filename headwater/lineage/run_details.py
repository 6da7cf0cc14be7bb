"""What is known of one run beyond its row in a list: how it was called, by whom, its attempts with their errors, what it made."""

from __future__ import annotations

import json
from typing import Any

from headwater.lineage.session import Session, timed
from headwater.lineage.statements import statements

ATTEMPTS = 100
"""So many attempts are told, the newest ones."""


def run_details(session: Session, run_id: str) -> dict[str, Any]:
    """`{parameters, project, root, parent_task_run, source, asked_by, cancelled_by, children, attempts}` of a whole id.

    `parameters` are as JSON holds them, without secrets. `attempts` are `{attempt, state, started, ended, duration, error}`, the
    newest first, their errors `{type, message, traceback}`. `asked_by` is who asked the server for it, `cancelled_by` who
    asked it to stop; `children` counts the runs within it.
    """
    sql = statements("runs.sql")
    called = session.dicts(sql["run_called"], {"run": run_id})
    attempts = session.dicts(sql["run_attempts"], {"run": run_id, "limit": ATTEMPTS})
    found = called[0] if called else {}
    return {
        **{name: value for name, value in found.items() if name != "parameters"},
        "parameters": json.loads(found.get("parameters") or "{}"),
        "attempts": [timed(row) for row in attempts],
    }
