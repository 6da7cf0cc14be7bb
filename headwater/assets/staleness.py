"""Staleness: what differs between what was recorded when an asset was made and what is so now, per partition.

The kinds of reasons are never_made, code_changed, input_updated (another version of something that was read is in
place, or something that would be read now has come since) and upstream_stale; input_missing stands behind never_made.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import repeat
from operator import attrgetter
from typing import NamedTuple

from headwater.assets.causes import Cause, Examples, Seen, add_causes
from headwater.assets.components import components
from headwater.assets.definitions import AssetDefinition, InputDefinition
from headwater.assets.divided import Divided
from headwater.assets.divisions import Divisions
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
from headwater.assets.partitions import PartitionSet
from headwater.assets.stale_reasons import DEPTH, StaleReasons
from headwater.assets.uncollected import uncollected
from headwater.types import Reason


class Staleness(NamedTuple):
    """Which partitions of an asset have to be made (again) to be up to date, and why.

    `stale` holds them all; `missing` are those among them that were never made.
    """

    name: str
    stale: PartitionSet
    missing: PartitionSet
    causes: tuple[Cause, ...]
    words: StaleReasons
    """What tells the reasons of all that was judged with it."""

    @property
    def is_stale(self) -> bool:
        """Whether anything has to be made."""
        return bool(self.stale)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """The causes as sentences, one for each kind and input."""
        return tuple(self.words.grouped(self.name, cause) for cause in self.causes)

    @property
    def reason(self) -> Reason:
        """All of it as one reason."""
        if not self.is_stale:
            return Reason("up_to_date", f"{self.name} is up to date")
        return Reason("stale", f"{self.name} is stale", self.reasons)

    def why(self, partition: str | None = None) -> Reason:
        """Why one partition is stale or not, as a tree up to where it begins; a PartitionError for an unknown key."""
        return self.words.why(self.name, self.stale.definition.ordinal(partition), DEPTH)


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

    Most assets are up to date, so nothing is made for an asset before there is something to say of it; and most of what is
    stale is so for what is upstream of it, in the same way as many others: those are judged by the first of them.
    """

    def __init__(self, facts: Facts, as_of: int) -> None:
        self.facts = facts
        self.found: dict[str, Staleness] = {}
        self._divisions = Divisions(facts.definitions, as_of)
        self._words = StaleReasons(facts, self._divisions, self.found)
        self._outlines = outlines(facts.assets)
        self._behind: dict[str, _Behind] = {}
        """What is in place and stale, of each asset that has such."""
        self._behinds: dict[tuple[Divided, tuple[object, ...]], _Behind] = {}
        self._own: dict[str, _Own] = {}
        """What was found of an asset itself, of those that were looked at closer."""
        self._pending: set[str] = set()
        """The assets that may be stale and have not been judged."""
        self._kinds: dict[str, _Kind] = {}
        """Of each asset what it has in common with those like it."""
        self._are_news: dict[tuple[int, ...], bool] = {}
        self._alike: dict[tuple[int, ...], _Like | None] = {}
        self._stale_reads: dict[tuple[int, int], Examples] = {}

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
        self._pending = self._downstream_of([name for name, own in self._own.items() if own.causes or own.updated])
        for name in [name for name in definitions if name in self._pending]:
            if name not in self._pending:
                continue
            if self._is_ready(name):
                self._judge(name)
                continue
            for group in components([name], self._unjudged):
                if len(group) > 1:
                    group.sort()
                for one in group:
                    self._judge(one)

    def _glance(self) -> list[str]:
        """Find what was never made, and the assets that may be stale by themselves."""
        known, kinds = self._outlines, self._kinds
        by_place: dict[tuple[int, int, bool], _Kind] = {}
        made = []
        for name, definition in self.facts.definitions.items():
            there, is_source = known.get(name, NOTHING_MADE), definition.is_source
            # By identity, here and below: what many assets share is long, and nothing of it goes before this does.
            place = id(definition.partitions), id(there.keys), is_source
            kind = by_place.get(place)
            if kind is None:
                kind = by_place[place] = self._kind(definition, there, is_source)
            kinds[name] = kind
            if kind.is_made:
                made.append((name, definition, there, kind))
        missing, never = [kind.missing for kind in kinds.values()], [kind.never for kind in kinds.values()]
        # So many are made in less than half the time that they take one by one.
        said = zip(kinds, missing, missing, never, repeat(self._words), strict=False)
        self.found.update(zip(kinds, map(tuple.__new__, repeat(Staleness), said), strict=False))
        return [
            name
            for name, definition, there, kind in made
            if not there.settled
            or there.mixed
            or (there.code is not None and there.code != definition.code_version)
            or (definition.inputs and self._has_news(name, definition, there, kind))
        ]

    def _kind(self, definition: AssetDefinition, there: Outline, is_source: bool) -> _Kind:
        divided = self._divisions.of(definition)
        missing = divided.none if is_source else divided.without(there.keys)
        never = (Cause("never_made", missing),) if missing else ()
        return _Kind(missing, never, bool(there.keys) and not is_source)

    def _has_news(self, name: str, definition: AssetDefinition, there: Outline, kind: _Kind) -> bool:
        """Whether something that an asset would read now, and has not read, may have come since it was made."""
        kinds, are_news, read = self._kinds, self._are_news, there.reads.get
        for used in definition.inputs:
            source = used.asset
            place = id(used.mapping), id(kind), id(kinds.get(source)), id(read(source))
            news = are_news.get(place)
            # First what is known of all that are like it: nearly always it is that nothing has come.
            if news is False:
                continue
            above = self._outlines.get(source)
            if above is None or there.oldest >= above.newest or source == name or source not in self.facts.definitions:
                continue
            if news is None:
                news = are_news[place] = bool(self._news(used, name, self._divisions.of(definition), there))
            if news:
                return True
        return False

    def _look_closer(self, name: str, definition: AssetDefinition, there: Outline) -> _Own:
        """What is to be said of an asset that some of its versions are in place of, apart from what is upstream."""
        divided, causes = self._divisions.of(definition), []
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
        readers: defaultdict[str, list[str]] = defaultdict(list)
        for name, definition in self.facts.definitions.items():
            there = self._outlines.get(name)
            if there is None or definition.is_source:
                continue
            for source in there.reads:
                readers[source].append(name)
            for used in definition.inputs:
                if used.asset not in there.reads:
                    readers[used.asset].append(name)
        work = list(found)
        for name in work:
            for reader in readers.get(name, ()):
                if reader not in found:
                    found.add(reader)
                    work.append(reader)
        return found

    def _is_ready(self, name: str) -> bool:
        """Whether everything that an asset reads has been judged."""
        pending = self._pending
        inputs = [used.asset for used in self.facts.definitions[name].inputs]
        return (pending.isdisjoint(self._outlines[name].reads) and pending.isdisjoint(inputs)) or not self._unjudged(
            name
        )

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
        place = None if name in self._own else self._place(definition, there)
        if place is None:
            self._judge_alone(name, definition, there)
        elif place not in self._alike:
            self._alike[place] = self._judge_alone(name, definition, there)
        elif (like := self._alike[place]) is not None:
            inputs = definition.inputs
            causes = [
                Cause("upstream_stale", where, inputs[at].asset, examples) for at, where, examples in like.upstream
            ]
            if len(causes) > 1:
                causes.sort(key=_of_input)
            _, _, missing, never, words = self.found[name]
            self.found[name] = Staleness(name, like.stale, missing, (*never, *causes), words)
            self._behind[name] = like.behind

    def _place(self, definition: AssetDefinition, there: Outline) -> tuple[int, ...] | None:
        """What decides how stale an asset is for what is upstream of it, when it read what it is defined to read."""
        behind, reads, kinds = self._behind, there.reads, self._kinds
        if len(reads) != len(definition.inputs) or definition.name in reads:
            return None
        place = [id(kinds[definition.name])]
        for at, used in enumerate(definition.inputs):
            source = used.asset
            if source not in reads:
                return None
            stale = behind.get(source)
            if stale is not None:
                place += (at, id(reads[source]), id(used.mapping), id(stale), id(kinds[source]))
        return tuple(place)

    def _judge_alone(self, name: str, definition: AssetDefinition, there: Outline) -> _Like | None:
        """Judge an asset by itself; what was found, for those that are like it."""
        divided = self._divisions.of(definition)
        own = self._own.get(name) or _Own((), NONE, there.reads)
        causes = [*own.causes]
        if own.updated:
            add_causes(causes, "input_updated", own.updated, {}, divided)
        self._of_upstream(name, definition, divided, there, own.reads, causes)
        if not causes:
            return None
        behind = self._held_behind(name, definition, divided, there, causes)
        _, _, missing, never, words = self.found[name]
        stale = missing | behind.partitions if missing else behind.partitions
        self.found[name] = Staleness(name, stale, missing, (*never, *causes), words)
        at = {used.asset: number for number, used in enumerate(definition.inputs)}
        upstream = [(at[one.asset], one.partitions, one.examples) for one in causes if one.asset in at]
        return _Like(behind, stale, tuple(upstream))

    def _held_behind(
        self, name: str, definition: AssetDefinition, divided: Divided, there: Outline, causes: list[Cause]
    ) -> _Behind:
        """The partitions that are in place and stale, noted for what reads them; with a cause for what they are for
        each other."""
        behind = causes[0].partitions
        for cause in causes:
            if cause.partitions is not behind:
                behind = behind | cause.partitions
        own = [used for used in definition.inputs if used.asset == name]
        if own and (further := self._divisions.along_itself(own, behind, divided.set_of(there.keys))):
            causes.append(Cause("upstream_stale", further, name))
            behind = behind | further
        found = self._behinds.get((divided, behind.shape))
        if found is None:
            found = self._behinds[divided, behind.shape] = _Behind(behind, divided.keys(behind))
        self._behind[name] = found
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
        upstream: dict[str, Examples] = {}
        for source, pairs in reads.items():
            if source in behind and source != name and (hits := self._read_stale(pairs, behind[source])):
                upstream[source] = hits
        where: dict[str, PartitionSet] = {}
        for used in definition.inputs:
            source = used.asset
            # Mostly everything in place has read what is stale, and it can't get worse.
            if source in behind and source != name and len(upstream.get(source, ())) < len(there.keys):
                hit = self._divisions.downstream(used, behind[source].partitions, divided, divided.set_of(there.keys))
                where[source] = where[source] | hit if source in where else hit
        if upstream or where:
            add_causes(causes, "upstream_stale", upstream, where, divided)

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

    def _read_stale(self, pairs: Pairs, behind: _Behind) -> Examples:
        """The partitions that read a stale one of an input, each with that."""
        # By identity: assets of the same partitions share what they read, and it is long. Both live as long as this does.
        found = self._stale_reads.get((id(pairs), id(behind)))
        if found is None:
            stale = behind.keys
            found = self._stale_reads[id(pairs), id(behind)] = {key: part for key, part in pairs if part in stale}
        return found

    def _news(self, used: InputDefinition, name: str, divided: Divided, there: Outline) -> Pairs:
        """Each partition with each one of the input that lies in its window and was not read, where some came since."""
        source = used.asset
        above = self._outlines.get(source)
        if above is None or source == name or source not in self.facts.definitions or there.oldest >= above.newest:
            return ()
        # With one partition each, what read the one in place has read all that is there.
        if there.settled and len(there.keys) == len(above.keys) == 1 and source in there.reads:
            return ()
        return self._divisions.unread(used, divided, there.keys, there.reads.get(source, ()), above.keys)

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


class _Kind(NamedTuple):
    """What was never made of an asset, as a cause, too, and whether something here made what is in place: one value for all that
    are divided alike and have the very same in place."""

    missing: PartitionSet
    never: tuple[Cause, ...]
    is_made: bool


class _Own(NamedTuple):
    """What is to be said of an asset whatever is upstream of it: that its code has changed; what it has read, or would
    read now, and is another version; and what else it has read."""

    causes: tuple[Cause, ...]
    updated: Seen
    reads: Mapping[str, Pairs]


class _Behind(NamedTuple):
    """Partitions that are in place and stale, with their keys; the same value for all that have the same."""

    partitions: PartitionSet
    keys: frozenset[str | None]


class _Like(NamedTuple):
    """How stale an asset is for what is upstream of it: what is behind, all that is to be made, and what of which input (by its
    number) it is for."""

    behind: _Behind
    stale: PartitionSet
    upstream: tuple[tuple[int, PartitionSet, Examples], ...]


_of_input = attrgetter("asset")


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
