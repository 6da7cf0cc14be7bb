"""Which call of a task this is: the same in every attempt of a run, so that a resumed one finds what is done already.

A call is known by where it stands (the flow, the subflows and the tasks around it, each with its arguments), the task's
name and its arguments. Calls that are alike in all of that are interchangeable: how often there was one is counted by
whoever asks, not here, so a run of a million calls keeps nothing.

What arguments are is told by their plain values, of Python's own types, in a walk that ends after so many bytes. Whatever
else is passed can't be told apart for sure, and a call that could be mistaken for another one has no identity.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Mapping
from types import CodeType
from typing import Any

from headwater.records import dataclass

LARGEST = 32_768
"""Bytes, roughly, of the arguments that are looked at; a number counts 8, a container 64, a text its characters."""

_ATOMS = frozenset({type(None), bool, int, float, complex})
_TEXTS = frozenset({str, bytes})
_SEQUENCES = frozenset({list, tuple, set, frozenset})
_ATOM, _CONTAINER = 8, 64
# Version 2 writes neither references nor which texts are interned: what is equal and of the same type gives the same bytes.
_VERSION = 2


@dataclass(frozen=True, slots=True)
class Unidentified:
    """Why a call has no identity."""

    reason: str


def identify_plain(scope: str, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
    """The identity of a call in a scope, as 32 hex digits; None when its arguments are not all plain, or are large.

    >>> identify_plain("", "load", (1,), {}) == identify_plain("", "load", (1,), {})
    True
    >>> identify_plain("", "load", (1,), {}) == identify_plain("", "load", (True,), {})
    False
    """
    try:
        left = _plain(args, LARGEST)
        if left >= 0 and kwargs:
            left = _plain(kwargs, left)
    except RecursionError:
        return None
    return _digest(scope, name, args, kwargs) if left >= 0 else None


def identify(
    scope: str,
    name: str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    known: Callable[[Any], tuple[str, ...] | None] | None = None,
    *,
    whole: bool = False,
) -> str | Unidentified:
    """The identity of any other call. `known` may tell what stands for a value that is not plain.

    With `whole`, large values and tables are told apart by all of their content, which takes as long as it takes.

    >>> identify("", "load", (), {"source": object()})
    Unidentified(reason="the argument 'source' is of type object")
    """
    told = _Spelling(known, whole)
    try:
        spelled = (
            tuple([told.argument(f"argument {at}", value) for at, value in enumerate(args, 1)]),
            {key: told.argument(f"the argument '{key}'", value) for key, value in kwargs.items()},
        )
    except _NotPlainError as error:
        return Unidentified(str(error))
    return _digest(scope, name, *spelled)


def inner_scope(scope: str, name: str, identity: str | Unidentified | None) -> str:
    """The scope of what is called within a call: its identity, or where it has none at least its name."""
    return identity if isinstance(identity, str) else _digest(scope, name)


def code_of(fn: Any) -> str | None:
    """A fingerprint of what a function is compiled to, as 16 hex digits; None for what has no code.

    It costs a hundredth of reading the source, and changes with Python's version too: good enough to say that the code may
    have changed, and for nothing else.
    """
    code = getattr(getattr(fn, "__wrapped__", fn), "__code__", None)
    return None if code is None else _digest(*_code_parts(code))[:16]


def _code_parts(code: CodeType) -> tuple[Any, ...]:
    constants = tuple(_code_parts(one) if isinstance(one, CodeType) else one for one in code.co_consts)
    return (code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars)


def _digest(*parts: Any) -> str:
    data: bytes = marshal.dumps(parts, _VERSION)
    found: str = _blake2b(data, digest_size=16).hexdigest()
    return found


def _blake2b(data: bytes, *, digest_size: int) -> Any:
    # Python's own module, from the first call on: hashlib would load OpenSSL, which takes longer than a short script.
    global _blake2b
    try:
        from _blake2 import blake2b as _blake2b
    except ImportError:
        from hashlib import blake2b as _blake2b
    return _blake2b(data, digest_size=digest_size)


def _plain(value: Any, left: int) -> int:
    """What is left of so many bytes after a value of plain types; negative when it is larger, or not plain."""
    kind = type(value)
    if kind in _SEQUENCES:
        left -= _CONTAINER
        for one in value:
            if type(one) in _ATOMS:
                left -= _ATOM
            else:
                left = _plain(one, left)
            if left < 0:
                return -1
        return left
    if kind in _ATOMS:
        return left - _ATOM
    if kind in _TEXTS:
        return left - len(value)
    if kind is dict:
        left -= _CONTAINER
        for key, one in value.items():
            left = _plain(key, left)
            if left >= 0:
                left = _plain(one, left)
            if left < 0:
                return -1
        return left
    return -1


class _NotPlainError(Exception):
    """A value that can't be told apart from others."""


class _Spelling:
    """Values that are not all plain, spelled by plain ones; what stands for another type begins with an ellipsis."""

    def __init__(self, known: Callable[[Any], tuple[str, ...] | None] | None, whole: bool) -> None:
        self._known, self._whole = known, whole
        self._left = LARGEST

    def argument(self, called: str, value: Any) -> Any:
        """What an argument is spelled by. Raises _NotPlainError that says why it can't be."""
        try:
            return self._spell(value)
        except RecursionError:
            raise _NotPlainError(f"{called} is nested too deeply") from None
        except _NotPlainError as error:
            if not self._whole:
                raise _NotPlainError(f"{called} {error}") from None
        return ..., "content", _fingerprint(called, value)

    def _spell(self, value: Any) -> Any:
        kind = type(value)
        if kind in _ATOMS or kind in _TEXTS:
            self._count(_ATOM if kind in _ATOMS else len(value))
            return value
        if kind in _SEQUENCES or kind is dict:
            return self._spell_items(value, kind)
        told = None if self._known is None else self._known(value)
        if told is None:
            told = _other(value)
        if told is None:
            raise _NotPlainError(f"is of type {kind.__qualname__}")
        self._count(sum(map(len, told)))
        return (..., *told)

    def _spell_items(self, value: Any, kind: type) -> Any:
        self._count(_CONTAINER)
        if kind is dict:
            return {self._spell(key): self._spell(one) for key, one in value.items()}
        return kind([self._spell(one) for one in value])

    def _count(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise _NotPlainError("is larger than what is looked at without persist_result=True")


def _fingerprint(called: str, value: Any) -> str:
    from headwater.core.hashing import Unhashable, fingerprint

    try:
        return fingerprint(value)
    except Unhashable as error:
        raise _NotPlainError(error.told(called)) from None


def _other(value: Any) -> tuple[str, ...] | None:
    """What spells a value of the standard library's types that are immutable and say all of themselves."""
    kind = type(value)
    name = kind.__name__
    if kind.__module__ == "datetime" and name in ("date", "datetime", "time", "timedelta"):
        return name, repr(value)
    if kind.__module__ == "decimal" and name == "Decimal":
        return name, str(value)
    if kind.__module__ == "uuid" and name == "UUID":
        return name, str(value)
    if kind.__module__.partition(".")[0] == "pathlib":
        return name, str(value)
    return None
