"""Which columns a query gives, as DuckDB's own binder names and counts them: over empty tables, without touching data."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache

import duckdb

from headwater.assets.events import ColumnSchema

_OUTPUT = "headwater_output"

_POLARS = {
    "Float64": "DOUBLE",
    "Float32": "FLOAT",
    "UInt8": "UTINYINT",
    "UInt16": "USMALLINT",
    "UInt32": "UINTEGER",
    "UInt64": "UBIGINT",
    "Utf8": "VARCHAR",
    "Categorical": "VARCHAR",
    "Enum": "VARCHAR",
    "Binary": "BLOB",
    "Datetime": "TIMESTAMP",
    "Duration": "INTERVAL",
}
"""Types as Polars prints them, where DuckDB doesn't take the same word."""


def output_names(query: str, tables: Mapping[str, Sequence[ColumnSchema]]) -> tuple[str, ...] | None:
    """The names of a query's output columns as a table made of it has them; None when DuckDB can't bind the query.

    >>> output_names("SELECT id, id + 1, id FROM o", {"o": [ColumnSchema(name="id", type="BIGINT")]})
    ('id', '(id + 1)', 'id_1')
    """
    bare = query.rstrip("; \t\r\n")
    try:
        with _database(os.getpid()).cursor() as cursor:
            for name, columns in tables.items():
                if columns:
                    cursor.execute(f"CREATE TEMP TABLE {_quoted(name)} ({', '.join(map(_declared, columns))})")
            cursor.execute(f"CREATE TEMP TABLE {_OUTPUT} AS (\n{bare}\n) WITH NO DATA")
            return tuple(str(row[0]) for row in cursor.execute(f"DESCRIBE {_OUTPUT}").fetchall())
    except duckdb.Error:
        return None


@lru_cache(maxsize=1)
def _database(process: int) -> duckdb.DuckDBPyConnection:
    """An empty database in memory that can reach nothing outside; of this process, since threads don't survive a fork.

    Opening one takes 20 ms, a cursor on it next to nothing; temporary tables are each cursor's own.
    """
    return duckdb.connect(config={"threads": 1, "enable_external_access": False})


def _declared(column: ColumnSchema) -> str:
    return f"{_quoted(column.name)} {_type(column.type)}"


def _type(printed: str) -> str:
    """The type in DuckDB's words: plain types of Polars are translated, all others are taken as they are."""
    word = printed.partition("(")[0]
    if word == "Datetime" and "time_zone='" in printed:
        return "TIMESTAMPTZ"
    return _POLARS.get(word, printed)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
