"""Freshness: how far behind an asset is, by which clock, and what its policy says of that.

A verdict is a pure function of all known facts and `as_of`: that is only "now", for the lag. Re-making old partitions
never turns a late asset fresh, since the clock that is judged first is how far the data reaches, not when it was made.
"""

from __future__ import annotations

from dataclasses import field
from typing import NamedTuple

from headwater.assets.data_through import Basis, DataThrough, Reach, data_through, partition_data_through
from headwater.assets.definitions import AssetDefinition
from headwater.assets.durations import format_duration, moment
from headwater.assets.facts import Facts
from headwater.assets.freshness_policy import Freshness, FreshnessClock, Verdict, freshness_from_json, judged
from headwater.assets.partitions import partitioning
from headwater.records import dataclass
from headwater.types import Reason

__all__ = [
    "DataThrough",
    "Freshness",
    "FreshnessClock",
    "FreshnessVerdict",
    "Judge",
    "Standing",
    "Verdict",
    "board",
    "data_through",
    "freshness_from_json",
    "partition_data_through",
    "standing",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshnessVerdict:
    """How fresh an asset is, and why: the words, and the path to what holds it back, are made when they are asked for.

    `lag` is in seconds behind `as_of` by `clock` (None: not behind, or not known); times are microseconds since the
    epoch; `next_change` is when the verdict flips if nothing new becomes known. `verdict` is "none" without a policy,
    "unknown" when the clock has no value.
    """

    name: str
    verdict: Verdict
    clock: FreshnessClock
    lag: float | None
    next_change: int | None
    data_through: int | None
    basis: Basis | None
    complete_through: int | None
    last_run: int | None
    last_materialized: int | None
    _through: DataThrough = field(repr=False)
    _policy: Freshness | None = field(repr=False)
    _as_of: int = field(repr=False, compare=False)

    @property
    def witness(self) -> tuple[str, ...]:
        """The path to the input that holds the data back, as "asset@partition" or "asset"."""
        return self._through.witness

    @property
    def clock_value(self) -> int | None:
        """Where the clock that is judged stands, in microseconds since the epoch; None when it has no value."""
        return {
            "data_through": self.data_through,
            "complete_through": self.complete_through,
            "last_materialized": self.last_materialized,
            "last_run": self.last_run,
        }[self.clock]

    @property
    def reason(self) -> Reason:
        """The verdict in a sentence, and behind it what holds the data back."""
        return Reason(self.verdict, self.text, _because(self.clock, self._through))

    @property
    def text(self) -> str:
        """The sentence alone."""
        value = self.clock_value
        text = _lacking(self) if value is None else _standing(self.clock, value, self._as_of, self._policy)
        if self._policy is None:
            text += "; no freshness policy"
        elif self.verdict == "warn" and self._policy.warn is not None:
            text += f", warning from {self._policy.shown(self._policy.warn)} on"
        return text


class Standing(NamedTuple):
    """The verdict on an asset alone: `at` is where the clock stands, `next_change` when the verdict flips if nothing new
    becomes known, both in microseconds since the epoch. Without a policy there is no clock to judge.
    """

    verdict: Verdict
    clock: FreshnessClock | None
    at: int | None
    next_change: int | None


def standing(verdict: FreshnessVerdict) -> Standing:
    """The verdict alone, without how far the data reaches and why."""
    if verdict.verdict == "none":
        return Standing("none", None, None, None)
    return Standing(verdict.verdict, verdict.clock, verdict.clock_value, verdict.next_change)


def board(facts: Facts, as_of: int) -> dict[str, FreshnessVerdict]:
    """The verdict on every asset of the facts at `as_of` (microseconds since the epoch), by name.

    >>> from headwater.assets.definitions import AssetDefinition
    >>> from headwater.assets.events import AssetRef
    >>> from headwater.assets.partitions import DailyPartitions
    >>> ref = AssetRef(name="clicks", uri="memory://clicks", kind="memory", namespace="memory", dataset="clicks")
    >>> days = DailyPartitions("2013-01-01", "2013-01-04")
    >>> clicks = AssetDefinition(ref=ref, partitions=days, code_version="1", freshness=Freshness("26h"))
    >>> verdict = board(Facts(definitions={"clicks": clicks}), as_of=0)["clicks"]
    >>> verdict.verdict, verdict.clock, verdict.reason.text
    ('unknown', 'data_through', 'clicks was never made')
    """
    judge = Judge(facts)
    return {name: judge.verdict(name, as_of) for name in sorted(facts.definitions.keys() | facts.assets.keys())}


class Judge:
    """Tells the verdicts on assets of the same facts, at any moment: how far their data reaches is worked out once."""

    def __init__(self, facts: Facts) -> None:
        self._facts, self._reach, self._measured = facts, Reach(facts), _by_data(facts)

    def verdict(self, name: str, as_of: int) -> FreshnessVerdict:
        """The verdict on an asset at a moment, in microseconds since the epoch."""
        made = self._facts.of(name).made
        counts = self._reach.counts(name)
        newest = max([one.at for key, one in made.items() if counts(key)], default=None)
        return _verdict(self._facts, name, self._reach.asset(name), newest, name in self._measured, as_of)


def _by_data(facts: Facts) -> set[str]:
    """The assets whose `data_through` has a basis in the definitions: their own, or that of an input that ages."""
    readers: dict[str, list[str]] = {}
    for definition in facts.definitions.values():
        for used in definition.inputs:
            readers.setdefault(used.asset, []).append(definition.name)
    work = [name for name, definition in facts.definitions.items() if _own_basis(definition, facts)]
    found = set(work)
    while work:
        name = work.pop()
        if not facts.definitions[name].static:
            new = [reader for reader in readers.get(name, ()) if reader not in found]
            found.update(new)
            work.extend(new)
    return found


def _own_basis(definition: AssetDefinition, facts: Facts) -> bool:
    if definition.time_column is not None or partitioning(definition).in_time:
        return True
    return any(seen.data_through is not None for seen in facts.of(definition.name).observed.values())


def _verdict(
    facts: Facts, name: str, through: DataThrough, made: int | None, by_data: bool, as_of: int
) -> FreshnessVerdict:
    known = facts.of(name)
    definition = facts.definitions.get(name)
    policy = None if definition is None else definition.freshness
    clock: FreshnessClock = (policy and policy.clock) or ("data_through" if by_data else "last_materialized")
    if clock == "data_through":
        value = through.end
    elif clock == "complete_through":
        value = through.complete_through
    else:
        value = made if clock == "last_materialized" else known.last_run
    verdict, change = judged(policy, value, as_of)
    return FreshnessVerdict(
        name=name,
        verdict=verdict,
        clock=clock,
        lag=(as_of - value) / 1e6 if value is not None and as_of >= value else None,
        next_change=change,
        data_through=through.end,
        basis=through.basis,
        complete_through=through.complete_through,
        last_run=known.last_run,
        last_materialized=made,
        _through=through,
        _policy=policy,
        _as_of=as_of,
    )


def _standing(clock: FreshnessClock, value: int, as_of: int, policy: Freshness | None) -> str:
    behind = format_duration((as_of - value) / 1e6) + " behind" if as_of > value else "not behind"
    limit = "" if policy is None else f"; {policy.describe()}"
    return f"{_SAYS[clock]} {moment(value)}, {behind}{limit}"


def _lacking(found: FreshnessVerdict) -> str:
    through = found._through
    never = through.kind in ("never_made", "never_observed")
    if found.clock != "data_through":
        return through.text if never else _NO_VALUE[found.clock].format(name=found.name)
    return through.text if never else f"how far the data reaches is not known: {through.text}"


def _because(clock: FreshnessClock, through: DataThrough) -> tuple[Reason, ...]:
    found = [through.reason] if clock == "data_through" else []
    complete, end = through.complete_through, through.end
    if complete is not None and end is not None and complete < end:
        why = "a partition behind that is missing" if through.gap else "a partition that ends later was begun then"
        found.append(Reason("gap" if through.gap else "begun", f"complete only to {moment(complete)}: {why}"))
    return tuple(found)


_SAYS: dict[FreshnessClock, str] = {
    "data_through": "data reaches",
    "complete_through": "data is complete to",
    "last_materialized": "last materialized",
    "last_run": "last run",
}

_NO_VALUE: dict[FreshnessClock, str] = {
    "data_through": "how far the data of {name} reaches is not known",
    "complete_through": "{name} has no time partitions that are there from the first one on",
    "last_materialized": "{name} was never materialized",
    "last_run": "nothing ever tried to make {name}",
}
