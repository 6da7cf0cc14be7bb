"""Arguments of flows held against the annotations of their parameters, by pydantic's rules.

What is of the annotated type already is passed on as it is, the very same object, without pydantic: importing it costs
more than most runs. Anything else is converted where pydantic's lax mode converts it ("2024-01-05" for a date, a mapping for
a model), and refused where it does not.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any

from headwater.core.parameters import plain_parameters
from headwater.errors import ParameterError

_CONTAINERS: dict[Any, type] = {list: list, set: set, frozenset: frozenset, tuple: tuple, dict: dict}
_STREAMS = (Iterable, Iterator, Generator)
"""What pydantic makes something of that can be gone through once; given as it is, it is there for a second attempt."""
_MOST_ITEMS = 1_000
"""Containers of more items are left to pydantic."""
_SHOWN = 200


def hints_of(fn: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of a function's parameters, resolved; those that can't be resolved are left out.

    >>> def load(day: str, limit: "int" = 3, *, other=None): ...
    >>> hints_of(load)
    {'day': <class 'str'>, 'limit': <class 'int'>}
    """
    return {name: hint for name, hint in _resolved(fn).items() if name != "return"}


def return_hint_of(fn: Callable[..., Any]) -> Any:
    """The annotation of what a function returns, resolved; None when there is none, or none that can be.

    >>> def load() -> "list[int]": ...
    >>> return_hint_of(load)
    list[int]
    """
    return _resolved(fn).get("return")


def _resolved(fn: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(fn, include_extras=True)
    except (NameError, TypeError, AttributeError):
        # One name that only a type checker sees spoils the whole call: what stands there as a type itself still counts.
        return {name: hint for name, hint in inspect.get_annotations(fn).items() if not isinstance(hint, str)}


def converted(
    parameters: Mapping[str, inspect.Parameter], hints: Mapping[str, Any], arguments: Mapping[str, Any], *, where: str
) -> dict[str, Any]:
    """Those arguments of a call that are not yet as the annotations want them, by parameter, made so.

    Raises ParameterError, which names every parameter that does not fit.

    >>> def load(day: str, limit: int = 3): ...
    >>> parameters = inspect.signature(load).parameters
    >>> converted(parameters, hints_of(load), {"day": "2024-01-05", "limit": "5"}, where="load")
    {'limit': 5}
    """
    wrong = {name: value for name, value in arguments.items() if name in hints and not fits(value, hints[name])}
    found, problems = {}, {}
    for name, value in wrong.items():
        try:
            found[name] = _of_kind(parameters[name].kind, value, hints[name])
        except ValueError as problem:
            problems[name] = str(problem)
    if problems:
        raise _refused(hints, wrong, problems, where)
    return found


def fits(value: object, hint: Any) -> bool:
    """Whether a value certainly is what an annotation names; False also means that only pydantic can tell.

    >>> fits([1, 2], list[int]), fits("x", str | None), fits(True, int)
    (True, True, False)
    """
    if hint is Any or hint is object:
        return True
    if hint is None:
        return value is None
    if isinstance(hint, type) and typing.get_origin(hint) is None:
        return type(value) is hint or (hint.__module__ != "builtins" and _is_one(value, hint))
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in inner)
    if origin is typing.Literal:
        return any(type(value) is type(one) and value == one for one in inner)  # a frame compares to a frame
    if origin in _STREAMS:
        return isinstance(value, origin)
    if type(value) is not _CONTAINERS.get(origin) or len(value) > _MOST_ITEMS:  # type: ignore[arg-type]
        return False
    return _items_fit(value, inner)


def _is_one(value: object, cls: type) -> bool:
    try:
        return isinstance(value, cls)
    except TypeError:
        return False  # a TypedDict, or a protocol that says nothing while the program runs


def _items_fit(value: Any, inner: tuple[Any, ...]) -> bool:
    if isinstance(value, dict):
        return all(fits(key, inner[0]) and fits(one, inner[1]) for key, one in value.items())
    if isinstance(value, tuple):
        if len(inner) == 2 and inner[1] is Ellipsis:
            inner = inner[:1] * len(value)
        return len(value) == len(inner) and all(map(fits, value, inner))
    return all(fits(one, inner[0]) for one in value)


def _of_kind(kind: Any, value: Any, hint: Any) -> Any:
    """The annotation of `*args` and `**kwargs` is that of each value in them."""
    if kind is inspect.Parameter.VAR_POSITIONAL:
        return tuple(convert(one, hint) for one in value)
    if kind is inspect.Parameter.VAR_KEYWORD:
        return {name: convert(one, hint) for name, one in value.items()}
    return convert(value, hint)


def convert(value: Any, hint: Any) -> Any:
    """A value as an annotation wants it. Raises ValueError that says why it can't be that."""
    if fits(value, hint):
        return value
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
    from pydantic_core import SchemaError

    try:
        try:
            adapter = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
        except PydanticUserError:
            # A model, a dataclass or a TypedDict brings a configuration of its own.
            adapter = TypeAdapter(hint)
    except (PydanticUserError, SchemaError, NameError, TypeError):
        return value  # an annotation that means nothing to pydantic
    try:
        found = adapter.validate_python(value)
    except ValidationError as error:
        raise ValueError(_told(error)) from None
    except PydanticUserError:
        # A class whose own annotations can't be resolved, as those under TYPE_CHECKING, is found out when it is used.
        raise ValueError(f"no {spelled(hint)} can be made of it: what that class holds can't be resolved") from None
    return value if _same(found, value) else found


def _told(error: Any) -> str:
    problems = []
    for one in error.errors(include_url=False, include_context=False):
        place = ".".join(str(part) for part in one["loc"])
        problems.append(f"{place}: {one['msg']}" if place else one["msg"])
    return "; ".join(problems[:3]) + (f" and {len(problems) - 3} more" if len(problems) > 3 else "")


def spelled(hint: Any) -> str:
    """An annotation as one would write it.

    >>> spelled(int), spelled(list[str] | None)
    ('int', 'list[str] | None')
    """
    plain = isinstance(hint, type) and typing.get_origin(hint) is None
    return hint.__qualname__ if plain else inspect.formatannotation(hint)


def _same(found: Any, value: Any) -> bool:
    # The very object goes on where it is as good: its lineage is known by its identity.
    try:
        return type(found) is type(value) and bool(found == value)
    except Exception:  # noqa: BLE001 - a comparison of the user's own may raise anything: then it is not known to be the same
        return False


def _refused(
    hints: Mapping[str, Any], wrong: Mapping[str, Any], problems: Mapping[str, str], where: str
) -> ParameterError:
    shown = plain_parameters(wrong)
    hidden = {name for name in problems if shown[name] == "***"}
    told = [
        f"the parameter '{name}' does not fit" + ("" if name in hidden else f": {problem}, got {_short(wrong[name])}")
        for name, problem in problems.items()
    ]
    names = ", ".join(f"{name}: {spelled(hints[name])}" for name in problems)
    return ParameterError("; ".join(told), where=where, hint=f"it is declared as {names}")


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a class of the user's may raise anything: the parameter is named all the same
        text = f"a {type(value).__qualname__.rpartition('.')[2]} that can't be shown"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
