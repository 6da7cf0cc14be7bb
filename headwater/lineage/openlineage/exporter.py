"""The journal is the outbox: an exporter takes what is new in it to one destination."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

from headwater import clock
from headwater.core.journal.carrier import Carrier, HeldLock
from headwater.core.journal.events import Event
from headwater.core.journal.home import Home
from headwater.core.journal.lines import decode, head_of, sequence_of
from headwater.core.journal.reader import Batch, Position
from headwater.errors import ExportError
from headwater.lineage.openlineage.backoff import LONGEST_ASKED
from headwater.lineage.openlineage.cursor import Cursor, CursorFile, Step
from headwater.lineage.openlineage.dead import DeadLetter, DeadLetters, letter_of
from headwater.lineage.openlineage.delivery import Delivery
from headwater.lineage.openlineage.destination import Destination, Refusal
from headwater.lineage.openlineage.translate import TRANSLATORS, OpenLineageEvent, translate
from headwater.records import dataclass

T = TypeVar("T")
_LINES = 100
"""So many lines of the journal, at most, between two looks at the clock."""
Tell: TypeAlias = Callable[[Event], dict[str, Any] | None]
"""Tells an event of the journal as a destination reads it, in plain JSON values; None when there is nothing to tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportStatus:
    """How a destination is doing: events delivered in all, events that wait, events that it refused (dead letters).

    `what` goes there is "openlineage" (events) or "traces" (spans). `at` is when it last got something, `error` why it took
    nothing the last time, `next_try` until when it is left alone for that; times are µs since the epoch, or None. `position`
    gives the next number of each writer that may still write.
    """

    destination: str
    what: str
    delivered: int
    pending: int
    dead: int
    at: int | None
    error: str | None
    next_try: int | None
    position: Mapping[str, int]


