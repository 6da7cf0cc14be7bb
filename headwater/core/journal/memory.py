"""A journal that lives in memory: the whole seam of a carrier, for tests."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections import deque
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TypeVar

from headwater import clock, ids
from headwater.core.events import WriterClosed
from headwater.core.journal.carrier import SeenLock, WriterState
from headwater.core.journal.events import Body, Event
from headwater.core.journal.lines import decode, encode_all, head_of, is_whole
from headwater.core.journal.locks import driven
from headwater.core.journal.reader import Batch, Position
from headwater.core.journal.recovery import Recovered, Settler, crashed, endings
from headwater.core.journal.scan import MOST_BYTES, MOST_LINES, Damage
from headwater.core.journal.segment import opened, says_closed
from headwater.core.journal.waiting import pause
from headwater.errors import JournalError, LockTimeout

T = TypeVar("T", bound=Body)


class MemoryCarrier:
    """Carries a journal in memory: its events pass through the same bytes as real ones, nothing survives the process.

    `process` stands for another process that shares the journal, and `kill` for what SIGKILL does to one.

    >>> from headwater.core.events import LogWritten
    >>> carrier = MemoryCarrier()
    >>> writer = carrier.writer()
    >>> writer.append(LogWritten(run_id="r", level=20, logger="shop", message="hello"))
    >>> [event.kind for event in carrier.events]
    ['writer.opened', 'log.written']
    >>> carrier.records(LogWritten)[0].message
    'hello'
    >>> carrier.kill()
    >>> [recovered.writer == writer.id for recovered in carrier.process().recover()]
    [True]
    """

    def __init__(self) -> None:
        self._shared = _Shared()
        self._locks = MemoryLocks(self._shared, self)

    @property
    def locks(self) -> MemoryLocks:
        """The journal's locks, as this process takes them."""
        return self._locks

    def process(self) -> MemoryCarrier:
        """The same journal as another process has it: with writers and locks of its own."""
        beside = MemoryCarrier()
        beside._shared = self._shared
        beside._locks = MemoryLocks(self._shared, beside)
        return beside

    def kill(self) -> None:
        """Die: the writers write no more, what they left open stays open, the locks are free."""
        self._shared.bury(self)

    @property
    def events(self) -> list[Event]:
        """All events so far, decoded: writer by writer, in order."""
        return [decode(line) for batch in self.read() for line in batch.lines]

    def records(self, kind: type[T]) -> list[T]:
        """The bodies of a kind, as the records that they were."""
        return [event.record(kind) for event in self.events if event.kind == kind.kind]

    def writer(self) -> MemoryWriter:
        """A new writer of this process."""
        return MemoryWriter(self._shared, self)

    def read(self, after: Mapping[str, Position] | None = None, *, skip: Collection[str] = ()) -> Iterator[Batch]:
        """Everything behind the positions, in bounded batches, writer by writer."""
        after = after or {}
        for segment in self._shared.listed(skip):
            position, end = after.get(segment.writer, Position()), len(segment.lines)
            while position.seq < end:
                yield (batch := segment.batch(position.seq, end))
                position = batch.position

    def writers(self, *, skip: Collection[str] = ()) -> dict[str, WriterState]:
        """The writers that are there and not in `skip`, oldest first."""
        segments = self._shared.listed(skip)
        return {one.writer: WriterState(alive=one.process is not None, end=one.ends[-1]) for one in segments}

    def recover(self, settlers: Sequence[Settler] = (), *, skip: Collection[str] = ()) -> list[Recovered]:
        """End what dead writers left open, and close them; one record for each."""
        found = (self._recover(segment, settlers) for segment in self._shared.listed(skip))
        return [recovered for recovered in found if recovered is not None]

    def verify(self) -> list[Damage]:
        """Nothing is ever damaged here, unless somebody changed the lines."""
        return [
            Damage(
                writer=segment.writer, kind="record", seq=seq, offset=segment.ends[seq] - len(line), length=len(line)
            )
            for segment in self._shared.listed()
            for seq, line in enumerate(segment.lines)
            if not is_whole(line)
        ]

    def _recover(self, segment: _Segment, settlers: Sequence[Settler]) -> Recovered | None:
        if not segment.claim.acquire(blocking=False):
            return None  # somebody else is at it
        try:
            if segment.process is not None or segment.closed:
                return None
            ends = endings(segment.events(), settlers)
            segment.append(ends.bodies)
            return ends.recovered(segment.writer)
        finally:
            segment.claim.release()


