"""Whole records of one segment, from a position on: checked, counted, and what is damaged set aside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

from headwater.core.events import WriterOpened
from headwater.core.journal.home import unknown_format
from headwater.core.journal.lines import FORMAT, REBOOT, decode, head_of, is_whole, sequence_of
from headwater.core.journal.segment import says_closed
from headwater.records import dataclass

_CHUNK = 1 << 20
MOST_LINES = 20_000
MOST_BYTES = 1 << 23
"""So much is handed on at once, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Something in a segment, or of an archive, that is not as it was written.

    `kind` is "record" (its checksum does not fit: set aside, the rest goes on), "repeated" (a sequence number that was
    there before: set aside), "foreign" (another writer's record: set aside), "gap" (records are missing), "torn" (the end
    of a dead writer's segment is less than a record), "unreadable" (the system refuses to read the file), "archive" (its file
    is not what was written) or "index" (the archive's is lost or damaged). `seq` is the sequence number that was expected
    there, `offset` and `length` say which bytes; `missing` counts the missing records.
    """

    writer: str
    kind: str
    seq: int
    offset: int
    length: int = 0
    missing: int = 0

    def __str__(self) -> str:
        what = {
            "record": f"{self.length} bytes are not the record that was written",
            "repeated": "a record has a sequence number that was there before",
            "foreign": "a record belongs to another writer",
            "gap": f"{self.missing} record(s) are missing",
            "torn": f"the last {self.length} bytes are less than a record",
            "unreadable": "it can't be read: look at the disk, and at who owns the file",
            "archive": f"the archive's file is not what was written; {self.missing} record(s) can't be read",
            "index": "the archive's index is lost or damaged",
        }[self.kind]
        return f"{self.writer} at byte {self.offset} (record {self.seq}): {what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Lines whose sequence numbers follow one another from `first_seq`, and the damage found on the way."""

    lines: list[bytes]
    first_seq: int
    damage: list[Damage]
    seq: int
    offset: int
    closed: bool


class Scan:
    """Goes through an open segment once. `seq` and `offset` are behind the last line taken, `tail` is what follows it."""

    def __init__(self, descriptor: int, path: Path, *, seq: int = 0, offset: int = 0) -> None:
        self._descriptor = descriptor
        self._path = path
        self._head = head_of(path.stem)
        self._first_seq = seq
        self._lines: list[bytes] = []
        self._damage: list[Damage] = []
        self._size = 0
        self.seq = seq
        self.offset = offset
        self.tail = b""
        self.closed = False
        self.broken = 0
        """How many damaged lines stand behind the last good one: the next number is uncertain by so many."""

    def stretches(self) -> Iterator[Stretch]:
        """All whole records up to the file's present end. Raises FormatError on a segment of a newer version."""
        for lines in self._chunks():
            while lines:
                good = self._take_good(lines)
                if good < len(lines):
                    jump = self._jump(lines[good])
                    if jump and self._lines:
                        yield self._stretch()
                    self._take_odd(lines[good], jump)
                lines = lines[good + 1 :]
            if len(self._lines) >= MOST_LINES or self._size >= MOST_BYTES:
                yield self._stretch()
        if self._lines or self._damage:
            yield self._stretch()

    def torn(self) -> Damage:
        """The damage that an unfinished end is, in a dead writer's segment."""
        return Damage(writer=self._path.stem, kind="torn", seq=self.seq, offset=self.offset, length=len(self.tail))

    def _chunks(self) -> Iterator[list[bytes]]:
        # Only up to the end as it is now: a busy writer must not keep its reader for ever.
        position, end = self.offset, os.fstat(self._descriptor).st_size
        while position < end and (found := os.pread(self._descriptor, min(_CHUNK, end - position), position)):
            position += len(found)
            *lines, self.tail = (self.tail + found).split(b"\n")
            yield lines

    def _take_good(self, lines: list[bytes]) -> int:
        """Take the lines that are as they should be, up to the first that is not; returns how many."""
        head, seq, size = self._head, self.seq, 0
        for line in lines:
            # The same as is_whole and sequence_of: this loop bounds how fast a journal is read.
            if line[-16:] != b',"c":"%08x"}' % crc32(line[:-16]) or not line.startswith(b"%b%d," % (head, seq)):
                break
            seq += 1
            size += len(line) + 1
        good = seq - self.seq
        if good:
            if self.seq == 0:
                self._check_format(lines[0])
            self._lines += lines if good == len(lines) else lines[:good]
            self._advance(seq, size)
        return good

    def _advance(self, seq: int, size: int) -> None:
        self.seq = seq
        self.offset += size
        self._size += size
        self.broken = 0

    def _jump(self, line: bytes) -> int | None:
        """The sequence number of a whole line that is further on than expected."""
        seq = sequence_of(self._head, line) if is_whole(line) else None
        return seq if seq is not None and seq > self.seq else None

    def _take_odd(self, line: bytes, jump: int | None) -> None:
        if jump is None:
            self._set_aside(line)
            return
        missing = jump - self.seq - self.broken
        # Damaged lines account for numbers that are missing, and a recovery after a crash of the machine leaves some out.
        if missing > 0 and jump % REBOOT:
            self._report("gap", 0, missing)
        self._first_seq = jump
        self._lines.append(line)
        self._advance(jump + 1, len(line) + 1)

    def _set_aside(self, line: bytes) -> None:
        if not is_whole(line):
            kind = "record"
        elif sequence_of(self._head, line) is None:
            kind = "foreign"
        else:
            kind = "repeated"
        self._report(kind, len(line), 0)
        self.offset += len(line) + 1
        self._size += len(line) + 1
        self.broken += kind == "record"

    def _report(self, kind: str, length: int, missing: int) -> None:
        self._damage.append(
            Damage(writer=self._path.stem, kind=kind, seq=self.seq, offset=self.offset, length=length, missing=missing)
        )

    def _check_format(self, line: bytes) -> None:
        event = decode(line)
        if event.kind != WriterOpened.kind or event.body.get("format") != FORMAT:
            raise unknown_format(str(event.body.get("format")), self._path)

    def _stretch(self) -> Stretch:
        if self._lines:
            self.closed = says_closed(self._lines[-1])
        stretch = Stretch(
            lines=self._lines,
            first_seq=self._first_seq,
            damage=self._damage,
            seq=self.seq,
            offset=self.offset,
            closed=self.closed,
        )
        self._lines, self._damage, self._size, self._first_seq = [], [], 0, self.seq
        return stretch
