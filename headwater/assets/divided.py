"""One way to divide assets, with what follows from the keys of its partitions."""

from __future__ import annotations

from typing import TypeAlias

from headwater.assets.partitions import PartitionsDefinition, PartitionSet
from headwater.errors import PartitionError

_Keys: TypeAlias = tuple[str | None, ...]


class Divided:
    """What follows from the keys of one way to divide assets: most assets share theirs, so it is worked out once."""

    def __init__(self, definition: PartitionsDefinition, as_of: int) -> None:
        self.definition = definition
        self.none = definition.empty()
        self._as_of = as_of
        self._numbers: dict[str | None, int | None] = {}
        self._names: dict[int, str | None] = {}
        self._sets: dict[_Keys, PartitionSet] = {}
        self._missing: dict[_Keys, PartitionSet] = {}
        self._keys: dict[tuple[object, ...], frozenset[str | None]] = {}

    def number(self, key: str | None) -> int | None:
        """The number of a partition, as far as the definition (still) has it."""
        if key not in self._numbers:
            try:
                self._numbers[key] = self.definition.ordinal(key)
            except PartitionError:
                self._numbers[key] = None
        return self._numbers[key]

    def name(self, number: int) -> str | None:
        """The key of the partition of that number."""
        if number not in self._names:
            self._names[number] = self.definition.key(number)
        return self._names[number]

    def set_of(self, keys: _Keys) -> PartitionSet:
        """The partitions of these keys, as far as the definition (still) has them."""
        found = self._sets.get(keys)
        if found is None:
            numbers = (self.number(key) for key in keys)
            found = self.definition.clip((number, number + 1) for number in numbers if number is not None)
            self._sets[keys] = found
        return found

    def without(self, keys: _Keys) -> PartitionSet:
        """The partitions that there are, without those of these keys."""
        found = self._missing.get(keys)
        if found is None:
            found = self._missing[keys] = self.definition.all(self._as_of) - self.set_of(keys)
        return found

    def keys(self, partitions: PartitionSet) -> frozenset[str | None]:
        """The keys of a set."""
        found = self._keys.get(partitions.shape)
        if found is None:
            found = self._keys[partitions.shape] = frozenset(partitions.keys())
        return found
