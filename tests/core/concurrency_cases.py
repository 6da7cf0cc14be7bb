"""What the tests of limits share: a project in a home of its own, what it recorded, and real processes beside this one."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

from journal_cases import expect, finish, kill, until

from headwater.core.journal.reader import Reader
from headwater.project import Project

__all__ = ["Peak", "bodies", "expect", "finish", "free", "kill", "start", "states", "until"]

ROOT = Path(__file__).parents[2]

PREAMBLE = """
import asyncio, os, sys, signal, threading, time
from headwater import concurrency, flow, materialize, rate_limit, task, try_rate_limit
from headwater.core import runtime
from headwater.core.context import current
from headwater.project import Project
def say(*words):
    print(*words, flush=True)
def stay():
    while True:
        time.sleep(0.01)
        if (found := current()) is not None and found.cancelled.is_set():
            break
"""


class Peak:
    """How many are in a block at once, and the most that there ever were."""

    def __init__(self) -> None:
        self.now = self.most = self.turns = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Peak:
        with self._lock:
            self.now += 1
            self.turns += 1
            self.most = max(self.most, self.now)
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.now -= 1


def states(project: Project, name: str | None = None) -> list[str]:
    """The states that task runs came into after their start, with their limits, in order."""
    found = []
    for event in Reader(project.home).events():
        if event.kind in ("task.state", "task.ended") and (name is None or event.body.get("task") in (None, name)):
            limit = event.body.get("limit")
            found.append(event.body["state"] + (f" {limit}" if limit else ""))
    return found


def bodies(project: Project, kind: str) -> list[Any]:
    return [event.body for event in Reader(project.home).events() if event.kind == kind]


def free(project: Project) -> bool:
    """Whether no slot is held, nobody waits, and no file of either is left."""
    left = [path for path in project.home.locks.iterdir() if path.suffix == ".line" or b"limit:" in path.read_bytes()]
    return project.locks.seen() == [] and left == []


def start(project: Project, script: str, **environment: str) -> subprocess.Popen[str]:
    """A real Python process that runs a script in the project; it talks on its standard output."""
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + textwrap.dedent(script)],
        cwd=project.root,
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )
