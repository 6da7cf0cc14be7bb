"""The projection of a process that lives long: a file of its own that stays open, and follows the journal as it grows.

Everybody else opens the home's projection for a moment, under its lock. A server would have to open it for each answer,
and its readers would wait for one another: it keeps a file of its own instead, which nobody else ever opens. Each session is
a snapshot, and any number of threads may have one.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from headwater import clock
from headwater.core.globs import literal_glob
from headwater.core.journal.home import Home, Standing, gone
from headwater.core.journal.locks import Locks
from headwater.errors import HeadwaterError, ProjectionError
from headwater.lineage import store
from headwater.lineage.changes import MOST, Change, changes
from headwater.lineage.ingest import SHARED_MEMORY, ingest, outline
from headwater.lineage.known_positions import POSITIONS, Known, known_positions
from headwater.lineage.projection import LOCK, Projection
from headwater.lineage.readonly import private_home
from headwater.lineage.session import Session

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from headwater.core.journal.carrier import Carrier, HeldLock
    from headwater.core.journal.reader import Batch, Position
    from headwater.core.journal.recovery import Settler
    from headwater.core.journal.scan import Damage
    from headwater.core.long_work import Work

EVERY = 0.2
"""Seconds between two looks at the journal."""
_RECOVER_EVERY = 1.0
_RETRY_AFTER = 30.0
_log = logging.getLogger(__name__)


class LiveProjection(Projection):
    """All that is known of a home, in a file of its own: `follow` keeps it up to date until `close`.

    One such file lies in the home and outlives the process; while another process has that, it is made in a temporary folder.
    """

    def __init__(self, home: Home, *, settlers: Sequence[Settler] = (), carrier: Carrier | None = None) -> None:
        own, self._claim = _place(self, home)
        super().__init__(home, settlers=settlers, carrier=carrier, own=own)
        self._root: DuckDBPyConnection | None = None
        self._writer: DuckDBPyConnection | None = None
        self._file = own.database
        self._opened_anew = False
        """Whether it has read more of the journal than was told: everything may have changed."""
        self._looks = 0
        self._closing = False
        self._no_looks = threading.Condition()
        self._writing = threading.RLock()
        self._seen: list[bytes] | None = None
        self._tried: dict[str, int] = {}
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._heard: Callable[[Sequence[Change]], None] = lambda found: None
        self._bereft: Callable[[HeadwaterError], None] = lambda error: None
        self.version = 0
        """Counts how often something new has come: who keeps an answer keeps this with it."""
        self.trouble: HeadwaterError | None = None
        """Why the last look at the journal failed; None when it did not."""
        self.looked: int | None = None
        """When the journal was last looked at with success, in microseconds since the epoch; None before the first time."""

    @contextmanager
    def session(self, *, timeout: float | None = None, outlined: bool = False) -> Iterator[Session]:
        """A look at everything that was read until now; nobody waits for anybody. Raises ProjectionError."""
        inside = self._inside()
        if inside is not None:
            yield inside
            return
        cursor = self._begin_look()
        try:
            session = Session(cursor, self._own.database)
            with self._known_as_inside(session):
                yield session
        finally:
            cursor.close()
            self._end_look()
        if session.damaged:
            self._reopen("a block of it can't be read")

    def changing(self) -> NoReturn:
        """Nobody writes to it but the journal: raises ProjectionError."""
        raise ProjectionError(
            "the projection of a server is not changed by hand", hint="stop the server, and try again"
        )

    def refresh(self, *, wait: float = 0) -> bool:
        """Read what is new in the journal. Raises JournalError, ProjectionError."""
        with self._writing:
            found = self._advance()
            if self._opened_anew:
                found, self._opened_anew = [_EVERYTHING], False
        if found:
            self.version += 1
            self._heard(found)
        self.trouble, self.looked = None, clock.now_us()
        return True

    def follow(
        self,
        heard: Callable[[Sequence[Change]], None] = lambda found: None,
        lost: Callable[[HeadwaterError], None] = lambda error: None,
    ) -> None:
        """Keep up with the journal, from a thread of its own; `heard` gets what has changed, from that thread.

        Once the home is gone there is nothing to follow: that ends it, and `lost` gets the error.
        """
        self._heard, self._bereft = heard, lost
        self._over.clear()
        self._thread = threading.Thread(target=self._follow_on, name="headwater-live", daemon=True)
        self._thread.start()

    def unfollow(self) -> None:
        """Stop following, also in the middle of a long reading; nothing more is taken in."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def close(self) -> None:
        """Stop following, and close the file; sessions that are open are waited for."""
        self.unfollow()
        with self._writing:
            self._shut()
        if self._claim is not None:
            self._claim.release()
            self._claim = None
        self._over.clear()

    def _follow_on(self) -> None:
        with Standing(self.home) as standing:
            self._follow_while(standing)

    def _follow_while(self, standing: Standing) -> None:
        recover_at = 0
        while True:
            if standing.is_gone():
                self.trouble = gone(self.home)
                self._bereft(self.trouble)
                return
            try:
                self.refresh()
                if clock.steady_us() >= recover_at:
                    recover_at = clock.steady_us() + int(_RECOVER_EVERY * 1e6)
                    self._recover_dead()
            except HeadwaterError as error:
                if self._over.is_set():
                    return
                if self.trouble is None or str(self.trouble) != str(error):
                    _log.warning("the journal can't be followed now: %s", error)
                self.trouble = error
            except Exception as error:  # noqa: BLE001 - the thread must go on: what failed now may work again in a moment
                _log.exception("the journal can't be followed now")
                self.trouble = ProjectionError(f"{type(error).__name__}: {error}")
            if self._over.wait(EVERY):
                return

    def _begin_look(self) -> DuckDBPyConnection:
        with self._no_looks:
            while self._closing:
                self._no_looks.wait()
            if self._root is not None:
                self._looks += 1
                return self._root.cursor()
        with self._writing:
            self._opened()
        return self._begin_look()

    def _end_look(self) -> None:
        with self._no_looks:
            self._looks -= 1
            self._no_looks.notify_all()

    def _opened(self) -> DuckDBPyConnection:
        if self._writer is None:
            root, path = self._caught_up()
            # What is to be taken in lies in one folder; beyond it no statement reaches a file, a network or an extension.
            folder = f"{self._own.tmp}/"
            root.execute("SET allowed_directories = $1", [[folder, literal_glob(folder)]])
            root.execute("SET enable_external_access = false")
            root.execute(f"SET memory_limit = '{SHARED_MEMORY}'")
            self._writer = root.cursor()
            with self._no_looks:
                self._root = root
            self.version += 1
            self._opened_anew = True
            self._file = path
        return self._writer

    def _shut(self) -> None:
        with self._no_looks:
            self._closing = True
            while self._looks:
                self._no_looks.wait()
            for connection in (self._writer, self._root):
                if connection is not None:
                    connection.close()
            if self._file != self._own.database:
                store.remove(self._file)  # one that stood in while another program had ours open
            self._root = self._writer = None
            self._closing = False
            self._no_looks.notify_all()

    def _reopen(self, why: str, *, outdated: bool = False) -> None:
        with self._writing:
            self._shut()
            if outdated:
                self._follow(why)
            else:
                self._begin_anew(why)
            self._opened()

    def _advance(self) -> list[Change]:
        import duckdb

        if self._writer is None:
            self._opened()
            return []
        writer, self._seen = self._writer, []
        try:
            known = known_positions(writer)
            self._check(known)
            self._catch_up(writer, known)
            return changes(self._seen) if len(self._seen) <= 100 * MOST else [_EVERYTHING]
        except store.Damaged as error:
            self._reopen(str(error), outdated=isinstance(error, store.Outdated))
            return []
        except duckdb.Error as error:
            found = store.finding(error, self._own.database)
            if not isinstance(found, store.Damaged):
                raise found from error
            self._reopen(str(found))
            return []
        finally:
            self._seen = None

    def _catch_up(
        self,
        connection: DuckDBPyConnection,
        known: Known,
        *,
        until: Mapping[str, Position] | None = None,
        damage: list[Damage] | None = None,
        work: Work | None = None,
    ) -> None:
        if self._seen is None:
            super()._catch_up(connection, known, until=until, damage=damage, work=work)
            # Looks only read, so all that they may ask for is worked out before anybody looks.
            outline(connection)
        else:
            ingest(connection, self._watched(self._read(known), self._seen), self._own.tmp, shared=True)

    def _read(self, known: Known) -> Iterator[Batch]:
        for batch in super()._read(known):
            # A long journal is read for minutes: who stops takes in nothing of it, and the next one begins there again.
            if self._over.is_set():
                raise ProjectionError("the server stops, and reads no more of the journal")
            yield batch

    def _watched(self, batches: Iterable[Batch], seen: list[bytes]) -> Iterator[Batch]:
        for batch in batches:
            if len(seen) <= 100 * MOST:
                seen += batch.lines
            yield batch

    def _recover_dead(self) -> None:
        if not self.home.is_writable():
            return
        with self.session() as session:
            closed = Known.of(session.rows(POSITIONS)).closed
        now = clock.steady_us()
        self._tried = {one: at for one, at in self._tried.items() if now - at <= _RETRY_AFTER * 1e6}
        dead = self._dead(closed) - self._tried.keys()
        if dead:
            self._tried.update(dict.fromkeys(dead, now))
            self._recover(closed)
            self.refresh()


_EVERYTHING = Change(kind="everything", id="*", event="")


def _place(owner: object, home: Home) -> tuple[Home, HeldLock | None]:
    """Where the file lies, and what keeps others from it."""
    if home.is_writable():
        with contextlib.suppress(HeadwaterError):
            own = Home.open(home.path / "server", create=True)
            lock = Locks(own.locks).try_hold(LOCK)
            if lock is not None:
                return own, lock
    return private_home(owner), None
