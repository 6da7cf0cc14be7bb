"""Routes about partitions as a picture: stretches and grids of states, one partition, and what a backfill would make."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query

from headwater import clock
from headwater.api import models
from headwater.api.parameters import Name, The
from headwater.api.partition_grids import CELLS, product_grid
from headwater.api.partition_picture import States, days, years
from headwater.api.problems import ApiError
from headwater.api.shared import SharedRoute
from headwater.assets import backfill
from headwater.assets.definitions import AssetDefinition
from headwater.assets.intervals import Intervals
from headwater.assets.partition_sets import PartitionSet
from headwater.assets.product_partitions import ProductPartitions
from headwater.assets.time_partitions import TimePartitions
from headwater.lineage import run_pages

router = APIRouter(prefix="/api", tags=["assets"], route_class=SharedRoute)

_DAYS = ("daily", "hourly", "cron")
"""Calendars whose pictures have a cell for each day; the others have one for each partition."""


class Cell(models.Answer):
    """Some partitions that follow each other: the first and the last as they are written, and how many are in each state."""

    label: str
    first: str
    last: str
    states: dict[str, int]


class Grid(models.Answer):
    """The states of an asset's partitions. `cells` are of one year of a calendar, or one page of a list.

    Of products there are `rows` instead, one for each key of the dimension `across`, each with a cell for each of `columns`.
    """

    asset: str
    kind: str
    description: str
    total: int
    states: dict[str, int]
    cells: list[Cell] = []
    years: list[Cell] = []
    year: int | None = None
    next: int | None = None


class PartitionOne(models.Answer):
    """One partition: what is in place, what was tried last, and why it is stale or not."""

    asset: str
    partition: str | None = None
    state: str
    stale: bool
    version: str | None = None
    at: str | None = None
    rows: int | None = None
    run: str | None = None
    error: str | None = None
    tried: dict[str, Any] | None = None
    reason: models.Reason | None = None


class PlannedStep(models.Answer):
    """What a backfill would make of one asset."""

    asset: str
    count: int
    partitions: str
    reason: models.Reason
    usual: float | None = None


class Planned(models.Answer):
    """What a backfill would make, and how many seconds that takes one after the other, if it goes as usual."""

    total: int
    seconds: float | None = None
    steps: list[PlannedStep]


@router.get("/partitions/grid")
def grid(
    the: The,
    asset: Name,
    year: Annotated[int | None, Query(ge=1, le=9998, description="The year of a calendar; the last one.")] = None,
    month: Annotated[int | None, Query(ge=1, le=12, description="The month, of products.")] = None,
    day: Annotated[
        date | None, Query(le=date(9998, 12, 31), description="Only the partitions of this day, each by itself.")
    ] = None,
    across: Annotated[str | None, Query(max_length=200, description="The dimension of a product's rows.")] = None,
    at: Annotated[
        list[str] | None, Query(max_length=8, description="dimension=key, for the other dimensions of a product.")
    ] = None,
    offset: Annotated[int, Query(ge=0, le=2**53, description="Where a page of a list begins.")] = 0,
) -> Grid:
    """The states of partitions as a picture. Partitions are counted, never listed: the answer is as large as the picture."""
    states = the.grids.states(asset)
    divided = states.divided
    common = {
        "asset": asset,
        "kind": divided.to_json()["type"],
        "description": divided.describe(),
        "total": len(states.every),
        "states": states.total(),
    }
    if isinstance(divided, ProductPartitions):
        found = product_grid(states, divided, across=across, at=at or [], year=year, month=month, offset=offset)
        return Grid.model_validate({**common, **found})
    if not isinstance(divided, TimePartitions):
        high = min(offset + CELLS, len(states.every))
        numbers = _numbers(states.every.intervals, offset, high)
        cells = [states.cell(str(divided.key(number) or ""), number, number + 1) for number in numbers]
        return Grid.model_validate({**common, "cells": cells, "next": high if high < len(states.every) else None})
    found = _calendar(states, divided, year=year, day=day)
    return Grid.model_validate({**common, **found})


@router.get("/partitions/one")
def one_partition(
    the: The,
    asset: Name,
    partition: Annotated[str | None, Query(min_length=1, max_length=5_000, description="Its key.")] = None,
) -> PartitionOne:
    """One partition, as it is written beside others; the whole of an asset that has none when it is left out."""
    states = the.grids.states(asset)
    divided, facts = states.divided, the.board.about(asset)
    key = divided.partition(None if partition is None else divided.read(partition)).key
    known = facts.of(asset)
    made, failed = known.made.get(key), known.failed.get(key)
    inside = [state for state, found in states.sets.items() if key in found]
    is_source = facts.definitions[asset].is_source
    judged = None if is_source else the.grids.staleness(asset)
    with the.project.projection.session() as session:
        tried = run_pages.tried(session, asset, key)
    return PartitionOne.model_validate(
        {
            "asset": asset,
            "partition": key,
            "state": inside[0] if inside else "missing",
            "stale": judged is not None and key in judged.stale,
            "version": made.version if made else None,
            "at": clock.rfc3339(made.at) if made else None,
            "rows": made.rows if made else None,
            "run": made.run_id if made else None,
            "error": failed.message if failed else None,
            "tried": tried,
            "reason": None if judged is None else judged.why(key).to_json(),
        }
    )


@router.post("/backfills/plan")
def plan(the: The, body: models.BackfillAsked) -> Planned:
    """What a backfill that is asked for so would make, in which order, and why. Nothing is started."""
    the.board.check_selection(body.selection)
    facts = the.board.facts()
    names = tuple(name for name in the.board.names(body.selection) if not facts.definitions[name].is_source)
    text = body.partition if body.first is None else f"{body.first}..{body.last}"
    request = backfill.BackfillRequest(
        targets=names,
        partitions=None if text is None else _of_last(facts.definitions, names, text),
        upstream=body.upstream,
        downstream=body.downstream,
        only=frozenset(body.only),
        order=body.order,
    )
    found = backfill.plan(facts, request, clock.now_us())
    found = found.estimated(the.reader.usual_seconds(step.asset for step in found.steps))
    steps = [
        {
            "asset": step.asset,
            "count": len(step.partitions),
            "partitions": str(step.partitions.stretches(20)),
            "reason": step.reason.to_json(),
            "usual": step.usual,
        }
        for step in found.steps[:CELLS]
    ]
    return Planned.model_validate({"total": found.total, "seconds": found.seconds, "steps": steps})


def _calendar(states: States, divided: TimePartitions, *, year: int | None, day: date | None) -> dict[str, Any]:
    """The picture of a calendar: an overview of its years, and the days of one of them, or the partitions of one day."""
    within = states.every.intervals
    spans = list(years(divided, within))
    overview = [states.cell(str(one), low, high) for one, low, high in spans]
    # Where something was tried last: a calendar may reach far into what is to come.
    tried = [one for (one, _, _), cell in zip(spans, overview, strict=True) if set(cell["states"]) - {"missing"}]
    shown = year or max(tried, default=spans[-1][0] if spans else None)
    if day is not None:
        found_days = list(days(divided, day, day, within))
        numbers = [number for _, low, high in found_days for number in range(low, min(high, low + CELLS))]
        cells = [states.cell(divided.key(number), number, number + 1) for number in numbers]
    elif divided.step in _DAYS and shown is not None:
        found_days = list(days(divided, date(shown, 1, 1), date(shown, 12, 31), within))
        cells = [states.cell(one.isoformat(), low, high) for one, low, high in found_days]
    else:
        # Weeks and months of all years are few: the newest of them when they are not.
        numbers = [number for _, low, high in spans for number in range(low, high)][-CELLS:]
        cells = [states.cell(divided.key(number), number, number + 1) for number in numbers]
    return {"cells": cells, "years": overview[-200:], "year": shown}


def _of_last(definitions: Mapping[str, AssetDefinition], names: tuple[str, ...], text: str) -> PartitionSet:
    for name in reversed(names):
        if (divided := definitions[name].partitions) is not None:
            return divided.parse(text)
    raise ApiError(400, "usage", "none of these assets has partitions", hint="leave the partitions out")


def _numbers(intervals: Intervals, low: int, high: int) -> list[int]:
    """The numbers of the partitions at these places of a set."""
    found: list[int] = []
    place = 0
    for first, stop in intervals:
        size = stop - first
        if place + size > low and place < high:
            found += range(first + max(low - place, 0), first + min(high - place, size))
        place += size
    return found
