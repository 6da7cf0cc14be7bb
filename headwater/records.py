"""Frozen dataclasses whose methods are generated when they are first used.

A command that prints a table imports two hundred of them, and makes instances of a few. Python compiles six methods for each
as soon as it is defined: that took a third of the time of `import headwater` with the names that a script uses.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

T = TypeVar("T")

_BY_OPTION = {"__init__": "init", "__repr__": "repr", "__eq__": "eq", "__hash__": "eq"}
"""The methods that are generated, each with the option that it can be left out by."""
_OF_SLOTS = ("__getstate__", "__setstate__")
"""Those of a class with slots besides."""
_FACTS = ("__dataclass_fields__", "__dataclass_params__", "__match_args__")
"""What else is found in a dataclass."""
_SIGNATURE = "__signature__"
"""Where `inspect.signature` looks before it looks at `__init__`; gone from a class that is complete."""


def _record(**options: Any) -> Callable[[type[T]], type[T]]:
    """What `dataclasses.dataclass` is with these options; a class that is frozen is completed later."""
    return partial(_postponed, options) if options.get("frozen") else dataclasses.dataclass(**options)


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:
    dataclass = _record


def _postponed(options: dict[str, Any], defined: type[T]) -> type[T]:
    given = dict(vars(defined))
    own = {name: hint for name, hint in inspect.get_annotations(defined).items() if not hint.startswith("ClassVar")}
    cls = _slotted(defined, own, options) if options.get("slots") else _with_defaults(defined, own)
    methods = [name for name, option in _BY_OPTION.items() if options.get(option, True) and given.get(name) is None]
    methods += [name for name in _OF_SLOTS if options.get("slots") and name not in given]
    fields = {name: (hint, given.get(name, dataclasses.MISSING)) for name, hint in own.items()}
    complete = partial(_complete, cls, fields, methods, options)
    for name in methods:
        setattr(cls, name, _completing(cls, name, complete))
    for name in (*_FACTS, _SIGNATURE):
        setattr(cls, name, _Fact(cls, name, complete))
    for name in ("__setattr__", "__delattr__"):
        setattr(cls, name, _refuse)
    return cls


def _slotted(defined: type[T], own: Iterable[str], options: dict[str, Any]) -> type[T]:
    """The same class with slots: as dataclasses do it, another one, for slots can't be added."""
    there = {name for base in defined.__mro__[1:] for name in getattr(base, "__slots__", ())}
    more = ("__weakref__",) if options.get("weakref_slot") else ()
    without = {"__dict__", "__weakref__", *own}
    body = {name: value for name, value in vars(defined).items() if name not in without}
    body["__slots__"] = (*(name for name in own if name not in there), *more)
    metaclass: Callable[..., type[T]] = type(defined)
    cls = metaclass(defined.__name__, defined.__bases__, body)
    cls.__qualname__ = defined.__qualname__
    return cls


def _with_defaults(cls: type[T], own: Iterable[str]) -> type[T]:
    """The class itself, with the defaults of its fields as its attributes."""
    for name in own:
        found = vars(cls).get(name)
        if isinstance(found, dataclasses.Field):
            if found.default is dataclasses.MISSING:
                delattr(cls, name)
            else:
                setattr(cls, name, found.default)
    return cls


def _complete(cls: type[Any], own: dict[str, tuple[str, Any]], methods: Iterable[str], options: dict[str, Any]) -> None:
    """Have the methods generated, for a class of the same fields, and take them over.

    Several threads may do that at once: what they take over does the same.
    """
    inherited = [
        field for base in cls.__mro__[:0:-1] if dataclasses.is_dataclass(base) for field in dataclasses.fields(base)
    ]
    fields = {field.name: (field.type, field) for field in inherited} | own
    body = {name: given for name, (_, given) in fields.items() if given is not dataclasses.MISSING}
    body["__annotations__"] = {name: hint for name, (hint, _) in fields.items()}
    body |= {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": ""}
    if hasattr(cls, "__post_init__"):
        body["__post_init__"] = cls.__post_init__
    made = vars(dataclasses.dataclass(**options)(type(cls.__name__, (), body)))
    for name in (*methods, *_FACTS, "__replace__"):
        if name in made:
            setattr(cls, name, made[name])
    with suppress(AttributeError):
        delattr(cls, _SIGNATURE)


def _completing(cls: type[Any], name: str, complete: Callable[[], None]) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        complete()
        return getattr(cls, name)(self, *args, **kwargs)

    return method


class _Fact:
    """What is known of a class once it is complete."""

    def __init__(self, cls: type[Any], name: str, complete: Callable[[], None]) -> None:
        self._cls, self._name, self._complete = cls, name, complete

    def __get__(self, instance: object, owner: type[Any]) -> Any:
        self._complete()
        return getattr(self._cls, self._name)


def _refuse(self: object, name: str, *value: object) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot {'assign to' if value else 'delete'} field {name!r}")
