"""Worker processes: they may die, be too slow, be asked to stop; and nothing of them is ever left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from runner_worlds import is_alive, meet, wait_until

from headwater import flow, task
from headwater.core.events import LogWritten, RunEnded, TaskEnded, TaskState
from headwater.core.journal.memory import MemoryCarrier
from headwater.core.runners.processes import ProcessRunner
from headwater.core.runners.wire import Kind, Wire
from headwater.errors import Cancelled, TimeLimitExceeded, WorkerDied
from headwater.testing import project as project_of
from headwater.testing.remote import FakeRemoteRunner


@pytest.fixture
def journal() -> Iterator[MemoryCarrier]:
    with project_of(carrier=(carrier := MemoryCarrier())):
        yield carrier


@task
def die(how: str = "exit", place: Path | None = None) -> int:
    if place is not None and place.exists():
        return 7
    if place is not None:
        place.touch()
    print("about to die")
    if how == "exit":
        os._exit(3)
    os.kill(os.getpid(), signal.SIGSEGV if how == "segfault" else signal.SIGKILL)
    return 0


@task
def pid() -> int:
    return os.getpid()


@task
def sleep(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"


@task
async def sleep_async(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "slept"


told: list[str] = []


@flow(runner=ProcessRunner(max_workers=1))
def one_worker(*, how: str = "exit", place: Path | None = None, retries: int = 0) -> Any:
    before = pid.submit().result()
    told.clear()
    hooks = {"Crashed": lambda change: told.append(change.state.value)}
    broken = die.with_options(retries=retries, hooks=hooks).submit(how, place)
    broken.wait()
    after = pid.submit().result()
    return before, after, broken.result(raise_on_failure=False), broken.state.value


@pytest.mark.parametrize(
    ("how", "said"), [("exit", "exit code 3"), ("segfault", "killed by SIGSEGV"), ("kill", "killed by SIGKILL")]
)
def test_a_worker_that_dies_fails_its_own_task_alone(how: str, said: str, journal: MemoryCarrier) -> None:
    before, after, error, state = one_worker(how=how)
    assert isinstance(error, WorkerDied)
    assert said in error.message
    assert (state, told) == ("Crashed", ["Crashed"])
    assert before != after
    assert not is_alive(before)
    assert not is_alive(after)
    ended = {one.task: one for one in journal.records(TaskEnded)}
    assert ended["die"].error is not None
    assert ended["die"].error.type == "WorkerDied"
    assert "about to die" in [one.message for one in journal.records(LogWritten)]


FORKS = """
import os

fork, allowed = os.fork, int(os.environ["FORKS"])

def few():
    global allowed
    allowed -= 1
    if allowed < 0:
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return fork()

