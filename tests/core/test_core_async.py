from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from headwater.core.arguments import allow_failure
from headwater.core.context import current
from headwater.core.flow import flow
from headwater.core.futures import as_completed
from headwater.core.states import State
from headwater.core.task import task
from headwater.errors import CheckFailed, DefinitionError, ReturnTypeError, UsageError


@task
def double(number: int) -> int:
    return 2 * number


@task
async def later(number: int) -> int:
    await asyncio.sleep(0)
    return number + 1


@task
async def fail(message: str = "no") -> int:
    await asyncio.sleep(0)
    raise ValueError(message)


def test_an_async_flow_awaits_calls_and_futures(project: Any) -> None:
    @flow
    async def main() -> int:
        a = await later(1)
        future = later.submit(a)
        assert await double.submit(future) == 6
        assert double(5) == 10
        return await future

    assert asyncio.run(main()) == 3
    assert project.one("run.ended").state == "Completed"
    assert project.states() == {"later": ["Completed"] * 2, "double": ["Completed"] * 2}


def test_async_tasks_share_the_flows_loop_and_sync_ones_run_in_threads(project: Any) -> None:
    @task
    async def where() -> threading.Thread:
        return threading.current_thread()

    @task
    def sync_where() -> threading.Thread:
        return threading.current_thread()

    @flow
    async def main() -> None:
        assert await where.submit() is threading.main_thread()
        assert await sync_where.submit() is not threading.main_thread()

    asyncio.run(main())


def test_async_tasks_overlap(project: Any) -> None:
    @flow
    async def main() -> list[int]:
        gate = asyncio.Event()

        @task
        async def waits(number: int) -> int:
            await gate.wait()
            return number

        @task
        async def opens() -> None:
            gate.set()

        futures = waits.map([1, 2, 3])
        await opens()
        return await asyncio.gather(*futures)

    assert asyncio.run(main()) == [1, 2, 3]


def test_async_for_gives_futures_as_they_end(project: Any) -> None:
    @flow
    async def main() -> list[int]:
        found = [await future async for future in as_completed([later.submit(1), double.submit(4)])]
        # Who is given one has looked at it, also at one that failed.
        found += [len(str(future.error)) async for future in as_completed(fail.submit())]
        return sorted(found)

    assert asyncio.run(main()) == [2, 2, 8]


def test_the_time_of_as_completed_is_that_of_its_waits(project: Any) -> None:
    @task
    async def waits(release: asyncio.Event) -> None:
        await release.wait()

    @flow
    async def slow_reader() -> list[int]:
        found = []
        async for future in as_completed([later.submit(number) for number in (1, 2)], timeout=0.05):
            await asyncio.sleep(0.1)
            found.append(await future)
        return sorted(found)

    @flow
    async def impatient() -> None:
        release = asyncio.Event()
        try:
            async for _ in as_completed([waits.submit(release), later.submit(1)], timeout=0.05):
                await asyncio.sleep(0.1)
        finally:
            release.set()

    @flow
    async def asks_late() -> list[int]:
        futures = [later.submit(number) for number in (1, 2)]
        for future in futures:
            await future
        return [await future async for future in as_completed(futures, timeout=0)]

    assert asyncio.run(slow_reader()) == [2, 3]
    assert asyncio.run(asks_late()) == [2, 3]
    with pytest.raises(TimeoutError, match=r"not all tasks have ended within 0\.05 s"):
        asyncio.run(impatient())


def test_blocking_on_the_own_loop_is_refused(project: Any) -> None:
    @flow
    async def main() -> None:
        future = later.submit(1)
        with pytest.raises(UsageError, match="would block the event loop"):
            future.result()
        with pytest.raises(UsageError, match="await the future"):
            list(as_completed([future]))
        assert await future == 2

    asyncio.run(main())


