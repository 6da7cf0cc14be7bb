from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import time
import traceback
import weakref
from collections import namedtuple
from typing import Any

import pytest
from journal_cases import until

from headwater import clock, concurrency, rate_limit
from headwater.core.arguments import allow_failure, unmapped
from headwater.core.context import Run, current
from headwater.core.flow import flow
from headwater.core.futures import as_completed, wait
from headwater.core.hooks import StateChange
from headwater.core.journal.memory import MemoryCarrier
from headwater.core.runs import open_run
from headwater.core.states import State
from headwater.core.task import task
from headwater.core.transactions import transaction
from headwater.errors import Cancelled, UsageError
from headwater.testing import project as project_of

Pair = namedtuple("Pair", "left right")


@task
def double(number: int) -> int:
    return 2 * number


@task
def fail(message: str = "no") -> int:
    raise ValueError(message)


@task
async def later(number: int) -> int:
    await asyncio.sleep(0)
    return number + 1


def test_futures_are_resolved_at_any_depth(project: Any) -> None:
    seen: list[Any] = []

    @task
    def take(*args: Any, **kwargs: Any) -> None:
        seen.append((args, kwargs))

    @flow
    def main() -> None:
        one, two = double.submit(1), double.submit(2)
        untouched = [object()]
        take.submit(one, [two, {"a": (one, {"b": two})}], Pair(one, 7), untouched, key=frozenset([one])).result()
        take({"direct": one})
        assert seen[0][0][3] is untouched

    main()
    args, kwargs = seen[0]
    assert args[:3] == (2, [4, {"a": (2, {"b": 4})}], Pair(2, 7))
    assert kwargs == {"key": frozenset([2])}
    assert seen[1] == (({"direct": 2},), {})


def test_a_list_that_holds_itself_is_no_trap(project: Any) -> None:
    ring: list[Any] = []
    ring.append(ring)

    @task
    def take(value: Any, number: int) -> bool:
        return value is ring

    @flow
    def main() -> bool:
        return take.submit(ring, double.submit(1)).result()

    assert main() is True


def test_a_task_whose_upstream_failed_is_skipped_and_says_so(project: Any) -> None:
    ran = []

    @task
    def after(value: Any) -> None:
        ran.append(value)

    @flow
    def main() -> None:
        last = after.submit(after.submit(fail.submit("broken")))
        assert last.wait()
        assert last.state is State.SKIPPED
        with pytest.raises(ValueError, match="broken"):
            last.result()
        with pytest.raises(ValueError, match="broken"):
            after.submit(1, wait_for=[fail.submit("broken")]).result()
        with pytest.raises(ValueError, match="broken"):
            after(fail.submit("broken"))

    main()
    assert ran == []
    assert project.states()["after"] == ["Skipped"] * 4
    skipped = project.all("task.ended", task="after")
    assert skipped[0].error.message == "it did not run: its upstream 'fail' ended Failed: ValueError: broken"
    assert "ended Skipped" in skipped[1].error.message
    assert project.one("run.ended").state == "Completed"


def test_allow_failure_passes_the_error_on(project: Any) -> None:
    @task
    def look(value: Any) -> str:
        return str(value)

    @flow
    def main() -> list[str]:
        broken = fail.submit("broken")
        return [
            look.submit(allow_failure(broken)).result(),
            look.submit("waited", wait_for=[allow_failure(broken)]).result(),
            look.submit(allow_failure([broken, double.submit(1)])).result(),
        ]

    assert main() == ["broken", "waited", "[ValueError('broken'), 2]"]
    assert project.one("run.ended").state == "Completed"


@pytest.mark.parametrize("around", [lambda one: one, lambda one: [one]])
def test_what_may_fail_in_one_place_alone_may_not(project: Any, around: Any) -> None:
    @task
    def look(*values: Any) -> str:
        return str(values)

    @flow
    def main() -> list[str]:
        broken = around(fail.submit("broken"))
        calls = [
            look.submit(allow_failure(broken), broken),
            look.submit(broken, allow_failure(broken)),
            look.submit(allow_failure(broken), wait_for=[broken]),
        ]
        return [call.state.value for call in wait(calls).done]

    assert main() == ["Skipped"] * 3


