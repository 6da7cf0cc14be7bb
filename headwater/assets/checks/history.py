"""What is known of earlier versions of an asset: what a check compares the one at hand with."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from headwater import clock
from headwater.assets.events import AssetRef, ColumnSchema
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.assets.runtime import AssetRuntime

LOADED = 5_000
"""So many versions of an asset are loaded at once."""
_AGE_US = 10_000_000


class PastVersion(NamedTuple):
    """A version that was published. Times in microseconds since the epoch, UTC.

    `metrics` are the figures that checks have found of it, by their names: `mean(dep_delay)`, `nulls(carrier)`. `start` is
    when its partition begins, where that is a time.
    """

    partition: str | None
    version: str
    at: int
    rows: int | None
    bytes: int | None
    columns: tuple[ColumnSchema, ...]
    metrics: Mapping[str, float | None]
    start: int | None = None


@dataclass(slots=True, eq=False)
class _Known:
    loaded: int
    versions: list[PastVersion]


class Histories:
    """The histories that this process has asked for: of what is published here as of now, of all else ten seconds ago.

    To look into the projection takes longer than to make a small partition: a backfill would do so for each of them.
    """

    def __init__(self, run: AssetRuntime) -> None:
        self._catalog = run.catalog
        self._known: dict[tuple[str, str], _Known] = {}
        self._lock = threading.Lock()

    def of(self, ref: AssetRef) -> tuple[PastVersion, ...]:
        """The published versions of an asset, the newest first; of each partition its newest, `LOADED` at most."""
        now, place = clock.now_us(), (ref.namespace, ref.dataset)
        # Held while it is loaded: what is published meanwhile waits to be added.
        with self._lock:
            known = self._known.get(place)
            if known is None or abs(now - known.loaded) > _AGE_US:
                known = self._known[place] = _Known(now, list(self._catalog.history(ref, limit=LOADED)))
            return tuple(known.versions)

    def add(self, ref: AssetRef, one: PastVersion) -> None:
        """Note what was just published here."""
        with self._lock:
            known = self._known.get((ref.namespace, ref.dataset))
            if known is None:
                return
            others = [
                other
                for other in known.versions
                if other.version != one.version and (one.partition is None or other.partition != one.partition)
            ]
            known.versions = sorted([one, *others], key=_newest)


def _newest(one: PastVersion) -> tuple[int, int]:
    return -(one.at if one.start is None else one.start), -one.at


_histories: WeakKeyDictionary[AssetRuntime, Histories] = WeakKeyDictionary()


def histories(run: AssetRuntime) -> Histories:
    """Those of a project."""
    found = _histories.get(run)
    return found if found is not None else _histories.setdefault(run, Histories(run))


def published(run: AssetRuntime, ref: AssetRef, one: PastVersion) -> None:
    """Note what was just published here, for checks that ask later on."""
    found = _histories.get(run)
    if found is not None:
        found.add(ref, one)