def test_failures_skips_and_lost_errors_are_those_of_sync_flows(project: Any) -> None:
    @flow
    async def skips() -> None:
        last = later.submit(fail.submit("broken"))
        with pytest.raises(ValueError, match="broken"):
            await last
        assert last.state is State.SKIPPED
        assert await later.submit(1, wait_for=[allow_failure(fail.submit())]) == 2

    @flow
    async def loses() -> None:
        fail.submit("lost")

    asyncio.run(skips())
    assert project.one("run.ended").state == "Completed"
    with pytest.raises(ValueError, match="lost"):
        asyncio.run(loses())
    assert project.one("run.ended", flow="loses").state == "Failed"


def test_async_subflows_and_tasks_outside_flows(project: Any) -> None:
    @flow
    async def inner(number: int) -> int:
        return await later(number)

    @flow
    async def outer() -> list[int]:
        return await asyncio.gather(inner(1), inner(2))

    assert asyncio.run(outer()) == [2, 3]
    root = project.one("run.started", flow="outer")
    assert {one.parent_run_id for one in project.all("run.started", flow="inner")} == {root.run_id}
    assert asyncio.run(later(7)) == 8
    assert project.one("run.started", flow="later").type == "task"


def test_each_asyncio_task_has_its_own_context(project: Any) -> None:
    @task
    async def who(number: int) -> tuple[str | None, str | None]:
        before = current()
        await asyncio.sleep(0)
        after = current()
        assert before is not None
        assert after is not None
        return before.task_run_id, after.task_run_id

    @flow
    async def main() -> None:
        pairs = await asyncio.gather(*(who(number) for number in range(5)))
        assert all(before == after for before, after in pairs)
        assert len(set(pairs)) == 5
        context = current()
        assert context is not None
        assert context.task_run_id is None

    asyncio.run(main())
    assert current() is None


def test_async_retries_and_refusals(project: Any) -> None:
    calls = []

    @task(retries=2)
    async def flaky() -> int:
        calls.append(1)
        if len(calls) < 3:
            raise ValueError("not yet")
        return len(calls)

    @task(retries=2)
    async def refused() -> None:
        raise CheckFailed("no")

    assert asyncio.run(flaky()) == 3
    with pytest.raises(CheckFailed):
        asyncio.run(refused())
    assert project.states() == {"flaky": ["Completed"], "refused": ["Blocked"]}
    assert [one.state for one in project.all("task.state")] == ["AwaitingRetry", "Running"] * 2


def test_a_timeout_around_a_subflow_cancels_it_and_nothing_else(project: Any) -> None:
    @task
    async def hangs() -> None:
        await asyncio.Event().wait()

    @flow
    async def inner() -> None:
        hangs.submit()
        await hangs()

    @flow
    async def outer() -> int:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await inner()
        return await later(1)

    assert asyncio.run(outer()) == 2
    assert project.one("run.ended", flow="inner").state == "Cancelled"
    assert project.one("run.ended", flow="outer").state == "Completed"
    assert project.states() == {"hangs": ["Cancelled"] * 2, "later": ["Completed"]}


def test_a_flow_that_is_dropped_is_recorded_as_cancelled(project: Any) -> None:
    @task
    async def hangs() -> None:
        await asyncio.Event().wait()

    @flow
    async def main() -> None:
        await hangs()

    async def drops() -> None:
        running = asyncio.ensure_future(main())
        await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(drops())
    assert project.one("run.ended").state == "Cancelled"
    assert project.states() == {"hangs": ["Cancelled"]}


def test_cancelling_an_await_does_not_cancel_the_task(project: Any) -> None:
    @flow
    async def main() -> int:
        release = threading.Event()

        @task
        def waits() -> int:
            release.wait(10)
            return 5

        future = waits.submit()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await future
        release.set()
        return await future

    assert asyncio.run(main()) == 5


def test_a_sync_flow_in_an_event_loop_still_works(project: Any) -> None:
    @flow
    def main() -> int:
        return later.submit(1).result() + double.submit(2).result()

    async def outside() -> int:
        return main()

    assert asyncio.run(outside()) == 6


def test_a_coroutine_that_is_closed_ends_its_run(project: Any) -> None:
    @task
    async def hangs() -> None:
        await asyncio.Event().wait()

    @flow
    async def main() -> None:
        await hangs()

    async def drops() -> None:
        for dropped in (main(), hangs()):
            dropped.send(None)
            dropped.close()

    asyncio.run(drops())
    assert [one.state for one in project.all("run.ended")] == ["Cancelled"] * 2
    assert project.states() == {"hangs": ["Cancelled"] * 2}
    assert project.runs_ended == 2