class MemoryWriter:
    """Appends events in memory; begins with the first one. Safe among threads."""

    def __init__(self, shared: _Shared, process: MemoryCarrier) -> None:
        self._shared = shared
        self._process = process
        self._id = ids.new_id()
        self._segment: _Segment | None = None
        self._waiting: deque[Sequence[Body]] = deque()
        self._lock = threading.RLock()

    @property
    def id(self) -> str:
        """The id that its events carry: another one after `close`."""
        return self._id

    def append(self, *bodies: Body) -> None:
        """Append events. Raises JournalError when its process was killed."""
        if bodies:
            self._waiting.append(bodies)
        if self._lock._is_owned():  # type: ignore[attr-defined]
            return  # within an append of the same thread (a signal handler, a finalizer), which goes on with these
        with self._lock:
            while self._waiting:
                self._open().extend(self._waiting.popleft())

    def close(self) -> None:
        """Say that nothing follows, unless a run is still open; a later `append` begins anew, with another id."""
        with self._lock:
            segment, self._segment = self._segment, None
            if segment is not None:
                segment.close()
                self._id = ids.new_id()

    def _open(self) -> _Segment:
        if self._segment is None:
            with self._shared.guard:
                if self._process in self._shared.dead:
                    raise _killed(self._id)
                self._segment = self._shared.segments[self._id] = _Segment(self._id, self._process)
        return self._segment


class MemoryLock:
    """A lock that is held in memory, or one of its slots."""

    def __init__(self, name: str, slot: int, shared: _Shared, grip: _Grip) -> None:
        self.name = name
        self.slot = slot
        self._shared = shared
        self._grip = grip

    @property
    def held(self) -> bool:
        """Whether it is still held."""
        return self._shared.held.get((self.name, self.slot)) is self._grip

    def tell(self, text: str) -> None:
        """Say who holds it and what for, to whoever looks."""
        self._grip.told = text

    def detach(self) -> int:
        """Raises JournalError: no other process can hold what is in the memory of this one."""
        raise JournalError(
            f"the lock '{self.name}' is in memory", hint="work is started where the journal lies in files"
        )

    def release(self) -> None:
        """Free it; nothing happens if it is not held any more."""
        with self._shared.guard:
            if self.held:
                del self._shared.held[self.name, self.slot]

    def __del__(self) -> None:
        self.release()

    def __enter__(self) -> MemoryLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class MemoryLocks:
    """Locks by name, in memory, served in the order in which they are asked for; `among` changes nothing here.

    >>> locks = MemoryCarrier().locks
    >>> with locks.hold("publish:delays@2013-01-05"):
    ...     locks.try_hold("publish:delays@2013-01-05") is None
    True
    """

    def __init__(self, shared: _Shared, process: MemoryCarrier) -> None:
        self._shared = shared
        self._process = process

    def try_hold(self, name: str, *, among: int | None = None, slots: int = 1) -> MemoryLock | None:
        """The lock, or None if somebody else holds it or waits for it. Raises JournalError when this process was killed."""
        with self._shared.guard:
            return None if self._shared.lines.get(name) else self._take(name, slots)

    @contextlib.contextmanager
    def hold(
        self, name: str, *, timeout: float | None = None, among: int | None = None, slots: int = 1
    ) -> Iterator[MemoryLock]:
        """Hold the lock for a `with` block, waiting for it at most `timeout` seconds; raises LockTimeout."""
        with driven(self.steps(name, timeout=timeout, slots=slots)) as lock:
            yield lock

    def steps(
        self, name: str, *, timeout: float | None = None, among: int | None = None, slots: int = 1
    ) -> Generator[float, int | None, MemoryLock]:
        """What `hold` does, in steps; see `LockTable.steps`."""
        lock = self.try_hold(name, slots=slots)
        return lock or (yield from self._in_line(name, timeout, slots))

    def waiting(self, name: str, *, elsewhere: bool = False) -> int:
        """How many wait for the lock; with `elsewhere`, in other processes."""
        with self._shared.guard:
            places = list(self._shared.lines.get(name, ()))
        return sum(place.many for place in places if not (elsewhere and place.process is self._process))

    def seen(self) -> list[SeenLock]:
        """The locks that are held and of which their holders have told something, by name and slot."""
        with self._shared.guard:
            held = sorted(self._shared.held.items(), key=lambda item: item[0])
        pid = os.getpid()
        return [SeenLock(name=name, slot=slot, pid=pid, told=grip.told) for (name, slot), grip in held if grip.told]

    def holder(self, name: str, *, slot: int = 0) -> int | None:
        """The id of this process, if anybody holds the lock."""
        return os.getpid() if (name, slot) in self._shared.held else None

    def _in_line(self, name: str, timeout: float | None, slots: int) -> Generator[float, int | None, MemoryLock]:
        place, came, looks = _Place(self._process), clock.machine_us(), 0
        with self._shared.guard:
            self._shared.lines.setdefault(name, deque()).append(place)
        try:
            while (lock := self._turn(name, place, slots)) is None:
                waited = (clock.machine_us() - came) / 1e6
                if timeout is not None and waited >= timeout:
                    raise LockTimeout(
                        f"the lock '{name}' is held by this process ({os.getpid()}); waited {waited:.3g} s",
                        hint="wait until it is done",
                    )
                delay = pause(0, looks)
                looks += 1
                place.many = (yield delay if timeout is None else min(delay, timeout - waited)) or place.many
            return lock
        finally:
            with self._shared.guard:
                self._shared.lines[name].remove(place)

    def _turn(self, name: str, place: _Place, slots: int) -> MemoryLock | None:
        with self._shared.guard:
            return self._take(name, slots) if self._shared.lines[name][0] is place else None

    def _take(self, name: str, slots: int) -> MemoryLock | None:
        if slots < 1:
            raise ValueError(f"the lock '{name}' needs at least one slot, not {slots}")
        if self._process in self._shared.dead:
            raise JournalError(f"the lock '{name}' can't be taken: this process was killed")
        slot = next((slot for slot in range(slots) if (name, slot) not in self._shared.held), None)
        if slot is None:
            return None
        self._shared.held[name, slot] = grip = _Grip(self._process)
        return MemoryLock(name, slot, self._shared, grip)


