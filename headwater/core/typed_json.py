"""JSON that keeps types: what JSON has no word for is an object with one member, whose name is a tag.

`{"t": [1, 2]}` is a tuple, `{"d": [["a", 1]]}` a dict; lists, texts, numbers, booleans and null stand for themselves.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path, PosixPath, PurePosixPath
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from headwater.core import tables
from headwater.core.shapes import Shapes
from headwater.errors import ResultError

if TYPE_CHECKING:
    from headwater.core.encodings import Encoded, Refused

DEEPEST = 60
"""Containers within containers: JSON nests up to three levels for each, and its reader goes so far."""
_MOST = 5_000_000
"""Values within a value: shared parts are written as often as they occur, which could be without end."""
_INT64 = 1 << 63
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
"""Names of time zones: parts of a path within the time zone data, and nothing else."""


class Unstorable(Exception):
    """A value that can't be encoded: why, and the way to it from the whole."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
        self.way: list[str] = []


class _WholeUnstorable(Unstorable):
    """The value as a whole can't be encoded, wherever that was noticed."""


def encode(value: object, limit: int | None, hint: Any = None) -> Encoded | Refused:
    """A value as JSON that keeps types, checked by reading it back; or why that can't be."""
    from headwater.core.encodings import JSON, Encoded, Refused

    with suppress(_NotPlain):
        data = orjson.dumps(_Plain(_MOST if limit is None else limit).node(value, 0))
        if limit is None or len(data) <= limit:
            return Encoded(JSON, data)
    writer = _Writer(limit, Shapes(hint))
    try:
        data = orjson.dumps(writer.node(value, 0))
        if limit is not None and len(data) > limit:
            raise Unstorable(f"is larger than {limit:,} bytes")
        if not same(value, _Reader(writer.shapes).node(orjson.loads(data))):
            raise Unstorable("does not come back equal")
    except Unstorable as error:
        way = () if isinstance(error, _WholeUnstorable) else reversed(error.way)
        return Refused(f"result{''.join(way)} {error.why}")
    except Exception as error:  # noqa: BLE001 - a class of the user's own may raise anything when it is looked at
        return Refused(f"result can't be encoded: {type(error).__name__}: {error}")
    return Encoded(JSON, data)


def decode(data: bytes, hint: Any = None) -> Any:
    """The value of what `encode` gave. Raises ResultError, or whatever a wrong value leads to."""
    return _Reader(Shapes(hint)).node(orjson.loads(data))


class _NotPlain(Exception):
    """A value needs more than `_Plain` knows."""


class _Plain:
    """Turns lists, and dicts by name, of what is the same in JSON into what `_Writer` makes of them, in a tenth of its time.

    What has been so written needs no reading back: it can only come back equal.
    """

    def __init__(self, most: int) -> None:
        self._left = most

    def node(self, value: Any, depth: int) -> Any:
        """A value as JSON. Raises _NotPlain."""
        kind = type(value)
        self._left -= 1
        if self._left < 0:
            raise _NotPlain
        if value is None or kind is bool:
            return value
        if kind is str and value.isascii():
            self._left -= len(value)
            return value
        if (kind is int and -_INT64 <= value < _INT64) or (kind is float and math.isfinite(value)):
            return value
        if depth >= DEEPEST:
            raise _NotPlain
        if kind is list:
            return [self.node(one, depth + 1) for one in value]
        if kind is dict:
            return {"d": [[self._name(key), self.node(one, depth + 1)] for key, one in value.items()]}
        raise _NotPlain

    def _name(self, key: object) -> str:
        if type(key) is not str or not key.isascii():
            raise _NotPlain
        self._left -= 1 + len(key)
        return key


