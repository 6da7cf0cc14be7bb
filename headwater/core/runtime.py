"""What core needs of the project that it runs in: a journal to write to, and somebody to tell when a run has ended.

Core never imports upward: `headwater/__init__` registers a factory here, and core calls it when the first task runs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from headwater.errors import HeadwaterError
from headwater.forks import free_in_child

if TYPE_CHECKING:
    from pathlib import Path

    from headwater.core.journal.carrier import LockTable
    from headwater.core.journal.events import Body


class Appender(Protocol):
    """The writing side of a journal."""

    def append(self, *bodies: Body) -> None:
        """Append events; returns when they are written, or synced to disk when one of them must be durable."""
        ...


class Runtime(Protocol):
    """The project as core sees it."""

    @property
    def project(self) -> str:
        """The project's name."""
        ...

    @property
    def root(self) -> Path:
        """The project's root folder."""
        ...

    @property
    def journal(self) -> Appender:
        """This process's writer."""
        ...

    @property
    def locks(self) -> LockTable:
        """The home's locks."""
        ...

    @property
    def limits(self) -> Mapping[str, int]:
        """How many may hold a limit at once, as the settings say."""
        ...

    def run_ended(self) -> None:
        """A root run of this process has ended."""
        ...


_factory: Callable[[], Any] | None = None
_runtime: Any = None
_lock = free_in_child(threading.Lock())


def register(factory: Callable[[], Any]) -> None:
    """Say how the runtime is made when it is first needed."""
    global _factory
    _factory = factory


def current() -> Any:
    """The runtime of this process, made when it is first asked for. Each layer asks of it what its own protocol says."""
    global _runtime
    here = _here.get()
    if here is not None:
        return here
    if _runtime is None:
        with _lock:
            if _runtime is None:
                if _factory is None:
                    raise HeadwaterError("no project is set up in this process", hint="import headwater first")
                _runtime = _factory()
    return _runtime


_here: ContextVar[Any] = ContextVar("headwater_runtime", default=None)


@contextmanager
def here(runtime: Any) -> Iterator[Any]:
    """Put another runtime in place for this context only: what a worker runs belongs to the project that sent it."""
    token = _here.set(runtime)
    try:
        yield runtime
    finally:
        _here.reset(token)


_defining = False


def is_defining() -> bool:
    """Whether code is being loaded for its definitions only: the engine then refuses to start a run."""
    return _defining


@contextmanager
def defining() -> Iterator[None]:
    """Load code for its definitions: a run that it tries to start raises RunRefused."""
    global _defining
    before, _defining = _defining, True
    try:
        yield
    finally:
        _defining = before


@contextmanager
def use(runtime: Any) -> Iterator[Any]:
    """Put another runtime in place for a while (tests, the command line)."""
    global _runtime
    before, _runtime = _runtime, runtime
    try:
        yield runtime
    finally:
        _runtime = before


def set_current(runtime: Any) -> None:
    """Put a runtime in place for the rest of the process (the command line)."""
    global _runtime
    _runtime = runtime
