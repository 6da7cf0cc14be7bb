"""`runs resume` and `runs retry`: another attempt of a run, in which what completed is not done again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from headwater.cli.common import open_project
from headwater.cli.options import COMMON, Common, Flag, RunId
from headwater.cli.output import emit, say
from headwater.cli.start import finished, given_values, plain
from headwater.core.decisions import is_cancellation
from headwater.core.flow import Flow
from headwater.core.tracebacks import text_of, users_line
from headwater.errors import HeadwaterError, UnknownNameError, UsageError
from headwater.loading import load_file

if TYPE_CHECKING:
    from headwater.core.resuming import Resumption
    from headwater.project import Project

Parameters = Annotated[tuple[str, ...], Parameter(name=["--parameter", "-p"], negative=())]
File = Annotated[str | None, Parameter(name=["--file", "-f"], show_default=False)]


def resume(
    run_id: RunId,
    /,
    *,
    parameter: Parameters = (),
    file: File = None,
    dry_run: Flag = False,
    common: Common = COMMON,
) -> int:
    """Go on with a run that failed, crashed, timed out or was cancelled, as its next attempt.

    Its flow is called again with the same parameters. Calls of tasks that completed are not made again: what they returned is
    restored. What can't be restored runs again, and is listed with the reason.

    Parameters
    ----------
    run_id
        The run's id as `headwater runs` prints it, or the beginning of it.
    parameter
        A parameter, as name=value: one that was not kept (a secret, an object), or one to change.
    file
        The file of the flow, or FILE:FLOW, when it is not where it was.
    dry_run
        Show what could be reused and do nothing.
    """
    return _again(run_id, None, parameter, file, dry_run, common)


def retry(
    run_id: RunId,
    /,
    *,
    from_: Annotated[str, Parameter(name="--from")],
    parameter: Parameters = (),
    file: File = None,
    dry_run: Flag = False,
    common: Common = COMMON,
) -> int:
    """Do part of a run again, as its next attempt: all calls of a task, and those that may have used what it returned.

    The calls that began before the task had ended can't have used its result; they are reused where that is possible.

    Parameters
    ----------
    run_id
        The run's id as `headwater runs` prints it, or the beginning of it.
    from_
        The task to begin with.
    parameter
        A parameter, as name=value: one that was not kept (a secret, an object), or one to change.
    file
        The file of the flow, or FILE:FLOW, when it is not where it was.
    dry_run
        Show what could be reused and do nothing.
    """
    return _again(run_id, from_, parameter, file, dry_run, common)


def _again(
    run_id: str, from_task: str | None, given: Sequence[str], file: str | None, dry_run: bool, common: Common
) -> int:
    project = open_project(None, writes=not dry_run)
    found = project.resumption(run_id, from_task=from_task, claim=not dry_run)
    if dry_run:
        value = _planned(found)
        emit(value, common.json, lambda: _planned_text(value))
        return 0
    try:
        flow = _flow_of(project, found, file)
        arguments = given_values(flow, given)
    except BaseException:
        found.release()
        raise
    if found.expired is not None and not common.json:
        say(f"detail of this run from before {found.expired} may have expired: what it did then runs again")
    try:
        result = finished(found.call(flow, arguments), keep=common.json)
    except (HeadwaterError, SystemExit):
        raise
    except BaseException as error:
        if is_cancellation(error):
            raise
        say(_told_text(_told(found, "Failed")))
        raise HeadwaterError(
            f"{flow.name} failed: {type(error).__name__}: {text_of(error)}",
            where=users_line(error),
            hint=f"headwater runs resume {found.run_id} goes on from here; --debug gives the traceback",
        ) from error
    told = _told(found, "Completed")
    emit({**told, "result": plain(result)}, common.json, lambda: _told_text(told))
    return 0


def _flow_of(project: Project, found: Resumption, file: str | None) -> Flow[..., Any]:
    """The flow of a run: where its source stands, or where it is said to be."""
    place, _, name = (file or "").partition(":")
    path = Path(place) if place else project.root / found.file
    if not place and (found.file.startswith("<") or not path.is_file()):
        raise UsageError(
            f"the flow '{found.flow}' stood in {found.file or 'no file'}, which is not there",
            where=found.run_id,
            hint=f"name its file: headwater runs resume {found.run_id} -f FILE",
        )
    flows = {key: one for key, one in vars(load_file(path, project.root)).items() if isinstance(one, Flow)}
    if name:
        if name not in flows:
            raise UnknownNameError.of("flow", name, flows, where=str(path))
        return flows[name]
    named = [one for one in flows.values() if one.name == found.flow]
    exact = [one for one in named if one.source.name == found.function]
    if not named:
        raise UnknownNameError.of("flow", found.flow, {one.name for one in flows.values()}, where=str(path))
    return (exact or named)[0]


def _planned(found: Resumption) -> dict[str, Any]:
    prospects = found.earlier.prospects()
    return {
        "run": found.run_id,
        "flow": found.flow,
        "attempt": found.last_attempt + 1,
        "reusable": [
            {"task": one.task, "from": {"attempt": one.attempt, "task_run": one.task_run_id}}
            for one, why in prospects
            if why is None
        ],
        "again": [{"task": one.task, "task_run": one.task_run_id, "reason": why} for one, why in prospects if why],
        "unfinished": _unfinished(found),
        "needs": list(found.lost),
    }


def _unfinished(found: Resumption) -> list[dict[str, Any]]:
    """The task runs of the last attempt that did not complete."""
    return [
        {"task": one.task, "task_run": one.task_run_id, "state": one.state}
        for one in found.earlier.calls
        if not one.completed and one.attempt == found.last_attempt
    ]


def _planned_text(value: Mapping[str, Any]) -> str:
    lines = [
        f"{value['run']}  {value['flow']}: what attempt {value['attempt']} could reuse, if the flow calls it again"
    ]
    lines += _counted("reusable", value["reusable"])
    lines += [f"  runs again: {_times(task, count)}: {why}" for (task, why), count in _reasons(value["again"]).items()]
    left = Counter((row["task"], row["state"]) for row in value["unfinished"])
    lines += [f"  did not complete: {_times(task, count)}: {state}" for (task, state), count in left.items()]
    if value["needs"]:
        lines.append("  needs: " + " ".join(f"-p {name}=…" for name in value["needs"]))
    return "\n".join(lines)


def _told(found: Resumption, state: str) -> dict[str, Any]:
    earlier = found.earlier
    return {
        "run": found.run_id,
        "flow": found.flow,
        "attempt": found.last_attempt + 1,
        "state": state,
        "reused": [
            {
                "task": one.task,
                "task_run": one.task_run_id,
                "from": {"attempt": one.earlier.attempt, "task_run": one.earlier.task_run_id},
                "code_changed": one.changed,
            }
            for one in earlier.reused
        ],
        "again": [{"task": one.task, "task_run": one.task_run_id, "reason": one.reason} for one in earlier.again],
    }


def _told_text(value: Mapping[str, Any]) -> str:
    lines = [f"{value['run']}  {value['flow']}  {value['state']}  attempt {value['attempt']}"]
    lines += _counted("reused", value["reused"])
    lines += [f"  ran again: {_times(task, count)}: {why}" for (task, why), count in _reasons(value["again"]).items()]
    changed = sorted({row["task"] for row in value["reused"] if row["code_changed"]})
    if changed:
        lines.append(f"  reused although the code has changed since: {', '.join(changed)} (runs retry --from runs it)")
    return "\n".join(lines)


def _counted(what: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    counts = Counter(row["task"] for row in rows)
    listed = ", ".join(_times(task, count) for task, count in counts.items())
    return [f"  {what}: {listed or 'nothing'}"]


def _times(task: str, count: int) -> str:
    return task if count == 1 else f"{task} ({count} times)"


def _reasons(rows: Sequence[Mapping[str, Any]]) -> Counter[tuple[str, str]]:
    return Counter((row["task"], row["reason"]) for row in rows)
