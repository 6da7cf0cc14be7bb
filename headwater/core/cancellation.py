"""That a run was asked to stop: heard by all that belongs to it."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable
from functools import partial

from headwater import clock
from headwater.core.signals import interruptible


class Cancellation:
    """Whether a run was asked to stop: like `threading.Event`, heard by its subflows too.

    >>> outer = Cancellation()
    >>> inner = Cancellation(outer)
    >>> outer.set()
    >>> inner.is_set()
    True
    """

    __slots__ = ("_asked", "_callbacks", "_event", "_flag", "_lock", "_parent")

    def __init__(self, parent: Cancellation | None = None) -> None:
        self._flag = False
        self._parent = parent
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: dict[int, Callable[[], object]] = {}
        self._asked: concurrent.futures.Future[None] | None = None
        if parent is not None:
            parent.subscribe(self, self.set)

    def is_set(self) -> bool:
        """Whether it was asked to stop."""
        return self._flag or (self._parent is not None and self._parent.is_set())

    def mark(self) -> None:
        """Ask it to stop without waking anybody: takes no lock, so a signal handler may call it."""
        self._flag = True

    def set(self) -> None:
        """Ask it to stop: wakes who waits, and tells the subscribers."""
        self._flag = True
        self._event.set()
        with self._lock:
            callbacks, self._callbacks = list(self._callbacks.values()), {}
        for callback in callbacks:
            callback()

    @interruptible
    def wait(self, seconds: float) -> bool:
        """Wait for so many seconds, at most until it is asked to stop; says whether it was."""
        # The flags themselves and not `is_set`: a signal raises here, and would only be marked in there.
        asked: Cancellation | None = self
        while asked is not None:
            if asked._flag:
                return True
            asked = asked._parent
        return clock.wait(_Look(self), seconds)

    @property
    def asked(self) -> concurrent.futures.Future[None]:
        """Done once it was asked to stop, for who waits for something else as well; made when somebody does."""
        if self._asked is None:
            made: concurrent.futures.Future[None] = concurrent.futures.Future()
            with self._lock:
                found = self._asked = self._asked or made
            if found is made:
                self.subscribe(made, partial(made.set_result, None))
        return self._asked

    def subscribe(self, key: object, callback: Callable[[], object]) -> None:
        """Call this once when it is asked to stop; at once when it has been already."""
        with self._lock:
            if not self._event.is_set():
                self._callbacks[id(key)] = callback
                return
        callback()

    def unsubscribe(self, key: object) -> None:
        """Don't call it any more."""
        with self._lock:
            self._callbacks.pop(id(key), None)

    def detach(self) -> None:
        """Hear no more of the outer run: this one is over."""
        if self._parent is not None:
            self._parent.unsubscribe(self)


class _Look:
    """What waits for a cancellation looks at, between its slices too: what a signal raised may have been swallowed.

    Python drops what is raised in a destructor, and a signal may come into one; the mark that it left stays.
    """

    __slots__ = ("_of",)

    def __init__(self, of: Cancellation) -> None:
        self._of = of

    @interruptible
    def wait(self, timeout: float | None = None) -> bool:
        return self._of._event.wait(timeout) or self._of.is_set()

    def is_set(self) -> bool:
        return self._of.is_set()
