"""Limits within a process: blocks, tasks, tags and settings; who waits, in which order, and who stops waiting."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from concurrency_cases import Peak, bodies, free, states, until

from headwater import Asset, as_completed, concurrency, flow, materialize, settings, task
from headwater.core import lobby
from headwater.core.context import current
from headwater.core.gates import _registry
from headwater.errors import Cancelled, DefinitionError, LockTimeout, SettingsError
from headwater.project import Project
from headwater.testing import MemoryCarrier, project


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Project]:
    with project(tmp_path) as found:
        yield found
        assert free(found)


def with_limits(tmp_path: Path, **limits: object) -> None:
    lines = "\n".join(f'"{name}" = {number!r}' for name, number in limits.items())
    (tmp_path / "pyproject.toml").write_text(f"[tool.headwater.limits]\n{lines}\n", encoding="utf-8")


def run_threads(work: Any, many: int) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)


def test_no_more_than_so_many_are_in_a_block(shop: Project) -> None:
    peak = Peak()

    def work(_: int) -> None:
        for _turn in range(5):
            with concurrency("warehouse", 3), peak:
                time.sleep(0.001)

    run_threads(work, 10)
    assert (peak.most, peak.turns) == (3, 50)


def test_a_block_of_async_code(shop: Project) -> None:
    peak = Peak()

    async def work() -> None:
        async with concurrency("warehouse", 2):
            with peak:
                await asyncio.sleep(0.001)

    async def main() -> None:
        await asyncio.gather(*(work() for _ in range(30)))

    asyncio.run(main())
    assert (peak.most, peak.turns) == (2, 30)


def test_threads_and_coroutines_share_a_limit(shop: Project) -> None:
    peak = Peak()

    async def awaits() -> None:
        async with concurrency("warehouse", 1):
            with peak:
                await asyncio.sleep(0.001)

    async def main() -> None:
        await asyncio.gather(*(awaits() for _ in range(10)))

    def work(number: int) -> None:
        if number == 0:
            asyncio.run(main())
        for _turn in range(10):
            with concurrency("warehouse", 1), peak:
                time.sleep(0.0005)

    run_threads(work, 4)
    assert (peak.most, peak.turns) == (1, 50)


def test_who_comes_first_is_served_first(shop: Project) -> None:
    served: list[int] = []

    def work(number: int) -> None:
        with concurrency("warehouse", 1):
            served.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    with concurrency("warehouse", 1):
        gate = next(iter(_registry._gates.values()))
        for number, thread in enumerate(threads):
            thread.start()
            until(lambda number=number: len(gate._queue) == number + 1)  # type: ignore[misc]
    for thread in threads:
        thread.join(30)
    assert served == list(range(8))


def test_several_names_are_taken_in_one_order_so_nothing_deadlocks(shop: Project) -> None:
    peak = Peak()

    def work(number: int) -> None:
        for _turn in range(10):
            with concurrency(["b", "a"] if number % 2 else {"a": 1, "b": 1}, 1), peak:
                time.sleep(0.0005)

    run_threads(work, 4)
    assert (peak.most, peak.turns) == (1, 40)


def test_a_timeout_says_who_holds_it_and_leaves_nothing(shop: Project) -> None:
    @task
    def holds() -> None:
        with pytest.raises(LockTimeout, match="'warehouse' is held by 'holds' in process") as error:
            concurrency("warehouse", 1, timeout=0.02).__enter__()
        assert error.value.hint

    @flow
    def nightly() -> None:
        holds()

    with concurrency("other", 2), concurrency("other", 2):
        with pytest.raises(
            LockTimeout, match=r"all 2 slots of the limit 'other' are held by process \d+, process \d+;"
        ):
            concurrency(["another", "other"], 2, timeout=0).__enter__()
        with concurrency("another", 1, timeout=0):
            pass

    holds = holds.with_options(limits={"warehouse": 1})
    nightly()


def test_a_timeout_in_async_code(shop: Project) -> None:
    async def main() -> None:
        async with concurrency("warehouse", 1):
            with pytest.raises(LockTimeout):
                await concurrency("warehouse", 1, timeout=0.02).__aenter__()

    asyncio.run(main())


def test_one_block_object_may_be_used_by_many_threads(shop: Project) -> None:
    limit, peak = concurrency("warehouse", 2), Peak()

    def work(_: int) -> None:
        with limit, peak:
            until(lambda: peak.most >= 2)
            time.sleep(0.002)

    run_threads(work, 6)
    assert (peak.most, peak.turns) == (2, 6)


def test_tasks_with_a_limit_and_the_states_that_they_come_into(shop: Project) -> None:
    peak = Peak()

    @task(limits={"warehouse": 2})
    def load(_: int) -> None:
        with peak:
            until(lambda: peak.most >= 2)
            time.sleep(0.005)

    @flow
    def nightly() -> None:
        load.map(range(8)).wait()

    nightly()
    assert (peak.most, peak.turns) == (2, 8)
    found = states(shop)
    assert found.count("AwaitingSlot warehouse") == found.count("Running warehouse") >= 4
    assert found.count("Completed") == 8


def test_who_need_not_wait_is_never_said_to(shop: Project) -> None:
    @task(limits={"warehouse": 1})
    def load(_: int) -> None:
        pass

    @flow
    def nightly() -> None:
        for number in range(3):
            load(number)

    nightly()
    assert states(shop) == ["Completed"] * 3


def test_a_waiting_task_is_awaiting_slot_and_its_hook_hears_of_it(shop: Project) -> None:
    heard: list[str] = []
    go = threading.Event()

    @task(limits={"warehouse": 1}, hooks={"AwaitingSlot": lambda change: heard.append(change.name)})
    def load(_: int) -> None:
        assert go.wait(20)

    @flow
    def nightly() -> list[str]:
        first, second = load.submit(1), load.submit(2)
        until(lambda: heard != [])
        found = sorted([first.state.value, second.state.value])
        rows = shop.reader.runs()["runs"]
        assert rows[0]["tasks"] == {"AwaitingSlot": 1, "Running": 1}
        go.set()
        return found

    assert nightly() == ["AwaitingSlot", "Running"]
    assert heard == ["load"]


def test_a_block_in_a_task_makes_it_awaiting_slot(shop: Project) -> None:
    inside = threading.Barrier(2, timeout=20)

    @task
    def load(number: int) -> None:
        if number == 2:
            inside.wait()
        with concurrency("warehouse", 1):
            if number == 1:
                inside.wait()
                until(lambda: "AwaitingSlot warehouse" in states(shop))

    @flow
    def nightly() -> None:
        load.map([1, 2]).wait()

    nightly()
    assert states(shop) == ["AwaitingSlot warehouse", "Completed", "Running warehouse", "Completed"]


def test_who_gives_up_a_block_and_goes_on_is_running_again(shop: Project) -> None:
    @task
    def load() -> str:
        try:
            with concurrency("warehouse", 1, timeout=0.02):
                return "waited for"
        except LockTimeout:
            assert states(shop)[-1] == "Running warehouse"
            return "done without"

    with concurrency("warehouse", 1):
        assert load() == "done without"


def test_a_slot_is_not_held_while_a_retry_waits(shop: Project) -> None:
    ran: list[str] = []
    failed = threading.Event()

    @task(limits={"warehouse": 1}, retries=1, retry_delay=0.3)
    def fails() -> None:
        ran.append("fails")
        failed.set()
        if len(ran) == 1:
            raise ValueError("not yet")

    @task(limits={"warehouse": 1})
    def other() -> None:
        ran.append("other")

    @flow
    def nightly() -> None:
        first = fails.submit()
        assert failed.wait(20)
        other.submit().result()
        first.result()

    nightly()
    assert ran == ["fails", "other", "fails"]


@pytest.mark.parametrize("is_async", [False, True])
def test_an_error_frees_the_slot(shop: Project, is_async: bool) -> None:
    @task(limits={"warehouse": 1})
    def fails() -> None:
        raise ValueError("no")

    @task(limits={"warehouse": 1})
    async def fails_async() -> None:
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            asyncio.run(fails_async()) if is_async else fails()  # type: ignore[func-returns-value]


def test_tags_with_a_limit_hold_for_every_task_that_has_them(tmp_path: Path) -> None:
    with_limits(tmp_path, **{"tag:etl": 1, "warehouse": 2})
    peak, other = Peak(), Peak()

    @task(tags=["etl", "daily"])
    def extract(_: int) -> None:
        with peak:
            time.sleep(0.002)

    @task(tags=["etl"])
    def transform(_: int) -> None:
        with peak:
            time.sleep(0.002)

    @task(tags=["daily"], limits="warehouse")
    def load(_: int) -> None:
        with other:
            time.sleep(0.002)

    @flow(tags=["etl"])
    def nightly() -> None:
        for futures in [one.map(range(4)) for one in (extract, transform, load)]:
            futures.wait()

    with project(tmp_path) as shop:
        nightly()
        assert free(shop)
    assert (peak.most, peak.turns, other.turns) == (1, 8, 4)
    assert other.most <= 2


def test_where_two_places_give_a_number_the_smaller_one_holds(tmp_path: Path) -> None:
    with_limits(tmp_path, warehouse=2)
    for number, most in ((1, 1), (5, 2)):
        peak = Peak()

        def work(_: int, number: int = number, most: int = most, peak: Peak = peak) -> None:
            with concurrency("warehouse", number), peak:
                until(lambda: peak.most >= most)  # on a busy machine they may come one after the other
                time.sleep(0.003)

        with project(tmp_path):
            run_threads(work, 6)
        assert (peak.most, peak.turns) == (most, 6)


def test_among_those_who_say_different_numbers_the_smallest_holds(shop: Project) -> None:
    held = [concurrency("warehouse", 5).__enter__() for _ in range(2)]
    with concurrency("warehouse", 3), pytest.raises(LockTimeout):
        concurrency("warehouse", 5, timeout=0.02).__enter__()
    # Until they are done with it.
    with concurrency("warehouse", 5, timeout=0), concurrency("warehouse", 5, timeout=0):
        pass
    for one in held:
        one.__exit__(None, None, None)


def test_a_slot_beyond_a_limit_that_was_lowered_is_handed_to_nobody(shop: Project) -> None:
    async def main() -> None:
        first, second = [await concurrency("warehouse", 2).__aenter__() for _ in range(2)]
        waiting = asyncio.ensure_future(concurrency("warehouse", 1).__aenter__())
        await asyncio.sleep(0.01)
        await second.__aexit__(None, None, None)
        await asyncio.sleep(0.03)
        assert not waiting.done()
        await first.__aexit__(None, None, None)
        await (await waiting).__aexit__(None, None, None)

    asyncio.run(main())


def test_a_limit_without_any_number_says_where_to_write_one(shop: Project) -> None:
    @task(limits="warehouse")
    def load() -> None:
        pass

    for call in (lambda: concurrency("warehouse").__enter__(), load):
        with pytest.raises(DefinitionError, match="nobody says how many") as error:
            call()  # type: ignore[no-untyped-call]
        assert "[tool.headwater.limits]" in str(error.value)


@pytest.mark.parametrize("number", [0, -1, 1.5, "3", True])
def test_a_number_that_makes_no_sense(tmp_path: Path, number: Any) -> None:
    for define in (
        lambda: concurrency("warehouse", number),
        lambda: concurrency({"warehouse": number}),
        lambda: task(limits={"warehouse": number}),
    ):
        with pytest.raises(DefinitionError, match="'warehouse' is a number from 1"):
            define()
    if number is not True:
        with_limits(tmp_path, warehouse=number)
        with pytest.raises(SettingsError, match="'warehouse' is a number from 1"):
            settings.load(tmp_path, environ={})


@pytest.mark.parametrize("names", [3, [3], [""], {"": 1}, [("a", 1, 2)]])
def test_names_that_make_no_sense(names: Any) -> None:
    with pytest.raises(DefinitionError):
        concurrency(names, 1)
    with pytest.raises(DefinitionError):
        task(limits=names)
    with pytest.raises(DefinitionError, match="without a limit's name"):
        concurrency([])


def test_limits_from_the_environment(tmp_path: Path) -> None:
    found = settings.load(tmp_path, environ={"HEADWATER_LIMITS": "warehouse=3,tag:etl=2"})
    assert found.limits == {"warehouse": 3, "tag:etl": 2}
    for wrong in ("warehouse", "warehouse=", "warehouse=many", "=3", "warehouse=-1"):
        with pytest.raises(SettingsError, match="is a number from 1") as error:
            settings.load(tmp_path, environ={"HEADWATER_LIMITS": wrong})
        assert "HEADWATER_LIMITS" in str(error.value)
    with_limits(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.headwater]\nlimits = 3\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="a table"):
        settings.load(tmp_path, environ={})


def test_materializations_have_limits_too(shop: Project) -> None:
    peak = Peak()

    @materialize(Asset("orders", at="parquet://orders"), limits={"warehouse": 1})
    def orders() -> list[dict[str, int]]:
        with peak:
            return [{"id": 1}]

    @flow
    def nightly() -> None:
        for future in [orders.submit() for _ in range(3)]:
            future.result()

    nightly()
    assert (peak.most, peak.turns) == (1, 3)


def test_threads_that_wait_do_not_count_against_the_threads_of_a_flow(shop: Project) -> None:
    @task(limits={"warehouse": 1})
    def needs_another(number: int) -> int:
        return helps.submit(number).result()

    @task
    def helps(number: int) -> int:
        return number

    @flow(max_workers=2)
    def nightly() -> list[int]:
        return sorted(future.result() for future in as_completed(needs_another.map(range(6)), timeout=30))

    assert nightly() == list(range(6))


def test_of_many_submitted_tasks_only_some_wait_in_threads(shop: Project) -> None:
    threads = [0]

    @task(limits={"warehouse": 2})
    def load(number: int) -> int:
        threads[0] = max(threads[0], threading.active_count())
        return number

    @flow
    def nightly() -> list[int]:
        return load.map(range(300)).result()

    before = threading.active_count()
    assert nightly() == list(range(300))
    assert threads[0] <= before + 2 + lobby.MORE + 33


def test_those_that_did_not_even_wait_in_threads_end_with_their_run(shop: Project) -> None:
    ran: list[int] = []

    @task(limits={"warehouse": 1})
    def load(number: int) -> None:
        ran.append(number)

    @flow
    def nightly() -> None:
        futures = load.map(range(1_500))
        until(lambda: shop.locks.waiting("limit:warehouse") >= lobby.MORE)
        context = current()
        assert context is not None
        context.cancelled.set()
        futures.result()

    with concurrency("warehouse", 1), pytest.raises(Cancelled):
        nightly()
    assert ran == []


def test_who_waits_for_a_slot_never_holds_up_the_event_loop(shop: Project) -> None:
    @task(limits={"warehouse": 1})
    async def load() -> None:
        await asyncio.sleep(0.02)

    @flow
    async def nightly() -> int:
        futures, ticks = [load.submit() for _ in range(3)], 0
        while not all(future.done() for future in futures):
            await asyncio.sleep(0.002)
            ticks += 1
        return ticks

    assert asyncio.run(nightly()) >= 10


@pytest.mark.parametrize("as_block", [False, True])
def test_a_cancelled_run_waits_no_longer(shop: Project, as_block: bool) -> None:
    ran: list[int] = []

    @task(limits={"warehouse": 1})
    def load(number: int) -> None:
        ran.append(number)

    @task
    def load_in_block(number: int) -> None:
        with concurrency("warehouse", 1):
            ran.append(number)

    @flow
    def nightly() -> None:
        futures = (load_in_block if as_block else load).map(range(4))
        until(lambda: states(shop).count("AwaitingSlot warehouse") == 4)
        context = current()
        assert context is not None
        context.cancelled.set()
        futures.result()

    with concurrency("warehouse", 1), pytest.raises(Cancelled):
        nightly()
    assert ran == []
    assert states(shop).count("Cancelled") == 4
    assert bodies(shop, "run.ended")[-1]["state"] == "Cancelled"


def test_a_cancelled_coroutine_waits_no_longer_and_holds_up_nobody(shop: Project) -> None:
    @task(limits={"warehouse": 1})
    async def load() -> str:
        return "done"

    @flow
    async def nightly() -> str:
        async with concurrency("warehouse", 1):
            first, second = asyncio.ensure_future(load()), asyncio.ensure_future(load())
            await asyncio.sleep(0.02)
            first.cancel()
            await asyncio.sleep(0)
        return await second

    assert asyncio.run(nightly()) == "done"


def test_a_flow_that_takes_too_long_stops_waiting(shop: Project) -> None:
    @task(limits={"warehouse": 1})
    async def load() -> None:
        pass

    @flow(timeout=0.1)
    async def nightly() -> None:
        await load()

    with concurrency("warehouse", 1), pytest.raises(TimeoutError):
        asyncio.run(nightly())
    assert bodies(shop, "run.ended")[-1]["state"] == "TimedOut"


def test_when_the_first_who_waits_gives_up_the_next_one_waits_in_its_place(shop: Project) -> None:
    async def main() -> None:
        held = shop.locks.try_hold("limit:warehouse")  # as another process does
        assert held is not None
        first, second, third = [
            asyncio.ensure_future(concurrency("warehouse", 1, timeout=seconds).__aenter__())
            for seconds in (0.03, 20, 0.06)
        ]
        for one in (first, third):
            with pytest.raises(LockTimeout):
                await one
        held.release()
        await (await asyncio.wait_for(second, 5)).__aexit__(None, None, None)

    asyncio.run(main())


def test_a_slot_that_is_handed_to_somebody_who_goes_is_handed_on(shop: Project) -> None:
    async def main() -> None:
        holder = await concurrency("warehouse", 1).__aenter__()
        waiting = [asyncio.ensure_future(concurrency("warehouse", 1).__aenter__()) for _ in range(3)]
        await asyncio.sleep(0.01)
        await holder.__aexit__(None, None, None)
        waiting[0].cancel()  # it was rung for and has not run since
        done, _ = await asyncio.wait(waiting[1:], timeout=20, return_when=asyncio.FIRST_COMPLETED)
        assert done == {waiting[1]}
        for one in waiting[1:]:
            await (await one).__aexit__(None, None, None)

    asyncio.run(main())


def test_thousands_of_coroutines_cost_one_file(shop: Project, stress: bool) -> None:
    most, many, peak, files = 100, 10_000 if stress else 1_000, Peak(), [0]

    async def work() -> None:
        async with concurrency("warehouse", most):
            with peak:
                if peak.turns % 100 == 0:
                    files[0] = max(files[0], sum(1 for _ in shop.home.locks.rglob("*")))
                await asyncio.sleep(0)

    async def main() -> float:
        before = time.process_time()
        await asyncio.gather(*(work() for _ in range(many)))
        return time.process_time() - before

    threads = threading.active_count()
    spent = asyncio.run(main())
    assert (peak.most, peak.turns, threading.active_count()) == (most, many, threads)
    # The slots, the line, and one place in it.
    assert files[0] <= most + 2
    # About 0.3 ms each; with each of them looking for itself every 10 ms it would never end.
    assert spent < many / 1_000


def test_a_journal_in_memory_has_limits_too() -> None:
    peak = Peak()

    @task(limits={"warehouse": 2})
    def load(_: int) -> None:
        with peak:
            until(lambda: peak.most >= 2)
            time.sleep(0.002)

    @flow
    def nightly() -> None:
        load.map(range(6)).wait()

    with project(carrier=MemoryCarrier()) as shop:
        nightly()
        assert shop.locks.seen() == []
    assert (peak.most, peak.turns) == (2, 6)
