"""DuckDB files, opened only under their locks (`locking`) and briefly: one DuckDB in memory attaches them for a moment."""

from __future__ import annotations

import ctypes
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from headwater.errors import LocationError
from headwater.materializers.locking import shared
from headwater.materializers.publishing import Opened
from headwater.materializers.quoting import identifier, literal

Connection = duckdb.DuckDBPyConnection

FOREIGN_WAIT = 2.0
"""Seconds that a file held by another program is tried again before that is an error."""

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
_BUSY = ("Could not set lock", "already attached", "different configuration", "Unique file handle conflict")
_UNREADABLE = (duckdb.IOException, duckdb.SerializationException, duckdb.InternalException, duckdb.FatalException)
_HOLDER = re.compile(r"\(PID (\d+)\)")


class Engine:
    """One DuckDB in memory for the whole process, to which files are attached for a moment: starting one takes 20 ms of
    a processor, attaching a file 1 ms.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._root: Connection | None = None
        self._users = 0
        self._names = 0
        os.register_at_fork(
            before=self._before_fork, after_in_parent=self._after_in_parent, after_in_child=self._after_in_child
        )

    @contextmanager
    def attached(self, file: Path, mode: str) -> Iterator[Opened]:
        """A database file, whose lock must be held. Raises LocationError when another program holds it."""
        with self._lock:
            self._root = root = self._root or memory()
            self._users += 1
            self._names += 1
            connection, name = root.cursor(), f"db{self._names}"
        try:
            connection.execute("SET TimeZone = 'UTC'")
            attach(connection, file, name, mode)
            try:
                yield Opened(connection, name)
            finally:
                self._detach(connection, name)
        finally:
            connection.close()
            with self._lock:
                self._users -= 1

    def _detach(self, connection: Connection, name: str) -> None:
        try:
            connection.execute(f"DETACH {identifier(name)}")
        except duckdb.Error:
            # The file must not stay open without its lock: give up the engine, the next user starts another one.
            connection.close()
            with self._lock:
                root, self._root = self._root, None
            if root is not None:
                root.close()

    def _before_fork(self) -> None:
        self._lock.acquire()
        if self._users == 0 and self._root is not None:
            self._root.close()
            self._root = None

    def _after_in_parent(self) -> None:
        self._lock.release()

    def _after_in_child(self) -> None:
        # Another thread was at work: DuckDB's own threads are not in the child, where taking it down would crash.
        if self._root is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._root))
        self._root, self._users = None, 0
        self._lock = threading.Lock()


engine = Engine()


@contextmanager
def reading(file: Path) -> Iterator[Opened]:
    """A database file for reading, with its lock."""
    with shared([file]), engine.attached(file, "READ_ONLY") as opened:
        try:
            yield opened
        except _UNREADABLE as error:
            raise _unusable(file, error) from error


def memory(temporary: Path | None = None) -> Connection:
    """A database in memory. It loads no extensions by itself, and its times are in UTC."""
    connection = duckdb.connect(":memory:", config=_CONFIG)
    connection.execute("SET TimeZone = 'UTC'")
    if temporary is not None:
        connection.execute(f"SET temp_directory = {literal(str(temporary))}")
    return connection


def attach(connection: Connection, file: Path, name: str, mode: str = "READ_ONLY") -> None:
    """Attach a database file, whose lock must be held, under a name.

    Raises LocationError when another program holds it for longer than `FOREIGN_WAIT`, or when it is no database.
    """
    statement = f"ATTACH {literal(str(file))} AS {identifier(name)} ({mode})"
    # Real time, whatever clock the run is told: another program has the file.
    waited, pause = 0.0, 0.05
    while True:
        try:
            connection.execute(statement)
        except duckdb.Error as error:
            text = str(error)
            if not any(sign in text for sign in _BUSY):
                raise _unusable(file, error) from error
            if waited >= FOREIGN_WAIT:
                raise _held(text, file) from error
        else:
            return
        time.sleep(pause)
        waited += pause


def _unusable(file: Path, error: duckdb.Error) -> LocationError:
    try:
        with file.open("rb") as opened:
            is_one = opened.read(12)[8:] == b"DUCK"
    except OSError as found:
        message = f"the database can't be read: {found.strerror}"
        return LocationError(message, where=str(file), hint="name a file in the asset's location that may be read")
    if not is_one:
        hint = "name another file in the asset's location, or move this one away: then it is made anew"
        return LocationError("the file is not a DuckDB database", where=str(file), hint=hint)
    message = f"the database can't be read: {str(error).splitlines()[0]}"
    hint = "it is damaged: put a sound copy in its place, or move it away and make its assets again"
    return LocationError(message, where=str(file), hint=hint)


def _held(text: str, file: Path) -> LocationError:
    holder = _HOLDER.search(text)
    if holder:
        return LocationError(
            f"the database is held by another program (process {holder[1]})",
            where=str(file),
            hint=f"close it there: a DuckDB file admits one writing process (ps -p {holder[1]})",
        )
    return LocationError(
        "the database is open elsewhere in this process", where=str(file), hint="close that connection first"
    )
