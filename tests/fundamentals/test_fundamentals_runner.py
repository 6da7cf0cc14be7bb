"""Fundamentals 4: what a runner is for. Arguments that fit, failures that are dealt with, work that is not done twice."""

import asyncio
import os
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from headwater import (
    INPUTS,
    ProcessRunner,
    State,
    StateChange,
    TaskOutcome,
    concurrency,
    exponential_backoff,
    flow,
    get_logger,
    rate_limit,
    task,
    transaction,
    unmapped,
)
from headwater.errors import ParameterError, TimeLimitExceeded
from headwater.testing import project
from headwater.testing.sandbox import Sandbox


def test_the_parameters_of_a_flow_are_held_against_their_annotations() -> None:
    @flow
    def nightly(day: date, regions: list[str]) -> str:
        return f"{day:%d.%m.} {'+'.join(regions)}"

    with project():
        # What can be converted is, as `headwater run -p day=2024-01-05` does.
        assert nightly("2024-01-05", ["eu", "us"]) == "05.01. eu+us"  # type: ignore[arg-type]
        with pytest.raises(ParameterError, match="day"):
            nightly("yesterday", ["eu"])  # type: ignore[arg-type]


def test_options_stand_with_the_decorator_and_change_with_with_options() -> None:
    calls: list[int] = []

    @task(retries=1, retry_delay=exponential_backoff(0.001, jitter=0.5), retry_if=lambda error: "now" in str(error))
    def fetch() -> None:
        calls.append(1)
        raise ConnectionError("not now")

    # A budget bounds the retries of all tasks of a run together: an outage does not multiply.
    @flow(retry_budget=1)
    def main() -> None:
        futures = [fetch.submit(), fetch.with_options(retries=0, name="fetch_once").submit()]
        for future in futures:
            assert isinstance(future.result(raise_on_failure=False), ConnectionError)

    with project():
        main()
        assert len(calls) == 3


def test_a_generator_hands_out_its_items_while_it_runs() -> None:
    @task
    def pages(last: int) -> Iterator[int]:
        yield from range(1, last + 1)

    @task
    def double(number: int) -> int:
        return 2 * number

    @flow
    def main() -> tuple[list[int], list[int]]:
        # `imap` takes one item at a time, so neither the pages nor the results are ever all in memory.
        return list(double.imap(pages(3), ahead=2)), pages.submit(2).result()

    with project():
        assert main() == ([2, 4, 6], [1, 2])


def test_hooks_hear_of_each_state() -> None:
    heard: list[str] = []

    def hear(change: StateChange) -> None:
        heard.append(f"{change.name} {change.state.value}")

    @task(retries=1, hooks={"AwaitingRetry": hear, "Failed": hear})
    def broken() -> None:
        raise ValueError("no")

    @flow(hooks={"Running": hear, "Failed": hear})
    def main() -> None:
        broken()

    with project():
        with pytest.raises(ValueError, match="no"):
            main()
        assert heard == ["main Running", "broken AwaitingRetry", "broken Failed", "main Failed"]


def test_a_coroutine_that_takes_too_long_is_cancelled() -> None:
    @task(timeout=0.02)
    async def slow() -> None:
        await asyncio.sleep(60)

    @flow
    async def main() -> None:
        await slow()

    with project() as found:
        with pytest.raises(TimeLimitExceeded):
            asyncio.run(main())
        (run,) = found.reader.runs()["runs"]
        assert run["tasks"] == {"TimedOut": 1}


@task
def where() -> int:
    return os.getpid()


def test_the_same_flow_runs_in_threads_in_processes_or_inline() -> None:
    @flow
    def main() -> set[int]:
        return {future.result() for future in [where.submit(), where.submit()]}

    with project():
        assert main() == {os.getpid()}
        assert main.with_options(runner="inline")() == {os.getpid()}
        # A worker that dies takes nothing with it but its own task.
        assert os.getpid() not in main.with_options(runner=ProcessRunner(max_workers=1))()


def test_limits_hold_for_all_tasks_and_all_processes() -> None:
    inside, most, lock = 0, 0, threading.Lock()

    @task(limits={"warehouse": 2})
    def load(number: int) -> int:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        with lock:
            inside -= 1
        return number

    @flow(max_workers=8)
    def main() -> list[int]:
        with concurrency("report", 1):
            rate_limit("api", "1000/second")
            return load.map(range(20)).result()

    with project():
        assert main() == list(range(20))
        assert 1 <= most <= 2


def test_a_cached_task_is_not_called_twice_for_the_same() -> None:
    calls: list[str] = []

    # A variable of the function around it counts as an input, unless it is taken out.
    @task(cache=INPUTS - "calls", cache_for="1h")
    def fetch(day: str) -> dict[str, int]:
        calls.append(day)
        return {"rows": len(day)}

    @flow
    def main(day: str) -> int:
        return fetch(day)["rows"]

    with project() as found:
        assert [main("monday"), main("monday"), main("friday")] == [6, 6, 6]
        assert calls == ["monday", "friday"]
        assert [run["tasks"] for run in found.reader.runs()["runs"]] == [
            {"Completed": 1},
            {"Cached": 1},
            {"Completed": 1},
        ]


def test_a_transaction_takes_back_what_had_completed(tmp_path: Path) -> None:
    page = tmp_path / "page.txt"

    @task
    def write(text: str) -> None:
        page.write_text(text)

    @write.on_rollback
    def remove(outcome: TaskOutcome) -> None:
        page.unlink()

    @task
    def check() -> None:
        if "ready" not in page.read_text():
            raise ValueError("not ready")

    @flow
    def publish(text: str) -> None:
        with transaction():
            write(text)
            check()

    with project() as found:
        publish("ready")
        assert page.exists()
        with pytest.raises(ValueError, match="not ready"):
            publish("no")
        assert not page.exists()
        assert found.reader.runs()["runs"][0]["tasks"] == {"Failed": 1, "RolledBack": 1}


def test_a_run_that_failed_goes_on_where_it_ended() -> None:
    loads: list[str] = []
    mended: list[bool] = []

    @task
    def load(day: str) -> dict[str, int]:
        loads.append(day)
        return {day: 3}

    @task
    def send(rows: dict[str, int], to: str) -> str:
        if not mended:
            raise ConnectionError("the mail server is down")
        return f"{sum(rows.values())} rows to {to}"

    @flow
    def nightly(day: str) -> list[str]:
        return send.map([load(day)], unmapped("ann")).result()

    with project() as found:
        with pytest.raises(ConnectionError):
            nightly("monday")
        mended.append(True)
        (run,) = found.reader.runs()["runs"]
        # On the command line: headwater runs resume RUN, headwater runs retry RUN --from TASK
        assert nightly.resume(run["id"]) == ["3 rows to ann"]
        assert loads == ["monday"]
        (run,) = found.reader.runs()["runs"]
        assert (run["attempt"], run["state"]) == (2, State.COMPLETED)


def test_what_is_logged_and_printed_stays_with_the_run() -> None:
    @flow
    def main() -> None:
        print("hello")
        get_logger().warning("careful")

    with project() as found:
        main()
        (run,) = found.reader.runs()["runs"]
        assert [log["message"] for log in found.reader.logs(run["id"])["logs"]] == ["hello", "careful"]


def test_the_fixture_for_your_own_tests(headwater: Sandbox) -> None:
    tries: list[int] = []

    @task(retries=1, retry_delay=3600)
    def flaky() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise ConnectionError("not yet")
        return len(tries)

    @flow
    def main() -> int:
        return flaky()

    # The clock stands still: an hour's delay takes no time.
    assert main() == 2
