"""Staleness: what differs between what was recorded when an asset was made and what is so now, per partition.

The kinds of reasons are never_made, code_changed, input_updated (another version of something that was read is in
place, or something that would be read now has come since) and upstream_stale; input_missing stands behind never_made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from headwater.assets.components import components
from headwater.assets.data_through import label
from headwater.assets.definitions import AssetDefinition, InputDefinition
from headwater.assets.divided import Divided
from headwater.assets.facts import AssetFacts, Consumed, Facts, Made
from headwater.assets.intervals import Intervals
from headwater.assets.mappings import PartitionMapping
from headwater.assets.partitions import PartitionsDefinition, PartitionSet, partitioning
from headwater.assets.uncollected import uncollected
from headwater.errors import DefinitionError
from headwater.types import Reason

CauseKind: TypeAlias = Literal["never_made", "code_changed", "input_updated", "upstream_stale"]

_DEPTH = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One thing that makes partitions stale: what, which partitions, and the input concerned, if one is.

    `examples` gives, by partition, one partition of the input that the cause was seen at.
    """

    kind: CauseKind
    partitions: PartitionSet
    asset: str | None = None
    examples: Mapping[str | None, str | None] = field(default_factory=dict, repr=False)

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
    with uncollected():
        for group in components(facts.definitions, judged.unjudged):
            for name in sorted(group):
                judged.judge(name)
    return judged.found


