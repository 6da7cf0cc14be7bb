"""B1: processes write runs at once while others look, and while somebody's DuckDB shell holds the projection's file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from journal_cases import assert_sound, of_kind

from headwater.core.journal.home import Home
from headwater.core.journal.reader import Reader
from headwater.core.journal.verify import verify_journal
from headwater.lineage.projection import Projection

FLOW = """
import sys
from headwater import flow, get_logger, task

@task
def double(number):
    get_logger().info("doubling %d", number)
    return 2 * number

@flow
def doubled(name: str, number: int):
    return double(number)

name, runs = sys.argv[1], int(sys.argv[2])
for number in range(runs):
    assert doubled(name, number) == 2 * number
    print(f"{name}:{number}", flush=True)
"""

SHELL = """
import sys, time, duckdb
deadline = time.monotonic() + 60
while True:
    try:
        connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "read_only")
        break
    except duckdb.IOException:  # one of us has it open just now
        assert time.monotonic() < deadline, "the file was never free"
        time.sleep(0.002)
print(connection.execute("SELECT count(*) FROM runs").fetchone()[0], flush=True)
sys.stdin.readline()
print(connection.execute("SELECT count(*) FROM runs").fetchone()[0], flush=True)
connection.close()
"""


def test_b1_many_processes_write_while_others_look(tmp_path: Path, stress: bool) -> None:
    processes, runs = (8, 1_000) if stress else (8, 10)
    began = time.monotonic()
    with _written(tmp_path, processes, runs) as writers:
        looks = _looks_while(tmp_path, writers)
        acknowledged = _ended(writers)
    seconds = time.monotonic() - began
    lost, twice = _judged(tmp_path, acknowledged)
    print(
        f"B1: {processes} processes, {len(acknowledged):,} runs in {seconds:.0f} s beside {looks} looks: "
        f"{lost} lost, {twice} twice, 0 lock errors"
    )
    assert len(acknowledged) == processes * runs
    assert (lost, twice) == (0, 0)
    assert looks >= 3


def test_b1_a_shell_that_holds_the_file_disturbs_nobody(tmp_path: Path, stress: bool) -> None:
    runs = 200 if stress else 4
    with _written(tmp_path, 1, runs, name="before") as writers:
        acknowledged = _ended(writers)
    # The first look makes the file, so that there is one to be held.
    assert len(_cli(tmp_path)) == len(acknowledged)
    for mode in ("read_only", "read_write"):
        known = len(acknowledged)
        with _shell(tmp_path, mode) as shell, _written(tmp_path, 2, runs, name=mode) as writers:
            while any(writer.poll() is None for writer in writers):
                _look(tmp_path)
            acknowledged += _ended(writers)
            # What was written meanwhile is seen at once by us, and the shell keeps what it saw.
            assert _look(tmp_path) == len(acknowledged)
            assert len(_cli(tmp_path)) == len(acknowledged)
            assert shell() == known
        assert _look(tmp_path) == len(acknowledged)
    assert _judged(tmp_path, acknowledged) == (0, 0)


@contextmanager
def _written(folder: Path, processes: int, runs: int, *, name: str = "p") -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that run a flow so many times each; whatever they complain of fails the test."""
    (folder / "doubles.py").write_text(FLOW)
    with ExitStack() as stack:
        writers = []
        for number in range(processes):
            out, err = (stack.enter_context((folder / f"{name}{number}.{what}").open("w")) for what in ("out", "err"))
            command = [sys.executable, "-W", "error", "doubles.py", f"{name}{number}", str(runs)]
            writer = subprocess.Popen(command, cwd=folder, stdout=out, stderr=err, text=True, env=_environment())
            stack.callback(writer.wait)
            stack.callback(writer.kill)
            writer.said = folder / f"{name}{number}.out"  # type: ignore[attr-defined]
            writers.append(writer)
        yield writers


def _ended(writers: Sequence[subprocess.Popen[str]]) -> list[str]:
    """What all have acknowledged, once they have ended well."""
    acknowledged: list[str] = []
    for writer in writers:
        code = writer.wait(timeout=600)
        said = writer.said  # type: ignore[attr-defined]
        complaints = said.with_suffix(".err").read_text()
        assert code == 0, complaints
        assert not any(word in complaints.lower() for word in ("lock", "traceback", "warning", "damaged")), complaints
        acknowledged += said.read_text().split()
    return acknowledged


def _looks_while(folder: Path, writers: Sequence[subprocess.Popen[str]]) -> int:
    """Sessions and commands in turns for as long as somebody writes; no look sees less than the one before."""
    looks, least = 0, 0
    while any(writer.poll() is None for writer in writers) or looks < 3:
        found = len(_cli(folder)) if looks % 8 == 2 else _look(folder)
        assert found >= least
        least, looks = found, looks + 1
    return looks


def _look(folder: Path) -> int:
    home = Home.open(folder / ".headwater", create=True)
    with Projection(home).session() as session:
        ((runs, different),) = session.rows("SELECT count(*), count(DISTINCT run_id) FROM runs")
    assert runs == different
    return int(runs)


def _cli(folder: Path) -> list[object]:
    command = [sys.executable, "-m", "headwater", "runs", "--limit", "100000", "--json"]
    done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "lock" not in done.stderr.lower(), done.stderr
    found: list[object] = json.loads(done.stdout)["runs"]
    return found


@contextmanager
def _shell(folder: Path, mode: str) -> Iterator[object]:
    """Somebody's DuckDB holds the file; called, it looks once more and lets go."""
    database = folder / ".headwater" / "headwater.duckdb"
    command = [sys.executable, "-c", SHELL, str(database), mode]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as shell:  # type: ignore[call-overload]
        assert shell.stdout.readline().strip().isdigit()

        def end() -> int:
            said, _ = shell.communicate("\n", timeout=60)
            assert shell.returncode == 0
            return int(said)

        yield end
        if shell.returncode is None:
            shell.kill()


def _judged(folder: Path, acknowledged: Sequence[str]) -> tuple[int, int]:
    """How many acknowledged runs are lost, and how many there are twice, in the journal and in the projection."""
    home = Home.open(folder / ".headwater", create=False)
    looks = Projection(home)
    assert looks.verify() == verify_journal(home) == []
    events = list(Reader(home).events())
    assert_sound(events)
    named = "SELECT parameters->>'name' || ':' || (parameters->>'number') FROM facts.run_started"
    with looks.session() as session:
        projected = Counter(name for (name,) in session.rows(named))
        ((completed,),) = session.rows("SELECT count(*) FROM runs WHERE state = 'Completed'")
    written = Counter(
        f"{p['name']}:{p['number']}" for p in (e.body["parameters"] for e in of_kind(events, "run.started"))
    )
    assert completed == len(of_kind(events, "run.ended")) == len(of_kind(events, "log.written"))
    assert projected == written
    lost = set(acknowledged) - set(written)
    return len(lost), sum(written.values()) - len(written)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}
