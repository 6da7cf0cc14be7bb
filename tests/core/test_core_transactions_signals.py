"""Ctrl-C, SIGTERM and `runs cancel` in the block of a transaction, as a user meets them: real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headwater.testing import project

SCRIPT = """
import asyncio, sys, time
from headwater import flow, materialize, task, transaction

def say(word):
    print(word, flush=True)

def hang():
    for _ in range(3000):
        time.sleep(0.01)

@materialize("parquet://lake/orders")
def ingest():
    import polars
    return polars.DataFrame({"n": [1]})

@task
def load(n):
    return n

@load.on_rollback
def undo(outcome):
    say(f"undo {outcome.result}")
    if outcome.result == 3:
        hang()

@flow
def main():
    with transaction():
        ingest()
        load(1)
        load(int(sys.argv[1]))
        say("ready")
        hang()

@flow
async def main_async():
    async with transaction():
        load(1)
        load(2)
        say("ready")
        await asyncio.sleep(30)

main() if sys.argv[2] == "sync" else asyncio.run(main_async())
"""


class Script:
    """A process that runs the flow, and what it says."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        (folder / "script.py").write_text(SCRIPT)
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "script.py", *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        self.said: list[str] = []

    def until(self, word: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.strip())
            if line.strip() == word:
                return
        pytest.fail(f"the script ended before it said {word}")

    def ended(self) -> int:
        out, _ = self.process.communicate(timeout=60)
        self.said += out.splitlines()
        return self.process.returncode

    def states(self) -> tuple[str, dict[str, int]]:
        with project(self.folder) as found:
            (run,) = found.reader.runs()["runs"]
            return run["state"], run["tasks"]


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Any]:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "shop"\n')
    running: list[Script] = []

    def start(*arguments: str) -> Script:
        running.append(Script(tmp_path, *arguments))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


@pytest.mark.parametrize(
    ("signum", "kind"), [(signal.SIGINT, "sync"), (signal.SIGTERM, "sync"), (signal.SIGINT, "async")]
)
def test_a_signal_rolls_back(script: Any, signum: int, kind: str) -> None:
    running = script("2", kind)
    running.until("ready")
    running.process.send_signal(signum)
    assert running.ended() != 0
    assert running.said == ["ready", "undo 2", "undo 1"]
    assert running.states() == ("Cancelled", {"RolledBack": 2 if kind == "async" else 3})
    assert not list(running.folder.rglob("*.parquet"))


def test_a_second_ctrl_c_gives_up_the_hook_that_runs_and_no_other(script: Any) -> None:
    running = script("3", "sync")
    running.until("ready")
    running.process.send_signal(signal.SIGINT)
    running.until("undo 3")
    running.process.send_signal(signal.SIGINT)
    assert running.ended() != 0
    assert running.said == ["ready", "undo 3", "undo 1"]
    assert running.states() == ("Cancelled", {"RolledBack": 3})


HEARD = """
import os, signal, sys, time
from headwater import flow, get_logger, task

class Stream:
    def write(self, text):
        if "said" in text:
            os.kill(os.getpid(), signal.SIGINT)
        return len(text)
    def flush(self):
        pass

@task
def talk():
    try:
        print("said")
        time.sleep(30)
    except KeyboardInterrupt:
        sys.stderr.write("heard")
        raise

@flow
def main():
    talk()

sys.stdout = Stream()
main()
"""


def test_a_signal_is_heard_when_it_comes_while_a_line_is_printed(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(HEARD)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=25,
    )
    assert done.returncode != 0
    assert done.stderr.startswith("heard")


def test_cancelling_from_another_process_rolls_back(script: Any) -> None:
    running = script("2", "async")
    running.until("ready")
    with project(running.folder) as found:
        (run,) = found.reader.runs()["runs"]
    done = subprocess.run(
        [sys.executable, "-m", "headwater", "runs", "cancel", run["id"]],
        cwd=running.folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    running.ended()
    assert running.said == ["ready", "undo 2", "undo 1"]
    assert running.states() == ("Cancelled", {"RolledBack": 2})
