"""Routes of the asset's page and the board's head: counts by group, columns and their sources, history, what a check said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query

from headwater import clock
from headwater.api.cursors import decoded, encoded_cursor
from headwater.api.models.base import RUN, TIME, Answer, Page, example
from headwater.api.overview import groups as grouped
from headwater.api.overview import overview as counted
from headwater.api.parameters import PAGE, AsOf, Cursor, Limit, Name, The, Wanted, moment
from headwater.api.service import Service
from headwater.api.shared import SharedRoute
from headwater.errors import UnknownNameError
from headwater.lineage.drawing import types_of
from headwater.lineage.names import split_column_id
from headwater.lineage.near import Near, unknown_of
from headwater.lineage.statements import statements

router = APIRouter(prefix="/api", tags=["assets"], route_class=SharedRoute)

_LISTED = 200
"""Consumers, columns that a column is made of, and columns of an asset (ten times as many), at most."""
_QUERY = 20_000
"""Characters of a query, at most."""


class Standing(Answer):
    """How many assets there are, how many of each verdict, and how many are stale, or failed when they were made last."""

    model_config = example(assets=3, verdicts={"fresh": 2, "late": 1}, stale=1, failed=0)
    assets: int
    verdicts: dict[str, int]
    stale: int
    failed: int


class Overview(Standing):
    """The counts of all, and what they can be grouped by."""

    model_config = example(
        as_of=TIME,
        judged_as_of=TIME,
        assets=3,
        verdicts={"fresh": 2, "late": 1},
        stale=1,
        failed=0,
        groupings=["owner", "kind", "tag:tier"],
    )
    as_of: str
    judged_as_of: str
    groupings: list[str]


class Group(Standing):
    """A group of assets; `selection` means its members, `group` is null for those that belong to none."""

    group: str | None
    selection: str


class Groups(Answer):
    """The groups by their names, at most 500 of `total`."""

    as_of: str
    judged_as_of: str
    by: str
    total: int
    groups: list[Group]


class ColumnSource(Answer):
    """A column that a column is made of: `type` is DIRECT or INDIRECT, `subtype` says how, as OpenLineage does."""

    id: str
    asset: str
    column: str
    type: str | None = None
    subtype: str | None = None


class ColumnRow(Answer):
    """A column, its tags, and what it is made of; `unknown` says why that could not be told.

    `expression` is what a query says of it, in DuckDB's SQL, unless it only hands the column on.
    """

    name: str
    type: str | None = None
    expression: str | None = None
    tags: list[str] = []
    sources: list[ColumnSource] = []
    unknown: str | None = None


class Consumer(Answer):
    """An asset that is made of this one; `origin` is declared or observed."""

    asset: str
    origin: str
    runs: int = 0
    last_seen: str | None = None


class AssetDetail(Answer):
    """What an asset consists of and what is made of it; `query` made what was published last, if it was one."""

    model_config = example(
        name="delays",
        policy="limit 26h",
        max_lag=93_600.0,
        warn=None,
        columns=[
            {
                "name": "day",
                "type": "Date",
                "tags": [],
                "sources": [
                    {"id": "flights.day", "asset": "flights", "column": "day", "type": "DIRECT", "subtype": "IDENTITY"}
                ],
            }
        ],
        all_rows=[
            {"id": "flights.origin", "asset": "flights", "column": "origin", "type": "INDIRECT", "subtype": "FILTER"}
        ],
        consumers=[{"asset": "route_risk", "origin": "observed", "runs": 3, "last_seen": TIME}],
        consumers_total=1,
        query=None,
    )
    name: str
    policy: str | None = None
    max_lag: float | None = None
    warn: float | None = None
    columns: list[ColumnRow]
    all_rows: list[ColumnSource] = []
    consumers: list[Consumer]
    consumers_total: int
    query: str | None = None


class Attempt(Answer):
    """What was tried to make a partition: `seconds` from its intent to its outcome, `version` when it was published."""

    model_config = example(
        id=RUN,
        partition="2026-01-04",
        state="published",
        version="019b",
        run=RUN,
        at=TIME,
        rows=16,
        bytes=2_048,
        seconds=0.4,
    )
    id: str
    partition: str | None = None
    state: str
    version: str | None = None
    run: str | None = None
    flow: str | None = None
    at: str
    rows: int | None = None
    bytes: int | None = None
    seconds: float | None = None
    error: str | None = None
    error_type: str | None = None


class History(Page):
    """What was tried, the newest first."""

    asset: str
    attempts: list[Attempt]


class CheckAnswer(Answer):
    """What a check said of a version."""

    partition: str | None = None
    version: str | None = None
    passed: bool
    severity: str | None = None
    message: str | None = None
    run: str | None = None
    at: str
    published: bool | None = None
    metrics: dict[str, Any] = {}


class CheckAnswers(Answer):
    """The newest first."""

    asset: str
    name: str
    answers: list[CheckAnswer]


@router.get("/assets/overview")
def overview(the: The, wanted: Wanted, as_of: AsOf = None) -> Overview:
    """How many of the assets that are meant have each verdict, are stale, or failed; verdicts are not chosen by here."""
    return Overview.model_validate(counted(the, wanted, moment(as_of)))


@router.get("/assets/groups")
def groups(
    the: The,
    wanted: Wanted,
    by: Annotated[str, Query(min_length=1, max_length=1_000, description="owner, kind, group or tag:KEY")],
    as_of: AsOf = None,
) -> Groups:
    """The same counts of each group of assets, with the selection that means it."""
    return Groups.model_validate(grouped(the, wanted, by, moment(as_of)))


@router.get("/assets/detail")
def detail(the: The, name: Name) -> AssetDetail:
    """The columns of an asset with what each is made of, what is made of the asset, and the policy that it is judged by."""
    definition = the.board.definitions().get(name)
    if definition is None:
        raise UnknownNameError.of("asset", name, the.board.definitions())
    policy = definition.freshness
    tags = {column: list(found) for column, found in definition.column_tags.items()}
    with the.project.projection.session():  # one look for all of it
        consumers = _consumers(the, name)
        columns = _columns(the, name, (definition.ref.namespace, definition.ref.dataset), tags)
    return AssetDetail.model_validate(
        {
            "name": name,
            "policy": None if policy is None else policy.describe(),
            "max_lag": None if policy is None or policy.max_lag is None else policy.max_lag.total_seconds(),
            "warn": None if policy is None or policy.warn is None else policy.warn.total_seconds(),
            **columns,
            "consumers": consumers[:_LISTED],
            "consumers_total": len(consumers),
        }
    )


@router.get("/assets/history")
def history(
    the: The,
    name: Name,
    state: Annotated[str | None, Query(min_length=1, max_length=50, description="published, failed, refused …")] = None,
    partition: Annotated[str | None, Query(min_length=1, max_length=1_000, description="Only this one.")] = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> History:
    """What was tried to make an asset, the newest first, with rows and durations."""
    places = the.reader.places(_known(the, name))
    time, last = decoded(cursor, 2) or (None, None)
    wanted = {
        **places,
        "state": state,
        "partition": partition,
        "time": _number(time),
        "last": None if last is None else str(last),
        "limit": limit + 1,
    }
    with the.project.projection.session() as session:
        rows = session.dicts(statements("pages.sql")["history"], wanted)
    more = encoded_cursor(rows[limit - 1]["time"], rows[limit - 1]["id"]) if len(rows) > limit else None
    attempts = [{**row, "at": clock.rfc3339(row["time"])} for row in rows[:limit]]
    return History.model_validate({"asset": name, "attempts": attempts, "next": more})


@router.get("/checks/answers")
def check_answers(the: The, asset: Name, name: Name, limit: Limit = PAGE) -> CheckAnswers:
    """What one check of an asset said, the newest first."""
    found = the.reader.checks([asset], history=True, check=name, limit=limit)
    answers = [{key: row[key] for key in CheckAnswer.model_fields} for row in found["checks"]]
    return CheckAnswers.model_validate({"asset": asset, "name": name, "answers": answers})


def _known(the: Service, name: str) -> str:
    definitions = the.board.definitions()
    if name not in definitions:
        raise UnknownNameError.of("asset", name, definitions)
    return name


def _number(found: object) -> int | None:
    """A moment out of a cursor: what is none is before everything."""
    return None if found is None else found if isinstance(found, int) and abs(found) < 2**62 else 0


def _consumers(the: Service, name: str) -> list[dict[str, Any]]:
    found = the.reader.lineage(name, up=False, depth=1)
    edges = [edge for edge in found["edges"] if edge["from"] == found["root"]]
    return [
        {"asset": one["to"], **{key: one.get(key) for key in ("origin", "runs", "last_seen")}}
        for one in sorted(edges, key=lambda edge: str(edge["to"]))
    ]


def _columns(the: Service, name: str, place: tuple[str, str], tags: dict[str, list[str]]) -> dict[str, Any]:
    """The columns of what is in place, each with the columns that it is made of."""
    with the.project.projection.session() as session:
        types = {column: kind for _, _, column, kind in types_of(session, [place])}
        unknown = unknown_of(session, Near(root=None, datasets={name: place})).get(name, {})
        made = session.rows(statements("pages.sql")["newest_query"], {"namespace": place[0], "dataset": place[1]})
    query = made[0][0] if made else None
    written = _written(query)
    graph = the.reader.lineage(name, down=False, depth=1, columns=True)
    about = {node["id"]: node for node in graph["nodes"]}
    sources: dict[str | None, list[dict[str, Any]]] = {}
    for edge in graph["edges"]:
        source, target = about[edge["from"]], about[edge["to"]]
        if source["kind"] == "column" and (target["id"] == graph["root"] or target.get("asset") == graph["root"]):
            key = target["name"] if target["kind"] == "column" else None
            sources.setdefault(key, []).append(_source(source, edge))
    names = dict.fromkeys([*types, *(key for key in sources if key is not None)])
    rows = [
        {
            "name": column,
            "type": types.get(column),
            "expression": written.get(column),
            "tags": tags.get(column, []),
            "sources": sources.get(column, [])[:_LISTED],
            "unknown": unknown.get(column, unknown.get(None)),
        }
        for column in list(names)[: 10 * _LISTED]
    ]
    shown = query if query is None or len(query) <= _QUERY else f"{query[: _QUERY - 1]}…"
    return {"columns": rows, "all_rows": sources.get(None, [])[:_LISTED], "query": shown}


def _written(query: str | None) -> Mapping[str, str]:
    if query is None:
        return {}
    from headwater.lineage.columns.written import expressions

    return expressions(query)


def _source(node: dict[str, Any], edge: dict[str, Any]) -> dict[str, Any]:
    asset, column = split_column_id(node["id"]) or (node.get("asset", ""), node["name"])
    return {
        "id": node["id"],
        "asset": asset,
        "column": column,
        "type": edge.get("type"),
        "subtype": edge.get("subtype"),
    }
