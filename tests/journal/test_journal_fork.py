from __future__ import annotations

import os
import threading

from journal_cases import (
    assert_sound,
    events,
    finish,
    log,
    messages,
    run_started,
    start,
)

from headwater.core.journal.home import Home
from headwater.core.journal.locks import Locks
from headwater.core.journal.reader import Reader
from headwater.core.journal.recovery import recover
from headwater.core.journal.writer import Writer


def in_child(action: object) -> int:
    """Run something in a forked child, which then leaves without ceremony; its exit code."""
    child = os.fork()
    if child == 0:
        try:
            action()  # type: ignore[operator]
        except BaseException:  # noqa: BLE001 (nothing may escape into the parent's test run)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_child_writes_to_a_segment_of_its_own(home: Home, writer: Writer) -> None:
    writer.append(log("before"))
    parent = writer.id

    def child() -> None:
        assert writer.id != parent
        writer.append(log("child"))

    assert in_child(child) == 0
    writer.append(log("after"))
    assert writer.id == parent
    found = events(home)
    assert_sound(found)
    assert messages(event for event in found if event.writer == parent) == ["before", "after"]
    assert messages(event for event in found if event.writer != parent) == ["child"]


def test_a_child_that_writes_nothing_leaves_nothing(home: Home, writer: Writer) -> None:
    writer.append(log("before"))
    assert in_child(lambda: None) == 0
    assert in_child(writer.close) == 0
    assert Reader(home).writers() == [writer.id]
    assert Reader(home).is_alive(writer.id)
    writer.append(log("after"))
    assert messages(events(home)) == ["before", "after"]


def test_forks_while_other_threads_write(home: Home) -> None:
    # In a process of its own: a fork beside threads is what is tested here, and what Python warns of.
    process = start(
        home,
        """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        writer, stop = Writer(home), threading.Event()
        locks = Locks(home.locks)
        counts = [0, 0, 0]
        def work(name):
            while not stop.is_set():
                with locks.hold(f"lock{name}"):
                    writer.append(log(f"parent:{name}:{counts[name]}"), run_ended(f"{name}:{counts[name]}"))
                counts[name] += 1
        threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
        for thread in threads:
            thread.start()
        children = []
        for i in range(15):
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                with locks.hold(f"child{i}"):
                    for j in range(20):
                        writer.append(log(f"child:{i}:{j}"))
                os._exit(0)
            children.append(child)
            time.sleep(0.002)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        stop.set()
        for thread in threads:
            thread.join()
        say(*codes, *counts)
        """,
    )
    said = list(map(int, finish(process).split()))
    assert said[:15] == [0] * 15
    found = events(home)
    assert_sound(found)
    expected = [f"parent:{name}:{i}" for name, count in enumerate(said[15:]) for i in range(count)]
    expected += [f"child:{i}:{j}" for i in range(15) for j in range(20)]
    assert sorted(messages(found)) == sorted(expected)


def test_a_child_of_a_child(home: Home, writer: Writer) -> None:
    writer.append(log("0"))

    def grandchild() -> None:
        writer.append(log("2"))

    def child() -> None:
        writer.append(log("1"))
        assert in_child(grandchild) == 0
        writer.append(log("1"))

    assert in_child(child) == 0
    assert sorted(messages(events(home))) == ["0", "1", "1", "2"]
    assert len(Reader(home).writers()) == 3
    assert_sound(events(home))


def test_a_childs_run_is_its_own(home: Home, writer: Writer) -> None:
    writer.append(run_started("parent"))
    assert in_child(lambda: writer.append(run_started("child"))) == 0
    assert [recovered.crashed for recovered in recover(home)] == [("child",)]
    assert Reader(home).is_alive(writer.id)


def test_a_child_holds_no_lock_of_its_parent(home: Home) -> None:
    locks = Locks(home.locks)
    with locks.hold("it") as lock:

        def child() -> None:
            assert not lock.held
            lock.release()
            assert locks.try_hold("it") is None

        assert in_child(child) == 0
        assert lock.held
        assert locks.try_hold("it") is None
    again = locks.try_hold("it")
    assert again is not None
    again.release()


def test_a_subprocess_inherits_no_lock(home: Home, writer: Writer) -> None:
    import subprocess

    writer.append(log("a"))
    name = writer.id
    started = threading.Event()
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    started.set()
    try:
        writer.close()
        assert not Reader(home).is_alive(name)
    finally:
        child.kill()
        child.wait()
