"""Limits among processes: never over, fair, freed by death, not held by forked children; and what `headwater limits` shows."""

from __future__ import annotations

import json
import os
import signal
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from concurrency_cases import Peak, expect, finish, free, kill, start, until

from headwater import concurrency, flow, rate_limit, task, try_rate_limit
from headwater.core.gates import _registry
from headwater.project import Project
from headwater.testing import project

HOLDS = """
with concurrency("warehouse", 1):
    say("holds")
    sys.stdin.readline()
"""


WARM = """
with concurrency("warm", 1):
    pass
@flow
def warm():
    with concurrency("warm", 1):
        pass
warm()
"""
"""What is imported by the first run is no place for a signal."""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Project]:
    with project(tmp_path) as found:
        yield found
        assert free(found)


def test_processes_share_a_limit(shop: Project) -> None:
    # A lost update of this unprotected counter would be two in the block at once.
    counter = shop.root / "counter"
    counter.write_text("0")
    script = """
    from pathlib import Path
    counter = Path("counter")
    @task(limits={"warehouse": 1})
    async def add():
        number = int(counter.read_text())
        await asyncio.sleep(0.001)
        counter.write_text(str(number + 1))
    @flow
    async def nightly():
        for future in [add.submit() for _ in range(20)]:
            await future
    asyncio.run(nightly())
    """
    for process in [start(shop, script) for _ in range(3)]:
        finish(process)
    assert counter.read_text() == "60"


def test_a_process_with_many_who_wait_leaves_room_for_another(shop: Project) -> None:
    script = """
    with concurrency("warehouse", 1):
        say(time.monotonic_ns())
    """
    turns: list[int] = []
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            with concurrency("warehouse", 1):
                turns.append(1)

    with concurrency("warehouse", 1):
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        other = start(shop, script)
        until(lambda: shop.locks.waiting("limit:warehouse", elsewhere=True) == 1)
        before = len(turns)
    # Eight threads here come back again and again, and still it gets its turn.
    assert finish(other)
    until(lambda: len(turns) > before + 8)
    stop.set()
    for thread in threads:
        thread.join(30)


@pytest.mark.parametrize("fate", ["SIGKILL", "SIGINT"])
def test_whatever_ends_a_holder_or_a_waiter_frees_what_it_had(shop: Project, fate: str) -> None:
    script = """
    @task(limits={"warehouse": 1})
    def load():
        say("holds")
        time.sleep(60)
    @flow
    def nightly():
        load()
    nightly()
    """
    holder = start(shop, script)
    expect(holder, "holds")
    waiter, last = start(shop, script), None
    until(lambda: shop.locks.waiting("limit:warehouse") == 1)
    last = start(shop, HOLDS)
    until(lambda: shop.locks.waiting("limit:warehouse") == 2)
    for process in (waiter, holder):
        process.send_signal(getattr(signal, fate))
        process.communicate(timeout=30)
        assert process.returncode != 0
    expect(last, "holds")
    assert [lock.pid for lock in shop.locks.seen()] == [last.pid]
    last.communicate("\n", timeout=30)
    states = sorted(run["state"] for run in shop.reader.runs()["runs"])
    assert states == ["Crashed" if fate == "SIGKILL" else "Cancelled"] * 2


def test_a_forked_child_holds_and_waits_for_nothing(shop: Project) -> None:
    with concurrency("warehouse", 2):
        child = os.fork()
        if child == 0:
            try:
                # Its parent's slot is not the child's: leaving the block must not free it, nor hand it to anybody.
                held = [lock.slot for lock in shop.locks.seen()]
                with concurrency("warehouse", 2, timeout=0):
                    both = [lock.pid == os.getpid() for lock in shop.locks.seen()]
                os._exit(0 if held == [0] and both == [False, True] else 1)
            except BaseException:  # noqa: BLE001 - the parent looks
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert [lock.slot for lock in shop.locks.seen()] == [0]
    assert _registry._gates == {}


def test_a_child_that_leaves_its_parents_block_frees_nothing(shop: Project) -> None:
    child = None
    try:
        with concurrency("warehouse", 1):
            child = os.fork()
            if child == 0:
                raise SystemExit
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert [lock.pid for lock in shop.locks.seen()] == [os.getpid()]
    finally:
        if child == 0:
            os._exit(0 if shop.locks.seen() else 1)


def test_ctrl_c_ends_a_wait_or_a_block_at_whatever_moment_it_comes(shop: Project) -> None:
    # Within a run a signal is only marked while Headwater's own code is at work: block and wait must see the mark.
    script = """
    caught = 0
    @task(limits={"free": 1})
    def load(name):
        with concurrency(name, 1):
            time.sleep(60)
    @flow
    def nightly(name):
        load(name)
    for number in range(24):
        name = "warehouse" if number % 2 else "other"
        timer = threading.Timer(0.001 + number % 12 * 0.0007, os.kill, (os.getpid(), signal.SIGINT))
        try:
            timer.start()
            nightly(name)
        except KeyboardInterrupt:
            caught += 1
        timer.join()
    say(caught)
    """
    with concurrency("warehouse", 1):
        assert finish(start(shop, WARM + textwrap.dedent(script)), timeout=60).split() == ["24"]


