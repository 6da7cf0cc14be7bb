"""Attributes that are worked out when they are first asked for, once, whatever threads ask."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

T_co = TypeVar("T_co", covariant=True)


class lazy(Generic[T_co]):
    """`functools.cached_property` with a lock, which that has not had since Python 3.12, and which a fork leaves free.

    >>> class Shop:
    ...     @lazy
    ...     def books(self) -> list[str]:
    ...         return []
    >>> shop = Shop()
    >>> shop.books is shop.books
    True
    """

    def __init__(self, make: Callable[[Any], T_co]) -> None:
        self._make = make
        self._name = make.__name__
        self._lock = threading.RLock()
        self.__doc__ = make.__doc__
        _known.add(self)

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> T_co: ...

    def __get__(self, instance: object | None, owner: type[Any]) -> Self | T_co:
        """Only reached until the instance has an attribute of this name."""
        if instance is None:
            return self
        with self._lock:
            there = instance.__dict__
            if self._name not in there:
                there[self._name] = self._make(instance)
            found: T_co = there[self._name]
            return found


_known: weakref.WeakSet[lazy[Any]] = weakref.WeakSet()


def _after_fork() -> None:
    # Another thread may have been holding one: in the child nobody would ever let it go.
    for one in list(_known):
        one._lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)
