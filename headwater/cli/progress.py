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
from headwater.cli.terminal import cut, one_line

if TYPE_CHECKING:
    from rich.table import Table

    from headwater.assets.backfill import BackfillPlan

Watch = Callable[[Told], None]
_EVERY_US = 5_000_000
_AROUND = 6
"""The lines that are not of one asset: the header, all of them, the rate; and what the command says around it."""
_BAR = 24
_BESIDE = 44
"""The columns beside names and bars: the counts."""


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
        ended = ended_in(counts)
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
        counts, ended = told.counts, ended_in(told.counts)
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

    pace, last, console = Pace(total), Told({}, {}), Console(stderr=True)

    def shown() -> Any:
        return board(last, total, pace, *console.size) if last.counts else ""

    with Live(get_renderable=shown, console=console, refresh_per_second=4) as live:

        def tell(told: Told) -> None:
            nonlocal last
            last = told

        yield tell
        live.refresh()


def board(told: Told, total: int, pace: Pace, columns: int, lines: int) -> Table:
    """The board in so many columns and lines: a line for each asset, those that are not done first, and one for all of
    them, with the rate and an estimate.
    """
    from rich.table import Table
    from rich.text import Text

    found = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("asset", "", "done", "running", "failed", "blocked"):
        found.add_column(name, justify="left" if name in ("asset", "") else "right", no_wrap=True)
    open_first = sorted(told.assets.items(), key=lambda one: ended_in(one[1]) == one[1]["requested"])
    most = max(1, lines - _AROUND)
    rows = [*open_first[:most], ("all", told.counts)] if len(told.assets) > 1 else open_first
    bar = max(4, min(_BAR, (columns - _BESIDE) // 2))
    for name, counts in rows:
        ended, wanted = ended_in(counts), counts["requested"]
        filled = ended * bar // max(wanted, 1)
        colour = "red" if counts["failed"] + counts["blocked"] else "green"
        numbers = [f"{counts[one]:,}" if counts[one] else "" for one in ("running", "failed", "blocked")]
        found.add_row(
            Text(cut(one_line(name), max(columns - _BESIDE - bar, 8))),
            Text("━" * filled, style=colour) + Text("━" * (bar - filled), style="dim"),
            f"{ended:,}/{wanted:,}",
            *numbers,
        )
    rate, left = pace.of(told.counts)
    more = len(open_first) - most
    said = [f"and {more} more assets"] if more > 0 and len(told.assets) > 1 else []
    if rate:
        estimate = "" if left is None else f", about {duration(left)} left"
        said.append(f"{rate:.1f} a second{estimate}")
    if said:
        found.caption, found.caption_justify = "; ".join(said), "left"
    return found


def _bad(counts: Mapping[str, int]) -> str:
    return "".join(f", {counts[state]} {state}" for state in ("failed", "blocked") if counts[state])


def ended_in(counts: Mapping[str, int]) -> int:
    """How many units have ended, of counts by state."""
    return sum(counts[state] for state in ("completed", "failed", "skipped", "blocked"))
