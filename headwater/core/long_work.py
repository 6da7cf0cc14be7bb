"""How far work is that may take long, told to whoever listens: a command shows it, a script is not bothered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from headwater.records import dataclass

BYTES = "B"
"""The unit of what is counted in bytes; any other is a word for several."""


@dataclass(slots=True, kw_only=True)
class Work:
    """What is done, in how many units, and how many of them are over. A total of 0: nobody can tell."""

    what: str
    unit: str
    total: float
    done: float = 0

    def go(self, units: float) -> None:
        """So many units more are over."""
        self.done = min(self.done + units, self.total)
        listener = _listener.get()
        if listener is not None:
            listener(self)


Listener = Callable[[Work | None], None]
"""Is told of work each time that it has gone on, and None when it is over."""

_listener: ContextVar[Listener | None] = ContextVar("headwater_long_work", default=None)


@contextmanager
def working(what: str, unit: str, total: float) -> Iterator[Work]:
    """Work that begins now; the one who does it says now and then, never for each event, how far it has come.

    >>> with heard_by(lambda work: print(work and (work.what, work.done, work.total))):
    ...     with working("reading", "files", 3) as work:
    ...         work.go(2)
    ('reading', 0, 3)
    ('reading', 2, 3)
    None
    """
    work = Work(what=what, unit=unit, total=total)
    work.go(0)
    try:
        yield work
    finally:
        listener = _listener.get()
        if listener is not None:
            listener(None)


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Tell a listener of the work of this context."""
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)
