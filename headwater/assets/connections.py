"""Connections for functions that work with SQL statements: what the tables that they make are made of is followed."""

from __future__ import annotations

from dataclasses import field, replace
from types import MappingProxyType
from typing import Any, TypeAlias

from headwater.assets import runtime, value_lineage
from headwater.assets.events import ColumnSchema, UnknownColumn
from headwater.assets.protocols import PlanLineage, StatementLineage
from headwater.assets.scope import scope, tracker
from headwater.assets.tracking import Sources
from headwater.core import context
from headwater.records import dataclass

_READING = frozenset(
    {"description", "df", "fetch_df", "fetchall", "fetchdf", "fetchmany", "fetchnumpy", "fetchone", "get_table_names"}
    | {"extract_statements", "interrupt", "rowcount", "table", "to_arrow_reader", "to_arrow_table", "view"}
)
"""What of a connection changes nothing in it."""

_TABLES = """
SELECT table_name, table_oid, estimated_size FROM duckdb_tables()
UNION ALL SELECT view_name, view_oid, 0 FROM duckdb_views() WHERE NOT internal
"""
_UPDATED = "SELECT coalesce(bool_or(has_updates), false) FROM pragma_storage_info($1)"

_Marks: TypeAlias = dict[str, tuple[int, int]]
"""Of each table or view, its number in DuckDB's catalog, and its rows: other ones when it was changed behind our back."""


@dataclass(slots=True)
class Followed:
    """What is known of a connection that was given out."""

    script: StatementLineage
    sources: Sources
    unknown: tuple[UnknownColumn, ...] = ()
    marks: _Marks = field(default_factory=dict)

    def lineage(self, raw: Any, query: str) -> PlanLineage:
        """The column lineage of a query on the connection, as it stands."""
        self.check(raw)
        plan = self.script.of_query(query)
        return replace(plan, unknown=(*plan.unknown, *self.unknown))

    def check(self, raw: Any) -> None:
        """Look whether a relation of the connection has changed a table: its methods are not seen here."""
        if self.script.lost:
            return
        now = _marks(raw)
        for name, mark in self.marks.items():
            if now.get(name) != mark or (mark[1] and raw.cursor().execute(_UPDATED, [name]).fetchone()[0]):
                self.script.lose(f"a change of '{name}' that was no statement")


class SqlConnection:
    """A DuckDB database in memory that holds the inputs as tables. All that a `duckdb.DuckDBPyConnection` can do, it can."""

    def __init__(self, raw: Any, followed: Followed) -> None:
        self._raw, self._followed = raw, followed
        followed.marks = _marks(raw)

    def execute(self, query: str, parameters: Any = None) -> SqlConnection:
        """Execute one or several statements; `fetchall()` and the like give the rows of the last. Raises duckdb.Error."""
        last = self._all_but_last(query)
        self._raw.execute(last, parameters)
        self._note(last)
        return self

    def sql(self, query: str, **options: Any) -> Any:
        """A relation of the query, to be returned or worked on; the result of any other statement. Raises duckdb.Error."""
        last = self._all_but_last(query)
        found = self._raw.sql(last, **options)
        self._note(last)
        return found

    query = sql

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = getattr(self._raw, name)
        if name not in _READING:
            self._followed.script.lose(f"{name}()")
        return found

    def _all_but_last(self, query: str) -> str:
        """Execute all statements but the last, and give that one."""
        self._followed.check(self._raw)
        *others, last = self._raw.extract_statements(query) or [None]
        for statement in others:
            self._raw.execute(statement)
            self._note(statement.query)
        return "" if last is None else str(last.query)

    def _note(self, statement: str) -> None:
        script = self._followed.script
        if script.lost:
            return  # its table may be one that a cursor does not see: temporary, in a transaction, in another schema
        name = script.table_of(statement)
        # By a cursor: the rows of the statement are still to be fetched.
        described = [] if name is None else self._raw.cursor().execute(f"DESCRIBE {name}").fetchall()
        script.executed(statement, [ColumnSchema(name=str(row[0]), type=str(row[1])) for row in described])
        self._followed.marks = _marks(self._raw)


def sql_connection(**inputs: Any) -> SqlConnection:
    """A DuckDB connection with each input as a table of its name, for more than one statement, or for relations of several inputs.

    An input is an asset, an input that the function received, or a frame. What statements make of them is followed, column by
    column, up to the relation that the function returns. Raises InputMissing, DefinitionError.

    >>> import polars as pl
    >>> con = sql_connection(orders=pl.DataFrame({"id": [1, 2], "amount": [5.0, 7.5]}))
    >>> con.execute("CREATE TABLE large AS SELECT * FROM orders WHERE amount > 6").sql("SELECT id FROM large").fetchall()
    [(2,)]
    """
    run, outer, track = runtime.current(), scope(), tracker(context.current())
    partition = None if outer is None else outer.partition
    found = value_lineage.query_inputs(run, track, MappingProxyType(inputs), partition, where="sql_connection(…)")
    if outer is not None:
        outer.read.update(dict.fromkeys(found.sources))
    followed = Followed(run.columns.script(found.tables), found.sources, found.unknown_columns)
    raw = run.connect(found.inputs)
    track.add_connection(raw, followed)
    return SqlConnection(raw, followed)


def _marks(raw: Any) -> _Marks:
    return {name: (number, rows) for name, number, rows in raw.cursor().execute(_TABLES).fetchall()}
