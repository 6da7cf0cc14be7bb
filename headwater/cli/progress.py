"""Progress of long work on standard error: a bar with an estimate on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from headwater import clock
from headwater.cli.output import duration, say

Watch = Callable[[Mapping[str, int]], None]
_EVERY_US = 5_000_000


@contextmanager
def watching(total: int, quiet: bool) -> Iterator[Watch]:
    """A function to tell the counts to, whenever one of them has changed; from any thread."""
    if sys.stderr.isatty() and not quiet:
        with _bar(total) as watch:
            yield watch
    else:
        yield _Lines(total).tell


class _Lines:
    """A line every five seconds, and one at the end, for logs and pipes."""

    def __init__(self, total: int) -> None:
        self._total, self._began, self._last = total, clock.now_us(), clock.now_us()
        self._lock = threading.Lock()

    def tell(self, counts: Mapping[str, int]) -> None:
        ended = _ended(counts)
        now = clock.now_us()
        with self._lock:
            if ended < self._total and now - self._last < _EVERY_US:
                return
            self._last = now
        rate = ended / max(now - self._began, 1) * 1_000_000
        left = f", about {duration((self._total - ended) / rate)} left" if rate and ended < self._total else ""
        bad = "".join(f", {counts[state]} {state}" for state in ("failed", "blocked") if counts[state])
        say(f"{ended:,} of {self._total:,} ({ended * 100 // max(self._total, 1)}%){bad}{left}")


@contextmanager
def _bar(total: int) -> Iterator[Watch]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), expand=True) as progress:
        task = progress.add_task("partitions", total=total)

        def tell(counts: Mapping[str, int]) -> None:
            bad = "".join(f", {counts[state]} {state}" for state in ("failed", "blocked") if counts[state])
            progress.update(task, completed=_ended(counts), description=f"partitions{bad}")

        yield tell


def _ended(counts: Mapping[str, int]) -> int:
    return sum(counts[state] for state in ("completed", "failed", "skipped", "blocked"))
