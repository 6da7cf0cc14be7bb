"""Walks over a lineage graph that is held as a value: what is reached from a node, how far off it is, and by which way.

Assets and columns are walked apart. From an asset the walk follows edges between assets. From a column it follows those
between columns; one that leads to an asset as a whole (a filter, a join) leads to every column of that asset.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from headwater.lineage.graph import LineageGraph

Direction: TypeAlias = Literal["up", "down"]
Steps: TypeAlias = Mapping[str, tuple[str, ...]]
"""From each node, the nodes one step on, sorted."""


def steps(graph: LineageGraph, direction: Direction, *, columns: bool) -> Steps:
    """One step from each node, along the edges between assets or those between columns."""
    found: dict[str, set[str]] = {}
    for source, target in _ends(graph, columns=columns):
        here, there = (source, target) if direction == "down" else (target, source)
        found.setdefault(here, set()).add(there)
    return {here: tuple(sorted(there)) for here, there in found.items()}


def distances(ahead: Steps, *starts: str, depth: int | None = None) -> dict[str, int]:
    """How many steps off each node is that can be reached in at most `depth` (None: any number), the starts included.

    >>> distances({"a": ("b", "c"), "b": ("d",), "c": ("d",)}, "a")
    {'a': 0, 'b': 1, 'c': 1, 'd': 2}
    """
    found = dict.fromkeys(starts, 0)
    border = list(found)
    while border and (depth is None or found[border[0]] < depth):
        following = []
        for node in border:
            for other in ahead.get(node, ()):
                if other not in found:
                    found[other] = found[node] + 1
                    following.append(other)
        border = following
    return found


def shortest(ahead: Steps, start: str, end: str) -> tuple[str, ...] | None:
    """A way with the fewest steps, both ends included; None when there is none.

    >>> shortest({"a": ("b", "c"), "b": ("d",), "c": ("d",)}, "a", "d")
    ('a', 'b', 'd')
    """
    before: dict[str, str | None] = {start: None}
    waiting = deque([start])
    while waiting:
        node = waiting.popleft()
        if node == end:
            return _way(before, end)
        for other in ahead.get(node, ()):
            if other not in before:
                before[other] = node
                waiting.append(other)
    return None


def _way(before: Mapping[str, str | None], end: str) -> tuple[str, ...]:
    way: list[str] = []
    node: str | None = end
    while node is not None:
        way.append(node)
        node = before[node]
    return tuple(reversed(way))


def _ends(graph: LineageGraph, *, columns: bool) -> set[tuple[str, str]]:
    ends = {(edge.source, edge.target) for edge in graph.edges if (edge.subtype is not None) == columns}
    if columns:
        assets = {node.id for node in graph.nodes if node.kind == "asset"}
        whole = {target for _, target in ends if target in assets}
        ends |= {(node.asset, node.id) for node in graph.nodes if node.asset is not None and node.asset in whole}
    return ends
