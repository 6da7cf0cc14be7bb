"""A look at the projection: read-only, on one snapshot, for as long as the projection's lock is held."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from headwater.errors import ProjectionError
from headwater.lineage.store import Damaged, finding
from headwater.records import dataclass

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Parameters: TypeAlias = Sequence[object] | Mapping[str, object] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a query gave: the names of its columns, and its rows."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]

    def dicts(self) -> list[dict[str, Any]]:
        """Each row as a dictionary."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class Session:
    """Queries on the projection. It holds all that the journal held when it began, and nothing can be written through it.

    It belongs to the process that began it, and one thread at a time may use it.
    """

    def __init__(self, connection: DuckDBPyConnection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self.pid = os.getpid()
        self.damaged = False
        self._begin()

    def execute(self, sql: str, parameters: Parameters = None) -> Answer:
        """The answer to one statement; raises ProjectionError when the file is damaged, duckdb.Error when the SQL is wrong."""
        import duckdb

        if os.getpid() != self.pid:
            raise ProjectionError(
                "a session of the projection can't be used in a forked process", hint="begin a new one there"
            )
        try:
            cursor = self._connection.execute(sql, _listed(parameters))
            rows = cursor.fetchall() if cursor.description else []
            return Answer(columns=tuple(column[0] for column in cursor.description or ()), rows=rows)
        except duckdb.Error as error:
            self._recover(error)
            raise

    def rows(self, sql: str, parameters: Parameters = None) -> list[tuple[Any, ...]]:
        """The rows of one statement."""
        return self.execute(sql, parameters).rows

    def dicts(self, sql: str, parameters: Parameters = None) -> list[dict[str, Any]]:
        """The rows of one statement as dictionaries."""
        return self.execute(sql, parameters).dicts()

    def ask(self, sql: str) -> Answer:
        """The answer to a query that somebody else wrote: one statement, which may read and nothing else."""
        import duckdb

        try:
            found = self._connection.extract_statements(sql)
        except duckdb.Error as error:
            raise _wrong(error) from error
        if len(found) != 1 or found[0].type not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
            raise ProjectionError("only one SELECT, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN can be asked")
        try:
            return self.execute(sql)
        except duckdb.Error as error:
            raise _wrong(error) from error

    def _begin(self) -> None:
        self._connection.execute("BEGIN TRANSACTION READ ONLY")

    def _recover(self, error: Exception) -> None:
        import duckdb

        # What DuckDB raises for a block that fails its checksum: the bare Error, or one of these; never for a wrong query.
        damage = (duckdb.IOException, duckdb.SerializationException, duckdb.InternalException, duckdb.FatalException)
        if type(error) is duckdb.Error or isinstance(error, damage):
            found = finding(error, self._path)
            if isinstance(found, Damaged):
                self.damaged = True
                raise ProjectionError(
                    f"the projection is damaged: {found}",
                    where=str(self._path),
                    hint="ask again: it is rebuilt from the journal",
                ) from error
            raise found from error
        self._connection.execute("ROLLBACK")
        self._begin()


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its times as text, as `--json` prints it.

    >>> plain({"id": "r1", "at": datetime(2026, 11, 2, 6)})
    {'id': 'r1', 'at': '2026-11-02T06:00:00.000000Z'}
    """
    return {name: rfc3339(value) if isinstance(value, datetime) else value for name, value in row.items()}


def timed(row: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a row with `started` and `ended`, and how many seconds lie between them: its `duration`."""
    started, ended = row["started"], row["ended"]
    duration = (ended - started).total_seconds() if started is not None and ended is not None else None
    return {**plain(row), "duration": duration}


def rfc3339(moment: datetime) -> str:
    """A time as the projection holds it, which is UTC without saying so, as text."""
    return moment.isoformat(timespec="microseconds") + "Z"


def _listed(parameters: Parameters) -> list[object] | dict[str, object] | None:
    if parameters is None:
        return None
    return dict(parameters) if isinstance(parameters, Mapping) else list(parameters)


def _wrong(error: Exception) -> ProjectionError:
    return ProjectionError(f"the query is wrong: {error}", hint="the views are listed by SHOW TABLES")