def cli(shop: Project, *arguments: str, **environment: str) -> str:
    script = f"import runpy; sys.argv = ['headwater', *{list(arguments)!r}]; runpy.run_module('headwater', run_name='__main__')"
    return finish(start(shop, script, **environment))


def test_the_command_shows_who_holds_and_how_many_wait(shop: Project) -> None:
    go, peak = threading.Event(), Peak()

    @task(limits={"warehouse": 2})
    def load(_: int) -> None:
        with peak:
            assert go.wait(60)

    @flow(max_runs=1)
    def nightly() -> None:
        futures = load.map(range(5))
        try:
            until(lambda: peak.now == 2)
            until(lambda: shop.locks.waiting("limit:warehouse") == 3)
            rate_limit("api", "2/hour")
            found.update(json.loads(cli(shop, "limits", "--json", HEADWATER_LIMITS="idle=4,warehouse=3")))
            texts.append(cli(shop, "limits"))
        finally:
            go.set()
            futures.wait()

    found: dict[str, list[dict[str, object]]] = {}
    texts: list[str] = []
    nightly()
    idle, warehouse, runs = found["limits"]
    assert idle == {"name": "idle", "kind": "limit", "slots": 4, "held": [], "waiting": 0}
    assert (warehouse["name"], warehouse["slots"], warehouse["waiting"]) == ("warehouse", 2, 3)
    held = warehouse["held"]
    assert isinstance(held, list)
    assert [(one["slot"], one["pid"], one["flow"], one["task"]) for one in held] == [
        (slot, os.getpid(), "nightly", "load") for slot in range(2)
    ]
    assert {one["run"] for one in held} == {shop.reader.runs()["runs"][0]["id"]}
    assert (runs["name"], runs["kind"], runs["slots"], runs["waiting"]) == ("nightly", "runs", 1, 0)
    assert found["rates"] == [{"name": "api", "rate": "2/hour", "used": 1, "waiting": 0}]
    assert "warehouse  limit  2 of 2" in texts[0]
    assert f"process {os.getpid()}" in texts[0]
    after = json.loads(cli(shop, "limits", "--json"))
    assert after["limits"] == []


def test_what_a_killed_process_left_is_not_shown_as_held(shop: Project) -> None:
    script = """
    with concurrency("warehouse", 2), concurrency("warehouse", 2):
        threading.Thread(target=lambda: concurrency("warehouse", 2).__enter__(), daemon=True).start()
        rate_limit("api", "1/hour")
        threading.Thread(target=rate_limit, args=("api", "1/hour"), daemon=True).start()
        say("holds")
        time.sleep(60)
    """
    process = start(shop, script)
    expect(process, "holds")
    until(lambda: shop.locks.waiting("limit:warehouse") == 1)
    until(lambda: "rate:api" in [lock.name for lock in shop.locks.seen()])
    kill(process)
    found = json.loads(cli(shop, "limits", "--json", HEADWATER_LIMITS="warehouse=2"))
    assert found["limits"] == [{"name": "warehouse", "kind": "limit", "slots": 2, "held": [], "waiting": 0}]
    assert [(one["used"], one["waiting"]) for one in found["rates"]] == [(1, 0)]
    assert not try_rate_limit("api", "1/hour")
    with concurrency("warehouse", 2, timeout=0), concurrency("warehouse", 2, timeout=0):
        pass


def test_without_limits_the_command_says_so(shop: Project) -> None:
    finish(start(shop, "flow(name='hello')(say)('hello')"))
    assert cli(shop, "limits").strip() == "no limits: none stands in the settings, and nobody holds one"


def test_tasks_that_run_in_worker_processes_hold_their_limits(shop: Project) -> None:
    script = """
    def stay(seconds=0.02):
        begun = time.monotonic()
        time.sleep(seconds)
        return begun, time.monotonic(), os.getpid()
    @task(limits={"warehouse": 1})
    def load(_):
        return stay()
    @task(limits={"warehouse": 1})
    async def load_async(_):
        return stay()
    @task
    def block(_):
        with concurrency("warehouse", 1):
            return stay()
    @flow(runner="processes", max_workers=3)
    def nightly():
        futures = [*load.map(range(2)), *load_async.map(range(2)), *block.map(range(2))]
        return sorted(future.result() for future in futures)
    if __name__ == "__main__":
        turns = nightly()
        assert os.getpid() not in {pid for _, _, pid in turns}
        say(all(one[1] <= other[0] for one, other in zip(turns, turns[1:])))
    """
    assert finish(start(shop, script)).strip() == "True"
