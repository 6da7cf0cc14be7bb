"""The graph of assets as their definitions have it: who reads whom, in which order they are made, what is reached. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

from headwater.assets.components import components
from headwater.assets.definitions import AssetDefinition
from headwater.assets.partitions import PartitionSet, partitioning
from headwater.errors import DefinitionError

Edges: TypeAlias = Mapping[str, frozenset[str]]
_Follow: TypeAlias = Callable[[Mapping[str, PartitionSet]], Iterable[tuple[str, PartitionSet]]]


def topological(definitions: Mapping[str, AssetDefinition]) -> tuple[str, ...]:
    """All names, inputs before what reads them, by name where the graph leaves it open.

    Inputs that are not among the definitions are passed over. What assets read of each other's past puts them in no order; any
    other circle is a DefinitionError that names it.
    """
    inputs: Edges = upstream_edges(definitions)
    order = _ordered(inputs)
    if len(order) < len(inputs):
        inputs = _of_now(definitions, inputs)
        order = _ordered(inputs)
    if len(order) < len(inputs):
        raise _cycle(definitions, inputs, set(inputs) - set(order))
    return tuple(order)


def in_turns(definitions: Mapping[str, AssetDefinition]) -> tuple[tuple[str, ...], ...]:
    """All names in groups, inputs before what reads them; together those that read each other's past, and are made by turns, and
    those that one function makes.

    Raises DefinitionError as `topological` does.
    """

    def reads(name: str) -> list[str]:
        inputs = definitions[name].inputs
        read = [used.asset for used in inputs if used.asset != name and used.asset in definitions]
        return [*read, *made_together(definitions, name)] if definitions[name].made_with else read

    groups = components(sorted(definitions), reads)
    return tuple(
        tuple(one) if len(one) == 1 else topological({name: definitions[name] for name in one}) for one in groups
    )


def made_together(definitions: Mapping[str, AssetDefinition], name: str) -> tuple[str, ...]:
    """The other assets that one call makes together with this one, as both definitions have it.

    One that was recorded may be of a time when another function made it.
    """
    here = definitions[name]
    others = ((one, definitions[one]) for one in here.made_with if one in definitions)
    return tuple(one for one, there in others if name in there.made_with and there.partitions == here.partitions)


def planned_by(definitions: Mapping[str, AssetDefinition], names: Iterable[str]) -> tuple[str, ...]:
    """The assets that a plan for these looks at, unless it goes downstream: what they read, what that reads, and what one function
    makes with any of it.
    """
    found = dict.fromkeys(names)
    queue = list(found)
    for name in queue:
        read = (used.asset for used in definitions[name].inputs if used.asset in definitions)
        new = [one for one in (*read, *made_together(definitions, name)) if one not in found]
        found |= dict.fromkeys(new)
        queue += dict.fromkeys(new)
    return tuple(found)


def reached(start: Mapping[str, PartitionSet], follow: _Follow) -> dict[str, PartitionSet]:
    """These partitions of assets, what they lead to, what that leads to, and so on; `follow` tells where a single step leads."""
    found, frontier = dict(start), start
    while frontier:
        new: dict[str, PartitionSet] = {}
        for name, some in follow(frontier):
            if more := some - found[name] if name in found else some:
                new[name] = new[name] | more if name in new else more
        for name, more in new.items():
            found[name] = found[name] | more if name in found else more
        frontier = new
    return found


def _ordered(inputs: Edges) -> list[str]:
    """The names, inputs first, without those that are part of a circle or come after one."""
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
    return order


def _of_now(definitions: Mapping[str, AssetDefinition], inputs: Edges) -> Edges:
    """The same edges, without those by which assets that read each other, and nothing that comes later, read the past."""
    found = dict(inputs)
    for group in components(sorted(inputs), lambda name: sorted(inputs[name])):
        divided = [partitioning(definitions[name]) for name in group]
        inner = [(name, used) for name in group for used in definitions[name].inputs if used.asset in group]
        if all(one.aligned(divided[0]) for one in divided) and all(used.mapping.not_later for _, used in inner):
            for name in group:
                now = {used.asset for reader, used in inner if reader == name and not used.mapping.only_past}
                found[name] = frozenset(found[name] - set(group) | now - {name})
    return found


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


def _cycle(definitions: Mapping[str, AssetDefinition], inputs: Edges, left: set[str]) -> DefinitionError:
    """The error that names one circle among the assets that never became ready: one that is refused by itself."""
    circle = next(_refused(definitions, {name: inputs[name] & left for name in left}))
    divided = [partitioning(definitions[one]) for one in circle]
    earlier = "read earlier partitions through it: .window(-1, -1)"
    if definitions[circle[0]].partitions is None or not all(one.aligned(divided[0]) for one in divided):
        earlier = f"give all of them the same partitions, such as DailyPartitions(…), and {earlier}"
    return DefinitionError(
        f"assets read each other in a circle: {' <- '.join([*circle, circle[0]])}",
        where="the inputs of " + ", ".join(sorted(circle)),
        hint=f"take one of these inputs away, or {earlier}",
    )


def _refused(definitions: Mapping[str, AssetDefinition], inputs: Edges) -> Iterator[list[str]]:
    """Circles that hold no order by themselves. Others, through the past, may be part of the same group: they lead round to one."""
    import networkx as nx  # type: ignore[import-untyped]

    group = next(one for one in components(sorted(inputs), lambda name: sorted(inputs[name])) if len(one) > 1)
    graph = nx.DiGraph([(name, other) for name in sorted(group) for other in sorted(inputs[name] & set(group))])
    for name, other in graph.edges:
        circle = [name, *nx.shortest_path(graph, other, name)[:-1]]
        edges = {one: frozenset([above]) for one, above in zip(circle, [*circle[1:], name], strict=True)}
        if len(_ordered(_of_now(definitions, edges))) < len(edges):
            yield circle
