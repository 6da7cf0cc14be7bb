"""The same flow on each runner: the same states, results, logs and errors."""

from __future__ import annotations

import asyncio
import os
import re
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from runner_worlds import warm_up

from headwater import INPUTS, allow_failure, flow, get_logger, task, transaction, unmapped
from headwater.core.context import current
from headwater.core.events import LogWritten, RunEnded, RunStarted, TaskEnded, TaskStarted
from headwater.core.journal.memory import MemoryCarrier
from headwater.core.runners.processes import ProcessRunner
from headwater.core.runners.runner import InlineRunner, ThreadRunner, runner_of
from headwater.errors import DefinitionError, ResultError, UnknownNameError, UsageError, WorkerDied
from headwater.testing import project as project_of
from headwater.testing.remote import FakeRemoteRunner

KINDS = ["threads", "inline", "processes", "late"]


@pytest.fixture(scope="module", autouse=True)
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessRunner]:
    """Two worker processes for all tests here, which live before the first of them and after the last."""
    with ProcessRunner(max_workers=2) as runner:
        warm_up(runner, tmp_path_factory.mktemp("workers"))
        yield runner


@pytest.fixture(params=KINDS)
def runner(request: pytest.FixtureRequest) -> Any:
    if request.param == "processes":
        return request.getfixturevalue("processes")
    if request.param == "late":
        return FakeRemoteRunner(late=True, shuffled=True)
    return request.param


@pytest.fixture
def journal() -> Iterator[MemoryCarrier]:
    with project_of(carrier=(carrier := MemoryCarrier())):
        yield carrier


class Shop:
    def __init__(self, rate: int) -> None:
        self.rate = rate

    @task
    def price(self, net: int) -> int:
        return net * self.rate


class OutOfStock(Exception):
    def __init__(self, item: str, left: int) -> None:
        super().__init__(f"{item}: {left} left")
        self.item, self.left = item, left


@task
def double(number: int) -> int:
    print(f"doubling {number}")
    get_logger().info("number %d", number)
    return 2 * number


@task
def add(left: int, right: int = 1) -> int:
    return left + right


@task
def fail(item: str = "pears") -> None:
    raise OutOfStock(item, 3)


@task
async def later(number: int) -> int:
    await asyncio.sleep(0)
    return number + 1


@task
def factorial(number: int) -> int:
    return 1 if number < 2 else number * factorial(number - 1)


@task
def spread(numbers: list[int]) -> int:
    return sum(double.map(numbers).result())


@flow
def inner(number: int) -> int:
    return double.submit(number).result() + 1


@task
def with_subflow(number: int) -> int:
    return inner(number)


@task
def items(count: int) -> Iterator[int]:
    yield from range(count)


@task
def where() -> tuple[int, str, str | None, int]:
    context = current()
    assert context is not None
    return os.getpid(), context.flow, context.task, context.attempt


def states(journal: MemoryCarrier) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in journal.records(TaskEnded):
        found.setdefault(one.task, []).append(one.state)
    return {name: sorted(several) for name, several in sorted(found.items())}


def test_results_states_and_logs(runner: Any, journal: MemoryCarrier, capfd: Any) -> None:
    @flow(runner=runner)
    def main() -> Any:
        one = double.submit(1)
        many = double.map([one, 3])
        return add.submit(one, right=many[1]).result(), [future.result() for future in many], one.state.value

    assert main() == (8, [4, 6], "Completed")
    assert states(journal) == {"add": ["Completed"], "double": ["Completed"] * 3}
    started = {one.task_run_id for one in journal.records(TaskStarted)}
    logs = [(one.logger, one.message) for one in journal.records(LogWritten) if one.task_run_id in started]
    assert sorted(logs) == sorted(
        [("print", f"doubling {n}") for n in (1, 2, 3)] + [("headwater.run", f"number {n}") for n in (1, 2, 3)]
    )
    assert len({event.writer for event in journal.events}) == 1
    # A worker process got its standard output before this test took it.
    assert ("doubling 3" in capfd.readouterr().out) != isinstance(runner, ProcessRunner)


def test_tasks_run_where_the_runner_says(runner: Any, journal: MemoryCarrier) -> None:
    @flow(runner=runner)
    def main() -> Any:
        return where(), where.submit().result()

    here, there = main()
    assert here[1:] == there[1:] == ("main", "where", 1)
    assert here[0] == os.getpid()
    assert (there[0] != os.getpid()) == isinstance(runner, ProcessRunner)


