"""Log records of a run: what Python's logging emits inside it, and what it prints, stands in the journal with it."""

from __future__ import annotations

import logging
import threading

from headwater.core import prints
from headwater.core.context import current
from headwater.core.signals import raise_unheard
from headwater.forks import free_in_child


class _Level(int):
    """A level that is told from the same one of somebody else's, who has set it and is to keep it."""


_LEVEL = _Level(logging.INFO)
_OWN = "headwater.run"
_lock = free_in_child(threading.Lock())
_runs = 0
_level_before: int | None = None


def get_logger(name: str = _OWN) -> logging.Logger:
    """A logger whose records from INFO on are kept with the run; any other logger of Python's logging does as well.

    >>> get_logger().name
    'headwater.run'
    """
    logger = logging.getLogger(name)
    if logger.level == logging.NOTSET:
        logger.setLevel(_LEVEL)
    return logger


class _JournalHandler(logging.Handler):
    """Appends a run's records to the journal, and leaves it to others to show them."""

    def emit(self, record: logging.LogRecord) -> None:
        worth_showing = record.levelno >= logging.WARNING or record.name == _OWN
        if worth_showing and logging.lastResort is not None and not self._others(record):
            # Python shows warnings on stderr as long as there is no handler at all; this one must not silence them. What
            # goes to `get_logger()` was written to be seen.
            logging.lastResort.handle(record)
        context = current()
        if context is None or record.name.startswith("headwater.core"):
            return
        try:
            context.journal.append(prints.log_record(context, record.levelno, record.name, self.format(record)))
        except Exception:  # noqa: BLE001 - logging must not break what it tells of: the standard way out
            self.handleError(record)
        if context.run.root.unheard:
            raise_unheard(context.run.root)

    def _others(self, record: logging.LogRecord) -> bool:
        logger: logging.Logger | None = logging.getLogger(record.name)
        while logger is not None:
            if any(handler is not self for handler in logger.handlers):
                return True
            logger = logger.parent if logger.propagate else None
        return False


_handler = _JournalHandler(_LEVEL)
_above = logging.Logger("headwater.journal")
"""Stands above the root logger while something runs, with our handler: with it on the root itself, `logging.basicConfig` would
find logging configured and do nothing, and `force=True` or a `dictConfig` would take it away."""
_above.addHandler(_handler)


def attach() -> None:
    """A root run begins: keep its records."""
    global _runs, _level_before
    root = logging.getLogger()
    with _lock:
        _runs += 1
        if _runs > 1:
            return
        # Nobody configured logging: let INFO through to us. Who did configure it has said what he wants.
        _level_before = root.level if not root.handlers and root.level == logging.WARNING else None
        if _level_before is not None:
            root.setLevel(_LEVEL)
        _above.parent, root.parent = root.parent, _above
        prints.attach()


def detach() -> None:
    """A root run has ended."""
    global _runs
    root = logging.getLogger()
    with _lock:
        _runs -= 1
        if _runs:
            return
        prints.detach()
        root.parent = _above.parent
        if _level_before is not None and root.level is _LEVEL:
            root.setLevel(_level_before)
