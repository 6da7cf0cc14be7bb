"""Locks of the whole process, and what becomes of them in a forked child."""

from __future__ import annotations

import os
from threading import Lock, RLock
from typing import TypeVar

_AnyLock = TypeVar("_AnyLock", Lock, RLock)


def free_in_child(lock: _AnyLock) -> _AnyLock:
    """The lock, which nobody holds in a forked child: a thread that held it was left behind, and would never let it go.

    >>> import threading
    >>> with free_in_child(threading.Lock()) as held:
    ...     held
    True
    """
    os.register_at_fork(after_in_child=lock._at_fork_reinit)  # type: ignore[attr-defined]
    return lock