def test_an_error_has_its_type_its_attributes_and_the_lines_it_came_through(
    runner: Any, journal: MemoryCarrier
) -> None:
    @flow(runner=runner)
    def main() -> None:
        fail.submit("plums").result()

    with pytest.raises(OutOfStock, match="plums: 3 left") as caught:
        main()
    assert (caught.value.item, caught.value.left) == ("plums", 3)
    lines = traceback.extract_tb(caught.tb)
    assert [one.name for one in lines][-1] == "fail"
    assert lines[-1].line == "raise OutOfStock(item, 3)"
    (ended,) = journal.records(TaskEnded)
    assert ended.state == "Failed"
    assert ended.error is not None
    assert ended.error.type == "OutOfStock"
    assert "raise OutOfStock(item, 3)" in (ended.error.traceback or "")
    assert "headwater/core" not in (ended.error.traceback or "")
    assert journal.records(RunEnded)[0].state == "Failed"


def test_causes_and_notes_of_an_error_come_along(runner: Any, journal: MemoryCarrier) -> None:
    @task
    def parse() -> None:
        try:
            int("x")
        except ValueError as error:
            found = KeyError("no number")
            found.add_note("in the second row")
            raise found from error

    @flow(runner=runner)
    def main() -> None:
        parse.submit().result()

    with pytest.raises(KeyError) as caught:
        main()
    assert caught.value.__notes__ == ["in the second row"]
    assert isinstance(caught.value.__cause__, ValueError)
    assert traceback.extract_tb(caught.value.__cause__.__traceback__)[-1].name == "parse"


@dataclass(frozen=True)
class Refusal(Exception):
    code: int


def test_an_error_that_takes_no_attributes_comes_back_as_itself(runner: Any, journal: MemoryCarrier) -> None:
    @task
    def parse() -> None:
        raise Refusal(3) from ValueError("no")

    @flow(runner=runner)
    def main() -> None:
        parse.submit().result()

    with pytest.raises(Refusal) as caught:
        main()
    assert caught.value.code == 3
    assert isinstance(caught.value.__cause__, ValueError)


def test_retries_hooks_and_conditions_stay_with_the_flow(runner: Any, journal: MemoryCarrier, tmp_path: Any) -> None:
    seen: list[tuple[str, int]] = []
    count = tmp_path / "count"

    @task(retries=3, retry_if=lambda error: isinstance(error, OutOfStock))
    def flaky(place: Any) -> int:
        tries = len(place.read_text()) if place.exists() else 0
        place.write_text("x" * (tries + 1))
        if tries < 2:
            raise OutOfStock("figs", tries)
        return tries

    @flow(runner=runner)
    def main() -> int:
        hooked = flaky.with_options(hooks={state: [note] for state in ("Running", "AwaitingRetry", "Completed")})
        return hooked.submit(count).result()

    stays_here = threading.Lock()

    def note(change: Any) -> None:
        with stays_here:
            seen.append((change.state.value, change.tries))

    assert main() == 2
    (ended,) = journal.records(TaskEnded)
    assert (ended.state, ended.tries) == ("Completed", 3)
    assert seen[-1] == ("Completed", 3)
    assert [state for state, _ in seen].count("AwaitingRetry") == 2


def test_upstreams_that_fail_and_those_that_may(runner: Any, journal: MemoryCarrier) -> None:
    @task
    def told(error: Any) -> str:
        return type(error).__name__

    @flow(runner=runner)
    def main() -> Any:
        broken = fail.submit()
        skipped = add.submit(1, wait_for=[broken])
        skipped.wait()
        broken.wait()
        return told.submit(allow_failure(broken)).result(), skipped.state.value

    assert main() == ("OutOfStock", "Skipped")
    assert states(journal) == {"add": ["Skipped"], "fail": ["Failed"], "told": ["Completed"]}


def test_async_tasks(runner: Any, journal: MemoryCarrier) -> None:
    @flow(runner=runner)
    def main() -> Any:
        return later.map([1, 2]).result()

    @flow(runner=runner)
    async def main_async() -> Any:
        futures = [later.submit(one) for one in (1, 2)]
        plain = double.submit(4)
        return [await one for one in futures], await plain

    assert main() == [2, 3]
    assert asyncio.run(main_async()) == ([2, 3], 8)
    assert states(journal) == {"double": ["Completed"], "later": ["Completed"] * 4}


