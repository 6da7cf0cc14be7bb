"""Archives: the closed segments of dead writers, moved into one Parquet file with a small index beside it.

Whoever moves, lets expire or mends holds the projection's lock. A file is written and synced under a name of its own, read
back and compared, and renamed; the index, which says that the archive is there, comes after it; what it replaces goes last.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import IO

from headwater import failpoints, ids
from headwater.core.journal import descriptors, index, parquet
from headwater.core.journal.home import Home, sync_file, sync_folder
from headwater.core.journal.index import Archive, Member
from headwater.core.journal.reader import Reader
from headwater.core.journal.scan import Scan
from headwater.core.journal.segment import is_closed, segment_path
from headwater.errors import JournalError
from headwater.records import dataclass

MANY = 256
"""So many closed segments are worth an archive: a session opens about as fast with this many as with none."""
MUCH = 64 << 20
"""So many bytes of them are, too: an archive takes about an eighth."""
MOST = 1000
"""So many segments go into one archive at most: an unlucky process waits for less than half a second."""
MOST_BYTES = 64 << 20
"""So many bytes at most (two to three seconds), unless a single segment is larger."""

_LINE = re.compile(
    rb'\{"w":"([0-9a-f-]{36})","n":(0|[1-9]\d{0,17}),"id":"([^"\\\x00-\x1f]+)","t":(0|-?[1-9]\d{0,17}),'
    rb'"k":"([^"\\\x00-\x1f]+)","v":(0|[1-9]\d{0,17}),"b":([^\x00-\x1f]+),"c":"([0-9a-f]{8})"\}'
)


def is_due(closed: Mapping[str, int]) -> bool:
    """Whether there are enough closed segments for an archive; the sizes are bytes, by writer. Pure.

    >>> is_due({"v": 700, "w": 900}), is_due({"w": 65 << 20}), is_due({str(number): 700 for number in range(256)})
    (False, True, True)
    """
    return len(closed) >= MANY or sum(closed.values()) >= MUCH


def compact(home: Home, writers: Collection[str] | None = None) -> Archive | None:
    """Move closed segments, the oldest first and not too many at once, into a new archive; None when none can be moved.

    With `writers`, only those of these. The caller holds the projection's lock. Call it until it answers None to move all.
    Raises JournalError: nothing is lost then, and nothing was moved.
    """
    try:
        return _compact(home, writers)
    except OSError as error:
        raise _unwritable(home, error) from error


def _compact(home: Home, writers: Collection[str] | None) -> Archive | None:
    unfit = Unfit(home)
    known = unfit.load()
    listed = Reader(home).writers()
    wanted = [writer for writer in listed if writer not in known and (writers is None or writer in writers)]
    if not wanted:
        return None
    spool = Spool(home.tmp / f"archive-{ids.new_id()}.lines")
    draft = spool.path.with_suffix(".parquet")
    try:
        with spool.path.open("xb") as file:
            spool.fill(file, home, wanted)
        unfit.add(spool.unfit, known)
        if not spool.members:
            return None
        parquet.write(spool.path, draft, longest=spool.longest)
        failpoints.reach("archive.drafted")
        _compare(draft, parquet.rows(draft), spool.digest.hexdigest())
        return _put_in_place(home, spool, draft)
    finally:
        spool.path.unlink(missing_ok=True)
        draft.unlink(missing_ok=True)


def _put_in_place(home: Home, spool: Spool, draft: Path) -> Archive:
    newest = max(spool.members)
    archive = ids.new_id()
    while archive <= newest:
        # A clock that went back: a reader relies on it that an archive is younger than its writers.
        archive = _later(newest)
    home.archive.mkdir(mode=0o700, exist_ok=True)
    sync_folder(home.journal)
    home.raise_format()
    failpoints.reach("archive.raised")
    made = _commit(home, archive, 0, draft, spool.members, (spool.first, spool.last))
    for writer in spool.members:
        segment_path(home, writer).unlink(missing_ok=True)
        failpoints.reach("archive.unlinked")
    return made


def _later(than: str) -> str:
    """An id that is greater than another: the same, a millisecond later."""
    stamp = int(than[:8] + than[9:13], 16) + 1
    text = f"{stamp:012x}"
    return f"{text[:8]}-{text[8:]}{than[13:]}"


def _commit(
    home: Home, archive: str, generation: int, draft: Path, members: Mapping[str, Member], times: tuple[int, int]
) -> Archive:
    """Let a file that was read back be the next generation of an archive."""
    draft.chmod(0o600)  # as everything in the journal is
    sync_file(draft)
    path = index.parquet_path(home, archive, generation)
    draft.rename(path)
    try:
        return _name(home, archive, generation, path, members, times)
    except BaseException:
        # Without an index that says so it is nothing; left behind, it would be taken for an archive that lost its index.
        committed = index.load(home, archive)
        if committed is None or committed.generation != generation:
            path.unlink(missing_ok=True)
        raise


def _name(
    home: Home, archive: str, generation: int, path: Path, members: Mapping[str, Member], times: tuple[int, int]
) -> Archive:
    sync_folder(home.archive)
    failpoints.reach("archive.written")
    made = Archive(
        id=archive,
        generation=generation,
        path=path,
        size=path.stat().st_size,
        checksum=index.checksum_of(path),
        writers=members,
        first=times[0],
        last=times[1],
        footer=parquet.footer_of(path),
    )
    index.save(home, made)
    failpoints.reach("archive.indexed")
    return made


def _compare(path: Path, rows: Iterable[list[parquet.Row]], digest: str) -> None:
    found = hashlib.sha256()
    for piece in rows:
        found.update(b"".join(row.line + b"\n" for row in piece))
    if found.hexdigest() != digest:
        raise JournalError(
            "an archive does not hold what was written to it, and was left out",
            where=str(path),
            hint="look at the disk",
        )


@dataclass(slots=True)
class Spool:
    """The lines of the segments that are to be moved, in a file, taken apart; and what the index will say of them."""

    path: Path
    members: dict[str, Member] = field(default_factory=dict)
    unfit: list[str] = field(default_factory=list)
    size: int = 0
    longest: int = 0
    first: int = 0
    last: int = 0
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def fill(self, file: IO[bytes], home: Home, writers: Iterable[str]) -> None:
        """Take segments until there are enough. Those that can't be moved, now or ever, are left where they are."""
        for writer in writers:
            path = segment_path(home, writer)
            try:
                descriptor = descriptors.open_descriptor(path, os.O_RDONLY)
            except FileNotFoundError:
                continue
            try:
                size = os.fstat(descriptor).st_size
                if self.members and (len(self.members) >= MOST or self.size + size > MOST_BYTES):
                    return
                if descriptors.try_lock(descriptor, fcntl.LOCK_SH) and size and is_closed(descriptor):
                    self._take(file, Scan(descriptor, path), writer)
            finally:
                descriptors.close_descriptor(descriptor)

    def _take(self, file: IO[bytes], scan: Scan, writer: str) -> None:
        start, before = file.tell(), (self.digest.copy(), self.longest, self.first, self.last)
        events = 0
        for stretch in scan.stretches():
            if stretch.damage or not self._write(file, stretch.lines):
                file.seek(start)
                file.truncate()
                self.digest, self.longest, self.first, self.last = before
                self.unfit.append(writer)
                return
            events += len(stretch.lines)
        self.size += scan.offset
        self.members[writer] = Member(next=scan.seq, events=events)

    def _write(self, file: IO[bytes], lines: list[bytes]) -> bool:
        """Write lines as their members; False when one of them could not be rebuilt from these."""
        found = [match.groups() for match in map(_LINE.fullmatch, lines) if match is not None]
        data = b"".join(parquet.SEPARATOR.join(members) + b"\n" for members in found)
        if len(found) < len(lines) or not _is_text(data):
            return False
        file.write(data)
        self.digest.update(b"".join(line + b"\n" for line in lines))
        self.longest = max(self.longest, *map(len, lines))
        times = [int(members[3]) for members in found]
        self.first = min(self.first or times[0], *times)
        self.last = max(self.last, *times)
        return True


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


