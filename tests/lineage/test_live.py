"""The projection of a process that lives long: what becomes of it while it follows the journal."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from clocks import SetBack
from journal_cases import dead_writer, log, run_ended, run_started, until

from headwater import clock
from headwater.core.journal.files import FileCarrier
from headwater.core.journal.home import Home
from headwater.core.journal.reader import Batch, Position
from headwater.core.journal.writer import Writer
from headwater.errors import JournalError
from headwater.lineage import live as live_module
from headwater.lineage.live import LiveProjection


def test_a_dead_process_is_found_although_the_clock_was_set_back(home: Home) -> None:
    with clock.use(moved := SetBack()):
        live = LiveProjection(home)
        live.follow()
        try:
            until(lambda: live.looked is not None)
            moved.by = 3_600_000_000
            dead_writer(home, run_started("r"))

            def ended() -> bool:
                with live.session() as session:
                    return session.rows("SELECT state FROM runs") == [("Crashed",)]

            until(ended, seconds=8)
        finally:
            live.close()


def test_many_events_are_taken_in_wherever_the_home_lies(home: Home) -> None:
    live = LiveProjection(home)
    with live.session() as session:
        assert session.rows("FROM logs") == []
    writer = Writer(home)
    writer.append(run_started("r"), *(log("x" * 1_000, "r") for _ in range(1_200)), run_ended("r"))
    writer.close()
    assert live.refresh()
    with live.session() as session:
        assert session.rows("SELECT count(*) FROM logs") == [(1_200,)]
    live.close()
    assert list((home.path / "server").glob("*.damaged-*")) == []


def test_who_stops_does_not_wait_for_the_journal_to_be_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    live, read, go_on = LiveProjection(home), FileCarrier.read, threading.Event()
    batches = 0

    def without_end(self: FileCarrier, *given: Any, **named: Any) -> Iterator[Batch]:
        nonlocal batches
        yield from read(self, *given, **named)
        while not go_on.is_set():
            batches += 1
            yield Batch(writer="a busy one", lines=(), first_seq=0, position=Position(), closed=False)

    monkeypatch.setattr(FileCarrier, "read", without_end)
    closing = threading.Thread(target=live.close)
    try:
        live.follow()
        until(lambda: batches > 100)
        closing.start()
        closing.join(10)
        assert not closing.is_alive()
        assert live.trouble is None
    finally:
        go_on.set()
        closing.join()
    monkeypatch.undo()
    with live.session() as session:  # nothing of it was taken in
        assert session.rows("FROM state.positions") == []
    live.close()


def test_what_is_read_while_a_damaged_file_is_made_again_is_told(home: Home) -> None:
    live, told = LiveProjection(home), list[str]()
    try:
        assert live.refresh()
        live._heard = lambda found: told.extend(one.kind for one in found)
        writer = Writer(home)
        writer.append(run_started("r"), run_ended("r"))
        writer.close()
        with live.session() as session:
            session.damaged = True
        with live.session() as session:
            assert session.rows("SELECT count(*) FROM runs") == [(1,)]
        assert live.refresh()
        assert told == ["everything"]
        assert live.refresh()
        assert told == ["everything"]
    finally:
        live.close()


def test_a_look_that_failed_is_told_once_and_the_next_ones_go_on(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks = 0

    def failing(*_: Any, **__: Any) -> Iterator[Batch]:
        nonlocal looks
        looks += 1
        raise JournalError("the disk is away")

    monkeypatch.setattr(live_module, "EVERY", 0.01)
    live = LiveProjection(home)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(FileCarrier, "read", failing)
            live.follow()
            until(lambda: looks > 3)
            assert "the disk is away" in str(live.trouble)
        until(lambda: live.looked is not None)
        assert live.trouble is None
        assert caplog.messages == ["the journal can't be followed now: the disk is away"]
    finally:
        live.close()


def test_who_closes_it_waits_for_those_who_look(home: Home) -> None:
    live = LiveProjection(home)
    assert live.refresh()
    closing = threading.Thread(target=live.close)
    with live.session() as session:
        closing.start()
        closing.join(0.05)
        assert session.rows("SELECT count(*) FROM runs") == [(0,)]
        assert closing.is_alive()
    closing.join(10)
    assert not closing.is_alive()


def test_one_at_a_time_has_the_file_of_the_home(home: Home) -> None:
    first, second = LiveProjection(home), LiveProjection(home)
    assert (first._own.path == home.path / "server", second._own.path.is_relative_to(home.path)) == (True, False)
    for one in (first, second):
        assert one.refresh()
        one.close()
    third = LiveProjection(home)
    assert third._own.path == first._own.path
    third.close()
