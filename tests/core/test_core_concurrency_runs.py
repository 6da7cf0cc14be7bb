"""How many runs of a flow there may be at once: who comes when there are as many waits, is skipped, or asks one to stop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from concurrency_cases import Peak, bodies, expect, finish, free, kill, start, until

from headwater import flow, task
from headwater.core.context import current
from headwater.core.journal.reader import Reader
from headwater.errors import Cancelled, DefinitionError, RunSkipped
from headwater.project import Project
from headwater.testing import project


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Project]:
    with project(tmp_path) as found:
        yield found
        assert free(found)


class Calls:
    """Calls of a flow in threads, and what came of each."""

    def __init__(self) -> None:
        self.came: dict[int, Any] = {}
        self._threads: list[threading.Thread] = []

    def start(self, fn: Any, number: int) -> None:
        def call() -> None:
            try:
                self.came[number] = fn(number)
            except BaseException as error:  # noqa: BLE001 - looked at
                self.came[number] = type(error)

        self._threads.append(threading.Thread(target=call))
        self._threads[-1].start()

    def end(self) -> dict[int, Any]:
        for thread in self._threads:
            thread.join(30)
        return dict(sorted(self.came.items()))


def states(shop: Project) -> list[str]:
    return [run["state"] for run in reversed(shop.reader.runs()["runs"])]


def test_runs_queue_and_are_shown_as_waiting(shop: Project) -> None:
    peak, calls, go = Peak(), Calls(), threading.Event()

    @flow(max_runs=1)
    def nightly(number: int) -> int:
        with peak:
            assert go.wait(20)
        return number

    calls.start(nightly, 0)
    until(lambda: peak.now == 1)
    calls.start(nightly, 1)
    until(lambda: states(shop) == ["Running", "AwaitingSlot"])
    assert bodies(shop, "run.state")[0]["limit"] == "runs:nightly"
    go.set()
    assert calls.end() == {0: 0, 1: 1}
    assert peak.most == 1
    assert [body["state"] for body in bodies(shop, "run.state")] == ["AwaitingSlot", "Running"]
    assert states(shop) == ["Completed", "Completed"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "b"), ("a:b", None)),
        (("a", "b:c"), ("a:b", "c")),
        (("a", 'b"'), ('"a:b"', None)),
        (("a:b", None), ('"a:b"', None)),
    ],
)
def test_a_run_key_of_a_flow_is_no_other_flow(shop: Project, one: Any, other: Any) -> None:
    calls, inside, go = Calls(), threading.Event(), threading.Event()

    def limited(name: str, key: str | None) -> Any:
        @flow(name=name, max_runs=1, when_full="skip", run_key=None if key is None else lambda number: key)
        def main(number: int) -> int:
            if number == 0:
                inside.set()
                assert go.wait(20)
            return number

        return main

    calls.start(limited(*one), 0)
    assert inside.wait(20)
    calls.start(limited(*other), 1)
    calls.start(limited(*one), 2)
    until(lambda: len(calls.came) == 2)
    go.set()
    assert calls.end() == {0: 0, 1: 1, 2: RunSkipped}


def test_a_run_begins_when_the_end_of_the_one_before_is_recorded(shop: Project) -> None:
    @task
    def slow() -> None:
        time.sleep(0.01)

    @flow(max_runs=1)
    async def nightly() -> None:
        slow.submit()

    async def main() -> None:
        await asyncio.gather(*(nightly() for _ in range(3)))

    asyncio.run(main())
    found = [
        (event.kind, event.body.get("state"))
        for event in Reader(shop.home).events()
        if event.kind in ("run.ended", "run.state") and event.body["state"] != "AwaitingSlot"
    ]
    assert found == [("run.ended", "Completed"), ("run.state", "Running")] * 2 + [("run.ended", "Completed")]


def test_a_run_is_skipped_and_says_why(shop: Project) -> None:
    calls, go, ran = Calls(), threading.Event(), []

    @flow(max_runs=2, when_full="skip")
    def nightly(number: int) -> int:
        ran.append(number)
        assert go.wait(20)
        return number

    for number in range(2):
        calls.start(nightly, number)
    until(lambda: len(ran) == 2)
    with pytest.raises(RunSkipped, match=r"'nightly' was skipped: .* at most 2 may at once") as error:
        nightly(2)
    assert error.value.exit_code == 3
    go.set()
    assert calls.end() == {0: 0, 1: 1}
    assert sorted(ran) == [0, 1]
    assert sorted(states(shop)) == ["Completed", "Completed", "Skipped"]
    assert "was skipped" in shop.reader.runs()["runs"][0]["error"]
    assert nightly(3) == 3


def test_an_older_run_of_this_process_is_asked_to_stop(shop: Project) -> None:
    calls, running = Calls(), threading.Event()

    @task
    def step() -> None:
        time.sleep(0.005)

    @flow(max_runs=1, when_full="cancel")
    def nightly(number: int) -> int:
        running.set()
        while number == 0:
            step()
        return number

    calls.start(nightly, 0)
    assert running.wait(20)
    assert nightly(1) == 1
    assert calls.end() == {0: Cancelled}
    assert states(shop) == ["Cancelled", "Completed"]
    (asked,) = bodies(shop, "run.cancel_requested")
    newest = shop.reader.runs()["runs"][0]["id"]
    assert asked["asked_by"] == f"run {newest}"


def test_a_run_of_another_process_is_asked_to_stop(shop: Project) -> None:
    script = """
    from headwater import flow
    @flow(max_runs=1, when_full="cancel", name="nightly")
    def nightly():
        say("runs")
        time.sleep(60)
    nightly()
    """
    older = start(shop, script)
    expect(older, "runs")

    @flow(max_runs=1, when_full="cancel")
    def nightly() -> str:
        return "done"

    assert nightly() == "done"
    older.communicate(timeout=30)
    assert older.returncode == 143
    assert states(shop) == ["Cancelled", "Completed"]


def test_the_death_of_a_process_lets_the_next_run_go_on(shop: Project) -> None:
    script = """
    @flow(max_runs=1, name="nightly")
    def nightly():
        say("runs")
        time.sleep(60)
    nightly()
    """
    processes = [start(shop, script)]
    expect(processes[0], "runs")
    processes.append(start(shop, script))
    until(lambda: shop.locks.waiting("runs:nightly") == 1)
    kill(processes[0])
    expect(processes[1], "runs")
    kill(processes[1])
    assert shop.locks.seen() == []
    assert sorted(states(shop)) == ["Crashed", "Crashed"]

    @flow(max_runs=1)
    def nightly() -> str:
        return "done"

    assert nightly() == "done"


def test_runs_are_told_apart_by_their_key(shop: Project) -> None:
    calls, peak, go = Calls(), Peak(), threading.Event()

    @flow(max_runs=1, when_full="skip", run_key=lambda number: number % 2)
    def nightly(number: int) -> int:
        with peak:
            assert go.wait(20)
        return number

    for number in range(2):
        calls.start(nightly, number)
        until(lambda number=number: peak.now == number + 1)  # type: ignore[misc]
    with pytest.raises(RunSkipped):
        nightly(2)
    go.set()
    assert calls.end() == {0: 0, 1: 1}
    assert peak.most == 2


def test_a_flow_that_calls_itself_waits_for_nobody(shop: Project) -> None:
    @flow(max_runs=1)
    def nightly(depth: int) -> int:
        return depth if depth == 0 else nightly(depth - 1)

    assert nightly(3) == 0


def test_a_flow_that_calls_itself_in_a_worker_process_waits_for_nobody(shop: Project) -> None:
    script = """
    @task
    def deeper(depth):
        return nightly(depth - 1)
    @flow(max_runs=1, runner="processes")
    def nightly(depth):
        return depth if depth == 0 else deeper.submit(depth).result()
    say(nightly(2))
    """
    assert finish(start(shop, script)) == "0\n"


def test_a_subflow_waits_for_another_run(shop: Project) -> None:
    peak = Peak()

    @flow(max_runs=1)
    def inner() -> None:
        with peak:
            time.sleep(0.005)

    @flow
    def outer(_: int) -> None:
        inner()

    calls = Calls()
    for number in range(4):
        calls.start(outer, number)
    calls.end()
    assert (peak.most, peak.turns) == (1, 4)


def test_a_run_that_waits_can_be_cancelled(shop: Project) -> None:
    calls, running, go = Calls(), threading.Event(), threading.Event()

    @flow(max_runs=1)
    def inner(number: int) -> None:
        running.set()
        assert go.wait(20)

    @flow
    def outer(number: int) -> None:
        context = current()
        assert context is not None
        threading.Timer(0.1, context.cancelled.set).start()
        inner(number)

    calls.start(inner, 0)
    assert running.wait(20)
    with pytest.raises(Cancelled):
        outer(1)
    go.set()
    calls.end()
    assert sorted(states(shop)) == ["Cancelled", "Cancelled", "Completed"]


def test_a_flow_may_need_limits_and_rates(shop: Project) -> None:
    peak, calls = Peak(), Calls()

    @flow(limits={"warehouse": 1}, rate="100/s")
    def nightly(number: int) -> int:
        with peak:
            time.sleep(0.005)
        return number

    for number in range(4):
        calls.start(nightly, number)
    assert calls.end() == {number: number for number in range(4)}
    assert peak.most == 1


def test_between_two_attempts_a_run_holds_nothing(shop: Project) -> None:
    tried, calls = threading.Event(), Calls()

    @flow(max_runs=1, retries=1, retry_delay=0.5)
    def nightly(number: int) -> int:
        if number == 0 and not tried.is_set():
            tried.set()
            raise ValueError("again")
        return number

    calls.start(nightly, 0)
    assert tried.wait(20)
    assert nightly(1) == 1
    assert calls.came == {}
    assert calls.end() == {0: 0}


@pytest.mark.parametrize(
    "options",
    [
        {"max_runs": 0},
        {"max_runs": "1"},
        {"max_runs": 1, "when_full": "wait"},
        {"max_runs": 1, "run_key": "day"},
        {"when_full": "skip"},
        {"run_key": len},
    ],
)
def test_options_that_make_no_sense(options: Any) -> None:
    with pytest.raises(DefinitionError):
        flow(**options)


def test_a_run_key_that_does_not_take_the_flows_parameters_is_refused_when_it_is_defined(
    shop: Project,
) -> None:
    def nightly(region: str, day: str = "2024-01-05") -> str:
        return f"{region} on {day}"

    def by_region(region: str) -> str:
        return region

    with pytest.raises(DefinitionError, match="got an unexpected keyword argument 'day'") as caught:
        flow(max_runs=1, run_key=by_region)(nightly)
    assert caught.value.hint == "it gets all of them by name: region, day; **rest takes those that do not count"
    assert flow(max_runs=1, run_key=lambda region, **rest: region)(nightly)("emea") == "emea on 2024-01-05"
    assert flow(max_runs=1, run_key=dict)(nightly)("emea") == "emea on 2024-01-05"
