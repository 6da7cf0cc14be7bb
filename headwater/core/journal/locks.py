"""Named locks of a home, which the kernel frees when their holder dies: the one primitive for limits and leadership.

Who finds a lock held waits in a line (`waiting`), first come, first served, among processes and threads alike.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar
from zlib import crc32

from headwater import clock
from headwater.core import signals
from headwater.core.journal import descriptors
from headwater.core.journal.carrier import SeenLock
from headwater.core.journal.waiting import Line, pause
from headwater.errors import JournalError, LockTimeout
from headwater.wording import remedy

T = TypeVar("T")

_PID = 20
"""Bytes of a lock's file in which its holder's number stands; what the holder tells comes behind them."""


class Lock:
    """A lock that is held, until `release`, the end of its `with` block, or the death of the process.

    `slot` says which one of its slots is held: 0 where there is only one.
    """

    def __init__(self, name: str, path: str, descriptor: int, *, keep: bool = False, slot: int = 0) -> None:
        self.name = name
        self.slot = slot
        self._path = path
        self._descriptor = descriptor
        self._keep = keep
        descriptors.watch(self)

    @property
    def held(self) -> bool:
        """Whether it is still held, by this process: a forked child holds none of its parent's locks."""
        return self._descriptor >= 0

    def tell(self, text: str) -> None:
        """Say who holds it and what for, to whoever looks (`Locks.seen`)."""
        data = json.dumps([self.name, self.slot, text]).encode()
        # On a full disk nobody is told.
        with contextlib.suppress(OSError):
            if self._descriptor >= 0:
                os.pwrite(self._descriptor, data, _PID)
                os.ftruncate(self._descriptor, _PID + len(data))

    def release(self) -> None:
        """Free the lock; nothing happens if it is not held any more."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            # While it is still held, so that nobody can be in between; who waits on the old file looks again. Where the home
            # was moved away and another one made in its place, the file there is somebody else's.
            try:
                ours = descriptors.is_open(descriptor) and descriptors.is_at(self._path, descriptor)
                if ours and not self._keep:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(self._path)  # noqa: PTH108 - plain text, see `_Wanted.path`
            finally:
                descriptors.close_descriptor(descriptor)

    def detach(self) -> int:
        """Its descriptor, which is the caller's from now on to close: the lock is held while any process has it open.

        So a process that is started with it holds the lock as well, whoever else dies. Its file stays when it is free.
        """
        descriptor, self._descriptor = self._descriptor, -1
        descriptors.give_away(descriptor)
        return descriptor

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

    A lock may have several slots: as many may hold it at once, each its own slot. How many is said by whoever takes it, who
    takes none behind that: with a limit that was lowered, nobody new comes in until enough of the old have left.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     locks = Locks(Path(folder))
    ...     with locks.hold("publish:delays@2013-01-05"):
    ...         locks.try_hold("publish:delays@2013-01-05") is None
    ...     with locks.hold("limit:database", slots=2) as one, locks.hold("limit:database", slots=2) as two:
    ...         one.slot, two.slot, locks.try_hold("limit:database", slots=2)
    True
    (0, 1, None)
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def try_hold(self, name: str, *, among: int | None = None, slots: int = 1) -> Lock | None:
        """The lock, or None if somebody else holds it, or waits for it: nobody jumps the line.

        Raises JournalError when the folder can't be written, ValueError when `slots` is not at least 1.
        """
        wanted = _Wanted(self._path, name, among, slots)
        try:
            return wanted.take() if wanted.line.is_empty() else None
        except OSError as error:
            raise wanted.unusable(error) from error

    @contextlib.contextmanager
    def hold(
        self, name: str, *, timeout: float | None = None, among: int | None = None, slots: int = 1
    ) -> Iterator[Lock]:
        """Hold the lock for a `with` block, waiting for it at most `timeout` seconds (None: for ever).

        For names that are many and held for a moment only, `among` says how many files stand for all names of their kind
        (what comes before the first colon): making and removing a file costs more than a lock. Two names may share one
        then, so nobody may hold two of them at once. `slots` says how many may hold it at the same time.

        Raises LockTimeout that names the process which holds it, ValueError when `slots` is not at least 1.
        """
        lock = driven(self.steps(name, timeout=timeout, among=among, slots=slots))
        try:
            yield lock
        finally:
            lock.release()

    def steps(
        self, name: str, *, timeout: float | None = None, among: int | None = None, slots: int = 1
    ) -> Generator[float, int | None, Lock]:
        """What `hold` does, for whoever waits in another way: each step gives the seconds until the next, the last the lock.

        A step may come early. A number that is sent says how many wait here, for `waiting`. Who closes it gives the place in
        the line up. Not safe among threads. Raises what `hold` raises.
        """
        wanted = _Wanted(self._path, name, among, slots)
        try:
            lock = wanted.take() if wanted.line.is_empty() else None
            if lock is None and timeout is not None and timeout <= 0:
                raise wanted.timeout(0)
            return lock or (yield from _in_line(wanted, timeout))
        except OSError as error:
            raise wanted.unusable(error) from error

    def holder(self, name: str, *, slot: int = 0) -> int | None:
        """The id of the process that holds the lock, or held it last; None when that is not known."""
        return _holder(_Wanted(self._path, name, None, slot + 1).path(slot))

    def waiting(self, name: str, *, elsewhere: bool = False) -> int:
        """How many wait for the lock; with `elsewhere`, in other processes."""
        return _Wanted(self._path, name, None, 1).line.count(elsewhere=elsewhere)

    def seen(self) -> list[SeenLock]:
        """The locks that are held and of which their holders have told something, by name and slot."""
        found = [lock for path in self._path.glob("*.lock") if (lock := _seen(path)) is not None]
        return sorted(found, key=lambda lock: (lock.name, lock.slot))


class _Wanted:
    """A lock that somebody wants: its files, and the line of those who wait for it."""

    def __init__(self, folder: Path, name: str, among: int | None, slots: int) -> None:
        if slots < 1:
            raise ValueError(f"the lock '{name}' needs at least one slot, not {slots}")
        self.name = name
        self._keep = among is not None
        # Names come from users and may hold anything: only their hash becomes a file name.
        data = name.encode("utf-8", "surrogatepass")
        if among is None:
            self._stem = f"{folder}/{hashlib.sha256(data).hexdigest()[:40]}"
        else:
            self._stem = f"{folder}/{name.partition(':')[0]}-{crc32(data) % among}"
        self._slots = slots
        self.line = Line(f"{self._stem}.line")

    def path(self, slot: int = 0) -> str:
        """The file of a slot, as plain text: a lock is taken for each thing that is published."""
        return f"{self._stem}.{slot}.lock" if slot else f"{self._stem}.lock"

    def take(self) -> Lock | None:
        """The lock, or the first of its slots that is free."""
        for slot in range(self._slots):
            lock = self._take(slot)
            if lock is not None:
                return lock
        return None

    def _take(self, slot: int) -> Lock | None:
        path = self.path(slot)
        while True:
            descriptor = descriptors.open_descriptor(path, os.O_RDWR | os.O_CREAT)
            try:
                taken = descriptors.try_lock(descriptor)
                if taken and descriptors.is_at(path, descriptor):
                    holder = b"%-*d" % (_PID, os.getpid())
                    if not self._keep or os.pread(descriptor, len(holder) + 1, 0) != holder:
                        # On a full disk nobody is told who holds it, and it is held all the same.
                        with contextlib.suppress(OSError):
                            # What a dead holder told is no longer so.
                            os.ftruncate(descriptor, os.pwrite(descriptor, holder, 0))
                    lock = Lock(self.name, path, descriptor, keep=self._keep, slot=slot)
                    if descriptors.is_open(descriptor):
                        descriptor = -1
                        return lock
                    lock.forget()
            except OSError:
                # Closed by others than us: a signal's handler forked, and this is the child, which begins again.
                if descriptors.is_open(descriptor):
                    raise
                continue
            finally:
                descriptors.close_descriptor(descriptor)
            if not taken:
                return None
            # Freed, and its file removed, between our opening and our locking it.

    def is_free(self) -> bool:
        """Whether somebody could take it now."""
        lock = self.take()
        if lock is not None:
            lock.release()
        return lock is not None

    def timeout(self, waited: float) -> LockTimeout:
        """The error for who has waited long enough; it says who has the lock."""
        holders = [holder for holder in map(_holder, map(self.path, range(self._slots))) if holder is not None]
        what = f"the lock '{self.name}' is" if self._slots == 1 else f"all {self._slots} slots of '{self.name}' are"
        return LockTimeout(
            f"{what} held by {_people(holders)}; waited {waited:.3g} s",
            where=self.path(),
            hint="wait until it is done, or stop it: the lock is freed when its process ends",
        )

    def unusable(self, error: OSError) -> JournalError:
        """The error for a folder in which nothing can be locked."""
        return JournalError(
            f"the lock '{self.name}' can't be taken: {error.strerror or error}",
            where=str(error.filename or self.path()),
            hint=remedy(error, "the home must be a folder on a local disk, with space left, that you may write to"),
        )


def driven(steps: Generator[float, int | None, T]) -> T:
    """What steps return, with this thread waiting between them."""
    try:
        delay = next(steps)
        while True:
            # A signal that arrived within one of the steps is only marked: this wait must not outlast it.
            signals.raise_pending()
            threading.Event().wait(delay)
            delay = next(steps)
    except StopIteration as stop:
        value: T = stop.value
        return value
    finally:
        steps.close()


def _in_line(wanted: _Wanted, timeout: float | None) -> Generator[float, int | None, Lock]:
    # By the machine's steady clock: neither a jump of its other one nor a test's clock may cut a wait short.
    came = clock.machine_us()
    waited, looks, before = 0.0, 0, -1
    with wanted.line.join() as place:
        while True:
            here = os.getpid()
            try:
                ahead = place.ahead()
            except OSError:
                if os.getpid() == here:
                    raise
                place.forget()
                continue  # a signal's handler forked, and this is the child, which comes anew
            # Taken before the place is left, so that nobody comes in between.
            lock = None if ahead else wanted.take()
            if lock is not None:
                return lock
            if timeout is not None and waited >= timeout:
                raise wanted.timeout(waited)
            place.pass_over(ahead, wanted.is_free, waited)
            looks, before = (looks + 1 if len(ahead) == before else 0), len(ahead)
            delay = pause(before, looks)
            place.tell((yield delay if timeout is None else min(delay, timeout - waited)))
            waited = (clock.machine_us() - came) / 1e6


def _holder(path: str) -> int | None:
    try:
        return int(Path(path).read_bytes()[:_PID])
    except (FileNotFoundError, ValueError):
        return None


def _seen(path: Path) -> SeenLock | None:
    try:
        data = path.read_bytes()
        if len(data) <= _PID or not descriptors.is_locked(path):
            return None
        name, slot, told = json.loads(data[_PID:])
        return SeenLock(name=str(name), slot=int(slot), pid=int(data[:_PID]), told=str(told))
    except (OSError, ValueError, TypeError):
        # It is being freed, or taken, at this moment.
        return None


def _people(holders: Sequence[int]) -> str:
    if not holders:
        return "somebody else"
    if set(holders) == {os.getpid()}:
        return f"this process ({os.getpid()})"
    *others, last = [str(holder) for holder in dict.fromkeys(holders)]
    return f"processes {', '.join(others)} and {last}" if others else f"process {last}"
