"""One property for all runners: random programs end as the model says, each attempt once, and leave nothing behind."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import random_programs
from fake_project import FakeProject
from hypothesis import given, settings
from hypothesis import strategies as st
from random_programs import Boom, Node, expected, programs, stopped

from headwater import flow
from headwater.core import runtime
from headwater.errors import Cancelled

RUNNERS = ["threads"]


@flow
def main(node: Node, folder: Path) -> int:
    return random_programs.run_flow.with_options(name=node.name, retries=node.retries)("n", node, folder)


def carried_out(node: Node, runner: Any) -> tuple[int | str, FakeProject, list[str]]:
    with tempfile.TemporaryDirectory() as folder, runtime.use(FakeProject(Path(folder))) as project:
        counts = Path(folder, "tries")
        counts.mkdir()
        outcome: int | str
        try:
            outcome = main(node, counts)
        except Boom as error:
            outcome = f"raised {type(error).__name__}"
        except Cancelled:
            outcome = "cancelled"
        return outcome, project, random_programs.runs_twice(counts)


@pytest.mark.parametrize("runner", RUNNERS)
def test_random_programs_end_as_the_model_says(runner: str, stress: bool) -> None:
    @settings(max_examples=500 if stress else 25)
    @given(programs())
    def holds(node: Node) -> None:
        model = expected(node)
        outcome, project, too_often = carried_out(node, runner)
        assert outcome == ("raised Boom" if model.value is None else model.value)
        ended = Counter((one.task, one.state, one.tries) for one in project.all("task.ended"))
        assert ended == model.tasks
        runs = Counter((one.flow, one.state) for one in project.all("run.ended") if one.flow != "main")
        assert runs == model.runs
        assert too_often == []
        assert_each_ends_once(project)

    holds()


@pytest.mark.parametrize("runner", RUNNERS)
def test_random_programs_that_are_stopped_end_all_that_they_began(runner: str, stress: bool) -> None:
    @settings(max_examples=300 if stress else 15)
    @given(programs(), st.integers(0, 30))
    def holds(node: Node, place: int) -> None:
        outcome, project, _ = carried_out(stopped(node, place), runner)
        assert outcome in ("cancelled", "raised Boom") or isinstance(outcome, int)
        assert_each_ends_once(project)
        last = project.all("run.ended")[-1]
        assert last.flow == "main"
        assert last.state == {"cancelled": "Cancelled", "raised Boom": "Failed"}.get(str(outcome), "Completed")

    holds()


def assert_each_ends_once(project: FakeProject) -> None:
    started = Counter(one.task_run_id for one in project.all("task.started"))
    assert Counter(one.task_run_id for one in project.all("task.ended")) == started
    assert set(started.values()) <= {1}
    attempts = Counter((one.run_id, one.attempt) for one in project.all("run.started"))
    assert Counter((one.run_id, one.attempt) for one in project.all("run.ended")) == attempts
    assert set(attempts.values()) == {1}
