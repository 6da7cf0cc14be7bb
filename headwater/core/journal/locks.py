"""Named locks of a home, which the kernel frees when their holder dies."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from zlib import crc32

from headwater.core.journal import descriptors
from headwater.errors import JournalError, LockTimeout

_LONGEST_WAIT = 0.02  # seconds between two looks at a lock that is held


class Lock:
    """A lock that is held, until `release`, the end of its `with` block, or the death of the process."""

    def __init__(self, name: str, path: Path, descriptor: int, *, keep: bool = False) -> None:
        self.name = name
        self._path = path
        self._descriptor = descriptor
        self._keep = keep
        descriptors.watch(self)

    @property
    def held(self) -> bool:
        """Whether it is still held, by this process: a forked child holds none of its parent's locks."""
        return self._descriptor >= 0

    def release(self) -> None:
        """Free the lock; nothing happens if it is not held any more."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            # While it is still held, so that nobody can be in between; who waits on the old file looks again.
            try:
                if not self._keep:
                    self._path.unlink(missing_ok=True)
            finally:
                descriptors.close_descriptor(descriptor)

    def forget(self) -> None:
        """In a forked child: the lock is the parent's."""
        self._descriptor = -1

    def __del__(self) -> None:
        # A lock that nobody can release any more would be held as long as the process lives.
        with contextlib.suppress(OSError):
            self.release()

    def __enter__(self) -> Lock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Locks:
    """Locks by name, in a folder. They exclude processes and threads alike, and are not reentrant.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     locks = Locks(Path(folder))
    ...     with locks.hold("publish:delays@2013-01-05"):
    ...         locks.try_hold("publish:delays@2013-01-05") is None
    True
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def try_hold(self, name: str, *, among: int | None = None) -> Lock | None:
        """The lock, or None if somebody else holds it. Raises JournalError when the folder can't be written."""
        path = self._file(name, among)
        try:
            return _take(name, path, keep=among is not None)
        except OSError as error:
            raise JournalError(
                f"the lock '{name}' can't be taken: {error.strerror or error}",
                where=str(path),
                hint="the home must be a folder on a local disk, with space left, that you may write to",
            ) from error

    @contextlib.contextmanager
    def hold(self, name: str, *, timeout: float | None = None, among: int | None = None) -> Iterator[Lock]:
        """Hold the lock for a `with` block, waiting for it at most `timeout` seconds (None: for ever).

        For names that are many and held for a moment only, `among` says how many files stand for all names of their kind
        (what comes before the first colon): making and removing a file costs more than a lock. Two names may share one
        then, so nobody may hold two of them at once.

        Raises LockTimeout that names the process which holds it.
        """
        lock = self._wait(name, timeout, among)
        try:
            yield lock
        finally:
            lock.release()

    def holder(self, name: str) -> int | None:
        """The id of the process that holds the lock, or held it last; None when that is not known."""
        return _holder(self._file(name))

    def _file(self, name: str, among: int | None = None) -> Path:
        # Names come from users and may hold anything: only their hash becomes a file name.
        data = name.encode("utf-8", "surrogatepass")
        if among is not None:
            return self._path / f"{name.partition(':')[0]}-{crc32(data) % among}.lock"
        return self._path / f"{hashlib.sha256(data).hexdigest()[:40]}.lock"

    def _wait(self, name: str, timeout: float | None, among: int | None) -> Lock:
        # Adds up its own waits: neither a jump of the machine's clock nor a test's clock may cut them short.
        waited = 0.0
        for look in itertools.count():
            lock = self.try_hold(name, among=among)
            if lock is not None:
                return lock
            if timeout is not None and waited >= timeout:
                break
            delay = min(_LONGEST_WAIT, 0.001 * 1.5 ** min(look, 20))
            delay = delay if timeout is None else min(delay, timeout - waited)
            threading.Event().wait(delay)
            waited += delay
        raise _timeout(name, self._file(name, among), waited)


def _holder(path: Path) -> int | None:
    try:
        return int(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _timeout(name: str, path: Path, waited: float) -> LockTimeout:
    holder = _holder(path)
    if holder is None:
        who = "somebody else"
    elif holder == os.getpid():
        who = f"this process ({holder})"
    else:
        who = f"process {holder}"
    return LockTimeout(
        f"the lock '{name}' is held by {who}; waited {waited:.3g} s",
        where=str(path),
        hint="wait until it is done, or stop it: the lock is freed when its process ends",
    )


def _take(name: str, path: Path, *, keep: bool) -> Lock | None:
    while True:
        descriptor = descriptors.open_descriptor(path, os.O_RDWR | os.O_CREAT)
        try:
            taken = descriptors.try_lock(descriptor)
            if taken and _is_at(path, descriptor):
                holder = b"%-20d" % os.getpid()
                if not keep or os.pread(descriptor, len(holder), 0) != holder:
                    os.pwrite(descriptor, holder, 0)
                lock = Lock(name, path, descriptor, keep=keep)
                descriptor = -1
                return lock
        finally:
            descriptors.close_descriptor(descriptor)
        if not taken:
            return None
        # Freed, and its file removed, between our opening and our locking it.


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
