"""`lineage`: the graph around an asset or a column, and the ways in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from headwater.cli.commands import LINEAGE
from headwater.cli.common import moment, open_project
from headwater.cli.options import COMMON, WHERE, Common, Flag, Selection, Where
from headwater.cli.output import emit, instant
from headwater.cli.tables import table
from headwater.cli.trees import tree
from headwater.errors import UsageError
from headwater.lineage.names import column_id

if TYPE_CHECKING:
    from headwater.lineage.graph import LineageEdge, LineageGraph

Format = Literal["tree", "table", "json", "mermaid", "dot", "svg"]


def lineage(
    asset: Selection | None = None,
    /,
    *,
    up: Flag = False,
    down: Flag = False,
    depth: int | None = None,
    columns: Flag = False,
    as_of: str | None = None,
    drift: Flag = False,
    format: Format = "tree",
    common: Common = COMMON,
    where: Where = WHERE,
) -> int:
    """Print what an asset or a column is made of, and what is made of it.

    Parameters
    ----------
    asset
        An asset, or one of its columns: carrier_scorecard.avg_delay. '*' is everything, in all forms but the tree.
        Without one it is --drift that is shown.
    up
        Only what it is made of.
    down
        Only what is made of it.
    depth
        So many steps at most.
    columns
        The columns too.
    as_of
        The graph as it was known then.
    drift
        Instead, of all assets: what was declared and never observed, and the reverse.
    format
        How to print it.
    """
    if depth is not None and depth < 0:
        raise UsageError(f"--depth {depth} is not a number of steps", hint="give 0 or more")
    if drift or asset is None:
        around = {
            "--up": up,
            "--down": down,
            "--depth": depth is not None,
            "--columns": columns,
            "--as-of": as_of is not None,
        }
        _check_drift(asset, [name for name, given in around.items() if given], format)
        project = open_project(where)
        with project.recorded():
            value = project.reader.drift()
        emit(value, common.json or format == "json", lambda: _drift_text(value))
        return 0
    project, both = open_project(where), up == down
    from headwater.lineage.drawing import Walk
    from headwater.lineage.questions import Questions, tagged

    questions = Questions(project.projection)
    walk, until = Walk(up=up or both, down=down or both, depth=depth), None if as_of is None else moment(as_of)
    # What is only defined yet has its edges too.
    with project.recorded(outlined=True):
        graph = questions.graph(None if asset == "*" else asset, walk, columns=columns, as_of=until)
        of_columns = any(node.kind == "column" for node in graph.nodes)
        if of_columns:
            graph = tagged(graph, questions.tags(moment(as_of)))
        is_asked = (of_columns or columns) and walk.up and until is None
        unknown = _unknown_in(graph, project.reader.unknown_columns()) if is_asked else []
    value = graph.to_json()
    if of_columns or columns:
        value["unknown"] = unknown
    emit(value, common.json or format == "json", lambda: _text(graph, format, unknown, up=walk.up, down=walk.down))
    return 0


def _unknown_in(graph: LineageGraph, unknown: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is not known of the columns of a graph: without it they would look as if they were made of nothing."""
    there = {node.id for node in graph.nodes}
    # Around a column only columns are there: what is said of all columns of an asset is said of them.
    of_columns = {node.asset for node in graph.nodes}
    return [
        row
        for row in unknown
        if row["asset"] in there or _target(row) in there or (row["column"] is None and row["asset"] in of_columns)
    ]


def _target(row: Mapping[str, Any]) -> str:
    return row["asset"] if row["column"] is None else column_id(row["asset"], row["column"])


def _check_drift(asset: str | None, around: list[str], format: Format) -> None:
    """Raise UsageError for what says nothing about the drift of all assets: a graph was meant."""
    around += [] if format in ("tree", "json") else [f"--format {format}"]
    if asset is not None:
        raise UsageError(f"--drift is of all assets, and '{asset}' is one", hint="leave one of the two out")
    if around:
        hint = "name an asset; '*' is everything"
        raise UsageError(f"{around[0]} is for the graph of an asset, and none is named", hint=hint)


def _text(graph: LineageGraph, format: Format, unknown: list[dict[str, Any]], *, up: bool, down: bool) -> str:
    if format == "mermaid":
        return graph.to_mermaid()
    if format == "dot":
        return graph.to_dot()
    if format == "svg":
        return graph.to_svg()
    if format == "table" or graph.root is None:
        return _table(graph)
    tags = {node.id: f"  [{', '.join(node.tags)}]" for node in graph.nodes if node.tags}
    columns = [_column_line(edge) + tags.get(edge.target, "") for edge in graph.edges if edge.subtype is not None]
    columns += [_unknown_line(row) for row in unknown]
    return "\n\n".join([*_trees(graph, up=up, down=down), *(["\n".join(columns)] if columns else [])])


def _table(graph: LineageGraph) -> str:
    headers = ("from", "to", "origin", "type", "runs", "last seen")
    rows = [
        (edge.source, edge.target, edge.origin, edge.subtype, edge.runs, instant(edge.last_seen))
        for edge in graph.edges
    ]
    return table(headers, rows, numbers=("runs",), spare=("last seen", "runs", "type"))


def _trees(graph: LineageGraph, *, up: bool, down: bool) -> list[str]:
    of_column = any(node.id == graph.root and node.kind == "column" for node in graph.nodes)
    if not of_column:
        # The tree of an asset shows assets; its columns follow as lines of their own.
        graph = replace(graph, edges=tuple(edge for edge in graph.edges if edge.subtype is None))
    parts = [graph.tree(direction="up")] if up else []
    if down and (not up or any(edge.source == graph.root for edge in graph.edges)):
        parts.append(("used by:\n" if up else "") + graph.tree(direction="down"))
    return parts


def _column_line(edge: LineageEdge) -> str:
    how = (edge.subtype or "").lower().replace("_", " ")
    return f"{edge.target} ← {edge.source} ({how})"


def _unknown_line(row: Mapping[str, Any]) -> str:
    return f"{_target(row)} ← unknown: {row['reason']}"


def _drift_text(value: Mapping[str, Any]) -> str:
    lines = [f"declared, never observed: {row['from']} → {row['to']}" for row in value["declared_only"]]
    lines += [f"observed, not declared:   {row['from']} → {row['to']}" for row in value["observed_only"]]
    lines += [f"unknown origin:           {row['asset']}: {row['reason']}" for row in value.get("unknown", ())]
    return "\n".join(lines) or "no drift: what was declared is what was observed"


def lineage_path(source: Selection, target: Selection, /, *, common: Common = COMMON, where: Where = WHERE) -> int:
    """Print a shortest way from one to the other, in the direction of the data; 1 when there is none.

    Parameters
    ----------
    source
        An asset or a column.
    target
        What may be made of it: an asset, or a column when the source is one.
    """
    from headwater.lineage.questions import Questions

    project = open_project(where)
    with project.recorded(outlined=True):
        path = Questions(project.projection).path(source, target)
    value = {"from": source, "to": target, "path": None if path is None else list(path)}
    emit(value, common.json, lambda: " → ".join(path) if path else f"nothing leads from {source} to {target}")
    return 0 if path else 1


lineage_app = tree("lineage", LINEAGE, lineage)
"""`lineage` itself, and the commands under it."""
