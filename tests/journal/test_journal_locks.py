from __future__ import annotations

import gc
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from journal_cases import expect, finish, kill, start, until

from headwater.core.journal import descriptors
from headwater.core.journal.home import Home
from headwater.core.journal.locks import Locks
from headwater.core.journal.waiting import Line
from headwater.errors import JournalError, LockTimeout


@pytest.fixture
def locks(home: Home) -> Locks:
    return Locks(home.locks)


def test_one_at_a_time(locks: Locks) -> None:
    lock = locks.try_hold("it")
    assert lock is not None
    assert lock.held
    assert locks.try_hold("it") is None
    other = locks.try_hold("other")
    assert other is not None
    other.release()
    lock.release()
    lock.release()
    assert not lock.held
    with locks.hold("it", timeout=0):
        assert locks.try_hold("it") is None


def test_nothing_is_left_behind(home: Home, locks: Locks) -> None:
    for i in range(20):
        with locks.hold(f"partition {i}"):
            pass
    assert list(home.locks.iterdir()) == []


def test_a_file_that_its_holder_removed_meanwhile_is_not_the_lock(
    home: Home, locks: Locks, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = locks.try_hold("it")
    assert held is not None
    try_lock = descriptors.try_lock

    def slow(descriptor: int) -> bool:
        # The holder frees the lock after the file was opened and before it is locked.
        held.release()
        return try_lock(descriptor)

    monkeypatch.setattr(descriptors, "try_lock", slow)
    with locks.hold("it", timeout=0):
        assert len(list(home.locks.iterdir())) == 1
        assert locks.try_hold("it") is None


def test_a_lock_of_a_home_that_was_moved_away_leaves_that_of_another_one_in_its_place_alone(home: Home) -> None:
    before = Locks(home.locks).try_hold("it")
    assert before is not None
    home.path.rename(home.path.with_name("moved"))
    locks = Locks(Home.open(home.path, create=True).locks)
    with locks.hold("it"):
        before.release()
        assert locks.try_hold("it") is None
    assert list(home.locks.iterdir()) == []


def test_an_error_frees_the_lock(locks: Locks) -> None:
    with pytest.raises(ZeroDivisionError), locks.hold("it"):
        raise ZeroDivisionError
    with locks.hold("it", timeout=0):
        pass


def test_a_timeout_names_the_holder(home: Home, locks: Locks) -> None:
    process = start(
        home, "lock = Locks(home.locks).try_hold('backfill:42'); say('held'); sys.stdin.readline(); lock.release()"
    )
    expect(process, "held")
    with (
        pytest.raises(LockTimeout, match=f"'backfill:42' is held by process {process.pid}") as error,
        locks.hold("backfill:42", timeout=0.03),
    ):
        pass
    assert error.value.hint
    finish(process)
    with locks.hold("backfill:42", timeout=10):
        assert locks.holder("backfill:42") == os.getpid()


def test_a_timeout_within_a_process_says_so(locks: Locks) -> None:
    with locks.hold("it"), pytest.raises(LockTimeout, match="this process"), locks.hold("it", timeout=0):
        pass


def test_a_lock_that_nobody_can_release_frees_itself(locks: Locks) -> None:
    locks.try_hold("it")
    gc.collect()
    with locks.hold("it", timeout=0):
        pass


def test_a_folder_that_is_gone_is_named(home: Home, locks: Locks) -> None:
    home.locks.rmdir()
    with pytest.raises(JournalError, match="'it' can't be taken"):
        locks.try_hold("it")


def test_a_kill_frees_the_lock(home: Home, locks: Locks) -> None:
    process = start(home, "lock = Locks(home.locks).try_hold('it'); say('held'); time.sleep(60)")
    expect(process, "held")
    assert locks.try_hold("it") is None
    kill(process)
    with locks.hold("it", timeout=0):
        pass


def test_threads_exclude_each_other(locks: Locks) -> None:
    inside, most, turns = [0], [0], [0]

    def work() -> None:
        for _ in range(15):
            with locks.hold("it"):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                turns[0] += 1
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (most[0], turns[0]) == (1, 60)


def test_a_line_that_goes_while_somebody_joins_it_is_made_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(str(home.locks / "it.line"))
    Path(line.path).mkdir()
    make = os.mkdir

    def late(path: str, mode: int = 0o777) -> None:
        try:
            make(path, mode)
        except FileExistsError:
            line.clear()  # who left last, right after we saw the folder
            raise

    monkeypatch.setattr(os, "mkdir", late)
    with line.join() as place:
        assert list(place.ahead()) == []


def test_processes_exclude_each_other(home: Home, tmp_path: Path) -> None:
    # A lost update of this unprotected counter would be two holders at once.
    counter = tmp_path / "counter"
    counter.write_text("0")
    script = """
    counter, locks = Path(sys.argv[2]), Locks(home.locks)
    for _ in range(25):
        with locks.hold("counter"):
            counter.write_text(str(int(counter.read_text()) + 1))
    """
    processes = [start(home, script, counter) for _ in range(3)]
    for process in processes:
        finish(process)
    assert counter.read_text() == "75"


def test_a_waiter_gets_the_lock_when_it_is_freed(locks: Locks) -> None:
    got: list[bool] = []

    def wait() -> None:
        with locks.hold("it", timeout=30):
            got.append(True)

    with locks.hold("it"):
        thread = threading.Thread(target=wait)
        thread.start()
        assert got == []
    until(lambda: got == [True])
    thread.join()


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a/b", "nul\0", "new\nline", "x" * 10_000, "", "\udcff", "é", "e\u0301"]
)
def test_any_name_is_a_lock_of_its_own(home: Home, locks: Locks, name: str) -> None:
    with locks.hold(name, timeout=0), locks.hold(name + "'", timeout=0):
        assert locks.try_hold(name) is None
        assert len(list(home.locks.iterdir())) == 2
    assert sorted(path.name for path in home.path.iterdir()) == [".gitignore", "format", "journal", "locks", "tmp"]


