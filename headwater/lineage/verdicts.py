"""Freshness verdicts out of the projection: most in one pass over columns, the rest by the rules themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import TypeAlias

from headwater.assets.definitions import AssetDefinition
from headwater.assets.facts import Facts
from headwater.assets.freshness import (
    Freshness,
    Standing,
    board,
    freshness_from_json,
    standing,
)
from headwater.assets.partitions import UNPARTITIONED, TimePartitions, partitioning
from headwater.lineage.called import names_now
from headwater.lineage.outlined import are_pending
from headwater.lineage.session import Session
from headwater.lineage.standings import Standings
from headwater.lineage.statements import statements

_OPEN, _BY_DAYS = 5, 6
_US = timedelta(microseconds=1)
_Policy: TypeAlias = tuple[str, str, int | None, int | None, str | None, Freshness | None, str, bool, bool, list[str]]


def verdicts(
    session: Session, loaded: Mapping[str, AssetDefinition], facts: Callable[[Iterable[str] | None], Facts], as_of: int
) -> Standings:
    """The verdict on every asset. `facts` gives those of some assets and all upstream of them, or of all."""
    if are_pending(session) or not _are_recorded(session, loaded) or _are_several(session, loaded):
        return by_rules(facts(None), as_of)
    found = _read_columns(session, as_of)
    if by_days := found.are(_BY_DAYS):
        found = found.but(dict(_by_days(session, by_days, found, as_of)))
    if rest := found.are(_OPEN):
        # To put together the facts of all is cheaper than to pick out much of them.
        judged = board(facts(rest if len(rest) * 4 < len(found) else None), as_of)
        found = found.but({name: standing(judged[name]) for name in rest})
    return found


def _are_several(session: Session, loaded: Mapping[str, AssetDefinition]) -> bool:
    """Whether an asset is several datasets (it was renamed and moved), or its earlier name is another one's: columns are of one."""
    renamed = any(one.renamed_from is not None for one in loaded.values())
    if not renamed and not session.rows(statements("catalog.sql")["any_renamed"]):
        return False
    now = names_now(session, loaded)
    return bool(now.before) or not now.earlier.isdisjoint(now.by_name)


def by_rules(facts: Facts, as_of: int) -> Standings:
    """The verdict on every asset that is defined, out of all facts."""
    return Standings.of({name: standing(one) for name, one in board(facts, as_of).items() if name in facts.definitions})


def _read_columns(session: Session, as_of: int) -> Standings:
    import orjson

    ((names, codes, stands, changes),) = session.rows(statements("catalog.sql")["verdicts"], {"as_of": as_of})
    if names is None:
        return Standings.of({})
    return Standings(orjson.loads(names), orjson.loads(codes), stands, changes)


def _by_days(
    session: Session, names: Iterable[str], found: Mapping[str, Standing], as_of: int
) -> Iterator[tuple[str, Standing]]:
    """The verdicts of policies that columns can't be held against, of assets whose clock stands somewhere."""
    policies = dict(session.rows(statements("catalog.sql")["policies_by_days"]))
    for name in names:
        one = found[name]
        if one.at is not None:
            verdict, change = _read(policies[name]).judge(one.at, as_of)
            yield name, one._replace(verdict=verdict, next_change=change)


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
        divided.in_time or one.time_column is not None,
        one.static,
        [used.asset for used in one.inputs],
    )
