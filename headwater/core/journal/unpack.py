"""What is read of an archive: the lines of its writers, whole; of a damaged one all that can still be read."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from itertools import groupby
from operator import attrgetter

from headwater.core.journal import index, parquet
from headwater.core.journal.home import Home
from headwater.core.journal.index import Archive
from headwater.core.journal.lines import is_whole
from headwater.core.journal.parquet import Row
from headwater.core.journal.scan import MOST_BYTES, MOST_LINES, Damage, Stretch


def unpack(
    home: Home, archive: Archive, wanted: Mapping[str, int]
) -> Generator[tuple[str, Stretch], None, list[Damage]]:
    """The lines of some writers from a number on, writer by writer, in bounded pieces; returns what is damaged.

    The file is held against its checksum first. Numbers have gaps where events have expired. Raises FileNotFoundError when
    the file is gone, OSError and JournalError when it can't be read.
    """
    gathering = _Gathering(archive, wanted)
    if index.checksum_of(archive.path) == archive.checksum:
        found = parquet.rows(archive.path, (min(wanted), max(wanted)))
        yield from gathering.run(found)
        return []
    yield from gathering.run(parquet.salvage(archive.path, archive.footer, home.tmp))
    return gathering.damage()


class _Gathering:
    """Goes through rows, and makes stretches of those that are wanted."""

    def __init__(self, archive: Archive, wanted: Mapping[str, int]) -> None:
        self._archive = archive
        self._wanted = wanted
        self._seen: dict[str, int] = {}
        self._writer = ""
        self._first_seq = self._seq = self._size = 0
        self._lines: list[bytes] = []

    def run(self, pieces: Iterator[list[Row]]) -> Iterator[tuple[str, Stretch]]:
        for rows in pieces:
            for writer, group in groupby(rows, attrgetter("writer")):
                if writer != self._writer:
                    yield from self._flush(last=True)
                    self._writer = writer
                self._take(list(group))
                if len(self._lines) >= MOST_LINES or self._size >= MOST_BYTES:
                    yield from self._flush(last=False)
        yield from self._flush(last=True)

    def damage(self) -> list[Damage]:
        """What a damaged archive has lost: of all that was read, and of each writer that was wanted."""
        members = self._archive.writers
        lost = {writer: members[writer].events - self._seen.get(writer, 0) for writer in members}
        whole = Damage(
            writer=self._archive.id,
            kind="archive",
            seq=0,
            offset=0,
            length=self._archive.size,
            missing=sum(lost.values()),
        )
        gaps = [
            Damage(writer=writer, kind="gap", seq=seq, offset=0, missing=lost[writer])
            for writer, seq in self._wanted.items()
            if lost[writer]
        ]
        return [whole, *gaps]

    def _take(self, rows: list[Row]) -> None:
        whole = [row for row in rows if is_whole(row.line)]
        self._seen[self._writer] = self._seen.get(self._writer, 0) + len(whole)
        start = self._wanted.get(self._writer)
        found = [row for row in whole if start is not None and row.seq >= start]
        if found:
            if not self._lines:
                self._first_seq = found[0].seq
            self._lines += [row.line for row in found]
            self._size += sum(len(row.line) for row in found)
            self._seq = found[-1].seq + 1

    def _flush(self, *, last: bool) -> Iterator[tuple[str, Stretch]]:
        lines, self._lines, self._size = self._lines, [], 0
        if lines:
            # An archive holds whole segments: behind the last line of a writer nothing ever follows.
            seq = self._archive.writers[self._writer].next if last else self._seq
            stretch = Stretch(lines=lines, first_seq=self._first_seq, damage=[], seq=seq, offset=0, closed=last)
            yield self._writer, stretch
