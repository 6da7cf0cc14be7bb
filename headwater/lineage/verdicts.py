"""Freshness verdicts out of the projection: most in one pass over columns, the rest by the rules themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from functools import lru_cache
from itertools import repeat
from typing import TypeAlias

from headwater.assets.definitions import AssetDefinition
from headwater.assets.facts import Facts
from headwater.assets.freshness import (
    Freshness,
    FreshnessClock,
    Standing,
    Verdict,
    board,
    freshness_from_json,
    standing,
)
from headwater.assets.partitions import UNPARTITIONED, TimePartitions, partitioning
from headwater.lineage.outlined import are_pending, columns
from headwater.lineage.session import Session
from headwater.lineage.statements import statements

_VERDICTS: tuple[Verdict | None, ...] = ("fresh", "warn", "late", "unknown", "none", None, None)
_OPEN, _BY_DAYS = 5, 6
_CLOCKS: tuple[FreshnessClock | None, ...] = ("data_through", "last_materialized", None)
_US = timedelta(microseconds=1)
_Policy: TypeAlias = tuple[str, str, int | None, int | None, str | None, Freshness | None, str, bool, bool, list[str]]


def verdicts(
    session: Session, loaded: Mapping[str, AssetDefinition], facts: Callable[[Iterable[str] | None], Facts], as_of: int
) -> dict[str, Standing]:
    """The verdict on every asset. `facts` gives those of some assets and all upstream of them, or of all."""
    if are_pending(session) or not _are_recorded(session, loaded):
        known = facts(None)
        return {name: standing(one) for name, one in board(known, as_of).items() if name in known.definitions}
    names, told, clocks, stands, changes = columns(session, "verdicts", {"as_of": as_of})
    rows = zip(map(_VERDICTS.__getitem__, told), map(_CLOCKS.__getitem__, clocks), stands, changes, strict=True)
    # So many are made in less than half the time that they take one by one.
    found: dict[str, Standing] = dict(zip(names, map(tuple.__new__, repeat(Standing), rows), strict=False))
    rest = [name for name, verdict in zip(names, told, strict=True) if verdict == _OPEN]
    if _BY_DAYS in told:
        found.update(_by_days(session, names, told, found, as_of))
    if rest:
        # To put together the facts of all is cheaper than to pick out much of them.
        judged = board(facts(rest if len(rest) * 4 < len(names) else None), as_of)
        found.update((name, standing(judged[name])) for name in rest)
    return found


def _by_days(
    session: Session, names: list[str], told: list[int], found: Mapping[str, Standing], as_of: int
) -> Iterator[tuple[str, Standing]]:
    """The verdicts of policies that columns can't be held against, of assets whose clock stands somewhere."""
    policies = dict(session.rows(statements("catalog.sql")["policies_by_days"]))
    for name, code in zip(names, told, strict=True):
        at = found[name].at
        if code == _BY_DAYS and at is not None:
            verdict, change = _read(policies[name]).judge(at, as_of)
            yield name, found[name]._replace(verdict=verdict, next_change=change)


@lru_cache(maxsize=4096)
def _read(policy: str) -> Freshness:
    import orjson

    return freshness_from_json(orjson.loads(policy))


def _are_recorded(session: Session, loaded: Mapping[str, AssetDefinition]) -> bool:
    """Whether the journal knows these definitions as they are, as far as verdicts go."""
    if not loaded:
        return True
    recorded = {
        name: [*policy[:5], policy[5] and _read(policy[5]), *policy[6:]]
        for name, *policy in session.rows(statements("catalog.sql")["policies"])
    }
    return all(recorded.get(name) == [*_policy(one)] for name, one in loaded.items())


def _policy(one: AssetDefinition) -> _Policy:
    policy, divided, ref = one.freshness, partitioning(one), one.ref
    by_time = isinstance(divided, TimePartitions)
    return (
        ref.namespace,
        ref.dataset,
        None if policy is None or policy.max_lag is None else policy.max_lag // _US,
        None if policy is None or policy.warn is None else policy.warn // _US,
        None if policy is None else policy.clock,
        None if policy is None or policy.is_plain else policy,
        "not" if divided is UNPARTITIONED else "by time" if by_time else "otherwise",
        by_time or one.time_column is not None,
        one.static,
        [used.asset for used in one.inputs],
    )
