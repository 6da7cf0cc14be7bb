"""The index of an archive: what the archive holds, in a small file beside its Parquet file.

An archive is there when its index is. It is one line of JSON that ends in a checksum, as a line of a segment does.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from zlib import crc32

from headwater.core.journal.home import Home, sync_folder, unknown_format
from headwater.core.journal.lines import is_whole
from headwater.core.journal.scan import Damage
from headwater.core.journal.segment import segment_path
from headwater.errors import JournalError
from headwater.records import dataclass
from headwater.wording import remedy

FORMAT = 1
"""The format of archives and their indexes that this version writes, and the newest that it reads."""

_NAME = re.compile(r"([0-9a-f-]{36})(\.json|-(\d+)\.parquet)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What an archive holds of a writer: `next` is the number behind its last event, `events` how many are there.

    In an archive that was never pruned they differ only by the numbers that a recovery left out.
    """

    next: int
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """An archive, as its index tells. Its id is greater than those of its writers; times are µs since the epoch.

    `generation` grows by one each time that events expire; `path` is the Parquet file of this generation.
    """

    id: str
    generation: int
    path: Path
    size: int
    checksum: str
    """SHA-256 of the Parquet file; empty when the index had to be made again from a damaged one."""
    writers: Mapping[str, Member]
    first: int
    """The time of the oldest event."""
    last: int
    footer: bytes = b""
    """A copy of the Parquet file's end: with that damaged, nothing of the file could be read."""

    @property
    def events(self) -> int:
        """How many events it holds."""
        return sum(member.events for member in self.writers.values())


def parquet_path(home: Home, archive: str, generation: int) -> Path:
    """The Parquet file of a generation of an archive."""
    return home.archive / f"{archive}-{generation}.parquet"


def index_path(home: Home, archive: str) -> Path:
    """The index of an archive."""
    return home.archive / f"{archive}.json"


@dataclass(slots=True)
class Listing:
    """What lies in the folder of the archives: the ids that have an index, and the generations of each that are there."""

    indexed: set[str]
    generations: dict[str, list[int]]

    @property
    def lost(self) -> list[str]:
        """Archives without an index: it was lost, or a compaction has not come so far."""
        return sorted(self.generations.keys() - self.indexed)


def listing(home: Home) -> Listing:
    """Looks at the folder of the archives; one call of the system, and no file is opened. Raises JournalError."""
    found = Listing(set(), {})
    try:
        names = os.listdir(home.archive)  # noqa: PTH208 - many names, of which no path is needed
    except FileNotFoundError:
        return found
    except OSError as error:
        raise unreadable(home.archive, error) from error
    for match in filter(None, map(_NAME.fullmatch, names)):
        if match[3] is None:
            found.indexed.add(match[1])
        else:
            found.generations.setdefault(match[1], []).append(int(match[3]))
    return found


def archives(home: Home) -> list[Archive]:
    """All archives, oldest first, from their indexes (no Parquet is opened).

    One whose index is lost or damaged is left out until the next look at the projection mends it. Raises FormatError on one
    of a newer version, JournalError when they can't be read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     archives(Home.open(folder, create=True))
    []
    """
    found = (load(home, archive) for archive in sorted(listing(home).indexed))
    return [archive for archive in found if archive is not None]


def load(home: Home, archive: str) -> Archive | None:
    """An archive by its id; None when its index is lost or damaged. Raises FormatError and JournalError."""
    path = index_path(home, archive)
    try:
        line = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unreadable(path, error) from error
    return _from_line(home, archive, line) if line.endswith(b"\n") and is_whole(line[:-1]) else None


def _from_line(home: Home, archive: str, line: bytes) -> Archive | None:
    import orjson

    value = orjson.loads(line)
    if value["format"] != FORMAT:
        raise unknown_format(str(value["format"]), index_path(home, archive))
    if value["id"] != archive:
        return None
    return Archive(
        id=archive,
        generation=value["generation"],
        path=parquet_path(home, archive, value["generation"]),
        size=value["size"],
        checksum=value["checksum"],
        writers={writer: Member(next=following, events=events) for writer, following, events in value["writers"]},
        first=value["first"],
        last=value["last"],
        footer=zlib.decompress(base64.b64decode(value["footer"])),
    )


def save(home: Home, archive: Archive) -> None:
    """Put the index in its place, durably: from then on the archive is there. Raises OSError."""
    import orjson

    value = {
        "format": FORMAT,
        "id": archive.id,
        "generation": archive.generation,
        "size": archive.size,
        "checksum": archive.checksum,
        "events": archive.events,
        "first": archive.first,
        "last": archive.last,
        "writers": [[writer, one.next, one.events] for writer, one in sorted(archive.writers.items())],
        "footer": base64.b64encode(zlib.compress(archive.footer)).decode(),
    }
    checked = orjson.dumps(value)[:-1]
    draft = home.tmp / f"archive-{archive.id}.json"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(b'%b,"c":"%08x"}\n' % (checked, crc32(checked)))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(index_path(home, archive.id))
    sync_folder(home.archive)


def archived(home: Home, writers: Collection[str]) -> set[str]:
    """Which of these writers stand in an archive.

    An archive's id is greater than those of its writers, so none is opened for a writer that is younger than all of them.
    """
    found: set[str] = set()
    if writers:
        oldest = min(writers)
        for archive in sorted(listing(home).indexed):
            one = load(home, archive) if archive > oldest else None
            found |= set(writers) & one.writers.keys() if one is not None else set()
    return found


def remove_leftovers(home: Home, writers: Collection[str]) -> set[str]:
    """Remove the segments of those of these writers that stand in an archive, whose mover was killed; returns which."""
    found = archived(home, writers)
    for writer in found:
        segment_path(home, writer).unlink(missing_ok=True)
    return found


def gone(archive: Archive) -> Damage:
    """The damage that an archive is whose file is not there."""
    return Damage(writer=archive.id, kind="archive", seq=0, offset=0, missing=archive.events)


def checksum_of(path: Path) -> str:
    """SHA-256 of a file. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unreadable(path: Path, error: OSError) -> JournalError:
    """The error for something of the journal that the system refuses to read."""
    return JournalError(
        f"an archive can't be read: {error.strerror or error}",
        where=str(path),
        hint=remedy(error, "check the disk and who owns it"),
    )
