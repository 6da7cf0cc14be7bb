"""The projection: the journal as a DuckDB database. The only place that opens `headwater.duckdb`.

The file is opened only while our own lock is held, from connect to close (DuckDB 2.0 loses commits of processes that
open it in turn without one), and no connection outlives a fork. It may be deleted at any time: the next session makes it
again, to the same content.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import threading
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from headwater import clock, failpoints
from headwater.core.journal import descriptors
from headwater.core.journal.files import carrier_of
from headwater.core.journal.index import remove_leftovers
from headwater.core.journal.locks import Lock, Locks, driven
from headwater.core.journal.reader import Batch, Position
from headwater.core.journal.recovery import Settler
from headwater.core.journal.scan import Damage
from headwater.core.long_work import BYTES, Work, working
from headwater.errors import JournalError, LockTimeout, ProjectionError
from headwater.ids import new_id
from headwater.lineage import store
from headwater.lineage.compare import Problem, compare
from headwater.lineage.ingest import ingest, outline
from headwater.lineage.known_positions import Known, known_positions
from headwater.lineage.missing import Loss, last_positions, losses, pruned_since, remember
from headwater.lineage.readonly import private_home
from headwater.lineage.session import Session
from headwater.lineage.upkeep import all_archived, archive_when_due, mend_archives, size_behind, with_members

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from headwater.core.journal.carrier import Carrier, WriterState
    from headwater.core.journal.home import Home

_log = logging.getLogger(__name__)

LOCK = "projection"
TOLD_AFTER = 3.0
"""Seconds after which somebody who waits for the lock is told for whom."""


class Projection:
    """All that is known of a home, as SQL.

    `settlers` finish what dead processes left (`core.journal.recovery`): it happens before anybody looks. Its file lies in
    the home, unless `own` gives it a place of its own.
    """

    def __init__(
        self, home: Home, *, settlers: Sequence[Settler] = (), carrier: Carrier | None = None, own: Home | None = None
    ) -> None:
        self.home = home
        self._settlers = tuple(settlers)
        self._carrier = carrier or carrier_of(home)
        # What belongs to the projection lies in the home itself, unless that is only to be looked at.
        self._own = own or (home if home.is_writable() else private_home(self))
        self._locks = Locks(self._own.locks)

    @contextmanager
    def session(self, *, timeout: float | None = None, outlined: bool = False) -> Iterator[Session]:
        """A look at everything that was written until now; waits for the lock, `timeout` seconds at most.

        Inside of a session of the same thread it is that session again, also when another object for the same file began it. When
        it is `outlined`, the tables that are worked out on demand are up to date; inside of another session they may not be.
        Raises LockTimeout, ProjectionError.
        """
        inside = self._inside()
        if inside is not None:
            yield inside
            return
        with self._settled(timeout) as (connection, path):
            if outlined:
                self._outline(connection, path)
            with self._look(connection, path) as session:
                yield session

    @contextmanager
    def changing(self) -> Iterator[DuckDBPyConnection]:
        """The projection itself, up to date and for writing, while nobody else looks; not inside of a session."""
        self._refuse_inside()
        with self._settled(None) as (connection, _):
            yield connection

    @contextmanager
    def _settled(self, timeout: float | None) -> Iterator[tuple[DuckDBPyConnection, Path]]:
        tried: set[str] = set()
        while True:
            with self._lock(timeout), self._connected() as (connection, path):
                known = known_positions(connection)
                dead = self._dead(known.closed) - tried
                if not dead:
                    yield connection, path
                    if path == self.home.database:
                        sizes = {writer: size for writer in known.closed if (size := known.positions[writer].offset)}
                        archive_when_due(self.home, sizes)
                    return
            # Not under the lock: a settler may publish data, and may itself want to look something up.
            self._recover(known.closed)
            tried |= dead

    def refresh(self, *, wait: float = 0) -> bool:
        """Bring the file up to date, so that plain clients of it see what is new; False when the lock stayed busy."""
        try:
            with self.session(timeout=wait):
                return True
        except LockTimeout:
            return False

    def rebuild(self) -> None:
        """Make the file anew, from the journal alone, and put it in the old one's place.

        The old one is kept beside it when the journal has lost something of what it was made from. Raises HomeError when
        the home is not writable, ProjectionError.
        """
        self.home.check_writable()
        with self._alone():
            built = self._private()
            damage: list[Damage] = []
            lost = self._lost()
            try:
                connection = self._open(built, damage=damage)
                remember(connection, lost)
                connection.close()
                if lost or damage:
                    self._aside("the journal does not hold any more all that it was made from", lost)
                store.put_in_place(built, self._own.database)
            except store.Damaged as error:
                raise _unbuildable(self._own.database, error) from error
            finally:
                store.remove(built)

    def verify(self) -> list[Problem]:
        """All that is wrong: damage of the journal, damage of the file, and rows that differ from what the journal says.

        The file is judged as it stands, up to the positions that it says it has read.
        """
        import duckdb

        from headwater.lineage.openlineage.verify import verify_outbox

        problems = [Problem(kind="journal", where="journal", text=str(damage)) for damage in self._carrier.verify()]
        problems += [Problem(kind="outbox", where=name, text=text) for name, text in verify_outbox(self.home)]
        if not self.home.database.exists():
            return problems
        if self._own is not self.home:
            return [*problems, Problem(kind="held", where=self.home.database.name, text="not compared: not writable")]
        with self._alone():
            try:
                connection = store.connect(self._own.database, temp=self._own.tmp)
            except store.Held as error:
                return [*problems, Problem(kind="held", where=self._own.database.name, text=f"not compared: {error}")]
            except store.Damaged as error:
                return [*problems, Problem(kind="damage", where=self._own.database.name, text=str(error))]
            fresh = self._private()
            try:
                until = known_positions(connection).positions
                if pruned_since(self.home, until):
                    # The next look makes it anew: there is nothing to compare.
                    return problems
                lost = losses(self._carrier.writers(), until, self._archived())
                problems += [Problem(kind="journal", where="journal", text=str(loss)) for loss in lost]
                built = self._open(fresh, until=with_members(self.home, until))
                outline(built)
                built.close()
                return problems + compare(connection, fresh)
            except (store.Damaged, duckdb.Error) as error:
                found = error if isinstance(error, store.Damaged) else store.finding(error, self._own.database)
                if not isinstance(found, store.Damaged):
                    raise found from error
                return [*problems, Problem(kind="damage", where=self._own.database.name, text=str(found))]
            except JournalError as error:
                return [*problems, Problem(kind="journal", where="journal", text=f"not compared: {error.message}")]
            finally:
                connection.close()
                store.remove(fresh)

    def _recover(self, closed: Collection[str]) -> None:
        if not self.home.is_writable():
            _log.warning(
                "a process of this home has died, and the home is not writable: its runs are shown as it left them"
            )
            return
        for recovered in self._carrier.recover(self._settlers, skip=closed):
            for damage in recovered.damage:
                _log.warning("the journal is damaged: %s", damage)
            if recovered.error is not None:
                _log.warning("what a dead process left could not be settled yet: %s", recovered.error)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._refuse_inside()
        with self._lock(None):
            yield

    def _lock(self, timeout: float | None) -> Lock:
        return driven(_telling(self._locks.steps(LOCK, timeout=timeout), lambda: self._locks.holder(LOCK)))

    def _refuse_inside(self) -> None:
        if self._inside() is not None:
            raise ProjectionError(
                "the projection can't be rebuilt, verified or pruned inside a session", hint="end it first"
            )

    def _inside(self) -> Session | None:
        session = _looks.sessions.get(self._own.database)
        if session is not None and session.pid != os.getpid():
            # Never let a forked child destroy the parent's connection: it would write to the file.
            _inherited.append(_looks.sessions.pop(self._own.database))
            return None
        return session

    @contextmanager
    def _known_as_inside(self, session: Session) -> Iterator[Session]:
        _looks.sessions[self._own.database] = session
        try:
            yield session
        finally:
            _looks.sessions.pop(self._own.database, None)

    @contextmanager
    def _look(self, connection: DuckDBPyConnection, path: Path) -> Iterator[Session]:
        store.confine(connection)
        session = Session(connection, path)
        try:
            with self._known_as_inside(session):
                yield session
        finally:
            if session.damaged:
                connection.close()
                self._begin_anew("a block of it can't be read")

    @contextmanager
    def _connected(self) -> Iterator[tuple[DuckDBPyConnection, Path]]:
        connection, path = self._caught_up()
        try:
            store.keep_log(connection)
            yield connection, path
        finally:
            failpoints.reach("projection.close")
            store.close(connection, path)
            if path != self._own.database:
                store.remove(path)

    def _caught_up(self) -> tuple[DuckDBPyConnection, Path]:
        self._sweep()
        path = self._own.database
        new = not path.exists()
        try:
            return self._open(path), path
        except store.Held as error:
            _log.info("%s is in use by another program, so this look builds one of its own: %s", path.name, error)
            path = self._private()
        except store.Outdated as outdated:
            self._follow(str(outdated))
        except store.Damaged as damaged:
            if new:
                # Made right now: nothing of it is worth keeping, and nothing else would come of another one.
                store.remove(path)
                raise _unbuildable(path, damaged) from damaged
            self._begin_anew(str(damaged))
        try:
            return self._open(path), path
        except (store.Held, store.Damaged) as error:
            store.remove(path)
            raise _unbuildable(path, error) from error

    def _open(
        self, path: Path, *, until: Mapping[str, Position] | None = None, damage: list[Damage] | None = None
    ) -> DuckDBPyConnection:
        import duckdb

        connection = store.connect(path, temp=self._own.tmp)
        try:
            known = known_positions(connection)
            if until is None and self._own is self.home:
                mend_archives(self.home, known.positions)
            writers = self._check(known)
            with working("taking in the journal", BYTES, size_behind(self.home, writers, known)) as work:
                self._catch_up(connection, known, until=until, damage=damage, work=work)
        except duckdb.Error as error:
            connection.close()
            raise store.finding(error, path) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _catch_up(
        self,
        connection: DuckDBPyConnection,
        known: Known,
        *,
        until: Mapping[str, Position] | None = None,
        damage: list[Damage] | None = None,
        work: Work | None = None,
    ) -> None:
        batches = _noting(self._read(known), [] if damage is None else damage)
        # What is made anew, or to be compared, is made by SQL: so one way of taking events in is held against the other.
        ingest(connection, batches, self._own.tmp, until=until, anew=damage is not None, work=work)

    def _read(self, known: Known) -> Iterator[Batch]:
        return iter(self._carrier.read(known.positions, skip=known.closed))

    def _check(self, known: Known) -> Mapping[str, WriterState]:
        # The writers that are not closed. Raises Damaged, or Outdated, when what was read is not what the journal would give now.
        if pruned_since(self.home, known.positions):
            raise store.Outdated("something that was read has expired since")
        # After a power loss a segment may end before what was read of it, and what is appended then gets sequence
        # numbers that were read already: such a file tells of events that never were.
        writers = self._carrier.writers(skip=known.closed)
        short = {
            writer
            for writer in known.positions.keys() - known.closed - known.gone
            if writer not in writers or writers[writer].end < known.positions[writer].offset
        }
        if known.gone and not known.gone.isdisjoint({*writers, *self._archived()}):
            raise store.Outdated("something that was missing in the journal is there again")
        # An archive that is damaged is not closed: it is read again once it has been put back.
        for writer in sorted(short.difference(self._archived() if short else ())):
            raise store.Damaged(f"the journal of the writer {writer} ends before what was read of it")
        return writers

    def _sweep(self) -> None:
        # All of these are made under the lock that we hold: whoever made them is dead. But for the copy of a damaged archive that
        # somebody reads just now: that is locked.
        for pattern in ("ingest-*.ndjson", "projection-*.duckdb*", "archive-*"):
            for path in self._own.tmp.glob(pattern):
                if not _is_read(path):
                    path.unlink(missing_ok=True)
        shutil.rmtree(self._own.tmp / "duckdb", ignore_errors=True)

    def _outline(self, connection: DuckDBPyConnection, path: Path) -> None:
        import duckdb

        try:
            outline(connection)
        except duckdb.Error as error:
            found = store.finding(error, path)
            raise ProjectionError(
                f"the projection can't be brought up to date: {found}",
                where=str(path),
                hint="`headwater rebuild` makes it anew",
            ) from error

    def _dead(self, closed: Collection[str]) -> set[str]:
        found = self._carrier.writers(skip=set(closed))
        dead = {writer for writer, state in found.items() if not state.alive}
        # Who moved them into an archive may have been killed before it had removed them all.
        return dead - remove_leftovers(self.home, dead) if self._own is self.home else dead

    def _archived(self) -> Collection[str]:
        return all_archived(self.home)

    def _lost(self) -> list[Loss]:
        """What the file was made from, and the journal does not hold any more."""
        if self._own is self.home:
            # With its index damaged, nobody could tell what an archive holds: all of that would be taken for lost.
            mend_archives(self.home, ())
        return losses(self._carrier.writers(), last_positions(self._own.database), self._archived())

    def _begin_anew(self, why: str) -> None:
        lost = self._lost()
        self._aside(why, lost)
        if lost:
            connection = store.connect(self._own.database, temp=self._own.tmp)
            remember(connection, lost)
            connection.close()

    def _follow(self, why: str) -> None:
        # Of another version, or pruned and killed before the file followed: nothing in it is worth keeping but the trace of what
        # was lost.
        if self._lost():
            self._begin_anew(why)
        else:
            store.remove(self._own.database)

    def _aside(self, why: str, lost: Iterable[Loss]) -> None:
        aside = store.move_aside(self._own.database)
        _log.warning(
            "the projection %s can't be used: %s; it is kept as %s and rebuilt from the journal",
            self._own.database,
            why,
            aside.name if aside else "nothing",
        )
        for loss in lost:
            _log.warning("the journal is damaged: %s", loss)

    def _private(self) -> Path:
        return self._own.tmp / f"projection-{new_id()}.duckdb"


def _is_read(path: Path) -> bool:
    try:
        return path.suffix == ".parquet" and descriptors.is_locked(path)
    except OSError:
        return False


def _noting(batches: Iterable[Batch], damage: list[Damage]) -> Iterator[Batch]:
    for batch in batches:
        damage += batch.damage
        yield batch


class _Looks(threading.local):
    """The sessions that a thread is inside of, by their files: a second one for the same file would wait for the first for ever."""

    def __init__(self) -> None:
        self.sessions: dict[Path, Session] = {}


_looks = _Looks()
_inherited: list[Session] = []


def _unbuildable(path: Path, error: Exception) -> ProjectionError:
    return ProjectionError(
        f"the projection can't be built: {error}",
        where=str(path),
        hint="`headwater verify` says whether the journal is damaged",
    )


def _telling(
    steps: Generator[float, int | None, Lock], holder: Callable[[], int | None]
) -> Generator[float, int | None, Lock]:
    """The same steps to the lock; a wait that takes long is told, with whom it is for: that process may have been stopped."""
    at: float = clock.machine_us() + TOLD_AFTER * 1e6
    try:
        while True:
            try:
                delay = next(steps)
            except StopIteration as stop:
                lock: Lock = stop.value
                return lock
            if clock.machine_us() >= at:
                at = math.inf
                _log.warning(
                    "waiting for process %s, which has the projection: it may be making it anew, or have been stopped",
                    holder() or "?",
                )
            yield delay
    finally:
        steps.close()
