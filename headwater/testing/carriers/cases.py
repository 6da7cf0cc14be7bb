"""What the tests of a carrier share: bodies to write, looks at what was written, threads, and what they hold it to."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from headwater.core.events import LogWritten, RunEnded, RunStarted, TaskStarted
from headwater.core.journal.carrier import Carrier, HeldLock
from headwater.core.journal.events import Body, Event
from headwater.core.journal.lines import decode
from headwater.core.journal.reader import Batch, Position
from headwater.records import dataclass

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds until a thread that is still at work has hung."""


class Follower:
    """Reads on from where it was, as projections and exporters do."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._positions: dict[str, Position] = {}
        self._closed: set[str] = set()
        self.events: list[Event] = []

    def read(self, batches: int | None = None) -> None:
        """Read what is new: all of it, or so many batches."""
        for number, batch in enumerate(self._carrier.read(self._positions, skip=self._closed)):
            if number == batches:
                return
            assert_same(batch.damage, (), "the damage")
            self.events += decoded([batch])
            self._positions[batch.writer] = batch.position
            self._closed |= told_closed([batch])

    def lose_hints(self, chance: random.Random) -> None:
        """Offsets are only hints: put anything in their place."""
        for writer, position in self._positions.items():
            self._positions[writer] = Position(position.seq, chance.choice([0, -7, 1, 123, position.offset + 1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewerLog(LogWritten):
    """A log line as a later version might write it, with a member more."""

    mood: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Newer(Body):
    """An event of a kind that this version does not know."""

    kind = "newer.thing"
    what: str


def log(message: object) -> LogWritten:
    """A buffered event."""

    return LogWritten(run_id="run", level=20, logger="carriers", message=str(message))


def run_started(run_id: str) -> RunStarted:
    """A durable event that opens a run."""

    return RunStarted(run_id=run_id, flow="f", root_run_id=run_id, root_flow="f", project="carriers", parameters={})


def run_ended(run_id: str) -> RunEnded:
    """A durable event that ends it."""

    return RunEnded(
        run_id=run_id, flow="f", root_run_id=run_id, root_flow="f", project="carriers", started=1, state="Completed"
    )


def open_work(run_id: str) -> tuple[Body, ...]:
    """A run and a task run of it, both without an end."""

    return run_started(run_id), TaskStarted(task_run_id=f"task of {run_id}", run_id=run_id, task="task")


def decoded(batches: Iterable[Batch]) -> list[Event]:
    """The events of batches, each checked against what its batch says of it."""

    found = []
    for batch in batches:
        events = list(map(decode, batch.lines))
        numbers = list(range(batch.first_seq, batch.first_seq + len(events)))
        assert_same(
            [(event.writer, event.seq) for event in events], [(batch.writer, seq) for seq in numbers], "a batch's lines"
        )
        found += events
    return found


def events_of(carrier: Carrier) -> list[Event]:
    """The whole journal."""

    return decoded(carrier.read())


def messages(events: Iterable[Event]) -> list[str]:
    """What the log lines among them say."""

    return [event.body["message"] for event in events if event.kind == LogWritten.kind]


def keys(events: Iterable[Event]) -> list[tuple[str, int]]:
    """Where each of them stands."""

    return [(event.writer, event.seq) for event in events]


def told_closed(batches: Iterable[Batch]) -> set[str]:
    """The writers, and the archives, behind whose events nothing follows."""
    return {writer for batch in batches if batch.closed for writer in (batch.writer, *batch.absorbed)}


def alive(carrier: Carrier) -> dict[str, bool]:
    """Which writers live."""

    return {writer: state.alive for writer, state in carrier.writers().items()}


def assert_sound(events: Sequence[Event]) -> None:
    """No event twice, and each writer's numbers in order, without a gap."""
    assert_same(len({event.id for event in events}), len(events), "the number of different ids")
    numbers: dict[str, list[int]] = {}
    for event in events:
        numbers.setdefault(event.writer, []).append(event.seq)
    for writer, found in numbers.items():
        assert_same(found, list(range(len(found))), f"the sequence numbers of {writer}")


def held(carrier: Carrier, name: str) -> HeldLock:
    """A lock, which must be free."""

    lock = carrier.locks.try_hold(name)
    if lock is None:
        raise AssertionError(f"the lock '{name}' is not free")
    return lock


def at_once(work: Callable[[T], object], items: Iterable[T]) -> None:
    """Do the work for each item in a thread of its own, all at once; raises what the first of them raised."""
    errors: list[BaseException] = []
    items = list(items)
    start = threading.Barrier(len(items))

    def run(item: T) -> None:
        try:
            start.wait(PATIENCE)
            work(item)
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(item,), daemon=True) for item in items]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert_true(not thread.is_alive(), "a thread is still at work")
    if errors:
        raise errors[0]


def error_of(do: Callable[[], object]) -> BaseException | None:
    """What doing something raises."""

    try:
        do()
    except Exception as error:  # noqa: BLE001 - which one it is, is what is tested
        return error
    return None


def assert_same(found: object, expected: object, what: str) -> None:
    """Hold something to what it should be."""

    # Plain asserts say nothing of their values here: pytest rewrites those of test modules only.
    if found != expected:
        raise AssertionError(f"{what}: {_short(found)}, expected {_short(expected)}")


def assert_true(holds: bool, otherwise: str) -> None:
    """Hold something to be so."""

    if not holds:
        raise AssertionError(otherwise)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 2_000 else f"{text[:1_000]} … {text[-1_000:]}"
