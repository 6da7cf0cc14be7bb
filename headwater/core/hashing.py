"""Fingerprints of values by their content: equal only for values that are alike in value and type.

What can't be told by its content has none. The fingerprint of a container is made of those of what it holds, so dicts and
sets have the same one in whatever order they were filled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any
from uuid import UUID

from headwater.core import tables
from headwater.core.shapes import parts_of

_DEEPEST = 60
_MOST = 1_000_000
"""Values within a value."""


class Unhashable(Exception):
    """A value without a fingerprint: why, and the way to it from the whole."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
        self.way: list[str] = []

    def told(self, name: str) -> str:
        """What is wrong, with the whole value called by a name."""
        return f"{name}{''.join(reversed(self.way))} {self.why}"


def fingerprint(value: object) -> str:
    """A fingerprint of a value, 32 hex digits. Raises Unhashable for what can't be told by its content.

    >>> fingerprint({"a": 1, "b": {2, 3}}) == fingerprint({"b": {3, 2}, "a": 1})
    True
    >>> fingerprint(1) == fingerprint(True)
    False
    """
    return digest(_Walk().node(value, 0))


def digest(data: bytes) -> str:
    """SHA-256, its first 32 hex digits."""
    return hashlib.sha256(data).hexdigest()[:32]


class _Walk:
    def __init__(self) -> None:
        self._left = _MOST
        self._inside: set[int] = set()

    def node(self, value: Any, depth: int) -> bytes:
        """The bytes that stand for a value: they begin with its type, and with their length where that could differ."""
        kind = type(value)
        self._left -= 1
        if self._left < 0:
            raise Unhashable(f"holds more than {_MOST:,} values")
        if kind is str:
            data = value.encode("utf-8", "surrogatepass")
            return b"s%d:%b" % (len(data), data)
        if kind is int:
            return b"i%x;" % value
        if kind in (bytes, bytearray):
            return b"%b%d:%b" % (kind.__name__.encode(), len(value), value)
        if kind in _BY_REPR:
            text = f"{value!r}/{getattr(value, 'fold', 0)}".encode()
            return b"%b%d:%b" % (kind.__name__.encode(), len(text), text)
        if isinstance(value, PurePath):
            return b"path:" + self.node(str(value), depth)
        return self._container(value, kind, depth)

    def _container(self, value: Any, kind: type, depth: int) -> bytes:
        if depth >= _DEEPEST or id(value) in self._inside:
            raise Unhashable("holds itself, or is nested too deeply")
        self._inside.add(id(value))
        try:
            if kind is list or kind is tuple:
                return _told(kind.__name__, self._items(value, depth))
            if kind is dict:
                return _told("dict", sorted(self._pairs(value, depth)))
            if kind is set or kind is frozenset:
                return _told(kind.__name__, sorted(self._items(value, depth, "{…}")))
            if tables.is_table(value):
                return _told("table", [_table(value)])
            return self._object(value, depth)
        finally:
            self._inside.discard(id(value))

    def _items(self, values: Iterable[Any], depth: int, place: str | None = None) -> list[bytes]:
        found = []
        for at, one in enumerate(values):
            try:
                found.append(self.node(one, depth + 1))
            except Unhashable as error:
                error.way.append(place or f"[{at}]")
                raise
        return found

    def _pairs(self, value: dict[Any, Any], depth: int, template: str = "[{!r}]") -> list[bytes]:
        found = []
        for key, one in value.items():
            try:
                found.append(self.node(key, depth + 1) + self.node(one, depth + 1))
            except Unhashable as error:
                error.way.append(template.format(key)[:60])
                raise
        return found

    def _object(self, value: Any, depth: int) -> bytes:
        try:
            tag, name, parts = parts_of(value)
        except ValueError as error:
            raise Unhashable(str(error)) from None
        return _told(f"{tag} {name}", sorted(self._pairs(parts, depth, ".{}")))


_BY_REPR = frozenset({type(None), bool, float, complex, range, date, datetime, time, timedelta, Decimal, UUID})
"""Types whose `repr` says all of a value."""


def _told(kind: str, parts: Iterable[bytes]) -> bytes:
    data = hashlib.sha256(kind.encode())
    for part in parts:
        data.update(b"\0%d:" % len(part))
        data.update(part)
    return b"#" + data.digest()


def _table(value: Any) -> bytes:
    try:
        return tables.content(value)
    except Exception as error:
        raise Unhashable(f"is a {tables.named(value)} that can't be read: {error}") from error
