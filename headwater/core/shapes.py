"""Dataclasses, named tuples, enums and pydantic models within results: taken apart and put together again.

Which classes may be put together is said by a task's return annotation, and by the annotations of the classes that it
names. What is read from a result chooses among them by name; no name that was read is ever imported.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

from headwater.core.main_module import module_name
from headwater.errors import ResultError


class Shapes:
    """The classes that a return annotation names, found when the first is asked for.

    >>> import dataclasses
    >>> @dataclasses.dataclass
    ... class Point:
    ...     x: int
    >>> shapes = Shapes(list[Point])
    >>> tag, name, parts = shapes.taken_apart(Point(3))
    >>> tag, parts, shapes.put_together(tag, name, parts)
    ('record', {'x': 3}, Point(x=3))
    """

    def __init__(self, hint: Any) -> None:
        self._hint = hint
        self._classes: dict[str, type] | None = None

    def taken_apart(self, value: object) -> tuple[str, str, dict[str, Any]]:
        """The tag of its kind, the name of its class, and its parts by name. Raises ValueError that says why not."""
        cls = type(value)
        if _kind(cls) is not None and self._known().get(_name(cls)) is not cls:
            raise ValueError(
                f"is {_article(cls)}, which the return annotation of the task does not name: write -> {cls.__name__}"
            )
        return parts_of(value)

    def put_together(self, tag: str, name: str, parts: dict[str, Any]) -> Any:
        """The object of these parts. Raises ResultError when the annotation does not name its class."""
        cls = self._known().get(name)
        if cls is None or _kind(cls) != tag:
            raise ResultError(f"the return annotation of the task does not name {name[:80]!r}")
        return _MADE[tag](cls, parts)

    def _known(self) -> dict[str, type]:
        if self._classes is None:
            self._classes = {}
            for cls in _classes(self._hint, {}):
                # Two classes of one name: neither can be told from the other by it.
                self._classes[_name(cls)] = cls if self._classes.get(_name(cls), cls) is cls else type(None)
        return self._classes

    @staticmethod
    def same(one: Any, other: Any, same: Callable[[Any, Any], bool]) -> bool:
        """Whether two objects of one class have the same parts."""
        kind = _kind(type(one))
        if kind == "enum":
            return bool(one is other or one == other)
        return kind is not None and same(_PARTS[kind](one), _PARTS[kind](other))


def parts_of(value: object) -> tuple[str, str, dict[str, Any]]:
    """The tag of its kind, the name of its class, and its parts by name. Raises ValueError that says why there are none."""
    cls = type(value)
    kind = _kind(cls)
    if kind is None:
        raise ValueError(f"is {_article(cls)}{_hint_for(cls)}")
    return kind, _name(cls), _PARTS[kind](value)


def _kind(cls: type) -> str | None:
    if issubclass(cls, Enum):
        return "enum"
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return "named"
    if hasattr(cls, "__pydantic_fields__") and hasattr(cls, "model_fields"):
        return "model"
    return "record" if dataclasses.is_dataclass(cls) else None


def _name(cls: type) -> str:
    return f"{module_name(cls.__module__)}.{cls.__qualname__}"


def _article(cls: type) -> str:
    name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _hint_for(cls: type) -> str:
    if issubclass(cls, (list, tuple, dict, set, frozenset, str, int, float)):
        return ", a subclass that may hold more: return the plain type"
    if hasattr(cls, "__next__"):
        return ", which can be gone through once only: return a list"
    return ""


def _classes(hint: Any, seen: dict[int, Any]) -> Iterator[type]:
    """The classes of known kinds that an annotation names, with those that their own annotations name."""
    if id(hint) in seen:
        return
    # Held until the end: an annotation that was resolved for this alone would give its id to the next one.
    seen[id(hint)] = hint
    if hasattr(hint, "__value__"):  # a `type` statement of Python 3.12
        yield from _classes(hint.__value__, seen)
    for inner in (typing.get_origin(hint), *typing.get_args(hint)):
        if isinstance(inner, (type, types.UnionType, types.GenericAlias)) or typing.get_origin(inner) is not None:
            yield from _classes(inner, seen)
    if isinstance(hint, type) and typing.get_origin(hint) is None and _kind(hint) is not None:
        yield hint
        if not issubclass(hint, Enum):
            for member in annotations_of(hint).values():
                yield from _classes(member, seen)


def annotations_of(cls: Any) -> dict[str, Any]:
    """The annotations of a class or a function, resolved; none of them when one can't be."""
    try:
        return typing.get_type_hints(cls)
    except (NameError, TypeError, AttributeError):
        return {}


def _record_parts(value: Any) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(value)]
    more = set(getattr(value, "__dict__", ())) - set(names)
    if more:
        raise ValueError(f"has attributes that are no fields: {', '.join(sorted(more))}")
    return {name: getattr(value, name) for name in names}


def _record_made(cls: type, parts: dict[str, Any]) -> Any:
    # Not through __init__: it may do more than set fields, and need not take them all.
    made: Any = object.__new__(cls)
    for name in [field.name for field in dataclasses.fields(cls)]:
        object.__setattr__(made, name, parts[name])
    return made


def _named_parts(value: Any) -> dict[str, Any]:
    return dict(zip(value._fields, value, strict=True))


def _named_made(cls: Any, parts: dict[str, Any]) -> Any:
    return cls._make([parts[name] for name in cls._fields])


def _model_parts(value: Any) -> dict[str, Any]:
    if getattr(value, "__pydantic_private__", None):
        raise ValueError("has private attributes")
    return {
        "fields": dict(value.__dict__),
        "extra": value.__pydantic_extra__,
        "set": value.__pydantic_fields_set__,
    }


def _model_made(cls: Any, parts: dict[str, Any]) -> Any:
    made = cls.__new__(cls)
    made.__setstate__(
        {
            "__dict__": parts["fields"],
            "__pydantic_extra__": parts["extra"],
            "__pydantic_fields_set__": parts["set"],
            "__pydantic_private__": None,
        }
    )
    return made


def _enum_parts(value: Enum) -> dict[str, Any]:
    if value._name_ in type(value).__members__:
        return {"name": value._name_}
    return {"value": value._value_}


def _enum_made(cls: Any, parts: dict[str, Any]) -> Any:
    return cls.__members__[parts["name"]] if "name" in parts else cls(parts["value"])


_PARTS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "record": _record_parts,
    "named": _named_parts,
    "model": _model_parts,
    "enum": _enum_parts,
}
_MADE: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "record": _record_made,
    "named": _named_made,
    "model": _model_made,
    "enum": _enum_made,
}
