"""B3: who is dead is found at the next look, who lives is never marked: SIGKILL, SIGSTOP, clocks that jump, forks."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from pathlib import Path

from journal_cases import (
    assert_sound,
    dead_writer,
    events,
    expect,
    kill,
    messages,
    of_kind,
    run_ended,
    run_started,
    start,
    states,
    until,
)

from headwater import flow, task
from headwater.core.journal.home import Home
from headwater.core.journal.locks import Locks
from headwater.core.journal.reader import Reader
from headwater.core.journal.recovery import recover
from headwater.lineage.projection import Projection
from headwater.testing import project

BUSY = """
writer, name, runs = Writer(home), sys.argv[2], int(sys.argv[3])
for start in range(0, runs, 50):
    writer.append(*(run_started(f"{name}:{i}") for i in range(start, min(start + 50, runs))))
say("running")
for i in range(1_000_000):
    writer.append(log(f"{name}:{i}"))
    time.sleep(0.002)
"""


def marked(home: Home) -> set[str]:
    return {run for run, state in states(events(home)) if state == "Crashed"}


def test_b3_the_dead_are_found_and_no_living_run_is_marked(home: Home, stress: bool) -> None:
    processes, runs, looks = (8, 1_250, 40) if stress else (3, 60, 4)
    living: list[subprocess.Popen[str]] = [start(home, BUSY, f"p{number}", runs) for number in range(processes)]
    one = Projection(home)
    dead: set[str] = set()
    try:
        for process in living:
            expect(process, "running")
        living[0].send_signal(signal.SIGSTOP)
        for _ in range(looks):
            assert recover(home) == []
            assert one.refresh()
            assert marked(home) == set()
        living[0].send_signal(signal.SIGCONT)
        for number, process in enumerate(living):
            kill(process)
            dead |= {f"p{number}:{run}" for run in range(runs)}
            with one.session() as session:
                found = {run for (run,) in session.rows("SELECT run_id FROM runs WHERE state = 'Crashed'")}
            assert found == dead == marked(home)
    finally:
        for process in living:
            kill(process)
    found_events = events(home)
    assert_sound(found_events)
    assert states(found_events) == dict.fromkeys(((run, "Crashed") for run in dead), 1)
    print(
        f"B3: {processes * runs:,} living runs, {looks} looks: 0 marked; "
        f"{processes} kills: {len(dead):,} runs found dead at the next look, 0 events twice"
    )


class JumpingClock:
    """A wall clock that somebody sets, again and again: years forward, years back."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._us = 1_700_000_000_000_000

    def now_us(self) -> int:
        """Somewhere between 1980 and 2100."""
        self._us += 1
        if self._dice.random() < 0.2:
            self._us = self._dice.randint(315_532_800_000_000, 4_102_444_800_000_000)
        return self._us

    def sleep(self, seconds: float) -> None:
        """No time at all."""


def test_b3_a_clock_that_jumps_kills_nobody(tmp_path: Path, stress: bool) -> None:
    rounds = 40 if stress else 2

    @task
    def add(one: int, other: int) -> int:
        return one + other

    @flow
    def nightly(number: int) -> int:
        return add(number, add(number, 1))

    clock = JumpingClock(random.Random(3))
    with project(tmp_path, clock) as found:
        for number in range(rounds):
            assert [nightly(n) for n in range(5)] == [1, 3, 5, 7, 9]
            dead_writer(
                found.home, run_started(f"dead{number}"), run_started(f"done{number}"), run_ended(f"done{number}")
            )
            with found.projection.session() as session:
                counts = dict(session.rows("SELECT state, count(*) FROM runs GROUP BY ALL"))
                assert counts == {"Completed": 6 * (number + 1), "Crashed": number + 1}
                assert session.rows("SELECT DISTINCT state FROM task_runs") == [("Completed",)]
            assert Reader(found.home).is_alive(found.journal.id)
        assert_sound(events(found.home))
        assert found.projection.verify() == []
    print(f"B3: {rounds * 7} runs on a clock that jumps: {rounds} dead found, 0 living marked, 0 events twice")


def test_a_stopped_writer_is_not_taken_for_dead(home: Home) -> None:
    process = start(home, "writer = Writer(home); writer.append(run_started('a')); say('go'); sys.stdin.readline()")
    expect(process, "go")
    process.send_signal(signal.SIGSTOP)
    assert recover(home) == []
    process.send_signal(signal.SIGCONT)
    kill(process)
    assert recover(home)[0].crashed == ("a",)


def test_a_run_that_ended_before_the_kill_is_not_crashed(home: Home) -> None:
    process = start(
        home,
        """
        writer = Writer(home)
        writer.append(run_started("a"))
        writer.append(run_ended("a"))
        say("ended")
        time.sleep(60)
        """,
    )
    expect(process, "ended")
    kill(process)
    (recovered,) = recover(home)
    assert recovered.crashed == ()
    assert states(events(home)) == {("a", "Completed"): 1}


def test_a_fork_pool_that_outlives_its_parent_does_not_keep_its_run_alive(home: Home) -> None:
    process = start(
        home,
        """
        import multiprocessing, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        writer = Writer(home)
        writer.append(run_started("parent"), task_started("task", "parent"))
        lock = Locks(home.locks).try_hold("running")
        def orphan():
            signal.alarm(60)
            writer.append(log(f"orphan {os.getpid()}"))
            time.sleep(60)
        context = multiprocessing.get_context("fork")
        for _ in range(2):
            context.Process(target=orphan).start()
        say("forked")
        time.sleep(60)
        """,
    )
    expect(process, "forked")
    until(lambda: len(messages(events(home))) == 2)
    orphans = [int(message.split()[1]) for message in messages(events(home))]
    assert Locks(home.locks).try_hold("running") is None
    # Only the parent: its children go on (and hold its standard output, which must not be waited for).
    process.kill()
    process.wait(timeout=30)
    try:
        assert [recovered.crashed for recovered in recover(home)] == [("parent",)]
        lock = Locks(home.locks).try_hold("running")
        assert lock is not None
        lock.release()
        assert states(events(home)) == {("parent", "Crashed"): 1}
        alive = [writer for writer in Reader(home).writers() if Reader(home).is_alive(writer)]
        assert len(alive) == 2
    finally:
        for orphan in orphans:
            os.kill(orphan, 9)
        process.communicate(timeout=30)
    until(lambda: not any(map(Reader(home).is_alive, alive)))
    assert len(recover(home)) == 2
    assert len(of_kind(events(home), "writer.closed")) == 3