def lines(home: Home) -> list[str]:
    """The places of all who wait, in all lines."""
    return sorted(path.name for path in home.locks.glob("*.line/*"))


def test_who_came_first_is_served_first(home: Home, locks: Locks) -> None:
    served: list[int] = []

    def work(number: int) -> None:
        with locks.hold("it", timeout=30):
            served.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    with locks.hold("it"):
        for number, thread in enumerate(threads):
            thread.start()
            until(lambda number=number: locks.waiting("it") == number + 1)  # type: ignore[misc]
    for thread in threads:
        thread.join(30)
    assert served == list(range(12))
    assert list(home.locks.iterdir()) == []


def test_nobody_jumps_the_line(home: Home, locks: Locks) -> None:
    process = start(home, "with Locks(home.locks).hold('it'): say('held'); sys.stdin.readline()")
    with locks.hold("it"):
        # A place is made, then locked, then written: one that is not locked yet is taken for a dead process's.
        until(lambda: [path.read_bytes() != b"" for path in home.locks.glob("*.line/0")] == [True])
        process.send_signal(signal.SIGSTOP)
    # It is free, and somebody waits.
    assert locks.try_hold("it") is None
    with pytest.raises(LockTimeout), locks.hold("it", timeout=0):
        pass
    process.send_signal(signal.SIGCONT)
    expect(process, "held")
    finish(process)
    assert list(home.locks.iterdir()) == []


def test_a_stopped_waiter_holds_up_nobody_for_long(home: Home, locks: Locks) -> None:
    process = start(home, "with Locks(home.locks).hold('it'): say('held')")
    with locks.hold("it"):
        until(lambda: lines(home) == ["0"])
        process.send_signal(signal.SIGSTOP)
    for _ in range(2):
        with locks.hold("it", timeout=10):
            pass
    process.send_signal(signal.SIGCONT)
    finish(process)
    assert list(home.locks.iterdir()) == []


@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT", "SIGTERM", "timeout"])
def test_a_waiter_that_goes_blocks_nobody_behind_it(home: Home, locks: Locks, how: str) -> None:
    got: list[bool] = []

    def wait() -> None:
        with locks.hold("it", timeout=30):
            got.append(True)

    timeout = 0.2 if how == "timeout" else 60
    with locks.hold("it"):
        first = start(home, f"with Locks(home.locks).hold('it', timeout={timeout}): pass")
        until(lambda: len(lines(home)) == 1)
        thread = threading.Thread(target=wait)
        thread.start()
        until(lambda: len(lines(home)) == 2)
        if how != "timeout":
            first.send_signal(getattr(signal, how))
        first.communicate(timeout=30)
        assert first.returncode != 0
        assert got == []
    thread.join(30)
    assert got == [True]
    assert list(home.locks.iterdir()) == []


def test_what_dead_waiters_left_refuses_nobody(home: Home, locks: Locks) -> None:
    with locks.hold("it"):
        processes = [start(home, "with Locks(home.locks).hold('it'): pass") for _ in range(2)]
        until(lambda: len(lines(home)) == 2)
        # All at once: the one behind would clear away what the one before it left.
        for process in processes:
            process.kill()
        for process in processes:
            process.communicate(timeout=30)
    assert len(lines(home)) == 2
    lock = locks.try_hold("it")
    assert lock is not None
    lock.release()
    assert list(home.locks.iterdir()) == []


