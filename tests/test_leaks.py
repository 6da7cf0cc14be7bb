"""The leak checker itself."""

import subprocess
import sys
import threading
from pathlib import Path

import leaks

from headwater.core.gates import Turn
from headwater.core.journal.locks import Locks


def test_a_thread() -> None:
    before, end = leaks.snapshot(), threading.Event()
    thread = threading.Thread(target=end.wait, name="forgotten", daemon=True)
    thread.start()
    try:
        assert leaks.leaks(before, grace=0) == ["a thread: forgotten (daemon)"]
    finally:
        end.set()
    assert leaks.leaks(before) == []


def test_a_child_process() -> None:
    before = leaks.snapshot()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        (found,) = leaks.leaks(before, grace=0)
        assert found.startswith(f"a child process: {child.pid} ")
        child.communicate()
    assert leaks.leaks(before) == []


def test_a_lock(tmp_path: Path) -> None:
    before = leaks.snapshot()
    lock = Locks(tmp_path).try_hold("mine")
    assert lock is not None
    with lock:
        assert any(found.startswith("a lock or a segment: ") for found in leaks.leaks(before, grace=0))
    assert leaks.leaks(before) == []


def test_an_open_file(tmp_path: Path) -> None:
    before = leaks.snapshot()
    with (tmp_path / "events.ndjson").open("w"):
        (found,) = leaks.leaks(before, grace=0)
        assert found.startswith("an open file: ")
    assert leaks.leaks(before) == []


def test_a_thread_that_is_just_ending_is_none() -> None:
    before = leaks.snapshot()
    thread = threading.Timer(0.05, lambda: None)
    thread.start()
    assert leaks.leaks(before) == []


def test_a_turn_at_a_limit(tmp_path: Path) -> None:
    before, turn = leaks.snapshot(), Turn(Locks(tmp_path), "limit:mine", 1)
    assert leaks.leaks(before, grace=0) == ["a turn at 'limit:mine' that was not given back"]
    turn.free()
    assert leaks.leaks(before) == []
