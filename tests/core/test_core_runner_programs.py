"""Random programs of tasks, flows, fan-outs, failures and cancellations end alike on every runner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from runner_worlds import warm_up
from tried import tried_on

from headwater import flow, task
from headwater.core.events import RunEnded, RunStarted, TaskEnded, TaskStarted
from headwater.core.journal.memory import MemoryCarrier
from headwater.core.runners.processes import ProcessRunner
from headwater.errors import Cancelled
from headwater.testing import project as project_of
from headwater.testing.remote import FakeRemoteRunner

LEAVES = st.one_of(
    st.tuples(st.just("value"), st.integers(0, 9)),
    st.tuples(st.just("error"), st.integers(0, 2)),
    st.tuples(st.just("cancel"), st.just(0)),
)
PROGRAMS = st.recursive(
    LEAVES,
    lambda inner: st.tuples(
        st.sampled_from(["submit", "call", "flow", "async", "forget"]), st.lists(inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module", autouse=True)
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessRunner]:
    with ProcessRunner(max_workers=2) as runner:
        warm_up(runner, tmp_path_factory.mktemp("workers"))
        yield runner


def body(program: Any) -> Any:
    kind, content = program
    if kind == "value":
        return content
    if kind == "error":
        raise LookupError(content)
    if kind == "cancel":
        raise Cancelled("by itself")
    if kind == "submit":
        return [one.result(raise_on_failure=False) for one in [step.submit(each) for each in content]]
    if kind == "async":
        return [one.result(raise_on_failure=False) for one in [step_async.submit(each) for each in content]]
    if kind == "forget":
        return len([step.with_options(retries=0).submit(each) for each in content if each[0] == "value"])
    return [called(step if kind == "call" else part, each) for each in content]


def called(definition: Any, program: Any) -> Any:
    try:
        return definition(program)
    except (Exception, Cancelled) as error:  # noqa: BLE001 - compared
        return type(error).__name__, str(error)


@task(retries=1)
def step(program: Any) -> Any:
    return body(program)


@task
async def step_async(program: Any) -> Any:
    return body(program)


@flow
def part(program: Any) -> Any:
    return body(program)


def plain(value: Any) -> Any:
    if isinstance(value, BaseException):
        return type(value).__name__, str(value)
    return [plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def outcome(program: Any, runner: Any) -> Any:
    main = flow(name="main", runner=runner)(body)
    with project_of(carrier=(journal := MemoryCarrier())):
        found = plain(called(main, program))
    begun = Counter(one.task_run_id for one in journal.records(TaskStarted))
    ended = Counter(one.task_run_id for one in journal.records(TaskEnded))
    assert begun == ended
    assert set(ended.values()) <= {1}
    assert Counter(one.run_id for one in journal.records(RunStarted)) == Counter(
        one.run_id for one in journal.records(RunEnded)
    )
    return {
        "result": found,
        "tasks": sorted((one.task, one.state, one.tries) for one in journal.records(TaskEnded)),
        "runs": sorted((one.flow, one.state) for one in journal.records(RunEnded)),
    }


@tried_on(10, full=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(program=st.tuples(st.just("submit"), st.lists(PROGRAMS, min_size=1, max_size=3)))
def test_a_program_ends_alike_on_every_runner(program: Any, processes: ProcessRunner) -> None:
    expected = outcome(program, "threads")
    for runner in ("inline", processes, FakeRemoteRunner(late=True, shuffled=True)):
        assert outcome(program, runner) == expected, runner
