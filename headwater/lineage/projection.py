"""The projection: the journal as a DuckDB database. The only place that opens `headwater.duckdb`.

The file is opened only while our own lock is held, from connect to close (DuckDB 2.0 loses commits of processes that
open it in turn without one), and no connection outlives a fork. It may be deleted at any time: the next session makes it
again, to the same content.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from headwater import failpoints
from headwater.core.journal.locks import Locks
from headwater.core.journal.reader import Position, Reader
from headwater.core.journal.recovery import Settler, recover
from headwater.errors import LockTimeout, ProjectionError
from headwater.ids import new_id
from headwater.lineage import store
from headwater.lineage.compare import Problem, compare
from headwater.lineage.ingest import ingest
from headwater.lineage.session import Session

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from headwater.core.journal.home import Home

_log = logging.getLogger(__name__)

LOCK = "projection"


class Projection:
    """All that is known of a home, as SQL.

    `settlers` finish what dead processes left (`core.journal.recovery`): it happens before anybody looks.
    """

    def __init__(self, home: Home, *, settlers: Sequence[Settler] = ()) -> None:
        self.home = home
        self._settlers = tuple(settlers)
        self._reader = Reader(home)
        self._locks = Locks(home.locks)
        self._local = threading.local()

    @contextmanager
    def session(self, *, timeout: float | None = None) -> Iterator[Session]:
        """A look at everything that was written until now; waits for the lock, `timeout` seconds at most.

        Inside of a session of the same thread it is that session again. Raises LockTimeout, ProjectionError.
        """
        inside = self._inside()
        if inside is not None:
            yield inside
            return
        tried: set[str] = set()
        while True:
            with self._locks.hold(LOCK, timeout=timeout), self._connected() as (connection, path):
                closed = [writer for writer, closed in connection.execute(_CLOSED).fetchall() if closed]
                dead = self._dead(closed) - tried
                if not dead:
                    with self._look(connection, path) as session:
                        yield session
                    return
            # Not under the lock: a settler may publish data, and may itself want to look something up.
            self._recover(closed)
            tried |= dead

    def refresh(self, *, wait: float = 0) -> bool:
        """Bring the file up to date, so that plain clients of it see what is new; False when the lock stayed busy."""
        try:
            with self.session(timeout=wait):
                return True
        except LockTimeout:
            return False

    def rebuild(self) -> None:
        """Make the file anew, from the journal alone, and put it in the old one's place. Raises ProjectionError."""
        with self._alone():
            built = self._private()
            try:
                self._open(built).close()
                store.put_in_place(built, self.home.database)
            except store.Damaged as error:
                raise _unbuildable(self.home.database, error) from error
            finally:
                store.remove(built)

    def verify(self) -> list[Problem]:
        """All that is wrong: damage of the journal, damage of the file, and rows that differ from what the journal says.

        The file is judged as it stands, up to the positions that it says it has read.
        """
        from headwater.core.journal.verify import verify_journal

        problems = [Problem(kind="journal", where="journal", text=str(damage)) for damage in verify_journal(self.home)]
        if not self.home.database.exists():
            return problems
        with self._alone():
            try:
                connection = store.connect(self.home.database, temp=self.home.tmp)
            except store.Held as error:
                return [*problems, Problem(kind="held", where=self.home.database.name, text=f"not compared: {error}")]
            except store.Damaged as error:
                return [*problems, Problem(kind="damage", where=self.home.database.name, text=str(error))]
            fresh = self._private()
            try:
                until = _positions(connection)
                self._open(fresh, until=until).close()
                return problems + compare(connection, fresh)
            except store.Damaged as error:
                return [*problems, Problem(kind="damage", where=self.home.database.name, text=str(error))]
            finally:
                connection.close()
                store.remove(fresh)

    def _recover(self, closed: Collection[str]) -> None:
        for recovered in recover(self.home, self._settlers, skip=closed):
            for damage in recovered.damage:
                _log.warning("the journal is damaged: %s", damage)
            if recovered.error is not None:
                _log.warning("what a dead process left could not be settled yet: %s", recovered.error)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self._inside() is not None:
            raise ProjectionError("the projection can't be rebuilt or verified inside a session", hint="end it first")
        with self._locks.hold(LOCK):
            yield

    def _inside(self) -> Session | None:
        session: Session | None = getattr(self._local, "session", None)
        if session is not None and session.pid != os.getpid():
            # Never let a forked child destroy the parent's connection: it would write to the file.
            _inherited.append(session)
            session = self._local.session = None
        return session

    @contextmanager
    def _look(self, connection: DuckDBPyConnection, path: Path) -> Iterator[Session]:
        store.confine(connection)
        session = self._local.session = Session(connection, path)
        try:
            yield session
        finally:
            self._local.session = None
            if session.damaged:
                connection.close()
                self._aside("a block of it can't be read")

    @contextmanager
    def _connected(self) -> Iterator[tuple[DuckDBPyConnection, Path]]:
        connection, path = self._caught_up()
        try:
            yield connection, path
        finally:
            failpoints.reach("projection.close")
            connection.close()
            if path != self.home.database:
                store.remove(path)

    def _caught_up(self) -> tuple[DuckDBPyConnection, Path]:
        self._sweep()
        path = self.home.database
        try:
            return self._open(path), path
        except store.Held as error:
            _log.info("%s is in use by another program, so this look builds one of its own: %s", path.name, error)
            path = self._private()
        except store.Damaged as damaged:
            self._aside(str(damaged))
        try:
            return self._open(path), path
        except (store.Held, store.Damaged) as error:
            store.remove(path)
            raise _unbuildable(path, error) from error

    def _open(self, path: Path, *, until: Mapping[str, Position] | None = None) -> DuckDBPyConnection:
        import duckdb

        connection = store.connect(path, temp=self.home.tmp)
        try:
            known = _positions(connection)
            self._check_tails(connection, known)
            closed = [writer for writer, closed in connection.execute(_CLOSED).fetchall() if closed]
            ingest(connection, self._reader.read(known, skip=closed), self.home.tmp, until=until)
        except duckdb.Error as error:
            connection.close()
            raise store.finding(error, path) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_tails(self, connection: DuckDBPyConnection, known: Mapping[str, Position]) -> None:
        # After a power loss a segment may end before what was read of it, and what is appended then gets sequence
        # numbers that were read already: such a file tells of events that never were.
        for writer, closed in connection.execute(_CLOSED).fetchall():
            segment = self.home.journal / f"{writer}.ndjson"
            if not closed and (not segment.exists() or segment.stat().st_size < known[writer].offset):
                raise store.Damaged(f"the journal's segment {segment.name} ends before what was read of it")

    def _sweep(self) -> None:
        # All of these are made under the lock that we hold: whoever made them is dead.
        for pattern in ("ingest-*.ndjson", "projection-*.duckdb*"):
            for path in self.home.tmp.glob(pattern):
                path.unlink(missing_ok=True)
        shutil.rmtree(self.home.tmp / "duckdb", ignore_errors=True)

    def _dead(self, closed: Collection[str]) -> set[str]:
        return {writer for writer in self._reader.writers() if not self._reader.is_alive(writer)} - set(closed)

    def _aside(self, why: str) -> None:
        aside = store.move_aside(self.home.database)
        _log.warning(
            "the projection %s can't be used: %s; it is kept as %s and rebuilt from the journal",
            self.home.database,
            why,
            aside.name if aside else "nothing",
        )

    def _private(self) -> Path:
        return self.home.tmp / f"projection-{new_id()}.duckdb"


_inherited: list[Session] = []
_CLOSED = "SELECT writer, closed FROM state.positions"


def _positions(connection: DuckDBPyConnection) -> dict[str, Position]:
    rows = connection.execute('SELECT writer, seq, "offset" FROM state.positions').fetchall()
    return {writer: Position(seq=seq, offset=offset) for writer, seq, offset in rows}


def _unbuildable(path: Path, error: Exception) -> ProjectionError:
    return ProjectionError(
        f"the projection can't be built: {error}",
        where=str(path),
        hint="`headwater verify` says whether the journal is damaged",
    )
