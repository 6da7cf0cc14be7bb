"""Why a task run used a kept result, or did not: from the facts that stand in the journal with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headwater.assets.durations import moment
from headwater.core.code_changes import changes
from headwater.errors import UnknownNameError
from headwater.lineage.statements import statements
from headwater.types import Reason

if TYPE_CHECKING:
    from headwater.lineage.session import Session

_SHOWN = 10
"""So many task runs are named when several are meant."""

Row = dict[str, Any]


def explain_task(session: Session, run_id: str, task: str) -> tuple[str, str, Reason]:
    """The subject, the verdict (hit, miss, uncached, reused, again or none) and the reason, for one task run of a run.

    `task` is its name, or the beginning of its id. Raises UnknownNameError when none or several are meant.
    """
    found = _one(session, run_id, task)
    name, task_run = found["task"], {"task_run": found["task_run_id"]}
    subject = f"{run_id}/{name}"
    reused, looked = _first(session, "reused", task_run), _first(session, "looked_up", task_run)
    said = tuple(Reason("resumed", text) for (text,) in session.rows(statements("caching.sql")["resumed"], task_run))
    if reused is not None:
        text = f"the run was resumed: task run {reused['task_run']} of attempt {reused['attempt']} made it"
        return subject, "reused", Reason("resumed", text, said)
    if looked is None and said:
        return subject, "again", Reason("made_again", "the run was resumed, and this was made again", said)
    if looked is None:
        return subject, "none", Reason("no_cache", f"'{name}' has no cache")
    looked["parts"] = json.loads(looked["parts"] or "{}")
    if looked["verdict"] == "hit":
        return subject, "hit", _hit(looked)
    because = (*said, *_differences(session, looked), *_outcome(session, task_run))
    text = looked["text"] if looked["because"] != "not_kept" else "no result is kept for what it depends on"
    return subject, looked["verdict"], Reason(looked["because"], f"{_VERDICTS[looked['verdict']]}: {text}", because)


_VERDICTS = {"miss": "miss", "uncached": "not cached"}


def _one(session: Session, run_id: str, task: str) -> Row:
    found = session.dicts(statements("caching.sql")["candidates"], {"run": run_id, "task": task})
    if len(found) == 1:
        return found[0]
    if found:
        told = ", ".join(f"{run_id}/{one['task_run_id']} ({one['state']})" for one in found[:_SHOWN])
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise UnknownNameError(
            f"several task runs of '{task}' are in run {run_id}", hint=f"name one of them: {told}{more}"
        )
    known = session.dicts(statements("caching.sql")["candidates"], {"run": run_id, "task": ""})
    raise UnknownNameError.of("task", task, {one["task"] for one in known}, where=f"run {run_id}")


def _first(session: Session, name: str, parameters: Mapping[str, object]) -> Row | None:
    found = session.dicts(statements("caching.sql")[name], dict(parameters))
    return found[0] if found else None


def _hit(looked: Row) -> Reason:
    text = f"hit: what task run {looked['origin']} kept at {moment(looked['kept_at'])} was used"
    depends = Reason("depends_on", f"{looked['policy']}: {', '.join(looked['parts']) or 'nothing'} as they were then")
    return Reason("kept", text, (Reason("origin", f"that was in run {looked['origin_run_id']}"), depends))


def _differences(session: Session, looked: Row) -> tuple[Reason, ...]:
    """What differs from the last call that was kept, when nothing is kept for this one."""
    if looked["because"] != "not_kept":
        return ()
    same = _first(session, "same_key", {"key": looked["key"], "time": looked["time"]})
    if same is not None:
        if same["refused"] is not None:
            return (Reason("not_cacheable", f"task run {same['task_run_id']} could not keep it: {same['refused']}"),)
        return (
            Reason(
                "removed", f"task run {same['task_run_id']} kept it at {moment(same['time'])}; it was removed since"
            ),
        )
    last = _first(session, "kept_before", {"task": looked["task"], "time": looked["time"]})
    if last is None:
        return (Reason("first", f"no result of '{looked['task']}' was kept before"),)
    before = json.loads(last["parts"] or "{}")
    told = f"task run {last['task_run_id']} of run {last['run_id']}, which was kept at {moment(last['time'])}"
    return (Reason("compared", f"compared with {told}", changes(before, looked["parts"])),)


def _outcome(session: Session, task_run: Mapping[str, object]) -> tuple[Reason, ...]:
    kept = _first(session, "kept", task_run)
    if kept is None:
        return ()
    if kept["refused"] is not None:
        return (Reason("not_cacheable", f"what it returned is not cacheable: {kept['refused']}"),)
    until = "" if kept["expires"] is None else f" until {moment(kept['expires'])}"
    return (Reason("kept_now", f"what it returned is kept{until} ({kept['size']:,} bytes, {kept['encoding']})"),)