class Unfit:
    """Remembers which segments can't be moved because they are damaged: else each session would look at them again."""

    def __init__(self, home: Home) -> None:
        self.path = home.archive / "unfit"

    def load(self) -> frozenset[str]:
        """The writers of the segments."""
        try:
            return frozenset(self.path.read_text(encoding="ascii", errors="replace").split())
        except FileNotFoundError:
            return frozenset()

    def add(self, writers: Collection[str], known: Collection[str]) -> None:
        """Remember more of them."""
        if writers:
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
            draft = self.path.with_name("unfit.new")
            draft.write_text("".join(f"{one}\n" for one in sorted({*known, *writers})), encoding="ascii")
            draft.replace(self.path)


def expire(home: Home, archive: Archive, kinds: Collection[str], before: int) -> Archive | None:
    """Let events of some kinds that are older than `before` (µs) go: the archive's next generation is written without them.

    None when it holds none of them (nothing is written then). The caller holds the projection's lock. Raises JournalError,
    also when the archive is damaged: nothing of a damaged archive is ever thrown away.
    """
    try:
        return _expire(home, archive, kinds, before)
    except OSError as error:
        raise _unwritable(home, error) from error


def _expire(home: Home, archive: Archive, kinds: Collection[str], before: int) -> Archive | None:
    if index.checksum_of(archive.path) != archive.checksum:
        raise JournalError(
            "an archive is damaged, so nothing of it expires",
            where=str(archive.path),
            hint="`headwater verify` says what is lost; a backup of the file may be put in its place",
        )
    if not parquet.expiring(archive.path, kinds, before):
        return None
    draft = home.tmp / f"archive-{ids.new_id()}.parquet"
    try:
        parquet.write_without(archive.path, draft, kinds=kinds, before=before)
        failpoints.reach("archive.thinned")
        kept = Contents.of(parquet.staying(archive.path, kinds, before))
        _compare(draft, parquet.rows(draft), kept.digest.hexdigest())
        members = {
            writer: Member(next=member.next, events=kept.events.get(writer, 0))
            for writer, member in archive.writers.items()
        }
        made = _commit(home, archive.id, archive.generation + 1, draft, members, kept.times)
        archive.path.unlink(missing_ok=True)
        return made
    finally:
        draft.unlink(missing_ok=True)


_TIME = re.compile(rb'"t":(-?\d+)')


@dataclass(slots=True)
class Contents:
    """What the rows of a file hold, counted."""

    events: dict[str, int] = field(default_factory=dict)
    following: dict[str, int] = field(default_factory=dict)
    times: tuple[int, int] = (0, 0)
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    @classmethod
    def of(cls, pieces: Iterable[list[parquet.Row]]) -> Contents:
        """Go through all rows once."""
        found = cls()
        for rows in pieces:
            found._add(rows)
        return found

    def _add(self, rows: list[parquet.Row]) -> None:
        if not rows:
            return
        for writer, seq, _ in rows:
            self.events[writer] = self.events.get(writer, 0) + 1
            self.following[writer] = seq + 1
        self.digest.update(b"".join(row.line + b"\n" for row in rows))
        times = [int(match[1]) for match in (_TIME.search(row.line) for row in rows) if match is not None]
        self.times = (min(self.times[0] or times[0], *times), max(self.times[1], *times))


def _unwritable(home: Home, error: OSError) -> JournalError:
    return JournalError(
        f"the journal can't be archived: {error.strerror or error}",
        where=str(error.filename or home.archive),
        hint="free space or make the home writable; nothing is lost, the segments stay where they are",
    )
