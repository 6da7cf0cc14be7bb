"""What there is to judge of how assets were made, by numbers: all of it that is the same at any moment."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from itertools import chain

from headwater.assets.components import components
from headwater.assets.definitions import AssetDefinition, InputDefinition
from headwater.assets.facts import NOTHING_MADE, Facts, Outline, outlines
from headwater.assets.returned import last_return


class MadeGraph:
    """The assets of some facts, each with its outline and what it is made of. Numbers follow the order of the definitions.

    Tens of thousands of assets are mostly alike: they share their partitions, their mappings and what they read. What they share
    is told by its identity, for to compare it takes longer than all else.
    """

    def __init__(self, facts: Facts) -> None:
        known = outlines(facts.assets)
        self.names = [*facts.definitions]
        self.definitions = [*facts.definitions.values()]
        self.outlines = [known.get(name, NOTHING_MADE) for name in self.names]
        self.newest = [there.newest for there in self.outlines]
        """When what would be read of each asset was last another: made, or counted again as a key of it came back."""
        if facts.returned:
            for number, definition in enumerate(self.definitions):
                back = last_return(facts.returned, definition.partitions)
                self.newest[number] = max(self.newest[number], back)
        self.number = {name: number for number, name in enumerate(self.names)}
        self.kind: list[tuple[AssetDefinition, Outline]] = []
        """One asset of each kind: all of a kind are divided alike, and have the very same in place."""
        self.kinds = self._kinds()
        """Of each asset the number of its kind."""
        self.suspects: list[int] = []
        """What may be stale by itself, as far as outlines tell: by its code, or by what it has read."""
        self.newer: dict[tuple[int, ...], list[tuple[int, InputDefinition]]] = {}
        """What has an input that was made since it was begun; all that are alike in what that leads to, together."""
        self.sources: list[tuple[int, ...]] = []
        """What each asset reads, as it is defined and as it was made, if something here made it."""
        self.inputs: list[tuple[int, ...] | None] = []
        """What each asset is defined to read, in that order, when that and nothing else is what it read."""
        self.likeness: list[int] = []
        """The same number for all that are of a kind, and have read in the same way what is of the same kinds."""
        self.divided_sources = {
            name for name, one in facts.definitions.items() if one.is_source and one.partitions is not None
        }
        """The sources that have partitions: outlines tell nothing of what was observed of them."""
        self._told_sources = self.divided_sources.union(
            name
            for name, one, there in zip(self.names, self.definitions, self.outlines, strict=True)
            if there.keys and one.is_source
        )
        """These, and those that were recorded: what was observed of them since is in no outline either."""
        self._note_reads()

    def of(self, number: int) -> tuple[str, AssetDefinition, Outline]:
        """An asset by its number."""
        return self.names[number], self.definitions[number], self.outlines[number]

    def _kinds(self) -> list[int]:
        by_place: dict[tuple[int, int, bool], int] = {}
        found = []
        for definition, there in zip(self.definitions, self.outlines, strict=True):
            place = id(definition.partitions), id(there.keys), definition.is_source
            kind = by_place.get(place)
            if kind is None:
                kind = by_place[place] = len(self.kind)
                self.kind.append((definition, there))
            found.append(kind)
        return found

    def _note_reads(self) -> None:
        is_made = [bool(there.keys) and not definition.is_source for definition, there in self.kind]
        numbers: dict[tuple[int, ...], int] = {}
        for number, kind in enumerate(self.kinds):
            inputs: tuple[int, ...] | None = None
            place: tuple[int, ...] = ()
            sources: tuple[int, ...] = ()
            if is_made[kind]:
                definition, there = self.definitions[number], self.outlines[number]
                inputs, place = self._inputs(number, definition, there)
                if (
                    not there.settled
                    or there.mixed
                    or there.code not in (None, definition.code_version)
                    or self.reads_told_source(definition, there)
                    or (inputs is None and self.reads_others(definition, there))
                ):
                    self.suspects.append(number)
                sources = self._sources(definition, there) if inputs is None else inputs
            self.inputs.append(inputs)
            self.sources.append(sources)
            self.likeness.append(numbers.setdefault(place, len(numbers)))

    def reads_others(self, definition: AssetDefinition, there: Outline) -> bool:
        """Whether it has read what is no input of it: a flow may have passed it, or it was one."""
        inputs = {used.asset for used in definition.inputs}
        return not inputs.issuperset(there.reads)

    def reads_told_source(self, definition: AssetDefinition, there: Outline) -> bool:
        """Whether what it has read, or would read, may have been observed since."""
        sources = self._told_sources
        return bool(sources) and (
            not sources.isdisjoint(there.reads) or any(used.asset in sources for used in definition.inputs)
        )

    def _inputs(
        self, number: int, definition: AssetDefinition, there: Outline
    ) -> tuple[tuple[int, ...] | None, tuple[int, ...]]:
        """What it is defined to read, when that is all that it read, and all else that it has in common with others."""
        reads, kinds, kind = there.reads, self.kinds, self.kinds[number]
        inputs, place = [], [kind]
        is_read = len(reads) == len(definition.inputs)
        for used in definition.inputs:
            source, read = self.number.get(used.asset), reads.get(used.asset)
            if source is None or source == number:
                is_read = False
                continue
            alike = kinds[source], id(read), id(used.mapping)
            if there.oldest < self.newest[source]:
                self.newer.setdefault((kind, *alike), []).append((number, used))
            is_read = is_read and read is not None
            inputs.append(source)
            place += alike
        return (tuple(inputs), tuple(place)) if is_read else (None, ())

    def _sources(self, definition: AssetDefinition, there: Outline) -> tuple[int, ...]:
        named = dict.fromkeys([*there.reads, *(used.asset for used in definition.inputs)])
        return tuple([self.number[name] for name in named if name in self.number])

    @cached_property
    def readers(self) -> Sequence[Sequence[int]]:
        """What reads each asset."""
        found: list[list[int]] = [[] for _ in self.names]
        for number, sources in enumerate(self.sources):
            for source in sources:
                found[source].append(number)
        return found

    def downstream(self, roots: Sequence[int]) -> Collection[int]:
        """These assets, all that reads them, and what reads that."""
        found, work, readers = set(roots), [*roots], self.readers
        for number in work:
            for reader in readers[number]:
                if reader not in found:
                    found.add(reader)
                    work.append(reader)
        return found

    @cached_property
    def rank(self) -> Sequence[int]:
        """Where each asset comes when all are put in order, upstream first; those that read each other by name."""
        groups = self._groups
        if groups is None:
            return range(len(self.names))
        found = [0] * len(self.names)
        for place, number in enumerate(chain.from_iterable(groups)):
            found[number] = place
        return found

    @cached_property
    def circles(self) -> Mapping[int, tuple[int, ...]]:
        """Of each asset that is read by what it reads itself, directly or not, all that are in that circle, in order."""
        return {number: group for group in self._groups or () if len(group) > 1 for number in group}

    @cached_property
    def _groups(self) -> list[tuple[int, ...]] | None:
        """All assets, upstream first, those of a circle together; None where that is the order of the definitions."""
        if all(not sources or max(sources) <= number for number, sources in enumerate(self.sources)):
            return None
        done = [False] * len(self.names)
        found: list[tuple[int, ...]] = []
        for number, sources in enumerate(self.sources):
            if done[number]:
                continue
            if all(done[source] or source == number for source in sources):
                done[number] = True
                found.append((number,))
                continue
            for group in components([number], lambda one: [source for source in self.sources[one] if not done[source]]):
                for one in group:
                    done[one] = True
                found.append(tuple(sorted(group, key=self.names.__getitem__)))
        return found
