from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

import pytest

from headwater import Asset, flow, get_logger, materialize, task
from headwater.core.context import current
from headwater.errors import Cancelled, DefinitionError, ParameterError, TimeLimitExceeded, UsageError


@task
def count_to(number: int) -> Iterator[int]:
    yield from range(1, number + 1)


@task
async def count_async(number: int) -> AsyncIterator[int]:
    for one in range(1, number + 1):
        await asyncio.sleep(0)
        yield one


def test_items_come_one_by_one_while_the_task_runs(project: Any) -> None:
    seen = []

    @task
    def numbers() -> Iterator[int]:
        for number in (1, 2):
            seen.append(f"made {number}")
            yield number

    @flow
    def main() -> None:
        for number in numbers():
            assert not project.all("task.ended")
            seen.append(f"read {number}")

    main()
    assert seen == ["made 1", "read 1", "made 2", "read 2"]
    assert project.states() == {"numbers": ["Completed"]}


def test_async_items_come_one_by_one(project: Any) -> None:
    @flow
    async def main() -> list[int]:
        return [number async for number in count_async(3)]

    assert asyncio.run(main()) == [1, 2, 3]
    assert project.states() == {"count_async": ["Completed"]}


def test_the_reader_may_send_throw_and_take_what_is_returned(project: Any) -> None:
    @task
    def echo() -> Generator[str, str, int]:
        got = yield "ready"
        try:
            yield f"got {got}"
        except KeyError as error:
            yield f"caught {error}"
        return 7

    def read() -> Generator[str, str, int]:
        return (yield from echo())

    @flow
    def main() -> list[Any]:
        reader = read()
        found: list[Any] = [next(reader), reader.send("word"), reader.throw(KeyError("x"))]
        with pytest.raises(StopIteration) as stopped:
            next(reader)
        return [*found, stopped.value.value]

    assert main() == ["ready", "got word", "caught 'x'", 7]
    assert project.states() == {"echo": ["Completed"]}


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_reader_who_stops_early_closes_the_generator_at_once(project: Any, asynchronous: bool) -> None:
    closed = []

    @task
    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append("sync")

    @task
    async def endless_async() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            await asyncio.sleep(0)
            closed.append("async")

    @flow
    def main() -> None:
        for _ in endless():
            break
        assert project.states() == {"endless": ["Completed"]}

    @flow
    async def main_async() -> None:
        reader = endless_async()
        async for _ in reader:
            break
        await reader.aclose()  # type: ignore[attr-defined]
        assert project.states() == {"endless_async": ["Completed"]}

    asyncio.run(main_async()) if asynchronous else main()
    assert closed == ["async" if asynchronous else "sync"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_is_left_unread_is_closed_with_the_flow_and_says_so_later(project: Any, asynchronous: bool) -> None:
    @flow
    def main() -> Any:
        reader = count_to(3)
        assert next(reader) == 1
        return reader

    @flow
    async def main_async() -> Any:
        reader = count_async(3)
        assert await anext(reader) == 1
        return reader

    async def read_on() -> None:
        reader = await main_async()
        await anext(reader)

    with pytest.raises(UsageError, match=r"'count_\w+' can't be read any more: the run that it belongs to has ended"):
        asyncio.run(read_on()) if asynchronous else next(main())
    ended = project.one("task.ended")
    assert ended.state == "Completed"
    assert project.bodies.index(ended) < project.bodies.index(project.one("run.ended"))


def test_a_generator_that_nobody_reads_leaves_no_task_run(project: Any) -> None:
    @flow
    def main() -> None:
        count_to(3)

    main()
    assert not project.all("task.started")


def test_an_error_is_raised_where_it_is_read_and_fails_the_task(project: Any) -> None:
    @task(retries=3)
    def breaks() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    @flow
    def main() -> list[int]:
        found: list[int] = []
        with pytest.raises(ValueError, match="broken"):
            found.extend(breaks())
        return found

    # What was handed out would come again: there is no other try.
    assert main() == [1]
    ended = project.one("task.ended")
    assert (ended.state, ended.tries, ended.error.message) == ("Failed", 1, "broken")


def test_a_generator_is_tried_again_as_long_as_nothing_was_handed_out(project: Any) -> None:
    tries = []

    @task(retries=2)
    def late() -> Iterator[int]:
        tries.append(1)
        if len(tries) < 3:
            raise OSError("not yet")
        yield len(tries)

    @flow
    def main() -> list[int]:
        return list(late())

    assert main() == [3]
    assert project.one("task.ended").tries == 3


def test_submitted_and_mapped_it_gives_lists_and_may_be_tried_again(project: Any) -> None:
    tries = []

    @task(retries=1)
    def numbers(first: int) -> Iterator[int]:
        yield first
        if first == 2:
            tries.append(1)
            if len(tries) == 1:
                raise OSError("half way")
        yield first + 1

    @task
    def total(several: list[list[int]]) -> int:
        return sum(map(sum, several))

    @flow
    def main() -> tuple[list[int], int]:
        futures = numbers.map([1, 2])
        return numbers.submit(5).result(), total.submit(futures).result()

    assert main() == ([5, 6], 8)

    @flow
    async def main_async() -> list[int]:
        return await count_async.submit(3)

    assert asyncio.run(main_async()) == [1, 2, 3]


def test_the_readers_code_is_outside_the_task_and_the_generators_inside(project: Any) -> None:
    contexts: list[Any] = []

    @task
    def inner() -> None:
        get_logger().info("inside")

    @task
    def numbers() -> Iterator[int]:
        for number in (1, 2):
            context = current()
            contexts.append(context and context.task)
            inner()
            yield number

    @flow
    def main() -> None:
        for _ in zip(numbers(), numbers(), strict=True):
            context = current()
            assert context is not None
            contexts.append(context.task)
            inner()

    main()
    assert contexts == ["numbers", "numbers", None] * 2
    outer = {one.task_run_id for one in project.all("task.started", task="numbers")}
    parents = [one.parent_task_run_id for one in project.all("task.started", task="inner")]
    assert len(outer) == 2
    assert [parent in outer for parent in parents] == [True, True, False] * 2
    assert len({log.task_run_id for log in project.all("log.written")}) == 6


def test_a_generator_alone_is_a_run_of_its_own(project: Any) -> None:
    assert list(count_to(2)) == [1, 2]
    assert project.one("run.started").type == "task"
    assert project.one("run.ended").state == "Completed"
    for _ in count_to(2):
        break
    gc.collect()
    assert [ended.state for ended in project.all("run.ended")] == ["Completed", "Completed"]
    assert current() is None


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_flow_may_be_a_generator(project: Any, asynchronous: bool) -> None:
    @flow
    def tens(number: int) -> Iterator[int]:
        for one in count_to(number):
            yield one * 10

    @flow
    async def tens_async(number: int) -> AsyncIterator[int]:
        async for one in count_async(number):
            yield one * 10

    async def read() -> list[int]:
        return [one async for one in tens_async(2)]

    assert (asyncio.run(read()) if asynchronous else list(tens(2))) == [10, 20]
    assert project.one("run.ended").state == "Completed"
    assert project.one("task.ended").run_id == project.one("run.ended").run_id
    with pytest.raises(ParameterError, match="number"):
        next(tens("x"))  # type: ignore[arg-type]


def test_a_subflow_that_generates_is_closed_with_the_outer_one(project: Any) -> None:
    @flow
    def tens() -> Iterator[int]:
        for one in count_to(9):
            yield one * 10

    @flow
    def main() -> Any:
        reader = tens()
        assert next(reader) == 10
        return reader

    with pytest.raises(UsageError, match="'tens' can't be read any more"):
        next(main())
    assert [(one.flow, one.state) for one in project.all("run.ended")] == [("tens", "Completed"), ("main", "Completed")]


def test_a_failing_flow_closes_what_is_still_read(project: Any) -> None:
    closed = []

    @task
    def numbers() -> Iterator[int]:
        try:
            yield 1
        finally:
            closed.append(1)

    kept = []

    @flow
    def main() -> None:
        kept.append(numbers())
        next(kept[0])
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        main()
    assert closed == [1]
    assert project.states() == {"numbers": ["Completed"]}


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_run_that_is_asked_to_stop_does_not_wait_for_readers(project: Any, asynchronous: bool) -> None:
    closed = []

    @task
    def numbers() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(1)

    @task
    async def numbers_async() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(1)

    kept: list[Any] = []

    @flow
    def main() -> None:
        kept.append(numbers())
        next(kept[0])
        raise Cancelled("enough")

    @flow
    async def main_async() -> None:
        kept.append(numbers_async())
        await anext(kept[0])
        raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        asyncio.run(main_async()) if asynchronous else main()
    assert closed == [1]
    assert project.one("task.ended").state == "Cancelled"
    assert project.one("run.ended").state == "Cancelled"


def test_reading_on_in_a_run_that_was_asked_to_stop_ends_the_task(project: Any) -> None:
    @flow
    def main() -> None:
        context = current()
        assert context is not None
        for number in count_to(3):
            if number == 2:
                context.cancelled.set()

    with pytest.raises(Cancelled):
        main()
    assert project.one("task.ended").state == "Cancelled"


def test_the_timeout_is_for_each_item(project: Any) -> None:
    @task(timeout=0.05)
    async def slow() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(60)
        yield 2

    @flow
    async def main() -> list[int]:
        reader = slow()
        found = [await anext(reader)]
        with pytest.raises(TimeLimitExceeded):
            await anext(reader)
        return found

    assert asyncio.run(main()) == [1]
    assert project.one("task.ended").state == "TimedOut"


def test_a_generator_may_be_read_in_a_thread_of_the_users_own(project: Any) -> None:
    found: list[int] = []

    @flow
    def main() -> None:
        reader = count_to(3)
        found.append(next(reader))
        thread = threading.Thread(target=lambda: found.extend(reader))
        thread.start()
        thread.join()

    main()
    assert found == [1, 2, 3]
    assert project.states() == {"count_to": ["Completed"]}


def test_methods_and_hooks_work_as_with_other_tasks(project: Any) -> None:
    told = []

    class Shop:
        number = 2

        @task(hooks={"Completed": lambda change: told.append(change.state.value)})
        def numbers(self) -> Iterator[int]:
            yield from range(self.number)

    @flow
    def main() -> list[int]:
        return list(Shop().numbers())

    assert main() == [0, 1]
    assert told == ["Completed"]


def test_a_materialization_is_no_generator(project: Any) -> None:
    with pytest.raises(DefinitionError, match="the generator function 'rows' can't be a task"):

        @materialize(Asset("generated_rows", at="memory://generated_rows"))
        def rows() -> Iterator[int]:
            yield 1


def test_the_retry_budget_bounds_the_retries_of_a_run(project: Any) -> None:
    calls = []

    @task(retries=5)
    def flaky(number: int) -> None:
        calls.append(number)
        raise OSError("down")

    @flow
    def inner() -> None:
        flaky.map([1, 2, 3]).result()

    @flow(retry_budget=4)
    def main() -> None:
        inner()

    with pytest.raises(OSError, match="down"):
        main()
    assert len(calls) == 3 + 4
    assert any("the retry budget of its flow is spent" in log.message for log in project.all("log.written"))
    calls.clear()
    with pytest.raises(OSError, match="down"):
        main.with_options(retry_budget=0)()
    assert len(calls) == 3
    with pytest.raises(DefinitionError, match="retry_budget is a number from 0"):
        flow(retry_budget=-1)


def test_an_async_reader_that_left_is_not_told_that_the_run_has_ended(
    project: Any, caplog: pytest.LogCaptureFixture
) -> None:
    @task
    async def count() -> AsyncIterator[int]:
        for number in range(5):
            yield number

    @flow
    async def main() -> int:
        async for number in count():
            if number == 2:
                break
        return number

    assert asyncio.run(main()) == 2
    assert [one.getMessage() for one in caplog.records if one.name == "asyncio"] == []
    assert project.states() == {"count": ["Completed"]}
