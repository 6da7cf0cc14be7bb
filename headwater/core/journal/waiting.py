"""The line of those who wait for a lock: who came first is served first, and nobody has to keep the line.

A line is a folder, a place in it a numbered file that its owner keeps locked. So the kernel tells who still waits: a file
that nobody has locked is a dead process's, and whoever stands behind it removes it.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from headwater.core.journal import descriptors

PATIENCE = 1.0
"""Seconds that the first in a line may leave a free lock untaken before it loses its place."""

_SHORTEST, _LONGEST = 0.001, 1.0  # seconds between two looks
_STEP = 0.01
_MANY = 500


def pause(ahead: int, looks: int) -> float:
    """Seconds until somebody looks again who has so many waiters ahead, and looked so often since that changed. Pure.

    Only the first few look often, and half as often once they stand there for seconds: a long line costs little.

    >>> [pause(ahead, 100) for ahead in (0, 1, 2, 20, 1000)], pause(0, 1000)
    ([0.01, 0.01, 0.02, 0.2, 1.0], 0.02)
    """
    step = _STEP if looks < _MANY else 2 * _STEP
    if ahead:
        return min(_LONGEST, step * ahead)
    return min(step, _SHORTEST * 1.5 ** min(looks, _MANY))


class Line:
    """Those who wait for one lock. Its folder is there only while somebody waits. All methods raise OSError."""

    def __init__(self, path: str) -> None:
        self.path = path  # plain text: this is made on the way to every lock, and hardly ever used

    def is_empty(self) -> bool:
        """Whether nobody who lives waits; one system call when nobody ever did."""
        if not os.access(self.path, os.F_OK):
            return True
        if any(map(self.lives, self.numbers())):
            return False
        self.clear()
        return True

    def join(self) -> Place:
        """A place at the end of the line; who has it comes when first looking who is `ahead`."""
        return Place(self)

    def numbers(self) -> list[int]:
        """The numbers of all places, the first one first."""
        try:
            with os.scandir(self.path) as entries:
                return sorted(int(entry.name) for entry in entries if entry.name.isdecimal())
        except FileNotFoundError:
            return []

    def file(self, number: int) -> Path:
        """The file of a place."""
        return Path(self.path, str(number))

    def lives(self, number: int) -> bool:
        """Whether somebody holds a place; the file of a place that nobody holds is removed."""
        path = self.file(number)
        try:
            descriptor = descriptors.open_descriptor(path, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            if not descriptors.try_lock(descriptor):
                return True
            # While it is locked nobody else can remove it and make a new one of its name.
            if descriptors.is_at(path, descriptor):
                path.unlink()
            return False
        finally:
            descriptors.close_descriptor(descriptor)

    def count(self, *, elsewhere: bool) -> int:
        """How many wait, as each place tells; with `elsewhere`, in the places of other processes."""
        if not os.access(self.path, os.F_OK):
            return 0
        own = os.getpid() if elsewhere else None
        return sum(self._told(self.file(number), own) for number in self.numbers())

    def _told(self, path: Path, own: int | None) -> int:
        try:
            told = path.read_bytes().split()
            if len(told) == 2 and int(told[0]) == own:
                return 0
            many = int(told[1]) if len(told) == 2 else 1  # or it has just come
            return many if descriptors.is_locked(path) else 0
        except FileNotFoundError:
            return 0

    def clear(self) -> None:
        """Remove the folder, if it is empty."""
        with contextlib.suppress(OSError):
            Path(self.path).rmdir()


class Place:
    """A place in a line, until the end of its `with` block or the death of its process. Not safe among threads."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._number = 0
        self._descriptor = -1
        self._ahead: deque[int] = deque()
        self._suspect: int | None = None
        self._patience = PATIENCE
        self._many = 1
        descriptors.watch(self)

    def _enter(self) -> None:
        # Not `exist_ok`: it looks once more, and by then whoever left last may have taken the folder away.
        with contextlib.suppress(FileExistsError):
            Path(self._line.path).mkdir(mode=0o700)
        self._ahead = deque(self._line.numbers())
        number = self._ahead[-1] + 1 if self._ahead else 0
        while True:
            try:
                descriptor = descriptors.open_descriptor(self._line.file(number), os.O_RDWR | os.O_CREAT | os.O_EXCL)
            except FileExistsError:
                pass  # somebody came at the same moment, a little earlier
            except FileNotFoundError:
                return self._enter()  # the last one left, and took the folder away
            else:
                self._number, self._descriptor = number, descriptor
                if descriptors.try_lock(descriptor) and self._is_ours():
                    self._write()
                    return None
                # Somebody looked before it was locked, and took it for a dead process's.
                self._drop()
            self._ahead.append(number)
            number += 1

    def ahead(self) -> Sequence[int]:
        """The numbers of the places ahead, the first one first; the nearest of them is of somebody who lives.

        Nobody ever comes in ahead, so one look at the folder is enough. Who is new or has lost the place comes to the end.
        """
        if not self._is_ours():
            self._drop()
            self._enter()
        while self._ahead and not os.access(self._line.file(self._ahead[0]), os.F_OK):
            self._ahead.popleft()
        while self._ahead and not self._line.lives(self._ahead[-1]):
            self._ahead.pop()
        return self._ahead

    def tell(self, many: int | None) -> None:
        """Say how many wait in this place, for `Line.count`; None: as many as before."""
        if many is not None and many != self._many:
            self._many = many
            self._write()

    def _write(self) -> None:
        # On a full disk nobody is told.
        with contextlib.suppress(OSError):
            if self._descriptor >= 0:
                os.pwrite(self._descriptor, b"%-20d %-20d" % (os.getpid(), self._many), 0)

    def pass_over(self, ahead: Sequence[int], is_free: Callable[[], bool], waited: float) -> None:
        """Take the first one's place away if it does not take a lock that is free: its process was stopped (Ctrl-Z)."""
        if not ahead or waited < self._patience:
            return
        self._patience = waited + PATIENCE
        suspect = ahead[0] if is_free() else None
        if suspect is not None and suspect == self._suspect:
            self._line.file(suspect).unlink(missing_ok=True)
        self._suspect = suspect

    def leave(self) -> None:
        """Give the place up; nothing happens when that was done before."""
        if self._descriptor < 0:
            return
        try:
            if self._is_ours():
                self._line.file(self._number).unlink(missing_ok=True)
        finally:
            self._drop()
            self._line.clear()

    def _is_ours(self) -> bool:
        return self._descriptor >= 0 and descriptors.is_at(self._line.file(self._number), self._descriptor)

    def _drop(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            descriptors.close_descriptor(descriptor)

    def forget(self) -> None:
        """In a forked child: the place is the parent's."""
        self._descriptor = -1

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            self.leave()

    def __enter__(self) -> Place:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
