"""Descriptors that hold a `flock`, and what a fork does to them.

A `flock` belongs to the open file, which a forked child shares: as long as the child keeps its copy of the descriptor, the
lock outlives its owner. So every such descriptor is opened and closed here, and a forked child closes all of them before
it runs anything else. It never says `LOCK_UN`: that would free the parent's lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import weakref
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol


class Forgetful(Protocol):
    """An object that must start afresh in a forked child."""

    def forget(self) -> None:
        """Called once in a forked child, before anything else of Headwater runs there."""
        ...


# Held around every open and close, and around every fork: so a child never inherits a descriptor that is not listed here.
_guard = threading.RLock()
_open: set[int] = set()
_watched: weakref.WeakSet[Forgetful] = weakref.WeakSet()


def no_fork() -> AbstractContextManager[object]:
    """Holds off forks by other threads for a `with` block.

    For lazy imports: a child that is forked while another thread imports a module can never import it itself.
    """
    return _guard


def open_descriptor(path: Path, flags: int, mode: int = 0o600) -> int:
    """Open a file that may be locked afterwards; raises OSError."""
    with _guard:
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
        _open.add(descriptor)
        return descriptor


def close_descriptor(descriptor: int) -> None:
    """Free the lock of a descriptor, if it has one, and close it; does nothing in a child that inherited it."""
    with _guard:
        if descriptor not in _open:
            return
        _open.discard(descriptor)
        # Explicitly, because a subprocess that is just being started may hold a copy until it has called exec.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def try_lock(descriptor: int, operation: int = fcntl.LOCK_EX) -> bool:
    """Take the lock of an open descriptor if it is free."""
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def watch(watched: Forgetful) -> None:
    """Have an object's `forget` called in forked children, for as long as the object lives."""
    with _guard:
        _watched.add(watched)


def _after_in_child() -> None:
    global _guard
    _guard = threading.RLock()
    for descriptor in _open:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _open.clear()
    for watched in list(_watched):
        watched.forget()


def _before() -> None:
    _guard.acquire()


def _after_in_parent() -> None:
    _guard.release()


os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
