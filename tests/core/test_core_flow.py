from __future__ import annotations

import asyncio
import contextlib
import re
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from headwater.core import runtime
from headwater.core.context import current
from headwater.core.flow import flow
from headwater.core.runs import open_run
from headwater.core.states import State
from headwater.core.task import task
from headwater.core.transactions import transaction
from headwater.errors import Cancelled, CheckFailed, DefinitionError, RunRefused, UnknownNameError


@task
def double(number: int) -> int:
    """Twice as much."""
    return 2 * number


@task
def fail(message: str = "no") -> int:
    raise ValueError(message)


def test_a_flow_returns_its_value_and_records_what_ran(project: Any) -> None:
    @flow
    def main(number: int, *, factor: int = 3) -> int:
        return double(number) * factor

    assert main(2) == 12
    started, ended = project.one("run.started"), project.one("run.ended")
    assert (started.flow, started.type, started.parameters) == ("main", "flow", {"number": 2, "factor": 3})
    assert started.source.name.endswith("main")
    assert (ended.run_id, ended.state, ended.root_run_id, ended.project) == (
        started.run_id,
        "Completed",
        started.run_id,
        "shop",
    )
    task_started, task_ended = project.one("task.started"), project.one("task.ended")
    assert task_started.run_id == started.run_id
    assert (task_ended.task, task_ended.state, task_ended.tries) == ("double", "Completed", 1)
    assert [body.kind for body in project.bodies] == ["run.started", "task.started", "task.ended", "run.ended"]
    assert project.runs_ended == 1


def test_a_task_outside_a_flow_is_a_run_of_its_own(project: Any) -> None:
    assert double(4) == 8
    started = project.one("run.started")
    assert (started.flow, started.type, started.parameters) == ("double", "task", {"number": 4})
    assert project.one("run.ended").state == "Completed"
    assert project.one("task.ended").run_id == started.run_id
    with pytest.raises(ValueError, match="no"):
        fail()
    assert project.all("run.ended")[-1].state == "Failed"
    assert project.runs_ended == 2


def test_an_error_in_the_body_fails_the_run_and_reaches_the_caller(project: Any) -> None:
    @flow
    def main() -> None:
        fail("broken")

    with pytest.raises(ValueError, match="broken") as caught:
        main()
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    # No frame of the engine's stands between the caller and the function.
    assert frames[1:] == ["main", "fail"]
    error = project.one("run.ended").error
    assert (error.type, error.message) == ("ValueError", "broken")
    recorded = project.one("task.ended").error.traceback
    assert "raise ValueError(message)" in recorded
    assert "headwater/core" not in recorded


def test_a_caught_error_leaves_the_flow_completed(project: Any) -> None:
    @flow
    def main() -> str:
        try:
            fail()
        except ValueError:
            return "saved"
        return "never"

    assert main() == "saved"
    assert project.one("run.ended").state == "Completed"
    assert project.states() == {"fail": ["Failed"]}


def test_subflows_know_their_parents(project: Any) -> None:
    @flow
    def inner() -> int:
        return double(1)

    @task
    def calls_a_flow() -> int:
        return inner()

    @flow
    def outer() -> int:
        return inner() + calls_a_flow()

    assert outer() == 4
    root = project.one("run.started", flow="outer")
    plain, nested = project.all("run.started", flow="inner")
    assert (plain.parent_run_id, plain.parent_task_run_id, plain.parent_flow) == (root.run_id, None, "outer")
    assert nested.parent_task_run_id == project.one("task.started", task="calls_a_flow").task_run_id
    assert {plain.root_run_id, nested.root_run_id} == {root.run_id}
    assert project.runs_ended == 1


def test_tasks_in_tasks_know_their_parents(project: Any) -> None:
    @task
    def outer() -> int:
        return double(1)

    outer()
    assert (
        project.one("task.started", task="double").parent_task_run_id
        == project.one("task.started", task="outer").task_run_id
    )


def test_a_submitted_failure_that_nobody_looked_at_fails_the_flow(project: Any) -> None:
    @flow
    def main() -> str:
        fail.submit("lost")
        return "fine"

    with pytest.raises(ValueError, match="lost"):
        main()
    assert project.one("run.ended").state == "Failed"


