from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

import pytest
from journal_cases import expect, finish, kill, start, until

from headwater.core.journal import descriptors
from headwater.core.journal.home import Home
from headwater.core.journal.locks import Locks
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
