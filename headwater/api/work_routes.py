"""Routes about work: backfills, materializations that are asked for, and requests."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from headwater.api import models, requests
from headwater.api.cursors import cut, moment_and_id
from headwater.api.parameters import PAGE, Asker, Cursor, Id, Limit, The
from headwater.api.problems import ApiError
from headwater.api.shared import SharedRoute
from headwater.lineage.backfills import backfill_record

router = APIRouter(prefix="/api", tags=["work"], route_class=SharedRoute)


@router.get("/backfills")
def backfills(the: The, limit: Limit = PAGE, cursor: Cursor = None) -> models.Backfills:
    """The backfills, the newest first."""
    found = the.reader.backfills(limit=limit + 1, before=moment_and_id(cursor))
    return models.Backfills.model_validate(cut(found, "backfills", limit, "at", "id"))


@router.post("/backfills", status_code=202)
def create_backfill(the: The, who: Asker, body: models.BackfillAsked) -> models.Request:
    """Ask for a backfill. A worker starts it (`headwater worker`, or `headwater serve --run`); its id is the request's."""
    given = (body.first is not None, body.last is not None)
    if any(given) and (not all(given) or body.partition is not None):
        raise ApiError(400, "usage", "from and to belong together, and partition stands for both")
    the.board.check_selection(body.selection)
    arguments = body.model_dump(by_alias=True, exclude_defaults=True)
    return models.Request.model_validate(the.ask("backfill", arguments, who.name))


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
    return models.Request.model_validate(the.ask("resume", requests.backfill(the.project, backfill_id), who.name))


@router.post("/backfills/{backfill_id}/retry", status_code=202)
def retry(the: The, who: Asker, backfill_id: Id) -> models.Request:
    """Ask that what failed in a backfill, and what that blocked, be tried again."""
    return models.Request.model_validate(the.ask("retry", requests.backfill(the.project, backfill_id), who.name))


@router.post("/materializations", status_code=202)
def materialize(the: The, who: Asker, body: models.MaterializeAsked) -> models.Request:
    """Ask that assets be brought up to date. A worker starts it; its run's id is the request's."""
    the.board.check_selection(body.selection)
    arguments = body.model_dump(exclude_defaults=True)
    return models.Request.model_validate(the.ask("materialize", arguments, who.name))


@router.get("/requests")
def work_requests(
    the: The,
    open_only: Annotated[bool, Query(alias="open", description="Only what has not ended.")] = False,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> models.Requests:
    """Work that was asked for, the newest first."""
    found = the.reader.work_requests(open_only=open_only, limit=limit + 1, before=moment_and_id(cursor))
    return models.Requests.model_validate(cut(found, "requests", limit, "at", "id"))


@router.get("/requests/{request_id}")
def one_request(the: The, request_id: Id) -> models.Request:
    """One request for work, by its whole id."""
    return models.Request.model_validate(the.request(request_id))


@router.post("/requests/{request_id}/cancel")
def cancel_request(the: The, who: Asker, request_id: Id) -> models.Request:
    """Take back what was asked for, before its run has begun. What has begun is cancelled as its run, or its backfill."""
    return models.Request.model_validate(the.cancel_request(request_id, who.name))
