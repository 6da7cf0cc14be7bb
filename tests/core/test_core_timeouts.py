from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from headwater import flow, task
from headwater.errors import DefinitionError, TimeLimitExceeded

LONG = 60.0
SHORT = 0.05


def test_a_coroutine_is_cancelled_when_its_time_is_up(project: Any) -> None:
    @task(timeout=SHORT)
    async def sleeps() -> None:
        await asyncio.sleep(LONG)

    @flow
    async def main() -> str:
        try:
            await sleeps()
        except TimeoutError as error:
            return str(error)
        return "ended"

    assert "'sleeps' took longer than 0.05 s" in asyncio.run(main())
    ended = project.one("task.ended")
    assert (ended.state, ended.error.type) == ("TimedOut", "TimeLimitExceeded")
    assert project.one("run.ended").state == "Completed"


def test_a_try_that_took_too_long_is_tried_again(project: Any) -> None:
    tries = []

    @task(timeout=SHORT, retries=2)
    async def slow_at_first() -> int:
        tries.append(1)
        if len(tries) < 3:
            await asyncio.sleep(LONG)
        return len(tries)

    @flow
    async def main() -> int:
        return await slow_at_first.submit()

    assert asyncio.run(main()) == 3
    assert project.states() == {"slow_at_first": ["Completed"]}


def test_the_timeout_of_one_task_is_a_failure_of_the_one_around_it(project: Any) -> None:
    @task(timeout=SHORT)
    async def inner() -> None:
        await asyncio.sleep(LONG)

    @task
    async def outer() -> None:
        await inner()

    @flow
    async def main() -> None:
        await outer()

    with pytest.raises(TimeLimitExceeded):
        asyncio.run(main())
    assert project.states() == {"inner": ["TimedOut"], "outer": ["Failed"]}
    assert project.one("run.ended").state == "Failed"


def test_a_flow_that_takes_too_long_ends_as_timed_out_with_all_that_it_began(project: Any) -> None:
    @task
    async def sleeps() -> None:
        await asyncio.sleep(LONG)

    @flow(timeout=SHORT, retries=3)
    async def main() -> None:
        sleeps.submit()
        await sleeps()

    with pytest.raises(TimeLimitExceeded, match="'main' took longer"):
        asyncio.run(main())
    assert project.states() == {"sleeps": ["Cancelled", "Cancelled"]}
    assert project.one("run.ended").state == "TimedOut"


def test_a_time_limit_of_the_users_own_is_no_timeout_of_the_task(project: Any) -> None:
    @task(timeout=LONG)
    async def limited() -> None:
        async with asyncio.timeout(0.001):
            await asyncio.sleep(LONG)

    with pytest.raises(TimeoutError) as caught:
        asyncio.run(_awaited(limited))
    assert not isinstance(caught.value, TimeLimitExceeded)
    assert project.one("task.ended").state == "Failed"


async def _awaited(one: Any) -> Any:
    return await one()


def test_the_overrun_of_a_thread_is_told_while_it_lasts(project: Any) -> None:
    told = threading.Event()
    heard = project.append

    def append(*bodies: Any) -> None:
        heard(*bodies)
        if any(body.kind == "log.written" for body in bodies):
            told.set()

    project.append = append

    @task(timeout=SHORT)
    def slow() -> bool:
        return told.wait(10)

    @flow
    def main() -> bool:
        return slow.submit().result()

    assert main()
    log = project.one("log.written")
    assert "'slow' has run longer than its timeout of 0.05 s" in log.message
    assert log.task_run_id == project.one("task.ended").task_run_id
    assert project.states() == {"slow": ["Completed"]}


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("of", ["task", "flow"])
def test_the_overrun_of_a_coroutine_that_blocks_is_told(project: Any, of: str, fails: bool) -> None:
    async def blocks() -> int:
        threading.Event().wait(2 * SHORT)
        if fails:
            raise ValueError("no")
        return 1

    limited = task(timeout=SHORT)(blocks) if of == "task" else flow(timeout=SHORT)(blocks)

    @flow
    async def main() -> int:
        return await limited()

    if fails:
        with pytest.raises(ValueError, match="no"):
            asyncio.run(main())
    else:
        assert asyncio.run(main()) == 1
    log = project.one("log.written")
    assert "'blocks' has run longer than its timeout of 0.05 s; the event loop was blocked" in log.message


def test_a_task_in_time_leaves_no_thread(project: Any) -> None:
    @task(timeout=LONG)
    def quick() -> int:
        return 1

    @flow(timeout=LONG)
    def main() -> int:
        return quick() + quick.submit().result()

    before = threading.active_count()
    assert main() == 2
    assert threading.active_count() == before
    assert project.all("log.written") == []


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan"), 1e300, "1", True])
def test_what_is_no_timeout_is_refused(timeout: Any) -> None:
    with pytest.raises(DefinitionError, match="timeout is a number of seconds"):
        task(timeout=timeout)
