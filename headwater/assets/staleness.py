"""Staleness: what differs between what was recorded when an asset was made and what is so now, per partition.

The kinds of reasons are never_made, code_changed, input_updated (another version of something that was read is in
place, or something that would be read now has come since) and upstream_stale; input_missing stands behind never_made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import repeat
from operator import attrgetter
from typing import NamedTuple

from headwater.assets.causes import Cause, Examples, add_causes
from headwater.assets.definitions import AssetDefinition
from headwater.assets.divided import Divided
from headwater.assets.divisions import Divisions
from headwater.assets.facts import NONE, Facts, Outline, OutlinedAssets, Pairs
from headwater.assets.made_graph import MadeGraph
from headwater.assets.own_staleness import Own, OwnStaleness
from headwater.assets.partitions import PartitionSet
from headwater.assets.stale_reasons import DEPTH, StaleReasons
from headwater.assets.uncollected import uncollected
from headwater.types import Reason


class Staleness(NamedTuple):
    """Which partitions of an asset have to be made (again) to be up to date, and why.

    `stale` holds them all; `missing` are those among them that were never made. Of an optional output that the last call left out
    that stands, whether a version is in place or none: it is judged by what that call read, and is not missing.
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


def staleness(facts: Facts, as_of: int, graph: MadeGraph | None = None) -> dict[str, Staleness]:
    """The staleness of every defined asset, by name; a source, which nothing here makes, is never stale.

    `as_of` (microseconds since the epoch) says how far open-ended partitions reach. `graph` is that of these facts, for whoever
    asks of them more than once.

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
    with uncollected():
        judged = _Judged(facts, as_of, graph or MadeGraph(facts))
        judged.judge_all()
    return judged.found


class _Judged:
    """The work on one set of facts: first a glance at every asset, then a closer look at what may be stale, upstream first.

    Most assets are up to date, so nothing is made for an asset before there is something to say of it; and most of what is
    stale is so for what is upstream of it, in the same way as many others: those are judged by the first of them.
    """

    def __init__(self, facts: Facts, as_of: int, graph: MadeGraph) -> None:
        self.facts, self._graph = facts, graph
        self.found: dict[str, Staleness] = {}
        self._divisions = Divisions(facts.definitions, as_of)
        self._own_of = OwnStaleness(facts, self._divisions, graph)
        self._words = StaleReasons(facts, self._divisions, self.found)
        self._behind: dict[int, _Behind] = {}
        """What stands and is stale, of each asset that has such."""
        self._behinds: dict[tuple[Divided, tuple[object, ...]], _Behind] = {}
        self._own: dict[int, Own] = {}
        """What was found of an asset itself, of those that were looked at closer."""
        self._alike: dict[tuple[object, ...], _Like | None] = {}
        self._stale_reads: dict[tuple[int, int], Examples] = {}

    def judge_all(self) -> None:
        """Judge every asset."""
        self._glance()
        doubtful, graph = self._doubtful(), self._graph
        if not doubtful:
            return
        if isinstance(self.facts.assets, OutlinedAssets):
            reads = {used.asset for number in doubtful for used in graph.definitions[number].inputs}
            reads.update(*(graph.outlines[number].reads for number in doubtful))
            self.facts.assets.look_closer(reads.union(graph.names[number] for number in doubtful))
        for number in doubtful:
            self._own[number] = self._own_of.look_closer(*graph.of(number))
        behind = graph.downstream([number for number, own in self._own.items() if own.causes or own.updated])
        for number in sorted(behind, key=graph.rank.__getitem__) if behind else ():
            circle = graph.circles.get(number)
            if circle is None:
                self._judge(number)
            elif number == circle[0]:
                self._judge_circle(circle)

    def _glance(self) -> None:
        """Find what was never made."""
        missing, never = [], []
        for definition, there in self._graph.kind:
            divided = self._divisions.of(definition)
            lacking = divided.none if definition.is_source else divided.without(there.keys)
            missing.append(lacking)
            never.append((Cause("never_made", lacking),) if lacking else ())
        kinds, names = self._graph.kinds, self._graph.names
        lacking_of = [missing[kind] for kind in kinds]
        said = zip(names, lacking_of, lacking_of, [never[kind] for kind in kinds], repeat(self._words), strict=False)
        # So many are made in less than half the time that they take one by one.
        self.found.update(zip(names, map(tuple.__new__, repeat(Staleness), said), strict=False))

    def _doubtful(self) -> list[int]:
        """The assets that may be stale by themselves: as outlines tell, or as something may have come that they would read now
        and have not read."""
        graph, found = self._graph, set(self._graph.suspects)
        for alike in graph.newer.values():
            number, used = alike[0]
            name, definition, there = graph.of(number)
            if self._own_of.news(used, name, self._divisions.of(definition), there):
                found.update(number for number, _ in alike)
        return sorted(found)

    def _judge(self, number: int) -> None:
        """Judge an asset that may be stale, everything that it reads having been judged."""
        graph = self._graph
        inputs = graph.inputs[number]
        if inputs is None or number in self._own:
            self._judge_alone(number)
            return
        # What decides how stale an asset is for what is upstream of it, when it read what it is defined to read. By identity:
        # what is behind is the same value for all that have the same.
        place = graph.likeness[number], *map(id, map(self._behind.get, inputs))
        if place not in self._alike:
            self._alike[place] = self._judge_alone(number)
        elif (like := self._alike[place]) is not None:
            used, name = graph.definitions[number].inputs, graph.names[number]
            causes = [Cause("upstream_stale", where, used[at].asset, examples) for at, where, examples in like.upstream]
            if len(causes) > 1:
                causes.sort(key=_of_input)
            _, _, missing, never, words = self.found[name]
            self.found[name] = Staleness(name, like.stale, missing, (*never, *causes), words)
            self._behind[number] = like.behind

    def _judge_circle(self, circle: Sequence[int]) -> None:
        """Judge assets that read each other, everything else that they read having been judged."""
        glances = {name: self.found[name] for name in map(self._graph.names.__getitem__, circle)}
        stood: list[_Behind | None] | None = None
        # What one is stale for makes others stale, until that is no more: mostly at once, as mappings are followed.
        while stood != (stands := [self._behind.get(number) for number in circle]):
            stood = stands
            self.found.update(glances)
            for number in circle:
                self._judge_alone(number)
            self._take_on(circle)

    def _take_on(self, circle: Sequence[int]) -> None:
        """Let all be stale in a circle that is made, as it is defined, of what is stale there."""
        members = [self._graph.of(number) for number in circle]
        divided = {name: self._divisions.of(definition) for name, definition, _ in members}
        inner = [(name, used) for name, definition, _ in members for used in definition.inputs if used.asset in divided]
        stale = {name: one.partitions for name in divided if (one := self._behind_of(name)) is not None}
        there = {name: divided[name].set_of(outline.keys) for name, _, outline in members}
        for name, partitions in self._divisions.along(inner, stale, there).items():
            if partitions:
                self._behind[self._graph.number[name]] = self._held(divided[name], partitions)

    def _judge_alone(self, number: int) -> _Like | None:
        """Judge an asset by itself; what was found, for those that are like it."""
        name, definition, there = self._graph.of(number)
        divided = self._divisions.of(definition)
        own = self._own.get(number) or Own((), NONE, there.reads)
        causes = [*own.causes]
        if own.updated:
            add_causes(causes, "input_updated", own.updated, {}, divided)
        self._of_upstream(name, definition, divided, there, own.reads, causes)
        if not causes:
            return None
        behind = self._behind[number] = self._held_behind(name, definition, divided, there, causes)
        _, _, missing, never, words = self.found[name]
        stale = missing | behind.partitions if missing else behind.partitions
        self.found[name] = Staleness(name, stale, missing, (*never, *causes), words)
        at = {used.asset: place for place, used in enumerate(definition.inputs)}
        upstream = [(at[one.asset], one.partitions, one.examples) for one in causes if one.asset in at]
        return _Like(behind, stale, tuple(upstream))

    def _held_behind(
        self, name: str, definition: AssetDefinition, divided: Divided, there: Outline, causes: list[Cause]
    ) -> _Behind:
        """The partitions that stand and are stale; with a cause for what they are for each other."""
        behind = causes[0].partitions
        for cause in causes:
            if cause.partitions is not behind:
                behind = behind | cause.partitions
        own = [(name, used) for used in definition.inputs if used.asset == name]
        if own:
            every = self._divisions.along(own, {name: behind}, {name: divided.set_of(there.keys)})[name]
            if further := every - behind:
                causes.append(Cause("upstream_stale", further, name))
                behind = every
        return self._held(divided, behind)

    def _held(self, divided: Divided, behind: PartitionSet) -> _Behind:
        found = self._behinds.get((divided, behind.shape))
        if found is None:
            found = self._behinds[divided, behind.shape] = _Behind(behind, divided.keys(behind))
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
        upstream: dict[str, Examples] = {}
        for source, pairs in reads.items():
            behind = self._behind_of(source)
            if behind is not None and source != name and (hits := self._read_stale(pairs, behind)):
                upstream[source] = hits
        where: dict[str, PartitionSet] = {}
        for used in definition.inputs:
            source, behind = used.asset, self._behind_of(used.asset)
            # Mostly everything in place has read what is stale, and it can't get worse.
            if behind is not None and source != name and len(upstream.get(source, ())) < len(there.keys):
                hit = self._divisions.downstream(used, behind.partitions, divided, divided.set_of(there.keys))
                where[source] = where[source] | hit if source in where else hit
        if upstream or where:
            add_causes(causes, "upstream_stale", upstream, where, divided)

    def _behind_of(self, name: str) -> _Behind | None:
        number = self._graph.number.get(name)
        return None if number is None else self._behind.get(number)

    def _read_stale(self, pairs: Pairs, behind: _Behind) -> Examples:
        """The partitions that read a stale one of an input, each with that."""
        # By identity: assets of the same partitions share what they read, and it is long. Both live as long as this does.
        found = self._stale_reads.get((id(pairs), id(behind)))
        if found is None:
            stale = behind.keys
            found = self._stale_reads[id(pairs), id(behind)] = {key: part for key, part in pairs if part in stale}
        return found


class _Behind(NamedTuple):
    """Partitions that are stale and no longer missing, with their keys; the same value for all that have the same."""

    partitions: PartitionSet
    keys: frozenset[str | None]


class _Like(NamedTuple):
    """How stale an asset is for what is upstream of it: what is behind, all that is to be made, and what of which input (by its
    number) it is for."""

    behind: _Behind
    stale: PartitionSet
    upstream: tuple[tuple[int, PartitionSet, Examples], ...]


_of_input = attrgetter("asset")
