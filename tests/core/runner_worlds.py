"""What tests of runners share."""

from __future__ import annotations

import os
import select
import sys
import time
from pathlib import Path

from headwater import flow, task
from headwater.core.journal.memory import MemoryCarrier
from headwater.core.runners.processes import ProcessRunner
from headwater.testing import project

PATIENCE = 20.0


@task
def meet(place: Path, many: int) -> int:
    """Return when so many others are here."""
    (place / str(os.getpid())).touch()
    until = time.monotonic() + PATIENCE
    while len(list(place.iterdir())) < many and time.monotonic() < until:
        time.sleep(0.002)
    return os.getpid()


def warm_up(runner: ProcessRunner, place: Path) -> None:
    """Have all workers of a runner started: what a test starts must not outlive it."""
    many = runner.max_workers or 1

    @flow(runner=runner)
    def main() -> set[int]:
        return set(meet.map([place] * many, many).result())

    with project(carrier=MemoryCarrier()):
        assert len(main()) == many


def wait_until(true: object, what: str = "it happens") -> None:
    """Wait until a function answers True."""
    until = time.monotonic() + PATIENCE
    while not true():  # type: ignore[operator]
        assert time.monotonic() < until, f"waited in vain until {what}"
        time.sleep(0.005)


def is_alive(pid: int) -> bool:
    """Whether a process lives: one that is dead and not yet reaped does not, once its last thread has closed its files."""
    if sys.platform == "linux":
        # A listing of its threads may miss some of them while others end.
        try:
            process = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        try:
            return not select.select([process], [], [], 0)[0]
        finally:
            os.close(process)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
