"""`once=True`: of calls that need the same result at the same time one computes it, in threads, coroutines and processes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headwater import INPUTS, SOURCE, flow, task, transaction
from headwater.core import runtime
from headwater.core.events import TaskCache
from headwater.project import Project
from headwater.testing import MemoryCarrier
from headwater.testing import project as project_of

ONCE = INPUTS + SOURCE - "calls"


@pytest.fixture
def carrier() -> Iterator[MemoryCarrier]:
    found = MemoryCarrier()
    with project_of(carrier=found, in_memory=True):
        yield found


def verdicts(carrier: MemoryCarrier) -> list[str]:
    return sorted(event.record(TaskCache).verdict for event in carrier.events if event.kind == "task.cache")


def test_threads_that_need_it_at_once_compute_it_once(carrier: MemoryCarrier) -> None:
    calls: list[int] = []
    all_there = threading.Event()

    @task(cache=ONCE - "all_there", once=True)
    def slow(number: int) -> int:
        calls.append(number)
        all_there.wait(20)
        return number * 2

    @flow(max_workers=4)
    def main() -> list[int]:
        futures = [slow.submit(at % 2) for at in range(8)]
        _until(lambda: len(calls) == 2)
        all_there.set()
        return [one.result() for one in futures]

    assert main() == [0, 2] * 4
    assert sorted(calls) == [0, 1]
    assert verdicts(carrier) == ["hit"] * 6 + ["miss"] * 2


def _until(true: Any) -> None:
    waited = threading.Event()
    for _ in range(2_000):
        if true():
            return
        waited.wait(0.01)
    raise AssertionError("it did not come to that")


def test_coroutines_wait_without_blocking_their_loop(carrier: MemoryCarrier) -> None:
    calls: list[int] = []

    async def main_body() -> tuple[list[int], bool]:
        go, beats = asyncio.Event(), 0

        @task(cache=ONCE - "go", once=True)
        async def slow() -> int:
            calls.append(1)
            await go.wait()
            return 7

        @flow
        async def main() -> list[int]:
            nonlocal beats
            futures = [slow.submit() for _ in range(5)]
            while beats < 20:
                # The loop goes on while four of them wait for the first.
                await asyncio.sleep(0.001)
                beats += 1
            go.set()
            return [await one for one in futures]

        return await main(), beats == 20

    assert asyncio.run(main_body()) == ([7] * 5, True)
    assert calls == [1]
    assert verdicts(carrier) == ["hit"] * 4 + ["miss"]
    waits = [event.body["limit"] for event in carrier.events if event.body.get("state") == "AwaitingSlot"]
    assert waits == ["cache:slow"] * 4


def test_when_the_one_that_computes_fails_the_next_one_computes(carrier: MemoryCarrier) -> None:
    calls: list[int] = []

    @task(cache=ONCE, once=True)
    def shaky() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("the first one fails")
        return 7

    @flow(max_workers=3)
    def main() -> list[Any]:
        futures = [shaky.submit() for _ in range(3)]
        return [one.result(raise_on_failure=False) for one in futures]

    found = main()
    assert [one for one in found if one == 7] == [7, 7]
    assert len(calls) == 2
    assert verdicts(carrier) == ["hit", "miss", "miss"]


def test_calls_in_one_transaction_compute_it_once(carrier: MemoryCarrier) -> None:
    calls: list[int] = []
    undone: list[int] = []

    @task(cache=ONCE, once=True, on_rollback=lambda outcome: undone.append(outcome.result))
    def slow(number: int) -> int:
        calls.append(number)
        return number * 2

    @flow(max_workers=4)
    def main(fails: bool) -> list[int]:
        with transaction() as txn:
            with transaction():
                found = [slow(1), slow(1)]
            found += [one.result() for one in [slow.submit(at % 2) for at in range(8)]]
            if fails:
                txn.rollback("no")
        return found

    assert main(True) == main(False) == main(True) == [2, 2] + [0, 2] * 4
    # What the first run made was taken back, once each, and nobody goes by it.
    assert sorted(calls) == [0, 0, 1, 1]
    assert sorted(undone) == [0, 2]
    assert verdicts(carrier) == ["hit"] * 26 + ["miss"] * 4


def test_a_call_within_itself_does_not_wait_for_itself(carrier: MemoryCarrier) -> None:
    calls: list[int] = []

    @task(cache=INPUTS - "nested", once=True)
    def between() -> int:
        return nested() + 1

    @task(cache=ONCE - "between" - "nested", once=True)
    def nested() -> int:
        calls.append(1)
        return [between, nested, lambda: 1][len(calls) - 1]()

    assert nested() == 2
    assert len(calls) == 3


def test_without_it_nobody_waits_for_somebody_else(carrier: MemoryCarrier) -> None:
    both = threading.Barrier(2)

    @task(cache=INPUTS - "both")
    def slow() -> int:
        both.wait(10)
        return 7

    @flow
    def main() -> list[int]:
        return [one.result() for one in [slow.submit(), slow.submit()]]

    assert main() == [7, 7]


def test_a_run_that_is_asked_to_stop_does_not_wait_on(carrier: MemoryCarrier) -> None:
    started, go = threading.Event(), threading.Event()

    @task(cache=INPUTS + SOURCE - "started" - "go", once=True)
    def slow() -> int:
        started.set()
        go.wait(20)
        return 1

    def holder() -> None:
        slow()

    thread = threading.Thread(target=holder)
    thread.start()
    assert started.wait(20)

    @flow
    def main() -> None:
        run = runtime.current() and _run()
        threading.Timer(0.05, run.cancelled.set).start()
        slow()

    def _run() -> Any:
        from headwater.core.context import current

        context = current()
        assert context is not None
        return context.run

    with pytest.raises(BaseException, match=r"stop|cancel"):
        main()
    go.set()
    thread.join()
    ends = [event.body["state"] for event in carrier.events if event.kind == "task.ended"]
    assert sorted(ends) == ["Cancelled", "Completed"]


SCRIPT = """
import pathlib, sys, time
from headwater import task

@task(once=True)
def slow(number: int) -> dict:
    with open("calls", "a") as file:
        file.write("x")
    deadline = time.monotonic() + 20
    while len(list(pathlib.Path().glob("ready-*"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    return {"twice": number * 2}

pathlib.Path(f"ready-{sys.argv[1]}").touch()
print(slow(21))
"""


def test_processes_that_need_it_at_once_compute_it_once(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SCRIPT)
    started = [
        subprocess.Popen([sys.executable, "slow.py", str(at)], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for at in range(3)
    ]
    assert [one.communicate(timeout=60)[0] for one in started] == ["{'twice': 42}\n"] * 3
    assert (tmp_path / "calls").read_text() == "x"
    found = Project.open(tmp_path, create=False)
    kinds = [
        row
        for _, rows in [found.reader.sql("SELECT state, count(*) FROM task_runs GROUP BY 1 ORDER BY 1")]
        for row in rows
    ]
    assert kinds == [("Cached", 2), ("Completed", 1)]