class _Judged:
    """The work on one set of facts: assets are judged one after the other, upstream first.

    Most assets are up to date, so nothing is made for an asset before there is something to say of it.
    """

    def __init__(self, facts: Facts, as_of: int) -> None:
        self.facts, self.as_of = facts, as_of
        self.found: dict[str, Staleness] = {}
        self._ways: dict[PartitionsDefinition | None, Divided] = {}
        self._newest: dict[str, int] = {}
        self._windows: dict[tuple[PartitionMapping, Divided, Divided], dict[str | None, Intervals]] = {}
        self._below: dict[tuple[PartitionMapping, Divided, Intervals, Divided, Intervals], PartitionSet] = {}
        self._behind: dict[str, PartitionSet] = {}
        """The partitions that are in place and stale, of each asset that has such."""
        self._behind_keys: dict[str, frozenset[str | None]] = {}

    def unjudged(self, name: str) -> list[str]:
        """The assets that an asset reads, as it is defined and as it was made, and that have not been judged."""
        known, judged = self.facts.definitions, self.found
        found = [used.asset for used in known[name].inputs if used.asset not in judged]
        for made in self.facts.of(name).made.values():
            found += [used.asset for used in made.inputs if used.asset not in judged]
        return [one for one in dict.fromkeys(found) if one != name and one in known] if found else found

    def judge(self, name: str) -> None:
        """Judge an asset, everything that it reads having been judged."""
        definition = self.facts.definitions[name]
        divided = self._way(definition)
        if definition.is_source:
            self.found[name] = Staleness(name=name, stale=divided.none, missing=divided.none, _among=self)
            return
        made = self.facts.of(name).made
        missing = divided.without(tuple(made))
        current = (None, definition.code_version)
        changed = tuple([key for key, one in made.items() if one.code_version not in current])
        causes = []
        if changed and (where := divided.set_of(changed)):
            causes.append(Cause(kind="code_changed", partitions=where))
        if made:
            causes += self._of_inputs(definition, divided, made)
        if causes:
            causes = self._held_behind(definition, divided, made, causes)
        if missing:
            causes.insert(0, Cause(kind="never_made", partitions=missing))
        behind = self._behind.get(name)
        stale = missing if behind is None else missing | behind if missing else behind
        self.found[name] = Staleness(name=name, stale=stale, missing=missing, causes=tuple(causes), _among=self)

    def _held_behind(
        self, definition: AssetDefinition, divided: Divided, made: _Versions, causes: list[Cause]
    ) -> list[Cause]:
        """Note which partitions are in place and stale; the causes, with the one that they are for each other."""
        name = definition.name
        behind = causes[0].partitions
        for cause in causes[1:]:
            if cause.partitions is not behind:
                behind = behind | cause.partitions
        own = [used for used in definition.inputs if used.asset == name]
        if own and (further := self._along_itself(own, behind, divided.set_of(tuple(made)))):
            causes = [*causes, Cause(kind="upstream_stale", asset=name, partitions=further)]
            behind = behind | further
        self._behind[name] = behind
        self._behind_keys[name] = divided.keys(behind)
        return causes

    def _way(self, definition: AssetDefinition) -> Divided:
        found = self._ways.get(definition.partitions)
        if found is None:
            found = self._ways[definition.partitions] = Divided(partitioning(definition), self.as_of)
        return found

    def _of_inputs(self, definition: AssetDefinition, divided: Divided, made: _Versions) -> list[Cause]:
        updated, upstream = self._consumed(definition.name, made)
        oldest = min([one.started for one in made.values()])
        where: dict[str, PartitionSet] = {}
        for used in definition.inputs:
            source = used.asset
            if source == definition.name or source not in self.facts.definitions:
                continue
            newest = self._newest_of(source)
            if oldest < newest:
                for key, part in self._come_since(used, divided, made, newest):
                    updated.setdefault(source, {}).setdefault(key, part)
            # Mostly everything in place has read what is stale, and it can't get worse.
            if source in self._behind and len(upstream.get(source, ())) < len(made):
                hit = self._downstream(used, divided, divided.set_of(tuple(made)))
                where[source] = where[source] | hit if source in where else hit
        causes = _causes("input_updated", updated, {}, divided) if updated else []
        return causes + _causes("upstream_stale", upstream, where, divided) if upstream or where else causes

    def _consumed(self, name: str, made: _Versions) -> tuple[_Seen, _Seen]:
        """What was read and is another version now, and what was read and is stale itself."""
        updated: _Seen = {}
        upstream: _Seen = {}
        assets, behind = self.facts.assets, self._behind_keys
        for key, one in made.items():
            for used in one.inputs:
                asset, partition, version = used
                if asset == name and partition == key:
                    continue
                known = assets.get(asset)
                now = None if known is None else known.made.get(partition)
                # Nearly always it is in place still: only otherwise is there a question.
                if (
                    (now is None or now.version != version)
                    and known is not None
                    and _is_news(known, now, used, one.started)
                ):
                    updated.setdefault(asset, {}).setdefault(key, partition)
                elif asset in behind and partition in behind[asset] and asset != name:
                    upstream.setdefault(asset, {})[key] = partition
        return updated, upstream

    def _newest_of(self, name: str) -> int:
        """When a partition of an asset was last made."""
        found = self._newest.get(name)
        if found is None:
            found = self._newest[name] = max([one.at for one in self.facts.of(name).made.values()], default=0)
        return found

    def _come_since(
        self, used: InputDefinition, divided: Divided, made: _Versions, newest: int
    ) -> list[tuple[str | None, str | None]]:
        """What has come since: each of these partitions with each one of the input that lies in its window, was not
        read, and was made since."""
        there = self.facts.of(used.asset).made
        found: list[tuple[str | None, str | None]] = []
        for key, one in made.items():
            if one.started >= newest:
                continue
            read = {given.partition for given in one.inputs if given.asset == used.asset}
            if len(there) <= len(read) and there.keys() <= read:
                continue  # it read all that is there
            above = self._way(self.facts.definitions[used.asset])
            for low, high in self._window(used, divided, above, key):
                for part in map(above.name, range(low, high)):
                    known = there.get(part)
                    if known is not None and known.at > one.started and part not in read:
                        found.append((key, part))
        return found

    def _window(self, used: InputDefinition, divided: Divided, above: Divided, key: str | None) -> Intervals:
        """The partitions of an input that one partition reads."""
        windows = self._windows.setdefault((used.mapping, divided, above), {})
        if key not in windows:
            here = divided.set_of((key,))
            windows[key] = self._upstream(used, here, above.definition).intervals if here else ()
        return windows[key]

    def _along_itself(self, own: list[InputDefinition], stale: PartitionSet, there: PartitionSet) -> PartitionSet:
        """The partitions that read stale ones of the same asset, and those that read them, and so on."""
        reached = frontier = stale
        for used in own:
            frontier = reached
            while frontier:
                frontier = (self._mapped(used, frontier, there) & there) - reached
                reached |= frontier
        return reached - stale

    def _upstream(self, used: InputDefinition, of: PartitionSet, above: PartitionsDefinition) -> PartitionSet:
        try:
            return used.mapping.upstream(of, above, as_of=self.as_of)
        except DefinitionError:
            return above.empty()  # the input has been divided anew since this was defined

    def _downstream(self, used: InputDefinition, below: Divided, there: PartitionSet) -> PartitionSet:
        """Those of the partitions in place that read what is stale of an input."""
        behind = self._behind[used.asset]
        above = self._way(self.facts.definitions[used.asset])
        place = (used.mapping, above, behind.intervals, below, there.intervals)
        found = self._below.get(place)
        if found is None:
            found = self._below[place] = self._mapped(used, behind, there) & there
        return found

    def _mapped(self, used: InputDefinition, of: PartitionSet, there: PartitionSet) -> PartitionSet:
        """The partitions that read these ones, as far as there are any in place: some are made before they end."""
        last = there.last.end_us if there else None
        as_of = self.as_of if last is None else max(self.as_of, last)
        try:
            return used.mapping.downstream(of, there.definition, as_of=as_of)
        except DefinitionError:
            return there.definition.empty()

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
        if self.facts.definitions[name].is_source:
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
        example = cause.examples.get(cause.partitions.definition.key(number))
        if cause.kind == "input_updated":
            return Reason(cause.kind, f"its input {label(asset, example)} changed since it was made")
        above = self._stale_above(name, asset, number, example)
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
        return self._way(self.facts.definitions[asset]).number(example)


_Seen: TypeAlias = dict[str, dict[str | None, str | None]]
"""By input asset and partition: the partition of the input."""
_Versions: TypeAlias = Mapping[str | None, Made]
"""What is in place, by partition."""


def _is_news(known: AssetFacts, made: Made | None, used: Consumed, started: int) -> bool:
    """Whether another version than the one that was read is in place (`made`), or was seen last, since the reading began.

    What is made here is known exactly. Of anything else somebody gave word at some time: what was read after that may
    well be newer, and named in another way.
    """
    if made is not None:
        if used.version is None or made.version == used.version:
            return False
        return made.code_version is not None or made.at > started
    seen = known.observed.get(used.partition)
    return (
        seen is not None and seen.version is not None and used.version not in (None, seen.version) and seen.at > started
    )


def _causes(kind: CauseKind, seen: _Seen, where: Mapping[str, PartitionSet], divided: Divided) -> list[Cause]:
    """A cause for each input, of what was seen of it and of where else it counts."""
    causes = []
    for asset in sorted({*seen, *where}):
        examples = seen.get(asset, {})
        partitions = divided.set_of(tuple(examples))
        if asset in where and where[asset].intervals != partitions.intervals:
            partitions = partitions | where[asset]
        if partitions:
            causes.append(Cause(kind=kind, asset=asset, partitions=partitions, examples=examples))
    return causes


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