def test_tasks_in_tasks_and_flows_in_tasks_are_recorded_as_here(runner: Any, journal: MemoryCarrier) -> None:
    @flow(runner=runner)
    def main() -> Any:
        return factorial.submit(4).result(), spread.submit([1, 2]).result(), with_subflow.submit(5).result()

    assert main() == (24, 6, 11)
    assert states(journal) == {
        "double": ["Completed"] * 3,
        "factorial": ["Completed"] * 4,
        "spread": ["Completed"],
        "with_subflow": ["Completed"],
    }
    runs = {one.flow: one for one in journal.records(RunStarted)}
    tasks = {one.task: one for one in journal.records(TaskStarted)}
    assert runs["inner"].parent_run_id == runs["main"].run_id
    assert runs["inner"].parent_task_run_id == tasks["with_subflow"].task_run_id
    assert runs["inner"].root_run_id == runs["main"].run_id
    nested = [one for one in journal.records(TaskStarted) if one.task == "double" and one.run_id == runs["main"].run_id]
    assert {one.parent_task_run_id for one in nested} == {tasks["spread"].task_run_id}
    assert len({event.writer for event in journal.events}) == 1


def test_a_failure_that_nobody_looked_at_fails_the_flow(runner: Any, journal: MemoryCarrier) -> None:
    @task
    def careless() -> int:
        fail.submit("dates")
        return 1

    @flow(runner=runner)
    def main() -> int:
        return careless.submit().result()

    with pytest.raises(OutOfStock, match="dates"):
        main()
    assert states(journal) == {"careless": ["Completed"], "fail": ["Failed"]}


def test_a_failure_that_nobody_looked_at_fails_the_flow_also_when_another_try_completes(
    runner: Any, journal: MemoryCarrier, tmp_path: Any
) -> None:
    @task(retries=1)
    def careless(place: Any) -> int:
        if not place.exists():
            place.touch()
            fail.submit("dates")
            raise ValueError("not yet")
        return 1

    @flow(runner=runner)
    def main() -> int:
        return careless.submit(tmp_path / "tried").result()

    with pytest.raises(OutOfStock, match="dates"):
        main()
    assert states(journal) == {"careless": ["Completed"], "fail": ["Failed"]}


def test_methods_generators_defaults_and_unmapped(runner: Any, journal: MemoryCarrier) -> None:
    @flow(runner=runner)
    def main() -> Any:
        prices = Shop(3).price.map([1, 2]).result()
        return prices, items.submit(3).result(), add.map([1, 2], unmapped(10)).result()

    assert main() == ([3, 6], [0, 1, 2], [11, 12])


def test_subflows_use_the_runner_around_them_or_their_own(runner: Any, journal: MemoryCarrier) -> None:
    @flow
    def plain() -> int:
        return where.submit().result()[0]

    @flow(runner="inline")
    def own() -> int:
        return threading.get_ident() if where.submit().result() else 0

    @flow(runner=runner)
    def main() -> Any:
        return plain(), own()

    pid, thread = main()
    assert (pid != os.getpid()) == isinstance(runner, ProcessRunner)
    assert thread == threading.get_ident()


def test_what_a_worker_cannot_be_sent_is_named(processes: ProcessRunner, journal: MemoryCarrier) -> None:
    lock = threading.Lock()

    @task
    def locked() -> bool:
        return lock.locked()

    @task
    def open_lock() -> Any:
        return threading.Lock()

    @flow(runner=processes)
    def main(which: str) -> Any:
        if which == "argument":
            return add.submit(1, right=lock).result()
        return (locked if which == "task" else open_lock).submit().result()

    with pytest.raises(UsageError, match="the argument 'right' of 'add' can't be sent"):
        main("argument")
    with pytest.raises(UsageError, match="the task 'locked' can't be sent"):
        main("task")
    with pytest.raises(ResultError, match="what 'open_lock' returned, a lock, can't be sent back"):
        main("result")


def test_an_error_that_cannot_be_sent_keeps_its_name_and_message(
    processes: ProcessRunner, journal: MemoryCarrier
) -> None:
    @task
    def hold() -> None:
        error = RuntimeError("held")
        error.lock = threading.Lock()  # type: ignore[attr-defined]
        raise error

    @flow(runner=processes)
    def main() -> None:
        hold.submit().result()

    with pytest.raises(Exception, match="held") as caught:
        main()
    assert type(caught.value).__name__ == "RuntimeError"
    assert "could not be sent as it is" in caught.value.__notes__[0]
    assert journal.records(TaskEnded)[0].state == "Failed"


