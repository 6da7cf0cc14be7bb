"""B4: every order of a run's events gives the same final state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

from lineage_world import batch, ended, ingested, lines_of, started, task_story

from headwater.core.journal.events import Body
from headwater.core.journal.reader import Batch


def in_every_order(stories: Callable[[str], list[Body]]) -> Iterator[list[Batch]]:
    """Transactions that bring each order of a story's events at once, each order under a name of its own."""
    length = len(stories(""))
    orders = [
        [story[place] for place in places]
        for number, places in enumerate(permutations(range(length)))
        for story in [stories(f"{number}")]
    ]
    for step in zip(*orders, strict=True):
        writer, lines = lines_of(step)
        yield [batch(writer, lines)]


def found(folder: Path, stories: Callable[[str], list[Body]], sql: str) -> list[Any]:
    (rows,) = (connection.execute(sql).fetchall() for connection in ingested(folder, in_every_order(stories)))
    return rows


def test_b4_every_order_of_a_runs_events_gives_the_same_state(tmp_path: Path, stress: bool) -> None:
    states = ("Crashed", "Cancelled", "Completed")

    def one_attempt(run: str) -> list[Body]:
        return [started(run), *(ended(run, state) for state in states)]

    def two_attempts(run: str) -> list[Body]:
        return [*one_attempt(run), started(run, attempt=2), *(ended(run, state, attempt=2) for state in states[1:])]

    sql = "SELECT attempt, state, count(*), count(ended) FROM runs GROUP BY ALL ORDER BY ALL"
    if stress:
        assert found(tmp_path, two_attempts, sql) == [(1, "Cancelled", 5040, 5040), (2, "Cancelled", 5040, 5040)]
    assert found(tmp_path, one_attempt, sql) == [(1, "Cancelled", 24, 24)]
    print(f"B4: {5064 if stress else 24} orders of a run's events: one final state")


def test_b4_every_order_of_a_task_runs_events_gives_the_same_state(tmp_path: Path, stress: bool) -> None:
    def within_its_run(name: str) -> list[Body]:
        return [
            started(f"r{name}"),
            *task_story(f"t{name}", f"r{name}"),
            ended(f"r{name}"),
            ended(f"r{name}", "Crashed"),
        ]

    sql = "SELECT state, tries, count(*) FROM task_runs GROUP BY ALL"
    if stress:
        assert found(tmp_path, within_its_run, sql) == [("Completed", 2, 5040)]
    assert found(tmp_path, task_story, sql) == [("Completed", 2, 24)]
    print(f"B4: {5064 if stress else 24} orders of a task run's events: one final state")


def test_b4_a_rolled_back_task_run_is_rolled_back_in_every_order(tmp_path: Path) -> None:
    def rolled_back(name: str) -> list[Body]:
        *begun, completed = task_story(f"t{name}")
        return [*begun, completed, replace(completed, state="RolledBack"), replace(completed, state="Crashed")][1:]

    sql = "SELECT state, tries, count(*) FROM task_runs GROUP BY ALL"
    assert found(tmp_path, rolled_back, sql) == [("RolledBack", 2, 120)]
    print("B4: 120 orders of a rolled back task run's events: one final state")