@pytest.mark.parametrize("how", ["call", "submit", "map", "iterator"])
def test_wait_for_takes_a_future_alone(project: Any, how: str) -> None:
    @flow
    def main() -> str:
        broken = fail.submit()
        waits: Any = iter([broken]) if how == "iterator" else broken
        calls: dict[str, Any] = {
            "call": lambda: double(1, wait_for=waits),  # type: ignore[call-arg]
            "map": lambda: double.map([1], wait_for=waits).result(),
        }
        with pytest.raises(ValueError, match="no"):
            calls.get(how, lambda: double.submit(1, wait_for=waits).result())()
        with pytest.raises(UsageError, match="wait_for is a future or a list of futures, got int"):
            double.submit(1, wait_for=3)  # type: ignore[call-overload]
        return double.submit(1, wait_for=allow_failure(broken)).state.value

    main()
    assert project.states()["double"] == ["Skipped", "Completed"]


def test_wait_for_orders_without_passing_a_value(project: Any) -> None:
    order: list[str] = []
    release = threading.Event()

    @task
    def first() -> None:
        release.wait(10)
        order.append("first")

    @task
    def second() -> None:
        order.append("second")

    @flow
    def main() -> None:
        one = first.submit()
        two = second.submit(wait_for=[one])
        assert two.state is State.PENDING
        release.set()
        two.result()
        second(wait_for=[one])  # type: ignore[call-arg]

    main()
    assert order == ["first", "second", "second"]


def test_map_goes_through_sequences_side_by_side(project: Any) -> None:
    @task
    def add(a: int, b: int, extra: Any = 0) -> Any:
        return (a + b, extra)

    @flow
    def main() -> None:
        assert add.map([1, 2], [10, 20]).result() == [(11, 0), (22, 0)]
        assert add.map(range(2), 5, extra=unmapped([1])).result() == [(5, [1]), (6, [1])]
        assert add.map(double.map([1, 2]), b=1).result() == [(3, 0), (5, 0)]
        listed = task(lambda_free_list).submit()
        assert double.map(listed).result() == [2, 4]
        with pytest.raises(UsageError, match=r"lengths to map over differ \(argument 1: 2, 'b': 3\)"):
            add.map([1, 2], b=[1, 2, 3])
        with pytest.raises(UsageError, match="nothing to map over"):
            add.map(1, 2)
        assert double.map([]) == []

    main()


def lambda_free_list() -> list[int]:
    return [1, 2]


def test_result_raises_with_the_tasks_own_traceback_each_time(project: Any) -> None:
    lengths = []

    @flow
    def main() -> None:
        future = fail.submit()
        for _ in range(3):
            with pytest.raises(ValueError, match="no") as caught:
                future.result()
            names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
            assert names[-1] == "fail"
            lengths.append(len(names))
        assert isinstance(future.result(raise_on_failure=False), ValueError)

    main()
    assert len(set(lengths)) == 1


def test_as_completed_and_wait(project: Any) -> None:
    first, second = threading.Event(), threading.Event()

    @task
    def waits(event: threading.Event, name: str) -> str:
        assert event.wait(10)
        return name

    @flow
    def main() -> None:
        futures = [waits.submit(second, "b"), waits.submit(first, "a")]
        first.set()
        found = []
        for future in as_completed(futures):
            found.append(future.result())
            second.set()
        assert found == ["a", "b"]
        assert wait([*futures, fail.submit()]).not_done == set()
        over = double.submit(4)
        until(over.done)
        assert [future.result() for future in as_completed([over], timeout=10)] == [8]

    main()
    assert project.one("run.ended").state == "Completed"


def test_who_looks_at_the_state_of_a_future_knows_how_it_ended(project: Any) -> None:
    @flow
    def main() -> str:
        future = fail.submit()
        until(future.done)
        return future.state.value

    assert main() == "Failed"
    assert project.one("run.ended").state == "Completed"


def test_what_waited_for_its_upstream_when_its_run_was_stopped_says_so(project: Any) -> None:
    release = threading.Event()
    waiting: list[Any] = []

    @task
    def waits() -> int:
        assert release.wait(10)
        return 4

    @flow
    def main() -> None:
        waiting.append(double.submit(waits.submit()))
        context = current()
        assert context is not None
        context.cancelled.set()
        release.set()
        waiting[0].result()

    with pytest.raises(Cancelled, match="the run was asked to stop"):
        main()
    assert waiting[0].state.value == "Cancelled"


def test_waits_with_a_timeout_give_up(project: Any) -> None:
    release = threading.Event()

    @task
    def waits() -> None:
        release.wait(10)

    @flow
    def main() -> None:
        future = waits.submit()
        assert future.wait(0.01) is False
        assert wait([future], timeout=0.01).not_done == {future}
        with pytest.raises(TimeoutError, match="waits"):
            future.result(timeout=0.01)
        with pytest.raises(TimeoutError):
            list(as_completed([future], timeout=0.01))
        release.set()

    main()


