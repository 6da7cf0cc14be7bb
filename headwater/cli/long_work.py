"""Progress of what reads much, on standard error: a line that is rewritten on a terminal, one now and then elsewhere."""

from __future__ import annotations

import sys

from headwater import clock
from headwater.cli import terminal
from headwater.cli.output import duration, say, size_of
from headwater.core.long_work import BYTES, Work

_PATIENCE_US = 2_000_000
"""What takes no longer than this is not worth a word."""
_EVERY_US = 200_000
_LINE_EVERY_US = 5_000_000
_PAUSE_US = 500_000
"""Work that begins so soon after other work is a part of the same wait."""
_CLEAR = "\r\x1b[K"


class Shown:
    """Shows how far long work is."""

    def __init__(self) -> None:
        self._work: Work | None = None
        self._began = self._ended = self._waiting = self._said = 0
        self._standing = False

    def tell(self, work: Work | None) -> None:
        """Work has gone on; None: it is over."""
        now = clock.steady_us()
        if work is None:
            self._work, self._ended = None, now
            self._clear()
            return
        if work is not self._work:
            if self._work is None and now - self._ended > _PAUSE_US:
                self._waiting = self._said = now
            self._work, self._began = work, now
        lasts = sys.stderr.isatty() and terminal.has_cursor()
        if now - self._waiting < _PATIENCE_US or now - self._said < (_EVERY_US if lasts else _LINE_EVERY_US):
            return
        self._said = now
        text = line(work, (now - self._began) / 1e6)
        if lasts:
            self._rewrite(text)
        else:
            say(text)

    def _rewrite(self, text: str) -> None:
        size = terminal.size(sys.stderr)
        self._standing = True
        terminal.put(sys.stderr, _CLEAR + terminal.cut(text, size.columns - 1 if size else 79))

    def _clear(self) -> None:
        if self._standing:
            self._standing = False
            terminal.put(sys.stderr, _CLEAR)


def line(work: Work, seconds: float) -> str:
    """How far work is that began so many seconds ago, of how much, and how long the rest takes at that pace.

    >>> line(Work(what="reading the journal", unit=BYTES, total=350e6, done=70e6), 3)
    'reading the journal: 70 MB of 350 MB (20%), about 12s left'
    >>> line(Work(what="settling", unit="dead processes", total=10_000, done=0), 3)
    'settling: 0 of 10,000 dead processes (0%)'
    >>> line(Work(what="comparing", unit="tables", total=0), 3)
    'comparing …'
    """
    if not work.total:
        return f"{work.what} …"
    if work.unit == BYTES:
        told = f"{size_of(int(work.done))} of {size_of(int(work.total))}"
    else:
        told = f"{int(work.done):,} of {int(work.total):,} {work.unit}"
    left = seconds * (work.total - work.done) / work.done if work.done else None
    estimate = "" if left is None or left < 1 else f", about {duration(left)} left"
    return f"{work.what}: {told} ({int(work.done * 100 // work.total)}%){estimate}"
