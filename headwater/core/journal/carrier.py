"""What carries the journal: the seam behind which it is files today, memory in tests, and may be a database another day."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.core.journal.events import Body
    from headwater.core.journal.reader import Batch, Position
    from headwater.core.journal.recovery import Recovered, Settler
    from headwater.core.journal.scan import Damage


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterState:
    """Whether a writer's process still lives, and where its events end: an `offset`, as its positions have."""

    alive: bool
    end: int


class EventWriter(Protocol):
    """One process's way into a journal. Safe among threads; holds nothing until its first event."""

    @property
    def id(self) -> str:
        """The UUIDv7 that its events carry: another one after `close`."""
        ...

    def append(self, *bodies: Body) -> None:
        """Append events, in this order and with nothing in between; returns when they can be read and outlive the process.

        They outlive the machine, too, when one of them is durable. A writer's first event is WriterOpened, numbers go up
        by one from 0. Raises JournalError when they can't be written: they may or may not be in the journal then, whole.
        """
        ...

    def close(self) -> None:
        """Append WriterClosed, after which nothing ever follows; with a run still open, leave that to recovery."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenLock:
    """A lock that somebody holds and has said something about: what `tell` was given."""

    name: str
    slot: int
    pid: int
    told: str


class HeldLock(AbstractContextManager["HeldLock"], Protocol):
    """A lock that is held until `release`, the end of its `with` block, or the death of its process."""

    @property
    def name(self) -> str:
        """What it was asked for."""
        ...

    @property
    def slot(self) -> int:
        """Which one of its slots is held: 0 where there is only one."""
        ...

    @property
    def held(self) -> bool:
        """Whether this process still holds it."""
        ...

    def tell(self, text: str) -> None:
        """Say who holds it and what for, to whoever looks (`seen`)."""
        ...

    def detach(self) -> int:
        """The descriptor that holds it, for another process to hold it as well. Raises JournalError where there is none."""
        ...

    def release(self) -> None:
        """Free it; nothing happens if it is not held any more."""
        ...


class LockTable(Protocol):
    """Locks by name, which exclude processes and threads alike, are not reentrant, and are freed by their holder's death.

    With `slots`, so many may hold it at once. `among` allows so many locks to stand for all names of a kind: nobody holds
    two of them at once. Who waits is served in turn.
    """

    def try_hold(self, name: str, *, among: int | None = None, slots: int = 1) -> HeldLock | None:
        """The lock, or None if somebody else holds it or waits for it."""
        ...

    def hold(
        self, name: str, *, timeout: float | None = None, among: int | None = None, slots: int = 1
    ) -> AbstractContextManager[HeldLock]:
        """Hold the lock for a `with` block; raises LockTimeout, which names the holder, after so many seconds."""
        ...

    def steps(
        self, name: str, *, timeout: float | None = None, among: int | None = None, slots: int = 1
    ) -> Generator[float, int | None, HeldLock]:
        """The lock, in steps that do not block: each gives the seconds until the next one; what is returned is the lock.

        A number that is sent says how many wait here, for `waiting`. Who closes it gives the place in the line up.
        """
        ...

    def waiting(self, name: str, *, elsewhere: bool = False) -> int:
        """How many wait for the lock; with `elsewhere`, in other processes."""
        ...

    def seen(self) -> list[SeenLock]:
        """The locks that are held and of which their holders have told something."""
        ...

    def holder(self, name: str, *, slot: int = 0) -> int | None:
        """The id of the process that holds the lock, or held it last; None when that is not known."""
        ...


class Carrier(Protocol):
    """A journal, wherever it is kept. What each method promises is tested by `headwater.testing.carriers`.

    A run lives as long as its writer, and a writer as long as its process (with files: as long as it holds its segment's
    `flock`; in a database it would be the session's advisory lock). Events are addressed by writer and sequence number. The
    `offset` of a position counts the bytes of the writer's lines so far, or is 0: a hint that may be wrong.
    """

    @property
    def locks(self) -> LockTable:
        """The locks of all who share this journal."""
        ...

    def writer(self) -> EventWriter:
        """A new writer of this process."""
        ...

    def read(self, after: Mapping[str, Position] | None = None, *, skip: Collection[str] = ()) -> Iterator[Batch]:
        """Everything behind the positions, each writer's events in order, in batches of about 20,000 lines or 8 MB.

        Lines are whole, and the same bytes whenever they are read. Holds nothing between two batches. `skip` names what is
        known to be closed. Raises FormatError and JournalError.
        """
        ...

    def writers(self, *, skip: Collection[str] = ()) -> dict[str, WriterState]:
        """The writers that are there and not in `skip`, oldest first; closed ones may be left out. Raises JournalError."""
        ...

    def recover(self, settlers: Sequence[Settler] = (), *, skip: Collection[str] = ()) -> list[Recovered]:
        """End what dead writers left open, and close them: once, however many look; one record for each.

        What is appended, and in which order, `recovery.endings` says of the dead writer's events; nobody else may append
        there meanwhile. Raises FormatError and JournalError.
        """
        ...

    def verify(self) -> list[Damage]:
        """Everything that is not as it was written; reads it all, changes nothing."""
        ...