def test_a_submitted_failure_that_was_looked_at_does_not(project: Any) -> None:
    @flow
    def main() -> str:
        future = fail.submit()
        future.wait()
        return future.state.value

    assert main() == "Failed"
    assert project.one("run.ended").state == "Completed"


@pytest.mark.parametrize("wrap", [lambda future: future, lambda future: [future], lambda future: {"a": (future,)}])
def test_a_returned_failed_future_fails_the_flow(project: Any, wrap: Any) -> None:
    @flow
    def main() -> Any:
        future = fail.submit("returned")
        future.wait()
        return wrap(future)

    with pytest.raises(ValueError, match="returned"):
        main()
    assert project.one("run.ended").state == "Failed"


def test_submitted_tasks_end_before_their_flow_does(project: Any) -> None:
    release = threading.Event()

    @task
    def slow() -> None:
        release.wait(10)

    @flow
    def main() -> None:
        slow.submit()
        threading.Timer(0.05, release.set).start()

    main()
    assert project.states() == {"slow": ["Completed"]}
    assert project.bodies[-1].kind == "run.ended"


def test_a_refusal_blocks_without_retries(project: Any) -> None:
    calls = []

    @task(retries=3)
    def checked() -> None:
        calls.append(1)
        raise CheckFailed("too few rows")

    @flow
    def main() -> None:
        checked()

    with pytest.raises(CheckFailed, match="too few rows"):
        main()
    assert calls == [1]
    assert project.states() == {"checked": ["Blocked"]}
    assert project.one("run.ended").state == "Failed"
    with pytest.raises(CheckFailed):
        checked()
    assert project.all("run.ended")[-1].state == "Blocked"


def test_cancelled_passes_through_except_exception(project: Any) -> None:
    @task(retries=5)
    def stops() -> None:
        raise Cancelled("enough")

    @flow
    def main() -> None:
        try:
            stops()
        except Exception:  # noqa: BLE001
            pytest.fail("Cancelled is not an Exception")

    with pytest.raises(Cancelled, match="enough"):
        main()
    assert project.states() == {"stops": ["Cancelled"]}
    assert project.one("run.ended").state == "Cancelled"


def test_flow_retries_are_attempts_of_the_same_run(project: Any) -> None:
    tries = []

    @flow(retries=2)
    def main() -> int:
        context = current()
        assert context is not None
        tries.append(context.attempt)
        if len(tries) < 3:
            raise ValueError("not yet")
        return double(1)

    assert main() == 2
    assert tries == [1, 2, 3]
    ends = project.all("run.ended")
    assert [(end.attempt, end.state) for end in ends] == [(1, "Failed"), (2, "Failed"), (3, "Completed")]
    assert len({end.run_id for end in ends}) == 1
    assert project.one("task.ended").attempt == 3


def test_methods_are_tasks_and_flows_of_their_object(project: Any) -> None:
    class Shop:
        factor = 5

        @task
        def times(self, number: int) -> int:
            return self.factor * number

        @task
        async def later(self, number: int) -> int:
            return self.factor + number

        @flow
        def main(self, number: int) -> list[int]:
            return [self.times(number), self.times.submit(number).result(), *self.times.map([1, 2]).result()]

        @staticmethod
        @task
        def bare(number: int) -> int:
            return number

    shop = Shop()
    assert shop.main(2) == [10, 10, 5, 10]
    assert asyncio.run(shop.later(1)) == 6
    assert Shop.bare(3) == 3
    assert Shop.times.fn(shop, 1) == 5


