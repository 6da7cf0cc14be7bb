"""A file as a destination: OpenLineage events as NDJSON, each exactly once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from headwater import ids
from headwater.core.journal.home import sync_folder
from headwater.errors import ExportError
from headwater.lineage.openlineage.destination import Receipt


class FileDestination:
    """Appends events to a file, a line each. Its mark is the file's length.

    Opened again, the file is cut back to the mark: what was appended behind it, by an exporter that died before it could
    save its position, is appended again. So no one else may append to the file, nor may another home export to it. A file
    that was removed or emptied gets everything again.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).absolute()
        self._descriptor = -1
        self._end = 0

    @property
    def id(self) -> str:
        """What tells it from other destinations: safe as the name of a file."""
        return f"file-{ids.derived_id('openlineage-file', self.path)}"

    def __str__(self) -> str:
        return str(self.path)

    def open(self, mark: int | None) -> int:
        """Be ready to go on at a mark. Answers with the mark to go on from: another one if that place is gone.

        Raises ExportError when the file can't be opened, or is not the one that was written.
        """
        try:
            self._open()
            return self._resume(mark)
        except OSError as error:
            self.close()
            raise self._unwritable(error) from error
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = not self.path.exists()
        if not new and not (self.path.is_file() or self.path.is_dir()):
            # A pipe would be opened for reading as well, and who writes to it wait for itself.
            raise ExportError("it is no file that events can be kept in", where=str(self.path), hint="name a file")
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if new:
            sync_folder(self.path.parent)

    def _resume(self, mark: int | None) -> int:
        size = os.fstat(self._descriptor).st_size
        self._end = size
        if size == 0:
            return size
        if mark is None:
            if os.pread(self._descriptor, 1, 0) != b"{" or os.pread(self._descriptor, 1, size - 1) != b"\n":
                raise ExportError(
                    "the file holds something else than whole lines of events",
                    where=str(self.path),
                    hint="name another",
                )
            return size
        if size < mark or (mark and os.pread(self._descriptor, 1, mark - 1) != b"\n"):
            raise ExportError(
                f"the file is not as it was left: it had {mark} bytes that ended in a whole line, and has {size}",
                where=str(self.path),
                hint="put the file back, or remove it to export everything again",
            )
        if size > mark:
            os.ftruncate(self._descriptor, mark)
            self._end = mark
        return mark

    def deliver(self, events: Sequence[bytes], seconds: float | None = None) -> Receipt:
        """Append all events, durably. Raises ExportError."""
        data = memoryview(b"".join([event + b"\n" for event in events]))
        try:
            while data:
                written = os.write(self._descriptor, data)
                self._end += written
                data = data[written:]
            os.fsync(self._descriptor)
        except OSError as error:
            raise self._unwritable(error) from error
        return Receipt(taken=len(events), mark=self._end)

    def close(self) -> None:
        """Let go of the file."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _unwritable(self, error: OSError) -> ExportError:
        return ExportError(
            f"OpenLineage events can't be written: {error.strerror or error}",
            where=str(self.path),
            hint="free space or make the file writable; nothing is lost, the next export goes on from here",
        )
