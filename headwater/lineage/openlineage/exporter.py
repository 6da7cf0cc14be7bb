"""The journal is the outbox: an exporter takes what is new in it to one destination."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from headwater import clock
from headwater.core.journal.home import Home
from headwater.core.journal.locks import Locks
from headwater.core.journal.reader import Batch, Position, Reader, decode
from headwater.lineage.openlineage.cursor import Cursor, CursorFile, Step
from headwater.lineage.openlineage.translate import TRANSLATORS, translate

_LINES = 100
"""So many lines of the journal between two looks at the clock."""
_EVENTS = 1_000
"""So many events, about, are delivered at once: each delivery costs a few syncs."""
_KINDS = frozenset(kind.encode() for kind in TRANSLATORS)


class Destination(Protocol):
    """Where events go."""

    @property
    def id(self) -> str:
        """What tells it from other destinations: safe as the name of a file."""
        ...

    def open(self, mark: int | None) -> int:
        """Be ready to go on at a mark (None: the first time). Answers with another one if that place is gone."""
        ...

    def deliver(self, events: Sequence[bytes]) -> int:
        """Take events, serialised, in their order. What was taken is durable on return, and the new mark stands for it."""
        ...

    def close(self) -> None:
        """Let go; `open` may follow."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportStatus:
    """How a destination is doing: events delivered in all, events that wait, when it last got some (µs, or None)."""

    destination: str
    delivered: int
    pending: int
    at: int | None


class Exporter:
    """Delivers the journal's events to one destination, in each writer's order, from a position that it keeps durably.

    One exporter of a destination works at a time, whichever process it is in.
    """

    def __init__(
        self, home: Home, reader: Reader, destination: Destination, locks: Locks, *, namespace: str = ""
    ) -> None:
        self._reader = reader
        self._destination = destination
        self._locks = locks
        self._namespace = namespace
        self._file = CursorFile(home, destination.id)

    def drain(self, deadline: float | None = None) -> int:
        """Deliver what is new, for so many seconds at most (None: all of it); answers how many events went out.

        Nothing is delivered while another exporter of the same destination is at work. What is left when the time is up
        goes with the next call, from whichever process. Raises ExportError when the destination can't take events.
        """
        lock = self._locks.try_hold(f"openlineage:{self._destination.id}")
        if lock is None:
            return 0
        with lock:
            until = None if deadline is None else clock.now_us() + int(deadline * 1_000_000)
            delivery = _Delivery(self._destination, self._file)
            try:
                for lines, step in self._ahead(delivery.resume()):
                    delivery.add([event for line in lines for event in self._translated(line)], step)
                    if until is not None and clock.now_us() >= until:
                        break
                return delivery.finish()
            finally:
                self._destination.close()

    def status(self) -> ExportStatus:
        """How many events went out, and how many wait. Reads the journal from the position on, and changes nothing."""
        cursor = self._file.load()
        pending = sum(len(self._translated(line)) for lines, _ in self._ahead(cursor) for line in lines)
        return ExportStatus(
            destination=str(self._destination), delivered=cursor.delivered, pending=pending, at=cursor.at
        )

    def _ahead(self, cursor: Cursor) -> Iterator[tuple[Sequence[bytes], Step]]:
        """What is new, a few lines at a time, each with the step that they are."""
        for batch in self._reader.read(cursor.positions, skip=cursor.finished):
            yield from _pieces(batch)

    def _translated(self, line: bytes) -> Sequence[bytes]:
        if _kind(line) not in _KINDS:
            return ()
        import orjson

        event = translate(decode(line), namespace=self._namespace)
        return () if event is None else (orjson.dumps(event),)


class _Delivery:
    """One drain: gathers events, delivers them in pieces, and saves the cursor behind each."""

    def __init__(self, destination: Destination, file: CursorFile) -> None:
        self._destination = destination
        self._file = file
        self._cursor = Cursor()
        self._events: list[bytes] = []
        self._steps: list[Step] = []
        self._delivered = 0

    def resume(self) -> Cursor:
        """Open the destination; answers with the cursor to go on from."""
        self._cursor = self._file.load()
        mark = self._destination.open(self._cursor.mark)
        if mark != self._cursor.mark:
            # Saved before anything is delivered: a destination whose first delivery was cut short knows where it began.
            self._cursor = Cursor(mark=mark)
            self._file.save(self._cursor)
        return self._cursor

    def add(self, events: Sequence[bytes], step: Step) -> None:
        """Take events in, and the step behind them; every so often they are delivered."""
        self._events.extend(events)
        self._steps.append(step)
        if len(self._events) >= _EVENTS:
            self._flush()

    def finish(self) -> int:
        """Deliver the rest; answers how many events went out in all."""
        if self._steps:
            self._flush()
        return self._delivered

    def _flush(self) -> None:
        cursor = self._cursor.passed(self._steps)
        if self._events:
            mark = self._destination.deliver(self._events)
            count = len(self._events)
            cursor = dataclasses.replace(cursor, mark=mark, delivered=cursor.delivered + count, at=clock.now_us())
            self._delivered += count
        self._file.save(cursor)
        self._cursor = cursor
        self._events.clear()
        self._steps.clear()


def _pieces(batch: Batch) -> Iterator[tuple[Sequence[bytes], Step]]:
    """A batch a few lines at a time, each with the step that it is."""
    whole = Step(batch.writer, batch.position, batch.closed)
    if batch.damage or len(batch.lines) <= _LINES:
        # With damage, the lines alone do not say how many bytes lie between them.
        yield batch.lines, whole
        return
    offset = batch.position.offset - sum(len(line) + 1 for line in batch.lines)
    for start in range(0, len(batch.lines), _LINES):
        lines = batch.lines[start : start + _LINES]
        offset += sum(len(line) + 1 for line in lines)
        seq = batch.first_seq + start + len(lines)
        yield lines, whole if seq == batch.position.seq else Step(batch.writer, Position(seq, offset), False)


def _kind(line: bytes) -> bytes:
    # Most lines say nothing to a catalog: telling so costs a search instead of a decoding.
    start = line.find(b'"k":"') + 5
    return line[start : line.find(b'"', start)]
