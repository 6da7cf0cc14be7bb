"""Partitions by key: a fixed list of them, or a named list that grows and shrinks as the program runs."""

from __future__ import annotations

import difflib
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from headwater.assets import intervals as ranges
from headwater.assets.intervals import Interval, Intervals
from headwater.assets.key_text import check_key, dimensions_in, escaped, unescaped
from headwater.assets.partition import Partition, shown
from headwater.assets.partition_sets import PartitionsDefinition, PartitionSet
from headwater.errors import DefinitionError, HeadwaterError, PartitionError
from headwater.records import dataclass
from headwater.wording import command

if TYPE_CHECKING:
    from headwater.assets.dynamic_keys import KnownKeys

_FAR = 1 << 40
_LISTED = 5


class KeyPartitions(PartitionsDefinition):
    """Partitions that have keys and no windows of time; they are numbered in the order of their list."""

    __slots__ = ()

    @property
    @abstractmethod
    def listed(self) -> Sequence[str]:
        """The keys in the order of their numbers, with those that are gone."""

    @property
    @abstractmethod
    def numbers(self) -> Mapping[str, int]:
        """The number of each key, also of those that are gone."""

    def key(self, ordinal: int) -> str:
        """The key of the partition of that number."""
        return self.listed[ordinal]

    def ordinal(self, key: str | None) -> int:
        """The number of the partition of that key; a PartitionError when there is none, with keys that are alike."""
        found = self.numbers.get(key) if isinstance(key, str) else None
        if found is None:
            raise self._unknown(key)
        return found

    def at(self, ordinal: int) -> Partition:
        """The partition of that number."""
        return Partition(key=self.key(ordinal), definition=self)

    def partition(self, value: str | date | datetime | Mapping[str, Any] | Partition | None) -> Partition:
        """The partition of a key, as it is or as it is written beside others; a PartitionError when there is none."""
        key = value.key if isinstance(value, Partition) else value
        if not isinstance(key, str):
            raise self._foreign(value)
        numbers = self.numbers
        if key not in numbers and (read := unescaped(key)) in numbers:
            key = read
        self.ordinal(key)
        return Partition(key=key, definition=self)

    def all(self, as_of: int | None = None) -> PartitionSet:
        """Every partition that there is now."""
        return PartitionSet(self, self.existing)

    def ended(self, as_of: int | None = None) -> PartitionSet:
        """Every partition that there is now: keys do not end."""
        return self.all()

    def read(self, text: str) -> str:
        """The key that is written so: what is percent-encoded in it stands for itself."""
        return unescaped(text)

    def write(self, key: str | None) -> str:
        """A key as it is written beside others."""
        return escaped(str(key))

    def intervals_json(self, intervals: Intervals) -> list[Any]:
        """Every key by itself: a list may be put in another order later."""
        return [[self.key(number)] * 2 for low, high in intervals for number in range(low, high)]

    def _unknown(self, key: object) -> PartitionError:
        # To look for what is alike takes as long as the list is.
        return self._error(f"{shown(key)} is not one of the partitions", hint=lambda: self._alike(key))

    def _alike(self, key: object) -> str:
        here = [self.listed[number] for low, high in self.existing for number in range(low, high)]
        near = difflib.get_close_matches(key, here, n=3) if isinstance(key, str) and len(key) < 100 else []
        if near:
            return f"did you mean {' or '.join(map(shown, near))}?"
        return f"there are {_some(here)}" if here else "there are none yet"

    def _example(self) -> str:
        return f"a key like {self.write(self.sample)}"


