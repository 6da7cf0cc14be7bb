"""What a test may leave behind by mistake: threads, child processes, held locks, open files of a home, turns at limits."""

from __future__ import annotations

import fcntl
import gc
import itertools
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from headwater.core import gates
from headwater.core.journal import descriptors

GRACE = 5.0
"""Seconds that what is on its way out has to be gone."""

# Python starts these by itself, once in a process, and keeps them.
_PYTHONS_OWN = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
_HOMES = (".ndjson", ".new", ".lock", ".duckdb", ".wal", ".parquet")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was there at a moment."""

    threads: frozenset[threading.Thread]
    children: frozenset[int]
    locks: frozenset[int]
    files: frozenset[tuple[int, str]]
    gates: frozenset[gates.Gate]


def snapshot() -> Snapshot:
    return Snapshot(
        threads=frozenset(thread for thread in threading.enumerate() if thread.is_alive()),
        children=frozenset(_children()),
        locks=frozenset(descriptors._open),
        files=frozenset(_files()),
        gates=frozenset(gates._registry._gates.values()),
    )


def leaks(before: Snapshot, *, grace: float = GRACE) -> list[str]:
    """What is there and was not, once it has had the time to go; empty when all is well."""
    found = _new(before)
    deadline = time.monotonic() + grace
    for number in itertools.count(1):
        if not found or time.monotonic() > deadline:
            break
        # Most of it only needs a moment, and a collection takes longer than that.
        if number % 5 == 0:
            gc.collect()
        threading.Event().wait(0.005)
        found = _new(before)
    return found


def _new(before: Snapshot) -> list[str]:
    now = snapshot()
    return [
        *(
            f"a thread: {thread.name} ({'daemon' if thread.daemon else 'not daemon'})"
            for thread in now.threads - before.threads
        ),
        *(f"a child process: {child} {_command(child)}" for child in now.children - before.children),
        *(f"a lock or a segment: descriptor {descriptor}" for descriptor in now.locks - before.locks),
        *(f"a turn at '{gate.name}' that was not given back" for gate in now.gates - before.gates),
        *(f"an open file: {path} (descriptor {descriptor})" for descriptor, path in now.files - before.files),
    ]


def _children() -> Iterator[int]:
    for child in _all_children():
        if not any(name in _command(child) for name in _PYTHONS_OWN):
            yield child


def _all_children() -> list[int]:
    if sys.platform == "linux":
        found: list[int] = []
        for task in os.listdir("/proc/self/task"):  # noqa: PTH208
            try:
                found.extend(map(int, _read(f"/proc/self/task/{task}/children").split()))
            except (FileNotFoundError, ProcessLookupError):  # that thread has just ended
                continue
        return found
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,comm="], capture_output=True, text=True, check=True).stdout
    rows = (line.split(None, 2) for line in listed.splitlines())
    return [int(pid) for pid, parent, command in rows if int(parent) == os.getpid() and command != "ps"]


def _read(path: str) -> bytes:
    # Twice a test, of dozens of threads: a file object takes longer than the reading.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 1 << 20)
    finally:
        os.close(descriptor)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _files() -> Iterator[tuple[int, str]]:
    # Only what lies in temporary folders and is named like ours: what libraries keep open elsewhere is their affair.
    roots = (os.path.realpath(tempfile.gettempdir()), tempfile.gettempdir())
    for entry in os.listdir("/dev/fd"):  # noqa: PTH208
        try:
            path = _path_of(int(entry))
        except OSError:  # the descriptor of this very listing
            continue
        if path.startswith(roots) and path.endswith(_HOMES):
            yield int(entry), path


def _path_of(descriptor: int) -> str:
    if sys.platform == "darwin":
        return os.fsdecode(fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0"))
    return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
