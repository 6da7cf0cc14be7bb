"""Descriptors that hold a `flock`, and what a fork does to them.

A `flock` belongs to the open file, which a forked child shares: as long as the child keeps its copy of the descriptor, the
lock outlives its owner. So every such descriptor is opened and closed here, and a forked child closes all of them before
it runs anything else. It never says `LOCK_UN`: that would free the parent's lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

# What is registered first runs first in a forked child: who starts afresh there (see `_after_in_child`) makes new ids, which
# must not be those of the parent's other children.
from headwater import ids  # noqa: F401


class Forgetful(Protocol):
    """An object that must start afresh in a forked child."""

    def forget(self) -> None:
        """Called once in a forked child, before anything else of Headwater runs there."""
        ...


# Held around every open and close, and around every fork: so a child never inherits a descriptor that is not listed here.
_guard = threading.RLock()
_open: dict[int, tuple[int, int]] = {}
"""Which file (device and number) each of them was opened as: other code may close one, and its number be another file's."""
_watched: weakref.WeakSet[Forgetful] = weakref.WeakSet()


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Holds off forks by other threads, and Ctrl-C and SIGTERM, for the `with` block of a lazy import.

    A child that is forked while another thread imports a module can never import it itself; and what a signal's handler
    raises in the middle of an extension's first import may leave that half made, which crashes the interpreter.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        with _guard:
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_HIGH = 200
"""Above the numbers that most processes ever use, and below the fewest that a system allows (256)."""


def open_descriptor(path: Path | str, flags: int, mode: int = 0o600, *, lasting: bool = False) -> int:
    """Open a file that may be locked afterwards; raises OSError.

    One that is `lasting` gets a high number: code that closes a number twice, or all of them, and opens files again does not
    come upon it with its own.
    """
    with _guard:
        while True:
            here = os.getpid()
            descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
            if lasting:
                descriptor = _raised(descriptor)
            _open[descriptor] = _file_of(descriptor)
            if os.getpid() == here:
                return descriptor
            # A signal's handler forked right now, and this is the child: if it was not closed yet, it is the parent's, too.
            if _open.pop(descriptor, None) is not None:
                os.close(descriptor)


def _raised(descriptor: int) -> int:
    try:
        raised = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    except OSError:  # there are fewer numbers here
        return descriptor
    os.close(descriptor)
    return raised


def _file_of(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def keep_standard() -> None:
    """Let nothing of ours get the number of standard input, output or error where somebody has closed that (`2>&-`).

    What native code or a child writes there (a panic, a warning) would land in the middle of the journal.
    """
    with _guard:
        for number in range(3):
            try:
                os.fstat(number)
            except OSError:
                # The lowest number that is free is this one. As inheritable as what it stands for.
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def close_descriptor(descriptor: int) -> None:
    """Free the lock of a descriptor, if it has one, and close it; does nothing in a child that inherited it."""
    with _guard:
        ours = is_ours(descriptor)
        if _open.pop(descriptor, None) is None or not ours:
            return
        # Explicitly, because a subprocess that is just being started may hold a copy until it has called exec.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        # In a child that a signal's handler forked right now it is closed already.
        with contextlib.suppress(OSError):
            os.close(descriptor)


def is_open(descriptor: int) -> bool:
    """Whether it is open still: a forked child has none of its parent's."""
    return descriptor in _open


def is_ours(descriptor: int) -> bool:
    """Whether it is open and still the file that it was opened as: other code of the process may have closed it."""
    try:
        return _open.get(descriptor) == _file_of(descriptor)
    except OSError:
        return False


def give_away(descriptor: int) -> None:
    """Know no more of a descriptor: whoever asked for that closes it."""
    with _guard:
        _open.pop(descriptor, None)


def try_lock(descriptor: int, operation: int = fcntl.LOCK_EX) -> bool:
    """Take the lock of an open descriptor if it is free."""
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Whether somebody holds the lock of a file. Raises OSError when there is no such file."""
    descriptor = open_descriptor(path, os.O_RDWR)
    try:
        return not try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        close_descriptor(descriptor)


def is_at(path: Path | str, descriptor: int) -> bool:
    """Whether a path still names the file of a descriptor."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))  # noqa: PTH116 - of a text, too
    except FileNotFoundError:
        return False


def watch(watched: Forgetful) -> None:
    """Have an object's `forget` called in forked children, for as long as the object lives."""
    with _guard:
        _watched.add(watched)


def _after_in_child() -> None:
    # Other threads that held it or waited for it are not here; this one may hold it still, in a handler that forked.
    if not _guard._is_owned():  # type: ignore[attr-defined]
        _guard._at_fork_reinit()  # type: ignore[attr-defined]
    for descriptor in list(_open):
        if is_ours(descriptor):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        _open.pop(descriptor, None)
    for watched in list(_watched):
        watched.forget()


# Methods of a lock that is written in C: a signal's handler, which may raise, can't come in between.
os.register_at_fork(before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_guard.release)
# A signal that finds a new child in here ends this call, and what it raised is dropped: the next call does the rest.
for _ in range(3):
    os.register_at_fork(after_in_child=_after_in_child)
