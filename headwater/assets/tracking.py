"""Where values come from: which asset versions stand behind an object, for as long as the object lives.

A value is known by identity, never by a bare `id()`: an address is reused as soon as an object is freed, so each entry
holds a weak reference and counts only while it still points to the very object. Lists, dicts and tuples take no weak
references; they are held until their run ends, a bounded number of them. Values that Python shares (None, booleans,
numbers, texts) are never followed: two unrelated ones would look alike.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from headwater.assets.events import ColumnSchema, InputVersion
from headwater.assets.forms import frame_form
from headwater.assets.protocols import Leaf
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.assets.connections import Followed

Sources: TypeAlias = tuple[InputVersion, ...]

HELD_AT_MOST = 10_000
"""How many lists, dicts and tuples a tracker holds; beyond that the oldest are forgotten."""
SCANS_AT_MOST = 1_000
"""How many lazy frames over files a tracker keeps, to hand them out again."""
FRAMES_AT_MOST = 256 << 20
"""Bytes of frames in memory that a tracker holds; beyond that the oldest are forgotten."""
MANY_FRAMES = 1_000
"""How many frames it holds at most, however small they are."""

_SCALARS = frozenset({type(None), bool, int, float, complex, str, bytes, date, datetime, time, timedelta})
_SEQUENCES = (list, tuple, set, frozenset)
_NEVER = (type(None), bool, int, float, complex, str, bytes, type)
_DEPTH = 12


@dataclass(frozen=True, slots=True)
class _Frame:
    frame: Any
    addresses: frozenset[int]
    columns: Mapping[str, int | None]
    names: Mapping[str, str]
    """What its source calls the columns."""
    sources: Sources
    size: int


_Version: TypeAlias = tuple[str, str, str | None, str | None]


@dataclass(slots=True)
class _Entry:
    alive: Callable[[], Any]
    sources: Sources
    before: Any = None


class Tracker:
    """Remembers the sources of values.

    >>> tracker = Tracker()
    >>> rows = [{"id": 1}]
    >>> tracker.add(rows, (InputVersion(asset="orders", namespace="file", dataset="/orders"),))
    >>> [source.asset for source in tracker.sources_of({"inside": [rows]})]
    ['orders']
    >>> tracker.sources_of([{"id": 1}])
    ()
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.remembering = threading.Lock()
        """Held by who looks whether a frame is known and adds it then."""
        self._values: dict[int, _Entry] = {}
        self._held: OrderedDict[int, Any] = OrderedDict()
        self._paths: dict[tuple[str, ...], Sources] = {}
        self._lengths: dict[str, set[int]] = {}
        """Of how many files scans are known, by their first one."""
        self._tables: dict[str, tuple[Sources, tuple[ColumnSchema, ...]]] = {}
        self._connections: weakref.WeakKeyDictionary[Any, Followed] = weakref.WeakKeyDictionary()
        self._frames: OrderedDict[int, _Frame] = OrderedDict()
        self._frames_size = 0
        self._scans: OrderedDict[tuple[_Version, ...], Any] = OrderedDict()
        self._holding: dict[int, dict[int, _Frame]] = {}
        """The frames that hold a column, by its address and in the order that they were added."""

    def add(self, value: Any, sources: Sources) -> None:
        """Remember that these sources stand behind this very object."""
        if isinstance(value, _NEVER) or (isinstance(value, (list, dict, tuple, set, frozenset)) and not value):
            return
        key = id(value)
        with self._lock:
            try:
                alive: Callable[[], Any] = weakref.ref(value, self._forgetter(key))
            except TypeError:
                alive = self._hold(key, value)
            self._values[key] = _Entry(alive, sources, _as_it_is(value))

    def add_leaf(self, leaf: Leaf, sources: Sources) -> None:
        """Remember the sources of a lazy plan's leaf: its files, its io source, or its columns in memory."""
        if leaf.paths:
            self._paths[leaf.paths] = sources
            self._lengths.setdefault(leaf.paths[0], set()).add(len(leaf.paths))
        if leaf.io_source is not None:
            self.add(leaf.io_source, sources)

    def add_table(self, name: str, sources: Sources, columns: tuple[ColumnSchema, ...]) -> None:
        """Remember the sources of a table behind a DuckDB relation: relations made of that one have it in their query."""
        self._tables[name] = (sources, columns)

    def table(self, name: str) -> tuple[Sources, tuple[ColumnSchema, ...]] | None:
        """The sources and columns of a table behind a relation, or None when nobody knows it."""
        return self._tables.get(name)

    def add_connection(self, raw: Any, followed: Followed) -> None:
        """Remember what is known of a DuckDB connection, for as long as it or a relation on it lives."""
        self._connections[raw] = followed

    def connection_of(self, relation: Any) -> tuple[Any, Followed] | None:
        """The connection of a relation, if it was added, and what is known of it."""
        for raw, followed in list(self._connections.items()):
            try:
                raw.sql("SELECT 1 AS headwater_probe").cross(relation)
            except Exception as error:
                # DuckDB refuses to combine relations of different connections, and of one that is closed.
                if type(error).__module__.partition(".")[0] not in ("duckdb", "_duckdb"):
                    raise
            else:
                return raw, followed
        return None

    def add_frame(
        self,
        frame: Any,
        columns: Mapping[str, int | None],
        sources: Sources,
        *,
        size: int,
        names: Mapping[str, str] | None = None,
    ) -> None:
        """Remember the columns of a frame in memory (by address), so that lazy frames made of it are known by their leaf.

        A column without memory of its own has None for an address. `names` are those of the source, where they are others.
        An address says nothing once its memory has been freed: so the frame is held, up to a bound on all of them.
        """
        addresses = frozenset(number for number in columns.values() if number is not None)
        if not addresses or size > FRAMES_AT_MOST:
            return
        own = {name: name for name in columns} if names is None else dict(names)
        with self._lock:
            self._forget_frame(id(frame))
            added = self._frames[id(frame)] = _Frame(frame, addresses, dict(columns), own, sources, size)
            self._frames_size += size
            for address in added.addresses:
                self._holding.setdefault(address, {})[id(frame)] = added
            while self._frames_size > FRAMES_AT_MOST or len(self._frames) > MANY_FRAMES:
                self._forget_frame(next(iter(self._frames)))

    def columns_of(self, frame: Any) -> Mapping[str, int | None] | None:
        """Where the columns of this very frame lay when it was added, or None when it is not held."""
        found = self._frames.get(id(frame))
        return found.columns if found is not None and found.frame is frame else None

    def before(self, frame: Any) -> Any:
        """This very pandas frame as it was when it was added, or None when nobody knows."""
        entry = self._values.get(id(frame))
        return entry.before if entry is not None and entry.alive() is frame else None

    def add_scan(self, scan: Any, sources: Sources) -> None:
        """Keep a lazy frame over the files of these versions, whose leaves are known: who reads them next is given the like."""
        with self._lock:
            self._scans[_versions(sources)] = scan
            if len(self._scans) > SCANS_AT_MOST:
                self._scans.popitem(last=False)

    def scan_of(self, sources: Sources) -> Any | None:
        """The lazy frame that is kept for these versions, if there is one."""
        return self._scans.get(_versions(sources))

    def _forget_frame(self, key: int) -> None:
        gone = self._frames.pop(key, None)
        if gone is None:
            return
        self._frames_size -= gone.size
        for address in gone.addresses:
            holding = self._holding[address]
            del holding[key]
            if not holding:
                del self._holding[address]

    def _frames_with(self, wanted: frozenset[int]) -> list[_Frame]:
        """The frames that hold all these columns, in the order that they were added."""
        with self._lock:
            holding = list(self._holding.get(next(iter(wanted), -1), {}).values())
        return [one for one in holding if wanted <= one.addresses]

    def knows_other(self, addresses: Mapping[str, int], sources: Sources) -> bool:
        """Whether a frame of other sources is held that has all these columns too."""
        same = as_value(sources, "value")
        found = self._frames_with(frozenset(addresses.values()))
        return any(as_value(one.sources, "value") != same for one in found)

    def of_leaf(self, leaf: Leaf) -> Sources | None:
        """The sources of a leaf, or None when nobody knows it."""
        if leaf.paths:
            return self._of_paths(leaf.paths)
        if leaf.io_source is not None:
            return self.of(leaf.io_source)
        held = self._frame_of(leaf)
        return None if held is None else held.sources

    def names_of(self, leaf: Leaf) -> Mapping[str, str]:
        """What the source of a leaf in memory calls its columns: those lie where they lay, under whatever name."""
        held = self._frame_of(leaf)
        if held is None:
            return {}
        at = {number: name for name, number in held.columns.items()}
        meant = {name: name for name, number in held.columns.items() if number is None}
        for name, number in leaf.buffers.items():
            meant[name] = name if held.columns.get(name) == number else at[number]
        return {name: held.names[own] for name, own in meant.items() if own in held.names}

    def _frame_of(self, leaf: Leaf) -> _Frame | None:
        wanted = frozenset(leaf.buffers.values())
        found = self._frames_with(wanted)
        # Frames share columns: the one with these very columns is meant; if there is none, only a single one is sure.
        exact = [one for one in found if one.addresses == wanted]
        chosen = exact[-1:] or (found if len(found) == 1 else [])
        return chosen[0] if chosen else None

    def _of_paths(self, paths: tuple[str, ...]) -> Sources | None:
        """The sources of a scan, or of several that Polars made one of, as it does of those that are concatenated."""
        found: dict[InputVersion, None] = {}
        while paths:
            # The longest that fits: a scan of one file may be known, too, where one of several begins with it.
            lengths = sorted(self._lengths.get(paths[0], ()), reverse=True)
            fits = (paths[:length] for length in lengths)
            known = next((one for one in fits if one in self._paths), None)
            if known is None:
                return None
            found.update(dict.fromkeys(self._paths[known]))
            paths = paths[len(known) :]
        return tuple(found)

    def of(self, value: Any) -> Sources | None:
        """The sources of this very object (not of what it contains), or None when it is not known."""
        entry = self._values.get(id(value))
        return entry.sources if entry is not None and entry.alive() is value else None

    def sources_of(self, value: Any) -> Sources:
        """The sources of an object and of everything inside it, at any depth of containers."""
        found: dict[InputVersion, None] = {}
        for one in walk(value):
            for source in self.of(one) or ():
                found[source] = None
        return tuple(found)

    def _hold(self, key: int, value: Any) -> Callable[[], Any]:
        self._held[key] = value
        while len(self._held) > HELD_AT_MOST:
            oldest, _ = self._held.popitem(last=False)
            self._values.pop(oldest, None)
        return lambda: value

    def _forgetter(self, key: int) -> Callable[[Any], None]:
        tracker = weakref.ref(self)

        def forget(dead: Any) -> None:
            found = tracker()
            # The address may have been reused by a value that was added since: only this entry's own goes.
            if found is not None and (entry := found._values.get(key)) is not None and entry.alive is dead:
                found._values.pop(key, None)

        return forget


