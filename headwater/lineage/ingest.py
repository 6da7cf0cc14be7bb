"""Events from the journal into the tables of the projection: in bulk, each once, in whatever order they come."""

from __future__ import annotations

import functools
import logging
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from headwater import failpoints
from headwater.core.globs import literal_glob
from headwater.errors import ProjectionError
from headwater.ids import new_id
from headwater.lineage.rows import KEY, Row, Shaped, Unusual, latest, shape
from headwater.lineage.statements import statements
from headwater.records import dataclass

if TYPE_CHECKING:
    from uuid import UUID

    from duckdb import DuckDBPyConnection

    from headwater.core.journal.reader import Batch, Position
    from headwater.core.long_work import Work

    Found: TypeAlias = tuple[str | None, int, int, UUID, UUID]
    """A kind that was read: how many events and ids, and between which two ids."""

_log = logging.getLogger(__name__)

CHUNK_BYTES = 256 << 20
"""How much of the journal is handed to DuckDB at once: it bounds the disk and the memory that a rebuild takes."""

MEMORY = "768MB"
"""What DuckDB may take meanwhile; beyond that it uses the disk."""

SHARED_MEMORY = "1GB"
"""What it may take of a database that others look into meanwhile, for them and for this together."""

LONG_BYTES = 32 << 20
"""What DuckDB takes for a line can't go to the disk: more than `MEMORY` for one that is longer than this."""
_OF_LINE = 20
"""So many times its length, at most."""

SMALL_BYTES = 4 << 20
"""What is no more than this is taken in by one thread: for others to join in takes longer than the work itself."""


ARCHIVED_BYTES = 350
"""An archived event counts as so many bytes where it is told how far the work is: an archive knows only how many it has."""

FEW_BYTES = 1 << 20
"""Of what is no more than this the rows are shaped in Python: to plan the SQL takes longer than that."""


@dataclass(slots=True, kw_only=True)
class Reach:
    """How far lines of the journal reach, by writer, and which writers an archive among them has absorbed."""

    positions: dict[str, tuple[int, int, bool]] = field(default_factory=dict)
    absorbed: set[str] = field(default_factory=set)

    def note(self, batch: Batch) -> None:
        """One batch more; what is damaged in it is told."""
        self.go(batch.writer, batch.position.seq, batch.position.offset, batch.closed)
        self.absorbed.update(batch.absorbed)
        for damage in batch.damage:
            _log.warning("the journal is damaged: %s", damage)

    def go(self, writer: str, seq: int, offset: int, closed: bool) -> None:
        """The farthest position wins, in whatever order the batches come."""
        before = self.positions.get(writer, (seq, offset, closed))
        self.positions[writer] = (max(before[0], seq), max(before[1], offset), before[2] or closed)


@dataclass(slots=True, kw_only=True)
class Chunk:
    """Lines of the journal in a file of their own, ready for DuckDB, and how far they reach."""

    path: Path
    size: int = 0
    lines: int = 0
    longest: int = 0
    told: int = 0
    reach: Reach = field(default_factory=Reach)


def ingest(
    connection: DuckDBPyConnection,
    batches: Iterable[Batch],
    tmp: Path,
    *,
    until: Mapping[str, Position] | None = None,
    shared: bool = False,
    anew: bool = False,
    work: Work | None = None,
) -> int:
    """Put batches into the tables, with the positions that they reach, in one transaction; how many lines were read.

    With `until`, events at or past these positions (or of writers that it does not name) are left out. A database that is made
    `anew` is made by SQL, however few the events are. `shared` is a database that others look into meanwhile: its settings
    stay as they are, and what `outline` works out comes in the same transaction, so that nobody ever sees it missing.
    """
    todo = iter(batches)
    begun, size = [], 0
    for batch in todo:
        begun.append(batch)
        size += sum(map(len, batch.lines))
        if size > FEW_BYTES:
            break
    if not begun:
        return 0
    if size <= FEW_BYTES and until is None and not anew and _take_in_few(connection, begun, shared=shared):
        return sum(len(batch.lines) for batch in begun)
    return _take_in(connection, _read(chain(begun, todo), work), tmp, until, shared=shared, work=work)


