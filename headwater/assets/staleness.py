"""Staleness: what differs between what was recorded when an asset was made and what is so now, per partition.

The kinds of reasons are never_made, code_changed, input_updated (another version of something that was read is in
place, or something that would be read now has come since) and upstream_stale; input_missing stands behind never_made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

from headwater.assets.causes import Cause, CauseKind, spread
from headwater.assets.components import components
from headwater.assets.data_through import label
from headwater.assets.definitions import AssetDefinition, InputDefinition
from headwater.assets.divided import Divided
from headwater.assets.facts import NONE, NOTHING_MADE, AssetFacts, Consumed, Facts, Made, Outline, Pairs, outlines
from headwater.assets.intervals import Intervals
from headwater.assets.mappings import PartitionMapping
from headwater.assets.partitions import PartitionsDefinition, PartitionSet, partitioning
from headwater.assets.uncollected import uncollected
from headwater.errors import DefinitionError
from headwater.types import Reason

_DEPTH = 12


class Staleness(NamedTuple):
    """Which partitions of an asset have to be made (again) to be up to date, and why.

    `stale` holds them all; `missing` are those among them that were never made.
    """

    name: str
    stale: PartitionSet
    missing: PartitionSet
    causes: tuple[Cause, ...]
    among: _Judged
    """The judgement that this is a part of."""

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
        return self.among.why(self.name, self.stale.definition.ordinal(partition), _DEPTH)


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
        judged.judge_all()
    return judged.found


class _Judged:
    """The work on one set of facts: assets are judged one after the other, upstream first.

    Most assets are up to date, so nothing is made for an asset before there is something to say of it.
    """

    def __init__(self, facts: Facts, as_of: int) -> None:
        self.facts, self.as_of = facts, as_of
        self.found: dict[str, Staleness] = {}
        self._ways: dict[PartitionsDefinition | None, Divided] = {}
        self._outlines = outlines(facts.assets)
        self._windows: dict[tuple[PartitionMapping, Divided, Divided], dict[str | None, Intervals]] = {}
        self._below: dict[tuple[PartitionMapping, Divided, Intervals, Divided, Intervals], PartitionSet] = {}
        self._behind: dict[str, PartitionSet] = {}
        """The partitions that are in place and stale, of each asset that has such."""
        self._behind_keys: dict[str, frozenset[str | None]] = {}
        self._not_read: dict[tuple[PartitionMapping, Divided, _Keys, Pairs, Divided, _Keys], Pairs] = {}
        self._stale_reads: dict[tuple[Pairs, frozenset[str | None]], _Examples] = {}

    def judge_all(self) -> None:
        """Judge every asset."""
        found = self.found
        for name, definition in self.facts.definitions.items():
            if name in found:
                continue
            there = self._outlines.get(name, NOTHING_MADE)
            if found.keys() >= there.reads.keys() and found.keys() >= {used.asset for used in definition.inputs}:
                self._judge(name, definition, there)
                continue
            for group in components([name], self._unjudged):
                if len(group) > 1:
                    group.sort()
                for one in group:
                    self._judge(one, self.facts.definitions[one], self._outlines.get(one, NOTHING_MADE))

    def _unjudged(self, name: str) -> list[str]:
        """The assets that an asset reads, as it is defined and as it was made, and that have not been judged."""
        known, found = self.facts.definitions, self.found
        reads = [*(used.asset for used in known[name].inputs), *self._outlines.get(name, NOTHING_MADE).reads]
        return [one for one in dict.fromkeys(reads) if one not in found and one != name and one in known]

    def _judge(self, name: str, definition: AssetDefinition, there: Outline) -> None:
        """Judge an asset, everything that it reads having been judged."""
        divided = self._ways.get(definition.partitions) or self._way(definition)
        if definition.is_source:
            self.found[name] = Staleness(name, divided.none, divided.none, (), self)
            return
        missing = divided.without(there.keys)
        causes: list[Cause] = []
        if there.keys:
            current = (None, definition.code_version)
            if not there.codes.issubset(current):
                made = self.facts.of(name).made
                changed = tuple([key for key, one in made.items() if one.code_version not in current])
                if where := divided.set_of(changed):
                    causes.append(Cause("code_changed", where))
            self._of_inputs(name, definition, divided, there, causes)
        stale = self._held_behind(name, definition, divided, there, causes) if causes else divided.none
        if missing:
            causes.insert(0, Cause("never_made", missing))
            stale = missing | stale if stale else missing
        self.found[name] = Staleness(name, stale, missing, tuple(causes), self)

    def _held_behind(
        self, name: str, definition: AssetDefinition, divided: Divided, there: Outline, causes: list[Cause]
    ) -> PartitionSet:
        """The partitions that are in place and stale, noted for what reads them; with a cause for what they are for
        each other."""
        behind = causes[0].partitions
        for cause in causes:
            if cause.partitions is not behind:
                behind = behind | cause.partitions
        own = [used for used in definition.inputs if used.asset == name]
        if own and (further := self._along_itself(own, behind, divided.set_of(there.keys))):
            causes.append(Cause("upstream_stale", further, name))
            behind = behind | further
        self._behind[name] = behind
        self._behind_keys[name] = divided.keys(behind)
        return behind

    def _way(self, definition: AssetDefinition) -> Divided:
        found = self._ways.get(definition.partitions)
        if found is None:
            found = self._ways[definition.partitions] = Divided(partitioning(definition), self.as_of)
        return found

    def _of_inputs(
        self, name: str, definition: AssetDefinition, divided: Divided, there: Outline, causes: list[Cause]
    ) -> None:
        """Add what follows from what an asset has read, and would read now."""
        behind = self._behind
        updated, reads = ({}, there.reads) if there.settled else self._consumed(name)
        upstream: dict[str, _Examples] = {}
        if not behind.keys().isdisjoint(reads):
            for source, pairs in reads.items():
                if source in behind and source != name and (hits := self._read_stale(pairs, self._behind_keys[source])):
                    upstream[source] = hits
        where: dict[str, PartitionSet] = {}
        whole = there.settled and len(there.keys) == 1
        for used in definition.inputs:
            source = used.asset
            known = self._outlines.get(source)
            if known is None or source == name or source not in self.facts.definitions:
                continue
            # With one partition each, what read the one in place has read all that is there.
            if there.oldest < known.newest and not (whole and len(known.keys) == 1 and source in reads):
                for key, part in self._come_since(used, name, divided, there, known):
                    updated.setdefault(source, {}).setdefault(key, part)
            # Mostly everything in place has read what is stale, and it can't get worse.
            if source in behind and len(upstream.get(source, ())) < len(there.keys):
                hit = self._downstream(used, divided, divided.set_of(there.keys))
                where[source] = where[source] | hit if source in where else hit
        if updated:
            _add_causes(causes, "input_updated", updated, {}, divided)
        if upstream or where:
            _add_causes(causes, "upstream_stale", upstream, where, divided)

    def _consumed(self, name: str) -> tuple[dict[str, dict[str | None, str | None]], dict[str, Pairs]]:
        """What was read and is another version now, and all else that was read."""
        updated: dict[str, dict[str | None, str | None]] = {}
        others: dict[str, list[tuple[str | None, str | None]]] = {}
        for key, one in self.facts.of(name).made.items():
            for used in one.inputs:
                asset, partition, version = used
                if asset == name and partition == key:
                    continue
                known = self.facts.assets.get(asset)
                now = None if known is None else known.made.get(partition)
                # Nearly always it is in place still: only otherwise is there a question.
                if (
                    (now is None or now.version != version)
                    and known is not None
                    and _is_news(known, now, used, one.started)
                ):
                    updated.setdefault(asset, {}).setdefault(key, partition)
                else:
                    others.setdefault(asset, []).append((key, partition))
        return updated, {asset: tuple(pairs) for asset, pairs in others.items()}

    def _read_stale(self, pairs: Pairs, stale: frozenset[str | None]) -> _Examples:
        """The partitions that read a stale one of an input, each with that."""
        found = self._stale_reads.get((pairs, stale))
        if found is None:
            found = self._stale_reads[pairs, stale] = {key: part for key, part in pairs if part in stale}
        return found

    def _come_since(
        self, used: InputDefinition, name: str, divided: Divided, there: Outline, above: Outline
    ) -> Iterable[tuple[str | None, str | None]]:
        """What has come since: each of these partitions with each one of the input that lies in its window, was not
        read, and was made since."""
        unread = self._unread(used, divided, there.keys, there.reads.get(used.asset, ()), above.keys)
        if not unread:
            return ()
        made, source = self.facts.of(name).made, self.facts.of(used.asset).made
        return [(key, part) for key, part in unread if source[part].at > made[key].started]

    def _unread(self, used: InputDefinition, divided: Divided, keys: _Keys, read: Pairs, there: _Keys) -> Pairs:
        """Each partition with each one of the input that is there, lies in its window, and was not read by it."""
        above = self._way(self.facts.definitions[used.asset])
        place = (used.mapping, divided, keys, read, above, there)
        found = self._not_read.get(place)
        if found is None:
            every = frozenset(there)
            by_key: dict[str | None, set[str | None]] = {key: set() for key in keys}
            for key, part in read:
                by_key[key].add(part)
            found = self._not_read[place] = tuple(
                (key, part)
                for key, parts in by_key.items()
                if not every <= parts  # it read all that is there
                for low, high in self._window(used, divided, above, key)
                for part in map(above.name, range(low, high))
                if part in every and part not in parts
            )
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


_Examples: TypeAlias = Mapping[str | None, str | None]
"""By partition: a partition of an input."""
_Seen: TypeAlias = Mapping[str, _Examples]
"""The same by input asset."""
_Keys: TypeAlias = tuple[str | None, ...]


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


def _add_causes(
    causes: list[Cause], kind: CauseKind, seen: _Seen, where: Mapping[str, PartitionSet], divided: Divided
) -> None:
    """Add a cause for each input, of what was seen of it and of where else it counts."""
    for asset in sorted({*seen, *where}) if where else sorted(seen) if len(seen) > 1 else seen:
        examples = seen.get(asset, NONE)
        partitions = divided.set_of(tuple(examples))
        if asset in where and where[asset].intervals != partitions.intervals:
            partitions = partitions | where[asset]
        if partitions:
            causes.append(Cause(kind, partitions, asset, examples))


def _producer(definition: AssetDefinition) -> str:
    return f" ({definition.producer})" if definition.producer else ""
