"""Ctrl-C and SIGTERM as a user meets them: real processes that write what they record to a file."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headwater import flow, task
from headwater.core.context import current
from headwater.errors import Cancelled

PREAMBLE = """
import asyncio, dataclasses, json, os, signal, sys, threading, time
from pathlib import Path
from headwater.core import runtime
from headwater.core.flow import flow
from headwater.core.runs import open_run
from headwater.core.task import task
from headwater.core.futures import *
from headwater.core.context import current

class Project:
    project, root = "shop", Path.cwd()
    def __init__(self):
        self.journal, self.file = self, os.open("journal.ndjson", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    def append(self, *bodies):
        for body in bodies:
            line = json.dumps({"kind": body.kind, **dataclasses.asdict(body)}) + "\\n"
            os.write(self.file, line.encode())
    def run_ended(self):
        say("run_ended")

def say(word):
    os.write(1, (word + "\\n").encode())

def hang(seconds=30):
    # In small steps, as a loop of a user's own does it.
    for _ in range(int(seconds * 100)):
        time.sleep(0.01)

@task
def hangs():
    say("ready")
    hang()

runtime.register(Project)
"""


@dataclass
class Script:
    process: subprocess.Popen[str]
    folder: Path

    def ready(self, word: str = "ready") -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == word:
                return
        pytest.fail(f"the script ended before it said {word}: {self.process.communicate()[1]}")

    def signal(self, signum: int) -> None:
        self.process.send_signal(signum)

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err

    def stopped(self) -> float:
        """Seconds that it took to end when it got SIGTERM."""
        self.ready()
        began = time.monotonic()
        self.signal(signal.SIGTERM)
        assert self.end()[0] == 143
        return time.monotonic() - began

    def journal(self, kind: str) -> list[dict[str, Any]]:
        lines = (self.folder / "journal.ndjson").read_text().splitlines()
        return [body for body in map(json.loads, lines) if body["kind"] == kind]

    def states(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for body in self.journal("task.ended"):
            found.setdefault(body["task"], []).append(body["state"])
        return found

    def run_state(self) -> str:
        (ended,) = self.journal("run.ended")
        state: str = ended["state"]
        return state


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Any]:
    running: list[subprocess.Popen[str]] = []

    def start(body: str) -> Script:
        path = tmp_path / "script.py"
        path.write_text(PREAMBLE + body)
        process = subprocess.Popen(
            [sys.executable, "-W", "error", str(path)],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        running.append(process)
        return Script(process, tmp_path)

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


SYNC = """
@flow
def main():
    {body}
main()
"""

BODIES = {
    "in a task": "hangs()",
    "waiting for a future": "hangs.submit().result()",
    "at the end of the flow": "hangs.submit()",
    "in as_completed": "list(as_completed([hangs.submit()]))",
    "in wait": "wait([hangs.submit()])",
}


@pytest.mark.parametrize("where", BODIES)
def test_ctrl_c_cancels_run_and_tasks_and_goes_on_as_usual(script: Any, where: str) -> None:
    if "future" in where or "end" in where or "wait" in where or "completed" in where:
        # The thread sees it at its next boundary: here when its function returns.
        body = "hangs = task(quick)\n    " + BODIES[where]
    else:
        body = BODIES[where]
    running = script(
        "def quick():\n    say('ready')\n    hang(0.3)\nquick.__name__ = 'hangs'\n" + SYNC.format(body=body)
    )
    running.ready()
    running.signal(signal.SIGINT)
    code, out, err = running.end()
    assert code == -signal.SIGINT
    assert "KeyboardInterrupt" in err
    assert running.run_state() == "Cancelled"
    assert running.states() == {"hangs": ["Cancelled"]}
    assert "run_ended" in out


def test_sigterm_ends_quietly_with_143_after_everything_is_recorded(script: Any) -> None:
    running = script("import atexit\natexit.register(say, 'atexit')\n" + SYNC.format(body="hangs()"))
    running.ready()
    running.signal(signal.SIGTERM)
    code, out, err = running.end()
    assert (code, err) == (143, "")
    assert running.run_state() == "Cancelled"
    assert running.states() == {"hangs": ["Cancelled"]}
    assert running.journal("run.ended")[0]["error"]["message"] == "stopped by SIGTERM"
    assert out.split() == ["run_ended", "atexit"]


def test_sigterm_is_cancelled_for_who_wants_to_see_it(script: Any) -> None:
    running = script(
        """
from headwater.errors import Cancelled
before = signal.getsignal(signal.SIGTERM)
@flow
def main():
    try:
        hangs()
    except Exception:
        say("swallowed")
try:
    main()
except Cancelled as error:
    say("caught")
say("restored" if signal.getsignal(signal.SIGTERM) is before else "left behind")
"""
    )
    running.ready()
    running.signal(signal.SIGTERM)
    code, out, _ = running.end()
    assert (code, out.split()) == (0, ["run_ended", "caught", "restored"])


MARKED = """
go = threading.Event()

@task
def waits():
    go.wait()

@flow
def main():
    future, wait = waits.submit(), TaskFuture.wait
    def a_moment_later(*arguments):
        # The signal comes within `result`, and what it stops has ended before that goes on.
        os.kill(os.getpid(), SIGNUM)
        go.set()
        while not future.done():
            time.sleep(0.01)
        return wait(*arguments)
    TaskFuture.wait = a_moment_later
    future.result()
main()
"""


@pytest.mark.parametrize(("signum", "ends"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)])
def test_a_signal_is_no_error_of_the_task_that_it_stopped_first(script: Any, signum: int, ends: int) -> None:
    code, _, err = script(MARKED.replace("SIGNUM", str(int(signum)))).end()
    assert code == ends
    assert "Cancelled" not in err


def test_a_users_own_handler_hears_of_the_signal_afterwards(script: Any) -> None:
    running = script(
        "def mine(signum, frame):\n    say('mine')\n    sys.exit(7)\nsignal.signal(signal.SIGTERM, mine)\n"
        + SYNC.format(body="hangs()")
    )
    running.ready()
    running.signal(signal.SIGTERM)
    code, out, _ = running.end()
    assert code == 7
    assert running.run_state() == "Cancelled"
    assert "mine" in out


def test_sleeping_retries_wake_up(script: Any) -> None:
    running = script(
        """
@task(retries=3, retry_delay=60)
def flaky():
    say("ready")
    raise ValueError("no")
@flow
def main():
    flaky.map([1, 2]) if False else [flaky.submit(), flaky.submit()]
main()
"""
    )
    running.ready()
    running.ready()
    time_limit = time.monotonic() + 10
    while len(running.journal("task.state")) < 2:
        assert time.monotonic() < time_limit
    running.signal(signal.SIGTERM)
    code, _, err = running.end()
    assert (code, err) == (143, "")
    assert running.states() == {"flaky": ["Cancelled", "Cancelled"]}


def test_tasks_that_have_not_started_do_not_start(script: Any) -> None:
    running = script(
        """
@task
def quick(number):
    say("ready")
    hang(0.2)
@flow(max_workers=2)
def main():
    quick.map(range(50))
main()
"""
    )
    running.ready()
    running.signal(signal.SIGTERM)
    assert running.end()[0] == 143
    assert 1 <= len(running.journal("task.started")) <= 4
    assert set(running.states()["quick"]) == {"Cancelled"}
    assert len(running.journal("task.started")) == len(running.journal("task.ended"))


def test_a_second_signal_does_not_wait_for_threads(script: Any) -> None:
    running = script(SYNC.format(body="hangs.submit()"))
    running.ready()
    running.signal(signal.SIGTERM)
    began = time.monotonic()
    while running.process.poll() is None:
        running.signal(signal.SIGTERM)
        try:
            running.process.wait(0.1)
        except subprocess.TimeoutExpired:
            assert time.monotonic() - began < 5
    assert running.process.returncode in (143, -signal.SIGTERM)
    assert running.run_state() == "Cancelled"
    assert running.states() == {"hangs": ["Cancelled"]}


LEVELS = """
from headwater import transaction
from headwater.core import drivers

drivers.PATIENCE = 2.0

@flow{options}
def inner():
    with transaction():
        hangs.submit()

@flow
def middle():
    inner()

@flow
def main():
    middle()
main()
"""


@pytest.mark.parametrize("options", ["", '(runner="threads")'])
def test_subflows_and_transactions_wait_together_for_threads_that_do_not_stop(script: Any, options: str) -> None:
    running = script(LEVELS.format(options=options))
    # And not two seconds for each, nor as long as the thread goes on, which a runner of the subflow's own would be joined for.
    assert running.stopped() < 5
    assert {body["state"] for body in running.journal("run.ended")} == {"Cancelled"}
    assert running.states() == {"hangs": ["Cancelled"]}


WAITS = """
from headwater import transaction
from headwater.core import drivers

drivers.PATIENCE = 3.0

def undo(txn):
    Path("undone").touch()

@task(on_rollback=undo)
def step():
    pass

@flow
def inner():
    {waits}

@task
def outer():
    with transaction():
        step()
        inner()

@flow
def main():
    outer.submit()
    time.sleep(60)
main()
"""


@pytest.mark.parametrize(
    "waits",
    [
        "hangs.submit().result()",
        "hangs.submit().wait(40)",
        "list(as_completed([hangs.submit()]))",
        "hangs.submit()",
        "with transaction(): hangs.submit()",
    ],
)
def test_who_waits_in_a_thread_hears_of_the_stop_and_takes_back_what_was_done(script: Any, waits: str) -> None:
    running = script(WAITS.format(waits=waits))
    assert running.stopped() < 6
    assert (running.folder / "undone").exists()
    assert {(body["flow"], body["state"]) for body in running.journal("run.ended")} == {
        ("main", "Cancelled"),
        ("inner", "Cancelled"),
    }
    states = running.states()
    assert (states["outer"], states["hangs"], states["step"][-1]) == (["Cancelled"], ["Cancelled"], "RolledBack")


def test_a_wait_of_a_thread_is_woken_when_its_run_is_stopped(project: Any) -> None:
    """At once, though what it waits for goes on for a while."""
    free, heard = threading.Event(), threading.Event()

    @task
    def busy() -> None:
        free.wait(20)

    @task
    def waits(known: list[Any]) -> None:
        try:
            known[0]().result()
        finally:
            heard.set()

    @flow
    def main() -> None:
        future = busy.submit()
        waiting = waits.submit([lambda: future])
        while waiting.state.value != "Running":
            time.sleep(0.01)
        run = current()
        assert run is not None
        threading.Timer(0.2, run.cancelled.set).start()
        assert heard.wait(10)
        free.set()

    with pytest.raises(Cancelled):
        main()


ASYNC = """
@task
async def sleeps():
    say("ready")
    await asyncio.sleep(30)
@flow
async def main():
    {body}
asyncio.run(main())
"""


@pytest.mark.parametrize("body", ["await sleeps()", "sleeps.submit()", "await sleeps.submit()"])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_async_flows_end_the_same_way(script: Any, body: str, signum: int) -> None:
    running = script(ASYNC.format(body=body))
    running.ready()
    running.signal(signum)
    code, out, err = running.end()
    if signum == signal.SIGTERM:
        assert (code, err) == (143, "")
    else:
        assert code == -signal.SIGINT
        assert "KeyboardInterrupt" in err
    assert running.run_state() == "Cancelled"
    assert running.states() == {"sleeps": ["Cancelled"]}
    assert "run_ended" in out


def test_async_tasks_in_threads_are_stopped_at_their_await(script: Any) -> None:
    running = script(
        """
@task
async def sleeps():
    say("ready")
    await asyncio.sleep(30)
@flow
def main():
    sleeps.submit().result()
main()
"""
    )
    running.ready()
    running.signal(signal.SIGTERM)
    code, _, err = running.end()
    assert (code, err) == (143, "")
    assert running.states() == {"sleeps": ["Cancelled"]}


def test_open_run_and_its_threads_end_as_well(script: Any) -> None:
    running = script(
        """
from concurrent.futures import ThreadPoolExecutor
@task
def quick():
    say("ready")
    while not current().cancelled.is_set():
        time.sleep(0.01)
with open_run(flow="backfill", type="backfill") as context:
    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(context.run_in, quick) for _ in range(2)]:
            future.result()
