"""Asking for work: what is asked is looked at as far as that goes without anybody's code, then journaled for a worker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from headwater import ids
from headwater.api.commands import What
from headwater.api.problems import ApiError
from headwater.core.request_events import WorkAsked
from headwater.errors import UnknownNameError, UsageError
from headwater.lineage.backfills import backfill_record
from headwater.lineage.earlier import check_resumable

if TYPE_CHECKING:
    from headwater.project import ServingProject


def ask(project: ServingProject, what: What, arguments: Mapping[str, Any], asked_by: str) -> str:
    """Ask for work to be started: durable when this returns. The request's id."""
    request_id = ids.new_id()
    project.journal.append(
        WorkAsked(
            request_id=request_id, what=what, arguments=dict(arguments), asked_by=asked_by, project=project.project
        )
    )
    project.projection.refresh()
    return request_id


def backfill(project: ServingProject, backfill_id: str) -> dict[str, Any]:
    """The arguments for going on with a backfill. Raises UnknownNameError."""
    return {"backfill": backfill_record(project.projection, backfill_id).backfill_id}


def flow(project: ServingProject, name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments for running a flow that ran before, or one that is given as FILE:NAME.

    Raises UnknownNameError, UsageError, ApiError for a parameter that is never kept.
    """
    file, colon, function = name.rpartition(":")
    if colon and file.endswith(".py"):
        path = PurePosixPath(file)
        if path.is_absolute() or ".." in path.parts or not function.isidentifier() or not file.isprintable():
            hint = "give the file from the project's folder on: etl/flows.py:nightly"
            raise UsageError(f"'{name}' names no flow of this project", hint=hint)
        known = [one for one in _known(project) if (one["file"], one["name"]) == (file, function)]
    else:
        known = _known(project, name)
        if not known:
            raise UnknownNameError.of("flow", name, [one["flow"] for one in _known(project)])
        file, function = known[0]["file"] or "", known[0]["name"] or ""
        if not file.endswith(".py") or not function.isidentifier():
            raise UsageError(f"the flow '{name}' stood in {file or 'no file'}: it can't be started from there")
    _check_kept(parameters, known)
    return {"target": f"{file}:{function}", **_given(parameters)}


def run(
    project: ServingProject, run_id: str, parameters: Mapping[str, Any], *, from_task: str | None = None
) -> dict[str, Any]:
    """The arguments for another attempt of a run, or for one from a task on. Raises UnknownNameError, UsageError."""
    found = project.reader.run(run_id)
    check_resumable(found, from_task)
    _check_kept(parameters, _known(project, found["flow"]))
    return {"run": found["id"], **({} if from_task is None else {"from": from_task}), **_given(parameters)}


def _known(project: ServingProject, flow: str | None = None) -> list[dict[str, Any]]:
    return project.reader.known_flows(flow, project=project.project)


def _check_journaled(parameters: Mapping[str, Any]) -> None:
    """Raise UsageError for what would stand in the journal as something else: NaN, infinities, halves of characters."""
    try:
        json.dumps(dict(parameters), allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        hint = "give text and numbers that JSON has; NaN and infinities as text"
        raise UsageError("a parameter can't be kept as it is", hint=hint) from error


def _check_kept(parameters: Mapping[str, Any], known: list[dict[str, Any]]) -> None:
    # What is asked for is journaled as it is.
    _check_journaled(parameters)
    for name in parameters:
        if any(name in (one["lost"] or ()) for one in known):
            hint = "start it on the command line, or let it read the secret where it runs"
            raise ApiError(400, "usage", f"the parameter '{name}' is never kept, so it can't be asked for", hint=hint)
        if not name.isidentifier():
            raise UsageError(f"'{name}' is no parameter's name")


def _given(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {"parameters": dict(parameters)} if parameters else {}
