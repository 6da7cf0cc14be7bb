"""Changes of verdicts: when they came about, and the functions that are told of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar, cast, overload

from headwater.assets import registry
from headwater.assets.asset import Asset
from headwater.assets.events import FreshnessJudged
from headwater.assets.freshness_policy import Freshness, FreshnessClock, Verdict, judged
from headwater.core.hooks import check_takes_one, hook_name
from headwater.errors import DefinitionError
from headwater.records import dataclass

_log = logging.getLogger("headwater.freshness")
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshnessChange:
    """The verdict on an asset became another one: what hooks are told.

    `at` is when, `stands` where the clock stood by which it was judged, both in microseconds since the epoch; `before` is None
    when it was judged for the first time.

    >>> change = FreshnessChange(asset="delays", verdict="late", before="fresh", at=0, clock="data_through", stands=0)
    >>> f"{change.asset}: {change.before} -> {change.verdict}"
    'delays: fresh -> late'
    """

    asset: str
    verdict: Verdict
    before: Verdict | None
    at: int
    clock: FreshnessClock | None
    stands: int | None


class Stood(NamedTuple):
    """From when on a clock stood somewhere; None: nowhere."""

    since: int
    stands: int | None


class Turn(NamedTuple):
    """When a verdict came about, which, and where the clock stood."""

    at: int
    verdict: Verdict
    stands: int | None


def furthest(ends: Iterable[tuple[str | None, int, int | None]]) -> Iterator[Stood]:
    """The furthest end among partitions as they came into place one after the other: each with when, and its end, if it is known.

    Times in microseconds since the epoch. A partition that comes again counts with its new end alone.

    >>> [one.stands for one in furthest([("a", 1, 10), ("b", 2, 20), ("b", 3, 15), ("a", 4, None)])]
    [10, 20, 15, 15]
    """
    in_place: dict[str | None, int | None] = {}
    # Furthest first; what is not in place any more is thrown away when it gets there.
    known: list[tuple[int, int, str | None]] = []
    for number, (partition, at, end) in enumerate(ends):
        in_place[partition] = end
        if end is not None:
            heappush(known, (-end, number, partition))
        while known and in_place[known[0][2]] != -known[0][0]:
            heappop(known)
        yield Stood(at, -known[0][0] if known else None)


def turns(policy: Freshness | None, stood: Sequence[Stood], since: int, until: int) -> list[Turn]:
    """The verdict at `since`, and each other one up to `until` (included) with the moment at which it came about.

    `stood` is ascending; where the clock stood first it stood ever before. All in microseconds since the epoch.

    >>> turns(Freshness(10), [Stood(0, 0), Stood(30_000_000, 29_000_000)], 1, 35_000_000)
    [Turn(at=1, verdict='fresh', stands=0), Turn(at=10000001, verdict='late', stands=0), \
Turn(at=30000000, verdict='fresh', stands=29000000)]
    """
    found: list[Turn] = []
    for (start, value), (end, _) in pairwise([*stood, Stood(until + 1, None)]):
        at: int | None = since if not found else max(start, since)
        while at is not None and at < min(end, until + 1):
            verdict, change = judged(policy, value, at)
            if not found or found[-1].verdict != verdict:
                found.append(Turn(at, verdict, value))
            at = change
    return found


@overload
def on_freshness(hook: F, /) -> F: ...
@overload
def on_freshness(*assets: Asset) -> Callable[[F], F]: ...
def on_freshness(*given: Any) -> Any:
    """Declare a function that is called when the verdict on an asset changes, with a `FreshnessChange`.

    `@on_freshness` is for all assets, `@on_freshness(delays, risk)` for these. It is called by whoever finds and records the
    change, once for each; what it raises is logged, and changes nothing.

    >>> from headwater import on_freshness
    >>> @on_freshness
    ... def tell(change):
    ...     if change.verdict == "late":
    ...         print(f"{change.asset} is late")
    """
    definitions = registry.current()
    if len(given) == 1 and not isinstance(given[0], Asset) and callable(given[0]):
        check_takes_one(given[0], "a FreshnessChange")
        definitions.add_hook(None, given[0])
        return given[0]
    if not given or not all(isinstance(one, Asset) for one in given):
        raise DefinitionError(
            f"on_freshness needs a function or assets, got {given!r}"[:300],
            hint="write @on_freshness, or @on_freshness(delays)",
        )

    def decorate(fn: F) -> F:
        check_takes_one(fn, "a FreshnessChange")
        for asset in given:
            definitions.add_hook(asset.name, fn)
        return fn

    return decorate


def changes_of(found: Iterable[FreshnessJudged]) -> tuple[FreshnessChange, ...]:
    """The changes among what was found: without what was only looked at again."""
    return tuple(
        FreshnessChange(
            asset=one.asset.name,
            verdict=cast("Verdict", one.verdict),
            before=cast("Verdict | None", one.before),
            at=one.at,
            clock=cast("FreshnessClock | None", one.clock),
            stands=one.stands,
        )
        for one in found
        if one.before != one.verdict
    )


def tell(changes: Iterable[FreshnessChange]) -> None:
    """Call the hooks of each change; what they raise is logged."""
    hooks = registry.current().freshness_hooks
    for change in changes:
        for hook in (*hooks.get(change.asset, ()), *hooks.get(None, ())):
            try:
                hook(change)
            except Exception:  # noqa: BLE001 - a hook is the user's: it may raise anything
                _log.exception("the freshness hook %s failed for %s", hook_name(hook), change.asset)