class Forward(clock.SystemClock):
    """A wall clock that somebody sets forward, again and again."""

    hours = 0

    def now_us(self) -> int:
        self.hours += 1
        return super().now_us() + self.hours * 3_600_000_000


def test_waits_with_a_timeout_go_by_no_clock_that_jumps(project: Any) -> None:
    @task
    def pauses() -> None:
        time.sleep(0.05)

    @flow
    def main() -> None:
        futures = [pauses.submit() for _ in range(2)]
        assert wait(futures, timeout=20).not_done == set()
        futures = [pauses.submit() for _ in range(2)]
        assert set(as_completed(futures, timeout=20)) == set(futures)

    with clock.use(Forward()):
        main()


def test_nested_waits_do_not_deadlock_a_small_pool(project: Any) -> None:
    @task
    def down(depth: int) -> int:
        return 0 if depth == 0 else 1 + down.submit(depth - 1).result()

    @flow(max_workers=2)
    def main() -> int:
        return down.submit(200).result()

    assert main() == 200
    assert len(project.all("task.ended", state="Completed")) == 201


def test_at_most_max_workers_run_at_once(project: Any) -> None:
    lock, running, most = threading.Lock(), 0, 0

    @task
    def counted(_: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.001)
        with lock:
            running -= 1

    @flow(max_workers=3)
    def main() -> None:
        counted.map(range(30))

    main()
    assert most == 3


def test_a_thousand_tasks_leave_no_thread(project: Any) -> None:
    before = threading.active_count()

    @flow
    def main() -> int:
        return sum(double.map(range(1000)).result())

    assert main() == 999_000
    assert threading.active_count() == before
    assert len(project.all("task.ended", state="Completed")) == 1000


def test_tasks_that_wait_for_their_upstream_take_up_no_thread(project: Any) -> None:
    release = threading.Event()

    @task
    def first() -> int:
        release.wait(10)
        return 1

    @flow(max_workers=1)
    def main() -> int:
        future = first.submit()
        for _ in range(50):
            future = double.submit(future)
        assert sum(thread.name.startswith("headwater-") for thread in threading.enumerate()) == 1
        release.set()
        return future.result()

    assert main() == 2**50


def test_async_tasks_run_from_a_sync_flow(project: Any) -> None:
    @task
    async def parent() -> int:
        return await later.submit(1) + await later(2)

    @task
    async def leaves_children() -> None:
        later.submit(5)

    @flow
    def main() -> int:
        leaves_children.submit().result()
        return later.submit(1).result() + parent.submit().result()

    assert main() == 7
    assert set(project.states()["later"]) == {"Completed"}
    assert len(project.states()["later"]) == 4


def test_submit_outside_a_flow_is_a_run_of_its_own(project: Any) -> None:
    futures = [double.submit(1), later.submit(1)]
    assert [future.result() for future in futures] == [2, 2]
    assert double.submit(double.submit(2)).result() == 8
    with pytest.raises(ValueError, match="no"):
        double.submit(fail.submit()).result()
    assert [end.state for end in project.all("run.ended")].count("Completed") == 4


def test_futures_keep_neither_arguments_nor_downstream_values_alive(project: Any) -> None:
    class Big:
        pass

    @task
    def make() -> Any:
        return Big()

    @task
    def consume(value: Any, upstream: int) -> Big:
        return Big()

    @flow
    def main() -> None:
        release = threading.Event()

        @task
        def first() -> int:
            release.wait(10)
            return 1

        upstream, passed = first.submit(), Big()
        kept = consume.submit(passed, upstream)
        release.set()
        dead = [weakref.ref(passed), weakref.ref(kept.result())]
        del passed
        gc.collect()
        assert dead[0]() is None
        del kept
        gc.collect()
        assert dead[1]() is None
        assert upstream.result() == 1
        unused = Big()
        skipped = consume.submit(unused, fail.submit())
        assert isinstance(skipped.result(raise_on_failure=False), ValueError)
        dead.append(weakref.ref(unused))
        del unused
        gc.collect()
        assert dead[2]() is None

    main()


def test_annotations_reach_the_future(project: Any) -> None:
    from headwater.core.task import Task

    class Noting(Task[..., Any]):
        extra = "kept"

        def steps(self, call: Any) -> Any:
            call.annotations["waited for"] = [one.task for one in call.wait_for]
            value = yield from super().steps(call)
            return ("noted", value)

    noting = Noting(double.fn).replace(extra="changed").with_options(name="noting")
    assert noting.extra == "changed"

    @flow
    def main() -> None:
        future = noting.submit(2, wait_for=[double.submit(1)])
        assert future.result() == ("noted", 4)
        assert future.annotations == {"waited for": ["double"]}

    main()


