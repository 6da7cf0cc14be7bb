"""Staleness: what differs between what was recorded when an asset was made and what is so now, per partition.

The kinds of reasons are never_made, code_changed, input_updated (another version of something that was read is in
place, or something that would be read now has come since) and upstream_stale; input_missing stands behind never_made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from headwater.assets.components import components
from headwater.assets.data_through import label
from headwater.assets.definitions import AssetDefinition, InputDefinition
from headwater.assets.facts import Facts, Made
from headwater.assets.partitions import PartitionsDefinition, PartitionSet, partitioning
from headwater.errors import DefinitionError, PartitionError
from headwater.types import Reason

CauseKind: TypeAlias = Literal["never_made", "code_changed", "input_updated", "upstream_stale"]

_DEPTH = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One thing that makes partitions stale: what, which partitions, and the input concerned, if one is.

    `examples` gives, by the number of the partition, one partition of the input that the cause was seen at.
    """

    kind: CauseKind
    partitions: PartitionSet
    asset: str | None = None
    examples: Mapping[int, str | None] = field(default_factory=dict, repr=False)

    def reason(self) -> Reason:
        """The cause in a sentence, with the number of partitions and where they lie."""
        return Reason(self.kind, _GROUPED[self.kind].format(asset=self.asset, where=spread(self.partitions)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Staleness:
    """Which partitions of an asset have to be made (again) to be up to date, and why.

    `stale` holds them all; `missing` are those among them that were never made.
    """

    name: str
    stale: PartitionSet
    missing: PartitionSet
    causes: tuple[Cause, ...] = ()
    _among: _Judged = field(repr=False, compare=False)

    @property
    def is_stale(self) -> bool:
        """Whether anything has to be made."""
        return bool(self.stale)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """The causes as sentences, one for each kind and input."""
        return tuple(cause.reason() for cause in self.causes)

    @property
    def reason(self) -> Reason:
        """All of it as one reason."""
        if not self.is_stale:
            return Reason("up_to_date", f"{self.name} is up to date")
        return Reason("stale", f"{self.name} is stale", self.reasons)

    def why(self, partition: str | None = None) -> Reason:
        """Why one partition is stale or not, as a tree up to where it begins; a PartitionError for an unknown key."""
        return self._among.why(self.name, self.stale.definition.ordinal(partition), _DEPTH)


def staleness(facts: Facts, as_of: int) -> dict[str, Staleness]:
    """The staleness of every defined asset, by name; a source, which nothing here makes, is never stale.

    `as_of` (microseconds since the epoch) says how far open-ended partitions reach.

    >>> from headwater.assets.definitions import AssetDefinition
    >>> from headwater.assets.events import AssetRef
    >>> from headwater.assets.partitions import DailyPartitions
    >>> ref = AssetRef(name="clicks", uri="memory://clicks", kind="memory", namespace="memory", dataset="clicks")
    >>> days = DailyPartitions("2013-01-01", "2013-01-04")
    >>> clicks = AssetDefinition(ref=ref, partitions=days, code_version="1")
    >>> print(staleness(Facts(definitions={"clicks": clicks}), as_of=0)["clicks"].reason.tree())
    clicks is stale
      it was never made (3 partitions: 2013-01-01..2013-01-03)
    """
    judged = _Judged(facts, as_of)
    for group in components(sorted(facts.definitions), judged.reads):
        for name in group:
            judged.judge(name)
    return judged.found


class _Judged:
    """The work on one set of facts: assets are judged one after the other, upstream first."""

    def __init__(self, facts: Facts, as_of: int) -> None:
        self.facts, self.as_of = facts, as_of
        self.found: dict[str, Staleness] = {}
        self._numbers: dict[PartitionsDefinition, dict[str | None, int | None]] = {}
        self._versions: dict[str, dict[str | None, tuple[str, float]]] = {}
        self._stale_keys: dict[str, frozenset[str | None]] = {}

    def reads(self, name: str) -> Iterator[str]:
        """The assets that an asset reads: as it is defined, and as it was made."""
        declared = {used.asset for used in self.facts.definitions[name].inputs}
        recorded = {used.asset for made in self.facts.of(name).made.values() for used in made.inputs}
        return iter(sorted(used for used in declared | recorded if used != name and used in self.facts.definitions))

    def judge(self, name: str) -> None:
        """Judge an asset, everything that it reads having been judged."""
        definition = self.facts.definitions[name]
        divided = partitioning(definition)
        if definition.code_version is None:
            self.found[name] = Staleness(name=name, stale=divided.empty(), missing=divided.empty(), _among=self)
            return
        made = self._made(name, divided)
        there = divided.clip((number, number + 1) for number in made)
        missing = divided.all(self.as_of) - there
        causes = [Cause(kind="never_made", partitions=missing)] if missing else []
        changed = [number for number, one in made.items() if one.code_version not in (None, definition.code_version)]
        if changed:
            causes.append(Cause(kind="code_changed", partitions=divided.clip((at, at + 1) for at in changed)))
        causes += self._of_inputs(definition, divided, made, there)
        stale = _union(divided, causes)
        further = self._along_itself(definition, stale - missing, there)
        if further:
            causes.append(Cause(kind="upstream_stale", asset=name, partitions=further))
            stale |= further
        self.found[name] = Staleness(name=name, stale=stale, missing=missing, causes=tuple(causes), _among=self)
        if stale != missing:
            self._stale_keys[name] = frozenset((stale - missing).keys())

    def _of_inputs(
        self, definition: AssetDefinition, divided: PartitionsDefinition, made: dict[int, Made], there: PartitionSet
    ) -> list[Cause]:
        updated, upstream = self._consumed(definition.name, made)
        for used in definition.inputs:
            if used.asset == definition.name or used.asset not in self.facts.definitions:
                continue
            for number, key in self._come_since(used, divided, made):
                updated.setdefault(used.asset, {}).setdefault(number, key)
            behind = self.found.get(used.asset)
            if behind is not None and behind.stale != behind.missing:
                hit = self._downstream(used, behind.stale - behind.missing, divided) & there
                upstream.setdefault(used.asset, {}).update(
                    {at: None for low, high in hit.intervals for at in range(low, high)}
                )
        return [*_causes("input_updated", updated, divided), *_causes("upstream_stale", upstream, divided)]

    def _consumed(self, name: str, made: dict[int, Made]) -> tuple[_Seen, _Seen]:
        """What was read and is another version now, and what was read and is stale itself."""
        updated: _Seen = {}
        upstream: _Seen = {}
        for number, one in made.items():
            for used in one.inputs:
                if used.asset == name and used.partition == one.partition:
                    continue
                now = self._current(used.asset).get(used.partition)
                if now is not None and used.version not in (None, now[0]) and now[1] > one.started:
                    updated.setdefault(used.asset, {}).setdefault(number, used.partition)
                elif used.partition in self._stale_keys.get(used.asset, ()) and used.asset != name:
                    upstream.setdefault(used.asset, {})[number] = used.partition
        return updated, upstream

    def _come_since(
        self, used: InputDefinition, divided: PartitionsDefinition, made: dict[int, Made]
    ) -> Iterator[tuple[int, str | None]]:
        """Partitions of an input that lie in the window, were not read, and were made since."""
        above = partitioning(self.facts.definitions[used.asset])
        there = self._made(used.asset, above)
        newest = max((one.at for one in there.values()), default=0)
        for number, one in made.items():
            if one.started >= newest:
                continue
            read = {given.partition for given in one.inputs if given.asset == used.asset}
            for low, high in self._upstream(used, divided.clip([(number, number + 1)]), above).intervals:
                for at in range(low, high):
                    new = there.get(at)
                    if new is not None and new.at > one.started and new.partition not in read:
                        yield number, new.partition

    def _along_itself(self, definition: AssetDefinition, stale: PartitionSet, there: PartitionSet) -> PartitionSet:
        """The partitions that read stale ones of the same asset, and those that read them, and so on."""
        reached = frontier = stale
        for used in (one for one in definition.inputs if one.asset == definition.name):
            frontier = reached
            while frontier:
                frontier = (self._downstream(used, frontier, stale.definition) & there) - reached
                reached |= frontier
        return reached - stale

    def _made(self, name: str, divided: PartitionsDefinition) -> dict[int, Made]:
        """What is in place by the number of its partition, as far as the definition (still) has that partition."""
        numbers = self._numbers.setdefault(divided, {})
        found = {}
        for key, made in self.facts.of(name).made.items():
            if key not in numbers:
                numbers[key] = _number(divided, key)
            number = numbers[key]
            if number is not None:
                found[number] = made
        return found

    def _current(self, name: str) -> dict[str | None, tuple[str, float]]:
        """The version of each partition that is in place or was seen last, and since when another one is news.

        What is made here is known exactly. Of anything else somebody gave word at some time: what was read after that
        may well be newer, and named in another way.
        """
        if name not in self._versions:
            facts = self.facts.of(name)
            found = {
                key: (one.version, float(one.at)) for key, one in facts.observed.items() if one.version is not None
            }
            for key, made in facts.made.items():
                found[key] = made.version, float(made.at) if made.code_version is None else math.inf
            self._versions[name] = found
        return self._versions[name]

    def _upstream(self, used: InputDefinition, of: PartitionSet, above: PartitionsDefinition) -> PartitionSet:
        try:
            return used.mapping.upstream(of, above, as_of=self.as_of)
        except DefinitionError:
            return above.empty()  # the input has been divided anew since this was defined

    def _downstream(self, used: InputDefinition, of: PartitionSet, below: PartitionsDefinition) -> PartitionSet:
        try:
            return used.mapping.downstream(of, below, as_of=self.as_of)
        except DefinitionError:
            return below.empty()

    def why(self, name: str, number: int, depth: int) -> Reason:
        """Why a partition is stale or not."""
        found = self.found[name]
        here = found.stale.definition.clip([(number, number + 1)])
        subject = label(name, found.stale.definition.key(number))
        if here & found.missing:
            return Reason("never_made", f"{subject} was never made", tuple(self._lacking(name, here)))
        because = tuple(self._because(name, cause, number, depth) for cause in found.causes if here & cause.partitions)
        if because:
            return Reason("stale", f"{subject} is stale", because)
        if self.facts.definitions[name].code_version is None:
            return Reason("up_to_date", f"{subject} is a source: nothing here makes it")
        return Reason("up_to_date", f"{subject} is up to date")

    def _lacking(self, name: str, here: PartitionSet) -> Iterator[Reason]:
        for used in self.facts.definitions[name].inputs:
            behind = self.found.get(used.asset)
            if behind is not None and used.asset != name:
                lacking = self._upstream(used, here, behind.missing.definition) & behind.missing
                if lacking:
                    yield Reason("input_missing", f"its input {used.asset} was never made{spread(lacking)}")

    def _because(self, name: str, cause: Cause, number: int, depth: int) -> Reason:
        if cause.kind == "code_changed":
            return Reason(cause.kind, f"its code changed since it was made{_producer(self.facts.definitions[name])}")
        asset = cause.asset or name
        if cause.kind == "input_updated":
            return Reason(cause.kind, f"its input {label(asset, cause.examples[number])} changed since it was made")
        above = self._stale_above(name, asset, number, cause.examples.get(number))
        text = f"its input {asset} is stale itself"
        if above is None or depth == 0:
            return Reason(cause.kind, text)
        return Reason(cause.kind, text, (self.why(asset, above, depth - 1),))

    def _stale_above(self, name: str, asset: str, number: int, example: str | None) -> int | None:
        """The number of a stale partition of the input that this partition reads."""
        found = self.found[asset]
        here = self.found[name].stale.definition.clip([(number, number + 1)])
        for used in self.facts.definitions[name].inputs:
            if used.asset == asset:
                reads = self._upstream(used, here, found.stale.definition) & (found.stale - found.missing)
                others = reads - here if asset == name else reads
                if others:
                    return others.intervals[0][0]
        return _number(found.stale.definition, example)


_Seen: TypeAlias = dict[str, dict[int, str | None]]
"""By input asset and number of the partition: the partition of the input."""


def _causes(kind: CauseKind, seen: _Seen, divided: PartitionsDefinition) -> Iterator[Cause]:
    for asset in sorted(seen):
        where = divided.clip((number, number + 1) for number in seen[asset])
        if where:
            yield Cause(kind=kind, asset=asset, partitions=where, examples=seen[asset])


def _union(divided: PartitionsDefinition, causes: Iterable[Cause]) -> PartitionSet:
    return divided.clip(interval for cause in causes for interval in cause.partitions.intervals)


def _number(divided: PartitionsDefinition, key: str | None) -> int | None:
    try:
        return divided.ordinal(key)
    except PartitionError:
        return None


def _producer(definition: AssetDefinition) -> str:
    return f" ({definition.producer})" if definition.producer else ""


def spread(partitions: PartitionSet) -> str:
    """Which partitions, to be put behind a sentence; nothing for an asset without partitions.

    >>> from headwater.assets.partitions import DailyPartitions
    >>> spread(DailyPartitions("2013-01-01").parse("2013-01-05..2013-01-07"))
    ' (3 partitions: 2013-01-05..2013-01-07)'
    """
    if partitions.first.key is None:
        return ""
    shown = str(PartitionSet(partitions.definition, partitions.intervals[:3]))
    more = ", …" if len(partitions.intervals) > 3 else ""
    count = len(partitions)
    return f" ({count} partition{'s' if count > 1 else ''}: {shown}{more})"


_GROUPED: dict[CauseKind, str] = {
    "never_made": "it was never made{where}",
    "code_changed": "its code changed since it was made{where}",
    "input_updated": "its input {asset} changed since it was made{where}",
    "upstream_stale": "its input {asset} is stale itself{where}",
}
