"""Routes about what runs and ran: runs, task runs, logs, what they made; starting flows, going on with runs, stopping them."""

from __future__ import annotations

import logging
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from headwater.api import models, requests
from headwater.api.cursors import cut, encoded_cursor, moment_and_id, offset
from headwater.api.parameters import PAGE, Asker, Cursor, Id, Limit, OfState, The
from headwater.api.shared import SharedRoute

router = APIRouter(prefix="/api", tags=["runs"], route_class=SharedRoute)

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


@router.get("/runs")
def runs(
    the: The,
    flow: Annotated[str | None, Query(max_length=1_000, description="Only runs of this flow.")] = None,
    state: OfState = None,
    parent: Annotated[
        str | None, Query(max_length=100, description="Only those within this run: its id, or its beginning.")
    ] = None,
    q: Annotated[str, Query(max_length=200, description="A part of the flow's name, or the beginning of the id.")] = "",
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> models.Runs:
    """The runs, the newest first, each with its newest attempt."""
    within = None if parent is None else the.reader.run_id(parent)
    found = the.reader.runs(
        flow=flow, state=state, parent=within, text=q, limit=limit + 1, before=moment_and_id(cursor)
    )
    return models.Runs.model_validate(cut(found, "runs", limit, "started", "id"))


@router.get("/runs/{run_id}")
def run(the: The, run_id: Id) -> models.RunOne:
    """One run: its parameters, who asked for it, its attempts with their errors and tracebacks."""
    return models.RunOne.model_validate(the.reader.run_details(run_id))


@router.get("/runs/{run_id}/tasks")
def task_runs(
    the: The,
    run_id: Id,
    state: OfState = None,
    q: Annotated[str, Query(max_length=200, description="A part of the task's name.")] = "",
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> models.TaskRuns:
    """The task runs of a run, the oldest first."""
    start = offset(cursor)
    found = the.reader.task_runs(run_id, state=state, text=q, limit=limit + 1, offset=start)
    more = encoded_cursor(start + limit) if len(found["task_runs"]) > limit else None
    return models.TaskRuns.model_validate({**found, "task_runs": found["task_runs"][:limit], "next": more})


@router.get("/runs/{run_id}/logs")
def logs(the: The, run_id: Id, level: Level | None = None, limit: Limit = PAGE, cursor: Cursor = None) -> models.Logs:
    """What a run logged and printed, the oldest first; `level` and above."""
    start = offset(cursor)
    least = 0 if level is None else logging.getLevelNamesMapping()[level]
    found = the.reader.logs(run_id, level=least, limit=limit + 1, offset=start)
    more = encoded_cursor(start + limit) if len(found["logs"]) > limit else None
    return models.Logs.model_validate({**found, "logs": found["logs"][:limit], "next": more})


@router.get("/runs/{run_id}/artifacts")
def artifacts(the: The, run_id: Id, limit: Limit = PAGE, cursor: Cursor = None) -> models.Artifacts:
    """What a run made, the newest first: materializations, whatever came of them, what checks said, and results that are kept."""
    found = the.reader.artifacts(run_id, limit=limit + 1, before=moment_and_id(cursor))
    return models.Artifacts.model_validate(cut(found, "artifacts", limit, "at", "id"))


@router.post("/runs", status_code=202)
def start_flow(the: The, who: Asker, body: models.FlowAsked) -> models.Request:
    """Ask for a run of a flow. A worker starts it as a process of its own; the run's id is the request's."""
    arguments = requests.flow(the.project, body.flow, body.parameters)
    return models.Request.model_validate(the.ask("run", arguments, who.name))


@router.post("/runs/{run_id}/resume", status_code=202)
def resume_run(the: The, who: Asker, run_id: Id, body: models.ResumeAsked | None = None) -> models.Request:
    """Ask for the next attempt of a run that ended early; what completed is not done again."""
    arguments = requests.run(the.project, run_id, {} if body is None else body.parameters)
    return models.Request.model_validate(the.ask("runs.resume", arguments, who.name))


@router.post("/runs/{run_id}/retry", status_code=202)
def retry_run(the: The, who: Asker, run_id: Id, body: models.RetryAsked) -> models.Request:
    """Ask for part of a run to be done again: all calls of a task, and what may have used what they returned."""
    arguments = requests.run(the.project, run_id, body.parameters, from_task=body.task)
    return models.Request.model_validate(the.ask("runs.retry", arguments, who.name))


@router.post("/runs/{run_id}/cancel", status_code=202)
def cancel_run(the: The, who: Asker, run_id: Id) -> models.Asking:
    """Ask the process of a run to stop: it ends as Cancelled when it comes to a point where it can."""
    return models.Asking.model_validate(the.cancel_run(run_id, who.name))
