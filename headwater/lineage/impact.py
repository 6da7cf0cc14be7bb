"""What a change of an asset or a column does to all that is made of it: a pure function of the graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

from headwater.lineage.graph import LineageGraph, LineageNode
from headwater.lineage.walking import distances, steps
from headwater.records import dataclass

Change: TypeAlias = Literal["drop", "rename", "retype"]
Effect: TypeAlias = Literal["breaks", "retyped", "affected"]

CARRIES = "IDENTITY"
"""The one kind of edge along which a type is handed on as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckColumns:
    """A check of an asset, and the columns that it names."""

    asset: str
    name: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """A column or an asset that the change reaches, `steps` off, through edges of these kinds (`via`, of columns only).

    `effect`: it "breaks" when what makes it names what is dropped or renamed; it is "retyped" when it is handed on as it is;
    anything else is "affected".
    """

    id: str
    steps: int
    effect: Effect
    via: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The shape of `lineage impact --json`."""
        return {"id": self.id, "steps": self.steps, "effect": self.effect, "via": list(self.via)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """What a change reaches.

    `columns` are those made of it, `wholes` the assets of which every row depends on it (a filter, a join, a group by), `assets`
    all assets that it reaches, `checks` those that name the column (of an asset: all of its own), `stale` the assets that are
    stale once the change was made, and `unknown` those that read the asset in a way that nobody can see.
    """

    subject: str
    change: Change
    columns: tuple[Affected, ...] = ()
    wholes: tuple[Affected, ...] = ()
    assets: tuple[Affected, ...] = ()
    checks: tuple[CheckColumns, ...] = ()
    stale: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The shape of `lineage impact --json`."""
        return {
            "subject": self.subject,
            "change": self.change,
            "columns": [one.to_json() for one in self.columns],
            "wholes": [one.to_json() for one in self.wholes],
            "assets": [one.to_json() for one in self.assets],
            "checks": [{"asset": one.asset, "name": one.name, "columns": list(one.columns)} for one in self.checks],
            "stale": list(self.stale),
            "unknown": list(self.unknown),
        }


def impact(
    graph: LineageGraph,
    subject: str,
    change: Change = "drop",
    *,
    checks: Iterable[CheckColumns] = (),
    unknown: Iterable[str] = (),
) -> Impact:
    """What it does to drop, rename or retype an asset or a column. `graph` holds assets and columns.

    `unknown` names the assets of which some column is of unknown origin. Raises UnknownNameError.
    """
    node = graph.node(subject)
    if node.kind == "column":
        return _of_column(graph, node, change, tuple(checks), frozenset(unknown))
    return _of_asset(graph, node, change, tuple(checks))


def _of_asset(graph: LineageGraph, node: LineageNode, change: Change, checks: tuple[CheckColumns, ...]) -> Impact:
    far = distances(steps(graph, "down", columns=False), node.id)
    assets = tuple(
        Affected(id=name, steps=count, effect=_first(change, count)) for name, count in _sorted(far) if name != node.id
    )
    named = tuple(one for one in checks if one.asset == node.id)
    return Impact(
        subject=node.id, change=change, assets=assets, checks=named, stale=tuple(sorted(one.id for one in assets))
    )


def _of_column(
    graph: LineageGraph, node: LineageNode, change: Change, checks: tuple[CheckColumns, ...], unseen: frozenset[str]
) -> Impact:
    own = str(node.asset)
    far = distances(steps(graph, "down", columns=True), node.id)
    nodes = {one.id: one for one in graph.nodes}
    via = _via(graph, far)
    retyped = _carried(graph, node.id) if change == "retype" else frozenset()
    found = [
        Affected(
            id=name,
            steps=count,
            effect="retyped" if name in retyped else _first(change, count),
            via=tuple(sorted(via.get(name, ()))),
        )
        for name, count in _sorted(far)
        if name != node.id
    ]
    columns = tuple(one for one in found if nodes[one.id].kind == "column")
    wholes = tuple(one for one in found if nodes[one.id].kind == "asset")
    first: dict[str, Affected] = {}
    for one in found:  # nearest first
        name = nodes[one.id].asset or one.id
        if name != own and name not in first:
            first[name] = Affected(id=name, steps=one.steps, effect=one.effect)
    readers = distances(steps(graph, "down", columns=False), own)
    touched = {(nodes[name].asset, nodes[name].name) for name in (node.id, *(one.id for one in columns))}
    return Impact(
        subject=node.id,
        change=change,
        columns=columns,
        wholes=wholes,
        assets=tuple(sorted(first.values(), key=lambda one: (one.steps, one.id))),
        checks=tuple(one for one in checks if any((one.asset, column) in touched for column in one.columns)),
        stale=_stale(graph, own, first),
        # Nearest first: what is behind one that is unknown may be reached through it.
        unknown=tuple(name for name, _ in _sorted(readers) if name != own and name in unseen and name not in first),
    )


def _stale(graph: LineageGraph, own: str, affected: Mapping[str, Affected]) -> tuple[str, ...]:
    """What names the column is made anew with other code, and so is all that is made of that."""
    found = distances(steps(graph, "down", columns=False), *affected)
    return tuple(sorted(found.keys() - {own}))


def _first(change: Change, count: int) -> Effect:
    return "breaks" if change != "retype" and count == 1 else "affected"


def _carried(graph: LineageGraph, start: str) -> frozenset[str]:
    ahead: dict[str, tuple[str, ...]] = {}
    for edge in graph.edges:
        if edge.subtype == CARRIES:
            ahead[edge.source] = (*ahead.get(edge.source, ()), edge.target)
    return frozenset(distances(ahead, start))


def _via(graph: LineageGraph, far: Mapping[str, int]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for edge in graph.edges:
        if edge.subtype is not None and edge.source in far:
            found.setdefault(edge.target, set()).add(edge.subtype)
    for node in graph.nodes:
        if node.asset in found:
            found.setdefault(node.id, set()).update(found[node.asset])
    return found


def _sorted(far: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(far.items(), key=lambda one: (one[1], one[0]))
