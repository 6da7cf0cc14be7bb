"""Futures in arguments: found at any depth of containers, and replaced by their results before a call."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias, TypeVar

from headwater.errors import UsageError

if TYPE_CHECKING:
    from headwater.core.futures import TaskFuture

T = TypeVar("T")

_ATOMIC = frozenset(
    {type(None), bool, int, float, complex, str, bytes, bytearray, range, type}
    | {datetime.date, datetime.datetime, datetime.time, datetime.timedelta, decimal.Decimal}
)
_CONTAINERS = (list, tuple, dict, set, frozenset)


class FutureLike:
    """What stands for a value that is not there yet."""

    __slots__ = ()


class Wrapped(FutureLike, Generic[T]):
    """An argument that is to be treated in a special way."""

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value!r})"


class unmapped(Wrapped[T]):
    """An argument of `.map` that is passed whole to every call.

    >>> unmapped([1, 2])
    unmapped([1, 2])
    """

    __slots__ = ()


class allow_failure(Wrapped[T]):
    """An upstream that may fail: the task runs nevertheless, and gets the error in place of the value.

    >>> allow_failure(1)
    allow_failure(1)
    """

    __slots__ = ()


class Upstream(NamedTuple):
    """A future that a call waits for, and whether it may fail."""

    future: TaskFuture[Any]
    may_fail: bool = False


WaitFor: TypeAlias = Iterable[Any] | FutureLike
"""What `wait_for` takes: a future, or several."""


def waited_for(wait_for: WaitFor) -> tuple[Any, ...]:
    """What is waited for, a future alone or several. Raises UsageError for anything else.

    >>> waited_for(allow_failure(1))
    (allow_failure(1),)
    """
    if isinstance(wait_for, FutureLike):
        return (wait_for,)
    try:
        return tuple(wait_for)
    except TypeError:
        raise UsageError(
            f"wait_for is a future or a list of futures, got {type(wait_for).__name__}", hint="write wait_for=[future]"
        ) from None


def find(args: Iterable[Any], kwargs: Mapping[str, Any], wait_for: WaitFor = ()) -> tuple[Upstream, ...]:
    """The futures in arguments, each once: it may fail if it may wherever it stands. Arguments without any cost next to nothing."""
    found: list[Upstream] = []
    seen: set[tuple[int, bool]] = set()
    for value in args:
        if type(value) not in _ATOMIC:
            found.extend(_inside(value, False, seen))
    if kwargs:
        for value in kwargs.values():
            if type(value) not in _ATOMIC:
                found.extend(_inside(value, False, seen))
    if wait_for:
        found.extend(_inside(waited_for(wait_for), False, seen))
    if len(found) < 2:
        return tuple(found)
    strict = {id(one.future) for one in found if not one.may_fail}
    return tuple({id(one.future): Upstream(one.future, id(one.future) not in strict) for one in found}.values())


def _inside(value: Any, may_fail: bool, seen: set[tuple[int, bool]]) -> Iterator[Upstream]:
    # With a stack of its own: what is nested more deeply than functions may call each other is gone through all the same.
    todo = [value]
    while todo:
        value = todo.pop()
        if isinstance(value, FutureLike):
            if isinstance(value, Wrapped):
                yield from _inside(value.value, may_fail or isinstance(value, allow_failure), seen)
            elif (id(value), may_fail) not in seen:
                seen.add((id(value), may_fail))
                yield Upstream(value, may_fail)  # type: ignore[arg-type]
        elif isinstance(value, _CONTAINERS) and (id(value), may_fail) not in seen:
            seen.add((id(value), may_fail))
            before = len(todo)
            for one in value.values() if isinstance(value, dict) else value:
                if type(one) not in _ATOMIC:
                    todo.append(one)  # noqa: PERF401 - a generator takes twice the time for the few that there are
            if len(todo) > before + 1:
                todo[before:] = reversed(todo[before:])


def resolve(value: Any) -> Any:
    """The value with results in place of futures, which are all done; what holds none stays the very same object."""
    return _resolve(value, set())


def _resolve(value: Any, inside: set[int]) -> Any:
    if type(value) in _ATOMIC:
        return value
    if isinstance(value, FutureLike):
        if isinstance(value, Wrapped):
            return _resolve(value.value, inside)
        return value.result(raise_on_failure=False)  # type: ignore[attr-defined]
    if not isinstance(value, _CONTAINERS) or id(value) in inside:
        return value
    inside.add(id(value))
    try:
        return _rebuilt(value, inside)
    finally:
        inside.discard(id(value))


def _rebuilt(value: Any, inside: set[int]) -> Any:
    if isinstance(value, dict):
        pairs = {key: _resolve(one, inside) for key, one in value.items()}
        if all(pairs[key] is one for key, one in value.items()):
            return value
        return pairs if type(value) is dict else _like(value, pairs)
    items = [_resolve(one, inside) for one in value]
    if all(new is old for new, old in zip(items, value, strict=True)):
        return value
    return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)


def _like(value: Any, pairs: dict[Any, Any]) -> Any:
    # A subclass of dict may need more than pairs to be made (defaultdict does): a copy keeps what it was made with.
    import copy

    same = copy.copy(value)
    same.update(pairs)
    return same


def spread(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """The arguments of each call of a map: sequences are gone through side by side, all else is passed to every call.

    Raises UsageError when there is nothing to go through, or when the lengths differ.

    >>> [found for found, _ in spread(([1, 2], "x", unmapped([9])), {})]
    [(1, 'x', [9]), (2, 'x', [9])]
    """
    columns = {key: list(items) for key, items in _gone_through(args, kwargs).items()}
    lengths = {key: len(items) for key, items in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{_called(key)}: {length}" for key, length in lengths.items())
        raise UsageError(f"the lengths to map over differ ({told})", hint="wrap what is the same in unmapped(…)")
    for row in range(next(iter(lengths.values()))):
        yield (
            tuple(columns[at][row] if at in columns else _plain(value) for at, value in enumerate(args)),
            {key: columns[key][row] if key in columns else _plain(value) for key, value in kwargs.items()},
        )


def spread_lazily(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """As `spread`, but an item is taken from what is gone through only when its call is asked for.

    Raises UsageError when one of several ends before the others, once that is seen.

    >>> rows = spread_lazily((iter([1, 2]), "x"), {})
    >>> next(rows)
    ((1, 'x'), {})
    """
    iterators = {key: iter(items) for key, items in _gone_through(args, kwargs).items()}
    while True:
        row = {key: next(items, _END) for key, items in iterators.items()}
        ended = [key for key, item in row.items() if item is _END]
        if ended:
            if len(ended) < len(row):
                told = ", ".join(map(_called, ended))
                raise UsageError(f"{told} ended before the others", hint="wrap what is the same in unmapped(…)")
            return
        yield (
            tuple(row[at] if at in row else _plain(value) for at, value in enumerate(args)),
            {key: row[key] if key in row else _plain(value) for key, value in kwargs.items()},
        )


_END = object()


def _gone_through(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[int | str, Iterable[Any]]:
    given: list[tuple[int | str, Any]] = [*enumerate(args), *kwargs.items()]
    found = {key: items for key, value in given if (items := _iterable(value)) is not None}
    if not found:
        raise UsageError("there is nothing to map over", hint="pass a list, or call .submit(…) for a single call")
    return found


def _iterable(value: Any) -> Iterable[Any] | None:
    if isinstance(value, FutureLike):
        if isinstance(value, unmapped):
            return None
        if isinstance(value, allow_failure):
            inner = _iterable(value.value)
            return None if inner is None else map(allow_failure, inner)
        value = value.result()  # type: ignore[attr-defined]
    if isinstance(value, (str, bytes, bytearray, dict)) or not isinstance(value, Iterable):
        return None
    return value


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, unmapped) else value


def _called(key: int | str) -> str:
    return f"'{key}'" if isinstance(key, str) else f"argument {key + 1}"
