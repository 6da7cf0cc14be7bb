"""How assets are divided, and which partitions their inputs' mappings lead to: each of it worked out once for all that share it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TypeAlias

from headwater.assets.definitions import AssetDefinition, InputDefinition
from headwater.assets.dependencies import reached
from headwater.assets.divided import Divided
from headwater.assets.facts import Pairs
from headwater.assets.intervals import Intervals
from headwater.assets.partitions import PartitionsDefinition, PartitionSet, partitioning
from headwater.errors import DefinitionError

_Keys: TypeAlias = tuple[str | None, ...]
_Shape: TypeAlias = tuple[object, ...]


class Divisions:
    """What one judgement asks of partitions and mappings. It belongs to values that live as long as it does.

    What assets share is looked up by identity: most share their partitions, mappings and what they read, and to compare
    these takes longer than all else.
    """

    def __init__(self, definitions: Mapping[str, AssetDefinition], as_of: int) -> None:
        self._definitions, self._as_of = definitions, as_of
        self._by_value: dict[PartitionsDefinition | None, Divided] = {}
        self._known: dict[int, Divided] = {}
        self._windows: dict[tuple[int, Divided, Divided], dict[str | None, Intervals]] = {}
        self._below: dict[tuple[int, Divided, _Shape, Divided, _Shape], PartitionSet] = {}
        self._not_read: dict[tuple[int, Divided, int, int, Divided, int], Pairs] = {}

    def of(self, definition: AssetDefinition) -> Divided:
        """How an asset is divided."""
        partitions = definition.partitions
        found = self._known.get(id(partitions))
        if found is None:
            found = self._by_value.get(partitions)
            if found is None:
                found = self._by_value[partitions] = Divided(partitioning(definition), self._as_of)
            self._known[id(partitions)] = found
        return found

    def named(self, name: str) -> Divided:
        """How the asset of that name is divided."""
        return self.of(self._definitions[name])

    def unread(self, used: InputDefinition, divided: Divided, keys: _Keys, read: Pairs, there: _Keys) -> Pairs:
        """Each partition with each one of the input that is there, lies in its window, and was not read by it."""
        above = self.named(used.asset)
        place = (id(used.mapping), divided, id(keys), id(read), above, id(there))
        found = self._not_read.get(place)
        if found is None:
            every = frozenset(there)
            by_key: dict[str | None, set[str | None]] = {key: set() for key in keys}
            for key, part in read:
                by_key[key].add(part)
            # Some have read all that is there.
            others = [key for key, parts in by_key.items() if not every <= parts]
            windows = self._windows_of(used, divided, above, others)
            found = self._not_read[place] = tuple(
                (key, part)
                for key in others
                for low, high in windows[key]
                for part in map(above.name, range(low, high))
                if part in every and part not in by_key[key]
            )
        return found

    def _windows_of(
        self, used: InputDefinition, divided: Divided, above: Divided, keys: Collection[str | None]
    ) -> Mapping[str | None, Intervals]:
        """The partitions of an input that each of these partitions reads; none for what is no partition any more."""
        windows = self._windows.setdefault((id(used.mapping), divided, above), {})
        new = [key for key in keys if key not in windows]
        numbers = [(key, number) for key in new if (number := divided.number(key)) is not None]
        windows.update(dict.fromkeys(new, ()))
        try:
            found = used.mapping.windows(
                [number for _, number in numbers], divided.definition, above.definition, as_of=self._as_of
            )
        except DefinitionError:
            return windows  # the input has been divided anew since this was defined
        windows.update(zip([key for key, _ in numbers], found, strict=True))
        return windows

    def upstream(self, used: InputDefinition, of: PartitionSet, above: PartitionsDefinition) -> PartitionSet:
        """The partitions of an input that these ones read."""
        try:
            return used.mapping.upstream(of, above, as_of=self._as_of)
        except DefinitionError:
            return above.empty()  # the input has been divided anew since this was defined

    def downstream(
        self, used: InputDefinition, behind: PartitionSet, below: Divided, there: PartitionSet
    ) -> PartitionSet:
        """Those of the partitions in place that read one of these of an input."""
        place = (id(used.mapping), self.named(used.asset), behind.shape, below, there.shape)
        found = self._below.get(place)
        if found is None:
            found = self._below[place] = self._mapped(used, behind, there) & there
        return found

    def along(
        self,
        inner: Collection[tuple[str, InputDefinition]],
        stale: Mapping[str, PartitionSet],
        there: Mapping[str, PartitionSet],
    ) -> dict[str, PartitionSet]:
        """These partitions of assets that read themselves or each other, those in place that read them, and so on.

        `inner` are their inputs that lie among them, each with the asset that reads it.
        """

        def readers(of: Mapping[str, PartitionSet]) -> Iterator[tuple[str, PartitionSet]]:
            for name, used in inner:
                if used.asset in of:
                    yield name, self._mapped(used, of[used.asset], there[name]) & there[name]

        return reached(stale, readers)

    def _mapped(self, used: InputDefinition, of: PartitionSet, there: PartitionSet) -> PartitionSet:
        """The partitions that read these ones, as far as there are any in place: some are made before they end."""
        last = there.last.end_us if there else None
        as_of = self._as_of if last is None else max(self._as_of, last)
        try:
            return used.mapping.downstream(of, there.definition, as_of=as_of)
        except DefinitionError:
            return there.definition.empty()
