"""What the projection knows of a run's earlier attempts, for another one to go on from there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from headwater.core.results import KeptResult
from headwater.core.resuming import Earlier, EarlierCall, Resumption, made_again_from
from headwater.core.states import TERMINAL, State
from headwater.errors import RefusedError, UnknownNameError, UsageError
from headwater.lineage.reader import Reader
from headwater.lineage.statements import statements

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.core.journal.carrier import LockTable
    from headwater.lineage.projection import Projection
    from headwater.lineage.session import Session

_INSTEAD = {
    "backfill": "headwater backfill resume {id}",
    "materialize": "headwater materialize ASSET makes what is missing or stale",
    "task": "call the task again: only the runs of flows have parts that could be reused",
}


def resumption(
    projection: Projection, locks: LockTable | None, run_id: str, from_task: str | None = None
) -> Resumption:
    """What another attempt of a run needs, claimed with a lock if there are locks. Raises UsageError, RefusedError."""
    found = Reader(projection).run(run_id)
    lock = None
    if locks is not None:
        lock = locks.try_hold(f"run:{found['id']}")
        if lock is None:
            raise RefusedError(
                "another attempt of this run is about to begin, or has begun",
                where=found["id"],
                hint="headwater runs shows what runs",
            )
    try:
        # Anew, now that nobody else can begin an attempt.
        row = Reader(projection).run(found["id"])
        check_resumable(row, from_task)
        with projection.session() as session:
            return _read(session, row, from_task, lock)
    except BaseException:
        if lock is not None:
            lock.release()
        raise


def check_resumable(row: Mapping[str, Any], from_task: str | None) -> None:
    """Raise UsageError where a run, as `Reader.run` tells it, can have no other attempt; it may be one `from_task` on."""
    where, state, kind = row["id"], row["state"], row["type"]
    if row.get("parent"):
        raise UsageError(
            "this run is a subflow's, and only the run around it can be resumed",
            where=where,
            hint=f"headwater runs resume {row['parent']}",
        )
    if kind != "flow":
        hint = _INSTEAD.get(kind, "").format(id=where) or None
        raise UsageError(f"a run of the type '{kind}' can't be resumed", where=where, hint=hint)
    if state not in TERMINAL:
        raise UsageError(
            f"the run has not ended: it is {state}", where=where, hint=f"stop it first: headwater runs cancel {where}"
        )
    if state == State.COMPLETED and from_task is None:
        raise UsageError(
            "the run completed: there is nothing to resume",
            where=where,
            hint=f"make part of it again: headwater runs retry {where} --from TASK",
        )


def _read(session: Session, row: dict[str, Any], from_task: str | None, lock: Any) -> Resumption:
    sql = statements("resuming.sql")
    begun = session.dicts(sql["outermost"], {"run": row["id"]})
    if not begun or not begun[0]["name"]:
        raise UsageError(
            "the run has no function that could be called again",
            where=row["id"],
            hint="only runs of @flow functions can be resumed, not those of open_run",
        )
    calls = tuple(_call(one) for one in session.dicts(sql["calls"], {"run": row["id"]}))
    again = _again(calls, from_task, row["id"])
    one = begun[0]
    expired = session.rows(sql["expired"], {"run": row["id"]})[0][0]
    return Resumption(
        run_id=row["id"],
        last_attempt=row["attempt"],
        flow=row["flow"],
        file=one["file"],
        function=one["name"],
        plain=json.loads(one["parameters"] or "{}"),
        kept=json.loads(one["kept"] or "{}"),
        defaulted=tuple(one["defaulted"] or ()),
        lost=tuple(one["lost"] or ()),
        earlier=Earlier(calls, last_attempt=row["attempt"], again=again),
        expired=None if expired is None else expired.isoformat(timespec="seconds") + "Z",
        lock=lock,
    )


def _again(calls: tuple[EarlierCall, ...], from_task: str | None, run_id: str) -> dict[str, str]:
    if from_task is None:
        return {}
    names = {one.task for one in calls}
    if from_task not in names:
        raise UnknownNameError.of("task", from_task, names, where=run_id)
    return made_again_from(calls, from_task)


def _call(row: dict[str, Any]) -> EarlierCall:
    result, sources = row.pop("result"), row.pop("sources")
    return EarlierCall(
        **row,
        sources=None if sources is None else tuple(json.loads(sources)),
        result=None if not result or result["encoding"] is None else KeptResult(**result),
    )