class _Grip:
    def __init__(self, process: MemoryCarrier) -> None:
        self.process = process
        self.told = ""


class _Place:
    """A place in the line for a lock, of so many who wait."""

    def __init__(self, process: MemoryCarrier) -> None:
        self.process = process
        self.many = 1


class _Shared:
    """What all processes of a journal in memory see."""

    def __init__(self) -> None:
        self.guard = threading.RLock()
        self.segments: dict[str, _Segment] = {}
        self.held: dict[tuple[str, int], _Grip] = {}
        self.lines: dict[str, deque[_Place]] = {}
        self.dead: set[MemoryCarrier] = set()

    def listed(self, skip: Collection[str] = ()) -> list[_Segment]:
        return [segment for writer, segment in sorted(self.segments.copy().items()) if writer not in skip]

    def bury(self, process: MemoryCarrier) -> None:
        with self.guard:
            self.dead.add(process)
            for segment in self.listed():
                if segment.process is process:
                    segment.free()
            self.held = {key: grip for key, grip in self.held.items() if grip.process is not process}


class _Segment:
    """One writer's lines. Whoever appends holds its `claim`: its process, or once that is gone whoever recovers it."""

    def __init__(self, writer: str, process: MemoryCarrier) -> None:
        self.writer = writer
        self.process: MemoryCarrier | None = process
        self.lines: list[bytes] = []
        self.ends: list[int] = []
        self.claim = threading.Lock()
        self._head = head_of(writer)
        self.append([opened()])

    @property
    def closed(self) -> bool:
        return says_closed(self.lines[-1])

    def events(self) -> list[Event]:
        return [decode(line) for line in self.lines]

    def append(self, bodies: Sequence[Body]) -> None:
        lines = bytes(encode_all(self._head, len(self.lines), bodies)).split(b"\n")[:-1]
        ends = itertools.accumulate((len(line) + 1 for line in lines), initial=self.ends[-1] if self.ends else 0)
        self.ends += itertools.islice(ends, 1, None)  # before the lines: whoever sees a line finds its end
        self.lines += lines

    def extend(self, bodies: Sequence[Body]) -> None:
        """Append for the process, if it lives."""
        with self.claim:
            if self.process is None:
                raise _killed(self.writer)
            self.append(bodies)

    def close(self) -> None:
        """Say that nothing follows, unless a run is open, and be free."""
        with self.claim:
            if self.process is not None and not crashed(self.events())[1]:
                self.append([WriterClosed(reason="exit")])
            self.process = None

    def free(self) -> None:
        """Be free, without a word."""
        with self.claim:
            self.process = None

    def batch(self, seq: int, end: int) -> Batch:
        """The lines from a number on, up to another or to what a batch may hold."""
        start = self.ends[seq - 1] if seq else 0
        last = seq + 1
        while last < min(end, seq + MOST_LINES) and self.ends[last] - start <= MOST_BYTES:
            last += 1
        lines, position = tuple(self.lines[seq:last]), Position(last, self.ends[last - 1])
        return Batch(writer=self.writer, lines=lines, first_seq=seq, position=position, closed=says_closed(lines[-1]))


def _killed(writer: str) -> JournalError:
    return JournalError("the journal can't be written: this process was killed", where=writer)
