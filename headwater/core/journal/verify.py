"""Looks for damage in every segment and every archive."""

from __future__ import annotations

import os
from pathlib import Path

from headwater.core.journal.home import Home
from headwater.core.journal.mending import verify_archives
from headwater.core.journal.reader import Reader
from headwater.core.journal.scan import Damage, Scan
from headwater.core.journal.segment import segment_path
from headwater.core.long_work import working


def verify_journal(home: Home) -> list[Damage]:
    """Everything in the journal that is not as it was written; reads it all, changes nothing.

    The unfinished end of a living writer's segment is no damage. Raises FormatError on a segment of a newer version.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     verify_journal(Home.open(folder, create=True))
    []
    """
    reader = Reader(home)
    found: list[Damage] = []
    writers = reader.writers()
    with working("verifying the journal", "segments", len(writers)) as work:
        for writer in writers:
            found += _verify_segment(home, reader, writer)
            work.go(1)
    return [*found, *verify_archives(home, writers)]


def _verify_segment(home: Home, reader: Reader, writer: str) -> list[Damage]:
    path = segment_path(home, writer)
    try:
        return _verify_file(path, reader, writer)
    except FileNotFoundError:
        return []
    except OSError:
        return [Damage(writer=writer, kind="unreadable", seq=0, offset=0)]


def _verify_file(path: Path, reader: Reader, writer: str) -> list[Damage]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        scan = Scan(descriptor, path)
        found = [damage for stretch in scan.stretches() for damage in stretch.damage]
        if scan.tail and not reader.is_alive(writer):
            found.append(scan.torn())
        return found
    finally:
        os.close(descriptor)