os.fork = few
"""


@pytest.mark.parametrize("forks", [0, 1])
def test_where_no_more_processes_can_be_started_the_workers_that_are_there_do_it(
    forks: int, journal: MemoryCarrier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(FORKS)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("FORKS", str(forks))

    @flow(runner=ProcessRunner(max_workers=3))
    def main() -> list[int]:
        return [future.result() for future in [pid.submit() for _ in range(6)]]

    if forks:
        assert len(set(main())) == 1
        return
    with pytest.raises(WorkerDied, match="can't be started: Resource temporarily unavailable"):
        main()
    assert {one.state for one in journal.records(TaskEnded)} == {"Crashed"}


def test_a_task_whose_worker_died_is_tried_again(journal: MemoryCarrier, tmp_path: Path) -> None:
    before, after, value, state = one_worker(place=tmp_path / "died", retries=1)
    assert (value, state) == (7, "Completed")
    assert before != after
    (waits, again) = journal.records(TaskState)
    assert (waits.state, again.state) == ("AwaitingRetry", "Running")
    assert waits.error is not None
    assert waits.error.type == "WorkerDied"


def test_a_worker_that_was_killed_while_idle_is_replaced(journal: MemoryCarrier) -> None:
    @flow(runner=ProcessRunner(max_workers=1))
    def main() -> Any:
        first = pid.submit().result()
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: not is_alive(first))
        return first, pid.submit().result()

    first, second = main()
    assert first != second


def test_what_starts_workers_is_started_again_when_it_was_killed(journal: MemoryCarrier) -> None:
    @task(retries=1)
    def both() -> tuple[int, int]:
        return os.getpid(), os.getppid()

    @flow(runner=ProcessRunner(max_workers=1))
    def main() -> tuple[int, int]:
        worker, first = both.submit().result()
        for one in (worker, first):
            os.kill(one, signal.SIGKILL)
        wait_until(lambda: not is_alive(worker))
        return first, both.submit().result()[1]

    first, second = main()
    assert first != second
    assert {one.state for one in journal.records(TaskEnded)} == {"Completed"}


def test_nested_tasks_and_subflows_of_a_worker_that_died_are_crashed(journal: MemoryCarrier) -> None:
    @flow
    def inner() -> None:
        die()

    @task
    def outer() -> None:
        inner()

    @flow(runner=ProcessRunner(max_workers=1))
    def main() -> str:
        future = outer.submit()
        future.wait()
        return future.state.value

    assert main() == "Crashed"
    assert {one.task: one.state for one in journal.records(TaskEnded)} == {"die": "Crashed", "outer": "Crashed"}
    assert {one.flow: one.state for one in journal.records(RunEnded)} == {"inner": "Crashed", "main": "Completed"}


@flow
def small(number: int) -> int:
    return number


@task
def begin(number: int) -> int:
    return small(number)


@task
def all_at_once() -> list[int]:
    sent, asked = Wire.send, []

    def slow(self: Wire, kind: Kind, data: bytes = b"", number: int = 0) -> None:
        # The first question is late on its way: another thread's may be there before it.
        if kind == Kind.ASK:
            asked.append(number)
            if len(asked) % 2:
                time.sleep(0.05)
        sent(self, kind, data, number)

    Wire.send = slow  # type: ignore[method-assign]
    try:
        return [future.result() for future in begin.map(range(8))]
    finally:
        Wire.send = sent  # type: ignore[method-assign]


def test_threads_of_a_worker_may_ask_at_once(journal: MemoryCarrier) -> None:
    @flow(runner=ProcessRunner(max_workers=1))
    def asking() -> list[int]:
        return all_at_once.submit().result()

    # A question that waited for the one behind it would be given up, and its task fail.
    assert asking() == list(range(8))


def test_a_timeout_is_enforced_by_killing(journal: MemoryCarrier) -> None:
    @flow(runner=ProcessRunner(max_workers=1))
    def main() -> Any:
        first = pid.submit().result()
        late = sleep.with_options(timeout=0.2).submit(60)
        error = late.result(raise_on_failure=False)
        return first, error, late.state.value, pid.submit().result()

    began = time.monotonic()
    first, error, state, second = main()
    assert time.monotonic() - began < 20
    assert isinstance(error, TimeLimitExceeded)
    assert "'sleep' took longer than 0.2 s" in error.message
    assert state == "TimedOut"
    assert first != second
    assert not is_alive(first)


def test_the_timeout_of_a_coroutine_cancels_it_and_leaves_its_worker(journal: MemoryCarrier) -> None:
    @flow(runner=ProcessRunner(max_workers=1))
    def main() -> Any:
        first = pid.submit().result()
        late = sleep_async.with_options(timeout=0.1).submit(60)
        error = late.result(raise_on_failure=False)
        return first == pid.submit().result(), type(error), late.state.value

    assert main() == (True, TimeLimitExceeded, "TimedOut")


@task
def stubborn(place: Path) -> None:
    place.touch()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            time.sleep(1)
        except BaseException:  # noqa: BLE001 - it does not want to stop
            continue


@task
def cleans_up(place: Path) -> None:
    try:
        place.touch()
        time.sleep(60)
    finally:
        place.with_suffix(".cleaned").touch()


@task
async def cleans_up_async(place: Path) -> None:
    try:
        place.touch()
        await asyncio.sleep(60)
    finally:
        place.with_suffix(".cleaned").touch()


@pytest.mark.parametrize("slow", [cleans_up, cleans_up_async])
def test_cancellation_interrupts_a_worker_which_cleans_up(slow: Any, journal: MemoryCarrier, tmp_path: Path) -> None:
    place = tmp_path / "began"

    @flow(runner=ProcessRunner(max_workers=1))
    def main() -> None:
        slow.submit(place)
        wait_until(place.exists)
        raise Cancelled("enough")

    began = time.monotonic()
    with pytest.raises(Cancelled):
        main()
    assert time.monotonic() - began < 8
    assert place.with_suffix(".cleaned").exists()
    assert [one.state for one in journal.records(TaskEnded)] == ["Cancelled"]
    assert journal.records(RunEnded)[0].state == "Cancelled"


def test_a_worker_that_does_not_stop_is_killed(
    journal: MemoryCarrier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headwater.core.runners import remote

    monkeypatch.setattr(remote, "PATIENCE", 0.3)
    place = tmp_path / "began"

    @flow(runner=ProcessRunner(max_workers=1))
    def main() -> None:
        stubborn.submit(place)
        wait_until(place.exists)
        raise Cancelled("enough")

    began = time.monotonic()
    with pytest.raises(Cancelled):
        main()
    assert time.monotonic() - began < 8
    assert [one.state for one in journal.records(TaskEnded)] == ["Cancelled"]


def test_spawned_workers_do_the_same(journal: MemoryCarrier) -> None:
    @flow(runner=ProcessRunner(max_workers=1, start="spawn"))
    def main() -> Any:
        return pid.submit().result(), die.submit().result(raise_on_failure=False)

    first, error = main()
    assert first != os.getpid()
    assert isinstance(error, WorkerDied)


def test_workers_are_kept_in_a_with_block(journal: MemoryCarrier, tmp_path: Path) -> None:
    with ProcessRunner(max_workers=2) as runner:

        @flow(runner=runner)
        def main(place: Path) -> set[int]:
            return set(meet.map([place, place], 2).result())

        (tmp_path / "two").mkdir()
        (tmp_path / "three").mkdir()
        first = main(tmp_path / "two")
        assert first == main(tmp_path / "three")
        assert all(map(is_alive, first))
    assert not any(map(is_alive, first))


def test_a_forked_child_of_the_flow_leaves_the_workers_alone(journal: MemoryCarrier) -> None:
    @flow(runner=ProcessRunner(max_workers=1))
    def main() -> tuple[int, int, int]:
        first = pid.submit().result()
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        return first, pid.submit().result(), child

    first, second, _ = main()
    assert first == second


SCRIPT = """
import os, sys, time
from pathlib import Path
from headwater import flow, task