class _Fetch:
    async def __call__(self, number: int) -> int:
        await asyncio.sleep(0)
        if number < 0:
            raise ValueError("no")
        return 2 * number


class _Rows:
    def __call__(self, count: int) -> Iterator[int]:
        yield from range(count)


def test_an_object_that_is_called_is_what_its_call_is(project: Any) -> None:
    fetch, rows = task(name="fetch")(_Fetch()), task(name="rows")(_Rows())
    last = task(name="last")(partial(_Fetch(), -1))

    @flow
    async def main() -> list[Any]:
        return [await fetch(1), await fetch.submit(2), await rows.submit(3), list(rows(2)), await last.submit()]

    with pytest.raises(ValueError, match="no"):
        asyncio.run(main())
    assert project.states() == {"fetch": ["Completed"] * 2, "rows": ["Completed"] * 2, "last": ["Failed"]}
    with pytest.raises(DefinitionError, match="is async"):
        double.with_options(hooks={State.FAILED: _Fetch()})


@pytest.mark.parametrize(
    "options", [{"retries": 1, "retry_if": True}, {"retry_delay": True}, {"max_runs": 1, "run_key": True}]
)
def test_what_decides_about_a_run_is_not_async(options: dict[str, Any]) -> None:
    async def decides(*_: Any, **parameters: Any) -> bool:
        return False

    given = {name: decides if value is True else value for name, value in options.items()}
    with pytest.raises(DefinitionError, match="is async, and its answer is needed at once"):

        @flow(**given)
        async def nightly() -> None:
            return None


def test_a_call_that_nobody_awaited_is_told_by_its_name(project: Any) -> None:
    """Python warned of a coroutine 'Task._call_async', whichever function it was."""

    @flow
    async def nightly() -> None: ...

    renamed = partial(later.with_options(name="renamed"), 1)
    for forgotten, name in ((partial(later, 1), "later"), (nightly, "nightly"), (renamed, "renamed")):
        with pytest.warns(RuntimeWarning, match=f"coroutine '{name}' was never awaited"):
            forgotten()
    assert not project.all("task.started")


def test_the_results_of_a_map_are_awaited_as_those_of_a_call_are(project: Any) -> None:
    """The error of `.result()` says to await the future, and of a map there was nothing to await."""

    @flow
    async def main() -> tuple[list[int], list[int]]:
        with pytest.raises(UsageError) as caught:
            later.map([1, 2]).result()
        assert caught.value.hint is not None
        assert caught.value.hint.startswith("await the future")
        with pytest.raises(ValueError, match="first"):
            await fail.map(["first"])
        return await later.map([3, 1, 2]), await double.map([1, 2])

    assert asyncio.run(main()) == ([4, 2, 3], [2, 4])


@pytest.mark.parametrize("how", ["task", "submitted", "flow", "async", "alone"])
def test_a_coroutine_that_a_function_returns_without_awaiting_it_is_told(project: Any, how: str) -> None:
    async def fetch() -> int:
        return 1

    @task
    def forgets() -> Any:
        return fetch()

    @task
    async def forgets_too() -> Any:
        return fetch()

    @flow
    def calls() -> None:
        forgets()

    @flow
    def submits() -> None:
        forgets.submit().result()

    @flow
    def forgetful() -> Any:
        return fetch()

    @flow
    async def awaits() -> None:
        await forgets_too()

    called: dict[str, Any] = {
        "task": calls,
        "submitted": submits,
        "flow": forgetful,
        "async": lambda: asyncio.run(awaits()),
        "alone": forgets,
    }
    with pytest.raises(ReturnTypeError, match="returned a coroutine of 'fetch' that it has not awaited") as raised:
        called[how]()
    assert "await fetch(…)" in str(raised.value.hint)
    assert project.one("run.ended").state == "Failed"
    assert [body.state for body in project.all("task.ended")] == ([] if how == "flow" else ["Failed"])