def test_open_run_is_a_run_without_a_function(project: Any) -> None:
    with open_run(flow="backfill", type="backfill", parameters={"range": "a..b"}, run_id="r1", attempt=2) as context:
        results: list[int] = []
        threads = [threading.Thread(target=lambda n=n: results.append(context.run_in(double, n))) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert current() is context
    assert sorted(results) == [0, 2, 4]
    started, ended = project.one("run.started"), project.one("run.ended")
    assert (started.run_id, started.attempt, started.type, started.flow) == ("r1", 2, "backfill", "backfill")
    assert {(one.run_id, one.attempt) for one in project.all("task.ended")} == {("r1", 2)}
    assert ended.state == "Completed"
    assert current() is None


def test_open_run_fails_without_raising_and_when_its_block_raises(project: Any) -> None:
    with open_run(flow="backfill") as context:
        context.fail("2 of 3 failed")
    with pytest.raises(KeyError), open_run(flow="backfill"):
        raise KeyError("k")
    with pytest.raises(Cancelled), open_run(flow="backfill"):
        raise Cancelled
    with pytest.raises(ValueError, match="lost"), open_run(flow="backfill"):
        fail.submit("lost")
    states = [(end.state, end.error.message) for end in project.all("run.ended")]
    assert states[0] == ("Failed", "2 of 3 failed")
    assert [state for state, _ in states] == ["Failed", "Failed", "Cancelled", "Failed"]


def test_extras_are_shared_by_everything_in_a_root_run(project: Any) -> None:
    seen = []

    @task
    def note() -> None:
        context = current()
        assert context is not None
        assert context.task == "note"
        context.extras.setdefault("notes", []).append(context.task_run_id)
        seen.append(context.extras)

    @flow
    def inner() -> None:
        note()

    @flow
    def main() -> None:
        note()
        note.submit().result()
        inner()

    main()
    assert len(seen[0]["notes"]) == 3
    assert all(one is seen[0] for one in seen)


def test_wrong_definitions_are_refused_with_a_place(project: Any) -> None:
    with pytest.raises(DefinitionError, match=r"a lambda can't be a task(.|\n)*where: .*test_core_flow"):
        task(lambda: 1)
    with pytest.raises(DefinitionError, match="a lambda can't be a flow"):
        flow(lambda: 1)
    with pytest.raises(DefinitionError, match="@staticmethod"):
        task(staticmethod(double.fn))
    with pytest.raises(DefinitionError, match="wait_for"):

        @task
        def waits(wait_for: int) -> None: ...

    with pytest.raises(DefinitionError, match="made of a function"):
        task(3)  # type: ignore[call-overload]
    with pytest.raises(DefinitionError, match="retries"):
        task(retries=-1)
    with pytest.raises(DefinitionError, match="retry_delay"):
        task(retry_delay=[])
    with pytest.raises(DefinitionError, match="tags"):
        task(tags="daily")
    with pytest.raises(DefinitionError, match="tags are texts, got 5"):
        task(tags=5)  # type: ignore[call-overload]
    with pytest.raises(UnknownNameError, match="did you mean 'retries'"):
        task(retrys=3)  # type: ignore[call-overload]
    with pytest.raises(DefinitionError, match="max_workers"):
        flow(max_workers=0)


def test_runs_are_named_by_a_template_of_their_parameters(project: Any, caplog: pytest.LogCaptureFixture) -> None:
    @flow(run_name="load {number:03} of\n{token}{{}}")
    def main(number: Any, token: str = "hunter2") -> None: ...

    main(7)
    main.with_options(run_name=None)(7)
    main.with_options(run_name="{number:.2f}")("seven")
    assert [one.name for one in project.all("run.started")] == ["load 007 of ***{}", None, None]
    assert "'{number:.2f}' can't be filled in" in caplog.text
    main.with_options(run_name="{number}")("x" * 500)
    assert len(project.all("run.started")[-1].name) == 200
    for template, why in (
        ("{day}", "'{day}', which is no parameter"),
        ("{}", "takes parameters alone"),
        ("{number.real}", "takes parameters alone"),
        ("{number:{token}}", "takes parameters alone"),
        ("{number", "can't be read"),
        (" ", "not empty"),
        (7, "not empty"),
    ):
        with pytest.raises(DefinitionError, match=re.escape(why)):
            main.with_options(run_name=template)  # type: ignore[typeddict-item]


def test_with_options_leaves_the_original_alone(project: Any) -> None:
    other = double.with_options(name="twice", tags=["a"], retries=1)
    assert (other(2), double(2)) == (4, 4)
    assert (other.name, double.name, other.options.tags, double.options.retries) == ("twice", "double", ("a",), 0)
    assert project.all("task.started")[0].tags == ("a",)
    assert other.__doc__ == "Twice as much."


def test_options_may_stand_beside_the_function(project: Any) -> None:
    def load(number: int) -> int:
        return number

    assert task(load, name="fetch", retries=2).options == task(name="fetch", retries=2)(load).options
    assert flow(load, max_workers=3).options == flow(max_workers=3)(load).options
    assert flow(load, name="nightly")(3) == 3
    assert project.all("run.started")[0].flow == "nightly"
    with pytest.raises(UnknownNameError):
        task(load, retry=2)  # type: ignore[call-overload]


def test_wrong_arguments_are_a_type_error(project: Any) -> None:
    @flow
    def main(number: int) -> int:
        return number

    with pytest.raises(TypeError, match="number"):
        main()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"^main\(\) too many positional arguments$"):
        main(1, 2)  # type: ignore[call-arg]
    assert project.bodies == []
    with pytest.raises(TypeError, match=r"^double\(\) got an unexpected keyword argument 'numbers'$"):
        double(numbers=1)  # type: ignore[call-arg]


