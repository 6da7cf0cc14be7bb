"""Selections: which assets a person means by `+delays`, `tag:tier=gold and not stale()`, `kind:parquet`."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from headwater.assets.definitions import AssetDefinition
from headwater.assets.selection_syntax import (
    And,
    Downstream,
    Every,
    Named,
    Not,
    OfKind,
    Or,
    Owned,
    Selection,
    Stale,
    Tagged,
    Upstream,
    parse_selection,
    place,
)
from headwater.errors import DefinitionError, UnknownNameError, UsageError

Edges: TypeAlias = Mapping[str, frozenset[str]]


def select(
    expression: str, definitions: Mapping[str, AssetDefinition], *, stale: Callable[[str], bool] | None = None
) -> tuple[str, ...]:
    """The names that a selection means, inputs before what reads them.

    An asset's name, `*` for all, `tag:key` or `tag:key=value`, `owner:name`, `kind:scheme`, `stale()`, joined with
    `and`, `or`, `not` and parentheses. `+x` adds everything upstream, `2+x` two steps of it; `x+` and `x+2` downstream.
    A name that holds other characters stands in quotes. `stale` answers for `stale()`.

    Raises UsageError for what can't be read, with its place, and UnknownNameError for a name that is none.
    """
    found = _Evaluation(definitions, stale).names(parse_selection(expression))
    return tuple(name for name in topological(definitions) if name in found)


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
    """For each asset the assets that it reads, of those that are defined."""
    return {
        name: frozenset([one.asset for one in definition.inputs if one.asset in definitions])
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


class _Evaluation:
    """What a parsed selection means among these definitions."""

    def __init__(self, definitions: Mapping[str, AssetDefinition], stale: Callable[[str], bool] | None) -> None:
        self._definitions = definitions
        self._stale = stale
        self._inputs = upstream_edges(definitions)
        self._readers = reversed_edges(self._inputs)
        self._all = frozenset(definitions)

    def names(self, term: Selection) -> frozenset[str]:
        match term:
            case And(terms=terms):
                return self._all.intersection(*map(self.names, terms))
            case Or(terms=terms):
                return frozenset().union(*map(self.names, terms))
            case Not(term=inner):
                return self._all - self.names(inner)
            case Upstream(term=inner, depth=depth):
                return reachable(self.names(inner), self._inputs, depth)
            case Downstream(term=inner, depth=depth):
                return reachable(self.names(inner), self._readers, depth)
            case _:
                return self._leaf(term)

    def _leaf(self, term: Every | Named | Tagged | Owned | OfKind | Stale) -> frozenset[str]:
        match term:
            case Every():
                return self._all
            case Named():
                return self._named(term)
            case Tagged(key=key, value=value):
                return self._where(lambda one: key in one.tags and value in (None, one.tags[key]))
            case Owned(owner=owner):
                return self._where(lambda one: owner in one.owners)
            case OfKind(kind=kind):
                return self._where(lambda one: one.ref.kind == kind)
            case Stale(position=position):
                if self._stale is None:
                    raise UsageError(
                        "stale() can't be answered here", where=place(position), hint="it needs the record of past runs"
                    )
                return frozenset(filter(self._stale, self._all))

    def _where(self, holds: Callable[[AssetDefinition], bool]) -> frozenset[str]:
        return frozenset(name for name, definition in self._definitions.items() if holds(definition))

    def _named(self, term: Named) -> frozenset[str]:
        if term.name not in self._definitions:
            raise UnknownNameError.of("asset", _readable(term.name), self._definitions, where=place(term.position))
        return frozenset((term.name,))


def _readable(name: str) -> str:
    """A name as an error may show it: it may be long, or hold what a terminal obeys."""
    text = name if name.isprintable() else ascii(name)[1:-1]
    return text if len(text) <= 80 else f"{text[:80]}…"


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
