"""Questions about the graph of a project: what a change reaches, the graph at another time, what differs, which tags flow."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from headwater.errors import UnknownNameError
from headwater.lineage.difference import GraphDifference, difference
from headwater.lineage.drawing import Names, Sql, Walk, draw, snapshot
from headwater.lineage.graph import LineageEdge, LineageGraph, LineageNode
from headwater.lineage.impact import Change, CheckColumns, Impact, impact
from headwater.lineage.names import Dataset, keys_of
from headwater.lineage.projection import Projection
from headwater.lineage.session import Session
from headwater.lineage.statements import statements
from headwater.lineage.tags import Column, TagFacts, Tags, tags_of
from headwater.records import dataclass


@dataclass(frozen=True, slots=True)
class Questions:
    """Answers from the projection. Moments are microseconds since the epoch."""

    projection: Projection

    def graph(self, subject: str | None, walk: Walk, *, columns: bool, as_of: int | None = None) -> LineageGraph:
        """The graph around an asset or a column, or of everything; now, or as it was known then. Raises UnknownNameError."""
        if as_of is None:
            with self.projection.session(outlined=True) as session:
                return draw(session, subject, walk, columns=columns)
        with self.projection.session() as session:
            graph = snapshot(session, moment=as_of)
        known = {node.id for node in graph.nodes}
        if subject is not None and subject not in known:
            none = "nothing was known then: give a later time"
            raise UnknownNameError.of("asset or column", subject, known, where="what was known then", none=none)
        return around(graph, subject, walk, columns=columns)

    def impact(self, subject: str, change: Change = "drop") -> Impact:
        """What it does to drop, rename or retype an asset or a column. Raises UnknownNameError."""
        with self.projection.session(outlined=True) as session:
            graph = draw(session, subject, Walk(up=False), columns=False, current=True)
            column = next((node for node in graph.nodes if node.id == subject and node.kind == "column"), None)
            unknown = set[str]()
            if column is not None:
                # Around a column there are columns only: what else reads its asset belongs to the answer, too.
                graph = _joined(graph, draw(session, str(column.asset), Walk(up=False), columns=False, current=True))
                unknown = _unknown(session)
            touched = {subject} if column is None else {node.asset for node in graph.nodes if node.asset is not None}
            checks = _checks(session, touched)
        return impact(graph, subject, change, checks=checks, unknown=unknown)

    def path(self, source: str, target: str) -> tuple[str, ...] | None:
        """The ids along a shortest way from one to the other; None when there is none. Raises UnknownNameError."""
        with self.projection.session(outlined=True) as session:
            graph = draw(session, source, Walk(up=False), columns=False)
            known = {node.id for node in graph.nodes}
            if target not in known:
                # It is known all the same, or else this raises.
                graph = _joined(graph, draw(session, target, Walk(down=False), columns=False))
        return graph.path(source, target)

    def difference(self, before: str | int, after: str | int) -> GraphDifference:
        """What differs between two runs (their ids), or between two moments: what the last run that made each asset until
        then observed, and what was declared. Raises UnknownNameError."""
        with self.projection.session() as session:
            return difference(_state(session, before), _state(session, after))

    def tags(self, as_of: int) -> Tags:
        """The tags of all columns of the versions that were in place at a moment, by the definitions of that time."""
        with self.projection.session() as session:
            return tags_of(_tag_facts(session, as_of))


def around(graph: LineageGraph, subject: str | None, walk: Walk, *, columns: bool) -> LineageGraph:
    """The part of a graph of everything that is about one asset or column. Raises UnknownNameError."""
    if subject is None:
        kept = {node.id for node in graph.nodes if columns or node.kind == "asset"}
        return graph.part(kept)
    node = graph.node(subject)
    of_column = node.kind == "column"
    edges = _edges_around(graph, node.id, walk, columns=of_column)
    if columns and not of_column:
        edges |= _edges_around(graph, node.id, walk, columns=True)
    kept = {node.id}.union(*((edge.source, edge.target) for edge in edges))
    nodes = tuple(one for one in graph.nodes if one.id in kept)
    return LineageGraph(root=node.id, nodes=nodes, edges=tuple(edge for edge in graph.edges if edge in edges))


def _edges_around(graph: LineageGraph, root: str, walk: Walk, *, columns: bool) -> set[LineageEdge]:
    """The edges that `draw` finds: an asset as a whole stands with its columns, and is no step away from them."""
    own: dict[str, set[str]] = {}
    of = {node.id: node.asset for node in graph.nodes if node.asset is not None}
    for name, asset in of.items():
        own.setdefault(asset, set()).add(name)
    found = set[LineageEdge]()
    for here, there in walk.sides:
        at: dict[str, list[LineageEdge]] = {}
        for edge in graph.edges:
            if (edge.subtype is not None) == columns:
                at.setdefault(getattr(edge, here), []).append(edge)
        left, seen, border = walk.steps, set[str](), {root}
        while border and left > 0:
            seen |= border
            if columns:
                border = border.union(*(own.get(one, ()) for one in border))
                border |= {of.get(one, one) for one in border} if here == "target" else set()
            met = [edge for one in border for edge in at.get(one, ())]
            found.update(met)
            border = {getattr(edge, there) for edge in met} - seen
            left -= 1
    return found


def tagged(graph: LineageGraph, tags: Tags) -> LineageGraph:
    """The same graph, whose columns say their tags; those that they may have end with a question mark."""
    found: dict[str, list[str]] = {}
    for one in tags.columns:
        found.setdefault(one.id, []).append(one.tag + ("?" if one.origin == "possible" else ""))
    nodes = [replace(node, tags=tuple(found[node.id])) if node.id in found else node for node in graph.nodes]
    return replace(graph, nodes=tuple(nodes))


def _joined(graph: LineageGraph, more: LineageGraph) -> LineageGraph:
    nodes: dict[str, LineageNode] = {node.id: node for node in (*more.nodes, *graph.nodes)}
    return LineageGraph(
        root=graph.root, nodes=tuple(nodes.values()), edges=tuple(dict.fromkeys((*graph.edges, *more.edges)))
    )


def _state(session: Session, of: str | int) -> LineageGraph:
    if isinstance(of, int):
        return snapshot(session, moment=of, newest=True)
    rows = session.rows(statements("lineage.sql")["runs_like"], {"run": of}) if of else []
    if len(rows) != 1:
        known = [row[0] for row in session.rows(statements("lineage.sql")["runs_like"], {"run": ""})]
        if not rows:
            raise UnknownNameError.of("run", of, known)
        raise UnknownNameError(f"several runs begin with '{of}'", hint="give more of the id: headwater runs lists them")
    return snapshot(session, run=rows[0][0])


def _checks(session: Session, assets: Iterable[str]) -> list[CheckColumns]:
    found: list[CheckColumns] = []
    for name, checks, named in session.rows(statements("lineage.sql")["checks_of"], {"names": list(assets)}):
        columns = json.loads(named or "null") or {}
        found += [
            CheckColumns(asset=name, name=check, columns=tuple(columns.get(check, ())))
            for check in json.loads(checks or "null") or ()
        ]
    return found


def _unknown(session: Session) -> set[str]:
    sql = Sql(session)
    called = {(namespace, dataset): name for namespace, dataset, name in session.rows(sql["unknown_datasets"])}
    names = session.rows(sql["names_of"], keys_of(called))
    called |= {(namespace, dataset): name for name, namespace, dataset in names}
    return set(called.values())


def _tag_facts(session: Session, moment: int) -> TagFacts:
    sql, given = statements("lineage.sql"), {"moment": moment}
    declared: dict[Column, frozenset[str]] = {}
    masks: dict[Column, frozenset[str]] = {}
    names = dict(Names(session).of)
    definitions: dict[str, dict[str, Any]] = {}
    for name, namespace, dataset, text in session.rows(sql["definitions_as_of"], given):
        # Of an asset that was moved, the newest one says all of its tags.
        names[namespace, dataset], definitions[name] = name, json.loads(text)
    for name, definition in definitions.items():
        for found, of in ((declared, definition.get("column_tags")), (masks, definition.get("masks"))):
            for column, labels in (of or {}).items():
                found[name, column] = frozenset(labels)
    if not declared:
        return TagFacts()

    def name_of(place: Dataset) -> str:
        return names.get(place, place[1])

    edges = {
        ((name_of((row["source_namespace"], row["source_dataset"])), row["source_column"]),
         (name_of((row["target_namespace"], row["target_dataset"])), row["target_column"]))
        for row in session.dicts(sql["column_edges_in_place"], given) if row["type"] == "DIRECT"
    }  # fmt: skip
    schemas = session.rows(sql["schemas_as_of"], {**given, "run": None})
    columns = _grouped((name_of((row[0], row[1])), row[2]) for row in schemas)
    inputs = session.rows(sql["inputs_in_place"], given)
    reads = _grouped((name_of((row[2], row[3])), name_of((row[0], row[1]))) for row in inputs)
    unknown = {(name_of((row[0], row[1])), row[2]) for row in session.rows(sql["unknown_in_place"], given)}
    return TagFacts(
        edges=frozenset(edges), declared=declared, masks=masks, unknown=frozenset(unknown), columns=columns, reads=reads
    )


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for name, value in pairs:
        found.setdefault(name, set()).add(value)
    return {name: frozenset(values) for name, values in found.items()}
