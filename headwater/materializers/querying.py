"""Queries that are executed in DuckDB for the sake of their result: their inputs as views, their rows as a Parquet file."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headwater.assets.protocols import SqlQuery, SqlRelation, Target
from headwater.errors import MaterializationError, ReturnTypeError
from headwater.materializers import tables
from headwater.materializers.convert import ArrowStream
from headwater.materializers.quoting import identifier, literal

if TYPE_CHECKING:
    import polars as pl


_ZONED = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS")


def copy_query(
    connection: Any,
    query: SqlQuery,
    path: Path,
    target: Target,
    footer: Mapping[str, str],
) -> dict[str, str]:
    """Write the result of a query to a Parquet file with this footer, and give its columns with their types.

    Its inputs are there already. Raises ReturnTypeError when the text is not one SELECT, MaterializationError when the
    engine refuses it.
    """
    with _made(connection, query, target) as columns:
        marks = ", ".join(f"{literal(name)}: {literal(value)}" for name, value in footer.items())
        select = tables.staged_select("headwater_result", columns)
        connection.execute(f"COPY ({select}) TO {literal(str(path))} (FORMAT parquet, KV_METADATA {{{marks}}})")
    return columns


def result_of(connection: Any, query: SqlQuery, target: Target, read: Callable[[Any], pl.DataFrame]) -> pl.DataFrame:
    """The rows of a query that makes an asset, as `read` has them from a relation. Raises as `copy_query` does."""
    with _made(connection, query, target):
        return read(connection.sql("SELECT * FROM headwater_result"))


@contextmanager
def _made(connection: Any, query: SqlQuery, target: Target) -> Iterator[dict[str, str]]:
    """The result of a query under a name, and its columns with their types."""
    whose = f"of '{target.asset.name}'"
    with _explained(query, whose, "mend the text that the function returns with sql(…)"):
        hint = "return sql(…) with a single SELECT; what it makes is written by Headwater"
        _make_result(connection, query, whose, hint)
        described = connection.execute("DESCRIBE SELECT * FROM headwater_result").fetchall()
        columns = {str(row[0]): str(row[1]) for row in described}
        tables.check_columns(list(columns), target)
        yield columns


def failing_rows(
    connection: Any, query: SqlQuery, columns: Sequence[str], limit: int
) -> tuple[int, list[tuple[Any, ...]]]:
    """How many rows a query gives, and these columns of the first of them, times with a zone as text. Raises as
    `copy_query` does.
    """
    with _explained(query, "of a check", "mend the text of sql_check(…)"):
        _make_result(connection, query, "of a check", "give sql_check(…) a single SELECT")
        count = int(connection.execute("SELECT count(*) FROM headwater_result").fetchone()[0])
        if not count or not columns:
            return count, []
        described = connection.execute("DESCRIBE SELECT * FROM headwater_result").fetchall()
        # DuckDB makes a time with a zone only where a library is installed that nothing else here needs.
        zoned = {str(row[0]).lower() for row in described if tables.holds_type(str(row[1]), *_ZONED)}
        listed = ", ".join(
            f"CAST({identifier(name)} AS VARCHAR)" if name.lower() in zoned else identifier(name) for name in columns
        )
        return count, connection.execute(f"SELECT {listed} FROM headwater_result LIMIT {int(limit)}").fetchall()  # noqa: S608 (quoted)


def create_views(connection: Any, relations: Mapping[str, SqlRelation], names: Mapping[Path, str]) -> None:
    """Let queries see these relations; `names` says under which name each database file of theirs is attached."""
    for name, relation in relations.items():
        given = relation.select if relation.database is None else in_database(relation.select, names[relation.database])
        with readable(name):
            connection.execute(f"CREATE TEMP VIEW {identifier(name)} AS {given}")


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Say of the engine's errors which input it can't make sense of; those of the system pass to who knows the place."""
    from duckdb import Error, IOException, OutOfMemoryException

    try:
        yield
    except (IOException, OutOfMemoryException):
        raise
    except Error as error:
        message = f"DuckDB can't read the input '{name}': {str(error).splitlines()[0]}"
        hint = "mend the file, or take the input as a polars.LazyFrame"
        raise MaterializationError(message, hint=hint) from error


def _make_result(connection: Any, query: SqlQuery, whose: str, hint: str) -> None:
    text = _filled(query)
    statements = connection.extract_statements(text)
    if len(statements) != 1 or statements[0].type.name != "SELECT":
        raise ReturnTypeError(f"the query {whose} is not one SELECT", where=text[:80], hint=hint)
    connection.execute(f"CREATE TEMP VIEW headwater_result AS {text}")


@contextmanager
def _explained(query: SqlQuery, whose: str, hint: str) -> Iterator[None]:
    """Say of the engine's errors which query they are about; those of the system pass to who knows the place."""
    from duckdb import Error, IOException, OutOfMemoryException

    try:
        yield
    except (IOException, OutOfMemoryException):
        raise
    except Error as error:
        if "Table with name" in str(error):
            hint = f"{hint}: it reads {{orders}} where it gets orders=…, the asset itself and not its name"
        message = f"the query {whose} can't be executed: {str(error).splitlines()[0]}"
        raise MaterializationError(message, where=" ".join(query.text.split())[:120], hint=hint) from error


def register(connection: Any, name: str, frame: pl.DataFrame) -> None:
    """Let queries on this connection see a frame under a name. Raises MaterializationError for what DuckDB can't read."""
    import polars as pl

    if not frame.width:
        hint = "take it as a polars.LazyFrame, or make it with its columns when there are no rows, too"
        raise MaterializationError("a frame without columns is nothing that DuckDB can read", hint=hint)
    other: dict[Any, Any] = {
        column: found for column, dtype in frame.schema.items() if (found := _for_engine(dtype)) != dtype
    }
    try:
        frame = frame.cast(other) if other else frame
    except pl.exceptions.InvalidOperationError as error:
        message = f"DuckDB can't read the input '{name}': {str(error).splitlines()[0]}"
        hint = "take it as a polars.LazyFrame, or have the column stored as text"
        raise MaterializationError(message, hint=hint) from error
    # DuckDB scans a Polars frame itself only by way of pyarrow.
    connection.register(name, ArrowStream(frame))


def _for_engine(dtype: Any) -> Any:
    """A type as DuckDB reads it from Arrow: it knows no nulls without a type, no whole numbers of 128 bits, no half floats."""
    import polars as pl

    if dtype == pl.Null:
        return pl.String()
    if dtype in (pl.Int128, pl.UInt128):
        return pl.Decimal(38, 0)
    if dtype == pl.Float16:
        return pl.Float32()
    if isinstance(dtype, pl.List):
        return pl.List(_for_engine(dtype.inner))
    if isinstance(dtype, pl.Array):
        return pl.Array(_for_engine(dtype.inner), dtype.size)
    if isinstance(dtype, pl.Struct):
        return pl.Struct([pl.Field(field.name, _for_engine(field.dtype)) for field in dtype.fields])
    return dtype


def in_database(select: str, name: str) -> str:
    """The text of a `SqlRelation` with the name of its attached database filled in.

    >>> in_database("SELECT * FROM {db}.main.t", "db1")
    'SELECT * FROM "db1".main.t'
    """
    return select.replace("{db}", identifier(name))


def _filled(query: SqlQuery) -> str:
    parts = []
    for text, name, _, _ in string.Formatter().parse(query.text):
        parts.append(text)
        if name is not None:
            if name not in query.inputs:
                raise ReturnTypeError(f"the query names {{{name}}}, which is not an input", where=query.text[:80])
            parts.append(identifier(name))
    return "".join(parts)
