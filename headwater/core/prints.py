"""What a run prints is kept with it, line by line, as a log record; it still goes where it went before."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

from headwater.core.context import current
from headwater.core.events import LogWritten
from headwater.core.signals import raise_unheard
from headwater.forks import free_in_child

if TYPE_CHECKING:
    from headwater.core.context import RunContext

LOGGER = "print"
"""The logger under which printed lines stand."""
_LONGEST = 10_000
"""Characters of a line; the rest of a longer one is left out."""

_lock = free_in_child(threading.RLock())
_tee: Tee | None = None


class Tee:
    """A text stream that also keeps what a run writes to it; in everything else it is the stream that it was made of."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write to the stream, and keep it with the run that this code belongs to, if it does to one."""
        written: int = self._stream.write(text)
        context = current()
        # What logging shows here is kept as the record that it is.
        if context is not None and sys._getframe(1).f_globals.get("__name__") != "logging":
            # A print must not raise what the journal does: the run's own events will.
            with contextlib.suppress(Exception):
                _keep(context, text)
            if context.run.root.unheard:
                raise_unheard(context.run.root)
        return written

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)


def _keep(context: RunContext, text: str) -> None:
    with _lock:
        *lines, rest = (context.printed + text).split("\n")
        # Of a progress bar what stands there last; a return at the end may be one before the end of the line.
        context.printed = _shown(rest)[:_LONGEST] + "\r" * rest.endswith("\r")
        context.journal.append(*[one for line in lines for one in _record(context, line)])


def _record(context: RunContext, line: str) -> list[LogWritten]:
    shown = _shown(line)
    if not shown.strip():
        return []
    return [log_record(context, logging.INFO, LOGGER, shown[:_LONGEST])]


def log_record(context: RunContext, level: int, logger: str, message: str) -> LogWritten:
    """A log record of the run, or of the task run in it, as a body."""
    return LogWritten(
        run_id=context.run_id,
        attempt=context.attempt,
        task_run_id=context.task_run_id,
        level=level,
        logger=logger,
        message=message,
    )


def _shown(line: str) -> str:
    """What a line leaves on the screen: after a return it is written over, and one at its end changes nothing."""
    return line.rstrip("\r").rpartition("\r")[2]


def unfinished(context: RunContext) -> list[LogWritten]:
    """The line that a task run, or a run, has begun to print and not ended."""
    if not context.printed:
        return []
    with _lock:
        line, context.printed = context.printed, ""
    return _record(context, line)


def attach() -> None:
    """The first run begins: keep what is printed."""
    global _tee
    if sys.stdout is not None and not isinstance(sys.stdout, Tee):
        _tee = Tee(sys.stdout)
        sys.stdout = _tee


def detach() -> None:
    """The last run has ended: the stream is itself again, unless somebody has put another in its place meanwhile."""
    global _tee
    if _tee is not None and sys.stdout is _tee:
        sys.stdout = _tee._stream
    _tee = None
