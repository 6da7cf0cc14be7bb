from __future__ import annotations

import gc
import os
import stat
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from journal_cases import (
    assert_sound,
    events,
    finish,
    kinds,
    log,
    messages,
    of_kind,
    run_ended,
    run_started,
    segments,
    start,
    states,
    until,
)

from headwater import clock, failpoints
from headwater.core.events import WriterOpened
from headwater.core.journal import segment as segment_module
from headwater.core.journal.home import Home
from headwater.core.journal.locks import Locks
from headwater.core.journal.reader import Reader
from headwater.core.journal.recovery import recover
from headwater.core.journal.verify import verify_journal
from headwater.core.journal.writer import Writer
from headwater.errors import JournalError


def test_nothing_is_made_before_the_first_event(home: Home, writer: Writer) -> None:
    writer.append()
    assert list(home.journal.iterdir()) == []
    writer.append(log("first"))
    assert [path.stem for path in home.journal.iterdir()] == [writer.id]


def test_the_first_event_says_who_writes(home: Home, writer: Writer) -> None:
    writer.append(log("a"), log("b"))
    opened, *rest = events(home)
    assert opened.record(WriterOpened).format == 1
    assert opened.record(WriterOpened).pid == os.getpid()
    assert messages(rest) == ["a", "b"]
    assert_sound(events(home))
    assert stat.S_IMODE(segments(home)[0].stat().st_mode) == 0o600


def test_a_buffered_event_can_be_read_at_once(home: Home, writer: Writer) -> None:
    for i in range(5):
        writer.append(log(i))
        assert messages(events(home))[-1] == str(i)


def test_closing_ends_the_segment_and_the_next_event_begins_another(home: Home, writer: Writer) -> None:
    writer.append(log(1))
    first = writer.id
    writer.close()
    writer.close()
    assert not Reader(home).is_alive(first)
    writer.append(log(2))
    assert writer.id != first
    assert kinds(events(home)) == ["writer.opened", "log.written", "writer.closed", "writer.opened", "log.written"]
    assert recover(home) == []