class _Writer:
    """Turns one value into what JSON can hold."""

    def __init__(self, limit: int | None, shapes: Shapes) -> None:
        self.limit, self.shapes = limit, shapes
        self._left = _MOST if limit is None else limit
        self._inside: set[int] = set()

    def node(self, value: Any, depth: int) -> Any:
        """A value as JSON. Raises Unstorable."""
        kind = type(value)
        self._left -= 1
        if self._left < 0:
            raise _WholeUnstorable(self._too_large())
        if kind is str:
            return self._text(value)
        if kind is int:
            return value if -_INT64 <= value < _INT64 else {"i": hex(value)}
        if value is None or kind is bool:
            return value
        if kind is float:
            return value if math.isfinite(value) else {"f": repr(value)}
        write = _WRITERS.get(kind)
        if write is not None:
            return write(self, value)
        return self._container(value, kind, depth)

    def _text(self, value: str) -> Any:
        if self.limit is not None:
            self._left -= len(value)
        if value.isascii():
            return value
        try:
            value.encode()
        except UnicodeEncodeError:  # halves of characters, which JSON's writer refuses
            return {"s": _b64(value.encode("utf-8", "surrogatepass"))}
        return value

    def bytes(self, value: bytes | bytearray) -> str:
        """Bytes as text."""
        if self.limit is not None:
            self._left -= len(value)
            if self._left < 0:
                raise _WholeUnstorable(self._too_large())
        return _b64(value)

    def _container(self, value: Any, kind: type, depth: int) -> Any:
        if depth >= DEEPEST:
            raise _WholeUnstorable(f"is nested more than {DEEPEST} levels deep")
        if id(value) in self._inside:
            raise Unstorable("holds itself")
        self._inside.add(id(value))
        try:
            if kind is list:
                return self.items(value, depth)
            if kind is tuple:
                return {"t": self.items(value, depth)}
            if kind is dict:
                return {"d": self._pairs(value, depth)}
            if kind is set or kind is frozenset:
                # In an order of their own, so that equal sets are equal bytes.
                return {"e" if kind is set else "z": sorted(self.items(value, depth, "{…}"), key=orjson.dumps)}
            if tables.is_table(value):
                return self._table(value)
            return self._record(value, depth)
        finally:
            self._inside.discard(id(value))

    def items(self, values: Iterable[Any], depth: int, place: str | None = None) -> list[Any]:
        """Each of several values as JSON."""
        found = []
        for at, one in enumerate(values):
            try:
                found.append(self.node(one, depth + 1))
            except Unstorable as error:
                error.way.append(place or f"[{at}]")
                raise
        return found

    def _pairs(self, value: dict[Any, Any], depth: int, *, fields: bool = False) -> list[Any]:
        found = []
        for key, one in value.items():
            try:
                found.append([key if fields else self.node(key, depth + 1), self.node(one, depth + 1)])
            except Unstorable as error:
                error.way.append(f".{key}" if fields else f"[{_shown(key)}]")
                raise
        return found

    def _table(self, value: Any) -> Any:
        from headwater.core.encodings import Refused

        found = tables.encode(value, self.limit)
        if isinstance(found, Refused):
            raise Unstorable(found.reason.removeprefix("result "))
        return {"b": [found.encoding, _b64(found.data)]}

    def _record(self, value: Any, depth: int) -> Any:
        try:
            tag, name, parts = self.shapes.taken_apart(value)
        except ValueError as error:
            raise Unstorable(str(error)) from None
        return {tag: [name, self._pairs(parts, depth, fields=True)]}

    def _too_large(self) -> str:
        return f"holds more than {_MOST:,} values" if self.limit is None else f"is larger than {self.limit:,} bytes"


def _b64(data: bytes | bytearray) -> str:
    return base64.b64encode(data).decode()


def _shown(key: Any) -> str:
    text = repr(key)
    return text if len(text) <= 40 else text[:39] + "…"


