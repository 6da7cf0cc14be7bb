"""The tests for carriers find what is wrong with one: each of these does one thing badly, and fails the test for it."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import pytest
from carrier_cases import MemorySuite

from headwater.core.journal.carrier import WriterState
from headwater.core.journal.events import Body
from headwater.core.journal.memory import MemoryCarrier, MemoryLock, MemoryLocks, MemoryWriter, _Segment
from headwater.core.journal.reader import Batch, Position
from headwater.core.journal.recovery import Recovered, Settler, endings
from headwater.errors import LockTimeout

Change = Callable[[Batch], Batch]


def reads(change: Change) -> type[MemoryCarrier]:
    """A carrier that changes each batch."""

    class Reading(MemoryCarrier):
        def read(self, after: Mapping[str, Position] | None = None, *, skip: Collection[str] = ()) -> Iterator[Batch]:
            return map(change, super().read(after, skip=skip))

    return Reading


def without(batch: Batch) -> Batch:
    return dataclasses.replace(batch, lines=batch.lines[:-1]) if len(batch.lines) > 3 else batch


def turned(batch: Batch) -> Batch:
    return dataclasses.replace(batch, lines=tuple(reversed(batch.lines)))


def rewritten(batch: Batch) -> Batch:
    return dataclasses.replace(batch, lines=tuple(line.replace(b'"message"', b'"massage"') for line in batch.lines))


def early(batch: Batch) -> Batch:
    return dataclasses.replace(batch, closed=True)


def never(batch: Batch) -> Batch:
    return dataclasses.replace(batch, closed=False)


class Forgetful(MemoryCarrier):
    """Reads everything again."""

    def read(self, after: Mapping[str, Position] | None = None, *, skip: Collection[str] = ()) -> Iterator[Batch]:
        return super().read(skip=skip)


class Unbounded(MemoryCarrier):
    def read(self, after: Mapping[str, Position] | None = None, *, skip: Collection[str] = ()) -> Iterator[Batch]:
        for batch in (batches := list(super().read(after, skip=skip))):
            lines = tuple(line for one in batches if one.writer == batch.writer for line in one.lines)
            if batch is batches[-1]:
                yield dataclasses.replace(batch, lines=lines, first_seq=batches[0].first_seq)


class Greedy(MemoryCarrier):
    """Reads what it was told to skip."""

    def read(self, after: Mapping[str, Position] | None = None, *, skip: Collection[str] = ()) -> Iterator[Batch]:
        return super().read(after)


class Immortal(MemoryCarrier):
    def writers(self, *, skip: Collection[str] = ()) -> dict[str, WriterState]:
        return {writer: dataclasses.replace(state, alive=True) for writer, state in super().writers(skip=skip).items()}


class Murderous(MemoryCarrier):
    """Ends the work of those who live, too, and again and again."""

    def _recover(self, segment: _Segment, settlers: Sequence[Settler]) -> Recovered:
        ends = endings(segment.events(), settlers)
        segment.append(ends.bodies)
        return ends.recovered(segment.writer)


class Deaf(MemoryCarrier):
    """Does not ask the settlers."""

    def recover(self, settlers: Sequence[Settler] = (), *, skip: Collection[str] = ()) -> list[Recovered]:
        return super().recover(skip=skip)


class Torn(MemoryCarrier):
    """Appends event by event what belongs together."""

    def writer(self) -> MemoryWriter:
        class Writer(MemoryWriter):
            def append(self, *bodies: Body) -> None:
                for body in bodies:
                    super().append(body)
                    threading.Event().wait(0.0001)

        return Writer(self._shared, self)


class Open(MemoryLocks):
    """Gives a lock to everybody."""

    def try_hold(self, name: str, *, among: int | None = None, slots: int = 1) -> MemoryLock | None:
        self._shared.held.pop((name, 0), None)
        return super().try_hold(name, among=among, slots=slots)


class Silent(MemoryLocks):
    """Does not say who has the lock."""

    @contextlib.contextmanager
    def hold(
        self, name: str, *, timeout: float | None = None, among: int | None = None, slots: int = 1
    ) -> Iterator[MemoryLock]:
        try:
            with super().hold(name, timeout=timeout, among=among, slots=slots) as lock:
                yield lock
        except LockTimeout:
            raise LockTimeout("somebody has it") from None


def locks(cls: type[MemoryLocks]) -> type[MemoryCarrier]:
    class Locking(MemoryCarrier):
        @property
        def locks(self) -> MemoryLocks:
            return cls(self._shared, self)

    return Locking


class Lasting(MemoryCarrier):
    """Its locks outlive their holders."""

    def process(self) -> MemoryCarrier:
        beside = super().process()
        beside.kill = lambda: None  # type: ignore[method-assign]
        return beside


def suite_of(wrong: type[MemoryCarrier]) -> Any:
    class Suite(MemorySuite):
        cls = wrong
        examples = 5

    return Suite()


@pytest.mark.parametrize(
    ("cls", "test"),
    [
        (reads(without), "test_numbers_have_no_gaps_and_order_is_kept"),
        (reads(without), "test_reading_on_gives_each_event_once_whatever_is_written_and_read_when"),
        (reads(turned), "test_numbers_have_no_gaps_and_order_is_kept"),
        (reads(rewritten), "test_reading_again_gives_the_same_bytes"),
        (reads(early), "test_closing_says_so_and_the_next_event_begins_another_writer"),
        (reads(never), "test_closing_says_so_and_the_next_event_begins_another_writer"),
        (Forgetful, "test_any_position_can_be_read_from"),
        (Forgetful, "test_reading_on_gives_each_event_once_whatever_is_written_and_read_when"),
        (Unbounded, "test_batches_are_bounded_and_follow_one_another"),
        (Greedy, "test_what_is_skipped_is_not_read"),
        (Immortal, "test_writers_live_until_they_close_or_die"),
        (Murderous, "test_a_living_writer_is_left_alone"),
        (Murderous, "test_a_dead_writers_work_is_ended_where_it_stands"),
        (Murderous, "test_dead_writers_are_recovered_once_however_many_look"),
        (Deaf, "test_settlers_see_all_events_and_speak_before_the_runs_end"),
        (Torn, "test_threads_share_one_sequence_and_what_is_appended_together_stays_together"),
        (locks(Open), "test_a_lock_is_held_by_one_at_a_time"),
        (locks(Open), "test_any_name_is_a_lock_of_its_own"),
        (locks(Silent), "test_a_timeout_names_the_holder"),
    ],
)  # fmt: skip
def test_a_carrier_that_is_wrong_is_found_out(cls: type[MemoryCarrier], test: str) -> None:
    with pytest.raises(AssertionError):
        getattr(suite_of(cls), test)()


def test_locks_that_outlive_their_holders_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headwater.testing.carriers.locks.PATIENCE", 0.05)
    with pytest.raises(LockTimeout):
        suite_of(Lasting).test_a_killed_process_frees_its_locks()
