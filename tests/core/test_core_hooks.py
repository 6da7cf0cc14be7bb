from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from headwater import Asset, State, flow, on_freshness, task
from headwater.core.hooks import StateChange
from headwater.errors import DefinitionError


class Told(list[StateChange]):
    """A hook that remembers."""

    def __call__(self, change: StateChange) -> None:
        self.append(change)

    @property
    def states(self) -> list[tuple[str, str, int]]:
        return [(change.name, change.state.value, change.tries) for change in self]


EVERY = [
    State.RUNNING,
    State.AWAITING_RETRY,
    State.COMPLETED,
    State.FAILED,
    State.CANCELLED,
    State.SKIPPED,
    State.TIMED_OUT,
]


def test_hooks_hear_of_each_state_that_a_task_comes_into(project: Any) -> None:
    told, tries = Told(), []

    @task(retries=1, hooks=dict.fromkeys(EVERY, told))
    def shaky() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("first")

    @flow
    def main() -> None:
        shaky()

    main()
    assert told.states == [
        ("shaky", "Running", 1),
        ("shaky", "AwaitingRetry", 1),
        ("shaky", "Running", 2),
        ("shaky", "Completed", 2),
    ]
    assert str(told[1].error) == "first"
    ended = project.one("task.ended")
    assert {(change.run_id, change.task_run_id, change.flow) for change in told} == {
        (ended.run_id, ended.task_run_id, "main")
    }


def test_hooks_of_a_flow_hear_of_its_attempts_and_its_end(project: Any) -> None:
    told = Told()

    @flow(retries=1, hooks=dict.fromkeys(EVERY, told))
    def main() -> None:
        raise ValueError("always")

    with pytest.raises(ValueError, match="always"):
        main()
    assert told.states == [
        ("main", "Running", 1),
        ("main", "AwaitingRetry", 1),
        ("main", "Running", 2),
        ("main", "Failed", 2),
    ]
    assert {change.task_run_id for change in told} == {None}


def test_a_skipped_task_tells_its_hook_why(project: Any) -> None:
    told = Told()

    @task
    def fails() -> None:
        raise ValueError("no")

    @task(hooks={"Skipped": told})
    def after(value: Any) -> None: ...

    @flow
    def main() -> None:
        after.submit(fails.submit()).wait()

    main()
    assert told.states == [("after", "Skipped", 0)]
    assert str(told[0].error) == "no"


def test_a_task_whose_condition_raises_tells_its_hook_of_that(project: Any) -> None:
    told = Told()

    @task(retries=1, retry_if=lambda error: error.code == 503, hooks=dict.fromkeys(EVERY, told))  # type: ignore[attr-defined]
    def shaky() -> None:
        raise ValueError("first")

    with pytest.raises(AttributeError, match="code"):
        shaky()
    assert told.states == [("shaky", "Running", 1), ("shaky", "Failed", 1)]
    assert isinstance(told[1].error, AttributeError)


def test_what_a_hook_raises_is_logged_and_changes_nothing(project: Any) -> None:
    told = Told()

    def broken(change: StateChange) -> None:
        raise RuntimeError("the pager is down")

    @task(hooks={"Completed": [broken, told]})
    def fine() -> int:
        return 1

    @flow(hooks={"Completed": broken})
    def main() -> int:
        return fine()

    assert main() == 1
    assert project.states() == {"fine": ["Completed"]}
    assert project.one("run.ended").state == "Completed"
    assert "the pager is down" in project.one("log.written").message
    assert told.states == [("fine", "Completed", 1)]


def test_hooks_of_async_code_may_be_async_and_hear_of_a_cancellation(project: Any) -> None:
    told = Told()

    async def tell(change: StateChange) -> None:
        await asyncio.sleep(0)
        told(change)

    @task(hooks={"Cancelled": tell})
    async def sleeps() -> None:
        await asyncio.sleep(60)

    @flow(hooks={"Cancelled": tell})
    async def main() -> None:
        await sleeps()

    async def cancelled() -> None:
        running = asyncio.ensure_future(main())
        while not project.all("task.started"):
            await asyncio.sleep(0)
        running.cancel()
        await running

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    assert told.states == [("sleeps", "Cancelled", 1), ("main", "Cancelled", 1)]


