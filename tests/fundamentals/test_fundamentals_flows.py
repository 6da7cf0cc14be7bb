"""Fundamentals 1: functions become tasks, tasks make up a flow, and everything that ran is known afterwards."""

import asyncio

import pytest

from headwater import State, TaskFuture, allow_failure, as_completed, flow, get_logger, task, unmapped, wait
from headwater.testing import project


def test_a_flow_is_a_function_and_so_is_a_task() -> None:
    @task
    def add(a: int, b: int) -> int:
        return a + b

    @flow
    def main(n: int) -> int:
        return add(n, 1)

    with project() as found:
        assert main(41) == 42
        # `.fn` is the bare function: nothing is recorded.
        assert add.fn(1, 2) == 3
        # A task outside a flow is a run of its own.
        assert add(1, 2) == 3
        assert [(run["flow"], run["tasks"]) for run in found.reader.runs()["runs"]] == [
            ("add", {"Completed": 1}),
            ("main", {"Completed": 1}),
        ]


def test_what_fails_raises_and_is_recorded() -> None:
    @task
    def divide(a: int, b: int) -> float:
        return a / b

    @flow
    def main() -> float:
        return divide(1, 0)

    with project() as found:
        with pytest.raises(ZeroDivisionError):
            main()
        (run,) = found.reader.runs()["runs"]
        assert run["state"] == "Failed"
        (row,) = found.reader.task_runs(run["id"])["task_runs"]
        assert (row["task"], row["state"]) == ("divide", "Failed")
        assert "division by zero" in row["error"]


def test_submitted_tasks_run_side_by_side_and_wait_for_each_other() -> None:
    @task
    def load(day: str, table: str) -> int:
        return len(day) + len(table)

    @task
    def total(parts: list[int]) -> int:
        return sum(parts)

    @flow
    def main() -> int:
        parts = load.map(["2024-01-01", "2024-01-02"], unmapped("orders"))
        # Futures may stand anywhere in the arguments: `total` waits for them.
        return total.submit(parts).result()

    with project():
        assert main() == 32


def test_futures_as_they_end() -> None:
    @task
    def double(n: int) -> int:
        return 2 * n

    @flow
    def main() -> set[int]:
        futures: list[TaskFuture[int]] = [double.submit(n) for n in range(3)]
        assert wait(futures).not_done == set()
        assert {future.state for future in futures} == {State.COMPLETED}
        return {future.result() for future in as_completed(futures)}

    with project():
        assert main() == {0, 2, 4}


def test_retries() -> None:
    attempts: list[int] = []

    @task(retries=2, retry_delay=0)
    def flaky() -> str:
        attempts.append(len(attempts))
        if len(attempts) < 3:
            raise ConnectionError("try again")
        return "done"

    @flow
    def main() -> str:
        return flaky()

    with project() as found:
        assert main() == "done"
        (run,) = found.reader.runs()["runs"]
        (row,) = found.reader.task_runs(run["id"])["task_runs"]
        assert (row["state"], row["tries"]) == ("Completed", 3)


def test_what_depends_on_a_failure_is_skipped_unless_it_is_allowed() -> None:
    @task
    def broken() -> int:
        raise ValueError("no")

    @task
    def use(value: object) -> str:
        return type(value).__name__

    @flow
    def main() -> tuple[State, str]:
        failed = broken.submit()
        skipped, told = use.submit(failed), use.submit(allow_failure(failed))
        wait([failed, skipped])
        return skipped.state, told.result()

    with project():
        assert main() == (State.SKIPPED, "ValueError")


def test_async_functions_are_tasks_and_flows_too() -> None:
    @task
    async def fetch(n: int) -> int:
        await asyncio.sleep(0)
        return n

    @flow
    async def main() -> list[int]:
        futures = [fetch.submit(n) for n in range(3)]
        return [await future for future in futures]

    with project():
        assert asyncio.run(main()) == [0, 1, 2]


def test_flows_run_flows_and_logs_stay_with_the_run() -> None:
    @flow
    def inner() -> None:
        get_logger().info("inside")

    @flow
    def outer() -> None:
        inner()

    with project() as found:
        outer()
        runs = {run["flow"]: run for run in found.reader.runs()["runs"]}
        assert runs["inner"]["parent"] == runs["outer"]["id"]
        assert [row["message"] for row in found.reader.logs(runs["inner"]["id"])["logs"]] == ["inside"]
