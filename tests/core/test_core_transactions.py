"""Transactions of tasks: commit and rollback hooks, nesting, what was submitted, and what a rolled back task run shows."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Any

import pytest

from headwater import State, TaskOutcome, flow, get_transaction, task, transaction
from headwater.core.hooks import StateChange
from headwater.core.transactions import TransactionState
from headwater.errors import Cancelled, DefinitionError, TimeLimitExceeded, UsageError


class Diary(list[str]):
    """What hooks were told, in order."""

    def commit(self, outcome: TaskOutcome) -> None:
        self.append(f"commit {outcome.result}")

    def undo(self, outcome: TaskOutcome) -> None:
        self.append(f"undo {outcome.result}")


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
def step(diary: Diary) -> Any:
    @task(on_commit=diary.commit, on_rollback=diary.undo)
    def step(n: Any) -> Any:
        if isinstance(n, Exception):
            raise n
        return n

    return step


def last_states(project: Any) -> dict[str, str]:
    """The state that holds for each task run, by task name and order."""
    from headwater.core.states import PRECEDENCE

    found: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for body in project.all("task.ended"):
        found.setdefault(body.task_run_id, []).append(body.state)
        names[body.task_run_id] = body.task
    return {
        f"{names[one]}{place}": min(states, key=PRECEDENCE.index) for place, (one, states) in enumerate(found.items())
    }


def test_a_block_that_ends_well_commits_in_the_order_of_completing(project: Any, step: Any, diary: Diary) -> None:
    @flow
    def main() -> Any:
        with transaction() as txn:
            step(1)
            step(2)
            assert diary == []
        return txn.state

    assert main() is TransactionState.COMMITTED
    assert diary == ["commit 1", "commit 2"]
    assert last_states(project) == {"step0": "Completed", "step1": "Completed"}


def test_a_block_that_raises_is_rolled_back_in_reverse(project: Any, step: Any, diary: Diary) -> None:
    @flow
    def main() -> None:
        with transaction():
            step(1)
            step(2)
            step(ValueError("third"))

    with pytest.raises(ValueError, match="third"):
        main()
    assert diary == ["undo 2", "undo 1"]
    assert last_states(project) == {"step0": "RolledBack", "step1": "RolledBack", "step2": "Failed"}
    error = project.all("task.ended", state="RolledBack")[0].error
    assert (error.type, error.message) == ("RolledBack", "its transaction was rolled back: ValueError: third")
    assert project.one("run.ended").state == "Failed"


def test_all_hooks_run_though_some_raise_and_the_blocks_error_is_what_the_caller_gets(project: Any) -> None:
    told: list[str] = []

    @task
    def load(n: int) -> int:
        return n

    @load.on_rollback
    def first(outcome: TaskOutcome) -> None:
        told.append(f"first {outcome.arguments['n']}")

    @load.on_rollback
    def second(outcome: TaskOutcome) -> None:
        told.append(f"second {outcome.arguments['n']}")
        raise KeyError(outcome.result)

    made: list[Any] = []

    @flow
    def main() -> None:
        with transaction() as txn:
            made.append(txn)
            load(1)
            load(n=2)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no") as raised:
        main()
    assert told == ["second 2", "first 2", "second 1", "first 1"]
    assert [note.split(".")[-1] for note in raised.value.__notes__] == [
        "second of 'load' raised KeyError: 2",
        "second of 'load' raised KeyError: 1",
    ]
    assert [repr(error) for error in made[0].errors] == ["KeyError(2)", "KeyError(1)"]
    assert "raised KeyError: 2" in project.all("log.written")[0].message


def test_a_commit_hook_that_raises_changes_nothing(project: Any, step: Any, diary: Diary) -> None:
    def broken(outcome: TaskOutcome) -> None:
        raise RuntimeError("post is closed")

    @flow
    def main() -> str:
        with transaction() as txn:
            step.with_options(on_commit=[broken, diary.commit])(1)
            step(2)
        assert [str(error) for error in txn.errors] == ["post is closed"]
        return "done"

    assert main() == "done"
    assert diary == ["commit 1", "commit 2"]
    assert "commit hook" in project.one("log.written").message


def test_a_hook_is_told_what_it_needs(project: Any) -> None:
    told: list[TaskOutcome] = []

    @task(retries=1)
    def load(table: str, rows: int = 3) -> dict[str, int]:
        found = get_transaction()
        assert found is not None
        found.set("seen", [*found.get("seen", []), table])
        if len(found.get("seen")) == 1:
            raise OSError("not yet")
        return {table: rows}

    load.on_rollback(told.append)

    @flow
    def main() -> None:
        with transaction("stage") as txn:
            txn.set("path", "/lake")
            load("orders")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        main()
    (outcome,) = told
    ended = project.one("task.ended", state="RolledBack")
    assert (outcome.name, outcome.state, outcome.flow, outcome.tries) == ("load", State.ROLLED_BACK, "main", 2)
    assert (outcome.task_run_id, outcome.run_id) == (ended.task_run_id, ended.run_id)
    assert (outcome.arguments, outcome.result) == ({"table": "orders"}, {"orders": 3})
    assert str(outcome.error) == "no"
    assert outcome.get("path") == "/lake"
    assert outcome.get("seen") == ["orders", "orders"]
    assert outcome.get("nothing", 7) == 7
    with pytest.raises(AttributeError):
        outcome.result = None  # type: ignore[misc]


def test_rollback_when_it_is_asked_for_raises_nothing(project: Any, step: Any, diary: Diary) -> None:
    @flow
    def main() -> str:
        with transaction() as txn:
            step(1)
            txn.rollback("the figures look odd")
            step(2)
        return txn.state.value

    assert main() == "RolledBack"
    assert diary == ["undo 2", "undo 1"]
    assert project.all("task.ended", state="RolledBack")[0].error.message.endswith("the figures look odd")
    assert project.one("run.ended").state == "Completed"


def test_the_hooks_of_the_state_hear_of_it_after_it_is_recorded(project: Any) -> None:
    told: list[Any] = []

    def hear(change: StateChange) -> None:
        told.append((change.name, change.state, str(change.error), len(project.all("task.ended", state="RolledBack"))))

    @task(hooks={"RolledBack": hear})
    def load() -> None: ...

    @flow
    def main() -> None:
        with transaction():
            load()
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        main()
    assert told == [("load", State.ROLLED_BACK, "no", 1)]


# Nested.


def test_an_inner_transaction_joins_the_outer_one(project: Any, step: Any, diary: Diary) -> None:
    @flow
    def main(fails: bool) -> None:
        with transaction() as outer:
            outer.set("who", "outer")
            step(1)
            with transaction() as inner:
                assert inner.get("who") == "outer"
                step(2)
            assert inner.state is TransactionState.JOINED
            step(3)
            assert diary == []
            if fails:
                raise ValueError("no")

    main(False)
    assert diary == ["commit 1", "commit 2", "commit 3"]
    diary.clear()
    with pytest.raises(ValueError, match="no"):
        main(True)
    assert diary == ["undo 3", "undo 2", "undo 1"]


def test_an_inner_failure_that_is_caught_rolls_back_the_inner_one_alone(project: Any, step: Any, diary: Diary) -> None:
    @flow
    def main() -> None:
        with transaction():
            step(1)
            try:
                with transaction():
                    step(2)
                    step(ValueError("inner"))
            except ValueError:
                diary.append("caught")
            step(3)

    main()
    assert diary == ["undo 2", "caught", "commit 1", "commit 3"]
    assert last_states(project) == {
        "step0": "Completed",
        "step1": "RolledBack",
        "step2": "Failed",
        "step3": "Completed",
    }


def test_tasks_in_tasks_and_flows_in_the_block_belong_to_it(project: Any, step: Any, diary: Diary) -> None:
    @task(on_rollback=diary.undo)
    def around() -> str:
        step(1)
        return "around"

    @flow
    def inner() -> None:
        step(2)

    @flow
    def main() -> None:
        with transaction():
            around()
            inner()
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        main()
    assert diary == ["undo 2", "undo around", "undo 1"]
    assert [body.state for body in project.all("run.ended", flow="inner")] == ["Completed", "RolledBack"]
    assert [body.state for body in project.all("run.ended", flow="main")] == ["Failed"]


def test_what_a_hook_calls_belongs_to_no_transaction(project: Any, diary: Diary) -> None:
    @task(on_rollback=diary.undo)
    def clean(outcome: TaskOutcome) -> str:
        assert get_transaction() is None
        diary.append("cleaned")
        return "clean"

    @task(on_rollback=clean)
    def load() -> None: ...

    @flow
    def main() -> None:
        with transaction():
            with transaction() as inner:
                load()
                inner.rollback()
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        main()
    assert diary == ["cleaned"]
    assert last_states(project) == {"load0": "RolledBack", "clean1": "Completed"}


# Submitted.


def test_submitted_tasks_are_waited_for(project: Any, diary: Diary) -> None:
    gate = threading.Event()

    @task(on_commit=diary.commit)
    def slow(n: int) -> int:
        assert gate.wait(20)
        return n

    @flow
    def main() -> None:
        with transaction():
            slow.map([1, 2])
            assert diary == []
            gate.set()
        assert sorted(diary) == ["commit 1", "commit 2"]

    main()


def test_a_submitted_task_that_fails_unseen_rolls_back_and_is_raised(project: Any, step: Any, diary: Diary) -> None:
    @flow
    def main() -> str:
        try:
            with transaction():
                step(1)
                step.submit(ValueError("unseen"))
        except ValueError as error:
            diary.append(str(error))
        return "done"

    assert main() == "done"
    assert diary == ["undo 1", "unseen"]


def test_a_submitted_failure_that_somebody_looked_at_does_not(project: Any, step: Any, diary: Diary) -> None:
    @flow
    def main() -> None:
        with transaction():
            future = step.submit(ValueError("seen"))
            assert isinstance(future.result(raise_on_failure=False), ValueError)
            step(1)

    main()
    assert diary == ["commit 1"]


def test_a_block_that_raises_waits_for_what_it_submitted(project: Any, diary: Diary) -> None:
    gate = threading.Event()

    @task(on_rollback=diary.undo)
    def slow() -> int:
        assert gate.wait(20)
        return 1

    @flow
    def main() -> None:
        with transaction():
            slow.submit()
            gate.set()
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        main()
    assert diary == ["undo 1"]
    assert last_states(project) == {"slow0": "RolledBack"}


def test_a_future_shows_that_its_task_run_was_rolled_back(project: Any, step: Any) -> None:
    @flow
    def main() -> str:
        with transaction() as txn:
            future = step.submit(1)
            txn.rollback()
        return f"{future.state.value} {future.result()}"

    assert main() == "RolledBack 1"


def test_threads_that_carry_the_context_belong_to_it_and_others_do_not(project: Any, step: Any, diary: Diary) -> None:
    import contextvars

    @flow
    def main() -> None:
        with transaction() as txn:
            for target in (contextvars.copy_context().run, lambda fn, *args: fn(*args)):
                thread = threading.Thread(target=target, args=(step, len(diary) + 1))
                thread.start()
                thread.join()
                diary.append("called")
            txn.rollback()

    main()
    # A thread without the context runs its task outside any flow: it commits at once.
    assert diary == ["called", "commit 2", "called", "undo 1"]


# Cancellation.


def test_a_run_that_was_asked_to_stop_rolls_back(project: Any, step: Any, diary: Diary) -> None:
    @flow
    def main() -> None:
        with transaction():
            step(1)
            found = get_transaction()
            assert found is not None
            assert found._run is not None
            found._run.cancelled.set()

    with pytest.raises(Cancelled):
        main()
    assert diary == ["undo 1"]
    assert project.one("run.ended").state == "Cancelled"


def test_a_hook_that_is_interrupted_keeps_no_completed_task_from_being_rolled_back(project: Any, diary: Diary) -> None:
    def stopped(change: StateChange) -> None:
        raise KeyboardInterrupt

    @task(on_commit=diary.commit, on_rollback=diary.undo, hooks={State.COMPLETED: stopped})
    def load(n: int) -> int:
        return n

    @task(on_commit=diary.commit, on_rollback=diary.undo, hooks={State.COMPLETED: stopped})
    async def load_async(n: int) -> int:
        return n

    @flow
    def main() -> None:
        with transaction():
            load(1)

    @flow
    async def main_async() -> None:
        async with transaction():
            await load_async(2)

    @flow
    def alone() -> None:
        load(3)

    for run in (main, lambda: asyncio.run(main_async()), alone):
        with pytest.raises(KeyboardInterrupt):
            run()
    assert diary == ["undo 1", "undo 2", "commit 3"]
    assert last_states(project) == {"load0": "RolledBack", "load_async1": "RolledBack", "load2": "Completed"}


def test_a_task_that_ends_after_its_transaction_was_rolled_back_is_rolled_back_too(project: Any, diary: Diary) -> None:
    called, gate = threading.Event(), threading.Event()

    @task(on_rollback=diary.undo)
    def late() -> str:
        called.set()
        assert gate.wait(20)
        return "late"

    @flow
    def main() -> None:
        import contextvars

        with transaction() as txn:
            context = contextvars.copy_context()
            thread = threading.Thread(target=context.run, args=(late,))
            thread.start()
            assert called.wait(20)
            txn.rollback()
        diary.append("over")
        gate.set()
        thread.join()

    main()
    assert diary == ["over", "undo late"]
    assert last_states(project) == {"late0": "RolledBack"}


def test_a_task_that_ends_after_the_commit_commits_at_once(project: Any, diary: Diary) -> None:
    called, gate = threading.Event(), threading.Event()

    @task(on_commit=diary.commit)
    def late() -> str:
        called.set()
        assert gate.wait(20)
        return "late"

    @flow
    def main() -> None:
        import contextvars

        with transaction():
            context = contextvars.copy_context()
            thread = threading.Thread(target=context.run, args=(late,))
            thread.start()
            assert called.wait(20)
        diary.append("over")
        gate.set()
        thread.join()

    main()
    assert diary == ["over", "commit late"]


# Async.


def test_async_transactions_await_async_hooks(project: Any) -> None:
    told: list[str] = []

    @task
    async def load(n: int) -> int:
        await asyncio.sleep(0)
        return n

    @load.on_rollback
    async def undo(outcome: TaskOutcome) -> None:
        await asyncio.sleep(0)
        told.append(f"undo {outcome.result}")

    @load.on_commit
    async def keep(outcome: TaskOutcome) -> None:
        await asyncio.sleep(0)
        told.append(f"commit {outcome.result}")

    @flow
    async def main(fails: bool) -> None:
        async with transaction():
            await asyncio.gather(load(1), load(1))
            load.submit(2)
            await asyncio.sleep(0)
            if fails:
                raise ValueError("no")

    asyncio.run(main(False))
    assert told == ["commit 1", "commit 1", "commit 2"]
    told.clear()
    with pytest.raises(ValueError, match="no"):
        asyncio.run(main(True))
    assert told == ["undo 2", "undo 1", "undo 1"]


def test_transactions_side_by_side_in_one_loop_know_their_own(project: Any, diary: Diary) -> None:
    @task(on_commit=diary.commit, on_rollback=diary.undo)
    async def load(n: int) -> int:
        await asyncio.sleep(0)
        return n

    async def block(n: int) -> None:
        async with transaction() as txn:
            await load(n)
            await load(n + 1)
            if n:
                txn.rollback()

    @flow
    async def main() -> None:
        await asyncio.gather(block(0), block(10))

    asyncio.run(main())
    assert sorted(diary) == ["commit 0", "commit 1", "undo 10", "undo 11"]


def test_a_cancelled_or_timed_out_async_block_rolls_back(project: Any, diary: Diary) -> None:
    @task(on_rollback=diary.undo)
    async def load(n: int) -> int:
        return n

    @flow(timeout=0.05)
    async def slow() -> None:
        async with transaction():
            await load(1)
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        asyncio.run(slow())
    assert diary == ["undo 1"]
    assert project.one("run.ended").state == "TimedOut"

    @flow
    async def caught() -> str:
        try:
            async with asyncio.timeout(0.01), transaction():
                await load(2)
                await asyncio.sleep(60)
        except TimeoutError:
            diary.append("caught")
        return "done"

    assert asyncio.run(caught()) == "done"
    assert diary == ["undo 1", "undo 2", "caught"]


def test_an_async_hook_of_a_sync_transaction_is_run(project: Any) -> None:
    told: list[Any] = []

    @task
    def load() -> int:
        return 1

    @load.on_commit
    async def tell(outcome: TaskOutcome) -> None:
        await asyncio.sleep(0)
        told.append(outcome.result)

    @flow
    def main() -> None:
        with transaction():
            load()

    main()
    assert told == [1]


# Outside, and wrong.


def test_outside_any_transaction_a_task_commits_when_it_completes(project: Any, step: Any, diary: Diary) -> None:
    step(1)

    @flow
    def main() -> None:
        step(2)
        with pytest.raises(ValueError, match="no"):
            step(ValueError("no"))

    main()
    assert diary == ["commit 1", "commit 2"]


def test_the_time_of_a_flow_is_up_in_a_commit_hook_outside_any_transaction(project: Any) -> None:
    async def hook(outcome: TaskOutcome) -> None:
        await asyncio.sleep(30)

    @task(on_commit=hook)
    async def load() -> int:
        return 1

    @flow(timeout=0.05)
    async def main() -> int:
        await load()
        await asyncio.sleep(0)
        return 2

    with pytest.raises(TimeLimitExceeded):
        asyncio.run(main())
    assert last_states(project) == {"load0": "Completed"}
    assert project.one("run.ended").state == "TimedOut"


def test_outside_any_run_a_transaction_is_a_run_of_its_own(project: Any, step: Any, diary: Diary) -> None:
    with transaction("nightly"):
        step(1)
    assert project.one("run.started").flow == "nightly"
    with suppress(ValueError), transaction():
        step(2)
        raise ValueError("no")
    with transaction() as txn:
        step(3)
        txn.rollback("enough")
    assert diary == ["commit 1", "undo 2", "undo 3"]
    assert [body.state for body in project.all("run.ended")] == ["Completed", "Failed", "Completed", "RolledBack"]
    assert project.all("run.ended")[-1].error.message == "its transaction was rolled back: enough"


def test_wrong_use_is_told(project: Any) -> None:
    @flow
    async def blocking() -> None:
        with transaction():
            pass

    with pytest.raises(UsageError, match="async with transaction"):
        asyncio.run(blocking())

    async def outside() -> None:
        async with transaction():
            pass

    with pytest.raises(UsageError, match="outside any run"):
        asyncio.run(outside())
    with pytest.raises(DefinitionError, match="on_rollback is a function"):
        task(on_rollback="undo")(len)
    with pytest.raises(DefinitionError, match="are for tasks"):
        flow(on_commit=print)(lambda: None)

    @flow
    def twice() -> None:
        once = transaction()
        with once:
            pass
        with once:
            pass

    with pytest.raises(UsageError, match="used already"):
        twice()


def test_a_generator_in_a_transaction_and_a_transaction_in_a_generator(project: Any, step: Any, diary: Diary) -> None:
    @task(on_rollback=diary.undo)
    def count() -> Any:
        yield 1
        yield 2
        return "counted"

    @flow
    def inner() -> Any:
        with transaction() as txn:
            step("in")
            yield txn
            txn.rollback()

    @flow
    def main() -> None:
        with transaction() as outer:
            assert list(count()) == [1, 2]
            outer.rollback()
        for txn in inner():
            # The reader's code is not in the block of the generator that it reads.
            assert get_transaction() is None
            step("out")
            assert txn.state is TransactionState.OPEN

    main()
    assert diary == ["undo counted", "commit out", "undo in"]
