"""The graph of assets as their definitions have it: who reads whom, in which order they are made, what is reached. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from headwater.assets.definitions import AssetDefinition
from headwater.errors import DefinitionError

Edges: TypeAlias = Mapping[str, frozenset[str]]


def topological(definitions: Mapping[str, AssetDefinition]) -> tuple[str, ...]:
    """All names, inputs before what reads them, by name where the graph leaves it open.

    Inputs that are not among the definitions are passed over. A DefinitionError names the cycle, if there is one.
    """
    inputs = upstream_edges(definitions)
    readers: dict[str, list[str]] = {name: [] for name in inputs}
    for name, needed in inputs.items():
        for other in needed:
            readers[other].append(name)
    waiting = {name: len(needed) for name, needed in inputs.items()}
    ready = [name for name, count in waiting.items() if count == 0]
    heapq.heapify(ready)
    order: list[str] = []
    while ready:
        name = heapq.heappop(ready)
        order.append(name)
        for reader in readers[name]:
            waiting[reader] -= 1
            if waiting[reader] == 0:
                heapq.heappush(ready, reader)
    if len(order) < len(inputs):
        raise _cycle(inputs, set(inputs) - set(order))
    return tuple(order)


def upstream_edges(definitions: Mapping[str, AssetDefinition]) -> dict[str, frozenset[str]]:
    """For each asset the others that it reads, of those that are defined: its own earlier partitions put nothing in order."""
    return {
        name: frozenset([one.asset for one in definition.inputs if one.asset in definitions and one.asset != name])
        for name, definition in definitions.items()
    }


def reversed_edges(edges: Edges) -> dict[str, frozenset[str]]:
    """The same graph, the other way round."""
    back: dict[str, set[str]] = {name: set() for name in edges}
    for name, others in edges.items():
        for other in others:
            back[other].add(name)
    return {name: frozenset(others) for name, others in back.items()}


def reachable(start: Iterable[str], edges: Edges, depth: int | None = None) -> frozenset[str]:
    """What can be reached from `start` in at most `depth` steps (None: in any number), `start` included."""
    found = set(start)
    border = set(found)
    while border and (depth is None or depth > 0):
        border = {other for name in border for other in edges[name]} - found
        found |= border
        depth = None if depth is None else depth - 1
    return frozenset(found)


def _cycle(inputs: Edges, left: set[str]) -> DefinitionError:
    """The error that names one cycle among the assets that never became ready."""
    # Each of these waits for another of them, so walking upstream must come round.
    path, seen = [min(left)], {min(left): 0}
    while True:
        name = min(inputs[path[-1]] & left)
        if name in seen:
            circle = [*path[seen[name] :], name]
            return DefinitionError(
                f"assets read each other in a circle: {' <- '.join(circle)}",
                where="the inputs of " + ", ".join(sorted(set(circle))),
                hint="take one of these inputs away",
            )
        seen[name] = len(path)
        path.append(name)
