"""Routes about the course of runs and backfills, as their pages show it: attempts, timelines, the end of the log, progress."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query

from headwater import clock
from headwater.api import models
from headwater.api.cursors import cut, encoded_cursor, moment_and_id, offset
from headwater.api.parameters import MOST, PAGE, Cursor, Id, Limit, OfState, The, moment
from headwater.api.run_routes import Level
from headwater.api.shared import SharedRoute
from headwater.assets.backfill import PlanStep, plan_from_json
from headwater.errors import UnknownNameError
from headwater.lineage import run_pages
from headwater.lineage.backfills import backfill_record

router = APIRouter(prefix="/api", tags=["runs"], route_class=SharedRoute)

_CELLS = 400
"""Cells of each asset in the picture of a backfill, at most."""
_ASSETS = 100
"""Assets in the picture of a backfill, at most."""


class Flow(models.Answer):
    """A flow that ran: how many of the newest runs are its, and the median of the seconds that they took."""

    flow: str
    runs: int
    usual: float | None = None
    last_state: str | None = None


class Flows(models.Answer):
    """Those that ended last come first."""

    flows: list[Flow]


class Failures(models.Answer):
    """The task runs of a run's newest attempt that failed, with tracebacks, the first one first."""

    run: str
    failures: list[dict[str, Any]]


class Timeline(models.Page):
    """Task runs in the order in which they began, each with the states that it came through."""

    run: str
    task_runs: list[models.TaskRun]
    children: list[dict[str, Any]] = []


class Groups(models.Answer):
    """The task runs of a run by task: their states, and from when to when."""

    run: str
    groups: list[dict[str, Any]]


class Made(models.Answer):
    """What a run made of each asset."""

    run: str
    assets: list[dict[str, Any]]


class BackfillPicture(models.Answer):
    """How far a backfill is: cells of each asset, partitions a second, seconds that are left, and what failed."""

    id: str
    state: str
    request: models.Request | None = None
    backfill: models.Backfill | None = None
    rate: float | None = None
    left: float | None = None
    assets: list[dict[str, Any]] = []
    more: int = 0
    trouble: list[dict[str, Any]] = []


@router.get("/flows")
def flows(the: The, limit: Limit = MOST) -> Flows:
    """The flows that ran of late, and how long they usually take."""
    with the.project.projection.session() as session:
        return Flows.model_validate({"flows": run_pages.flows(session, limit=limit)})


@router.get("/runs/{run_id}/failures")
def failures(the: The, run_id: Id, limit: Limit = 20) -> Failures:
    """What failed in a run's newest attempt, with tracebacks."""
    run = the.reader.run_row(run_id)
    with the.project.projection.session() as session:
        return Failures.model_validate({"run": run["id"], "failures": run_pages.failures(session, run, limit=limit)})


@router.get("/runs/{run_id}/groups")
def groups(the: The, run_id: Id, limit: Limit = MOST) -> Groups:
    """The task runs of a run's newest attempt by task."""
    run = the.reader.run_row(run_id)
    with the.project.projection.session() as session:
        return Groups.model_validate({"run": run["id"], "groups": run_pages.groups(session, run, limit=limit)})


