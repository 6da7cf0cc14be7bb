"""Ctrl-C and SIGTERM during a run of the main thread: the run ends as Cancelled, and only then does the process.

A signal may arrive between any two bytecodes. It raises at once while user code runs or while we wait; within the engine or
the journal it only marks the run, which the next boundary sees, so that no event is half-written and none is left out.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from headwater.errors import Cancelled

if TYPE_CHECKING:
    from headwater.core.context import RootRun, Run

F = TypeVar("F", bound=Callable[..., Any])

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_interruptible: set[CodeType] = set()
_hosts: set[CodeType] = set()
_active: list[RootRun] = []
_previous: dict[int, Any] = {}


class Terminated(Cancelled, SystemExit):
    """SIGTERM: nobody needs a traceback of it, and the process ends with 128 + 15 when nobody catches it.

    >>> Terminated().code
    143
    """

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)

    def __str__(self) -> str:
        return "stopped by SIGTERM"


_INTERRUPTED = "Query interrupted"
"""What DuckDB says when Ctrl-C comes in the middle of a query: the interruption itself is gone by then."""


def is_ctrl_c(error: BaseException) -> bool:
    """Whether an error is what became of Ctrl-C.

    >>> is_ctrl_c(KeyboardInterrupt()), is_ctrl_c(RuntimeError("Query interrupted")), is_ctrl_c(RuntimeError("no"))
    (True, True, False)
    """
    return isinstance(error, KeyboardInterrupt) or (type(error) is RuntimeError and str(error) == _INTERRUPTED)


def interruptible(fn: F) -> F:
    """Mark a function of core in which a signal may raise: one that calls user code, or waits."""
    _interruptible.add(fn.__code__)
    return fn


def hosts(fn: F) -> F:
    """Mark a generator of core that runs code of other layers: a signal may raise in that code, but not in its own."""
    _hosts.add(fn.__code__)
    return fn


def enter(root: RootRun) -> None:
    """Take the signals over for a run; does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return
    if not _active:
        for signum in _SIGNALS:
            handler = signal.getsignal(signum)
            if handler is not _handle and (handler is signal.SIG_DFL or callable(handler)):
                _previous[signum] = handler
                signal.signal(signum, _handle)
    _active.append(root)


def leave(root: RootRun) -> None:
    """Give the signals back when the last run has ended; a handler of the user's own then hears of a SIGTERM."""
    if root not in _active:
        return
    _active.remove(root)
    if _active or threading.current_thread() is not threading.main_thread():
        return  # handlers are the main thread's: the next signal, or the next run of that thread, gives them back
    handlers = _give_back()
    if root.signal == signal.SIGTERM and callable(handlers.get(signal.SIGTERM)):
        signal.raise_signal(signal.SIGTERM)


def _give_back() -> dict[int, Any]:
    handlers = dict(_previous)
    _previous.clear()
    for signum, handler in handlers.items():
        signal.signal(signum, handler)
    return handlers


def interruption(run: Run) -> BaseException:
    """The error that tells this thread that the run was asked to stop."""
    root = run.root
    if root.signal is None or root.is_async or threading.current_thread() is not threading.main_thread():
        return Cancelled("the run was asked to stop")
    root.unheard = False
    return raised_by(root.signal)


def raised_by(signum: int) -> BaseException:
    """The error that a signal becomes."""
    if signum == signal.SIGINT:
        return KeyboardInterrupt()
    return Cancelled("stopped by SIGTERM") if callable(_previous.get(signum)) else Terminated()


@interruptible
def raise_pending() -> None:
    """Raise for a signal that arrived when it could not: called right before the main thread waits, and when a task has ended.

    Nothing of the engine's own may run between this and the wait: a signal that arrives there would only be marked, and
    the wait would know nothing of it. Here and in the waits themselves signals raise.
    """
    if _active and threading.current_thread() is threading.main_thread():
        root = _active[-1]
        if root.signal is not None and not root.closing and not root.is_async:
            root.unheard = False
            raise raised_by(root.signal)


@interruptible
def raise_unheard(root: RootRun) -> None:
    """Raise for a signal that was only marked: called where user code gets back from a word with the engine (a line printed).

    That code may go on for long before it comes to the next boundary.
    """
    if root.signal is None or not root.unheard or root.closing:
        return
    if threading.current_thread() is threading.main_thread():
        root.unheard = False
        raise raised_by(root.signal)


@contextmanager
def closing(root: RootRun) -> Iterator[None]:
    """Let signals no longer raise in the main thread: the run is ending, another one only makes us wait less."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, root.closing = root.closing, True
    try:
        yield
    finally:
        root.closing = before


def _handle(signum: int, frame: FrameType | None) -> None:
    _active[:] = [root for root in _active if root.loop is None or not root.loop.is_closed()]
    if not _active:
        # The last run has ended in another thread, or its event loop was closed.
        _give_back()
        signal.raise_signal(signum)
        return
    again = any(root.signal is not None for root in _active)
    for root in _active:
        root.impatient = root.impatient or root.closing
        root.signal = root.signal or signum
        root.cancelled.mark()
    root = _active[-1]
    if root.is_async:
        _interrupt(signum, frame, again)
    elif not root.closing:
        root.unheard = not _may_raise(frame)
        if not root.unheard:
            raise raised_by(signum)


def _interrupt(signum: int, frame: FrameType | None, again: bool) -> None:
    previous = _previous.get(signum)
    if signum == signal.SIGINT and callable(previous) and previous is not signal.default_int_handler:
        # asyncio.run's own handler: the first time it cancels the task, from then on it raises.
        if not again or _may_raise(frame):
            previous(signum, frame)
        return
    for root in _active:
        if root.interrupt is not None:
            root.interrupt()


def _may_raise(interrupted: FrameType | None) -> bool:
    frame = interrupted
    while frame is not None:
        if frame.f_code in _interruptible:
            return True
        if frame.f_code in _hosts:
            return frame is not interrupted
        if _is_engine(frame.f_globals.get("__name__", "")):
            return False
        frame = frame.f_back
    return True


def _is_engine(module: str) -> bool:
    # Waiting for a lock may last: there a signal raises as in any other code.
    return module.startswith("headwater.core.") and module != "headwater.core.journal.locks"
