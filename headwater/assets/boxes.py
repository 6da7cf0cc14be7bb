"""Sets of points of several dimensions, as runs inside runs: what sets of partitions of a product are made of.

A shape of one dimension is a tuple of intervals. A shape of more is a tuple of runs `(low, high, rest)`: for every number
from `low` to `high` (exclusive) of the first dimension, the other dimensions have the shape `rest`. Runs are sorted and
disjoint, neighbours differ in their rest, and no rest is empty: two shapes of the same points are equal. So a rectangle
of ten years of hours and a thousand regions is one run.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, pairwise
from typing import Any, TypeAlias

from headwater.assets import intervals as ranges
from headwater.assets.intervals import Intervals

Shape: TypeAlias = tuple[Any, ...]
"""Intervals, or runs of shapes of one dimension less."""
_Operation: TypeAlias = Callable[[Intervals, Intervals], Intervals]


def box(sides: Sequence[Intervals]) -> Shape:
    """Every combination of the numbers of these sides.

    >>> box([((0, 3),), ((1, 2), (5, 6))])
    ((0, 3, ((1, 2), (5, 6))),)
    """
    if not all(sides):
        return ()
    shape: Shape = sides[-1]
    for side in reversed(sides[:-1]):
        shape = tuple((low, high, shape) for low, high in side)
    return shape


def union(left: Shape, right: Shape, depth: int) -> Shape:
    """The points of either.

    >>> union(((0, 3, ((1, 2),)),), ((2, 4, ((2, 3),)),), 2)
    ((0, 2, ((1, 2),)), (2, 3, ((1, 3),)), (3, 4, ((2, 3),)))
    """
    return _combined(left, right, depth, _either)


def intersection(left: Shape, right: Shape, depth: int) -> Shape:
    """The points of both.

    >>> intersection(((0, 3, ((1, 2),)),), ((2, 4, ((1, 3),)),), 2)
    ((2, 3, ((1, 2),)),)
    """
    return _combined(left, right, depth, ranges.intersection)


def difference(left: Shape, right: Shape, depth: int) -> Shape:
    """The points of the left one that are not in the right one.

    >>> difference(((0, 3, ((1, 3),)),), ((1, 2, ((1, 2),)),), 2)
    ((0, 1, ((1, 3),)), (1, 2, ((2, 3),)), (2, 3, ((1, 3),)))
    """
    return _combined(left, right, depth, ranges.difference)


def count(shape: Shape, depth: int) -> int:
    """How many points there are.

    >>> count(box([((0, 87_600),), ((0, 1_000),)]), 2)
    87600000
    """
    if depth == 1:
        return sum(high - low for low, high in shape)
    return sum((high - low) * count(rest, depth - 1) for low, high, rest in shape)


def contains(shape: Shape, point: Sequence[int]) -> bool:
    """Whether a point is among them."""
    for number in point:
        place = bisect_right(shape, number, key=lambda run: run[0]) - 1
        if place < 0 or number >= shape[place][1]:
            return False
        shape = shape[place][-1] if len(shape[place]) == 3 else shape
    return True


def sides(shape: Shape, depth: int) -> Iterator[tuple[Intervals, ...]]:
    """The shape as boxes that share no point, each by its sides; runs of the same rest are one box.

    >>> list(sides(((0, 1, ((1, 2),)), (1, 4, ((1, 3),)), (7, 9, ((1, 2),))), 2))
    [(((0, 1), (7, 9)), ((1, 2),)), (((1, 4),), ((1, 3),))]
    """
    if depth == 1:
        yield (shape,)
        return
    alike: dict[Shape, list[tuple[int, int]]] = {}
    for low, high, rest in shape:
        alike.setdefault(rest, []).append((low, high))
    for rest, runs in alike.items():
        for others in sides(rest, depth - 1):
            yield tuple(runs), *others


def of_boxes(boxes: Iterable[Sequence[Intervals]], depth: int) -> Shape:
    """The points of any of these boxes, given by their sides."""
    found: list[Shape] = [box(one) for one in boxes]
    # Pairwise, as in a merge sort: one after the other would walk through the growing result each time.
    while len(found) > 1:
        pairs = zip(found[::2], found[1::2], strict=False)
        found = [union(left, right, depth) for left, right in pairs] + found[len(found) & ~1 :]
    return found[0] if found else ()


def points(shape: Shape, depth: int) -> Iterator[tuple[int, ...]]:
    """The points one at a time, in order."""
    if depth == 1:
        yield from ((number,) for low, high in shape for number in range(low, high))
        return
    for low, high, rest in shape:
        for number in range(low, high):
            yield from ((number, *others) for others in points(rest, depth - 1))


def end(shape: Shape, depth: int, place: int) -> tuple[int, ...]:
    """The first point (place 0) or the last one (place -1)."""
    run = shape[place]
    number = run[0] if place == 0 else run[1] - 1
    return (number,) if depth == 1 else (number, *end(run[2], depth - 1, place))


def flat(shape: Shape, bounds: Sequence[tuple[int, int]]) -> Intervals:
    """The places of the points in the order of all that lie in the bounds, first dimension outermost.

    >>> flat(((5, 7, ((0, 2),)),), [(5, 9), (0, 2)]), flat(((5, 7, ((1, 2),)),), [(5, 9), (0, 2)])
    (((0, 4),), ((1, 2), (3, 4)))
    """
    return ranges.merged(_flat(shape, bounds))


def _flat(shape: Shape, bounds: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    first = bounds[0][0]
    if len(bounds) == 1:
        yield from ((low - first, high - first) for low, high in shape)
        return
    width = room(bounds[1:])
    for low, high, rest in shape:
        inner = flat(rest, bounds[1:])
        if inner == ((0, width),):
            yield (low - first) * width, (high - first) * width
        else:
            starts = range((low - first) * width, (high - first) * width, width)
            yield from ((start + a, start + b) for start in starts for a, b in inner)


def folded(places: Intervals, bounds: Sequence[tuple[int, int]]) -> Shape:
    """The points at these places: `flat`, the other way round.

    >>> folded(((1, 4),), [(5, 9), (0, 2)])
    ((5, 6, ((1, 2),)), (6, 7, ((0, 2),)))
    """
    first = bounds[0][0]
    if len(bounds) == 1:
        return tuple((low + first, high + first) for low, high in places)
    width = room(bounds[1:])
    inner: dict[Intervals, Shape] = {}
    found: list[tuple[int, int, Shape]] = []
    for low, high, part in _split(places, width):
        rest = inner.get(part)
        if rest is None:
            rest = inner[part] = folded(part, bounds[1:])
        _push(found, low + first, high + first, rest)
    return tuple(found)


def _split(places: Intervals, width: int) -> Iterator[tuple[int, int, Intervals]]:
    """Each number of the first dimension that is begun, with the places inside it; whole ones that follow each other together."""
    at, inside = -1, list[tuple[int, int]]()
    for low, high in places:
        while low < high:
            number, offset = divmod(low, width)
            if number != at and inside:
                yield at, at + 1, tuple(inside)
                inside = []
            at = number
            if offset == 0 and high - low >= width:
                whole = (high - low) // width
                yield number, number + whole, ((0, width),)
                low += whole * width
            else:
                cut = min(high - number * width, width)
                inside.append((offset, cut))
                low = number * width + cut
    if inside:
        yield at, at + 1, tuple(inside)


def room(bounds: Sequence[tuple[int, int]]) -> int:
    """How many points there are inside the bounds."""
    found = 1
    for low, high in bounds:
        found *= high - low
    return found


def _either(left: Intervals, right: Intervals) -> Intervals:
    return ranges.merged(left + right)


def _combined(left: Shape, right: Shape, depth: int, operation: _Operation) -> Shape:
    if depth == 1:
        return operation(left, right)
    if not left or not right or left is right:
        return _trivial(left, right, operation)
    found: list[tuple[int, int, Shape]] = []
    cuts = sorted({cut for run in chain(left, right) for cut in run[:2]})
    i = j = 0
    for low, high in pairwise(cuts):
        while i < len(left) and left[i][1] <= low:
            i += 1
        while j < len(right) and right[j][1] <= low:
            j += 1
        mine = left[i][2] if i < len(left) and left[i][0] <= low else ()
        others = right[j][2] if j < len(right) and right[j][0] <= low else ()
        rest = _combined(mine, others, depth - 1, operation) if mine or others else ()
        if rest:
            _push(found, low, high, rest)
    return tuple(found)


def _trivial(left: Shape, right: Shape, operation: _Operation) -> Shape:
    """What comes of two shapes of which one is empty, or which are one and the same."""
    if left is right:
        return () if operation is ranges.difference else left
    if operation is _either:
        return left or right
    return left if operation is ranges.difference else ()


def _push(found: list[tuple[int, int, Shape]], low: int, high: int, rest: Shape) -> None:
    if found and found[-1][1] == low and found[-1][2] == rest:
        found[-1] = (found[-1][0], high, rest)
    else:
        found.append((low, high, rest))