@dataclass(frozen=True, slots=True, init=False, repr=False)
class StaticPartitions(KeyPartitions):
    """A fixed list of partitions. Raises DefinitionError for a key that is not safe as a file name, or stands twice.

    >>> regions = StaticPartitions(["eu", "us", "asia"])
    >>> len(regions.all()), str(regions.parse("us, eu"))
    (3, 'eu, us')
    """

    keys: tuple[str, ...]
    _numbers: Mapping[str, int] = field(compare=False)

    def __init__(self, keys: Iterable[str]) -> None:
        found = () if isinstance(keys, str) or not isinstance(keys, Iterable) else tuple(keys)
        if not found:
            message = f"StaticPartitions needs a list of keys, not {shown(keys)}"
            raise DefinitionError(message, hint='write StaticPartitions(["eu", "us"])')
        check_keys(found, where="StaticPartitions", error=DefinitionError)
        object.__setattr__(self, "keys", found)
        object.__setattr__(self, "_numbers", {key: number for number, key in enumerate(found)})

    def __hash__(self) -> int:
        # That of all keys would take as long as the list is, each time.
        return hash((len(self.keys), self.keys[0], self.keys[-1]))

    @property
    def bounds(self) -> Interval:
        """From the first key to behind the last one."""
        return 0, len(self.keys)

    @property
    def listed(self) -> Sequence[str]:
        """The keys."""
        return self.keys

    @property
    def numbers(self) -> Mapping[str, int]:
        """The number of each key."""
        return self._numbers

    def within(self, other: StaticPartitions) -> bool:
        """Whether the other list has every key of this one."""
        return self._numbers.keys() <= other.numbers.keys()

    def text_of(self, intervals: Intervals) -> str:
        """The keys; of many that follow each other the first and the last, and `*` for all of many."""
        if intervals == (self.bounds,) and len(self.keys) > _LISTED:
            return "*"
        found: list[str] = []
        for low, high in intervals:
            if high - low > _LISTED:
                found.append(f"{escaped(self.keys[low])}..{escaped(self.keys[high - 1])}")
            else:
                found += [escaped(key) for key in self.keys[low:high]]
        return ", ".join(found)

    def describe(self) -> str:
        """The keys, or some of them."""
        return f"static, {_some(self.keys)}"

    def to_json(self) -> dict[str, Any]:
        """Type and keys."""
        return {"type": "static", "keys": list(self.keys)}

    def __repr__(self) -> str:
        return f"StaticPartitions({list(self.keys)!r})"


