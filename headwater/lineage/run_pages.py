"""What pages about a run and a backfill ask beyond what the reader tells: page by page, never all of a long run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from headwater import clock
from headwater.lineage.session import Session, plain
from headwater.lineage.statements import statements

_NEWEST = 20_000
"""So many of the newest attempts tell how long a flow usually takes."""
_LATELY = 60.0
"""Seconds that the pace of a backfill is measured over."""


def flows(session: Session, *, limit: int) -> list[dict[str, Any]]:
    """The flows that ended of late: `{flow, runs, usual, last_state, last_ended}`, `usual` being seconds."""
    return [plain(row) for row in session.dicts(_sql("flows"), {"newest": _NEWEST, "limit": limit})]


def tried(session: Session, asset: str, partition: str | None) -> dict[str, Any] | None:
    """The newest attempt at a partition, `{run, at, state}`; None when there was none."""
    found = session.dicts(_sql("tried"), {"asset": asset, "partition": partition})
    return plain(found[0]) if found else None


def failures(session: Session, run: Mapping[str, Any], *, limit: int) -> list[dict[str, Any]]:
    """The task runs of a run's newest attempt that failed, with their tracebacks, the first one first."""
    wanted = {"run": run["id"], "attempt": run["attempt"], "limit": limit}
    return [plain(row) for row in session.dicts(_sql("failures"), wanted)]


def groups(session: Session, run: Mapping[str, Any], *, limit: int) -> list[dict[str, Any]]:
    """The task runs of a run's newest attempt by task."""
    until = run["ended"] or clock.rfc3339(clock.now_us())
    wanted = {"run": run["id"], "attempt": run["attempt"], "from": run["started"], "until": until, "limit": limit}
    rows = [plain(row) for row in session.dicts(_sql("groups"), wanted)]
    for row in rows:
        row["states"] = json.loads(row["states"])
        bins = {int(place): count for place, count in json.loads(row["bins"]).items()}
        row["bins"] = [bins.get(place, 0) for place in range(40)]
        row["ended"] = None if row["open"] else row["ended"]
    return rows


def bars(
    session: Session,
    run: Mapping[str, Any],
    *,
    task: str | None = None,
    state: str | None = None,
    between: tuple[str | None, str | None] = (None, None),
    limit: int,
    offset: int = 0,
) -> list[dict[str, Any]]:
    """Task runs of a run's newest attempt in the order in which they began, each with the states that it came through.

    `between` are two moments: only those that ran then.
    """
    since, until = between
    wanted = {"run": run["id"], "attempt": run["attempt"]}
    more = {"task": task, "state": state, "since": since, "until": until, "limit": limit, "offset": offset}
    rows = [plain(row) for row in session.dicts(_sql("bars"), {**wanted, **more})]
    by_id = {row["id"]: row for row in rows}
    for row in rows:
        row["steps"] = []
    for step in session.dicts(_sql("steps"), {**wanted, "tasks": list(by_id)}):
        by_id[step.pop("id")]["steps"].append(plain(step))
    return rows


def children(session: Session, run_id: str, *, limit: int) -> list[dict[str, Any]]:
    """The runs of flows that a run called: `{id, flow, parent}`, the first one first."""
    return [
        {"id": row["id"], "flow": row["flow"], "parent": row["parent"]}
        for row in session.dicts(_sql("children"), {"run": run_id, "limit": limit})
    ]


def made(session: Session, run_id: str, *, limit: int) -> list[dict[str, Any]]:
    """What a run made of each asset."""
    return [plain(row) for row in session.dicts(_sql("made"), {"run": run_id, "limit": limit})]


def tail(
    session: Session,
    run_id: str,
    *,
    level: int = 0,
    task: str | None = None,
    text: str | None = None,
    before: tuple[str, str] | None = None,
    limit: int,
) -> list[dict[str, Any]]:
    """The log of a run from its end, the newest first; `before` are the time and the id of the last one that was seen."""
    at, last = before or (None, None)
    wanted = {"run": run_id, "level": level, "task": task, "text": text, "at": at, "id": last, "limit": limit}
    return [plain(row) for row in session.dicts(_sql("tail"), wanted)]


def outcomes(session: Session, backfill_id: str, asset: str) -> dict[str | None, str]:
    """The states of the partitions of one asset in a backfill, as far as they were launched."""
    return dict(session.rows(_sql("outcomes"), {"backfill": backfill_id, "asset": asset}))


def pace(session: Session, backfill_id: str) -> float | None:
    """Partitions a second that the newest attempt of a backfill ended of late; None while none did."""
    since = clock.now_us() - int(_LATELY * 1e6)
    (row,) = session.dicts(_sql("pace"), {"backfill": backfill_id, "since": since})
    if not row["ended"] or row["first"] == row["last"]:
        return None
    if row["lately"] > 1:
        began = max(clock.to_us(row["first"].replace(tzinfo=UTC)), since)
        return float(row["lately"] / max((clock.now_us() - began) / 1e6, 1e-3))
    return float(row["ended"] / (row["last"] - row["first"]).total_seconds())


def trouble(session: Session, backfill_id: str, *, limit: int) -> list[dict[str, Any]]:
    """The partitions of a backfill that failed, and those that were blocked by them, with why."""
    return [plain(row) for row in session.dicts(_sql("trouble"), {"backfill": backfill_id, "limit": limit})]


def _sql(name: str) -> str:
    return statements("run_pages.sql")[name]
