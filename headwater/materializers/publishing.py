"""The transaction that replaces a partition of a DuckDB table, and the book of versions that is kept with it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Protocol

from headwater import clock, failpoints
from headwater.assets.location import VERSIONS_TABLE
from headwater.assets.partitions import Partition
from headwater.assets.protocols import Staged, Target
from headwater.core.globs import literal_glob
from headwater.errors import LocationError, MaterializationError
from headwater.materializers import tables
from headwater.materializers.quoting import identifier, literal
from headwater.materializers.staging import key_of, scan
from headwater.materializers.tables import PARTITION_COLUMN, Place
from headwater.records import dataclass

_COLUMNS = '"table" VARCHAR NOT NULL, "partition" VARCHAR, version VARCHAR NOT NULL, "at" TIMESTAMP'


class Connection(Protocol):
    """What is asked of a connection to DuckDB."""

    def execute(self, query: str, parameters: object = None) -> Any:
        """Run a statement."""
        ...


@dataclass(frozen=True, slots=True)
class Opened:
    """A database file attached to a connection under a name of our own.

    Always named, because a file that is called like a schema in it would make names with two parts ambiguous.
    """

    connection: Connection
    name: str

    def table(self, place: Place) -> str:
        """A table's full name as SQL."""
        return f"{identifier(self.name)}.{place.quoted}"

    @property
    def book(self) -> str:
        """The full name of the table of versions as SQL."""
        return f"{identifier(self.name)}.main.{identifier(VERSIONS_TABLE)}"

    def columns(self, place: Place, *, views: bool = False) -> dict[str, str] | None:
        """The columns of a table, or also of a view, with their types; None when there is none."""
        named = {"database": self.name, "schema": place.schema.lower(), "table": place.table.lower(), "views": views}
        found = self.connection.execute(
            """SELECT 1 FROM duckdb_tables() WHERE database_name = $database
            AND lower(schema_name) = $schema AND lower(table_name) = $table
            UNION ALL SELECT 1 FROM duckdb_views() WHERE $views AND database_name = $database
            AND lower(schema_name) = $schema AND lower(view_name) = $table""",
            named,
        ).fetchone()
        if found is None:
            return None
        described = self.connection.execute(f"DESCRIBE {self.table(place)}").fetchall()
        return {str(row[0]): str(row[1]) for row in described}

    def content_version(self, place: Place, target: Target, partition: Partition | None) -> str | None:
        """A version for a table or view that somebody else made, or for a partition of it, the same for the same rows.

        None when there is no table, or no row of the partition: what somebody else has not made yet looks so, too.
        """
        columns = self.columns(place, views=True)
        if columns is None:
            return None
        condition = "true" if partition is None else tables.rows_to_replace(target, partition, columns) or "false"
        # A sum, because the order of rows says nothing, and rows that come twice do.
        query = f"SELECT count(*), sum(CAST(hash(t) AS HUGEINT)) FROM {self.table(place)} AS t WHERE {condition}"  # noqa: S608 (quoted)
        count, total = self.connection.execute(query).fetchone()
        if partition is not None and count == 0:
            return None
        return hashlib.blake2b(repr((columns, count, str(total))).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions that a database file holds, by table and partition key; tables in lower case, as DuckDB knows them."""

    known: Mapping[tuple[str, str | None], str]
    tables: frozenset[str] = frozenset()
    """Tables of which anything was made here: what `known` does not name of them is missing, whatever rows there are."""
    foreign: dict[tuple[str, str | None], str | None] = field(default_factory=dict)
    """Those of tables and views that somebody else made, each worked out when it is first asked for."""

    def of(self, place: Place, key: str | None) -> str | None:
        """The version of a partition of a table."""
        return self.known.get((place.name.lower(), key))


def read_versions(opened: Opened) -> Versions:
    """The versions of all tables in a file; one whose table was dropped does not count."""
    listed = opened.connection.execute(
        "SELECT lower(schema_name), lower(table_name) FROM duckdb_tables() WHERE database_name = $database",
        {"database": opened.name},
    ).fetchall()
    existing = {(schema, table) for schema, table in listed}
    if ("main", VERSIONS_TABLE) not in existing:
        return Versions({})
    book = opened.connection.execute(
        f'SELECT lower("table"), "partition", version FROM {opened.book}'  # noqa: S608 (quoted)
    ).fetchall()
    known = {(name, key): version for name, key, version in book if tuple(name.split(".", 1)) in existing}
    return Versions(known, frozenset(name for name, _ in known))


def publish_rows(
    opened: Opened, place: Place, target: Target, partition: Partition | None, staged: Staged, source: Path
) -> Versions:
    """Put staged rows in the place of a partition's, and note the version, in one transaction; gives what is known then."""
    versions = read_versions(opened)
    key = key_of(partition)
    if versions.of(place, key) == staged.version:
        return versions
    if not source.exists():
        message = f"what was staged for '{target.asset.name}' is not there any more"
        raise LocationError(message, where=str(source), hint="materialize it again")
    rows = _Rows(opened, place, target, source, staged)
    opened.connection.execute("BEGIN")
    try:
        existing = opened.columns(place)
        if partition is None or key is None:
            _replace_table(rows, existing)
        else:
            _replace_partition(rows, existing, partition)
        failpoints.reach("publish.rows")
        _note(opened, place, key, staged.version)
        failpoints.reach("publish.commit")
    except BaseException:
        opened.connection.execute("ROLLBACK")
        raise
    # One that fails has ended the transaction, too.
    opened.connection.execute("COMMIT")
    failpoints.reach("publish.committed")
    return read_versions(opened)


def _note(opened: Opened, place: Place, key: str | None, version: str) -> None:
    opened.connection.execute(f"CREATE TABLE IF NOT EXISTS {opened.book} ({_COLUMNS})")
    named = {"table": place.name, "partition": key}
    matches = '"table" = $table AND "partition" IS NOT DISTINCT FROM $partition'
    opened.connection.execute(f"DELETE FROM {opened.book} WHERE {matches}", named)  # noqa: S608 (quoted)
    values = {**named, "version": version, "at": clock.now().replace(tzinfo=None)}
    opened.connection.execute(
        f"INSERT INTO {opened.book} VALUES ($table, $partition, $version, $at)",  # noqa: S608 (quoted)
        values,
    )


class _Rows:
    """The staged rows as a query, with the types that they have in the table."""

    def __init__(self, opened: Opened, place: Place, target: Target, source: Path, staged: Staged) -> None:
        self.connection, self.place, self.target = opened.connection, place, target
        self.database, self.table = identifier(opened.name), opened.table(place)
        read = f"read_parquet({literal(literal_glob(str(source)))}, hive_partitioning = false)"
        # DuckDB opens no file without columns.
        described = f"DESCRIBE SELECT * FROM {read}"  # noqa: S608 (quoted)
        filled = staged.columns or scan(source).collect_schema()
        found = opened.connection.execute(described).fetchall() if filled else []
        types = staged.staging.get("types", {})
        self.types = {
            str(row[0]): tables.created_as(str(row[1])) if row[1] == "TIME_NS" else str(row[1]) for row in found
        }
        # Types come from the journal's record: only those that staging knows may enter a statement.
        self.types |= {name: dtype for name, dtype in types.items() if dtype in tables.STAGED_AS and name in self.types}
        listed = ", ".join(self._column(name) for name in self.types)
        self.select = f"SELECT {listed} FROM {read}"  # noqa: S608 (quoted)

    def _column(self, name: str) -> str:
        quoted, dtype = identifier(name), self.types[name]
        return quoted if dtype == tables.NULL else f"CAST({quoted} AS {dtype}) AS {quoted}"


def _replace_table(rows: _Rows, existing: Mapping[str, str] | None) -> None:
    wanted = {name: tables.created_as(dtype) for name, dtype in rows.types.items()}
    if existing is None or dict(existing) != wanted:
        _create(rows, wanted, replace=existing is not None)
    else:
        rows.connection.execute(f"DELETE FROM {rows.table}")  # noqa: S608 (quoted)
    _insert(rows)


def _replace_partition(rows: _Rows, existing: Mapping[str, str] | None, partition: Partition) -> None:
    column = rows.target.partition_column
    types = rows.types if column is not None else {**rows.types, PARTITION_COLUMN: "VARCHAR"}
    if not rows.types and existing is None:
        return  # an empty result without columns says nothing of the table yet
    if existing is None:
        _create(rows, {name: tables.created_as(dtype) for name, dtype in types.items()}, replace=False)
    else:
        _delete(rows, existing, partition)
        _alter(rows, existing, types)
    if rows.types:
        _insert(rows, None if column is not None else partition)


def _create(rows: _Rows, columns: Mapping[str, str], *, replace: bool) -> None:
    listed = ", ".join(f"{identifier(name)} {dtype}" for name, dtype in columns.items())
    rows.connection.execute(f"CREATE SCHEMA IF NOT EXISTS {rows.database}.{identifier(rows.place.schema)}")
    rows.connection.execute(f"CREATE {'OR REPLACE ' if replace else ''}TABLE {rows.table} ({listed})")


def _delete(rows: _Rows, existing: Mapping[str, str], partition: Partition) -> None:
    condition = tables.rows_to_replace(rows.target, partition, existing)
    if condition is not None:
        rows.connection.execute(f"DELETE FROM {rows.table} WHERE {condition}")  # noqa: S608 (quoted)


def _alter(rows: _Rows, existing: Mapping[str, str], types: Mapping[str, str]) -> None:
    found = tables.change(existing, types)
    empty = _without_values(rows, list(found.conflicts))
    left = {name: pair for name, pair in found.conflicts.items() if name not in empty}
    if left:
        differ = "; ".join(f"{name!r} is {old} in the table and {new} in the data" for name, (old, new) in left.items())
        raise MaterializationError(
            f"the columns of '{rows.target.asset.name}' have changed: {differ}",
            where=f"{rows.place.name} in {rows.place.file}",
            hint="cast the column to the table's type, or alter the table and materialize all partitions again",
        )
    for name, dtype in found.add.items():
        rows.connection.execute(f"ALTER TABLE {rows.table} ADD COLUMN {identifier(name)} {dtype}")
    # DuckDB converts rows, too, that this very transaction has deleted: nothing is made of the values that they had.
    anew = {name: f"{found.conflicts[name][1]} USING NULL" for name in empty}
    for name, dtype in {**found.widen, **anew}.items():
        rows.connection.execute(f"ALTER TABLE {rows.table} ALTER {identifier(name)} TYPE {dtype}")


def _without_values(rows: _Rows, columns: Sequence[str]) -> list[str]:
    if not columns:
        return []
    counts = ", ".join(f"count({identifier(name)})" for name in columns)
    found = rows.connection.execute(f"SELECT {counts} FROM {rows.table}").fetchone()  # noqa: S608 (quoted)
    return [name for name, count in zip(columns, found, strict=True) if count == 0]


def _insert(rows: _Rows, partition: Partition | None = None) -> None:
    added = "" if partition is None else f", {literal(partition.key or '')} AS {identifier(PARTITION_COLUMN)}"
    select = f"SELECT *{added} FROM ({rows.select})"  # noqa: S608 (quoted)
    rows.connection.execute(f"INSERT INTO {rows.table} BY NAME {select}")
