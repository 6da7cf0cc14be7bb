"""What whoever holds the projection's lock does for the journal beside reading it: closed segments go into archives."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from headwater.core.journal.index import archives, listing, load
from headwater.core.journal.reader import Position, Reader
from headwater.errors import HeadwaterError
from headwater.lineage.ingest import ARCHIVED_BYTES

if TYPE_CHECKING:
    from headwater.core.journal.carrier import WriterState
    from headwater.core.journal.home import Home
    from headwater.lineage.known_positions import Known

_log = logging.getLogger(__name__)


def archive_when_due(home: Home, closed: Mapping[str, int]) -> None:
    """Move closed segments into an archive when there are many; `closed` are the sizes of those that were read, by writer.

    What goes wrong is told and tried again by the next look: nobody's answer depends on it.
    """
    from headwater.core.journal.archive import Unfit, compact, is_due

    if not is_due(closed):
        return
    try:
        # What can't be moved, or is gone, must not make a handful of others look like many, at each look again.
        there = set(Reader(home).writers()) - Unfit(home).load()
        if is_due({writer: size for writer, size in closed.items() if writer in there}):
            compact(home, closed.keys())
    except (HeadwaterError, OSError) as error:
        _log.warning("the journal's segments could not be archived: %s", error)


def size_behind(home: Home, writers: Mapping[str, WriterState], known: Known) -> int:
    """About how many bytes of the journal have not been read yet."""
    segments = sum(
        max(0, state.end - known.positions[writer].offset) if writer in known.positions else state.end
        for writer, state in writers.items()
    )
    new = listing(home).indexed - known.closed
    archives = (load(home, archive) for archive in new)
    return segments + ARCHIVED_BYTES * sum(archive.events for archive in archives if archive is not None)


def mend_archives(home: Home, known: Collection[str]) -> None:
    """Put right what a killed process left of an archive, and say what is damaged. Raises FormatError and JournalError."""
    if home.archive.exists():
        from headwater.core.journal.mending import mend

        for damage in mend(home, known):
            _log.warning("the journal is damaged: %s", damage)


def all_archived(home: Home) -> set[str]:
    """The ids of all archives and of the writers in them; one whose index is lost or damaged is there as long as its file is."""
    lying, found = listing(home), archives(home)
    return lying.indexed.union(lying.generations, *(archive.writers for archive in found))


def with_members(home: Home, known: Mapping[str, Position]) -> dict[str, Position]:
    """Positions in which the writers of an archive stand, too, when the archive does."""
    found = dict(known)
    for archive in archives(home):
        if archive.id in known:
            found |= {writer: Position(seq=member.next) for writer, member in archive.writers.items()}
    return found