"""
    )
    running.ready()
    running.ready()
    running.signal(signal.SIGTERM)
    code, _, err = running.end()
    assert (code, err) == (143, "")
    assert running.run_state() == "Cancelled"
    assert running.states() == {"quick": ["Cancelled", "Cancelled"]}


def test_no_event_is_lost_or_doubled_whenever_the_signal_comes(script: Any) -> None:
    # A flow that does nothing but short calls: the signal meets the engine itself most of the time.
    running = script(
        """
@task
def nothing(): pass
@flow
def main():
    say("ready")
    while True:
        nothing()
main()
"""
    )
    running.ready()
    enough, limit = 5_000 + os.getpid() % 1_000, time.monotonic() + 10
    while (running.folder / "journal.ndjson").stat().st_size < enough:
        assert time.monotonic() < limit
    running.signal(signal.SIGTERM)
    code, _, err = running.end()
    assert (code, err) == (143, "")
    started = [body["task_run_id"] for body in running.journal("task.started")]
    ended = [body["task_run_id"] for body in running.journal("task.ended")]
    assert started == ended
    assert running.run_state() == "Cancelled"


def test_runs_outside_the_main_thread_leave_signals_alone(project: Any) -> None:
    import threading

    from headwater.core.task import task

    seen: list[Any] = []

    @task
    def looks() -> None:
        seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=looks)
    thread.start()
    thread.join()
    looks()
    assert seen[0] is before
    assert seen[1] is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_that_ends_in_another_thread_gives_the_signals_back_all_the_same(project: Any) -> None:
    @flow
    def numbers() -> Iterator[int]:
        yield 1
        yield 2

    @flow
    def main() -> int:
        return 1

    def left() -> None:
        reader = numbers()
        assert next(reader) == 1
        ends = threading.Thread(target=reader.close)
        ends.start()
        ends.join()

    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda signum, frame: heard.append(signum))
    try:
        left()
        signal.raise_signal(signal.SIGTERM)
        assert heard == [signal.SIGTERM]
        mine = signal.getsignal(signal.SIGTERM)
        left()
        assert main() == 1
        assert signal.getsignal(signal.SIGTERM) is mine
        assert [one.state for one in project.all("run.ended")] == ["Completed"] * 3
    finally:
        signal.signal(signal.SIGTERM, before)


@task
async def never() -> None:
    await asyncio.Event().wait()


@flow
async def never_ends() -> None:
    await never()


def closed_in_the_middle() -> asyncio.Task[None]:
    """The asyncio task of a flow whose event loop was closed while it waited."""
    loop = asyncio.new_event_loop()
    left = loop.create_task(never_ends())
    loop.call_later(0.05, loop.stop)
    loop.run_forever()
    loop.close()
    left._log_destroy_pending = False  # type: ignore[attr-defined]
    return left


def test_a_run_whose_event_loop_was_closed_ends_when_nobody_waits_for_it_any_more(project: Any) -> None:
    before = signal.getsignal(signal.SIGTERM)
    closed_in_the_middle()
    gc.collect()
    assert [one.state for one in project.all("run.ended")] == ["Cancelled"]
    assert project.states() == {"never": ["Cancelled"]}
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_flow_lives_as_long_as_its_event_loop_though_nobody_holds_its_task(project: Any) -> None:
    waiting: weakref.WeakSet[asyncio.Future[None]] = weakref.WeakSet()

    @flow
    async def waits() -> None:
        future = asyncio.get_running_loop().create_future()
        waiting.add(future)
        await future

    async def main() -> None:
        asyncio.ensure_future(waits())  # noqa: RUF006 - that nobody holds it is what this is about
        await asyncio.sleep(0.01)
        gc.collect()
        for future in waiting:
            future.set_result(None)
        await asyncio.sleep(0.01)

    asyncio.run(main())
    assert [one.state for one in project.all("run.ended")] == ["Completed"]


def test_a_run_whose_event_loop_was_closed_keeps_no_signal_from_others(project: Any) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        left = closed_in_the_middle()
        signal.raise_signal(signal.SIGTERM)
        assert heard == [signal.SIGTERM]
        del left
        gc.collect()
    finally:
        signal.signal(signal.SIGTERM, before)
