"""Strongly connected components of a graph, without recursion: chains of thousands of assets are ordinary."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T", bound=Hashable)


def components(roots: Iterable[T], edges: Callable[[T], Iterable[T]]) -> Iterator[list[T]]:
    """All that can be reached from `roots`, in groups: what a group points at comes before it.

    A group of several nodes is a cycle. This is Tarjan's algorithm with a stack of its own; a node that points only at
    what has been given already is a group by itself, without any of its bookkeeping.

    >>> graph = {"c": ["b"], "b": ["a", "x"], "a": [], "x": ["b"]}
    >>> [sorted(group) for group in components(["c"], lambda node: graph[node])]
    [['a'], ['b', 'x'], ['c']]
    """
    given: set[T] = set()
    for root in roots:
        if root in given:
            continue
        targets = [target for target in edges(root) if target not in given]
        if targets:
            yield from _reached(root, targets, edges, given)
        else:
            given.add(root)
            yield [root]


def _reached(root: T, targets: list[T], edges: Callable[[T], Iterable[T]], given: set[T]) -> Iterator[list[T]]:
    index: dict[T, int] = {root: 0}
    low: dict[T, int] = {root: 0}
    held = [root]
    work = [(root, iter(targets))]
    while work:
        node, rest = work[-1]
        for target in rest:
            if target in given:
                continue
            if target in index:
                low[node] = min(low[node], index[target])
                continue
            below = [one for one in edges(target) if one not in given]
            if not below:
                given.add(target)
                yield [target]
                continue
            index[target] = low[target] = len(index)
            held.append(target)
            work.append((target, iter(below)))
            break
        else:
            work.pop()
            if work:
                above = work[-1][0]
                low[above] = min(low[above], low[node])
            if low[node] == index[node]:
                group = _pop(held, node)
                given.update(group)
                yield group


def _pop(held: list[T], node: T) -> list[T]:
    """Take everything down to `node` off the stack."""
    group = [held.pop()]
    while group[-1] != node:
        group.append(held.pop())
    return group
