"""Kept results: how a task run's end names one, and where those lie that are too large to stand in the journal."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from headwater import ids
from headwater.errors import ResultError
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.core.encodings import Encoded

INLINE = 4_096
"""Bytes up to which a result stands in the journal itself."""
_NAME = re.compile(r"[0-9a-z][0-9a-z.-]{0,127}")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptResult:
    """A kept result as it stands in the journal: small ones in `data` (base64), others in a `file` of the result store.

    `hash` is that of the bytes in the file (SHA-256, hex). It is None for `data`, whose event has a checksum of its own.
    """

    encoding: str
    data: str | None = None
    file: str | None = None
    size: int
    hash: str | None = None


class ResultStore(Protocol):
    """Where results lie, by name. Names are lower-case letters, digits, dots and hyphens."""

    def read(self, name: str) -> bytes | None:
        """What is kept under a name, or None. Raises ResultError when it can't be read."""
        ...

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Keep it, whole or not at all, in place of what had that name; it is on the disk when this returns, if `durable`.

        Raises ResultError.
        """
        ...

    def remove(self, name: str) -> None:
        """Remove it; nothing happens if it is not there. Raises ResultError."""
        ...

    def names(self) -> Iterator[tuple[str, int]]:
        """All names, each with its size in bytes. Raises ResultError."""
        ...


class FileResults:
    """Results as files of a folder, which is made with the first of them; private to their owner (0700, 0600).

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = FileResults(Path(folder, "results"))
    ...     store.write("a", b"data")
    ...     store.read("a"), store.read("b"), list(store.names())
    (b'data', None, [('a', 4)])
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, name: str) -> bytes | None:
        """What is kept under a name, or None. Raises ResultError when it can't be read."""
        try:
            return self._file(name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable("read", self.path / name, error) from error

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Keep it, whole or not at all. Raises ResultError."""
        file = self._file(name)
        # Two threads, or two processes, may keep the same one at the same time.
        draft = file.with_name(f"draft-{ids.new_id()}")
        try:
            try:
                self._write(draft, data, durable)
            except FileNotFoundError:
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._write(draft, data, durable)
            draft.replace(file)
            if durable:
                from headwater.core.journal.home import sync_folder

                sync_folder(self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise _unusable("kept", file, error) from error

    def _write(self, draft: Path, data: bytes, durable: bool) -> None:
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())

    def remove(self, name: str) -> None:
        """Remove it; nothing happens if it is not there. Raises ResultError."""
        try:
            self._file(name).unlink(missing_ok=True)
        except OSError as error:
            raise _unusable("removed", self.path / name, error) from error

    def names(self) -> Iterator[tuple[str, int]]:
        """All names with their sizes; what a killed process left half written begins with `draft-`."""
        try:
            entries = sorted(os.scandir(self.path), key=lambda entry: entry.name)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _unusable("listed", self.path, error) from error
        for entry in entries:
            if _NAME.fullmatch(entry.name):
                with contextlib.suppress(FileNotFoundError):
                    yield entry.name, entry.stat().st_size

    def _file(self, name: str) -> Path:
        # Names may come from the journal: none of them may lead out of the folder.
        if not _NAME.fullmatch(name):
            raise ResultError(f"{name[:60]!r} is no name of a result", where=str(self.path))
        return self.path / name


class MemoryResults:
    """Results in memory, for tests.

    >>> store = MemoryResults()
    >>> store.write("a", b"data")
    >>> store.read("a"), store.read("b")
    (b'data', None)
    """

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        """What is kept under a name, or None."""
        return self.kept.get(name)

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Keep it in place of what had that name."""
        self.kept[name] = data

    def remove(self, name: str) -> None:
        """Remove it; nothing happens if it is not there."""
        self.kept.pop(name, None)

    def names(self) -> Iterator[tuple[str, int]]:
        """All names with their sizes."""
        return iter([(name, len(data)) for name, data in sorted(self.kept.items())])


def keep(store: ResultStore, name: str, encoded: Encoded) -> KeptResult:
    """Keep an encoded value: in the journal when it is small, else under this name in the store, on the disk on return.

    Raises ResultError when the store can't be written.
    """
    size = len(encoded.data)
    if size <= INLINE:
        import base64

        return KeptResult(encoding=encoded.encoding, data=base64.b64encode(encoded.data).decode(), size=size)
    store.write(name, encoded.data)
    return KeptResult(encoding=encoded.encoding, file=name, size=size, hash=digest(encoded.data))


def restore(store: ResultStore, kept: KeptResult, *, pickle: bool = False, hint: Any = None) -> Any:
    """The value of a kept result. Raises ResultError when it is gone, damaged, or can't be read here."""
    from headwater.core.encodings import decode

    return decode(kept.encoding, _data(store, kept), pickle=pickle, hint=hint)


def _data(store: ResultStore, kept: KeptResult) -> bytes:
    if kept.data is not None:
        import base64

        try:
            return base64.b64decode(kept.data, validate=True)
        except ValueError as error:
            raise ResultError(f"the kept result is damaged: {error}") from error
    data = None if kept.file is None else store.read(kept.file)
    if data is None:
        raise ResultError("the kept result is gone", where=kept.file)
    if len(data) != kept.size or digest(data) != kept.hash:
        raise ResultError("the kept result is damaged", where=kept.file)
    return data


def digest(data: bytes) -> str:
    """SHA-256 in hex."""
    # Loading OpenSSL takes milliseconds, which no script needs that keeps nothing large.
    import hashlib

    return hashlib.sha256(data).hexdigest()


def _unusable(what: str, path: Path, error: OSError) -> ResultError:
    return ResultError(
        f"a result can't be {what}: {error.strerror or error}",
        where=str(path),
        hint="the folder of the setting `results` must be one that you may write to, with space left",
    )
