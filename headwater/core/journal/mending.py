"""What a killed process left of an archive, and what is lost of one: put right, or told."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from pathlib import Path

from headwater.core.journal import index, parquet
from headwater.core.journal.archive import Contents
from headwater.core.journal.home import Home, unknown_format
from headwater.core.journal.index import FORMAT, Archive, Member
from headwater.core.journal.lines import is_whole
from headwater.core.journal.scan import Damage
from headwater.core.journal.unpack import unpack
from headwater.core.long_work import working
from headwater.errors import JournalError

_log = logging.getLogger(__name__)


def mend(home: Home, known: Collection[str]) -> list[Damage]:
    """Make lost and damaged indexes again, remove generations that never came to be or are over; returns what was damaged.

    `known` names archives whose index nobody needs. The caller holds the projection's lock. Costs a look at one folder when
    there is nothing to do. Raises FormatError and JournalError.
    """
    found = index.listing(home)
    damage: list[Damage] = []
    try:
        for archive in found.lost:
            damage += _index_again(home, archive, max(found.generations[archive]))
        for archive in sorted(found.indexed.difference(known)):
            if index.load(home, archive) is None:
                damage += _replace_index(home, archive, found.generations.get(archive, []))
        for archive, generations in found.generations.items():
            if len(generations) > 1:
                _remove_others(home, archive, generations)
    except OSError as error:
        raise index.unreadable(home.archive, error) from error
    return damage


def verify_archives(home: Home, segments: Collection[str]) -> Iterator[Damage]:
    """What is damaged or lost of the archives; reads them all. `segments` are the writers that had one before."""
    found = index.listing(home)
    every = sorted(found.indexed | found.generations.keys())
    with working("verifying the journal", "archives", len(every)) as work:
        for archive in every:
            one = index.load(home, archive)
            if one is not None:
                yield from _verify(home, one)
            elif not _is_unfinished(home, archive, found, segments):
                yield Damage(writer=archive, kind="index", seq=0, offset=0)
            work.go(1)


def _verify(home: Home, archive: Archive) -> list[Damage]:
    reading = unpack(home, archive, dict.fromkeys(archive.writers, 0))
    while True:
        try:
            next(reading)
        except StopIteration as over:
            found: list[Damage] = over.value
            return found
        except FileNotFoundError:
            newer = index.load(home, archive.id)
            if newer is None or newer.generation == archive.generation:
                return [index.gone(archive)]
            return _verify(home, newer)
        except OSError:
            return [Damage(writer=archive.id, kind="unreadable", seq=0, offset=0)]


def _is_unfinished(home: Home, archive: str, found: index.Listing, segments: Collection[str]) -> bool:
    """Whether an archive without an index is only in the making: then all of its segments were still there."""
    if archive in found.indexed:
        return False
    path = index.parquet_path(home, archive, max(found.generations[archive]))
    try:
        writers = {row.writer for rows in parquet.rows(path) for row in rows}
    except JournalError:
        return not path.exists()
    return writers <= set(segments) or index.load(home, archive) is not None


def _replace_index(home: Home, archive: str, generations: Collection[int]) -> list[Damage]:
    path = index.index_path(home, archive)
    if generations and path.exists():
        path.replace(path.with_name(f"{path.name}.damaged"))
        return _index_again(home, archive, max(generations))
    return [Damage(writer=archive, kind="index", seq=0, offset=0)] if path.exists() else []


def _index_again(home: Home, archive: str, generation: int) -> list[Damage]:
    """Make the index of a Parquet file: it was lost, or its process was killed before it wrote it."""
    path = index.parquet_path(home, archive, generation)
    found = parquet.format_of(path)
    if found is not None and found != str(FORMAT):
        raise unknown_format(found, path)
    contents, whole = _contents(home, path)
    if not contents.events:
        return [Damage(writer=archive, kind="index", seq=0, offset=0)]
    made = Archive(
        id=archive,
        generation=generation,
        path=path,
        size=path.stat().st_size,
        checksum=index.checksum_of(path) if whole else "",
        writers={
            writer: Member(next=contents.following[writer], events=contents.events[writer])
            for writer in contents.events
        },
        first=contents.times[0],
        last=contents.times[1],
        footer=parquet.footer_of(path),
    )
    index.save(home, made)
    _log.info("the index of the archive %s was made again", path.name)
    return []


def _contents(home: Home, path: Path) -> tuple[Contents, bool]:
    try:
        return Contents.of(_whole(path)), True
    except JournalError:
        return Contents.of(parquet.salvage(path, b"", home.tmp)), False


def _whole(path: Path) -> Iterator[list[parquet.Row]]:
    for rows in parquet.rows(path):
        if not all(is_whole(row.line) for row in rows):
            raise JournalError("an archive is damaged", where=str(path))
        yield rows


def _remove_others(home: Home, archive: str, generations: Collection[int]) -> None:
    one = index.load(home, archive)
    for generation in generations:
        if one is not None and generation != one.generation:
            index.parquet_path(home, archive, generation).unlink(missing_ok=True)