print("main runs", flush=True)
FACTOR = 3

class Answer:
    def __init__(self, value):
        self.value = value

@task
def times(number):
    return Answer(FACTOR * number)

@task
def wait(place, number):
    (place / f"{os.getpid()}.pid").touch()
    time.sleep(60)

@flow(runner="processes", max_workers=2)
def main(place):
    answer = times.submit(4).result()
    print("answer", answer.value, type(answer) is Answer, flush=True)
    if place is not None:
        wait.map([Path(place)] * 2, [1, 2])

main(sys.argv[1] if len(sys.argv) > 1 else None)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "pids").mkdir()
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(SCRIPT))
    return path


def start(script: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(script), *arguments],
        cwd=script.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def workers_of(script: Path) -> list[int]:
    return [int(one.stem) for one in (script.parent / "pids").iterdir()]


def test_a_script_needs_no_main_guard(script: Path) -> None:
    with start(script) as process:
        said, _ = process.communicate(timeout=60)
    assert said.splitlines() == ["main runs", "answer 12 True"]
    assert process.returncode == 0


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_of_workers_when_their_coordinator_ends(script: Path, signum: int) -> None:
    with start(script, str(script.parent / "pids")) as process:
        wait_until(lambda: len(workers_of(script)) == 2, "both tasks run")
        workers = workers_of(script)
        assert all(map(is_alive, workers))
        if signum == signal.SIGINT:
            os.killpg(process.pid, signum)  # as a terminal does
        else:
            process.send_signal(signum)
        began = time.monotonic()
        wait_until(lambda: not any(map(is_alive, workers)), "the workers are gone")
        assert time.monotonic() - began < 8
        said, _ = process.communicate(timeout=60)
    assert process.returncode == -signum if signum != signal.SIGTERM else process.returncode == 143
    if signum == signal.SIGINT:
        assert said.count("KeyboardInterrupt") == 1


def test_a_lost_remote_worker_is_tried_again_and_its_lost_try_is_settled(journal: MemoryCarrier) -> None:
    @task
    def nested() -> int:
        return 1

    @task(retries=1)
    def outer() -> int:
        return nested()

    runner = FakeRemoteRunner(loses=frozenset({0}), loses_after=2)

    @flow(runner=runner)
    def main() -> int:
        return outer.submit().result()

    assert main() == 1
    assert sorted(one.state for one in journal.records(TaskEnded) if one.task == "nested") == ["Completed", "Crashed"]
    (ended,) = [one for one in journal.records(TaskEnded) if one.task == "outer"]
    assert (ended.state, ended.tries) == ("Completed", 2)
    assert len(runner.payloads) == 2
