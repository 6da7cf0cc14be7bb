"""For tests of flows and assets: a project of its own for a while, forgotten afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headwater import settings
from headwater.assets import registry
from headwater.clock import Clock
from headwater.clock import use as use_clock
from headwater.core import runtime
from headwater.project import Project

__all__ = ["FakeClock", "project", "use_clock"]


class FakeClock:
    """A clock that stands still until it is moved; sleeping moves it.

    >>> clock = FakeClock(us=0)
    >>> clock.sleep(1.5)
    >>> clock.now_us()
    1500000
    """

    def __init__(self, us: int) -> None:
        self._us = us

    def now_us(self) -> int:
        """Microseconds since the epoch."""
        return self._us

    def sleep(self, seconds: float) -> None:
        """Move the clock on by so many seconds, at once."""
        self._us += round(seconds * 1_000_000)


@contextmanager
def project(root: Path | None = None, clock: Clock | None = None) -> Iterator[Project]:
    """A project with a home and definitions of its own; in a temporary folder unless `root` is given.

    >>> from headwater import flow
    >>> with project() as found:
    ...     @flow
    ...     def hello():
    ...         return "hello"
    ...     _ = hello()
    ...     [run["state"] for run in found.reader.runs()["runs"]]
    ['Completed']
    """
    with tempfile.TemporaryDirectory(prefix="headwater-") as folder:
        # Tests tell no catalog, whatever the environment that they run in says.
        found = Project(settings.load(root or Path(folder), environ={}), delivers=False)
        with registry.scope(), runtime.use(found):
            if clock is None:
                yield from _closing(found)
            else:
                with use_clock(clock):
                    yield from _closing(found)


def _closing(found: Project) -> Iterator[Project]:
    try:
        yield found
    finally:
        found.close()