def test_bind_and_unbind() -> None:
    @task
    def many(a: int, /, b: int, *more: int, c: int = 1, **rest: int) -> None: ...

    arguments = many.bind((1, 2, 3), {"c": 4, "d": 5})
    assert arguments == {"a": 1, "b": 2, "more": (3,), "c": 4, "rest": {"d": 5}}
    assert many.unbind(arguments) == ((1, 2, 3), {"c": 4, "d": 5})
    assert many.bind((), {"b": 2}) == {"b": 2}


def test_no_run_starts_while_code_is_loaded_for_its_definitions(project: Any) -> None:
    @flow
    def main() -> None: ...

    with runtime.defining():
        with pytest.raises(RunRefused):
            main()
        with pytest.raises(RunRefused):
            double(1)
        with pytest.raises(RunRefused):
            double.submit(1)
    assert project.bodies == []


def test_a_journal_that_fails_fails_the_call_and_leaves_nothing_behind(project: Any) -> None:
    def broken(*bodies: Any) -> None:
        raise OSError("disk full")

    project.append = broken
    with pytest.raises(OSError, match="disk full"):
        double(1)
    assert current() is None
    del project.append
    assert double(1) == 2


def test_system_exit_in_a_task_is_recorded_and_goes_on(project: Any) -> None:
    @task(retries=3)
    def leaves() -> None:
        raise SystemExit(4)

    with pytest.raises(SystemExit) as caught:
        leaves()
    assert caught.value.code == 4
    assert project.one("run.ended").state == State.FAILED


class _Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("how", ["called", "submitted", "raised"])
def test_an_error_that_raises_when_it_is_told_is_recorded_and_comes_out_as_itself(project: Any, how: str) -> None:
    @task
    def load() -> None:
        raise _Mute

    @flow
    def main() -> None:
        if how == "raised":
            raise _Mute
        if how == "called":
            load()
        load.submit()

    with pytest.raises(_Mute):
        main()
    ended = project.one("run.ended")
    assert (ended.state, ended.error.type, ended.error.message) == ("Failed", "_Mute", "(its text can't be shown)")


class _Several(Exception):
    """Counts as false, as an empty list does."""

    def __len__(self) -> int:
        return 0


@pytest.mark.parametrize("where", ["flow", "task", "open_run"])
def test_an_error_that_counts_as_false_is_an_error_all_the_same(project: Any, where: str) -> None:
    @task
    def load() -> None:
        raise _Several

    @flow
    def main() -> None:
        if where == "flow":
            raise _Several
        load()

    def in_a_block() -> None:
        with open_run(flow="main"):
            raise _Several

    with pytest.raises(_Several):
        in_a_block() if where == "open_run" else main()
    assert project.one("run.ended").state == "Failed"


@dataclass(frozen=True)
class _Refusal(Exception):
    code: int


