"""What a writer's children, grandchildren and orphans do to its journal: nothing, however they came to be and end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from journal_cases import (
    ROOT,
    assert_sound,
    events,
    expect,
    finish,
    messages,
    of_kind,
    start,
    states,
    until,
)

from headwater.core.journal.home import Home
from headwater.core.journal.locks import Locks
from headwater.core.journal.reader import Reader
from headwater.core.journal.recovery import recover
from headwater.materializers import locking

FORKS = """
import subprocess, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads is what is tested
def code(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
def fork(action):
    # Returns when the child runs: until then it has what its parent has, and a parent that is killed meanwhile seems to live.
    ready, running = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        os.write(running, b"x")
        os.close(running)
        os.close(ready)
        action()
        os._exit(0)
    os.read(ready, 1)
    os.close(running)
    os.close(ready)
    return child
"""


def killed_alone(process: subprocess.Popen[str]) -> None:
    """SIGKILL for the parent only: its children go on, and hold its standard output, which must not be waited for."""
    process.kill()
    process.wait(timeout=30)


def ended(process: subprocess.Popen[str], orphans: list[int]) -> None:
    """Nothing is left of a killed parent's children."""
    for orphan in orphans:
        os.kill(orphan, signal.SIGKILL)
    process.communicate(timeout=30)


def told(process: subprocess.Popen[str]) -> list[int]:
    """The numbers in a line that a process says."""
    assert process.stdout is not None
    return list(map(int, process.stdout.readline().split()))


def test_a_fork_at_any_point_of_another_threads_append(home: Home) -> None:
    process = start(
        home,
        FORKS
        + """
there, on, point = threading.Event(), threading.Event(), None
def reach(name):
    if name == point and threading.current_thread() is not threading.main_thread():
        there.set()
        on.wait()
from headwater import failpoints
failpoints.reach = reach
def append(writer, who):
    writer.append(log(f"{who}:{point}"), run_ended(f"{who}:{point}"))
    writer.close()
points = [name for name in failpoints.POINTS if name.startswith("journal.")]
for point in points:
    there.clear()
    on.clear()
    writer = Writer(home)
    thread = threading.Thread(target=append, args=(writer, "parent"))
    thread.start()
    there.wait()
    assert code(fork(lambda: append(writer, "child"))) == 0, point
    on.set()
    thread.join()
say(*points)
""",
    )
    points = finish(process).split()
    assert len(points) >= 9
    found = events(home)
    assert_sound(found)
    assert sorted(messages(found)) == sorted(f"{who}:{point}" for who in ("child", "parent") for point in points)
    assert len(of_kind(found, "writer.closed")) == len(Reader(home).writers()) == 2 * len(points)
    assert recover(home) == []


def test_a_signal_in_a_childs_first_moment_leaves_it_nothing_of_its_parent(home: Home) -> None:
    # What is registered first is called first; in the next hook that is written in Python the signal's handler raises.
    script = """
    import logging, os, random, sys, threading, _thread
    from headwater import ids
    os.register_at_fork(after_in_child=_thread.interrupt_main)
    from journal_cases import *
    from headwater.core.journal import descriptors
    from headwater.core.journal.locks import Locks
    home = Home.open(sys.argv[1], create=True)
    writer, lock = Writer(home), Locks(home.locks).try_hold("it")
    writer.append(log("parent"))
    child = os.fork()
    if child == 0:
        assert not lock.held and not descriptors._open
        writer.append(log("child"))
        writer.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    writer.append(log("parent"))
    """
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(home.path)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert "KeyboardInterrupt" in done.stderr
    assert_sound(events(home))
    assert len(Reader(home).writers()) == 2
    assert sorted(messages(events(home))) == ["child", "parent", "parent"]


ENDINGS = {
    "os._exit": "os._exit(3)",
    "sys.exit": "sys.exit(3)",
    "error": "raise ValueError('the child')",
    "end": "pass",
    "kill": "os.kill(os.getpid(), signal.SIGKILL)",
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
def test_however_a_child_ends_its_parents_segment_stays_open(home: Home, ending: str) -> None:
    # The interpreter's exit in the child closes what is the child's, and nothing else.
    process = start(
        home,
        FORKS
        + f"""
writer = Writer(home)
writer.append(run_started("parent"), log("before"))
lock = Locks(home.locks).try_hold("it")
child = os.fork()
if child == 0:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    writer.append(run_started("child"), log("child"), run_ended("child"))
    {ending}
    sys.exit(0)
code(child)
say(writer.id)
sys.stdin.readline()
assert lock.held
writer.append(log("after"), run_ended("parent"))
""",
    )
    assert process.stdout is not None
    parent = process.stdout.readline().strip()
    assert Reader(home).is_alive(parent)
    assert Locks(home.locks).try_hold("it") is None
    recover(home)
    finish(process)
    found = events(home)
    assert_sound(found)
    assert messages(event for event in found if event.writer == parent) == ["before", "after"]
    assert states(found) == {("child", "Completed"): 1, ("parent", "Completed"): 1}
    assert {event.body["reason"] for event in of_kind(found, "writer.closed") if event.writer == parent} == {"exit"}


SLEEPERS = {
    "fork and exec": "child = fork(lambda: os.execvp('sleep', ['sleep', '60']))",
    "posix_spawn": "child = os.posix_spawnp('sleep', ['sleep', '60'], os.environ)",
    "subprocess": "child = subprocess.Popen(['sleep', '60'], close_fds=False).pid",
    "preexec_fn": "child = subprocess.Popen(['sleep', '60'], close_fds=False, preexec_fn=lambda: None).pid",
    "shell": "child = subprocess.Popen('exec sleep 60', shell=True, start_new_session=True, close_fds=False).pid",
    "fork": "child = fork(lambda: time.sleep(60))",
    "thread's fork": """
def work():
    global child
    child = fork(lambda: time.sleep(60))
thread = threading.Thread(target=work)
thread.start()
thread.join()
""",
}


def test_no_child_that_outlives_a_killed_parent_keeps_its_run_or_its_locks(home: Home) -> None:
    process = start(
        home,
        FORKS
        + """
writer, locks = Writer(home), Locks(home.locks)
writer.append(run_started("parent"), task_started("task", "parent"))
held = [locks.try_hold("it"), locks.try_hold("limit", slots=2), locks.try_hold("limit", slots=2)]
children = []
import contextlib
from headwater.materializers import locking
publishing = contextlib.ExitStack()
publishing.enter_context(locking.exclusive(home.path / "table.duckdb"))
"""
        + "\n".join(f"{textwrap.dedent(how).strip()}\nchildren.append(child)" for how in SLEEPERS.values())
        + "\nsay(*children)\ntime.sleep(60)",
    )
    children = told(process)
    try:
        killed_alone(process)
        locks = Locks(home.locks)
        with (
            locking.exclusive(home.path / "table.duckdb", wait=0),
            locks.hold("it", timeout=0),
            locks.hold("limit", timeout=0, slots=2),
            locks.hold("limit", timeout=0, slots=2),
        ):
            pass
        assert [one.crashed for one in recover(home)] == [("parent",)]
        for child in children:
            os.kill(child, 0)  # it lives
        assert recover(home) == []
    finally:
        ended(process, children)
    assert states(events(home)) == {("parent", "Crashed"): 1}
    assert len(of_kind(events(home), "task.ended")) == 1
    assert_sound(events(home))


def test_a_daemon_lives_on_without_its_parents_and_dies_alone(home: Home) -> None:
    # Forked twice, as daemons are: it is the writer of its run, whoever its ancestors were.
    process = start(
        home,
        FORKS
        + """
writer = Writer(home)
writer.append(run_started("grandparent"))
def daemon():
    os.setsid()
    writer.append(run_started("daemon"), log(f"daemon {os.getpid()}"))
    time.sleep(60)
def between():
    writer.append(run_started("between"))
    fork(daemon)
code(fork(between))
say("forked")
time.sleep(60)
""",
    )
    expect(process, "forked")
    until(lambda: messages(events(home)) != [])
    daemon = int(messages(events(home))[0].split()[1])
    try:
        assert [one.crashed for one in recover(home)] == [("between",)]
        killed_alone(process)
        assert [one.crashed for one in recover(home)] == [("grandparent",)]
        assert recover(home) == []
        alive = [writer for writer in Reader(home).writers() if Reader(home).is_alive(writer)]
        assert len(alive) == 1
    finally:
        ended(process, [daemon])
    until(lambda: not Reader(home).is_alive(alive[0]))
    assert [one.crashed for one in recover(home)] == [("daemon",)]
    assert states(events(home)) == {(run, "Crashed"): 1 for run in ("between", "grandparent", "daemon")}
    assert_sound(events(home))


def test_a_child_has_no_place_in_its_parents_lines(home: Home) -> None:
    locks = Locks(home.locks)
    with locks.hold("it"):
        process = start(
            home,
            FORKS
            + """
def wait():
    with Locks(home.locks).hold("it"):
        say("held")
        time.sleep(60)
threading.Thread(target=wait, daemon=True).start()
until(lambda: list(home.locks.glob("*.line/0")))
with Locks(home.locks).hold("mine") as mine:
    def child():
        assert not mine.held
        mine.release()
        assert Locks(home.locks).try_hold("mine") is None
        say(os.getpid())
        time.sleep(60)
    fork(child)
    time.sleep(60)
""",
        )
        (child,) = told(process)
        assert locks.try_hold("mine") is None
        killed_alone(process)
    try:
        # The line that its parent died in is empty, and the child stands in nobody's way.
        for name in ("it", "mine"):
            lock = locks.try_hold(name)
            assert lock is not None
            lock.release()
        assert list(home.locks.iterdir()) == []
    finally:
        ended(process, [child])


def test_a_child_waits_for_its_parents_lock_like_anybody(home: Home) -> None:
    process = start(
        home,
        FORKS
        + """
lock = Locks(home.locks).try_hold("it")
def child():
    with Locks(home.locks).hold("it"):
        say(os.getpid())
        time.sleep(60)
first, second = fork(child), fork(child)
until(lambda: list(home.locks.glob("*.line/1")))
say(first, second)
sys.stdin.readline()
lock.release()
time.sleep(60)
""",
    )
    children = told(process)
    assert process.stdin is not None
    try:
        process.stdin.write("\n")
        process.stdin.flush()
        (one,) = told(process)
        assert one in children
        os.kill(one, signal.SIGKILL)
        killed_alone(process)
        (other,) = told(process)
        assert {one, other} == set(children)
    finally:
        ended(process, [child for child in children if child != one])


def test_a_signals_handler_that_forks_while_its_thread_waits_for_a_lock(home: Home) -> None:
    locks = Locks(home.locks)
    with locks.hold("it"):
        process = start(
            home,
            FORKS
            + """
def handler(signum, frame):
    if os.fork() == 0:
        signal.alarm(30)
signal.signal(signal.SIGUSR1, handler)
parent = os.getpid()
with Locks(home.locks).hold("it"):
    say("parent" if os.getpid() == parent else "child")
if os.getpid() == parent:
    sys.exit(code(-1))
os._exit(0)
""",
        )
        until(lambda: [path.name for path in home.locks.glob("*.line/*")] == ["0"])
        process.send_signal(signal.SIGUSR1)
        # The child that goes on waiting gets a place of its own, behind its parent's.
        until(lambda: len(list(home.locks.glob("*.line/*"))) == 2)
    assert finish(process).split() == ["parent", "child"]
    assert list(home.locks.iterdir()) == []


FORKS_ANYWHERE = """
from headwater.core.journal import descriptors, locks, waiting

busy, points = sys.argv[2] == "busy", [int(point) for point in sys.argv[3].split(",")]
modules, mine, within = {module.__file__ for module in (descriptors, locks, waiting)}, Locks(home.locks), home.path / "within"

def worker(point, told):
    # Before a line on the way to the lock it does what a handler of a signal may do: it forks, and goes on in both processes.
    seen, child = 0, None
    def trace(frame, event, argument):
        nonlocal seen, child
        if frame.f_code.co_filename not in modules:
            return None
        seen += event == "line"
        if event == "line" and seen == point:
            sys.settrace(None)
            child = os.fork()
            signal.alarm(20)
            os.write(told, b"x")
        return trace
    sys.settrace(trace)
    with mine.hold("it") as lock:
        sys.settrace(None)
        if lock.held:
            os.close(os.open(within, os.O_CREAT | os.O_EXCL))  # fails when somebody else is in here
            time.sleep(0.002)
            within.unlink()
        # Who is forked when the lock is its parent's already has none; who waits for it gets one.
        assert lock.held or (child == 0 and not busy)
    if child:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return child is not None

for point in points:
    news, told = os.pipe()
    holder = mine.hold("it")
    if busy:
        holder.__enter__()
    one = os.fork()
    if one == 0:
        signal.alarm(20)
        try:
            forked = worker(point, told)
            os._exit(0 if forked else 3)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
    if busy:
        os.read(news, 1)
        holder.__exit__(None, None, None)
    result = os.waitstatus_to_exitcode(os.waitpid(one, 0)[1])
    assert result in (0, 3), (point, result)
    assert not list(home.locks.iterdir()), point
    if result == 3:
        break
say(result, point)
"""


@pytest.mark.parametrize("busy", ["busy", "free"])
def test_a_handler_that_forks_anywhere_on_the_way_to_a_lock(home: Home, stress: bool, busy: str) -> None:
    # The way to a free lock ends; that to one which is held goes round: 200 lines are more than once.
    points = range(1, 200) if stress else sorted(random.sample(range(1, 200), 25))
    script = start(home, FORKS_ANYWHERE, busy, ",".join(map(str, points)))
    result, point = finish(script, timeout=300).split()
    assert (result, int(point)) == ("0", points[-1]) if busy == "busy" else result == "3"


POOL = """
import logging, multiprocessing, sys, warnings
from concurrent.futures import ProcessPoolExecutor

from headwater import flow, get_logger, task

warnings.simplefilter("ignore", DeprecationWarning)


@task
def double(number):
    get_logger().info("doubling %d", number)
    return 2 * number


def work(number):
    return double(number)


@flow
def main(method, kind):
    assert [future.result() for future in double.map([10, 20])] == [20, 40]
    context = multiprocessing.get_context(method)
    if kind == "Pool":
        with context.Pool(2) as pool:
            found = pool.map(work, range(4))
            pool.close()
            pool.join()
    else:
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            found = list(pool.map(work, range(4)))
    assert found == [0, 2, 4, 6]


if __name__ == "__main__":
    main(*sys.argv[1:])
"""


def run_script(folder: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A user's script, run to its end in a folder of its own."""
    (folder / "script.py").write_text(script)
    return subprocess.run(
        [sys.executable, "script.py", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )


def environment() -> dict[str, str]:
    """What a user's process finds around itself."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}
    return {**kept, "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("kind", ["Pool", "ProcessPoolExecutor"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pool_of_processes_inside_a_flow(tmp_path: Path, method: str, kind: str) -> None:
    done = run_script(tmp_path, POOL, method, kind)
    assert done.returncode == 0, done.stderr
    home = Home.open(tmp_path / ".headwater", create=False)
    recover(home)  # the workers of a pool end without a word: their segments are free, and nothing in them is open
    found = events(home)
    assert_sound(found)
    assert sorted(messages(found)) == sorted(f"doubling {number}" for number in (10, 20, 0, 1, 2, 3))
    assert set(states(found).values()) == {1}
    assert {state for _, state in states(found)} == {"Completed"}
    started = of_kind(found, "run.started")
    # A forked worker is in its parent's run; one that was started afresh knows of none, and its tasks are runs.
    assert sorted(event.body["flow"] for event in started) == ["double"] * (0 if method == "fork" else 4) + ["main"]
    tasks = of_kind(found, "task.ended")
    assert [event.body["state"] for event in tasks] == ["Completed"] * 6
    assert not any(map(Reader(home).is_alive, Reader(home).writers()))


TWINS = """
import os, sys

from headwater import flow, task
from headwater.core.journal.home import Home
from headwater.core.journal.writer import Writer

writer = Writer(Home.open(sys.argv[1], create=True))
for _ in range(2):
    child = os.fork()
    if not child:
        os.write(1, writer.id.encode() + b"\\n")
        os._exit(0)
    os.waitpid(child, 0)
"""


def test_forked_children_never_have_the_same_id(tmp_path: Path) -> None:
    # Both begin with what their parent knew: in the same moment, only their random bits tell them apart.
    done = run_script(tmp_path, TWINS, str(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.split()
    assert first[-17:] != second[-17:]


FLOW_THAT_FORKS = """
import os, signal, sys, threading, warnings

from headwater import flow, get_logger, task
from headwater.errors import UsageError

warnings.simplefilter("ignore", DeprecationWarning)
MAIN, go = os.getpid(), threading.Event()


def code(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@task
def double(number):
    get_logger().info("doubling %d", number)
    return 2 * number


@task
def slow():
    go.wait(30)
    get_logger().info("slow")
    return "slow"


@task
def forks():
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        return "the child's"
    return code(child)


@flow
def inner():
    return double(5)


def in_child(future):
    assert double.submit(1).result() == 2
    assert double.map([2, 3]).result() == [4, 6]
    assert inner() == 10
    assert double(4) == 8
    try:
        future.result()
    except UsageError as error:
        assert "runs in the process that this one was forked from" in str(error)
    else:
        os._exit(9)


@flow
def main():
    assert double.submit(0).result() == 0
    future = slow.submit()
    assert forks.submit().result() == 0
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        in_child(future)
        return "the child's"
    assert code(child) == 0
    go.set()
    return future.result()


assert main() == ("slow" if os.getpid() == MAIN else "the child's")
"""


def test_a_child_of_a_flow_uses_what_it_can_and_never_waits_for_its_parents_threads(tmp_path: Path) -> None:
    done = run_script(tmp_path, FLOW_THAT_FORKS)
    assert done.returncode == 0, done.stderr
    assert "a forked child left the task 'forks', which only its parent ends" in done.stderr
    home = Home.open(tmp_path / ".headwater", create=False)
    recover(home)
    found = events(home)
    assert_sound(found)
    warned = "a forked child left the run of 'main', which only its parent ends: end it with os._exit(0)"
    assert sorted(messages(found)) == sorted([warned, "slow", *(f"doubling {number}" for number in range(6))])
    assert sorted((event.body["flow"], event.body["state"]) for event in of_kind(found, "run.ended")) == [
        ("inner", "Completed"),
        ("main", "Completed"),
    ]
    ends = of_kind(found, "task.ended")
    assert [event.body["state"] for event in ends] == ["Completed"] * 8
    assert len({event.body["task_run_id"] for event in ends}) == 8


def test_a_pool_that_outlives_its_killed_flow_keeps_no_run_alive(tmp_path: Path) -> None:
    script = """
    import multiprocessing, os, signal, sys, time
    from headwater import flow, task
    @task
    def endless(number):
        signal.alarm(60)
        os.write(1, f"{os.getpid()}\\n".encode())
        time.sleep(60)
    def work(number):
        return endless(number)
    @flow
    def main():
        multiprocessing.get_context("fork").Pool(2).map(work, range(2))
    main()
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    workers = [int(process.stdout.readline()) for _ in range(2)]
    home = Home.open(tmp_path / ".headwater", create=False)
    assert recover(home) == []
    killed_alone(process)
    try:
        (dead,) = recover(home)
        assert len(dead.crashed) == 1
        assert of_kind(events(home), "task.ended") == []  # the tasks are the workers', and those live
    finally:
        ended(process, workers)
    until(lambda: not any(map(Reader(home).is_alive, Reader(home).writers())))
    assert len(recover(home)) == 2
    found = events(home)
    assert_sound(found)
    assert [event.body["state"] for event in of_kind(found, "task.ended")] == ["Crashed"] * 2
    assert set(states(found).values()) == {1}
