"""One open segment: the file that one writer appends its events to, locked from its birth to its death."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from headwater import failpoints
from headwater.core.events import RunEnded, RunStarted, WriterClosed, WriterOpened
from headwater.core.journal import descriptors
from headwater.core.journal.events import Body
from headwater.core.journal.home import Home, sync_folder
from headwater.core.journal.lines import FORMAT, encode, encode_all, events_in, head_of, is_whole, sequence_of
from headwater.errors import JournalError
from headwater.wording import remedy

SUFFIX = ".ndjson"
UNBORN = ".new"


class Segment:
    """Appends events to one open, locked file. Its methods are not thread-safe, except `sync` and `close`."""

    def __init__(self, descriptor: int, path: Path, *, seq: int = 0, end: int = 0) -> None:
        self.descriptor = descriptor
        self.path = path
        self.writer = path.stem
        self.seq = seq
        self.end = end
        self._head = head_of(self.writer)
        self._open_runs: set[tuple[str, int]] = set()
        self._uncertain = False
        self._sync_lock = threading.RLock()
        self._wanted = 0
        self._synced = -1
        self._sync_failed = False

    @classmethod
    def create(cls, home: Home, writer: str) -> Segment:
        """A new segment of this process, locked, its first event written. Raises JournalError."""
        try:
            while True:
                # Born under another name, so that nobody ever sees a segment that is not locked or has no first event.
                unborn = home.journal / f"{writer}{UNBORN}"
                flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
                descriptor = descriptors.open_descriptor(unborn, flags, lasting=True)
                try:
                    segment = cls._born(descriptor, unborn, segment_path(home, writer))
                except BaseException:
                    descriptors.close_descriptor(descriptor)
                    unborn.unlink(missing_ok=True)
                    raise
                if segment is not None:
                    return segment
                # Somebody who cleans up was quicker than our lock, and took the file for a dead process's.
                descriptors.close_descriptor(descriptor)
        except OSError as error:
            raise _unwritable(home.journal, error) from error

    @classmethod
    def _born(cls, descriptor: int, unborn: Path, path: Path) -> Segment | None:
        if not descriptors.try_lock(descriptor):
            return None
        failpoints.reach("journal.unborn")
        segment = cls(descriptor, path)
        segment.write([opened()])
        failpoints.reach("journal.born")
        try:
            unborn.rename(path)
        except FileNotFoundError:
            return None
        failpoints.reach("journal.named")
        return segment

    def write(self, bodies: Sequence[Body]) -> int:
        """Append events with one write(); returns the offset to `sync`, 0 if none of them is durable. Raises JournalError."""
        if self._uncertain:
            self._find_end()
        data: bytes | bytearray
        if len(bodies) == 1:
            (body,) = bodies
            data, durable = encode(self._head, self.seq, body), body.must_sync()
        else:
            data = encode_all(self._head, self.seq, bodies)
            durable = any(body.must_sync() for body in bodies)
        if durable:
            # For each event that would take as long as its write: of the others a high number keeps other files away.
            self._require_file()
            self._open_runs |= {(body.run_id, body.attempt) for body in bodies if type(body) is RunStarted}
        # From here to the end an exception of any kind (a full disk, Ctrl-C) leaves open what is in the file.
        self._uncertain = True
        self._write_all(data)
        self.seq += len(bodies)
        self.end += len(data)
        self._uncertain = False
        if not durable:
            return 0
        self._open_runs -= {(body.run_id, body.attempt) for body in bodies if type(body) is RunEnded}
        # Noted here already: whoever closes may come before the thread that wrote this has come to its sync.
        self._wanted = self.end
        return self.end

    def _write_all(self, data: bytes | bytearray) -> None:
        failpoints.reach("journal.append")
        try:
            written = os.write(self.descriptor, data)
            while written < len(data):
                written += os.write(self.descriptor, data[written:])
        except OSError as error:
            self._require_file()
            raise _unwritable(self.path, error) from error
        failpoints.reach("journal.appended")

    def _require_file(self) -> None:
        # The lock went with it, so what is appended to another descriptor of the file would be that of a dead writer.
        if not descriptors.is_ours(self.descriptor):
            raise JournalError(
                "the segment that this process writes was closed by other code", where=str(self.path), hint=_CLOSED_HINT
            )

    def _find_end(self) -> None:
        # An append was interrupted: keep the whole records that it wrote (a reader may have seen them), cut the rest.
        self._require_file()
        try:
            found = os.pread(self.descriptor, max(0, os.fstat(self.descriptor).st_size - self.end), self.end)
            *lines, rest = found.split(b"\n")
            whole = 0
            for line in lines:
                if not is_whole(line) or sequence_of(self._head, line) != self.seq + whole:
                    break
                whole += 1
            kept = sum(len(line) + 1 for line in lines[:whole])
            if rest or kept < len(found):
                os.ftruncate(self.descriptor, self.end + kept)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self.seq += whole
        self.end += kept
        self._uncertain = False

    def sync(self, target: int) -> None:
        """Return when everything up to an offset is on the disk; threads that wait together share one sync.

        Raises JournalError when that failed or can't be known.
        """
        with self._sync_lock:
            if self._synced >= target:
                return
            if self.descriptor < 0 or self._sync_failed:
                raise JournalError("events could not be made durable", where=str(self.path), hint=_SYNC_HINT)
            self._require_file()
            first, end = self._synced < 0, self.end
            try:
                if os.fstat(self.descriptor).st_nlink == 0:
                    raise JournalError(
                        "the segment was deleted while it was in use", where=str(self.path), hint=_DELETED_HINT
                    )
                failpoints.reach("journal.sync")
                _sync_data(self.descriptor)
                if first:
                    sync_folder(self.path.parent)
            except OSError as error:
                # After a failed sync the kernel may forget what it could not write: trying again would prove nothing. For
                # want of a descriptor the folder was not opened, and nothing of it tried.
                self._sync_failed = error.errno not in (errno.EMFILE, errno.ENFILE)
                raise _unwritable(self.path, error) from error
            failpoints.reach("journal.synced")
            self._synced = max(self._synced, end)

    @property
    def has_open_runs(self) -> bool:
        """Whether a run that started in it has not ended in it."""
        return bool(self._open_runs)

    def close(self, reason: str = "exit") -> None:
        """Write the last event and free the lock. With a run still open the segment stays unclosed: it is recovered."""
        with self._sync_lock:
            if self.descriptor < 0:
                return
            failpoints.reach("journal.close")
            try:
                with contextlib.suppress(JournalError):
                    self._require_file()
                    if not self._open_runs:
                        self.write([WriterClosed(reason=reason)])
                    if self._wanted > self._synced:
                        self.sync(self._wanted)
                failpoints.reach("journal.closed")
            finally:
                self.free()

    def free(self) -> None:
        """Free the lock and close the file, without a word in it."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            descriptors.close_descriptor(descriptor)

    def forget(self) -> None:
        """In a forked child: the file is the parent's, nothing may be written to it here."""
        self.descriptor = -1
        self._sync_lock = threading.RLock()