def test_an_error_that_takes_no_attributes_comes_out_as_itself(project: Any) -> None:
    @task(timeout=60)
    def load() -> int:
        raise _Refusal(3)

    @task
    def write() -> None:
        undone.append("not yet")

    undone: list[str] = []

    @write.on_rollback
    def first(_: Any) -> None:
        undone.append("first")

    @write.on_rollback
    def second(_: Any) -> None:
        raise ValueError("no")

    @flow
    def main() -> None:
        with transaction():
            write()
            load()

    @flow
    async def in_coroutines() -> None:
        await load.submit()

    with pytest.raises(_Refusal):
        main()
    assert undone == ["not yet", "first"]
    with pytest.raises(_Refusal):
        asyncio.run(in_coroutines())
    assert [one.error.type for one in project.all("run.ended")] == ["_Refusal"] * 2


@pytest.mark.parametrize("block", [lambda: open_run(flow="main"), lambda: transaction("main")])
def test_a_block_in_a_generator_that_is_closed_ends_its_run(project: Any, block: Any) -> None:
    def rows() -> Iterator[int]:
        with block():
            yield double(1)
            yield double(2)

    reader = rows()
    assert next(reader) == 2
    reader.close()
    assert project.one("run.ended").state == "Cancelled"
    assert project.runs_ended == 1


@pytest.mark.parametrize("where", ["flow", "task", "submitted", "alone"])
def test_a_stop_iteration_comes_out_as_itself(project: Any, where: str) -> None:
    @task(retries=1)
    def first(rows: list[int]) -> int:
        return next(iter(rows))

    @flow
    def main() -> int:
        if where == "flow":
            return next(iter([]))
        return first([]) if where == "task" else first.submit([]).result()

    with pytest.raises(StopIteration):
        first([]) if where == "alone" else main()
    ended = project.one("run.ended")
    assert (ended.state, ended.error.type) == ("Failed", "StopIteration")
    assert [one.error.type for one in project.all("task.ended")] == [] if where == "flow" else ["StopIteration"]


def test_task_runs_end_with_their_run_when_recursion_is_at_its_limit(project: Any) -> None:
    @task
    def deeper(number: int) -> int:
        return deeper(number + 1)

    @flow
    def main() -> None:
        deeper(0)

    with pytest.raises(RecursionError):
        main()
    begun = [body.task_run_id for body in project.all("task.started")]
    ended = [body.task_run_id for body in project.all("task.ended", state="Failed")]
    assert set(begun) <= set(ended)
    assert len(ended) == len(set(ended))


@pytest.mark.parametrize(
    ("error", "state"), [(MemoryError(), "Failed"), (RecursionError(), "Failed"), (KeyboardInterrupt(), "Cancelled")]
)
@pytest.mark.parametrize("caught", [False, True])
def test_a_task_run_whose_end_could_not_be_recorded_ends_with_its_run(
    project: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException, state: str, caught: bool
) -> None:
    from headwater.core import recording

    whole = recording.ended
    raised = [error]

    def short_of_memory(*args: Any) -> Any:
        if raised:
            raise raised.pop()
        return whole(*args)

    monkeypatch.setattr(recording, "ended", short_of_memory)

    @flow
    def main() -> None:
        try:
            double(1)
        except BaseException:
            if not caught:
                raise

    began = time.monotonic()
    with pytest.raises(type(error)) if not caught else contextlib.nullcontext():
        main()
    assert time.monotonic() - began < 4, "a task run that is over was waited for"
    assert project.one("task.ended").state == ("Failed" if caught else state)
    assert [body.kind for body in project.bodies][-2:] == ["task.ended", "run.ended"]


def test_a_task_run_in_a_thread_of_ones_own_goes_on_when_its_run_ends(project: Any) -> None:
    go_on, inside = threading.Event(), threading.Event()

    @task
    def slow() -> None:
        inside.set()
        assert go_on.wait(10)

    @flow
    def main() -> threading.Thread:
        context = current()
        assert context is not None
        thread = threading.Thread(target=context.run_in, args=(slow,))
        thread.start()
        assert inside.wait(10)
        return thread

    thread = main()
    assert not project.all("task.ended")
    go_on.set()
    thread.join(10)
    assert project.one("task.ended").state == "Completed"
