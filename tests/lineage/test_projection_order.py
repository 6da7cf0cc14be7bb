"""Ingestion is idempotent and order-free."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lineage_world import batch, ended, hash_of, ingested, lines_of, made, started, story, task_story

from headwater.core.events import TaskState
from headwater.core.states import PRECEDENCE
from headwater.lineage.compare import TABLES


def test_the_story_fills_every_table(tmp_path: Path) -> None:
    writer, lines = lines_of(story())
    found = hash_of(tmp_path, [[batch(writer, lines)]])
    assert {table for table in TABLES if found[table][0] == 0} == set()


@pytest.mark.parametrize("strong", range(len(PRECEDENCE) - 1))
def test_among_terminal_states_the_precedence_of_core_decides(tmp_path: Path, strong: int) -> None:
    states = [PRECEDENCE[strong], PRECEDENCE[strong + 1]]
    writer, lines = lines_of([started(), *(ended(state=state.value) for state in states)])
    assert _rows(tmp_path, writer, lines, "SELECT state FROM runs") == [(states[0].value,)]


def test_a_run_without_an_end_is_running_and_each_attempt_stands_alone(tmp_path: Path) -> None:
    writer, lines = lines_of([started(), ended(state="Crashed"), started(attempt=2)])
    found = _rows(tmp_path, writer, lines, "SELECT attempt, state FROM runs ORDER BY attempt")
    assert found == [(1, "Crashed"), (2, "Running")]


def test_an_open_task_run_is_in_the_last_state_that_it_changed_into(tmp_path: Path) -> None:
    story = [*task_story()[:2], TaskState(task_run_id="t1", run_id="r1", state="AwaitingSlot", tries=2)]
    writer, lines = lines_of(story)
    for order in (lines, lines[::-1]):
        found = _rows(tmp_path, writer, order, "SELECT state, tries, ended FROM task_runs")
        assert found == [("AwaitingSlot", 2, None)]


def test_in_place_is_what_nothing_replaces_even_when_a_clock_ran_backwards(tmp_path: Path) -> None:
    bodies = [made("a", "d", "new", replaces="old"), made("a", "d", "old")]
    writer, lines = lines_of(bodies)
    for order in (lines, lines[::-1]):
        assert _rows(tmp_path, writer, order, "SELECT version FROM state.latest") == [("new",)]


def test_where_the_chain_does_not_decide_the_newest_is_in_place(tmp_path: Path) -> None:
    writer, lines = lines_of([made("a", "d", "one", replaces="x"), made("a", "d", "two", replaces="x")])
    for order in (lines, lines[::-1]):
        assert _rows(tmp_path, writer, order, "SELECT version FROM state.latest") == [("two",)]


def test_a_failed_attempt_leaves_what_is_in_place(tmp_path: Path) -> None:
    writer, lines = lines_of([made("a", None, "one"), made("a", None, "two", state="failed")])
    found = _rows(tmp_path, writer, lines, "SELECT version, attempt_state, attempt_error FROM state.latest")
    assert found == [("one", "failed", "no such day")]


def test_a_body_that_is_odd_does_not_stop_the_others(tmp_path: Path) -> None:
    writer, lines = lines_of([started("good"), started("odd")])
    odd = lines[1].replace(b'"attempt":1', b'"attempt":{"x":"y"}')
    nothing = b'{"w":"x","n":"seven","id":"x","t":null,"k":"run.started","v":1,"b":[1]}'
    found = _rows(
        tmp_path, writer, [odd, nothing, b"no json", lines[0]], "SELECT run_id, attempt FROM runs ORDER BY ALL"
    )
    assert ("good", 1) in found
    assert ("odd", None) in found


def _rows(folder: Path, writer: str, lines: list[bytes], sql: str) -> list[Any]:
    (found,) = (c.execute(sql).fetchall() for c in ingested(folder, [[batch(writer, lines)]]))
    return found