@pytest.mark.parametrize("runner", ["threads", "processes"])
def test_what_is_called_when_its_flow_has_ended_is_a_run_of_its_own_and_leaves_nothing_open(
    project: Any, runner: str
) -> None:
    go_on = threading.Event()
    threads: list[threading.Thread] = []
    runs: list[Run] = []
    results: list[int] = []

    def outlives() -> None:
        assert go_on.wait(10)
        results.append(double.submit(1).result() + later.submit(2).result() + double(3) + inner())

    @flow
    def inner() -> int:
        return double(4)

    @flow(runner=runner)
    def main() -> None:
        context = current()
        assert context is not None
        runs.append(context.run)
        threads.append(threading.Thread(target=contextvars.copy_context().run, args=(outlives,)))
        threads[0].start()

    main()
    go_on.set()
    threads[0].join()
    assert results == [2 + 3 + 6 + 8]
    assert runs[0].session is None
    assert not project.all("task.started", run_id=runs[0].run_id)
    assert [(one.flow, one.parent_run_id) for one in project.all("run.started")] == [
        ("main", None),
        ("double", None),
        ("later", None),
        ("double", None),
        ("inner", None),
    ]
    assert {one.state for one in project.all("run.ended")} == {"Completed"}


def test_what_outlives_a_subflow_belongs_to_the_flow_around_it(project: Any) -> None:
    go_on = threading.Event()

    def outlives() -> None:
        assert go_on.wait(10)
        double.submit(1).result()

    @flow(runner="threads")
    def inner() -> threading.Thread:
        thread = threading.Thread(target=contextvars.copy_context().run, args=(outlives,))
        thread.start()
        return thread

    @flow
    def main() -> None:
        thread = inner()
        go_on.set()
        thread.join()

    main()
    assert project.one("task.started").run_id == project.one("run.started", flow="main").run_id


def test_what_a_hook_of_a_flows_end_submits_is_a_run_of_its_own(project: Any) -> None:
    def tell(change: StateChange) -> None:
        assert double.submit(1).result() == 2

    @flow(hooks={"Failed": tell, "AwaitingRetry": tell}, retries=1)
    def main() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        main()
    assert [one.flow for one in project.all("run.started")] == ["main", "double", "main", "double"]


@task
def last() -> None:
    time.sleep(0.02)
    raise ValueError("the last one")


@task
def submits_last() -> None:
    time.sleep(0.02)  # until the flow waits
    last.submit()


@task
async def last_async() -> None:
    await asyncio.sleep(0.02)
    raise ValueError("the last one")


@task
async def submits_last_async() -> None:
    await asyncio.sleep(0.02)
    last_async.submit()


@task
async def submits_twice() -> None:
    submits_last_async.submit()


@pytest.mark.parametrize("first", [submits_last, submits_last_async, submits_twice])
def test_what_a_task_submits_while_its_flow_waits_is_waited_for(project: Any, first: Any) -> None:
    @flow
    def plain() -> None:
        first.submit()

    @flow
    def with_transaction() -> None:
        with transaction():
            first.submit()

    @flow
    async def asynchronous() -> None:
        first.submit()

    @flow
    async def asynchronous_transaction() -> None:
        async with transaction():
            first.submit()

    def block() -> None:
        with open_run(flow="block"):
            first.submit()

    for way in (
        plain,
        with_transaction,
        block,
        lambda: asyncio.run(asynchronous()),
        lambda: asyncio.run(asynchronous_transaction()),
    ):
        with pytest.raises(ValueError, match="the last one"):
            way()
    assert [one.state for one in project.all("run.ended")] == ["Failed"] * 5
    ends = [one.kind for one in project.bodies if one.kind in ("task.ended", "run.ended")]
    assert ends[-1] == "run.ended"
    assert not [one for one in project.all("task.ended") if one.state == "Cancelled"]


@task
async def awaits_one(number: int) -> int:
    return await double.submit(number)


@task
async def awaits_many(number: int) -> int:
    return sum(await asyncio.gather(*double.map([number, number])))


@task
async def awaits_as_they_end(number: int) -> int:
    return sum([await future async for future in as_completed(double.map([number, number]))])


@flow
async def awaits_at_its_end(number: int) -> int:
    double.submit(number)
    return number


@task
async def awaits_a_flow(number: int) -> int:
    return await awaits_at_its_end(number)


@task
async def awaits_a_slot(number: int) -> int:
    async with concurrency("one", 1):
        return await double.submit(number)