@pytest.mark.parametrize(
    ("hooks", "why"),
    [
        ({"Done": print}, "no hooks for the state 'Done'"),
        ({"Late": print}, "no hooks for the state 'Late'"),
        ({"Failed": "alert"}, "a hook is a function"),
        ([print], "hooks is a mapping"),
    ],
)
def test_what_is_no_hook_is_refused(hooks: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        task(hooks=hooks)


def _of_prefect(flow: Any, run: Any, state: Any) -> None: ...


@pytest.mark.parametrize("hook", [_of_prefect, lambda: None, lambda change, *, more: None])
def test_a_hook_that_can_not_be_called_with_what_it_is_told_is_refused_where_it_is_written(hook: Any) -> None:
    """It failed when it was needed: the alert was not sent, the file not removed, and the log alone said so."""
    asset = Asset("told", at="memory://told")
    why = "can't be called with a"
    with pytest.raises(DefinitionError, match=f"{why} StateChange"):
        task(hooks={"Failed": [print, hook]})
    with pytest.raises(DefinitionError, match=f"{why} TaskOutcome"):
        task(on_commit=hook)
    undone = task(_of_prefect)
    with pytest.raises(DefinitionError, match=f"{why} TaskOutcome"):
        undone.on_rollback(hook)
    for declare in (on_freshness, on_freshness(asset)):
        with pytest.raises(DefinitionError, match=f"{why} FreshnessChange"):
            declare(hook)


def test_a_hook_may_have_more_parameters_that_have_defaults(project: Any) -> None:
    told: list[str] = []

    class Alerts:
        def send(self, change: StateChange, channel: str = "ops") -> None:
            told.append(f"{channel}: {change.name}")

    @task(hooks={"Completed": [Alerts().send, partial(Alerts().send, channel="data"), lambda *given: None]})
    def load() -> None: ...

    load()
    assert told == ["ops: load", "data: load"]


def test_an_async_hook_of_a_function_that_is_not_is_refused() -> None:
    async def tell(change: StateChange) -> None: ...

    with pytest.raises(DefinitionError, match="is async"):

        @task(hooks={"Failed": tell})
        def main() -> None: ...


def test_with_options_gives_hooks_too(project: Any) -> None:
    told = Told()

    @task
    def one() -> int:
        return 1

    assert one.with_options(hooks={State.COMPLETED: told})() == 1
    assert one() == 1
    assert told.states == [("one", "Completed", 1)]


@pytest.mark.parametrize(("raised", "state"), [(KeyboardInterrupt, "Cancelled"), (SystemExit, "Failed")])
@pytest.mark.parametrize("is_async", [False, True])
def test_what_stops_a_hook_of_a_run_that_begins_ends_the_run(
    project: Any, is_async: bool, raised: Any, state: str
) -> None:
    def stop(change: StateChange) -> None:
        raise raised

    @flow(hooks={State.RUNNING: stop})
    def main() -> None:
        raise AssertionError("it was called")

    @flow(name="main", hooks={State.RUNNING: stop})
    async def in_coroutines() -> None:
        raise AssertionError("it was called")

    with pytest.raises(raised):
        asyncio.run(in_coroutines()) if is_async else main()
    assert project.one("run.ended").state == state


def test_a_task_that_is_stopped_in_its_hook_of_awaiting_retry_has_ended(project: Any) -> None:
    async def slow(change: StateChange) -> None:
        await asyncio.sleep(30)

    @task(retries=1, hooks={State.AWAITING_RETRY: slow})
    async def flaky() -> None:
        raise ValueError("no")

    @flow
    async def main() -> str:
        try:
            async with asyncio.timeout(0.05):
                await flaky()
        except TimeoutError:
            return "it took too long"
        return "done"

    assert asyncio.run(main()) == "it took too long"
    assert project.states() == {"flaky": ["Cancelled"]}
