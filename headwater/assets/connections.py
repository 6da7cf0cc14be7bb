"""Connections for functions that work with SQL statements: what the tables that they make are made of is followed."""

from __future__ import annotations

from dataclasses import field, replace
from types import MappingProxyType
from typing import Any, TypeAlias

from headwater.assets import runtime, value_lineage
from headwater.assets.events import ColumnSchema, UnknownColumn
from headwater.assets.protocols import PlanLineage, StatementLineage
from headwater.assets.scope import scope, tracker
from headwater.assets.sql import quoted
from headwater.assets.tracking import Sources
from headwater.core import context
from headwater.records import dataclass

_READING = frozenset(
    {"description", "df", "fetch_df", "fetchall", "fetchdf", "fetchmany", "fetchnumpy", "fetchone", "get_table_names"}
    | {"extract_statements", "interrupt", "rowcount", "table", "to_arrow_reader", "to_arrow_table", "view"}
)
"""What of a connection changes nothing in it."""

_LEAVING = frozenset({"SELECT", "EXPLAIN", "SET"})
"""Kinds of statements that leave the tables as they are; those that don't, all the same, can't be followed."""

_TABLES = """
SELECT database_name, schema_name, table_name, table_oid, estimated_size FROM duckdb_tables()
WHERE database_name IN ('memory', 'temp')
UNION ALL SELECT database_name, schema_name, view_name, view_oid, NULL FROM duckdb_views() WHERE NOT internal
"""
_ROWS = "SELECT count(*), (SELECT coalesce(bool_or(has_updates), false) FROM pragma_storage_info($1)) FROM {}"
_CONTENT = "SELECT sum(hash(headwater_row)) FROM {} AS headwater_row"

_Place: TypeAlias = tuple[str, str, str]
_Marks: TypeAlias = dict[_Place, tuple[object, ...]]
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
        now = _marks(raw, self.marks)
        for place, mark in self.marks.items():
            if now.get(place) != mark:
                self.script.lose(f"a change of '{place[-1]}' that was no statement")


class SqlConnection:
    """A DuckDB database in memory that holds the inputs as tables. All that a `duckdb.DuckDBPyConnection` can do, it can."""

    def __init__(self, raw: Any, followed: Followed) -> None:
        self._raw, self._followed = raw, followed
        followed.marks = _marks(raw, {})

    def execute(self, query: str, parameters: Any = None) -> SqlConnection:
        """Execute one or several statements; `fetchall()` and the like give the rows of the last. Raises duckdb.Error."""
        last, kind = self._all_but_last(query)
        self._raw.execute(last, parameters)
        self._note(last, kind)
        return self

    def sql(self, query: str, **options: Any) -> Any:
        """A relation of the query, to be returned or worked on; the result of any other statement. Raises duckdb.Error."""
        last, kind = self._all_but_last(query)
        found = self._raw.sql(last, **options)
        self._note(last, kind)
        return found

    query = sql

    def begin(self) -> SqlConnection:
        """Begin a transaction."""
        return self.execute("BEGIN")

    def commit(self) -> SqlConnection:
        """Keep what the transaction has done."""
        return self.execute("COMMIT")

    def rollback(self) -> SqlConnection:
        """Undo what the transaction has done."""
        return self.execute("ROLLBACK")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = getattr(self._raw, name)
        if name not in _READING:
            self._followed.script.lose(f"{name}()")
        return found

    def _all_but_last(self, query: str) -> tuple[str, str]:
        """Execute all statements but the last, and give that one, and of which kind it is."""
        self._followed.check(self._raw)
        *others, last = self._raw.extract_statements(query) or [None]
        for statement in others:
            self._raw.execute(statement)
            self._note(statement.query, statement.type.name)
        return ("", "") if last is None else (str(last.query), last.type.name)

    def _note(self, statement: str, kind: str) -> None:
        followed = self._followed
        if followed.script.lost:
            return
        before, name = followed.marks, followed.script.table_of(statement) or ""
        if kind not in _LEAVING:
            followed.marks = _marks(self._raw, before, name)
        names = [_folded(place) for place in followed.marks]
        if len(set(names)) < len(names):
            followed.script.lose(f"'{statement[:60]}' (now two tables have one name)")
        columns = _columns(self._raw, name) if name in names else ()
        followed.script.executed(statement, columns, existed=name in map(_folded, before))


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


def _marks(raw: Any, known: _Marks, only: str = "") -> _Marks:
    """The tables as the connection itself sees them, for no other one sees what is temporary or in a transaction.

    Those of another name than `only` are as `known`, if one is given. So are all while rows of a query are still to be
    fetched or the transaction has failed: until then nothing is executed.
    """
    try:
        found: _Marks = {}
        for database, schema, name, *rest in raw.sql(_TABLES).fetchall():
            place = database, schema, name
            is_known = only not in ("", name.lower()) and place in known
            found[place] = known[place] if is_known else _mark(raw, place, *rest)
        return found
    except Exception as error:
        if type(error).__name__ not in ("ResourceInUseException", "TransactionException"):
            raise
        return known


def _mark(raw: Any, place: _Place, number: int, written: int | None) -> tuple[object, ...]:
    if written is None:
        return (number,)
    table = ".".join(map(quoted, place))
    ((rows, updated),) = raw.sql(_ROWS.format(table), params=[table]).fetchall()
    # Whoever has changed rows may do so again, which nothing tells but the rows.
    changed = updated or rows != written
    return number, rows, raw.sql(_CONTENT.format(table)).fetchall() if changed else None


def _columns(raw: Any, name: str) -> list[ColumnSchema]:
    # Bound and not executed: the rows of the statement are still to be fetched.
    found = raw.sql(f"FROM {quoted(name)}")
    return [ColumnSchema(name=column, type=str(of)) for column, of in zip(found.columns, found.types, strict=True)]


def _folded(place: _Place) -> str:
    return place[-1].lower()