def _as_it_is(value: Any) -> Any:
    """A pandas frame with the columns of this one, which stay as they are: pandas copies them before it writes, since version 3."""
    if frame_form(value) != "pandas":
        return None
    version = sys.modules["pandas"].__version__
    return value.copy(deep=False) if int(version.partition(".")[0]) >= 3 else None


def _versions(sources: Sources) -> tuple[_Version, ...]:
    return tuple([(one.namespace, one.dataset, one.partition, one.version) for one in sources])


def walk(value: Any) -> Iterator[Any]:
    """An object and everything inside its containers (mappings, sequences, sets, dataclasses), each once, the outermost first.

    Numbers, texts and the like are left out: they are never followed, and tables of plain rows are full of them.

    >>> [type(one).__name__ for one in walk({"a": [1, (2, "x")]})]
    ['dict', 'list', 'tuple']
    """
    seen: set[int] = set()
    levels = [[value]]
    for level in levels:
        # Every level is kept until the end: an object that goes would give its id to another one.
        inner: list[Any] = []
        for one in level:
            if id(one) not in seen:
                seen.add(id(one))
                yield one
                inner += _inside(one)
        if inner and len(levels) <= _DEPTH:
            levels.append(inner)


def _inside(value: Any) -> list[Any]:
    cls = type(value)
    found: Iterable[Any] = ()
    if cls is dict:
        found = value.values()
    elif cls in _SEQUENCES or isinstance(value, _SEQUENCES):
        found = value
    elif isinstance(value, Mapping):
        found = value.values()
    elif hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        found = [getattr(value, name, None) for name in value.__dataclass_fields__]
    return [one for one in found if type(one) not in _SCALARS]


def as_value(sources: Iterable[InputVersion], via: str) -> Sources:
    """The same sources, said to be known in another way."""
    return tuple(source if source.via == via else replace(source, via=via) for source in sources)
