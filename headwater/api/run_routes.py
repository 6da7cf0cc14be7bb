"""Routes about what runs and ran: runs, task runs, logs, backfills, and requests for work."""

from __future__ import annotations

import logging
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from headwater.api import models
from headwater.api.board import decoded, encoded_cursor, offset
from headwater.api.parameters import PAGE, Asker, Cursor, Id, Limit, The
from headwater.api.problems import ApiError
from headwater.lineage.backfills import backfill_record

router = APIRouter(prefix="/api", tags=["runs"])

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


@router.get("/runs")
def runs(
    the: The,
    flow: Annotated[str | None, Query(max_length=1_000, description="Only runs of this flow.")] = None,
    state: Annotated[str | None, Query(max_length=50, description="Only runs in this state.")] = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> models.Runs:
    """The runs, the newest first, each with its newest attempt."""
    before = decoded(cursor, 2)
    if before is not None and not all(isinstance(one, str) and _is_plain(one) for one in before):
        raise ApiError(400, "cursor", "that is no cursor of this list", hint="take `next` of the page before")
    found = the.reader.runs(flow=flow, state=state, limit=limit + 1, before=None if before is None else tuple(before))
    rows = found["runs"]
    more = encoded_cursor(rows[limit - 1]["started"], rows[limit - 1]["id"]) if len(rows) > limit else None
    return models.Runs.model_validate({"runs": rows[:limit], "next": more})


@router.get("/runs/{run_id}")
def run(the: The, run_id: Id) -> models.Run:
    """One run."""
    return models.Run.model_validate(the.reader.run(run_id))


@router.get("/runs/{run_id}/tasks")
def task_runs(the: The, run_id: Id, limit: Limit = PAGE, cursor: Cursor = None) -> models.TaskRuns:
    """The task runs of a run, the oldest first."""
    start = offset(cursor)
    found = the.reader.task_runs(run_id, limit=limit + 1, offset=start)
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


@router.post("/runs/{run_id}/cancel", status_code=202)
def cancel_run(the: The, who: Asker, run_id: Id) -> models.Asking:
    """Ask the process of a run to stop: it ends as Cancelled when it comes to a point where it can."""
    return models.Asking.model_validate(the.cancel_run(run_id, who.name))


@router.get("/backfills")
def backfills(the: The, limit: Limit = PAGE) -> models.Backfills:
    """The backfills, the newest first."""
    return models.Backfills.model_validate(the.reader.backfills(limit=limit))


@router.post("/backfills", status_code=202)
def create_backfill(the: The, who: Asker, body: models.BackfillAsked) -> models.Request:
    """Ask for a backfill. A worker starts it (`headwater worker`, or `headwater serve --run`); its id is the request's."""
    given = (body.first is not None, body.last is not None)
    if any(given) and (not all(given) or body.partition is not None):
        raise ApiError(400, "usage", "from and to belong together, and partition stands for both")
    the.board.check_selection(body.selection)
    arguments = body.model_dump(by_alias=True, exclude_defaults=True)
    return models.Request.model_validate(the.request(the.ask("backfill", arguments, who.name)))


@router.get("/backfills/{backfill_id}")
def backfill(the: The, backfill_id: Id) -> models.Backfill:
    """One backfill."""
    found = backfill_record(the.project.projection, backfill_id).backfill_id
    return models.Backfill.model_validate({**the.reader.backfill(found)})


@router.post("/backfills/{backfill_id}/pause", status_code=202)
def pause(the: The, who: Asker, backfill_id: Id) -> models.Asking:
    """Ask a backfill to pause: nothing more is launched, what runs is finished."""
    return models.Asking.model_validate(the.stop_backfill(backfill_id, "pause", who.name))


@router.post("/backfills/{backfill_id}/cancel", status_code=202)
def cancel(the: The, who: Asker, backfill_id: Id) -> models.Asking:
    """Cancel a backfill: nothing more is launched, what runs is stopped at its next step. What was made stays."""
    return models.Asking.model_validate(the.stop_backfill(backfill_id, "cancel", who.name))


@router.post("/backfills/{backfill_id}/resume", status_code=202)
def resume(the: The, who: Asker, backfill_id: Id) -> models.Request:
    """Ask that what a backfill left be finished, and what failed in it be tried again."""
    return models.Request.model_validate(the.request(the.ask("resume", {"backfill": backfill_id}, who.name)))


@router.post("/backfills/{backfill_id}/retry", status_code=202)
def retry(the: The, who: Asker, backfill_id: Id) -> models.Request:
    """Ask that what failed in a backfill, and what that blocked, be tried again."""
    return models.Request.model_validate(the.request(the.ask("retry", {"backfill": backfill_id}, who.name)))


@router.get("/requests")
def requests(
    the: The,
    open_only: Annotated[bool, Query(alias="open", description="Only what has not ended.")] = False,
    limit: Limit = PAGE,
) -> models.Requests:
    """Work that was asked for, the newest first."""
    return models.Requests.model_validate(the.reader.work_requests(open_only=open_only, limit=limit))


@router.get("/requests/{request_id}")
def one_request(the: The, request_id: Id) -> models.Request:
    """One request for work, by its whole id."""
    return models.Request.model_validate(the.request(request_id))


def _is_plain(text: str) -> bool:
    return len(text) <= 40 and all(char.isalnum() or char in "-:.TZ" for char in text)