def test_runners_by_name_and_as_objects() -> None:
    assert runner_of("threads") == ThreadRunner()
    assert runner_of("inline") == InlineRunner()
    assert isinstance(runner_of("processes"), ProcessRunner)
    with pytest.raises(UnknownNameError, match="no runner 'procesess'") as caught:
        flow(runner="procesess")
    assert caught.value.hint == "did you mean 'processes'?"
    with pytest.raises(DefinitionError, match="a runner is a name or an object"):
        flow(runner=3)
    with pytest.raises(DefinitionError, match="max_workers"):
        ProcessRunner(0)
    with pytest.raises(DefinitionError, match="start method"):
        ProcessRunner(start="fork")  # type: ignore[arg-type]


def test_inline_runs_in_order_in_this_thread(journal: MemoryCarrier) -> None:
    order: list[str] = []

    @task
    def step(name: str) -> int:
        order.append(name)
        return threading.get_ident()

    @flow
    def main() -> Any:
        one = step.submit("one")
        order.append("between")
        return {one.result(), *step.map(["two", "three"]).result()}

    assert main.with_options(runner="inline")() == {threading.get_ident()}
    assert order == ["one", "between", "two", "three"]


def test_caching_limits_and_transactions_are_of_the_flow(runner: Any, journal: MemoryCarrier) -> None:
    lock = threading.Lock()

    @task(cache=INPUTS, cache_for="1h", once=True)
    def squared(number: int) -> int:
        return number * number

    @task(limits={"press": 1})
    def pressed(number: int) -> int:
        return number

    def note(outcome: Any) -> None:
        with lock:
            committed.append(outcome.result)

    committed: list[int] = []
    noted = add.with_options(on_commit=[note])

    @flow(runner=runner)
    def main() -> Any:
        first = [squared.submit(3).result(), squared.submit(3).result()]
        many = pressed.map([1, 2, 3]).result()
        with transaction():
            inside = where.submit().result()[0]
            noted.submit(1).wait()
        return first, many, inside

    assert main() == ([9, 9], [1, 2, 3], os.getpid())
    assert committed == [2]
    assert states(journal)["squared"] == ["Cached", "Completed"]


@pytest.mark.parametrize(
    ("runner", "missing", "enough"),
    [
        ("threads", {1}, False),
        ("threads", {2, 3}, True),
        (ProcessRunner(max_workers=3), {2, 3, 4, 5, 6}, True),
        (ProcessRunner(max_workers=3), {1, 2, 3, 4, 5, 6}, False),
    ],
)
def test_where_no_more_threads_can_be_started_those_that_are_there_do_it(
    runner: Any, missing: set[int], enough: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, started = threading.Thread.start, 0
    which = re.compile(r"headwater-\d+" if runner == "threads" else r"headwater-worker-\d+")

    def few(thread: threading.Thread) -> None:
        nonlocal started
        if which.fullmatch(thread.name):
            started += 1
            if started in missing:
                raise RuntimeError("can't start new thread")
        start(thread)

    @task
    def back(number: int) -> int:
        time.sleep(0.05)
        return number

    @flow(runner=runner)
    def main() -> list[int]:
        return back.map([1, 2, 3, 4]).result()

    monkeypatch.setattr(threading.Thread, "start", few)
    with project_of(carrier=MemoryCarrier()):
        if enough:
            assert main() == [1, 2, 3, 4]
        else:
            with pytest.raises((RuntimeError, WorkerDied), match="can't start new thread"):
                main()


class Broken:
    """A runner that takes nothing."""

    place = None

    def open(self, max_workers: int | None) -> Any:
        return self

    def submit(self, job: Any) -> None:
        raise OSError("no room")

    def close(self, *, join: bool) -> None:
        """Nothing is open."""


@pytest.mark.timeout(20)
def test_what_a_runner_does_not_take_has_failed(project: Any) -> None:
    @task
    def one() -> int:
        return 1

    @task
    def two(number: int) -> int:
        return 2 * number

    @flow(runner=Broken())
    def main() -> None:
        two.submit(one.submit())

    with pytest.raises(OSError, match="no room"):
        main()


def test_a_task_that_submits_twice_is_not_left_waiting_by_a_thread_too_many() -> None:
    together = threading.Barrier(2)

    @task
    def child(number: int) -> int:
        if number:
            together.wait(10)
        return number

    @task
    def parent() -> int:
        first = child.map([1, 1]).result()  # in two more threads, while this one waits
        time.sleep(0.1)
        one_more = child.submit(0)
        time.sleep(0.1)  # a thread is woken for it, and there is one too many
        return sum(first) + one_more.result(timeout=5)

    @flow(max_workers=2)
    def main() -> int:
        return parent.submit().result()

    with project_of(in_memory=True):
        assert main() == 2
