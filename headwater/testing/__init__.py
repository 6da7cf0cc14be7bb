"""For tests of flows and assets: a project of its own for a while, forgotten afterwards.

`carriers` is for whoever writes a carrier of the journal: what it must do, as tests.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

from headwater import settings
from headwater.assets import registry
from headwater.assets.events import AssetRef
from headwater.assets.protocols import Materializer
from headwater.clock import Clock
from headwater.clock import use as use_clock
from headwater.core import runtime
from headwater.core.journal.carrier import Carrier
from headwater.core.journal.memory import MemoryCarrier
from headwater.core.results import MemoryResults, ResultStore
from headwater.lazily import lazy
from headwater.project import Project
from headwater.settings import Settings

__all__ = ["FakeClock", "MemoryCarrier", "MemoryResults", "project", "use_clock"]


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
def project(
    root: str | Path | None = None,
    clock: Clock | None = None,
    *,
    carrier: Carrier | None = None,
    in_memory: bool = False,
    like: Settings | None = None,
) -> Iterator[Project]:
    """A project with a home and definitions of its own; in a temporary folder unless `root` is given.

    Its journal lies in that home, unless a `carrier` is given: with a `MemoryCarrier` nothing waits for the disk, and a test
    sees every event. With `in_memory` the data of all assets is kept in memory, whatever their places are. In a temporary folder
    the `locations` and `limits` are those of `like`.

    >>> from headwater import flow
    >>> with project() as found:
    ...     @flow
    ...     def hello():
    ...         return "hello"
    ...     _ = hello()
    ...     [run["state"] for run in found.reader.runs()["runs"]]
    ['Completed']
    >>> with project(carrier=(journal := MemoryCarrier())):
    ...     _ = hello()
    >>> [event.kind for event in journal.events if event.kind.startswith("run.")]
    ['run.started', 'run.ended']
    """
    with tempfile.TemporaryDirectory(prefix="headwater-") as folder:
        kind = _InMemory if in_memory else Project
        found = kind(_settings(Path(root or folder), like), delivers=False, carrier=carrier)
        with registry.scope(), runtime.use(found):
            if clock is None:
                yield from _closing(found)
            else:
                with use_clock(clock):
                    yield from _closing(found)


def _settings(root: Path, like: Settings | None) -> Settings:
    """The settings of just this folder. A temporary one may lie in a project (tox sets TMPDIR so): its home is no test's."""
    if (root / "pyproject.toml").is_file():
        # Tests tell no catalog, whatever the environment that they run in says.
        return settings.load(root, environ={})
    found = Settings(root=root.absolute(), project=root.absolute().name or "headwater")
    return found if like is None else replace(found, locations=like.locations, limits=like.limits)


class _InMemory(Project):
    """A project that reads and writes no data outside of this process."""

    @lazy
    def results(self) -> ResultStore:
        """Kept results in memory."""
        return MemoryResults()

    def keeps_in_memory(self, ref: AssetRef) -> bool:
        """All data is."""
        return True

    def materializer(self, ref: AssetRef) -> Materializer:
        """The one that keeps values in memory, for every kind of asset."""
        self._refuse_memory(ref)
        return _kept()


@cache
def _kept() -> Materializer:
    from headwater.materializers.memory import MemoryMaterializer

    return MemoryMaterializer()


def _closing(found: Project) -> Iterator[Project]:
    try:
        yield found
    finally:
        found.close()
