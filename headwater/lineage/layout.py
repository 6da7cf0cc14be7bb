"""Where the cards of a drawing go: in layers from left to right, few crossings, each near to what it is joined to.

Pure and deterministic: the same graph gives the same picture. It is made for a few hundred cards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

from headwater.assets.components import components
from headwater.records import dataclass

Point: TypeAlias = tuple[float, float]
Pair: TypeAlias = tuple[str, str]
_Key: TypeAlias = tuple[str, str, int]
"""A card (its id twice, 0), or where a long edge crosses a layer (both its ends, and the layer)."""

BETWEEN = 96.0
"""Between two layers, in pixels."""
APART = 18.0
"""Between two cards of a layer."""
_SWEEPS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The left upper corner of each card, where each long edge passes between cards, and the size of it all."""

    places: Mapping[str, Point]
    bends: Mapping[Pair, tuple[Point, ...]]
    width: float
    height: float


def layered(sizes: Mapping[str, tuple[float, float]], pairs: Iterable[Pair]) -> Layout:
    """Places for cards of these sizes (width and height); an edge of `pairs` goes to the right wherever it can.

    >>> found = layered({"a": (50, 20), "b": (50, 20)}, [("a", "b")])
    >>> found.places["a"][0] < found.places["b"][0]
    True
    """
    edges = sorted({pair for pair in pairs if pair[0] != pair[1] and pair[0] in sizes and pair[1] in sizes})
    ranks = _ranks(sorted(sizes), edges)
    columns, links = _columns(ranks, edges)
    _uncross(columns, links)
    heights = {key: sizes[key[0]][1] if key[2] == 0 else 0.0 for column in columns for key in column}
    middle = _middles(columns, links, heights)
    left = _lefts(columns, sizes)
    top = min((middle[key] - heights[key] / 2 for key in heights), default=0.0)
    places: dict[str, Point] = {}
    bends: dict[Pair, list[Point]] = {}
    for rank, column in enumerate(columns):
        for key in column:
            if key[2] == 0:
                places[key[0]] = (left[rank], middle[key] - heights[key] / 2 - top)
            else:
                widest = left[rank + 1] - left[rank] - BETWEEN
                points = bends.setdefault((key[0], key[1]), [])
                points += [(left[rank], middle[key] - top), (left[rank] + widest, middle[key] - top)]
    return Layout(
        places=places,
        bends={pair: tuple(points) for pair, points in bends.items()},
        width=max(left[-1] - BETWEEN, 0.0),
        height=max((middle[key] + heights[key] / 2 - top for key in heights), default=0.0),
    )


def _ranks(names: Sequence[str], edges: Sequence[Pair]) -> dict[str, int]:
    """The layer of each card: behind all that it is made of; the cards of a cycle stand in one after the other."""
    inputs: dict[str, list[str]] = {name: [] for name in names}
    readers: dict[str, list[str]] = {name: [] for name in names}
    for source, target in edges:
        inputs[target].append(source)
        readers[source].append(target)
    ranks: dict[str, int] = {}
    for group in components(names, lambda name: inputs[name]):
        for place, name in enumerate(sorted(group)):
            above = [ranks[source] for source in inputs[name] if source in ranks and source not in group]
            ranks[name] = max([*(rank + 1 for rank in above), ranks[sorted(group)[place - 1]] + 1 if place else 0])
    for name in names:
        # What is made of nothing stands right before the first that reads it.
        if not inputs[name] and readers[name]:
            ranks[name] = max(0, min(ranks[reader] for reader in readers[name]) - 1)
    return ranks


def _columns(ranks: Mapping[str, int], edges: Sequence[Pair]) -> tuple[list[list[_Key]], list[tuple[_Key, _Key]]]:
    columns: list[list[_Key]] = [[] for _ in range(max(ranks.values(), default=0) + 1)]
    for name, rank in ranks.items():
        columns[rank].append((name, name, 0))
    links: list[tuple[_Key, _Key]] = []
    for source, target in edges:
        first, last = ranks[source], ranks[target]
        if first > last:
            links.append(((target, target, 0), (source, source, 0)))
            continue
        crossed = [(source, target, rank) for rank in range(first + 1, last)]
        for key in crossed:
            columns[key[2]].append(key)
        links += pairwise([(source, source, 0), *crossed, (target, target, 0)])
    return columns, links


def _joined(links: Iterable[tuple[_Key, _Key]]) -> dict[_Key, list[_Key]]:
    """What each is joined to, on either side."""
    found: dict[_Key, list[_Key]] = {}
    for one, other in links:
        found.setdefault(one, []).append(other)
        found.setdefault(other, []).append(one)
    return found


def _uncross(columns: list[list[_Key]], links: Sequence[tuple[_Key, _Key]]) -> None:
    """Order each layer by the mean place of what it is joined to, forth and back a few times."""
    joined = _joined(links)
    rank_of = {key: rank for rank, column in enumerate(columns) for key in column}
    place = {key: float(at) for column in columns for at, key in enumerate(column)}
    for sweep in range(_SWEEPS):
        forth = sweep % 2 == 0
        for rank in range(len(columns)) if forth else reversed(range(len(columns))):
            weight = {}
            for key in columns[rank]:
                beside = [place[one] for one in joined.get(key, ()) if (rank_of[one] < rank) == forth]
                # What is joined to nothing stands below the rest.
                alone = place[key] if key in joined else float("inf")
                weight[key] = sum(beside) / len(beside) if beside else alone
            columns[rank].sort(key=lambda key: (weight[key], key))
            place.update({key: float(at) for at, key in enumerate(columns[rank])})


def _middles(
    columns: Sequence[Sequence[_Key]], links: Sequence[tuple[_Key, _Key]], heights: Mapping[_Key, float]
) -> dict[_Key, float]:
    joined = _joined(links)
    middle: dict[_Key, float] = {}
    for column in columns:
        _place(column, {}, heights, middle)
    for sweep in range(_SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            wanted = {
                key: sum(middle[one] for one in joined[key]) / len(joined[key]) for key in column if joined.get(key)
            }
            _place(column, wanted, heights, middle)
    return middle


def _place(
    column: Sequence[_Key], wanted: Mapping[_Key, float], heights: Mapping[_Key, float], middle: dict[_Key, float]
) -> None:
    """As near as possible to where each would like to be, in this order and without touching: groups that push each other
    move as one."""
    offset, offsets = 0.0, []
    for at, key in enumerate(column):
        if at:
            offset += (heights[column[at - 1]] + heights[key]) / 2 + APART
        offsets.append(offset)
    groups: list[tuple[float, int]] = []
    for key, off in zip(column, offsets, strict=True):
        groups.append((wanted.get(key, middle.get(key, off)) - off, 1))
        while len(groups) > 1 and groups[-2][0] > groups[-1][0]:
            (last, many), (before, more) = groups.pop(), groups.pop()
            groups.append(((last * many + before * more) / (many + more), many + more))
    at = 0
    for shift, many in groups:
        for key, off in zip(column[at : at + many], offsets[at : at + many], strict=True):
            middle[key] = off + shift
        at += many


def _lefts(columns: Sequence[Sequence[_Key]], sizes: Mapping[str, tuple[float, float]]) -> list[float]:
    """The left of each layer, and of what would come behind the last."""
    found = [0.0]
    for column in columns:
        widest = max((sizes[key[0]][0] for key in column if key[2] == 0), default=0.0)
        found.append(found[-1] + widest + BETWEEN)
    return found
