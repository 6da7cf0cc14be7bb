"""What the tests of the journal share: bodies to write, real processes, and looks at the files."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from headwater.core.events import LogWritten, RunEnded, RunStarted, TaskEnded, TaskStarted
from headwater.core.journal.events import Body, Event
from headwater.core.journal.home import Home
from headwater.core.journal.reader import Reader
from headwater.core.journal.writer import Writer

ROOT = Path(__file__).parents[2]

PREAMBLE = """
import os, sys, signal, time, threading
from pathlib import Path
sys.path.insert(0, {tests!r})
from journal_cases import *
from headwater.core.journal.home import Home
from headwater.core.journal.locks import Locks
from headwater.core.journal.reader import Reader
from headwater.core.journal.writer import Writer
from headwater.core.journal.recovery import recover
from headwater.core.journal.writer import Writer
home = Home.open(sys.argv[1], create=True)
def say(*words):
    print(*words, flush=True)
"""


def start(home: Home, script: str, *arguments: object) -> subprocess.Popen[str]:
    """A real Python process that runs a script in a home; it talks on its standard output."""
    preamble = PREAMBLE.format(tests=str(Path(__file__).parent))
    command = [sys.executable, "-c", preamble + textwrap.dedent(script), str(home.path), *map(str, arguments)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def finish(process: subprocess.Popen[str], timeout: float = 30) -> str:
    """What a process said until its end, which must be a good one."""
    said, _ = process.communicate(timeout=timeout)
    assert process.returncode == 0, said
    return said


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL, and wait until the kernel has done it."""
    process.kill()
    process.communicate(timeout=30)


def expect(process: subprocess.Popen[str], word: str) -> None:
    """Wait for a line that the process says."""
    assert process.stdout is not None
    assert process.stdout.readline().strip() == word


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Poll until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


def log(message: object, run_id: str = "run") -> LogWritten:
    return LogWritten(run_id=run_id, level=20, logger="test", message=str(message))


def run_started(run_id: str, **changes: object) -> RunStarted:
    values = {"flow": "flow", "root_run_id": run_id, "root_flow": "flow", "project": "shop", "parameters": {}}
    return RunStarted(run_id=run_id, **{**values, **changes})  # type: ignore[arg-type]


def run_ended(run_id: str, state: str = "Completed", **changes: object) -> RunEnded:
    values = {"flow": "flow", "root_run_id": run_id, "root_flow": "flow", "project": "shop", "started": 1}
    return RunEnded(run_id=run_id, state=state, **{**values, **changes})  # type: ignore[arg-type]


def task_started(task_run_id: str, run_id: str) -> TaskStarted:
    return TaskStarted(task_run_id=task_run_id, run_id=run_id, task="task")


def task_ended(task_run_id: str, run_id: str) -> TaskEnded:
    return TaskEnded(task_run_id=task_run_id, run_id=run_id, task="task", state="Completed", tries=1, started=1)


def dead_writer(home: Home, *bodies: Body) -> Path:
    """The segment of a writer that appended some events and died without another word."""
    writer = Writer(home)
    writer.append(*bodies)
    path = home.journal / f"{writer.id}.ndjson"
    segment = writer._segment
    assert segment is not None
    segment.free()
    writer.close()
    return path


def events(home: Home) -> list[Event]:
    return list(Reader(home).events())


def of_kind(found: Iterable[Event], kind: str) -> list[Event]:
    return [event for event in found if event.kind == kind]


def kinds(found: Iterable[Event]) -> list[str]:
    return [event.kind for event in found]


def messages(found: Iterable[Event]) -> list[str]:
    return [event.body["message"] for event in found if event.kind == "log.written"]


def states(found: Iterable[Event]) -> Counter[tuple[str, str]]:
    """How often each run ended in which state."""
    return Counter((event.body["run_id"], event.body["state"]) for event in found if event.kind == "run.ended")


def segments(home: Home) -> list[Path]:
    return sorted(home.journal.glob("*.ndjson"))


def assert_sound(found: Iterable[Event]) -> None:
    """No event twice, and each writer's numbers without a gap."""
    found = list(found)
    assert len({event.id for event in found}) == len(found)
    for writer in {event.writer for event in found}:
        numbers = [event.seq for event in found if event.writer == writer]
        assert numbers == list(range(len(numbers)))
