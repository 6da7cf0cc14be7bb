"""Staleness: what differs between what was recorded when an asset was made and what is so now, per partition.

The kinds of reasons are never_made, code_changed, input_updated (another version of something that was read is in
place, or something that would be read now has come since) and upstream_stale; input_missing stands behind never_made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from headwater.assets.components import components
from headwater.assets.data_through import label
from headwater.assets.definitions import AssetDefinition, InputDefinition
from headwater.assets.facts import AssetFacts, Consumed, Facts, Made
from headwater.assets.intervals import Intervals
from headwater.assets.mappings import PartitionMapping
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
    """The work on one set of facts: assets are judged one after the other, upstream first.

    Most assets are up to date, and most share their partitions with others. So whatever follows from the keys alone is
    worked out once, and no set of partitions is made before there is something to put into it.
    """

    def __init__(self, facts: Facts, as_of: int) -> None:
        self.facts, self.as_of = facts, as_of
        self.found: dict[str, Staleness] = {}
        self._numbers: dict[PartitionsDefinition, dict[str | None, int | None]] = {}
        self._standing: dict[
            tuple[PartitionsDefinition, tuple[str | None, ...]], tuple[PartitionSet, PartitionSet]
        ] = {}
        self._newest: dict[str, int] = {}
        self._numbered: dict[str, dict[int, Made]] = {}
        self._windows: dict[
            tuple[PartitionMapping, PartitionsDefinition, PartitionsDefinition], dict[int, Intervals]
        ] = {}
        self._stale_keys: dict[str, frozenset[str | None]] = {}

    def reads(self, name: str) -> Iterable[str]:
        """The assets that an asset reads: as it is defined, and as it was made."""
        known = self.facts.definitions
        found = {used.asset for used in known[name].inputs}
        for made in self.facts.of(name).made.values():
            for used in made.inputs:
                found.add(used.asset)
        found.discard(name)
        return sorted(used for used in found if used in known)

    def judge(self, name: str) -> None:
        """Judge an asset, everything that it reads having been judged."""
        definition = self.facts.definitions[name]
        divided = partitioning(definition)
        if definition.code_version is None:
            self.found[name] = Staleness(name=name, stale=divided.empty(), missing=divided.empty(), _among=self)
            return
        made = self.facts.of(name).made
        there, missing = self._in_place(divided, made)
        causes = [Cause(kind="never_made", partitions=missing)] if missing else []
        current = (None, definition.code_version)
        changed = [key for key, one in made.items() if one.code_version not in current]
        if changed and (where := self._set(divided, changed)):
            causes.append(Cause(kind="code_changed", partitions=where))
        causes += self._of_inputs(definition, divided, made, there)
        stale = _union(divided, causes) if len(causes) > bool(missing) else missing
        if stale != missing:
            further = self._along_itself(definition, stale - missing, there)
            if further:
                causes.append(Cause(kind="upstream_stale", asset=name, partitions=further))
                stale |= further
            self._stale_keys[name] = frozenset((stale - missing).keys())
        self.found[name] = Staleness(name=name, stale=stale, missing=missing, causes=tuple(causes), _among=self)

    def _in_place(self, divided: PartitionsDefinition, made: _Versions) -> tuple[PartitionSet, PartitionSet]:
        """The partitions that are in place, and those that are missing."""
        keys = tuple(made)
        found = self._standing.get((divided, keys))
        if found is None:
            there = self._set(divided, keys)
            found = self._standing[divided, keys] = there, divided.all(self.as_of) - there
        return found

    def _of_inputs(
        self, definition: AssetDefinition, divided: PartitionsDefinition, made: _Versions, there: PartitionSet
    ) -> list[Cause]:
        updated, upstream = self._consumed(definition.name, divided, made)
        oldest = min([one.started for one in made.values()], default=0)
        for used in definition.inputs:
            if used.asset == definition.name or used.asset not in self.facts.definitions:
                continue
            if made and oldest < self._newest_of(used.asset):
                for number, key in self._come_since(used, divided, made):
                    updated.setdefault(used.asset, {}).setdefault(number, key)
            if used.asset in self._stale_keys:
                behind = self.found[used.asset]
                hit = self._downstream(used, behind.stale - behind.missing, divided) & there
                upstream.setdefault(used.asset, {}).update(
                    {at: None for low, high in hit.intervals for at in range(low, high)}
                )
        if not (updated or upstream):
            return []
        return [*_causes("input_updated", updated, divided), *_causes("upstream_stale", upstream, divided)]

    def _consumed(self, name: str, divided: PartitionsDefinition, made: _Versions) -> tuple[_Seen, _Seen]:
        """What was read and is another version now, and what was read and is stale itself."""
        updated: _Seen = {}
        upstream: _Seen = {}
        assets, stale = self.facts.assets, self._stale_keys
        for one in made.values():
            for used in one.inputs:
                if used.asset == name and used.partition == one.partition:
                    continue
                known = assets.get(used.asset)
                if known is not None and _is_news(known, used, one.started):
                    number = self._number(divided, one.partition)
                    if number is not None:
                        updated.setdefault(used.asset, {}).setdefault(number, used.partition)
                elif used.asset in stale and used.partition in stale[used.asset] and used.asset != name:
                    number = self._number(divided, one.partition)
                    if number is not None:
                        upstream.setdefault(used.asset, {})[number] = used.partition
        return updated, upstream

    def _newest_of(self, name: str) -> int:
        """When a partition of an asset was last made."""
        found = self._newest.get(name)
        if found is None:
            found = self._newest[name] = max([one.at for one in self.facts.of(name).made.values()], default=0)
        return found

    def _come_since(
        self, used: InputDefinition, divided: PartitionsDefinition, made: _Versions
    ) -> Iterator[tuple[int, str | None]]:
        """Partitions of an input that lie in the window, were not read, and were made since."""
        above = partitioning(self.facts.definitions[used.asset])
        there = self._by_number(used.asset, above)
        newest = self._newest_of(used.asset)
        windows = self._windows.setdefault((used.mapping, divided, above), {})
        for key, one in made.items():
            number = self._number(divided, key)
            if number is None or one.started >= newest:
                continue
            if number not in windows:
                windows[number] = self._upstream(used, divided.clip([(number, number + 1)]), above).intervals
            new = [
                known
                for low, high in windows[number]
                for at in range(low, high)
                if (known := there.get(at)) is not None and known.at > one.started
            ]
            if new:
                read = {given.partition for given in one.inputs if given.asset == used.asset}
                yield from ((number, known.partition) for known in new if known.partition not in read)

    def _along_itself(self, definition: AssetDefinition, stale: PartitionSet, there: PartitionSet) -> PartitionSet:
        """The partitions that read stale ones of the same asset, and those that read them, and so on."""
        reached = frontier = stale
        for used in (one for one in definition.inputs if one.asset == definition.name):
            frontier = reached
            while frontier:
                frontier = (self._downstream(used, frontier, stale.definition) & there) - reached
                reached |= frontier
        return reached - stale

    def _number(self, divided: PartitionsDefinition, key: str | None) -> int | None:
        """The number of a partition, as far as the definition (still) has it."""
        numbers = self._numbers.setdefault(divided, {})
        if key not in numbers:
            numbers[key] = _number(divided, key)
        return numbers[key]

    def _by_number(self, name: str, divided: PartitionsDefinition) -> dict[int, Made]:
        """What is in place of an asset, by the number of its partition."""
        if name not in self._numbered:
            numbered = ((self._number(divided, key), one) for key, one in self.facts.of(name).made.items())
            self._numbered[name] = {number: one for number, one in numbered if number is not None}
        return self._numbered[name]

    def _set(self, divided: PartitionsDefinition, keys: Iterable[str | None]) -> PartitionSet:
        numbers = (self._number(divided, key) for key in keys)
        return divided.clip((number, number + 1) for number in numbers if number is not None)

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
_Versions: TypeAlias = Mapping[str | None, Made]
"""What is in place, by partition."""


def _is_news(known: AssetFacts, used: Consumed, started: int) -> bool:
    """Whether another version than the one that was read is in place, or was seen last, since the reading began.

    What is made here is known exactly. Of anything else somebody gave word at some time: what was read after that may
    well be newer, and named in another way.
    """
    made = known.made.get(used.partition)
    if made is not None:
        if used.version is None or made.version == used.version:
            return False
        return made.code_version is not None or made.at > started
    seen = known.observed.get(used.partition)
    return (
        seen is not None and seen.version is not None and used.version not in (None, seen.version) and seen.at > started
    )


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
