"""Routes about assets: the board, one asset, its partitions and history, checks, lineage, and why."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from headwater import clock
from headwater.api import models
from headwater.api.board import PageOf
from headwater.api.cursors import cut, encoded_cursor, moment_and_id, offset, until_and_offset
from headwater.api.parameters import MOST, PAGE, AsOf, Cursor, Limit, Name, Selection, The, Wanted, moment
from headwater.api.shared import SharedRoute
from headwater.assets import board

router = APIRouter(prefix="/api", tags=["assets"], route_class=SharedRoute)

DEPTH = 50
"""Steps that lineage is followed, at most."""
NODES = 5_000
"""Nodes of a graph that are answered, at most."""


def page_of(the: The, wanted: Wanted, as_of: AsOf = None, limit: Limit = PAGE, cursor: Cursor = None) -> PageOf:
    """The page of assets that is asked for."""
    return the.board.page(wanted, as_of=moment(as_of), limit=limit, cursor=cursor)


Paged = Annotated[PageOf, Depends(page_of)]


@router.get("/assets")
def assets(page: Paged) -> models.AssetPage:
    """The board: assets with their partitions, clocks, freshness and staleness, the worst first."""
    found = board.status(page.facts, page.names, page.as_of, page.judged)
    return models.AssetPage.model_validate({**found, **_about(page)})


@router.get("/assets/summary")
def summary(the: The, wanted: Wanted) -> models.Summary:
    """How many assets have each verdict, and how many are stale."""
    return models.Summary.model_validate(the.board.summary(wanted))


@router.get("/assets/one")
def one_asset(the: The, name: Name, as_of: AsOf = None) -> models.AssetOne:
    """One asset, with its definition."""
    return models.AssetOne.model_validate(the.board.one(name, moment(as_of)))


@router.get("/freshness")
def freshness(page: Paged) -> models.FreshnessPage:
    """The verdicts alone, each with its witness: the path to what holds the asset back."""
    found = board.freshness(page.facts, page.names, page.as_of, page.judged)
    return models.FreshnessPage.model_validate({**found, **_about(page)})


@router.get("/staleness")
def staleness(page: Paged) -> models.StalePage:
    """What has to be made again, and why."""
    found = board.status(page.facts, page.names, page.as_of, page.judged)
    rows = [{"name": row["name"], "stale": row["stale"]} for row in found["assets"]]
    return models.StalePage.model_validate({"as_of": found["as_of"], "assets": rows, **_about(page)})


@router.get("/explain")
def explain(the: The, subject: Name, as_of: AsOf = None) -> models.Explanation:
    """Why an asset, or one of its partitions (`delays@2013-01-05`), is fresh or late, stale or up to date."""
    return models.Explanation.model_validate(the.board.explain(subject, moment(as_of)))


@router.get("/partitions")
def partitions(the: The, asset: Name, limit: Limit = PAGE, cursor: Cursor = None) -> models.PartitionPage:
    """The partitions of an asset, with their states."""
    return models.PartitionPage.model_validate(the.board.partitions(asset, limit=limit, cursor=cursor))


@router.get("/materializations")
def materializations(the: The, asset: Name, limit: Limit = PAGE, cursor: Cursor = None) -> models.Materializations:
    """What was tried to make an asset, the newest first, whatever came of it."""
    found = the.reader.materializations(asset, limit=limit + 1, before=moment_and_id(cursor))
    return models.Materializations.model_validate(cut(found, "materializations", limit, "at", "id"))


@router.get("/checks")
def checks(
    the: The,
    selection: Selection = "*",
    q: Annotated[str, Query(max_length=200, description="A part of the asset's name.")] = "",
    failed: Annotated[bool, Query(description="Only what failed.")] = False,
    history: Annotated[bool, Query(description="Every answer, the newest first.")] = False,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> models.Checks:
    """What the checks of assets said."""
    names = None if selection == "*" and not q else the.board.names(selection, q)
    until, start = until_and_offset(cursor) if history else (None, offset(cursor))
    found = the.reader.checks(names, failed=failed, history=history, limit=limit + 1, offset=start, until=until)
    rows, more = found["checks"], None
    if len(rows) > limit:
        # What comes meanwhile stands before all of the history, and must not move what follows.
        more = encoded_cursor(until or rows[0]["at"], str(start + limit)) if history else encoded_cursor(start + limit)
    return models.Checks.model_validate({"checks": rows[:limit], "next": more})


@router.get("/lineage")
def lineage(
    the: The,
    root: Annotated[
        str | None, Query(min_length=1, max_length=10_000, description="An asset, or asset.column.")
    ] = None,
    up: bool = True,
    down: bool = True,
    depth: Annotated[int, Query(ge=1, le=DEPTH)] = 2,
    columns: bool = False,
) -> models.Lineage:
    """The graph around an asset or a column; of everything without a root. At most so many nodes, `truncated` says so."""
    found = the.reader.lineage(root, up=up, down=down, depth=depth, columns=columns)
    return models.Lineage.model_validate(_bounded(found))


@router.get("/lineage/drift")
def drift(the: The) -> models.Drift:
    """Where definitions and runs disagree."""
    found = the.reader.drift()
    return models.Drift.model_validate({**found, **{name: found[name][:MOST] for name in found}})


def _about(page: PageOf) -> dict[str, Any]:
    return {"judged_as_of": clock.rfc3339(page.judged_as_of), "total": page.total, "next": page.next}


def _bounded(found: dict[str, Any]) -> dict[str, Any]:
    if len(found["nodes"]) <= NODES:
        return {**found, "truncated": False}
    nodes = found["nodes"][:NODES]
    kept = {node["id"] for node in nodes}
    edges = [edge for edge in found["edges"] if edge["from"] in kept and edge["to"] in kept]
    return {**found, "nodes": nodes, "edges": edges, "truncated": True}
