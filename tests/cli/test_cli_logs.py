"""`headwater logs`: what a run logged and printed, also while it runs."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_project import Cli
from clocks import SetBack

from headwater import clock
from headwater.core.events import LogWritten, RunEnded, RunStarted
from headwater.core.journal.home import Home
from headwater.core.journal.writer import Writer
from headwater.errors import ProjectionError
from headwater.lineage import log_pages
from headwater.lineage.projection import Projection
from headwater.lineage.reader import Reader
from headwater.lineage.session import Answer, Session

FLOW = """
import sys
from headwater import flow, get_logger

@flow
def talks():
    print("first")
    get_logger().warning("beware")
    print("waiting", file=sys.stderr, flush=True)
    sys.stdin.readline()
    print("last")

talks()
"""


@pytest.fixture
def talking(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that has said something, and waits for a line."""
    (tmp_path / "job.py").write_text(FLOW)
    command = [sys.executable, "job.py"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=tmp_path, text=True, **pipes) as process:
        assert process.stderr is not None
        while "waiting" not in process.stderr.readline():
            assert process.poll() is None
        yield process
        process.kill()


def run_of(cli: Cli) -> str:
    return cli("runs").out.splitlines()[1].split()[0]


def test_what_a_run_says_is_followed_until_it_ends(tmp_path: Path, cli: Cli, talking: subprocess.Popen[str]) -> None:
    run = run_of(cli)
    command = [sys.executable, "-m", "headwater", "logs", run, "--follow"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=tmp_path, text=True, **pipes) as following:
        assert following.stdout is not None
        assert following.stdout.readline().endswith("INFO     print  first\n")
        assert following.stdout.readline().endswith("WARNING  headwater.run  beware\n")
        assert talking.poll() is None
        assert talking.stdin is not None
        talking.stdin.write("\n")
        talking.stdin.flush()
        rest, told = following.communicate(timeout=60)
    assert rest.endswith("INFO     print  last\n")
    assert rest.count("\n") == 1
    assert "the run has ended: Completed" in told
    assert following.returncode == 0


def test_a_run_is_followed_while_another_begins_whose_id_begins_so_too(
    tmp_path: Path, cli: Cli, talking: subprocess.Popen[str]
) -> None:
    run = run_of(cli)
    (tmp_path / "other.py").write_text("from headwater import flow\n\n\n@flow\ndef other(): ...\n")
    # In processes of their own: this one's ids may be ahead of the clock, after a test that has set it forward.
    program = [sys.executable, "-m", "headwater"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*program, "logs", run[:4], "--follow"], cwd=tmp_path, text=True, **pipes) as following:
        assert following.stdout is not None
        assert following.stdout.readline().endswith("first\n")
        subprocess.run([*program, "run", "other.py"], cwd=tmp_path, check=True, capture_output=True)
        assert cli("logs", run[:4]).err.startswith(f"error: several runs begin with '{run[:4]}'")
        talking.communicate("\n", timeout=60)
        rest, told = following.communicate(timeout=60)
    assert (following.returncode, rest.count("last"), "the run has ended" in told) == (0, 1, True)