def is_closed(descriptor: int) -> bool:
    """Whether the last event of a segment says that nothing follows (looks at the file's last 4 kB only)."""
    size = os.fstat(descriptor).st_size
    found = os.pread(descriptor, 4096, max(0, size - 4096))
    line = found[:-1].rpartition(b"\n")[2]
    return found.endswith(b"\n") and is_whole(line) and says_closed(line)


def says_closed(line: bytes) -> bool:
    """Whether a whole line says that its writer is closed."""
    return any(event.kind == WriterClosed.kind for event in events_in([line]))


def segment_path(home: Home, writer: str) -> Path:
    """The file of a writer."""
    return home.journal / f"{writer}{SUFFIX}"


@cache
def boot_id() -> str | None:
    """What tells this run of the machine from the ones before; None where the system does not say."""
    try:
        # As bytes: the first text in ASCII imports its codec, and a child forked meanwhile could never import it.
        return Path("/proc/sys/kernel/random/boot_id").read_bytes().decode().strip()
    except OSError:
        return None


@cache
def _numbers(pid: int) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")  # noqa: PTH115 - no path, but a text
    except OSError:
        return None


def process_numbers() -> str | None:
    """What tells the process numbers here from those of other containers; None where the system does not say."""
    return _numbers(os.getpid())


def opened() -> WriterOpened:
    """The first event of a writer of this process."""
    return WriterOpened(
        format=FORMAT,
        pid=os.getpid(),
        host=os.uname().nodename,
        headwater=str(getattr(sys.modules["headwater"], "__version__", "")),
        python=".".join(map(str, sys.version_info[:3])),
        boot=boot_id(),
        numbers=process_numbers(),
    )


_CLOSED_HINT = (
    "close only descriptors that you have opened (not os.closerange), or do it before the first run; start it again"
)
_DELETED_HINT = "leave the home in its place while anything runs in it; start it again"
_SYNC_HINT = "look at the disk: nothing more can be made durable by this process; start it again"

if sys.platform == "darwin":
    import fcntl

    def _sync_data(descriptor: int) -> None:
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
else:

    def _sync_data(descriptor: int) -> None:
        os.fdatasync(descriptor)


def _unwritable(path: Path, error: OSError) -> JournalError:
    return JournalError(
        f"the journal can't be written: {error.strerror or error}",
        where=str(path),
        hint=remedy(error, "free space or make the home writable; what was acknowledged before is safe"),
    )
