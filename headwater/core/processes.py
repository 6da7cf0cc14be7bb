"""Asking another process of this machine to stop."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable


def terminate(pid: int, lives: Callable[[], bool], how: signal.Signals = signal.SIGTERM) -> bool:
    """Send a process a signal; False when it has ended before. Raises OSError when we may not.

    `lives` is asked once more when we hold on to the process: a number may be another one's by now.
    """
    try:
        handle = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    except ProcessLookupError:
        return False
    try:
        if not lives():
            return False
        if handle is None:
            os.kill(pid, how)
        else:
            signal.pidfd_send_signal(handle, how)
    except ProcessLookupError:
        return False
    finally:
        if handle is not None:
            os.close(handle)
    return True