@pytest.mark.parametrize("first", [awaits_one, awaits_many, awaits_as_they_end, awaits_a_flow, awaits_a_slot])
def test_a_coroutine_that_awaits_others_takes_no_thread_from_them(first: Any) -> None:
    results: list[list[int]] = []

    @flow(max_workers=2)
    def main() -> list[int]:
        return first.map([1, 1, 1, 1]).result()

    def run() -> None:
        with project_of(carrier=MemoryCarrier()):
            results.append(main())

    # A daemon: if they waited for each other, it would be for ever.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    assert results
    assert len(set(results[0])) == 1


def test_a_hook_may_call_tasks_when_its_flow_was_stopped(project: Any) -> None:
    results: list[int] = []

    def tell(change: StateChange) -> None:
        results.append(double(1) + double.submit(2).result())

    @flow(hooks={"Cancelled": tell})
    def cancelled() -> None:
        raise Cancelled("enough")

    @flow(hooks={"TimedOut": tell}, timeout=0.01)
    async def too_slow() -> None:
        await asyncio.sleep(10)

    with pytest.raises(Cancelled, match="enough"):
        cancelled()
    with pytest.raises(TimeoutError):
        asyncio.run(too_slow())
    assert results == [6, 6]
    assert [(one.flow, one.state) for one in project.all("run.ended")] == [
        ("cancelled", "Cancelled"),
        ("double", "Completed"),
        ("double", "Completed"),
        ("too_slow", "TimedOut"),
        ("double", "Completed"),
        ("double", "Completed"),
    ]


WAITS: dict[str, Any] = {
    "result": lambda future, seconds: future.result(seconds),
    "wait": lambda future, seconds: len(wait([future], timeout=seconds).done),
    "as_completed": lambda future, seconds: len(list(as_completed([future], timeout=seconds))),
}


@pytest.mark.parametrize("how", WAITS)
@pytest.mark.parametrize("in_thread", [False, True])
def test_a_wait_may_be_endless_and_is_no_odd_number(project: Any, how: str, in_thread: bool) -> None:
    @task
    def slowly(seconds: float) -> int:
        with pytest.raises(UsageError, match="nan is no number of seconds"):
            WAITS[how](double.submit(1), float("nan"))
        return int(WAITS[how](blocked.submit(), seconds))

    @task
    def blocked() -> int:
        time.sleep(0.01)
        return 1

    @flow
    def main() -> list[int]:
        found = slowly.submit if in_thread else slowly
        made = [found(seconds) for seconds in (float("inf"), 1e300)]
        return [one.result() if in_thread else one for one in made]

    assert main() == [1, 1]


def test_a_wait_for_a_limit_may_be_endless(project: Any) -> None:
    with concurrency("warehouse", 1, timeout=float("inf")):
        pass
    for wrong in (
        lambda: concurrency("warehouse", 1, timeout=float("nan")),
        lambda: rate_limit("warehouse", "1/s", timeout=float("nan")),
    ):
        with pytest.raises(UsageError, match="nan is no number of seconds"):
            wrong()


def test_the_first_error_of_a_map_leaves_the_others_to_be_looked_at(project: Any) -> None:
    @flow
    def main(*, all_of_them: bool) -> int:
        futures = fail.map(["one", "two", "three"])
        if all_of_them:
            return len([future.result(raise_on_failure=False) for future in futures])
        with pytest.raises(ValueError, match="one"):
            futures.result()
        return 0

    with pytest.raises(ValueError, match="two"):
        main(all_of_them=False)
    assert main(all_of_them=True) == 3


def test_what_is_waited_for_is_a_future_or_several(project: Any) -> None:
    @flow
    def main() -> int:
        future = double.submit(4)
        assert wait(future).done == {future}
        assert [one.result() for one in as_completed(future)] == [8]
        assert wait([future], timeout=float("-inf")).done == {future}
        return 1

    assert main() == 1
    for waits in (wait, as_completed):
        for wrong in ("x", ["x"], 5, [None], {"a": 1}):
            with pytest.raises(UsageError, match=f"{waits.__name__} takes futures, got (str|int|NoneType)"):
                waits(wrong)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="'soon' is no number of seconds"):
            waits([], timeout="soon")  # type: ignore[arg-type]


def test_values_may_be_nested_more_deeply_than_functions_may_call_each_other(project: Any) -> None:
    @task
    def same(value: Any) -> Any:
        return value

    value: Any = 0
    for _ in range(10_000):
        value = {"inner": (value,)}

    @flow
    def main() -> Any:
        assert same(value) is same.submit(value).result() is value
        return value

    assert main() is value
    assert project.all("run.ended")[-1].state == "Completed"