def _take_in(
    connection: DuckDBPyConnection,
    batches: Iterable[Batch],
    tmp: Path,
    until: Mapping[str, Position] | None,
    *,
    shared: bool,
    work: Work | None,
) -> int:
    lines = 0
    if not shared:
        connection.execute(f"SET memory_limit = '{MEMORY}'")
    with _room_for_long_lines(connection, SHARED_MEMORY if shared else MEMORY) as make_room, transaction(connection):
        failpoints.reach("projection.begin")
        connection.execute(statements("staging.sql")["begin"])
        for chunk in spool(batches, tmp):
            if not shared:
                connection.execute("SET threads = 1" if chunk.size <= SMALL_BYTES else "RESET threads")
            make_room(chunk.longest)
            _insert(connection, chunk, until, work)
            lines += chunk.lines
        if connection.execute("FROM touched LIMIT 1").fetchone() is not None:
            connection.execute(statements("staging.sql")["latest"])
        if shared:
            _outline(connection)
        failpoints.reach("projection.commit")
    failpoints.reach("projection.committed")
    if not shared:
        connection.execute("RESET threads; RESET memory_limit")
    return lines


def _read(batches: Iterable[Batch], work: Work | None) -> Iterator[Batch]:
    """The batches; to read them is told as half of the work, the other half is to insert them."""
    for batch in batches:
        _go(work, _told_size(batch) / 2)
        yield batch


def _told_size(batch: Batch) -> int:
    if batch.position.offset:
        return sum(map(len, batch.lines)) + len(batch.lines)
    return ARCHIVED_BYTES * len(batch.lines)


def _go(work: Work | None, size: float) -> None:
    if work is not None:
        work.go(size)


@contextmanager
def _room_for_long_lines(connection: DuckDBPyConnection, limit: str) -> Iterator[Callable[[int], None]]:
    """Makes room for a line of so many bytes; afterwards the limit is as it was before."""
    most = LONG_BYTES

    def make_room(longest: int) -> None:
        nonlocal most
        if longest > most:
            most = longest
            connection.execute(f"SET memory_limit = '{_OF_LINE * (longest + LONG_BYTES)} bytes'")

    try:
        yield make_room
    finally:
        if most > LONG_BYTES:
            connection.execute(f"SET memory_limit = '{limit}'")


def outline(connection: DuckDBPyConnection) -> None:
    """Work out outlines, edges and policies of what has come since they were worked out the last time: not before somebody asks,
    for that takes longer than taking in a few events."""
    if connection.execute("FROM state.pending LIMIT 1").fetchone() is not None:
        with transaction(connection):
            _outline(connection)


def _outline(connection: DuckDBPyConnection) -> None:
    own, edges = statements("staging.sql"), statements("edges.sql")
    pending = {defined for (defined,) in connection.execute("SELECT DISTINCT defined FROM state.pending").fetchall()}
    if not pending:
        return
    if False in pending:
        connection.execute(own["outlines"])
        for name in ("observed", "nodes", "numbered"):
            connection.execute(edges[name])
    if True in pending:
        connection.execute(own["policies"])
        for name in ("declared", "nodes", "steps"):
            connection.execute(edges[name])
    connection.execute(own["moved" if pending == {False} else "rejudged"])
    connection.execute(own["clocks"])
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
    chunk.told += _told_size(batch)
    chunk.reach.note(batch)


def _insert(
    connection: DuckDBPyConnection, chunk: Chunk, until: Mapping[str, Position] | None, work: Work | None
) -> None:
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
    part = chunk.told / 2 / (len(found) + 1)
    _go(work, part)
    for kind, *_ in found:
        _go(work, part)
        if kind is None:
            _log.warning("a line of the journal is no event and was left out")
        elif kind in kinds:
            connection.execute(kinds[kind])
    failpoints.reach("projection.inserted")
    _note_reach(connection, chunk.reach)


