"""Events from the journal into the tables of the projection: in bulk, each once, in whatever order they come."""

from __future__ import annotations

import functools
import logging
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from headwater import failpoints
from headwater.core.globs import literal_glob
from headwater.errors import ProjectionError
from headwater.ids import new_id
from headwater.lineage.statements import statements

if TYPE_CHECKING:
    from uuid import UUID

    from duckdb import DuckDBPyConnection

    from headwater.core.journal.reader import Batch, Position

    Found: TypeAlias = tuple[str | None, int, int, UUID, UUID]
    """A kind that was read: how many events and ids, and between which two ids."""

_log = logging.getLogger(__name__)

CHUNK_BYTES = 256 << 20
"""How much of the journal is handed to DuckDB at once: it bounds the disk and the memory that a rebuild takes."""

MEMORY = "768MB"
"""What DuckDB may take meanwhile; beyond that it uses the disk."""

SMALL_BYTES = 4 << 20
"""What is no more than this is taken in by one thread: for others to join in takes longer than the work itself."""


@dataclass(slots=True, kw_only=True)
class Chunk:
    """Lines of the journal in a file of their own, ready for DuckDB, and how far they reach."""

    path: Path
    size: int = 0
    lines: int = 0
    longest: int = 0
    reached: list[tuple[str, int, int, bool]] = field(default_factory=list)
    absorbed: list[str] = field(default_factory=list)


def ingest(
    connection: DuckDBPyConnection,
    batches: Iterable[Batch],
    tmp: Path,
    *,
    until: Mapping[str, Position] | None = None,
) -> int:
    """Put batches into the tables, with the positions that they reach, in one transaction; how many lines were read.

    With `until`, events at or past these positions (or of writers that it does not name) are left out.
    """
    todo = iter(batches)
    first = next(todo, None)
    if first is None:
        return 0
    lines = 0
    connection.execute(f"SET memory_limit = '{MEMORY}'")
    with transaction(connection):
        failpoints.reach("projection.begin")
        connection.execute(statements("staging.sql")["begin"])
        for chunk in spool(chain([first], todo), tmp):
            connection.execute("SET threads = 1" if chunk.size <= SMALL_BYTES else "RESET threads")
            _insert(connection, chunk, until)
            lines += chunk.lines
        if connection.execute("FROM touched LIMIT 1").fetchone() is not None:
            connection.execute(statements("staging.sql")["latest"])
        failpoints.reach("projection.commit")
    failpoints.reach("projection.committed")
    connection.execute("RESET threads; RESET memory_limit")
    return lines


def outline(connection: DuckDBPyConnection) -> None:
    """Work out outlines, edges and policies of what has come since they were worked out the last time: not before somebody asks,
    for that takes longer than taking in a few events."""
    own = statements("staging.sql")
    pending = {defined for (defined,) in connection.execute("SELECT DISTINCT defined FROM state.pending").fetchall()}
    if not pending:
        return
    with transaction(connection):
        if False in pending:
            connection.execute(own["outlines"])
            connection.execute(statements("edges.sql")["observed"])
            if connection.execute(statements("edges.sql")["many"]).fetchone() == (True,):
                connection.execute(statements("edges.sql")["index"])
        if True in pending:
            connection.execute(own["policies"])
            connection.execute(statements("edges.sql")["declared"])
        connection.execute("DELETE FROM state.pending")


@contextmanager
def transaction(connection: DuckDBPyConnection) -> Iterator[None]:
    """All or nothing."""
    connection.execute("BEGIN")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        _give_up(connection)
        raise


def _give_up(connection: DuckDBPyConnection) -> None:
    import duckdb

    try:
        connection.execute("ROLLBACK")
    except duckdb.Error:  # a database that failed badly is closed, which rolls back as well
        _log.debug("the projection could not roll back", exc_info=True)


def spool(batches: Iterable[Batch], tmp: Path) -> Iterator[Chunk]:
    """Write the lines of batches to files of about `CHUNK_BYTES`; each file is gone when the next one is asked for."""
    todo = iter(batches)
    for first in todo:
        chunk = Chunk(path=tmp / f"ingest-{new_id()}.ndjson")
        try:
            _write(chunk, chain([first], todo))
            failpoints.reach("projection.spooled")
            yield chunk
        finally:
            chunk.path.unlink(missing_ok=True)


def _write(chunk: Chunk, batches: Iterable[Batch]) -> None:
    try:
        with os.fdopen(os.open(chunk.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            for batch in batches:
                data = b"\n".join(batch.lines)
                file.write(data + b"\n" if data else b"")
                _count(chunk, batch, len(data))
                if chunk.size >= CHUNK_BYTES:
                    break
    except OSError as error:
        raise ProjectionError(
            f"the projection can't be brought up to date: {error.strerror or error}",
            where=str(chunk.path.parent),
            hint="make room or make the home writable; the journal is safe, and is caught up with then",
        ) from error


def _count(chunk: Chunk, batch: Batch, size: int) -> None:
    chunk.size += size
    chunk.lines += len(batch.lines)
    chunk.longest = max(chunk.longest, max(map(len, batch.lines), default=0))
    chunk.reached.append((batch.writer, batch.position.seq, batch.position.offset, batch.closed))
    chunk.absorbed += batch.absorbed
    for damage in batch.damage:
        _log.warning("the journal is damaged: %s", damage)


def _insert(connection: DuckDBPyConnection, chunk: Chunk, until: Mapping[str, Position] | None) -> None:
    own, kinds = statements("staging.sql"), statements("ingest.sql")
    connection.execute(
        own["stage"], {"path": literal_glob(str(chunk.path)), "longest": max(chunk.longest + 1, 1 << 20)}
    )
    if until is not None:
        seqs = [position.seq for position in until.values()]
        connection.execute(own["trim"], {"writers": list(until), "seqs": seqs})
    found = connection.execute(own["kinds"]).fetchall()
    if any(events > ids for _, events, ids, *_ in found):
        connection.execute(own["once"])
    _leave_out_known(connection, found)
    for kind, *_ in found:
        if kind is None:
            _log.warning("a line of the journal is no event and was left out")
        elif kind in kinds:
            connection.execute(kinds[kind])
    failpoints.reach("projection.inserted")
    writers, seqs, offsets, closed = map(list, zip(*chunk.reached, strict=True))
    connection.execute(own["reached"], {"writers": writers, "seqs": seqs, "offsets": offsets, "closed": closed})
    connection.execute(own["positions"])
    if chunk.absorbed:
        connection.execute(own["absorbed"], {"absorbed": chunk.absorbed})


def _leave_out_known(connection: DuckDBPyConnection, found: Collection[Found]) -> None:
    """Take away what the tables have already. Ids grow with time: of a large table little is read."""
    ours = [row for row in found if row[0] in statements("ingest.sql")]
    if not ours:
        return
    tables = sorted({_table(str(kind)) for kind, *_ in ours})
    between = {"first": min(row[3] for row in ours), "last": max(row[4] for row in ours)}
    known = " UNION ALL ".join(
        f"SELECT id FROM {table} WHERE id BETWEEN $first AND $last"  # noqa: S608 - names out of our own statements
        for table in tables
    )
    if connection.execute(f"{known} LIMIT 1", between).fetchone() is not None:
        connection.execute(f"DELETE FROM staged WHERE id IN ({known})", between)  # noqa: S608 - as above


@functools.cache
def _table(kind: str) -> str:
    """The first of our tables that the events of a kind go into."""
    into = re.search(r"INSERT INTO (facts\.\w+) ", statements("ingest.sql")[kind])
    assert into is not None, kind
    return into[1]
