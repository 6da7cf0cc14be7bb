"""One property for all runners: random programs end as the model says, each attempt once, and leave nothing behind."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import random_programs
from hypothesis import given
from hypothesis import strategies as st
from random_programs import Boom, Node, expected, programs, stopped
from tried import tried_on

from headwater import InlineRunner, ProcessRunner, ThreadRunner, flow
from headwater.core.journal.events import Event
from headwater.core.journal.lines import decode
from headwater.core.journal.memory import MemoryCarrier
from headwater.errors import Cancelled
from headwater.testing import project
from headwater.testing.remote import FakeRemoteRunner

RUNNERS = ["inline", "threads", "processes", "remote"]


@pytest.fixture
def runner(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "processes":
        with ProcessRunner(max_workers=2) as processes:
            yield processes
    else:
        yield {
            "inline": InlineRunner(),
            "threads": ThreadRunner(),
            "remote": FakeRemoteRunner(late=True, shuffled=True),
        }[request.param]


@flow
def main(node: Node, folder: Path) -> int:
    return random_programs.run_flow.with_options(name=node.name, retries=node.retries)("n", node, folder)


class Recorded:
    """What came of a program: its outcome, the events, and what was begun too often."""

    def __init__(self, outcome: int | str, events: list[Event], too_often: list[str]) -> None:
        self.outcome, self.too_often = outcome, too_often
        self._events = events

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [event.body for event in self._events if event.kind == kind]


@contextmanager
def _counting() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def carried_out(node: Node, runner: Any) -> Recorded:
    carrier = MemoryCarrier()
    outcome: int | str
    with _counting() as folder, project(carrier=carrier):
        try:
            outcome = main.with_options(runner=runner)(node, folder)
        except Boom as error:
            outcome = f"raised {type(error).__name__}"
        except Cancelled:
            outcome = "cancelled"
        too_often = random_programs.runs_twice(folder)
    events = [decode(line) for batch in carrier.read() for line in batch.lines]
    return Recorded(outcome, events, too_often)


@pytest.mark.parametrize("runner", RUNNERS, indirect=True)
def test_random_programs_end_as_the_model_says(runner: Any, stress: bool) -> None:
    @tried_on(15, full=500)
    @given(programs())
    def holds(node: Node) -> None:
        model = expected(node)
        found = carried_out(node, runner)
        assert found.outcome == ("raised Boom" if model.value is None else model.value)
        ended = Counter((one["task"], one["state"], one["tries"]) for one in found.all("task.ended"))
        assert ended == model.tasks
        runs = Counter((one["flow"], one["state"]) for one in found.all("run.ended") if one["flow"] != "main")
        assert runs == model.runs
        assert found.too_often == []
        assert_each_ends_once(found)

    holds()


@pytest.mark.parametrize("runner", RUNNERS, indirect=True)
def test_random_programs_that_are_stopped_end_all_that_they_began(runner: Any, stress: bool) -> None:
    @tried_on(8, full=300)
    @given(programs(), st.integers(0, 30))
    def holds(node: Node, place: int) -> None:
        found = carried_out(stopped(node, place), runner)
        assert found.outcome in ("cancelled", "raised Boom") or isinstance(found.outcome, int)
        assert_each_ends_once(found)
        last = found.all("run.ended")[-1]
        assert last["flow"] == "main"
        assert last["state"] == {"cancelled": "Cancelled", "raised Boom": "Failed"}.get(str(found.outcome), "Completed")

    holds()


def assert_each_ends_once(found: Recorded) -> None:
    started = Counter(one["task_run_id"] for one in found.all("task.started"))
    assert Counter(one["task_run_id"] for one in found.all("task.ended")) == started
    assert set(started.values()) <= {1}
    attempts = Counter((one["run_id"], one["attempt"]) for one in found.all("run.started"))
    assert Counter((one["run_id"], one["attempt"]) for one in found.all("run.ended")) == attempts
    assert set(attempts.values()) == {1}