def _zone(value: tzinfo | None) -> Any:
    if value is None or value is UTC:
        return None if value is None else "UTC"
    if type(value) is timezone:
        offset = value.utcoffset(None)
        if repr(value) == repr(timezone(offset)):
            return [offset.days, offset.seconds, offset.microseconds]
    name = getattr(value, "key", None)
    if (type(value).__module__, type(value).__name__) == ("zoneinfo", "ZoneInfo") and _ZONE.fullmatch(name or ""):
        return {"zone": name}
    if (type(value).__module__.partition(".")[0], type(value).__name__) == ("pydantic_core", "TzInfo"):
        # The zone of every time that was read from text with an offset: of a flow's parameter, of a field of a model.
        ahead = value.utcoffset(None)
        if ahead is not None and not ahead.microseconds:
            return {"offset": ahead // timedelta(seconds=1)}
    raise Unstorable(f"has a time zone that can't be stored: {_shown(value)}")


def _zone_of(node: Any) -> tzinfo | None:
    if node is None or node == "UTC":
        return None if node is None else UTC
    if isinstance(node, list):
        return timezone(timedelta(*node))
    if "offset" in node:
        from pydantic_core import TzInfo

        return TzInfo(node["offset"])
    name = node["zone"]
    if not _ZONE.fullmatch(name):
        raise ResultError(f"{name[:40]!r} is no time zone")
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


_WRITERS: dict[type, Callable[[_Writer, Any], Any]] = {
    bytes: lambda writer, value: {"y": writer.bytes(value)},
    bytearray: lambda writer, value: {"ya": writer.bytes(value)},
    complex: lambda _, value: {"c": [repr(value.real), repr(value.imag)]},
    range: lambda writer, value: {"r": writer.items((value.start, value.stop, value.step), 0)},
    date: lambda _, value: {"date": value.isoformat()},
    datetime: lambda _, value: {"datetime": [value.replace(tzinfo=None).isoformat(), value.fold, _zone(value.tzinfo)]},
    time: lambda _, value: {"time": [value.replace(tzinfo=None).isoformat(), value.fold, _zone(value.tzinfo)]},
    timedelta: lambda _, value: {"timedelta": [value.days, value.seconds, value.microseconds]},
    Decimal: lambda _, value: {"decimal": str(value)},
    UUID: lambda _, value: {"uuid": value.hex},
    PosixPath: lambda writer, value: {"path": writer.node(str(value), 0)},
    PurePosixPath: lambda writer, value: {"purepath": writer.node(str(value), 0)},
}
"""By exact type: a subclass may hold more than what is written here."""


class _Reader:
    """Turns what JSON held into a value again."""

    def __init__(self, shapes: Shapes) -> None:
        self.shapes = shapes

    def node(self, found: Any) -> Any:
        """The value of a node. Raises ResultError for a tag that is not known."""
        if type(found) is list:
            return [self.node(one) for one in found]
        if type(found) is not dict:
            return found
        ((tag, inner),) = found.items()
        read = _READERS.get(tag)
        if read is None:
            raise ResultError(f"a result holds what this version does not know: {tag[:20]!r}")
        return read(self, inner)

    def record(self, tag: str, inner: Any) -> Any:
        """An object of a class that the return annotation names."""
        name, pairs = inner
        return self.shapes.put_together(tag, name, {key: self.node(one) for key, one in pairs})


def _fold(at: Any, fold: int, zone: Any) -> Any:
    return at.replace(tzinfo=_zone_of(zone), fold=fold)


_READERS: dict[str, Callable[[_Reader, Any], Any]] = {
    "i": lambda _, found: int(found, 16),
    "f": lambda _, found: float(found),
    "s": lambda _, found: base64.b64decode(found).decode("utf-8", "surrogatepass"),
    "t": lambda reader, found: tuple([reader.node(one) for one in found]),
    "d": lambda reader, found: {reader.node(key): reader.node(one) for key, one in found},
    "e": lambda reader, found: {reader.node(one) for one in found},
    "z": lambda reader, found: frozenset([reader.node(one) for one in found]),
    "y": lambda _, found: base64.b64decode(found),
    "ya": lambda _, found: bytearray(base64.b64decode(found)),
    "c": lambda _, found: complex(float(found[0]), float(found[1])),
    "r": lambda reader, found: range(*[reader.node(one) for one in found]),
    "b": lambda _, found: tables.decode(found[0], base64.b64decode(found[1])),
    "date": lambda _, found: date.fromisoformat(found),
    "datetime": lambda _, found: _fold(datetime.fromisoformat(found[0]), found[1], found[2]),
    "time": lambda _, found: _fold(time.fromisoformat(found[0]), found[1], found[2]),
    "timedelta": lambda _, found: timedelta(*found),
    "decimal": lambda _, found: Decimal(found),
    "uuid": lambda _, found: UUID(found),
    "path": lambda reader, found: Path(reader.node(found)),
    "purepath": lambda reader, found: PurePosixPath(reader.node(found)),
    "record": lambda reader, found: reader.record("record", found),
    "named": lambda reader, found: reader.record("named", found),
    "model": lambda reader, found: reader.record("model", found),
    "enum": lambda reader, found: reader.record("enum", found),
}


def same(one: Any, other: Any) -> bool:
    """Whether two values are alike in value and in every type within: True and 1, or 0.0 and -0.0, are not.

    >>> same([1, {"a": 0.0}], [1, {"a": 0.0}]), same([1], [True]), same(float("nan"), float("nan"))
    (True, False, True)
    """
    kind = type(one)
    if kind is not type(other):
        return False
    if kind in (float, complex, Decimal):
        return repr(one) == repr(other)
    if kind in (datetime, time):
        return (repr(one), one.fold) == (repr(other), other.fold)
    if kind in (list, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if kind is dict:
        return len(one) == len(other) and all(map(same, one.items(), other.items()))
    if kind in (set, frozenset):
        by_value = {item: item for item in other}
        return len(one) == len(other) and all(item in by_value and same(item, by_value[item]) for item in one)
    if kind in _WRITERS or kind in (str, int, bool, type(None)):
        return bool(one == other)
    if tables.is_table(one):
        return tables.same(one, other)
    return Shapes.same(one, other, same)
