"""What stands in the journal: events, and the typed bodies that each layer declares.

An event is one line of NDJSON::

    {"w":"<writer>","n":7,"id":"<uuid7>","t":1763680000000000,"k":"run.started","v":1,"b":{…},"c":"9f86d081"}

`w` writer, `n` its sequence number (from 0, without gaps), `id` UUIDv7, `t` microseconds since the epoch, `k` kind, `v` the
version of the body, `b` the body, `c` CRC-32 (8 hex digits) of all bytes before `,"c":`. Unknown members of a body are ignored
when it is read, missing ones take their defaults: that is how a body may grow without a new version.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, ClassVar, TypeVar

from headwater.records import dataclass

T = TypeVar("T", bound="Body")


@dataclass(frozen=True, slots=True)
class Body:
    """A frozen typed record; a subclass names its kind, its version and whether it must be durable."""

    kind: ClassVar[str] = ""
    body_version: ClassVar[int] = 1
    durable: ClassVar[bool] = False

    def must_sync(self) -> bool:
        """Whether this very event has to be on the disk before its append returns; others follow with the next that has."""
        return self.durable


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event as read: the envelope, and the body as plain JSON values."""

    writer: str
    seq: int
    id: str
    time: int
    kind: str
    version: int
    body: dict[str, Any]

    def record(self, cls: type[T]) -> T:
        """The body as the typed record of its kind."""
        return typing.cast("T", from_plain(cls, self.body))


def from_plain(cls: type[Any], value: dict[str, Any]) -> Any:
    """A frozen record from plain JSON values: nested records, tuples and optional members alike.

    >>> from headwater.types import ErrorInfo
    >>> from_plain(ErrorInfo, {"type": "ValueError", "message": "no", "added_later": 1})
    ErrorInfo(type='ValueError', message='no', traceback=None)
    """
    return cls(**{name: convert(value[name]) for name, convert in _members(cls) if name in value})


_known: dict[type[Any], tuple[tuple[str, Any], ...]] = {}


def _members(cls: type[Any]) -> tuple[tuple[str, Any], ...]:
    found = _known.get(cls)
    if found is None:
        hints = typing.get_type_hints(cls)
        found = tuple((field.name, _converter(hints[field.name])) for field in dataclasses.fields(cls))
        _known[cls] = found
    return found


def _converter(hint: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        inner = _converter(next(arg for arg in args if arg is not type(None)))
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        if len(args) == 2 and args[1] is Ellipsis:
            inner = _converter(args[0])
            return lambda value: tuple(inner(item) for item in value)
        inners = [_converter(arg) for arg in args]
        return lambda value: tuple(inner(item) for inner, item in zip(inners, value, strict=True))
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return lambda value: from_plain(hint, value)
    return lambda value: value