def run_threads(work: Callable[[int], None], count: int) -> None:
    threads = [threading.Thread(target=work, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_a_durable_event_is_synced_before_its_append_returns(
    home: Home, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(segment_module, "_sync_data", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    writer.append(log("buffered"))
    assert synced == []
    writer.append(run_started("run"))
    assert synced == [segments(home)[0].stat().st_size]


def test_threads_that_wait_together_share_one_sync(home: Home, writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    writer.append(log("open"))
    syncs: list[int] = []

    def slow_sync(descriptor: int) -> None:
        syncs.append(descriptor)
        if len(syncs) == 1:
            # The disk is busy until all the others have written, too, and wait.
            until(lambda: len(states(events(home))) == 8)

    monkeypatch.setattr(segment_module, "_sync_data", slow_sync)
    run_threads(lambda name: writer.append(run_ended(str(name))), 8)
    assert len(syncs) == 2
    assert_sound(events(home))


def test_a_close_by_another_thread_makes_durable_what_was_just_written(
    home: Home, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.append(run_started("a"))
    sync, came = segment_module.Segment.sync, list[int]()

    def late(segment: segment_module.Segment, target: int) -> None:
        came.append(target)
        if len(came) == 1:
            run_threads(lambda name: writer.close(), 1)
        sync(segment, target)

    monkeypatch.setattr(segment_module.Segment, "sync", late)
    writer.append(run_ended("a"))
    assert kinds(events(home))[-2:] == ["run.ended", "writer.closed"]


def test_a_failed_sync_is_never_taken_for_success_later(
    home: Home, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    writer.append(run_started("a"))
    with monkeypatch.context() as patch:
        patch.setattr(segment_module, "_sync_data", broken)
        with pytest.raises(JournalError, match="Input/output error"):
            writer.append(run_started("b"))
    with pytest.raises(JournalError, match="could not be made durable"):
        writer.append(run_started("c"))


def test_a_writer_without_a_free_descriptor_says_so_and_works_again_with_one(home: Home) -> None:
    script = """
    import resource
    from headwater.errors import JournalError
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    writer = Writer(home)
    for free in range(4):
        files = []
        try:
            while True:
                files.append(open("/dev/null"))
        except OSError:
            for _ in range(free):
                files.pop().close()
        try:
            writer.append(run_started(str(free)))
        except JournalError as error:
            say(free, error.message, "|", error.hint)
        for file in files:
            file.close()
        writer.append(run_started(f"after {free}"), run_ended(f"after {free}"))
        writer.append(run_ended(str(free)))
        writer.close()
    """
    said = finish(start(home, script)).splitlines()
    assert [line[0] for line in said] == ["0", "1"], said
    assert all(
        "Too many open files | this process has too many files open: raise the limit (ulimit -n)" in line
        for line in said
    )
    assert_sound(events(home))
    assert {(f"after {free}", "Completed") for free in range(4)} <= set(states(events(home)))


def test_a_deleted_segment_acknowledges_nothing(home: Home, writer: Writer) -> None:
    writer.append(run_started("a"))
    segments(home)[0].unlink()
    with pytest.raises(JournalError, match="deleted") as caught:
        writer.append(run_ended("a"))
    assert "start it again" in str(caught.value.hint)


def test_code_that_closes_every_descriptor_gets_nothing_of_the_journal_into_its_files(home: Home) -> None:
    script = """
    writer = Writer(home)
    writer.append(run_started("a"), log("before"))
    os.closerange(3, 4096)
    files = [open(home.path.parent / f"mine-{number}", "w+") for number in range(20)]
    for body in (log("lost"), run_ended("a"), log("lost")):
        try:
            writer.append(body)
        except JournalError as error:
            say(error.message, "|", error.hint)
    writer.close()
    for file in files:
        file.write("mine")
        file.close()
    """
    said = finish(start(home, "from headwater.errors import JournalError\n" + textwrap.dedent(script)))
    assert said.count("the segment that this process writes was closed by other code | close only") == 3
    assert {path.read_text() for path in home.path.parent.glob("mine-*")} == {"mine"}
    assert messages(events(home)) == ["before"]
    (recovered,) = recover(home)
    assert recovered.crashed == ("a",)
    assert_sound(events(home))


def test_a_file_that_got_the_number_of_a_closed_segment_is_left_alone(
    home: Home, writer: Writer, tmp_path: Path
) -> None:
    writer.append(run_started("a"))
    number = writer._segment.descriptor  # type: ignore[union-attr]
    with (tmp_path / "mine").open("w+") as file:
        os.dup2(file.fileno(), number)
        with pytest.raises(JournalError, match="closed by other code"):
            writer.append(run_ended("a"))
        writer.close()
        os.close(number)  # nobody else has closed it
        assert file.read() == ""


def test_a_lock_whose_descriptor_became_another_file_leaves_that_open(home: Home, tmp_path: Path) -> None:
    lock = Locks(home.locks).try_hold("a")
    assert lock is not None
    number = lock._descriptor
    with (tmp_path / "mine").open("w") as file:
        os.dup2(file.fileno(), number)
        lock.release()
        os.close(number)


class Once(clock.SystemClock):
    """A clock in which a signal handler strikes once, in the middle of an append."""

    def __init__(self, handler: Callable[[], None]) -> None:
        self.handler: Callable[[], None] | None = handler

    def now_us(self) -> int:
        handler, self.handler = self.handler, None
        if handler is not None:
            handler()
        return super().now_us()


def test_an_append_within_an_append_of_the_same_thread_follows_it(home: Home, writer: Writer) -> None:
    writer.append(log("open"))
    with clock.use(Once(lambda: writer.append(log("signal")))):
        writer.append(log("outer"))
    assert messages(events(home)) == ["open", "outer", "signal"]
    assert_sound(events(home))


def test_nothing_is_put_in_the_place_of_a_segment_whose_birth_was_interrupted(
    home: Home, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(name: str) -> None:
        if name == "journal.named":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(failpoints, "reach", interrupted)
        with pytest.raises(KeyboardInterrupt):
            writer.append(run_started("a"))
    # Somebody looks, and knows from then on that nothing follows in that segment.
    recover(home)
    closed = {batch.writer for batch in Reader(home).read() if batch.closed}
    assert len(closed) == 1
    writer.append(run_started("b"), run_ended("b"))
    found = [line for batch in Reader(home).read(skip=closed) for line in batch.lines]
    assert len(found) == 3


@pytest.mark.parametrize("written", [0, 10, 1000, 10**6])
def test_an_interrupted_append_leaves_whole_records(
    home: Home, writer: Writer, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    writer.append(log("before"))

    def interrupted(segment: object, data: bytes) -> None:
        os.write(writer._segment.descriptor, data[:written])  # type: ignore[union-attr]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(segment_module.Segment, "_write_all", interrupted)
        with pytest.raises(KeyboardInterrupt):
            writer.append(*[log(f"in{i}") for i in range(10)])
    seen = messages(events(home))
    writer.append(log("after"))
    assert messages(events(home)) == [*seen, "after"], "what a reader has seen stays"
    assert_sound(events(home))
    assert verify_journal(home) == []


def test_a_full_disk_is_named_and_the_writer_works_again_when_there_is_space(home: Home) -> None:
    # A limit on the size of files stands for the disk: writes become partial, then fail.
    process = start(
        home,
        """
        import resource
        from headwater.errors import JournalError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        writer, failed, acknowledged = Writer(home), 0, []
        writer.append(run_started("run"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
        for i in range(200):
            try:
                writer.append(log(f"{i:050}"), run_ended(f"{i}"))
                acknowledged.append(i)
            except JournalError as error:
                failed += 1
                assert error.hint and error.where
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        writer.append(run_ended("run"))
        say(failed, *acknowledged)
        """,
    )
    failed, *acknowledged = finish(process).split()
    assert int(failed) > 50
    assert len(acknowledged) > 10
    found = events(home)
    assert_sound(found)
    assert verify_journal(home) == []
    assert {(i, "Completed") for i in (*acknowledged, "run")} <= set(states(found))
    assert kinds(found)[-1] == "writer.closed"


def test_the_exit_of_the_interpreter_closes_the_segment(home: Home) -> None:
    finish(start(home, "writer = Writer(home); writer.append(run_started('a'), run_ended('a'))"))
    assert events(home)[-1].body == {"reason": "exit"}
    assert recover(home) == []


def test_an_exit_with_a_run_still_open_is_a_crash_of_that_run(home: Home) -> None:
    finish(start(home, "writer = Writer(home); writer.append(run_started('a'), run_started('b'), run_ended('b'))"))
    assert kinds(events(home))[-1] == "run.ended"
    assert [recovered.crashed for recovered in recover(home)] == [("a",)]
    assert dict(states(events(home))) == {("b", "Completed"): 1, ("a", "Crashed"): 1}


def test_a_forgotten_writer_frees_its_segment(home: Home) -> None:
    writer = Writer(home)
    writer.append(log("a"))
    name = writer.id
    del writer
    gc.collect()
    assert not Reader(home).is_alive(name)
    assert of_kind(events(home), "writer.closed")


def test_a_home_that_vanished_is_named(home: Home, writer: Writer) -> None:
    home.journal.rmdir()
    with pytest.raises(JournalError, match="can't be written"):
        writer.append(log("a"))