def _take_in_few(connection: DuckDBPyConnection, batches: Sequence[Batch], *, shared: bool) -> bool:
    """Take in a few events, the same as `_take_in` does; False, and nothing done, when that has to do it."""
    try:
        shaped = shape(chain.from_iterable(batch.lines for batch in batches))
    except Unusual:
        return False
    with transaction(connection):
        failpoints.reach("projection.begin")
        if _is_known(connection, shaped):
            return False
        for table, (columns, rows) in shaped.tables.items():
            _append(connection, table, columns, rows)
        _put_latest(connection, shaped)
        failpoints.reach("projection.inserted")
        reach = Reach()
        for batch in batches:
            reach.note(batch)
        _note_reach(connection, reach)
        if shared:
            _outline(connection)
        failpoints.reach("projection.commit")
    failpoints.reach("projection.committed")
    return True


def _put_latest(connection: DuckDBPyConnection, shaped: Shaped) -> None:
    if not shaped.made:
        return
    own = statements("staging.sql")
    keys = [dict(zip(KEY, key, strict=True)) for key in shaped.made]
    if connection.execute(own["tried"], {"keys": keys}).fetchone() is None:
        _append(connection, "state.latest", *latest(shaped.made))
        return
    connection.execute(own["begin"])
    _append(connection, "touched", KEY, list(shaped.made))
    connection.execute(own["latest"])


def _append(connection: DuckDBPyConnection, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    appender = connection.appender(table, columns=list(columns))
    appender.append_rows(rows)
    appender.flush()


def _note_reach(connection: DuckDBPyConnection, reach: Reach) -> None:
    own, writers = statements("staging.sql"), list(reach.positions)
    before = connection.execute(own["positions"], {"writers": writers}).fetchall()
    for position in before:
        reach.go(*position)
    # An archive stands for the writers that it absorbed.
    gone = [writer for writer, *_ in before] + sorted(reach.absorbed)
    if gone:
        connection.execute(own["gone"], {"writers": gone})
    stand = [(writer, *reach.positions[writer]) for writer in writers if writer not in reach.absorbed]
    _append(connection, "state.positions", ("writer", "seq", "offset", "closed"), stand)


def _leave_out_known(connection: DuckDBPyConnection, found: Collection[Found]) -> None:
    """Take away what the tables have already."""
    ours = [row for row in found if row[0] in statements("ingest.sql")]
    if not ours:
        return
    known = _known(str(row[0]) for row in ours)
    between = {"first": min(row[3] for row in ours), "last": max(row[4] for row in ours)}
    if connection.execute(f"{known} LIMIT 1", between).fetchone() is not None:
        connection.execute(f"DELETE FROM staged WHERE id IN ({known})", between)  # noqa: S608 - as below


def _is_known(connection: DuckDBPyConnection, shaped: Shaped) -> bool:
    if not shaped.ids:
        return False
    known = _known(shaped.kinds)
    between: dict[str, object] = {"first": min(shaped.ids), "last": max(shaped.ids)}
    if connection.execute(f"{known} LIMIT 1", between).fetchone() is None:
        return False
    sql = f"SELECT id FROM ({known}) WHERE id IN (SELECT unnest($ids::UUID[])) LIMIT 1"  # noqa: S608 - as below
    return connection.execute(sql, {**between, "ids": shaped.ids}).fetchone() is not None


def _known(kinds: Iterable[str]) -> str:
    """What the tables of kinds have between two ids. Ids grow with time: of a large table little is read."""
    return " UNION ALL ".join(
        f"SELECT id FROM {table} WHERE id BETWEEN $first::UUID AND $last::UUID"  # noqa: S608 - out of our own statements
        for table in sorted(set(map(_table, kinds)))
    )


@functools.cache
def _table(kind: str) -> str:
    """The first of our tables that the events of a kind go into."""
    into = re.search(r"INSERT INTO (facts\.\w+) ", statements("ingest.sql")[kind])
    assert into is not None, kind
    return into[1]
