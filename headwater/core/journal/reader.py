"""The reader: verified events of all segments, from a position in each one on."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from headwater.core.journal import descriptors
from headwater.core.journal.events import Event
from headwater.core.journal.home import Home
from headwater.core.journal.lines import decode, head_of
from headwater.core.journal.scan import Damage, Scan, Stretch
from headwater.core.journal.segment import SUFFIX, segment_path
from headwater.errors import JournalError

__all__ = ["Batch", "Damage", "Position", "Reader", "decode"]

_ID = re.compile(r"[0-9a-f-]{36}")


@dataclass(frozen=True, slots=True)
class Position:
    """How far a segment has been read: the next sequence number, and its byte offset as a hint that is checked."""

    seq: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Lines of one writer, verified, without their newlines; their numbers follow one another from `first_seq`.

    `position` is where to read on, `closed` whether nothing ever follows, `damage` what was found on the way.
    """

    writer: str
    lines: tuple[bytes, ...]
    first_seq: int
    position: Position
    closed: bool
    damage: tuple[Damage, ...] = ()


class Reader:
    """Reads the segments of a home; many may read while others write. Holds nothing between calls.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Reader(Home.open(folder, create=True)).writers()
    []
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        with descriptors.no_fork():
            import orjson  # noqa: F401 (so that no decoding needs to)

    def writers(self) -> list[str]:
        """The ids of all writers that have a segment, oldest first."""
        try:
            names = [path.name for path in self._home.journal.iterdir()]
        except FileNotFoundError:
            return []
        stems = (name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))
        return sorted(stem for stem in stems if _ID.fullmatch(stem))

    def read(self, after: Mapping[str, Position] | None = None, *, skip: Collection[str] = ()) -> Iterator[Batch]:
        """Everything behind the positions, in bounded batches (about 20,000 lines), writer by writer.

        Less than a whole record at the end of a segment is left for later. A damaged record is left out and named in
        `damage`; so is a gap. Segments that vanish meanwhile are passed over. Raises FormatError on a segment of a
        newer version, JournalError on one that can't be read.
        """
        after = after or {}
        for writer in self.writers():
            if writer not in skip:
                yield from self._read_segment(writer, after.get(writer, Position()))

    def events(self, after: Mapping[str, Position] | None = None) -> Iterator[Event]:
        """The decoded events behind the positions, ordered by writer and sequence number."""
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

    def _read_segment(self, writer: str, position: Position) -> Iterator[Batch]:
        path = segment_path(self._home, writer)
        try:
            if position.offset and path.stat().st_size == position.offset:
                return
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _unreadable(path, error) from error
        try:
            fits = _fits(descriptor, writer, position)
            start = position if fits else Position()
            for stretch in Scan(descriptor, path, seq=start.seq, offset=start.offset).stretches():
                if fits or stretch.seq > position.seq:
                    yield _batch(writer, stretch, position.seq)
        except OSError as error:
            raise _unreadable(path, error) from error
        finally:
            os.close(descriptor)


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
        f"a segment can't be read: {error.strerror or error}", where=str(path), hint="check the disk and who owns it"
    )
