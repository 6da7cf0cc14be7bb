"""Routes about the drawn graph: nodes with their places, ready to be shown, and what a change would reach."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from headwater import clock
from headwater.api.graph import CARDS, Asked, Drawn, Graphs
from headwater.api.grouping import Grouping
from headwater.api.models import Answer, Verdict
from headwater.api.parameters import MOST, Selection, The
from headwater.api.shared import SharedRoute
from headwater.lineage.questions import Questions
from headwater.lineage.svg import document

router = APIRouter(prefix="/api", tags=["assets"], route_class=SharedRoute)

STEPS = 10
"""Steps that are drawn, at most."""
_Root = Annotated[str | None, Query(min_length=1, max_length=10_000, description="An asset, or asset.column.")]
_Steps = Annotated[int, Query(ge=0, le=STEPS, description="Steps from the root.")]
_Further = Annotated[str, Query(pattern="^(up|down):(?s:.+)$", max_length=10_000)]


class GraphColumn(Answer):
    """A column on a card; `unknown` says why nobody can tell where it comes from."""

    id: str
    name: str
    type: str | None
    unknown: str | None


class GraphNode(Answer):
    """An asset, or a group of assets, with its place: the left upper corner, in pixels. `more_up` and `more_down` count what it
    is made of, and what is made of it, that is not drawn."""

    id: str
    type: Literal["asset", "group"]
    name: str
    kind: str | None
    verdict: Verdict
    lag: float | None
    stale: bool
    x: float
    y: float
    width: float
    height: float
    more_up: int
    more_down: int
    columns: list[GraphColumn] = []
    other_columns: list[str] = []
    unknown: str | None = None


class GraphEdge(Answer):
    """A line: from a card (`source`) or a column on it (`from_id`) to another one; `path` are the commands of an SVG path."""

    source: str
    target: str
    from_id: str
    to_id: str
    origin: Literal["declared", "observed", "reported", "grouped"]
    path: str
    type: str | None = None
    subtype: str | None = None


class Graph(Answer):
    """A drawn graph, data from left to right. `trace` are the ids of columns that the root column is made of, or is part of."""

    root: str | None
    column: str | None
    collapse: Grouping
    as_of: str
    total: int
    truncated: bool
    hint: str | None
    width: float
    height: float
    nodes: list[GraphNode]
    edges: list[GraphEdge]
    trace: list[str]


class AffectedBy(Answer):
    """What a change reaches, so many steps off."""

    id: str
    steps: int
    effect: str


class ImpactOf(Answer):
    """What it does to drop, rename or retype an asset or a column; `truncated` says that a list holds the nearest of more, and
    `totals` how many there are."""

    subject: str
    change: Literal["drop", "rename", "retype"]
    columns: list[AffectedBy]
    wholes: list[AffectedBy]
    assets: list[AffectedBy]
    checks: list[dict[str, Any]]
    stale: list[str]
    unknown: list[str]
    totals: dict[str, int]
    truncated: bool


async def asked(
    root: _Root = None,
    up: _Steps = 2,
    down: _Steps = 2,
    columns: Annotated[bool, Query(description="With columns, and the edges between them.")] = False,
    selection: Selection = "*",
    collapse: Annotated[Grouping, Query(description="By what assets share a card, without a root.")] = "auto",
    opened: Annotated[
        list[Annotated[str, Query(max_length=1_000)]] | None,
        Query(max_length=50, description="Groups whose assets are drawn one by one."),
    ] = None,
    further: Annotated[
        list[_Further] | None, Query(max_length=50, description="One step more from an asset: up:delays, down:delays.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MOST, description="Cards, at most.")] = CARDS,
) -> Asked:
    """What is to be drawn."""
    return Asked(
        root=root,
        up=up,
        down=down,
        columns=columns,
        selection=selection,
        collapse=collapse,
        opened=tuple(opened or ()),
        further=tuple(further or ()),
        limit=limit,
    )


async def graphs(request: Request) -> Graphs:
    """What draws for this application."""
    found: Graphs = request.app.state.graphs
    return found


AskedFor = Annotated[Asked, Depends(asked)]
Drawing = Annotated[Graphs, Depends(graphs)]


@router.get("/graph")
def graph(drawing: Drawing, wanted: AskedFor) -> Graph:
    """The graph around an asset or a column with the place of everything; without a root all assets, by groups when many."""
    return Graph.model_validate(_shape(drawing.draw(wanted)))


@router.get("/graph.svg", response_class=Response, responses={200: {"content": {"image/svg+xml": {}}}})
def graph_svg(drawing: Drawing, wanted: AskedFor) -> Response:
    """The same as a picture that needs nothing else."""
    found = drawing.draw(wanted)
    about = "Lineage" if found.root is None else f"Lineage of {wanted.root}"
    root = None if found.root is None else f"asset:{found.root}"
    text = document(found.picture, about, root=root, left_out=found.left_out)
    headers = {"content-disposition": 'attachment; filename="lineage.svg"'}
    return Response(text, media_type="image/svg+xml", headers=headers)


@router.get("/impact")
def impact(
    the: The,
    root: Annotated[str, Query(min_length=1, max_length=10_000, description="An asset, or asset.column.")],
    change: Literal["drop", "rename", "retype"] = "drop",
) -> ImpactOf:
    """What it does to drop, rename or retype an asset or a column: all that is downstream of it, the nearest first."""
    found = Questions(the.project.projection).impact(root, change).to_json()
    lists = {name: value for name, value in found.items() if isinstance(value, list)}
    bounded = {name: value[:MOST] for name, value in lists.items()}
    totals = {name: len(value) for name, value in lists.items()}
    return ImpactOf.model_validate({**found, **bounded, "totals": totals, "truncated": max(totals.values()) > MOST})


def _shape(found: Drawn) -> dict[str, Any]:
    places, sizes = found.picture.places, found.picture.sizes
    nodes = []
    for name, about in found.nodes.items():
        (x, y), (width, height) = places[name], sizes[name]
        nodes.append({"id": name, **about, "x": x, "y": y, "width": width, "height": height})
    edges = [
        {"source": line.source, "target": line.target, "from_id": line.from_id, "to_id": line.to_id, "path": line.path}
        | about
        for line, about in zip(found.picture.lines, found.lines, strict=True)
    ]
    hint = "not everything is drawn: take fewer steps, a narrower selection, or groups" if found.truncated else None
    return {
        "root": found.root,
        "column": found.column,
        "collapse": found.collapse,
        "as_of": clock.rfc3339(found.as_of),
        "total": found.total,
        "truncated": found.truncated,
        "hint": hint,
        "width": found.picture.width,
        "height": found.picture.height,
        "nodes": nodes,
        "edges": edges,
        "trace": list(found.trace),
    }
