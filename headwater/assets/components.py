"""Strongly connected components of a graph, without recursion: chains of thousands of assets are ordinary."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T", bound=Hashable)


def components(roots: Iterable[T], edges: Callable[[T], Iterable[T]]) -> Iterator[list[T]]:
    """All that can be reached from `roots`, in groups: what a group points at comes before it.

    A group of several nodes is a cycle. This is Tarjan's algorithm with a stack of its own.

    >>> graph = {"c": ["b"], "b": ["a", "x"], "a": [], "x": ["b"]}
    >>> [sorted(group) for group in components(["c"], lambda node: graph[node])]
    [['a'], ['b', 'x'], ['c']]
    """
    index: dict[T, int] = {}
    low: dict[T, int] = {}
    held: list[T] = []
    holding: set[T] = set()

    def enter(node: T) -> tuple[T, Iterator[T]]:
        index[node] = low[node] = len(index)
        held.append(node)
        holding.add(node)
        return node, iter(edges(node))

    for root in roots:
        work = [] if root in index else [enter(root)]
        while work:
            node, rest = work[-1]
            for target in rest:
                if target not in index:
                    work.append(enter(target))
                    break
                if target in holding:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    above = work[-1][0]
                    low[above] = min(low[above], low[node])
                if low[node] == index[node]:
                    group = _pop(held, node)
                    holding.difference_update(group)
                    yield group


def _pop(held: list[T], node: T) -> list[T]:
    """Take everything down to `node` off the stack."""
    group = [held.pop()]
    while group[-1] != node:
        group.append(held.pop())
    return group
