"""Staleness: what differs between what was recorded when an asset was made and what is so now, per partition.

The kinds of reasons are never_made, code_changed, input_updated (another version of something that was read is in
place, or something that would be read now has come since) and upstream_stale; input_missing stands behind never_made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import NamedTuple, TypeAlias

from headwater.assets.causes import Cause, CauseKind, spread
from headwater.assets.components import components
from headwater.assets.data_through import label
from headwater.assets.definitions import AssetDefinition, InputDefinition
from headwater.assets.divided import Divided
from headwater.assets.facts import (
    NONE,
    NOTHING_MADE,
    AssetFacts,
    Consumed,
    Facts,
    Made,
    Outline,
    OutlinedAssets,
    Pairs,
    outlines,
)
from headwater.assets.intervals import Intervals
from headwater.assets.mappings import PartitionMapping
from headwater.assets.partitions import PartitionsDefinition, PartitionSet, partitioning
from headwater.assets.uncollected import uncollected
from headwater.core.code_changes import code_changes
from headwater.errors import DefinitionError
from headwater.types import Reason

_DEPTH = 12
_LOOKED_AT = 100
"""Partitions of which what differs in their code is told together."""


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
        return tuple(self.among.grouped(self.name, cause) for cause in self.causes)

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
    """The work on one set of facts: first a glance at every asset, then a closer look at what may be stale, upstream first.

    Most assets are up to date, so nothing is made for an asset before there is something to say of it.
    """

    def __init__(self, facts: Facts, as_of: int) -> None:
        self.facts, self.as_of = facts, as_of
        self.found: dict[str, Staleness] = {}
        self._ways: dict[PartitionsDefinition | None, Divided] = {}
        self._known_ways: dict[int, Divided] = {}
        """The same by identity: most assets share theirs, and to compare them takes longer than all else."""
        self._outlines = outlines(facts.assets)
        self._windows: dict[tuple[PartitionMapping, Divided, Divided], dict[str | None, Intervals]] = {}
        self._below: dict[tuple[PartitionMapping, Divided, _Shape, Divided, _Shape], PartitionSet] = {}
        self._behind: dict[str, PartitionSet] = {}
        """The partitions that are in place and stale, of each asset that has such."""
        self._behind_keys: dict[str, frozenset[str | None]] = {}
        self._own: dict[str, _Own] = {}
        """What was found of an asset itself, of those that were looked at closer."""
        self._pending: set[str] = set()
        """The assets that may be stale and have not been judged."""
        self._not_read: dict[tuple[PartitionMapping, Divided, int, int, Divided, int], Pairs] = {}
        self._stale_reads: dict[tuple[int, frozenset[str | None]], tuple[Pairs, _Examples]] = {}

    def judge_all(self) -> None:
        """Judge every asset."""
        doubtful = self._glance()
        if not doubtful:
            return
        definitions = self.facts.definitions
        if isinstance(self.facts.assets, OutlinedAssets):
            reads = {used.asset for name in doubtful for used in definitions[name].inputs}
            reads.update(*(self._outlines[name].reads for name in doubtful))
            self.facts.assets.look_closer(reads.union(doubtful))
        for name in doubtful:
            self._own[name] = self._look_closer(name, definitions[name], self._outlines[name])
        pending = self._pending = self._downstream_of(
            [name for name, own in self._own.items() if own.causes or own.updated]
        )
        for name in [name for name in definitions if name in pending]:
            if name not in pending:
                continue
            if not self._unjudged(name):
                self._judge(name)
                continue
            for group in components([name], self._unjudged):
                if len(group) > 1:
                    group.sort()
                for one in group:
                    self._judge(one)

    def _glance(self) -> list[str]:
        """Find what was never made, and the assets that may be stale by themselves."""
        found, known, doubtful = self.found, self._outlines, []
        never: dict[tuple[int, _Keys], tuple[PartitionSet, tuple[Cause, ...]]] = {}
        for name, definition in self.facts.definitions.items():
            divided = self._way(definition)
            code = definition.code_version
            if code is None and definition.is_source:
                found[name] = Staleness(name, divided.none, divided.none, (), self)
                continue
            there = known.get(name, NOTHING_MADE)
            lacking = never.get((id(divided), there.keys))
            if lacking is None:
                missing = divided.without(there.keys)
                lacking = missing, (Cause("never_made", missing),) if missing else ()
                never[id(divided), there.keys] = lacking
            found[name] = Staleness(name, lacking[0], lacking[0], lacking[1], self)
            if not there.keys:
                continue
            if not there.settled or there.mixed or (there.code is not None and there.code != code):
                doubtful.append(name)
                continue
            oldest = there.oldest
            for used in definition.inputs:
                above = known.get(used.asset)
                if above is not None and oldest < above.newest and self._news(used, name, divided, there):
                    doubtful.append(name)
                    break
        return doubtful

    def _look_closer(self, name: str, definition: AssetDefinition, there: Outline) -> _Own:
        """What is to be said of an asset that some of its versions are in place of, apart from what is upstream."""
        divided, causes = self._way(definition), []
        current = (None, definition.code_version)
        if there.mixed or there.code not in current:
            made = self.facts.of(name).made
            changed = tuple([key for key, one in made.items() if one.code_version not in current])
            if where := divided.set_of(changed):
                causes.append(Cause("code_changed", where))
        updated, reads = ({}, there.reads) if there.settled else self._consumed(name)
        for used in definition.inputs:
            for key, part in self._come_since(used, name, divided, there):
                updated.setdefault(used.asset, {}).setdefault(key, part)
        return _Own(tuple(causes), updated, reads)

    def _downstream_of(self, roots: Iterable[str]) -> set[str]:
        """These assets and all that read them, as they are defined and as they were made, and what reads that."""
        found = set(roots)
        if not found:
            return found
        readers: dict[str, list[str]] = {}
        for name, definition in self.facts.definitions.items():
            there = self._outlines.get(name)
            if there is None or definition.is_source:
                continue
            for source in {*there.reads, *[used.asset for used in definition.inputs]}:
                readers.setdefault(source, []).append(name)
        work = list(found)
        for name in work:
            for reader in readers.get(name, ()):
                if reader not in found:
                    found.add(reader)
                    work.append(reader)
        return found

    def _unjudged(self, name: str) -> list[str]:
        """The assets that an asset reads, as it is defined and as it was made, and that have to be judged before it."""
        reads = {used.asset: None for used in self.facts.definitions[name].inputs} | dict.fromkeys(
            self._outlines[name].reads
        )
        return [one for one in reads if one in self._pending and one != name]

    def _judge(self, name: str) -> None:
        """Judge an asset that may be stale, everything that it reads having been judged."""
        self._pending.discard(name)
        definition, there = self.facts.definitions[name], self._outlines[name]
        divided = self._way(definition)
        own = self._own.get(name) or _Own((), NONE, there.reads)
        causes = [*own.causes]
        if own.updated:
            _add_causes(causes, "input_updated", own.updated, {}, divided)
        self._of_upstream(name, definition, divided, there, own.reads, causes)
        if not causes:
            return
        stale, (_, _, missing, never, _) = self._held_behind(name, definition, divided, there, causes), self.found[name]
        self.found[name] = Staleness(name, missing | stale if missing else stale, missing, (*never, *causes), self)

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
        partitions = definition.partitions
        found = self._known_ways.get(id(partitions))
        if found is None:
            found = self._ways.get(partitions)
            if found is None:
                found = self._ways[partitions] = Divided(partitioning(definition), self.as_of)
            self._known_ways[id(partitions)] = found
        return found

    def _of_upstream(
        self,
        name: str,
        definition: AssetDefinition,
        divided: Divided,
        there: Outline,
        reads: Mapping[str, Pairs],
        causes: list[Cause],
    ) -> None:
        """Add what follows from what an asset has read, and would read now, being stale."""
        behind = self._behind
        upstream: dict[str, _Examples] = {}
        for source, pairs in reads.items():
            if source in behind and source != name and (hits := self._read_stale(pairs, self._behind_keys[source])):
                upstream[source] = hits
        where: dict[str, PartitionSet] = {}
        for used in definition.inputs:
            source = used.asset
            # Mostly everything in place has read what is stale, and it can't get worse.
            if source in behind and source != name and len(upstream.get(source, ())) < len(there.keys):
                hit = self._downstream(used, divided, divided.set_of(there.keys))
                where[source] = where[source] | hit if source in where else hit
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
        # By identity: assets of the same partitions share what they read, and it is long.
        found = self._stale_reads.get((id(pairs), stale))
        if found is None:
            hits = {key: part for key, part in pairs if part in stale}
            found = self._stale_reads[id(pairs), stale] = pairs, hits
        return found[1]

    def _news(self, used: InputDefinition, name: str, divided: Divided, there: Outline) -> Pairs:
        """Each partition with each one of the input that lies in its window and was not read, where some came since."""
        source = used.asset
        above = self._outlines.get(source)
        if above is None or source == name or source not in self.facts.definitions or there.oldest >= above.newest:
            return ()
        # With one partition each, what read the one in place has read all that is there.
        if there.settled and len(there.keys) == len(above.keys) == 1 and source in there.reads:
            return ()
        return self._unread(used, divided, there.keys, there.reads.get(source, ()), above.keys)

    def _come_since(
        self, used: InputDefinition, name: str, divided: Divided, there: Outline
    ) -> Iterable[tuple[str | None, str | None]]:
        """What has come since: each of these partitions with each one of the input that lies in its window, was not
        read, and was made since."""
        unread = self._news(used, name, divided, there)
        if not unread:
            return ()
        made, source = self.facts.of(name).made, self.facts.of(used.asset).made
        return [(key, part) for key, part in unread if source[part].at > made[key].started]

    def _unread(self, used: InputDefinition, divided: Divided, keys: _Keys, read: Pairs, there: _Keys) -> Pairs:
        """Each partition with each one of the input that is there, lies in its window, and was not read by it."""
        above = self._way(self.facts.definitions[used.asset])
        # By identity: outlines of assets of the same partitions share these, and they are long.
        place = (used.mapping, divided, id(keys), id(read), above, id(there))
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
        place = (used.mapping, above, behind.shape, below, there.shape)
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

    def grouped(self, name: str, cause: Cause) -> Reason:
        """A cause in a sentence; of changed code with what differs, for the first versions that were made by other code."""
        reason = cause.reason()
        if cause.kind != "code_changed":
            return reason
        made = self.facts.of(name).made
        versions = dict.fromkeys(made[key].code_version for key in islice(cause.partitions.keys(), _LOOKED_AT))
        every = (one for version in versions for one in self._code_changes(name, version))
        return replace(reason, because=tuple(dict.fromkeys(every)))

    def _code_changes(self, name: str, version: str | None) -> tuple[Reason, ...]:
        """What differs in the code since a version of it."""
        definition = self.facts.definitions[name]
        before = None if version is None else self.facts.earlier_code(name, version)
        return code_changes(before, version, definition.code, definition.code_version)

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
            made = self.facts.of(name).made[cause.partitions.definition.key(number)]
            text = f"its code changed since it was made{_producer(self.facts.definitions[name])}"
            return Reason(cause.kind, text, self._code_changes(name, made.code_version))
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
                    return others.definition.ordinal(others.first.key)
        return self._way(self.facts.definitions[asset]).number(example)


class _Own(NamedTuple):
    """What is to be said of an asset whatever is upstream of it: that its code has changed; what it has read, or would
    read now, and is another version; and what else it has read."""

    causes: tuple[Cause, ...]
    updated: _Seen
    reads: Mapping[str, Pairs]


_Examples: TypeAlias = Mapping[str | None, str | None]
"""By partition: a partition of an input."""
_Seen: TypeAlias = Mapping[str, _Examples]
"""The same by input asset."""
_Keys: TypeAlias = tuple[str | None, ...]
_Shape: TypeAlias = tuple[object, ...]


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
        if asset in where and where[asset].shape != partitions.shape:
            partitions = partitions | where[asset]
        if partitions:
            causes.append(Cause(kind, partitions, asset, examples))


def _producer(definition: AssetDefinition) -> str:
    return f" ({definition.producer})" if definition.producer else ""
