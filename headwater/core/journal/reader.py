"""The reader: verified events of all archives and segments, from a position of each writer on."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Collection, Generator, Iterator, Mapping
from pathlib import Path

from headwater.core.journal import descriptors, index
from headwater.core.journal.events import Event
from headwater.core.journal.home import Home
from headwater.core.journal.index import Archive
from headwater.core.journal.lines import decode, head_of
from headwater.core.journal.scan import Damage, Scan, Stretch
from headwater.core.journal.segment import SUFFIX, segment_path
from headwater.core.journal.unpack import unpack
from headwater.errors import JournalError
from headwater.records import dataclass
from headwater.wording import remedy

_ID = re.compile(r"[0-9a-f-]{36}")


@dataclass(frozen=True, slots=True)
class Position:
    """How far a writer has been read: the next sequence number, and its byte offset as a hint that is checked.

    Lines from an archive have no offset (0). The `seq` of an archive itself is its generation.
    """

    seq: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Lines of one writer, verified, without their newlines; their numbers follow one another from `first_seq`.

    Only from an archive that was pruned numbers are missing in between. `position` is where to read on, `closed` whether
    nothing ever follows, `damage` what was found on the way.

    The last batch of an archive has no lines: its `writer` is the archive's id, and `absorbed` names the writers in it. Who
    keeps positions may forget those of the absorbed writers when it remembers the archive as closed.
    """

    writer: str
    lines: tuple[bytes, ...]
    first_seq: int
    position: Position
    closed: bool
    damage: tuple[Damage, ...] = ()
    absorbed: tuple[str, ...] = ()


