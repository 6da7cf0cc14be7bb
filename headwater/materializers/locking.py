"""One lock for a database file: `<file>.lock`, held around every opening of it until it is closed again.

DuckDB reads a file's header before it takes its own lock, so that processes that open, write and close in turns silently
lose commits of each other. An `flock` of ours around all of it prevents that. Readers share the lock, a writer has it alone;
threads exclude each other as processes do, because every holder opens the lock file anew.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from headwater.core.journal import descriptors
from headwater.errors import LocationError, LockTimeout

WAIT = 60.0
"""Seconds that somebody waits for a lock of Headwater's own; each is held for one short reading or publishing."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.02


@contextmanager
def exclusive(file: Path, *, wait: float = WAIT) -> Iterator[None]:
    """Have a database file alone. Raises LockTimeout naming who holds it, LocationError when it can't be locked."""
    with _locked(file, fcntl.LOCK_EX, wait):
        yield


@contextmanager
def shared(files: Iterable[Path], *, wait: float = WAIT) -> Iterator[None]:
    """Keep writers away from these database files while they are read."""
    with ExitStack() as stack:
        for file in sorted(set(files)):
            stack.enter_context(_locked(file, fcntl.LOCK_SH, wait))
        yield


@contextmanager
def _locked(file: Path, mode: int, wait: float) -> Iterator[None]:
    path = file.with_name(f"{file.name}.lock")
    try:
        handle = descriptors.open_descriptor(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        if mode == fcntl.LOCK_SH and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOENT):
            yield  # where no lock file can be made, nobody can publish either
            return
        message = f"the database can't be locked: {os.strerror(error.errno or 0)}"
        raise LocationError(message, where=str(path), hint="see that its folder can be written") from error
    try:
        _take(handle, mode, path, wait)
        yield
    finally:
        descriptors.close_descriptor(handle)


def _take(handle: int, mode: int, path: Path, wait: float) -> None:
    # Real time, whatever clock the run is told: another process holds the lock.
    pause, waited = _FIRST_PAUSE, 0.0
    while True:
        if not descriptors.try_lock(handle, mode):
            if waited >= wait:
                holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
                message = f"the database is in use by process {holder}" if holder else "the database is in use"
                raise LockTimeout(message, where=str(path), hint="wait for it, or stop it")
            time.sleep(pause)
            waited += pause
            pause = min(pause * 2, _LONGEST_PAUSE)
        else:
            if mode == fcntl.LOCK_EX:
                os.ftruncate(handle, 0)
                os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            return
