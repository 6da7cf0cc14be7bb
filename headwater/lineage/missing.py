"""What was read of the journal once, and is not there any more: a segment that vanished, or ends before it did."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from headwater.core.journal import index
from headwater.lineage.known_positions import known_positions
from headwater.records import dataclass

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from headwater.core.journal.carrier import WriterState
    from headwater.core.journal.home import Home
    from headwater.core.journal.reader import Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Events of a writer that were read, and can't be read again. `size` is what is left of its segment; None: nothing."""

    writer: str
    position: Position
    size: int | None

    def __str__(self) -> str:
        if self.size is None and self.position.offset == 0:
            return f"{self.writer}: the archive is gone, with all that it held"
        if self.size is None:
            return f"{self.writer}: the segment is gone; {self.position.seq} record(s) had been read of it"
        return (
            f"{self.writer}: the segment ends at byte {self.size}; it had been read up to byte {self.position.offset}"
        )


def losses(
    writers: Mapping[str, WriterState], known: Mapping[str, Position], archived: Collection[str] = ()
) -> list[Loss]:
    """What is lost of what was read up to the positions; `archived` names what lies in archives, and the archives."""
    found: list[Loss] = []
    for writer, position in known.items():
        if writer in archived:
            continue
        size = writers[writer].end if writer in writers else None
        if size is None or size < position.offset:
            found.append(Loss(writer=writer, position=position, size=size))
    return found


def last_positions(path: Path) -> dict[str, Position]:
    """How far the projection in a file had read, as far as a file that may be damaged can still tell."""
    import duckdb

    if not path.exists() or "?" in str(path):
        return {}
    try:
        connection = duckdb.connect(str(path), read_only=True)
        try:
            return known_positions(connection).positions
        finally:
            connection.close()
    except duckdb.Error:
        return {}


def remember(connection: DuckDBPyConnection, lost: Iterable[Loss]) -> None:
    """Note in a new projection which segments are gone, so that `verify` goes on naming them.

    They are neither open nor closed (NULL): nothing of them is in this projection, and one that comes back is to be read.
    """
    for loss in lost:
        if loss.size is None:
            row = [loss.writer, loss.position.seq, loss.position.offset]
            connection.execute("INSERT INTO state.positions VALUES ($1, $2, $3, NULL)", row)


def pruned_since(home: Home, known: Mapping[str, Position]) -> bool:
    """Whether events that were read up to the positions have expired since; an archive's position is its generation.

    One that was read as segments, and has expired in an archive that was never read, counts as well.
    """
    found = index.listing(home)
    for name in found.indexed:
        position = known.get(name)
        if position is not None and found.generations.get(name) == [position.seq]:
            continue
        archive = index.load(home, name)
        if archive is None:
            continue
        if position is None:
            if archive.generation > 0 and not known.keys().isdisjoint(archive.writers):
                return True
        elif archive.generation != position.seq:
            return True
    return False