class Reader:
    """Reads the archives and segments of a home; many may read while others write. Holds nothing between calls.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Reader(Home.open(folder, create=True)).writers()
    []
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        with descriptors.importing():
            import orjson  # noqa: F401 (so that no decoding needs to)

    def writers(self) -> list[str]:
        """The ids of all writers that have a segment, oldest first; an archived writer has none. Raises JournalError."""
        try:
            names = os.listdir(self._home.journal)  # noqa: PTH208 - many names, of which no path is needed
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unreadable(self._home.journal, error) from error
        stems = (name[: -len(SUFFIX)] for name in names if name.endswith(SUFFIX))
        return sorted(stem for stem in stems if _ID.fullmatch(stem))

    def read(self, after: Mapping[str, Position] | None = None, *, skip: Collection[str] = ()) -> Iterator[Batch]:
        """Everything behind the positions, in bounded batches (about 20,000 lines), writer by writer, archives first.

        Less than a whole record at the end of a segment is left for later. A damaged record is left out and named in
        `damage`; so is a gap. A segment that vanishes meanwhile is read from the archive that it went into, or passed over.
        `skip` names writers and archives that are known to be closed. Raises FormatError on what a newer version wrote,
        JournalError on what can't be read.
        """
        return _Reading(self._home, after or {}, frozenset(skip)).run(self.writers())

    def events(self, after: Mapping[str, Position] | None = None) -> Iterator[Event]:
        """The decoded events behind the positions, writer by writer, archives first, ordered by sequence number."""
        for batch in self.read(after):
            yield from map(decode, batch.lines)

    def is_alive(self, writer: str) -> bool:
        """Whether the writer's process still holds its segment. Raises JournalError when that can't be seen."""
        path = segment_path(self._home, writer)
        try:
            descriptor = descriptors.open_descriptor(path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _unreadable(path, error) from error
        try:
            return not descriptors.try_lock(descriptor, fcntl.LOCK_SH)
        finally:
            descriptors.close_descriptor(descriptor)


class _Reading:
    """One pass through the journal."""

    def __init__(self, home: Home, after: Mapping[str, Position], skip: frozenset[str]) -> None:
        self._home = home
        self._after = after
        self._skip = skip
        self._read: dict[str, int] = {}
        """How far each writer was read in this pass."""
        self._moved: set[str] = set()
        """The writers of archives that were come upon."""

    def run(self, segments: list[str]) -> Iterator[Batch]:
        # The segments are listed before the archives: what is moved in between stands in both, and is taken from there.
        known = set(self._skip)
        yield from self._new_archives(known)
        # Who moved them may have been killed before it had removed all segments.
        unknown = [writer for writer in segments if not (writer in self._skip or writer in self._after)]
        self._moved |= index.archived(self._home, [writer for writer in unknown if writer not in self._moved])
        vanished = False
        for writer in segments:
            if writer not in self._skip and writer not in self._moved:
                vanished |= yield from self._segment(writer)
        if vanished:
            yield from self._new_archives(known)

    def _new_archives(self, known: set[str]) -> Iterator[Batch]:
        for found in sorted(index.listing(self._home).indexed - known):
            known.add(found)
            archive = index.load(self._home, found)
            if archive is not None:
                self._moved |= archive.writers.keys()
                yield from self._archive(archive)

    def _archive(self, archive: Archive) -> Iterator[Batch]:
        wanted = {
            writer: seq
            for writer, member in archive.writers.items()
            if writer not in self._skip and (seq := self._reached(writer)) < member.next
        }
        damage: list[Damage] = []
        there = True
        if wanted:
            archive, damage, there = yield from self._unpacked(archive, wanted)
        yield Batch(
            writer=archive.id,
            lines=(),
            first_seq=0,
            position=Position(archive.generation),
            closed=there,
            damage=tuple(damage),
            absorbed=tuple(archive.writers) if there else (),
        )

    def _reached(self, writer: str) -> int:
        return self._read.get(writer, self._after.get(writer, Position()).seq)

    def _unpacked(
        self, archive: Archive, wanted: dict[str, int]
    ) -> Generator[Batch, None, tuple[Archive, list[Damage], bool]]:
        """The lines of an archive; returns what it was in the end, what is damaged, and whether it was there at all."""
        while True:
            try:
                damage = yield from self._lines(archive, wanted)
            except (FileNotFoundError, JournalError) as error:
                # Where events have expired meanwhile, the next generation has taken the place of this one.
                newer = index.load(self._home, archive.id)
                if newer is not None and newer.generation != archive.generation:
                    archive = newer
                    continue
                if isinstance(error, JournalError):
                    raise
                return archive, [index.gone(archive)], False
            except OSError as error:
                raise index.unreadable(archive.path, error) from error
            return archive, damage, True

    def _lines(self, archive: Archive, wanted: dict[str, int]) -> Generator[Batch, None, list[Damage]]:
        reading = unpack(self._home, archive, wanted)
        while True:
            try:
                writer, stretch = next(reading)
            except StopIteration as over:
                damage: list[Damage] = over.value
                return damage
            wanted[writer] = stretch.seq
            yield _batch(writer, stretch, stretch.first_seq)

    def _segment(self, writer: str) -> Generator[Batch, None, bool]:
        """What is new in a segment; returns whether it has vanished."""
        path = segment_path(self._home, writer)
        position = self._after.get(writer, Position())
        try:
            if position.offset and path.stat().st_size == position.offset:
                return False
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return True
        except OSError as error:
            raise _unreadable(path, error) from error
        try:
            fits = _fits(descriptor, writer, position)
            start = position if fits else Position()
            for stretch in Scan(descriptor, path, seq=start.seq, offset=start.offset).stretches():
                self._read[writer] = max(stretch.seq, position.seq)
                if fits or stretch.seq > position.seq:
                    yield _batch(writer, stretch, position.seq)
        except OSError as error:
            raise _unreadable(path, error) from error
        finally:
            os.close(descriptor)
        return False


def _fits(descriptor: int, writer: str, position: Position) -> bool:
    """Whether a line with the position's number begins at its offset (or nothing does yet)."""
    if position.offset <= 0:
        return position == Position()
    expected = b"\n%b%d," % (head_of(writer), position.seq)
    found = os.pread(descriptor, len(expected), position.offset - 1)
    return bool(found) and expected.startswith(found)


def _batch(writer: str, stretch: Stretch, seq: int) -> Batch:
    known = max(0, seq - stretch.first_seq)
    return Batch(
        writer=writer,
        lines=tuple(stretch.lines[known:]),
        first_seq=stretch.first_seq + known,
        position=Position(stretch.seq, stretch.offset),
        closed=stretch.closed,
        damage=tuple(damage for damage in stretch.damage if damage.seq >= seq),
    )


def _unreadable(path: Path, error: OSError) -> JournalError:
    return JournalError(
        f"a segment can't be read: {error.strerror or error}",
        where=str(path),
        hint=remedy(error, "check the disk and who owns it"),
    )
