"""Lists of runs, page by page: which runs are on a page is found first, and only these are worked out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from headwater import clock
from headwater.core.states import TERMINAL
from headwater.lineage.session import Session
from headwater.lineage.statements import statements
from headwater.records import dataclass

_ID = 36
"""Letters of an id."""
_MOST = 20_000
"""So many runs are worked out at a time, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which runs: of a flow, whose id begins so, in a state, within a run; `text` is a part of the flow or begins the id."""

    flow: str | None = None
    run: str | None = None
    state: str | None = None
    parent: str | None = None
    text: str = ""


def newest_runs(
    session: Session, wanted: Wanted, *, limit: int, before: tuple[str, str] | None = None
) -> list[dict[str, Any]]:
    """The newest of these runs, each with its newest attempt; `before` are the start and the id of the page before's last."""
    given = {
        "flow": wanted.flow,
        "run": wanted.run,
        "parent": wanted.parent,
        "text": wanted.text,
        "state": wanted.state,
    }
    end = None if before is None else (datetime.fromisoformat(before[0]).replace(tzinfo=None), before[1])
    since, last = (None, None) if before is None else (clock.to_us(datetime.fromisoformat(before[0])), before[1])
    known: dict[str, dict[str, Any]] = {}
    ask = limit
    is_open = wanted.state is not None and wanted.state not in TERMINAL
    sql = statements("runs.sql")["open_runs" if is_open else "newest_runs"]
    while True:
        found = session.rows(sql, {**given, "since": since, "last": last, "limit": ask})
        known.update(_worked_out(session, list({run_id for run_id, _, _ in found} - known.keys())))
        rows = [row for row in known.values() if _is_meant(row, wanted, end)]
        rows.sort(key=lambda row: (row["started"], row["id"]), reverse=True)
        end_of_full = _reached(found, ask)
        if end_of_full is None:
            return rows[:limit]
        # What has not been found began no later than the last of a list that was full.
        since, last = end_of_full
        reached = clock.from_us(since).replace(tzinfo=None)
        if sum(row["started"] >= reached for row in rows) >= limit:
            return rows[:limit]
        ask = min(2 * ask, _MOST)


def _reached(found: Iterable[tuple[str, int, str]], ask: int) -> tuple[int, str] | None:
    """How far back was looked: the last of the lists that were full, the newest of these. None when all was found."""
    lists: dict[str, list[tuple[int, str]]] = {}
    for run_id, started, of in found:
        lists.setdefault(of, []).append((started, run_id))
    return max((min(one) for one in lists.values() if len(one) >= ask), default=None)


def of_whole_id(session: Session, run_id: str) -> list[dict[str, Any]]:
    """The run of this id, with its newest attempt: nothing for the beginning of one, which `newest_runs` finds."""
    rows = _worked_out(session, [run_id]).values() if len(run_id) == _ID else ()
    return [row for row in rows if row["started"] is not None]


def is_whole_id(session: Session, run_id: str) -> bool:
    """Whether a run has this id, and not merely one that begins so."""
    return len(run_id) == _ID and bool(session.rows(statements("runs.sql")["is_run"], {"run": run_id}))


def worked_out_between(runs: Iterable[str]) -> dict[str, Any]:
    """The parameters of a statement about these runs."""
    ids = list(runs)
    return {"runs": ids, "least": min(ids, default=""), "most": max(ids, default="")}


def _worked_out(session: Session, ids: list[str]) -> dict[str, dict[str, Any]]:
    if not ids:
        return {}
    return {row["id"]: row for row in session.dicts(statements("runs.sql")["runs"], worked_out_between(ids))}


def _is_meant(row: dict[str, Any], wanted: Wanted, end: tuple[datetime, str] | None) -> bool:
    if row["started"] is None or (wanted.state is not None and row["state"] != wanted.state):
        return False
    return end is None or (row["started"], row["id"]) < end
