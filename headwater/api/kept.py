"""Answers that are kept until something new has come; those that take long a little longer, so that nobody waits for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from headwater import clock

T = TypeVar("T")

PATIENCE = 10
"""What takes long is made anew so many times as rarely as it takes, by a thread of its own, while the last one is given out."""
_QUICK = 1.0
"""Seconds that even who is patient waits, where nobody has asked for long and the last one is as old as that."""
_GRACE = 5.0
"""Seconds beyond its turn after which the last one is old."""


class Kept(Generic[T]):
    """An answer, with the key that it was made for. One thread makes it while others wait for it, or get the last one."""

    def __init__(self) -> None:
        self._key: object = None
        self._value: T | None = None
        self._took, self._made_at = 0.0, 0
        self._wanted: tuple[object, Callable[[], T]] | None = None
        self._making = threading.Lock()

    def get(self, key: object, make: Callable[[], T], *, patient: bool = False) -> T:
        """The answer for a key; for who is patient the last one, unless that is old and another one is made quickly."""
        value = self._value
        if value is not None:
            if self._key == key:
                return value
            if patient and not self._is_better_made():
                self._wanted = (key, make)
                return value
        return self._made(key, make)

    def renew(self) -> None:
        """Make it anew, if somebody has asked for that since, and it is time."""
        wanted = self._wanted
        if wanted is not None and clock.machine_us() - self._made_at > PATIENCE * self._took * 1e6:
            self._wanted = None
            self._made(*wanted)

    def _is_better_made(self) -> bool:
        age = (clock.machine_us() - self._made_at) / 1e6
        return self._took <= _QUICK and age > PATIENCE * self._took + _GRACE

    def _made(self, key: object, make: Callable[[], T]) -> T:
        with self._making:
            if self._key != key or self._value is None:
                began = clock.machine_us()
                made = make()
                self._made_at = clock.machine_us()
                self._took = (self._made_at - began) / 1e6
                self._key, self._value = key, made
            found: T = self._value
            return found


class Shelf:
    """Kept answers by name."""

    def __init__(self) -> None:
        self._kept: dict[str, Kept[Any]] = {}
        self._lock = threading.Lock()

    def get(self, name: str, key: object, make: Callable[[], T], *, patient: bool = False) -> T:
        """The answer of that name for a key, as `Kept.get` gives it."""
        kept = self._kept.get(name)
        if kept is None:
            with self._lock:
                kept = self._kept.setdefault(name, Kept())
        found: T = kept.get(key, make, patient=patient)
        return found

    def renew(self) -> None:
        """Make anew what was asked for and takes long."""
        for kept in list(self._kept.values()):
            kept.renew()
