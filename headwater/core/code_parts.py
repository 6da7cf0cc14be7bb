"""The code that a function's result depends on, as far as it can be told: its own, and what it uses of its project.

What counts by its name: functions of the project that are called, and all that they call; constants; what a function holds of
the functions around it, and as defaults; decorators of the project; and of its classes the methods and constants whose names
occur. Of a module that a function imports inside of itself the whole text counts. What is reached in other ways (values that
change, packages that are installed) is not seen.
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cached_property, partial
from pathlib import Path, PosixPath
from types import FunctionType, MethodType, ModuleType
from typing import Any

from headwater.core.code_imports import imported, imports_within
from headwater.core.code_names import chains, names
from headwater.core.definition import Definition
from headwater.core.hashing import Unhashable, fingerprint
from headwater.core.literals import literal_of
from headwater.core.source import hash_of, literal_defaults, source_of

_CONSTANTS = frozenset(
    {
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        tuple,
        frozenset,
        date,
        datetime,
        time,
        timedelta,
        Decimal,
        PosixPath,
        range,
    }
)
"""Types whose values do not change."""
_SPELLED = (bool, int, float, str, bytes)
_CHANGING = (list, dict, set)
"""Of these what their source says counts, if that is a literal: what they hold may be filled in on the way."""
_INSTALLED = ("/site-packages/", "/dist-packages/", f"{Path(os.__file__).parent}/")
_NONE: Mapping[str, Any] = {}


def code_parts(fn: Any, root: Path, without: frozenset[str] = frozenset(), own: str | None = None) -> dict[str, str]:
    """Fingerprints of the code and the constants that a function uses, by what they are called.

    Its own code is `code` (`own`, if that is known); names in `without` do not count.

    >>> from pathlib import Path
    >>> LIMIT = 3
    >>> def load(): return LIMIT
    >>> list(code_parts(load, Path("/")))
    ['code', "constant 'LIMIT'"]
    """
    inner = fn
    while getattr(inner, "__wrapped__", None) is not None:
        inner = inner.__wrapped__
    inner = getattr(inner, "__func__", inner)
    walk = _Walk(inner, root, without)
    walk.parts["code"] = own or source_of(inner, root).hash
    walk.follow(inner)
    if inner is not fn:
        walk.add("", fn, _NONE)
    walk.finish()
    return walk.parts


def code_version_of(fn: Any, root: Path, own: str | None = None) -> tuple[str, dict[str, str]]:
    """A fingerprint of a function's code with all that it uses of its project, and the parts of it, see `code_parts`.

    Of a function that uses nothing else the fingerprint says it all: then there are no parts.

    >>> def load(): return 3
    >>> code_version_of(load, Path("/")) == (code_parts(load, Path("/"))["code"], {})
    True
    """
    parts = code_parts(fn, root, own=own)
    return (parts["code"], {}) if len(parts) == 1 else (fingerprint(parts), parts)


def variables(fn: Any, root: Path) -> dict[str, Any]:
    """The variables of functions around a function that it uses: what they hold differs from one definition to the next.

    Of a function among them its parts are given.
    """
    return {name: code_parts(value, root) if isinstance(value, FunctionType) else value for name, value in _around(fn)}


class _Walk:
    """The walk from a function to all that it reaches."""

    def __init__(self, start: Any, root: Path, without: frozenset[str]) -> None:
        self.parts: dict[str, str] = {}
        self._root, self._inside, self._without = root, f"{root}/", without
        self._globals: Mapping[str, Any] = getattr(start, "__globals__", _NONE)
        self._module = self._globals.get("__name__")
        self._seen = {id(start)}
        self._todo: list[FunctionType] = []
        self._classes: dict[type, set[str]] = {}
        """The classes of the project that were met, with the names in them that have been looked at."""
        self._names: set[str] = set()

    def finish(self) -> None:
        """Follow everything that is still to be followed."""
        while True:
            while self._todo:
                self.follow(self._todo.pop())
            if not any(self._look_into(one) for one in list(self._classes)):
                return

    def follow(self, fn: Any) -> None:
        """Add what a function names, holds and has as defaults."""
        code = getattr(fn, "__code__", None)
        if code is None:
            return
        own: Mapping[str, Any] = fn.__globals__
        self._names |= names(code)
        if not own.keys().isdisjoint(names(code)):
            for chain in chains(code):
                self._resolve(chain, own)
        if imports_within(code):
            for module, found in imported(code, own, self._root).items():
                if module not in self._without:
                    self._keep(f"module {module}", found)
        for name, value in _around(fn):
            self.add(f"variable '{name}'", value, own, name)
        if fn.__defaults__ or fn.__kwdefaults__:
            spelled = literal_defaults(fn)
            for name, value in _defaults(fn):
                if spelled and type(value) in _SPELLED:
                    continue  # its source says it
                self.add(f"default of '{name}'", value, own, name)

    def _resolve(self, chain: tuple[str, ...], place: Mapping[str, Any]) -> None:
        """Look a dotted name up as the code would, through modules."""
        value: Any = None
        for name in chain:
            if name not in place:
                return
            value = place[name]
            if not isinstance(value, ModuleType):
                self.add(self._called("constant", name, place), value, place, name)
                return
            place = vars(value)

    def _called(self, what: str, name: str, place: Mapping[str, Any]) -> str:
        module = place.get("__name__", "")
        return f"{what} '{name}'" if module == self._module else f"{what} '{module}.{name}'"

    def add(self, label: str, value: Any, place: Mapping[str, Any], name: str = "") -> None:
        """Add a value that code names: a function to follow, a class to look into, or a constant, under a label."""
        if name in self._without:
            return
        kind = type(value)
        if kind is FunctionType:
            self._add_function(value)
        elif kind in _CONSTANTS:
            self._add_constant(label, value)
        elif isinstance(value, ModuleType) or value is None:
            return
        elif isinstance(value, type):
            self._add_class(value)
        elif kind in _CHANGING:
            self._add_changing(label, value, place, name)
        else:
            self._add_object(label, value, place, name)

    def _add_function(self, fn: FunctionType) -> None:
        if id(fn) not in self._seen:
            self._seen.add(id(fn))
            wrapped = getattr(fn, "__wrapped__", None)
            if wrapped is not None:
                self.add("", wrapped, fn.__globals__)
            if self._is_of_project(fn.__globals__):
                self._todo.append(fn)
                module = fn.__globals__.get("__name__", "")
                name = fn.__code__.co_qualname
                self._keep(f"code of {name}" if module == self._module else f"code of {module}.{name}", hash_of(fn))

    def _add_constant(self, label: str, value: Any) -> None:
        if type(value) is PosixPath and value.is_relative_to(self._root):
            value = value.relative_to(self._root)  # the same constant wherever the project lies
        try:
            self._keep(label, fingerprint(value))
        except Unhashable:
            if isinstance(value, (tuple, list, dict)):
                with suppress(Unhashable):
                    self._keep(label, fingerprint(self._told_within(value, label)))

    def _told_within(self, value: Any, label: str, around: tuple[int, ...] = ()) -> Any:
        """What can be told of a container: functions and objects in it are followed, and stand by the names of their code."""
        try:
            fingerprint(value)
        except Unhashable:
            if not isinstance(value, (tuple, list, dict)):
                self.add(label, value, _NONE)
            elif id(value) not in around:
                held = value.items() if isinstance(value, dict) else value
                return [self._told_within(one, label, (*around, id(value))) for one in held]
            return getattr(value, "__qualname__", type(value).__qualname__)
        return value

    def _add_changing(self, label: str, value: Any, place: Mapping[str, Any], name: str) -> None:
        if not label.startswith("constant"):
            self._add_constant(label, value)
            return
        found = literal_of(place, name, value, self._is_of_project)
        if found is None:
            return
        self._keep(label, found.fingerprint)
        if id(value) not in self._seen:
            self._seen.add(id(value))
            for chain in found.named:
                self._resolve(chain, found.place)

    def _add_object(self, label: str, value: Any, place: Mapping[str, Any], name: str) -> None:
        """What stands around a function; or an object, whose class is looked into, and which counts if it does not change."""
        kind = type(value)
        inner = [one for one in _inner(value) if one is not None and one is not value]
        for one in inner:
            self.add(label, one, place, name)
        if inner or kind.__module__.partition(".")[0] in ("headwater", "builtins"):
            return
        self._add_class(kind)
        if isinstance(value, re.Pattern):
            self._add_constant(label, (value.pattern, value.flags))
        elif not label.startswith("constant") or isinstance(value, (Enum, tuple)) or _is_frozen(kind):
            self._add_constant(label, value)

    def _add_class(self, cls: type) -> None:
        for one in cls.__mro__:
            home = self._globals if one.__module__ == self._module else _globals_of(one)
            if one not in self._classes and self._is_of_project(home):
                self._classes[one] = set()
                if issubclass(one, Enum):
                    members = {name: member.value for name, member in one.__members__.items()}
                    self._add_constant(self._labelled("members of", one), members)
                if dataclasses.is_dataclass(one):
                    for field in dataclasses.fields(one):
                        if isinstance(field.default_factory, FunctionType):
                            self._add_function(field.default_factory)
                    fields = [(field.name, _told(field.default)) for field in dataclasses.fields(one)]
                    self._keep(self._labelled("fields of", one), fingerprint(fields))

    def _look_into(self, cls: type) -> bool:
        """Add the members of a class whose names occur, and what Python calls by itself; whether there were any new ones."""
        seen, members = self._classes[cls], vars(cls)
        found = [name for name in members if name not in seen and (name in self._names or _is_special(name))]
        seen.update(found)
        for name in found:
            value = members[name]
            if _is_special(name) and (type(value) in _CONSTANTS or _is_noted(name, value)):
                continue
            if type(value) is FunctionType and value.__code__.co_filename == "<string>":
                continue  # written by a dataclass: its fields say it
            self.add(f"{self._labelled('class constant', cls)}.{name}", value, members, name)
        return bool(found)

    def _labelled(self, what: str, cls: type) -> str:
        module = cls.__module__
        return f"{what} {cls.__qualname__}" if module == self._module else f"{what} {module}.{cls.__qualname__}"

    def _keep(self, label: str, found: str) -> None:
        # Two of one name: both count.
        before = self.parts.get(label, found)
        self.parts[label] = found if before == found else fingerprint(sorted([before, found]))

    def _is_of_project(self, place: Mapping[str, Any]) -> bool:
        if place is self._globals:
            return True
        name, file = place.get("__name__", ""), place.get("__file__")
        if not isinstance(file, str) or name == "headwater" or str(name).startswith("headwater."):
            return False
        return file.startswith(self._inside) and not any(one in file for one in _INSTALLED)


def _inner(value: Any) -> tuple[Any, ...]:
    """What is called when one of the usual things that stand around a function is."""
    if isinstance(value, Definition):
        return (value.fn,)
    if isinstance(value, (staticmethod, classmethod, MethodType)):
        return (value.__func__,)
    if isinstance(value, property):
        return (value.fget, value.fset)
    if isinstance(value, cached_property):
        return (value.func,)
    if isinstance(value, partial):
        return (value.func, *value.args, *value.keywords.values())
    # Not of what makes its attributes up when it is asked for them, as `polars.col` does.
    if "__wrapped__" not in getattr(value, "__dict__", ()) and not hasattr(type(value), "__wrapped__"):
        return ()
    found = value.__wrapped__
    return (found,) if isinstance(found, FunctionType) else ()


def _around(fn: Any) -> Iterator[tuple[str, Any]]:
    """The variables of functions around a function, and what they hold; not the function itself."""
    code, cells = getattr(fn, "__code__", None), getattr(fn, "__closure__", None)
    if code is None or not cells:
        return
    for name, cell in zip(code.co_freevars, cells, strict=True):
        try:
            value = cell.cell_contents
        except ValueError:
            continue  # not assigned yet
        value = value.fn if isinstance(value, Definition) else value
        if value is not fn:
            yield name, value


def _defaults(fn: FunctionType) -> Iterator[tuple[str, Any]]:
    if fn.__defaults__:
        count = fn.__code__.co_argcount
        yield from zip(fn.__code__.co_varnames[count - len(fn.__defaults__) : count], fn.__defaults__, strict=True)
    yield from (fn.__kwdefaults__ or _NONE).items()


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _is_noted(name: str, value: Any) -> bool:
    """Whether Python wrote this into a class when an object of it was pickled or copied, or its annotations were asked for."""
    return name == "__slotnames__" or (name == "__annotations__" and not value)


def _told(default: Any) -> Any:
    return default if type(default) in _CONSTANTS - {tuple} else None


def _is_frozen(kind: type) -> bool:
    return bool(getattr(getattr(kind, "__dataclass_params__", None), "frozen", False))


def _globals_of(cls: type) -> Mapping[str, Any]:
    return vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else _NONE