class Exporter:
    """Delivers the journal's events to one destination, in each writer's order, from a position that it keeps durably.

    One exporter of a destination works at a time, whichever process it is in. It tells OpenLineage events, with jobs of
    `namespace`, unless another way to `tell` events of these `kinds` is given: then `what` says what it makes of them, and
    `speaks` whether it makes something of one, which answers how much waits without telling it.
    """

    def __init__(
        self,
        home: Home,
        carrier: Carrier,
        destination: Destination,
        *,
        namespace: str = "",
        tell: Tell | None = None,
        kinds: Collection[str] = TRANSLATORS,
        what: str = "openlineage",
        speaks: Callable[[Event], bool] | None = None,
    ) -> None:
        self.destination, self.what = destination, what
        self._speaks = speaks
        self._carrier = carrier
        self._tell = partial(translate, namespace=namespace) if tell is None else tell
        self._kinds = frozenset(kind.encode() for kind in kinds)
        self._file = CursorFile(home, destination.id)
        self._dead = DeadLetters(home, destination.id)

    def drain(self, deadline: float | None = None, *, patient: bool = False) -> int:
        """Deliver what is new, for so many seconds at most (None: all of it); answers how many events went out.

        Nothing is delivered while another exporter of the same destination is at work, nor, when `patient`, before the
        destination's next try is due. What is left when the time is up goes with the next call, from whichever process.
        An event that is refused for good is parked among the dead letters, and the rest goes on. Raises ExportError when
        the destination can't take events now; its next try is then later.
        """
        if patient and self.resting_until() is not None:
            return 0
        lock = self._lock()
        if lock is None:
            return 0
        with lock, self._delivery(deadline) as delivery:
            for lines, step in self._ahead(delivery.cursor):
                self._hand_over(delivery, lines, step)
                if delivery.is_late():
                    break
            delivery.finish()
            return delivery.delivered

    def resting_until(self) -> int | None:
        """Until when the destination is left alone because it could take nothing; None when it may be tried now."""
        due = self._noted().next_try
        # No pause is longer: a clock that was ahead when it was noted must not keep everything waiting.
        return due if due is not None and 0 < due - clock.now_us() <= LONGEST_ASKED * 1_000_000 else None

    def restart(self) -> None:
        """Take the position back to the journal's beginning: everything goes out again with the next drain."""
        with self._held():
            cursor = self._file.load()
            self._file.save(Cursor(mark=cursor.mark, delivered=cursor.delivered, at=cursor.at))

    def redeliver(self, wanted: Callable[[OpenLineageEvent], bool]) -> int:
        """Deliver again, from the whole journal, the events that are wanted; answers how many. Raises ExportError."""
        with self._held(), self._delivery() as delivery:
            for batch in self._carrier.read():
                for line in (line for line in batch.lines if _kind(line) in self._kinds):
                    self._hand_over(delivery, [line], None, wanted)
            delivery.finish()
            return delivery.delivered

    def replay(self) -> int:
        """Deliver the dead letters again; answers how many were taken. Those that are refused again stay.

        Raises ExportError when the destination can't take events now: what it did not take stays.
        """
        with self._held(), self._delivery() as delivery:
            left = {letter.id: letter for letter in self._dead.load()}
            try:
                for letter in list(left.values()):
                    answer = self._once_more(delivery, letter)
                    del left[letter.id]
                    if answer is not None:
                        left[answer.id] = answer
            finally:
                self._dead.replace(left.values())
            return delivery.delivered

    def dead(self) -> list[DeadLetter]:
        """What the destination refused for good, the oldest first."""
        return self._dead.load()

    def status(self) -> ExportStatus:
        """How many events went out, and how many wait. Reads the journal from the position on, and changes nothing.

        With a position that can't be read, that is the error, and nothing is known to have gone out.
        """
        cursor = self._noted()
        return ExportStatus(
            destination=str(self.destination),
            what=self.what,
            delivered=cursor.delivered,
            pending=sum(self._waits(line) for lines, _ in self._ahead(cursor) for line in lines),
            dead=len(self._dead.load()),
            at=cursor.at,
            error=cursor.error,
            next_try=cursor.next_try,
            position={writer: position.seq for writer, position in cursor.positions.items()},
        )

    def oldest_waiting(self) -> int | None:
        """When the oldest event happened of those that wait, with what says where they belong; None when none does.

        In microseconds since the epoch. For a destination that has never taken any none waits: nobody may be sending to it.
        """
        cursor = self._file.load()
        if not cursor.delivered:
            return None
        oldest, waits = None, False
        for line in (line for lines, _ in self._ahead(cursor) for line in lines):
            waits = waits or self._waits(line)
            time = decode(line).time
            oldest = time if oldest is None else min(oldest, time)
        return oldest if waits else None

    def _noted(self) -> Cursor:
        # Who only looks asks several exporters one after the other: one that can't go on must not hide the others.
        try:
            return self._file.load()
        except ExportError as error:
            return Cursor(error=f"{error.message} ({error.where})")

    def _lock(self) -> HeldLock | None:
        return self._carrier.locks.try_hold(f"openlineage:{self.destination.id}")

    def _held(self) -> HeldLock:
        lock = self._lock()
        if lock is None:
            raise ExportError(
                "another process is delivering to this destination",
                where=str(self.destination),
                hint="try again when it is done",
            )
        return lock

    def _delivery(self, seconds: float | None = None) -> Delivery:
        return Delivery(self.destination, self._file, self._dead, seconds)

    def _ahead(self, cursor: Cursor) -> Iterator[tuple[Sequence[bytes], Step]]:
        """What is new, a few lines at a time, each with the step that they are; only lines of kinds that are told."""
        for batch in self._carrier.read(cursor.positions, skip=cursor.finished):
            yield from _pieces(batch, self._kinds)

    def _hand_over(
        self,
        delivery: Delivery,
        lines: Sequence[bytes],
        step: Step | None,
        wanted: Callable[[OpenLineageEvent], bool] = lambda event: True,
    ) -> None:
        told = [self._told(line, wanted) for line in lines]
        delivery.add([one for one in told if one is not None], step)

    def _once_more(self, delivery: Delivery, letter: DeadLetter) -> DeadLetter | None:
        """What is left of a dead letter after another try; None when the event was taken."""
        if letter.event is not None:
            told: bytes | DeadLetter | None = letter.event.encode("utf-8", "surrogateescape")
        else:
            told = self._told((letter.line or "").encode("utf-8", "surrogateescape"))
        if told is None or isinstance(told, DeadLetter):
            return told
        refusal = delivery.send(told)
        return None if refusal is None else letter_of(refusal, event=told)

    def _waits(self, line: bytes) -> bool:
        if self._speaks is None:
            return self._told(line) is not None
        # What can't be read becomes a dead letter, and waits for that.
        return bool(_made(line, self._speaks))

    def _told(
        self, line: bytes, wanted: Callable[[OpenLineageEvent], bool] = lambda event: True
    ) -> bytes | DeadLetter | None:
        """A line as an event, serialised; None when it says nothing that is wanted, a dead letter when it can't be told."""
        import orjson

        def serialised(event: Event) -> bytes | None:
            told = self._tell(event)
            return None if told is None or not wanted(told) else orjson.dumps(told)

        return _made(line, serialised)


def _made(line: bytes, make: Callable[[Event], T]) -> T | DeadLetter:
    """What is made of the event in a line: a dead letter where that can't be done. Raises ExportError."""
    try:
        return make(decode(line))
    except ExportError:
        raise  # what it takes to tell it is not there now
    except Exception as error:  # noqa: BLE001 - one event that can't be told must not hold up all others
        reason = f"it can't be told to this destination: {type(error).__name__}: {error}"
        return letter_of(Refusal(reason=reason), line=line)


def _pieces(batch: Batch, kinds: Collection[bytes]) -> Iterator[tuple[Sequence[bytes], Step]]:
    """A batch a few lines at a time, each with the step that it is: one line at most that is of one of these kinds."""
    whole = Step(batch.writer, batch.position, batch.closed, batch.absorbed)
    if batch.damage or not batch.lines:
        # With damage, the lines alone do not say how many bytes lie between them.
        yield [line for line in batch.lines if _kind(line) in kinds], whole
        return
    # Lines of an archive have no offset, and between them numbers may be missing.
    offset = batch.position.offset - sum(len(line) + 1 for line in batch.lines)
    last, head = len(batch.lines), head_of(batch.writer)
    for number, line in enumerate(batch.lines, 1):
        offset += len(line) + 1
        speaks = _kind(line) in kinds
        if speaks or number == last or number % _LINES == 0:
            seq = sequence_of(head, line) or 0
            step = Step(batch.writer, Position(seq + 1, max(0, offset)), False)
            yield [line] * speaks, whole if number == last else step


def _kind(line: bytes) -> bytes:
    # Most lines say nothing to a catalog: telling so costs a search instead of a decoding.
    start = line.find(b'"k":"') + 5
    return line[start : line.find(b'"', start)]
