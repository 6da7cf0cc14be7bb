"""What the tests of a carrier run with: a fresh journal, and other processes that share it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from headwater.core.journal.carrier import Carrier, HeldLock
from headwater.core.journal.events import Body
from headwater.testing.carriers.cases import held


class Process(Protocol):
    """Another process than the one that runs the tests, with a writer and locks of its own."""

    @property
    def pid(self) -> int:
        """Its process id: what a lock that it holds is known by."""
        ...

    def append(self, *bodies: Body) -> str:
        """Append events with its writer; answers the writer's id."""
        ...

    def hold(self, name: str) -> None:
        """Take a lock, and keep it."""
        ...

    def kill(self) -> None:
        """End it without a word, as SIGKILL does, and return when that is seen by all."""
        ...


class Session:
    """What passes for another process where a process may have several sessions, one of which can be ended without a word.

    `end` does that; it may be called more than once.
    """

    def __init__(self, carrier: Carrier, *, pid: int, end: Callable[[], None]) -> None:
        self.pid = pid
        self._carrier = carrier
        self._writer = carrier.writer()
        self._held: list[HeldLock] = []
        self._end = end

    def append(self, *bodies: Body) -> str:
        """Append events; answers the writer's id."""
        self._writer.append(*bodies)
        return self._writer.id

    def hold(self, name: str) -> None:
        """Take a lock, and keep it."""
        self._held.append(held(self._carrier, name))

    def kill(self) -> None:
        """End the session."""
        self._end()


class Tests(ABC):
    """Some tests of a carrier; `CarrierSuite` has them all."""

    @abstractmethod
    def carrier(self) -> AbstractContextManager[Carrier]:
        """A fresh, empty journal, for one test."""

    @abstractmethod
    def process(self, carrier: Carrier) -> AbstractContextManager[Process]:
        """Another process that has the same journal; it is gone after the `with` block, if it was not killed there."""