def test_one_who_follows_reads_what_is_new_and_misses_nothing_that_comes_late(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    many, looks = 4_000, 12
    writer = Writer(Home.open(tmp_path / ".headwater", create=True))
    run = {"flow": "talks", "root_run_id": "r", "root_flow": "talks", "project": "shop"}
    begun = clock.now_us()

    def said(*texts: str) -> list[LogWritten]:
        return [LogWritten(run_id="r", level=20, logger="shop", message=text) for text in texts]

    writer.append(RunStarted(run_id="r", parameters={}, **run), *said(*map(str, range(many))))
    read, slept, execute = 0, 0, Session.execute

    def counted(self: Session, *given: Any) -> Answer:
        nonlocal read
        found = execute(self, *given)
        read += len(found.rows)
        return found

    def goes_on(seconds: float) -> None:
        nonlocal slept
        slept += 1
        if slept == 3:
            behind = SetBack()
            behind.by = 60_000_000
            with clock.use(behind):  # its time is before those of all others
                writer.append(*said("late"))
        writer.append(*said(f"new {slept}"))
        if slept == looks:
            writer.append(RunEnded(run_id="r", state="Completed", started=begun, **run))

    monkeypatch.setattr(Session, "execute", counted)
    monkeypatch.setattr("headwater.cli.history.clock.sleep", goes_on)
    done = cli("logs", "r", "--follow")
    writer.close()
    texts = [line.split("shop  ")[1] for line in done.out.splitlines()]
    assert texts[:many] == [str(number) for number in range(many)]
    new = [f"new {number + 1}" for number in range(looks)]
    assert texts[many:] == [*new[:2], "late", *new[2:]]
    assert read < 6 * many + looks * 1_100


def write_log(folder: Path, *texts: str) -> None:
    run = {"flow": "talks", "root_run_id": "r", "root_flow": "talks", "project": "shop"}
    said = [LogWritten(run_id="r", level=20, logger="shop", message=text) for text in texts]
    writer = Writer(Home.open(folder / ".headwater", create=True))
    writer.append(RunStarted(run_id="r", parameters={}, **run), *said)
    writer.append(RunEnded(run_id="r", state="Completed", started=clock.now_us(), **run))
    writer.close()


def test_a_long_log_is_read_page_by_page_and_tells_the_same(
    folder: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f'"logs": []\n{number}' for number in range(1_000)]
    write_log(folder, *texts)
    told, document = cli("logs", "r").out, cli("logs", "r", "--json").out
    monkeypatch.setattr(log_pages, "_RECORDS", 70)
    assert [line.split("shop  ")[1] for line in told.splitlines()[::2]] == ['"logs": []'] * len(texts)
    assert (told, document) == (cli("logs", "r").out, cli("logs", "r", "--json").out)
    found = Reader(Projection(Home.open(folder / ".headwater", create=False))).logs("r")
    assert document == json.dumps(found, indent=2) + "\n"
    assert [row["message"] for row in found["logs"]] == texts


def test_a_long_log_takes_bounded_memory(folder: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    write_log(folder, *map(str, range(1_000)))
    most, execute = 0, Session.execute

    def counted(self: Session, *given: Any) -> Answer:
        nonlocal most
        found = execute(self, *given)
        most = max(most, len(found.rows))
        return found

    monkeypatch.setattr(Session, "execute", counted)
    monkeypatch.setattr(log_pages, "_RECORDS", 70)
    assert len(cli("logs", "r").out.splitlines()) == len(cli("logs", "r", "--json").json["logs"]) == 1_000
    assert most == 70


def on_page(monkeypatch: pytest.MonkeyPatch, told: Callable[[int], None]) -> None:
    """Read in small pages, and tell of each one how many have been read before it."""
    numbers, execute = itertools.count(), Session.execute

    def tells(self: Session, sql: str, *given: Any) -> Answer:
        if "strlen" in sql:
            told(next(numbers))
        return execute(self, sql, *given)

    monkeypatch.setattr(log_pages, "_RECORDS", 70)
    monkeypatch.setattr(Session, "execute", tells)


def test_who_reads_the_beginning_of_a_long_log_ends_it_quietly(
    folder: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_log(folder, *map(str, range(1_000)))
    pages: list[int] = []
    on_page(monkeypatch, pages.append)
    for more in ((), ("--json",)):
        read, write = os.pipe()
        os.close(read)
        with open(write, "w", encoding="utf-8") as gone:  # noqa: PTH123 - the end of a pipe
            monkeypatch.setattr(sys, "stdout", gone)
            done = cli("logs", "r", *more)
        assert (done.code, done.err) == (0, "")
    assert pages == [0, 1]


def test_a_log_that_breaks_off_is_one_document_and_the_error_stands_beside_it(
    folder: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_log(folder, *map(str, range(1_000)))

    def breaks(page: int) -> None:
        if page == 2:
            raise ProjectionError("the disk has gone")

    on_page(monkeypatch, breaks)
    done = cli("logs", "r", "--json")
    assert (done.code, done.err.strip()) == (1, "error: the disk has gone")
    assert (done.out.count('"message"'), "error" in done.out) == (140, False)
    assert cli("logs", "zzz", "--json").json["error"]["message"].startswith("there is no run")


def test_levels_choose(cli: Cli, talking: subprocess.Popen[str]) -> None:
    run = run_of(cli)
    assert [line.split()[-1] for line in cli("logs", run, "--level", "warning").out.splitlines()] == ["beware"]
    done = cli("logs", run, "--level", "loud")
    assert (done.code, "there is no level 'LOUD'" in done.err) == (2, True)


def test_a_stream_is_no_document(cli: Cli, talking: subprocess.Popen[str]) -> None:
    done = cli("logs", run_of(cli), "--follow", "--json")
    assert (done.code, '"usage"' in done.out) == (2, True)
