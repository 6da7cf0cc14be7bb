"""Sets of whole numbers as sorted, disjoint, merged, half-open intervals: what sets of partitions are made of."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from operator import itemgetter
from typing import TypeAlias

Interval: TypeAlias = tuple[int, int]
Intervals: TypeAlias = tuple[Interval, ...]

_FEW = 8
_end = itemgetter(1)


def merged(intervals: Iterable[Interval]) -> Intervals:
    """The same numbers, sorted and merged; empty intervals vanish.

    >>> merged([(5, 7), (1, 3), (3, 4), (9, 9)])
    ((1, 4), (5, 7))
    """
    found: list[Interval] = []
    for low, high in sorted(interval for interval in intervals if interval[0] < interval[1]):
        if found and low <= found[-1][1]:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return tuple(found)


def intersection(left: Intervals, right: Intervals) -> Intervals:
    """The numbers in both.

    >>> intersection(((1, 5), (8, 10)), ((4, 9),))
    ((4, 5), (8, 9))
    """
    if not left or not right:
        return ()
    found: list[Interval] = []
    i, j = _reaching(left, right[0][0]), _reaching(right, left[0][0])
    while i < len(left) and j < len(right):
        low, high = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if low < high:
            found.append((low, high))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


def _reaching(intervals: Intervals, number: int) -> int:
    """The place of the first interval that ends behind a number; of a few it is quicker to look at all."""
    return bisect_right(intervals, number, key=_end) if len(intervals) > _FEW else 0


def difference(left: Intervals, right: Intervals) -> Intervals:
    """The numbers in `left` that are not in `right`.

    >>> difference(((1, 10),), ((3, 4), (8, 12)))
    ((1, 3), (4, 8))
    """
    found: list[Interval] = []
    j = 0
    for low, high in left:
        while j < len(right) and right[j][1] <= low:
            j += 1
        k = j
        while k < len(right) and right[k][0] < high:
            if low < right[k][0]:
                found.append((low, right[k][0]))
            low = max(low, right[k][1])
            k += 1
        if low < high:
            found.append((low, high))
    return tuple(found)


def of_numbers(numbers: Iterable[int]) -> Intervals:
    """The intervals of single numbers, in any order and with repetitions.

    >>> of_numbers([3, 1, 2, 7, 3])
    ((1, 4), (7, 8))
    """
    return merged((number, number + 1) for number in numbers)


def place(intervals: Intervals, number: int) -> int:
    """How many numbers of the intervals are less than this one.

    >>> [place(((1, 4), (7, 9)), number) for number in (0, 3, 5, 8, 20)]
    [0, 2, 3, 4, 5]
    """
    return sum(min(high, number) - low for low, high in intervals if low < number)


def at_places(intervals: Intervals, places: Intervals) -> Intervals:
    """The numbers of the intervals that stand at these places among them, as `place` counts.

    >>> at_places(((1, 4), (7, 9)), ((2, 4), (9, 12)))
    ((3, 4), (7, 8))
    """
    found: list[Interval] = []
    before = 0
    for low, high in intervals:
        shift = low - before
        found += [(a + shift, b + shift) for a, b in intersection(places, ((before, before + high - low),))]
        before += high - low
    return merged(found)
