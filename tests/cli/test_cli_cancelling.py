"""`headwater runs cancel`: a run is stopped from another process."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_project import Cli
from clocks import Stopped

from headwater import clock

HEAD = """
import asyncio, signal, sys, time
from headwater import flow, task
"""
SLEEPS = """
@task
def sleeps():
    print("here", file=sys.stderr, flush=True)
    time.sleep(600)

@flow
def main():
    sleeps()
"""
THREADS = """
@task
def looks():
    from headwater.core.context import current
    print("here", file=sys.stderr, flush=True)
    current().cancelled.wait(600)
    after()

@task
def after(): ...

@flow
def main():
    for future in [looks.submit(), looks.submit()]:
        future.result()
"""
ASYNC = """
@task
async def sleeps():
    print("here", file=sys.stderr, flush=True)
    await asyncio.sleep(600)

@flow
async def flowing():
    await sleeps()

def main():
    asyncio.run(flowing())
"""
DEAF = """
@flow
def main():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    print("here", file=sys.stderr, flush=True)
    sys.stdin.readline()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    time.sleep(600)
"""
RETRIED = """
@flow(retries=1, retry_delay=600, hooks={"AwaitingRetry": lambda change: print("here", file=sys.stderr, flush=True)})
def main():
    raise ValueError("no")
"""
SUBFLOW = """
@flow
def inner():
    print("here", file=sys.stderr, flush=True)
    time.sleep(600)

@flow
def main():
    inner()
"""

Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    processes = []

    def begin(text: str) -> "subprocess.Popen[str]":
        (tmp_path / "job.py").write_text(HEAD + text + "\nmain()\n")
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        process = subprocess.Popen([sys.executable, "job.py"], cwd=tmp_path, text=True, **pipes)
        processes.append(process)
        assert process.stderr is not None
        while "here" not in process.stderr.readline():
            assert process.poll() is None
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def headwater(cli: Cli, *arguments: str) -> tuple[int, Any]:
    done = cli(*arguments, "--json")
    return done.code, done.json


def runs(cli: Cli) -> dict[str, Any]:
    return {row["flow"]: row for row in headwater(cli, "runs")[1]["runs"]}


@pytest.mark.parametrize(
    ("text", "name"), [(SLEEPS, "main"), (THREADS, "main"), (ASYNC, "flowing"), (SUBFLOW, "inner")]
)
def test_a_run_is_stopped_from_another_process(cli: Cli, start: Start, text: str, name: str) -> None:
    process = start(text)
    code, ended = headwater(cli, "runs", "cancel", runs(cli)[name]["id"])
    assert (code, ended["flow"], ended["state"]) == (0, name, "Cancelled")
    assert process.wait(30) == 143
    found = runs(cli)
    assert {row["state"] for row in found.values()} == {"Cancelled"}
    assert all(set(row["tasks"]) <= {"Cancelled"} for row in found.values())


def test_who_does_not_listen_yet_is_cancelling(cli: Cli, start: Start) -> None:
    process = start(DEAF)
    run = runs(cli)["main"]["id"]
    with clock.use(Stopped()):  # the wait is over nevertheless
        code, row = headwater(cli, "runs", "cancel", run[:30], "--wait", "0.5")
    assert (code, row["state"]) == (1, "Cancelling")
    assert runs(cli)["main"]["state"] == "Cancelling"
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.wait(30) == 143
    assert runs(cli)["main"]["state"] == "Cancelled"


def test_what_has_ended_is_not_cancelled(cli: Cli, start: Start) -> None:
    process = start(SLEEPS)
    run = runs(cli)["main"]["id"]
    process.kill()
    process.wait(30)
    code, document = headwater(cli, "runs", "cancel", run)
    assert (code, "it is Crashed" in document["error"]["message"]) == (2, True)
    code, document = headwater(cli, "runs", "cancel", "no-such-run")
    assert (code, document["error"]["kind"]) == (2, "unknown_name")


def test_a_run_that_waits_for_its_next_attempt_makes_none_when_it_is_cancelled(cli: Cli, start: Start) -> None:
    process = start(RETRIED)
    before = runs(cli)["main"]
    assert before["state"] == "Failed"
    assert headwater(cli, "runs", "cancel", before["id"])[0] == 0
    assert process.wait(30) == -15
    assert (runs(cli)["main"]["state"], runs(cli)["main"]["attempt"]) == ("Failed", 1)
    code, document = headwater(cli, "runs", "cancel", before["id"])
    assert (code, "it is Failed" in document["error"]["message"]) == (2, True)


def test_a_run_on_another_machine_is_refused(
    tmp_path: Path, cli: Cli, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headwater.core.journal.files import carrier_of
    from headwater.core.journal.home import Home
    from headwater.lineage.processes import process_of

    process = start(SLEEPS)
    run = runs(cli)["main"]["id"]
    carrier = carrier_of(Home.open(tmp_path / ".headwater", create=False))
    found = process_of(carrier, run, closed=())
    assert found is not None
    assert (found.pid, found.is_here) == (process.pid, True)
    assert process_of(carrier, "another", closed=()) is None
    monkeypatch.setattr("os.uname", lambda: type("U", (), {"nodename": "elsewhere"}))
    assert not found.is_here


def test_a_run_in_a_container_with_process_numbers_of_its_own_is_refused(
    tmp_path: Path, cli: Cli, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headwater.errors import HeadwaterError
    from headwater.lineage import asking
    from headwater.project import Project

    process = start(SLEEPS)
    run = runs(cli)["main"]["id"]
    project = Project.open(tmp_path)
    signalled: list[int] = []
    # Nobody may be signalled here, whatever the code does: the number may be any process's.
    monkeypatch.setattr(asking, "terminate", lambda carrier, found: signalled.append(found.pid))
    monkeypatch.setattr("headwater.lineage.processes.process_numbers", lambda: "pid:[1]", raising=False)
    with pytest.raises(HeadwaterError, match="lives in process") as caught:
        asking.cancel_run(project.projection, project.carrier, project.journal, run, "somebody")
    project.close()
    assert "container" in str(caught.value.hint)
    assert signalled == []
    assert process.poll() is None