@router.get("/runs/{run_id}/timeline")
def timeline(
    the: The,
    run_id: Id,
    task: Annotated[str | None, Query(max_length=1_000, description="Only runs of this task.")] = None,
    state: OfState = None,
    since: Annotated[datetime | None, Query(description="Only those that had not ended before.")] = None,
    until: Annotated[datetime | None, Query(description="Only those that had begun by then.")] = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> Timeline:
    """The task runs of a run's newest attempt with the states that each came through, the first that began first."""
    run, start = the.reader.run_row(run_id), offset(cursor)
    with the.project.projection.session() as session:
        rows = run_pages.bars(
            session, run, task=task, state=state, between=(_utc(since), _utc(until)), limit=limit + 1, offset=start
        )
        called = run_pages.children(session, run["id"], limit=MOST) if start == 0 and task is None else []
    more = encoded_cursor(start + limit) if len(rows) > limit else None
    shown = [{**child, **_times(the, child["id"])} for child in called[:_ASSETS]]
    return Timeline.model_validate({"run": run["id"], "task_runs": rows[:limit], "children": shown, "next": more})


@router.get("/runs/{run_id}/made")
def made(the: The, run_id: Id, limit: Limit = PAGE) -> Made:
    """What a run, or a run that it called, made of each asset."""
    run = the.reader.run_id(run_id)
    with the.project.projection.session() as session:
        return Made.model_validate({"run": run, "assets": run_pages.made(session, run, limit=limit)})


@router.get("/runs/{run_id}/tail")
def tail(
    the: The,
    run_id: Id,
    level: Level | None = None,
    task: Annotated[str | None, Query(max_length=100, description="Only what this task run logged.")] = None,
    q: Annotated[str | None, Query(max_length=200, description="A part of the message.")] = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> models.Logs:
    """What a run logged and printed, the newest first; the pages go back in time."""
    run, before = the.reader.run_id(run_id), moment_and_id(cursor)
    least = 0 if level is None else logging.getLevelNamesMapping()[level]
    with the.project.projection.session() as session:
        rows = run_pages.tail(session, run, level=least, task=task, text=q or None, before=before, limit=limit + 1)
    return models.Logs.model_validate(cut({"run": run, "logs": rows}, "logs", limit, "at", "id"))


@router.get("/backfills/{backfill_id}/picture")
def picture(the: The, backfill_id: Id) -> BackfillPicture:
    """How far a backfill is, as a picture: partitions are counted together where they are many.

    One that was asked for, and that nobody has begun yet, is its `request` alone.
    """
    try:
        record = backfill_record(the.project.projection, backfill_id)
    except UnknownNameError:
        request = the.reader.work_request(backfill_id)
        if request is None or request["what"] != "backfill":
            raise
        return BackfillPicture(id=request["id"], state=request["state"], request=models.Request(**request))
    request = the.reader.work_request(record.backfill_id)
    found = the.reader.backfill(record.backfill_id)
    steps = plan_from_json(record.plan, the.board.definitions()).steps
    with the.project.projection.session() as session:
        pace = run_pages.pace(session, record.backfill_id)
        assets = [_row(step, run_pages.outcomes(session, record.backfill_id, step.asset)) for step in steps[:_ASSETS]]
        trouble = run_pages.trouble(session, record.backfill_id, limit=PAGE)
    counts = found["partitions"]
    left = counts["requested"] - sum(counts[name] for name in ("completed", "failed", "skipped", "blocked"))
    running = found["state"] in ("running", "resuming", "pausing")
    return BackfillPicture.model_validate(
        {
            "id": record.backfill_id,
            "state": found["state"],
            "request": request,
            "backfill": {name: value for name, value in found.items() if name != "outcomes"},
            "rate": pace,
            "left": left / pace if running and pace else None,
            "assets": assets,
            "more": max(0, len(steps) - _ASSETS),
            "trouble": trouble,
        }
    )


def _row(step: PlanStep, states: dict[str | None, str]) -> dict[str, Any]:
    """The partitions of one asset as cells, each of as many partitions as make them few enough."""
    divided, total = step.partitions.definition, len(step.partitions)
    size = -(-total // _CELLS) or 1
    cells: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    for place, key in enumerate(step.partitions.keys()):
        state = states.get(key, "waiting")
        text = divided.write(key)
        counts[state] = counts.get(state, 0) + 1
        if place % size == 0:
            cells.append({"first": text, "last": text, "states": {}})
        cell = cells[-1]
        cell["last"] = text
        cell["states"][state] = cell["states"].get(state, 0) + 1
    return {"asset": step.asset, "total": total, "states": counts, "size": size, "cells": cells}


def _times(the: The, run_id: str) -> dict[str, Any]:
    run = the.reader.run_row(run_id)
    return {name: run[name] for name in ("state", "started", "ended", "duration", "attempt")}


def _utc(found: datetime | None) -> str | None:
    at = moment(found)
    return None if at is None else clock.rfc3339(at)