def test_ctrl_c_ends_a_wait_at_whatever_moment_it_comes(home: Home, locks: Locks) -> None:
    # Within a run a signal is only marked while the journal's own code is at work: the wait must see the mark.
    script = """
    from headwater import flow, task
    from headwater.core import runtime
    from headwater.testing import project
    with project(home.path.parent / "project") as found:
        locks, caught = Locks(home.locks), 0
        @flow
        def waits(name):
            with locks.hold(name):
                return name
        waits("free")  # what is imported by the first run is no place for a signal
        for number in range(int(sys.argv[2])):
            timer = threading.Timer(0.002 + number % 10 * 0.0007, lambda: os.kill(os.getpid(), signal.SIGINT))
            try:
                timer.start()
                say(waits("it"))
            except KeyboardInterrupt:
                caught += 1
            timer.join()
        say(caught)
    """
    with locks.hold("it"):
        assert finish(start(home, script, 30), timeout=60).split() == ["30"]
    assert list(home.locks.iterdir()) == []


def test_a_lock_with_slots_has_so_many_holders(home: Home, locks: Locks) -> None:
    held = [locks.try_hold("limit", slots=3) for _ in range(3)]
    assert [lock.slot for lock in held if lock is not None] == [0, 1, 2]
    assert locks.try_hold("limit", slots=3) is None
    assert [locks.holder("limit", slot=slot) for slot in range(4)] == [os.getpid()] * 3 + [None]
    with (
        pytest.raises(LockTimeout, match=r"all 3 slots of 'limit' are held by this process"),
        locks.hold("limit", timeout=0.01, slots=3),
    ):
        pass
    assert held[1] is not None
    held[1].release()
    with locks.hold("limit", timeout=0, slots=3) as again:
        assert again.slot == 1
    for lock in held:
        assert lock is not None
        lock.release()
    assert list(home.locks.iterdir()) == []


def test_a_limit_that_is_lowered_admits_nobody_new_until_enough_have_left(locks: Locks) -> None:
    held = [locks.try_hold("limit", slots=3) for _ in range(3)]
    assert None not in held
    assert locks.try_hold("limit", slots=2) is None
    raised = locks.try_hold("limit", slots=4)
    assert raised is not None
    assert raised.slot == 3
    for lock in [*held, raised]:
        assert lock is not None
        lock.release()


def test_slots_that_make_no_sense(locks: Locks) -> None:
    with pytest.raises(ValueError, match="at least one slot, not 0"):
        locks.try_hold("limit", slots=0)


def test_a_slot_is_freed_by_the_death_of_its_holder(home: Home, locks: Locks) -> None:
    script = """
    with Locks(home.locks).hold("limit", slots=2) as lock:
        say(lock.slot)
        time.sleep(60)
    """
    processes = []
    for slot in range(2):
        processes.append(start(home, script))
        expect(processes[-1], str(slot))
    assert locks.try_hold("limit", slots=2) is None
    assert [locks.holder("limit", slot=slot) for slot in range(2)] == [process.pid for process in processes]
    with (
        pytest.raises(LockTimeout, match=f"processes {processes[0].pid} and {processes[1].pid}"),
        locks.hold("limit", timeout=0.01, slots=2),
    ):
        pass
    kill(processes[0])
    with locks.hold("limit", timeout=0, slots=2) as lock:
        assert lock.slot == 0
    kill(processes[1])


def test_a_leader_is_followed_by_whoever_waited_longest(home: Home) -> None:
    script = """
    with Locks(home.locks).hold("scheduler") as lock:
        say("leads")
        time.sleep(60)
    """
    processes = []
    for number in range(4):
        processes.append(start(home, script))
        if number == 0:
            expect(processes[0], "leads")
        else:
            until(lambda number=number: len(lines(home)) == number)  # type: ignore[misc]
    kill(processes[2])  # it never leads
    for number in (0, 1, 3):
        if number > 0:
            expect(processes[number], "leads")
        assert Locks(home.locks).holder("scheduler") == processes[number].pid
        kill(processes[number])
    lock = Locks(home.locks).try_hold("scheduler")
    assert lock is not None
    lock.release()
    assert list(home.locks.iterdir()) == []


def test_many_who_wait_cost_little(locks: Locks) -> None:
    threads, ready = 60, threading.Barrier(61)

    def wait() -> None:
        ready.wait()
        with pytest.raises(LockTimeout), locks.hold("it", timeout=1):
            pass

    with locks.hold("it"):
        waiting = [threading.Thread(target=wait) for _ in range(threads)]
        for thread in waiting:
            thread.start()
        ready.wait()
        before = time.process_time()
        for thread in waiting:
            thread.join()
    # About 0.2 s; looking every 10 ms it would be three.
    assert time.process_time() - before < 1.2
