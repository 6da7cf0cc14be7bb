"""A query as DuckDB's own binder sees it: the names of its columns, and its plan; over empty tables, without touching data."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import duckdb

from headwater.assets.events import ColumnSchema
from headwater.assets.sql import quoted
from headwater.lineage.columns.duckdb_types import duckdb_type
from headwater.records import dataclass

_OUTPUT = "headwater_output"

_PLAN = "SELECT json_serialize_plan(?, optimize := false, skip_null := true, skip_empty := true, skip_default := true)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What DuckDB made of a query."""

    names: tuple[str, ...]
    """The output columns as a table made of the query has them."""
    plan: Mapping[str, Any] | None
    """The root of the bound plan; None when DuckDB can't show it."""


def bound(query: str, tables: Mapping[str, Sequence[ColumnSchema]]) -> Bound | None:
    """The query bound to these tables; None when DuckDB can't bind it (a table is missing, a file would be read).

    >>> found = bound("SELECT id, id + 1, id FROM o", {"o": [ColumnSchema(name="id", type="BIGINT")]})
    >>> found.names, found.plan["type"]
    (('id', '(id + 1)', 'id_1'), 'LOGICAL_PROJECTION')
    """
    return _bound(query.rstrip("; \t\r\n"), tuple((name, tuple(columns)) for name, columns in tables.items()))


@lru_cache(maxsize=8)
def _bound(query: str, tables: tuple[tuple[str, tuple[ColumnSchema, ...]], ...]) -> Bound | None:
    """Kept for a moment: two readers of a query ask one after the other."""
    try:
        with _database(os.getpid()).cursor() as cursor:
            for name, columns in tables:
                if columns:
                    cursor.execute(f"CREATE TEMP TABLE {quoted(name)} ({', '.join(map(_declared, columns))})")
            cursor.execute(f"CREATE TEMP TABLE {_OUTPUT} AS (\n{query}\n) WITH NO DATA")
            names = tuple(str(row[0]) for row in cursor.execute(f"DESCRIBE {_OUTPUT}").fetchall())
            return Bound(names=names, plan=_plan(cursor, query))
    except duckdb.Error:
        return None


def _plan(cursor: duckdb.DuckDBPyConnection, query: str) -> Mapping[str, Any] | None:
    try:
        found = json.loads(str(cursor.execute(_PLAN, [query]).fetchall()[0][0]))
    except (duckdb.Error, ValueError, RecursionError):
        return None
    plans = found.get("plans", [])
    return plans[0] if not found.get("error") and len(plans) == 1 else None


@lru_cache(maxsize=1)
def _database(process: int) -> duckdb.DuckDBPyConnection:
    """An empty database in memory that can reach nothing outside; of this process, since threads don't survive a fork.

    Opening one takes 20 ms, a cursor on it next to nothing; temporary tables are each cursor's own.
    """
    return duckdb.connect(config={"threads": 1, "enable_external_access": False})


def _declared(column: ColumnSchema) -> str:
    return f"{quoted(column.name)} {duckdb_type(column.type)}"
