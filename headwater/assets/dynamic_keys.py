"""The keys of dynamic partitions as they are known in this process: read from the projection, changed through the journal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field

from headwater import clock
from headwater.assets import intervals as ranges
from headwater.assets import runtime
from headwater.assets.backfill_events import PartitionsAdded, PartitionsRemoved
from headwater.assets.intervals import Intervals
from headwater.assets.key_partitions import check_keys
from headwater.records import dataclass

_FRESH = 2_000_000
"""For how long (microseconds) what was read is taken to be so still: what this process changes, it knows at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKeys:
    """Every key that was ever added, in that order, and the numbers of those that are there."""

    keys: tuple[str, ...] = ()
    numbers: Mapping[str, int] = field(default_factory=dict)
    here: frozenset[str] = frozenset()
    present: Intervals = ()

    def changed(self, told: Iterable[tuple[str, bool]]) -> KnownKeys:
        """The same after keys were added (True) or removed: a key keeps its number for good.

        >>> known = KnownKeys().changed([("a", True), ("b", True), ("a", False)])
        >>> known.keys, known.present
        (('a', 'b'), ((1, 2),))
        """
        keys, numbers, here = list(self.keys), dict(self.numbers), set(self.here)
        for key, is_here in told:
            if key not in numbers:
                numbers[key] = len(keys)
                keys.append(key)
            (here.add if is_here else here.discard)(key)
        present = ranges.of_numbers(numbers[key] for key in here)
        return KnownKeys(keys=tuple(keys), numbers=numbers, here=frozenset(here), present=present)


class DynamicKeys:
    """The lists of one project. `read` gives the keys of a list in the order in which they were first added."""

    def __init__(self, read: Callable[[str], Iterable[tuple[str, bool]]]) -> None:
        self._read = read
        self._lists: dict[str, tuple[int, KnownKeys]] = {}
        self._news = 0
        self._lock = threading.Lock()

    def of(self, name: str, *, at_once: bool = False) -> KnownKeys:
        """A list, as it was at most two seconds ago, or (`at_once`) as it is now."""
        while True:
            found, news = self._lists.get(name), self._news
            if found is not None and not at_once and 0 <= clock.now_us() - found[0] < _FRESH:
                return found[1]
            # Not under the lock: reading waits for whoever looks at the projection, and who looks there may ask for a list.
            told = tuple(self._read(name))
            with self._lock:
                # What became known meanwhile may be newer than what was read.
                if self._news == news:
                    return self._keep(name, told)

    def change(self, name: str, told: Iterable[tuple[str, bool]]) -> None:
        """Take in what this process has changed."""
        with self._lock:
            self._keep(name, told)

    def _keep(self, name: str, told: Iterable[tuple[str, bool]]) -> KnownKeys:
        before = self._lists.get(name)
        known = (KnownKeys() if before is None else before[1]).changed(told)
        self._lists[name] = clock.now_us(), known
        self._news += 1
        return known


def known(name: str, *, missing: str | None = None) -> KnownKeys:
    """The list of that name; when a key is `missing` from what is known and was never heard of, as it is now."""
    lists = runtime.current().dynamic
    found = lists.of(name)
    if missing is not None and missing not in found.numbers:
        found = lists.of(name, at_once=True)
    return found


def add(name: str, keys: Iterable[str]) -> tuple[str, ...]:
    """Add keys to a list, durably; those that were not there. Raises PartitionError for a key that is not safe."""
    run = runtime.current()
    here = run.dynamic.of(name, at_once=True).here
    new = tuple(dict.fromkeys(key for key in keys if key not in here))
    check_keys(new, here, where=f"dynamic partitions '{name}'")
    if new:
        run.journal.append(PartitionsAdded(name=name, keys=new, project=run.project))
        run.dynamic.change(name, ((key, True) for key in new))
    return new


def remove(name: str, keys: Iterable[str]) -> tuple[str, ...]:
    """Remove keys from a list, durably; those that were there."""
    run = runtime.current()
    here = run.dynamic.of(name, at_once=True).here
    gone = tuple(dict.fromkeys(key for key in keys if key in here))
    if gone:
        run.journal.append(PartitionsRemoved(name=name, keys=gone, project=run.project))
        run.dynamic.change(name, ((key, False) for key in gone))
    return gone