@dataclass(frozen=True, slots=True, repr=False)
class DynamicPartitions(KeyPartitions):
    """A list of partitions that is known by a name, to which keys are added and from which they are removed at run time.

    What was added is recorded in the project's journal and known to every process from then on (to one that runs already,
    within two seconds). A removed key is no partition any more; what was made of it keeps its history, and the key can be
    added again.

    >>> from headwater.testing.sandbox import sandbox
    >>> customers = DynamicPartitions("customers")
    >>> with sandbox():
    ...     customers.add("acme", "zeta"), customers.remove("acme"), str(customers.all())
    (('acme', 'zeta'), ('acme',), 'zeta')
    """

    name: str

    def __post_init__(self) -> None:
        check_key(self.name, "the name of dynamic partitions", where="DynamicPartitions", error=DefinitionError)

    def add(self, *keys: str) -> tuple[str, ...]:
        """Add keys, durably; those that were not there. Raises PartitionError for a key that is not safe everywhere."""
        from headwater.assets.dynamic_keys import add

        self._check_texts(keys)
        return add(self.name, keys)

    def remove(self, *keys: str) -> tuple[str, ...]:
        """Remove keys, durably; those that were there. What was made of them is not touched."""
        from headwater.assets.dynamic_keys import remove

        self._check_texts(keys)
        return remove(self.name, keys)

    def _check_texts(self, keys: Iterable[object]) -> None:
        for key in keys:
            if not isinstance(key, str):
                hint = 'give texts, each by itself: "acme", "zeta", or *keys'
                raise PartitionError(
                    f"a partition key can't be {key!a}"[:200], where=f"dynamic partitions '{self.name}'", hint=hint
                )

    @property
    def fixed(self) -> bool:
        """No: keys come and go."""
        return False

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that are there, in the order in which they were first added."""
        known = self._known()
        return tuple(known.keys[number] for low, high in known.present for number in range(low, high))

    @property
    def bounds(self) -> Interval:
        """A far end: numbers stay the same when keys are added."""
        return 0, _FAR

    @property
    def existing(self) -> Intervals:
        """The numbers of the keys that are there."""
        return self._known().present

    @property
    def listed(self) -> Sequence[str]:
        """Every key that was ever added."""
        return self._known().keys

    @property
    def numbers(self) -> Mapping[str, int]:
        """The number of every key that was ever added."""
        return self._known().numbers

    @property
    def sample(self) -> str:
        """A key that there is, or the word for one."""
        known = self._known()
        return known.keys[known.present[0][0]] if known.present else "KEY"

    def key(self, ordinal: int) -> str:
        """The key of that number; a PartitionError when no key has it."""
        listed = self.listed
        if not 0 <= ordinal < len(listed):
            raise self._error(f"there is no partition number {ordinal}", hint=f"{len(listed)} were added so far")
        return listed[ordinal]

    def ordinal(self, key: str | None) -> int:
        """The number of a key that is there; a PartitionError for others, with how to add it."""
        from headwater.assets.dynamic_keys import known

        state = self._known()
        if isinstance(key, str) and key not in state.here:
            state = known(self.name, missing=key)
        if not isinstance(key, str) or key not in state.here:
            raise self._unknown(key)
        return state.numbers[key]

    def _alike(self, key: object) -> str:
        hint, state = KeyPartitions._alike(self, key), self._known()
        if not isinstance(key, str) or not is_key(key, state.here):
            return hint
        gone = "it was removed; " if key in state.numbers else ""
        return f"{hint}; {gone}add it: {command('partitions add', self.name, key)}"

    def away(self, intervals: Iterable[Interval], first: int, last: int) -> PartitionSet:
        """The keys from `first` to `last` steps away, counted among those that are there."""
        present = self.existing
        places = ((ranges.place(present, low), ranges.place(present, high)) for low, high in intervals)
        away = ranges.merged((low + first, high + last) for low, high in places if low < high)
        return PartitionSet(self, ranges.at_places(present, away))

    def text_of(self, intervals: Intervals) -> str:
        """The keys, each by itself."""
        return ", ".join(escaped(self.key(number)) for low, high in intervals for number in range(low, high))

    def describe(self) -> str:
        """The name."""
        return f"dynamic, {self.name}"

    def to_json(self) -> dict[str, Any]:
        """Type and name."""
        return {"type": "dynamic", "name": self.name}

    def __repr__(self) -> str:
        return f"DynamicPartitions({self.name!r})"

    def _known(self) -> KnownKeys:
        from headwater.assets.dynamic_keys import known

        return known(self.name)


def check_keys(
    keys: Iterable[str],
    beside: Iterable[str] = (),
    *,
    where: str,
    error: type[HeadwaterError] = PartitionError,
) -> None:
    """Refuse a key that is not safe everywhere, stands twice, or differs from another one only in case."""
    seen = {key.casefold(): key for key in beside}
    for key in keys:
        check_key(key, "a partition key", where=where, error=error)
        if dimensions_in(key):
            message = f"the partition key {shown(key)} reads like one of a product"
            raise error(message, where=where, hint="use ProductPartitions, or leave the commas out")
        other = seen.get(key.casefold())
        seen[key.casefold()] = key
        if other is not None:
            if other == key:
                raise error(f"the partition key {shown(key)} stands twice", where=where, hint="leave one of them out")
            message = f"the partition keys {shown(other)} and {shown(key)} differ only in case"
            raise error(message, where=where, hint="some file systems can't tell them apart: rename one of them")


def is_key(key: str, beside: Iterable[str] = ()) -> bool:
    """Whether a key is safe, and can be beside others.

    >>> is_key("a b"), is_key("a/\\0"), is_key("A", ["a"])
    (True, False, False)
    """
    try:
        check_keys([key], beside, where="")
    except PartitionError:
        return False
    return True


def _some(keys: Sequence[str]) -> str:
    more = f", … ({len(keys):,} keys)" if len(keys) > _LISTED else ""
    return ", ".join(escaped(key) for key in keys[:_LISTED]) + more
