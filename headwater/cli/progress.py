"""Progress of a backfill on standard error: a live board on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from headwater import clock
from headwater.assets.backfilling import Told
from headwater.cli.output import duration, say

if TYPE_CHECKING:
    from rich.table import Table

    from headwater.assets.backfill import BackfillPlan

Watch = Callable[[Told], None]
_EVERY_US = 5_000_000
_SHOWN = 20
"""So many assets are shown: those that are not done come first."""
_BAR = 24


@contextmanager
def watching(plan: BackfillPlan, quiet: bool) -> Iterator[Watch]:
    """A function to tell what has changed, whenever something has; from any thread."""
    if sys.stderr.isatty() and not quiet:
        with _board(plan.total) as watch:
            yield watch
    else:
        yield _Lines(plan.total).tell


class Pace:
    """How fast units end, and how long the rest takes at that rate. What had ended before it began does not count."""

    def __init__(self, total: int) -> None:
        self._total, self._began = total, clock.now_us()
        self._before: int | None = None

    def of(self, counts: Mapping[str, int]) -> tuple[float, float | None]:
        """Units a second, and the seconds that are left; None as long as nobody can tell."""
        ended = _ended(counts)
        if self._before is None:
            self._before = ended
        rate = (ended - self._before) / max(clock.now_us() - self._began, 1) * 1_000_000
        return rate, (self._total - ended) / rate if rate and ended < self._total else None


class _Lines:
    """A line every five seconds, and one at the end, for logs and pipes."""

    def __init__(self, total: int) -> None:
        self._total, self._last, self._pace = total, clock.now_us(), Pace(total)
        self._lock = threading.Lock()

    def tell(self, told: Told) -> None:
        counts, ended = told.counts, _ended(told.counts)
        now = clock.now_us()
        with self._lock:
            _, left = self._pace.of(counts)
            if ended < self._total and now - self._last < _EVERY_US:
                return
            self._last = now
        how_long = "" if left is None else f", about {duration(left)} left"
        say(f"{ended:,} of {self._total:,} ({ended * 100 // max(self._total, 1)}%){_bad(counts)}{how_long}")


@contextmanager
def _board(total: int) -> Iterator[Watch]:
    from rich.console import Console
    from rich.live import Live

    pace, last = Pace(total), Told({}, {})

    def shown() -> Any:
        return board(last, total, pace) if last.counts else ""

    with Live(get_renderable=shown, console=Console(stderr=True), refresh_per_second=4) as live:

        def tell(told: Told) -> None:
            nonlocal last
            last = told

        yield tell
        live.refresh()


def board(told: Told, total: int, pace: Pace) -> Table:
    """The board: a line for each asset, and one for all of them with the rate and an estimate."""
    from rich.table import Table
    from rich.text import Text

    found = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("asset", "", "done", "running", "failed", "blocked"):
        found.add_column(name, justify="left" if name in ("asset", "") else "right", no_wrap=True)
    open_first = sorted(told.assets.items(), key=lambda one: _ended(one[1]) == one[1]["requested"])
    rows = [*open_first[:_SHOWN], ("all", told.counts)] if len(told.assets) > 1 else open_first
    for name, counts in rows:
        ended, wanted = _ended(counts), counts["requested"]
        bad = counts["failed"] + counts["blocked"]
        filled = ended * _BAR // max(wanted, 1)
        bar = Text("━" * filled, style="red" if bad else "green") + Text("━" * (_BAR - filled), style="dim")
        numbers = [f"{counts[one]:,}" if counts[one] else "" for one in ("running", "failed", "blocked")]
        found.add_row(name, bar, f"{ended:,}/{wanted:,}", *numbers)
    if len(open_first) > _SHOWN and len(told.assets) > 1:
        found.caption = f"and {len(open_first) - _SHOWN} more assets"
    rate, left = pace.of(told.counts)
    if rate:
        estimate = "" if left is None else f", about {duration(left)} left"
        found.add_row("", f"{rate:.1f} a second{estimate}")
    return found


def _bad(counts: Mapping[str, int]) -> str:
    return "".join(f", {counts[state]} {state}" for state in ("failed", "blocked") if counts[state])


def _ended(counts: Mapping[str, int]) -> int:
    return sum(counts[state] for state in ("completed", "failed", "skipped", "blocked"))
