"""Values from one form into another: Polars lazy and eager, Arrow, pandas, DuckDB relations, plain Python rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from headwater.assets.forms import form_of, frame_form
from headwater.assets.protocols import Form, SqlQuery, SqlRelation
from headwater.errors import MaterializationError, ReturnTypeError

if TYPE_CHECKING:
    import polars as pl

ACCEPTED = (
    "a Polars lazy or eager frame, a pandas DataFrame, a pyarrow Table, a DuckDB relation, "
    "a list of dicts or a dict of lists"
)


class ArrowStream:
    """A table that another library reads through Arrow's C stream, and nothing else about it.

    Polars remembers the class of everything that it was given; were that a class of DuckDB's (or of a module that
    imports it), DuckDB could not be taken down at the end of the process, and would complain on standard error.
    """

    def __init__(self, table: Any) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def is_frame(value: object) -> bool:
    """Whether a value is a table of one of the libraries that are understood (rows in plain Python don't count)."""
    return frame_form(value) is not None


def as_frame(value: object) -> pl.DataFrame | pl.LazyFrame:
    """A value as a Polars frame: a lazy one stays lazy, all else is eager. Raises ReturnTypeError for what is not a table.

    >>> as_frame([{"a": 1}, {"a": 2}]).rows()
    [(1,), (2,)]
    """
    import polars as pl

    return value if isinstance(value, pl.LazyFrame) else as_eager(value)


def as_lazy(value: object) -> pl.LazyFrame:
    """A value as a lazy frame; a lazy one stays what it is, nothing is executed.

    Raises ReturnTypeError for what is not a table.

    >>> as_lazy([{"a": 1}, {"a": 2}]).collect().rows()
    [(1,), (2,)]
    """
    return as_frame(value).lazy()


def as_eager(value: object) -> pl.DataFrame:
    """A value as an eager frame; a lazy one is executed. Raises ReturnTypeError for what is not a table.

    >>> as_eager({"a": [1, 2]}).height
    2
    """
    import polars as pl

    if isinstance(value, pl.DataFrame):
        return value
    if isinstance(value, pl.LazyFrame):
        return value.collect()
    kind = form_of(type(value))
    if kind == "arrow":
        frame = pl.from_arrow(value)
        return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()
    if kind in ("pandas", "relation"):
        from headwater.materializers.duckdb import frame_of_pandas, frame_of_relation

        return frame_of_relation(value) if kind == "relation" else frame_of_pandas(value)
    return _of_python(value)


def only(frame: pl.DataFrame, columns: list[str] | None) -> pl.DataFrame:
    """The columns that a plan asks an io source for (None: all). A plan that asks for none still counts the rows.

    >>> only(as_eager({"a": [1, 2]}), []).shape
    (2, 0)
    """
    if columns is None:
        return frame
    return frame.select(columns) if columns else frame.drop(frame.columns)


def convert(value: object, form: Form) -> Any:
    """A value in another form; one that has the form already, or any when asked for "any", is given back itself.

    As "sql" a frame stays a frame: a query registers it. Raises MaterializationError when there is no way.

    >>> convert([{"a": 1}], "eager").rows()
    [(1,)]
    """
    if form == "any" or form_of(type(value)) == form:
        return value
    if form == "path" or isinstance(value, (Path, SqlRelation)):
        message = f"a value of type {_type_name(value)} can't be given as {_FORM_NAMES[form]}"
        raise MaterializationError(message, hint="pass the asset itself, or ask for another form in the annotation")
    if form == "lazy":
        return as_lazy(value)
    frame = as_eager(value)
    return frame if form in ("eager", "sql") else of_frame(frame, form)


def of_frame(frame: pl.DataFrame, form: Form) -> Any:
    """An eager Polars frame in the form asked for."""
    if form == "lazy":
        return frame.lazy()
    if form == "arrow":
        return to_arrow(frame)
    if form in ("pandas", "relation"):
        from headwater.materializers.duckdb import pandas_of_frame, relation_of_frame

        return pandas_of_frame(frame) if form == "pandas" else relation_of_frame(frame)
    return frame


def to_arrow(frame: pl.DataFrame) -> Any:
    """A frame as a pyarrow Table. Raises MaterializationError when pyarrow is not installed."""
    try:
        return frame.to_arrow()
    except ImportError as error:
        message = "an input asks for a pyarrow Table, and pyarrow is not installed"
        hint = "install pyarrow, or ask for polars.LazyFrame or polars.DataFrame"
        raise MaterializationError(message, hint=hint) from error


def instance_of(dtype: object) -> pl.DataType:
    """A type within a nested one, which may hold the class instead of an instance of it."""
    return cast("pl.DataType", dtype() if isinstance(dtype, type) else dtype)


_FORM_NAMES: dict[Form, str] = {
    "lazy": "a polars.LazyFrame",
    "eager": "a polars.DataFrame",
    "arrow": "a pyarrow.Table",
    "pandas": "a pandas.DataFrame",
    "relation": "a DuckDB relation",
    "path": "a path",
    "sql": "an SQL relation",
    "any": "any value",
}


def _of_python(value: object) -> pl.DataFrame:
    import polars as pl

    rows = isinstance(value, Sequence) and not isinstance(value, (str, bytes)) and _all_mappings(value)
    columns = isinstance(value, Mapping) and all(isinstance(key, str) for key in value) and _all_columns(value)
    if isinstance(value, SqlQuery):
        hint = "give the asset a duckdb:// location, or return a relation: sql_connection(…).sql(…)"
        raise ReturnTypeError("what sql(…) gives can only be stored as a table of DuckDB", hint=hint)
    if not rows and not columns:
        series = type(value).__name__ == "Series"
        hint = "return .to_frame(), or .reset_index() of what pandas has grouped" if series else f"return {ACCEPTED}"
        raise ReturnTypeError(f"a value of type {_type_name(value)} can't be stored", hint=hint)
    try:
        # Every row counts for the schema: the first hundred may hold only nulls, or whole numbers.
        if isinstance(value, Mapping):
            return pl.DataFrame({name: _as_column(column) for name, column in value.items()})
        return pl.DataFrame(list(value) if isinstance(value, Sequence) else [], infer_schema_length=None)
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise ReturnTypeError(f"the rows make no table: {error}", hint="give every column one type") from error


def _as_column(column: object) -> Any:
    """A pandas Series as one of Polars, which by itself needs pyarrow for those that may hold nothing in a row."""
    if type(column).__module__.partition(".")[0] != "pandas":
        return column
    from headwater.materializers.duckdb import frame_of_pandas

    return frame_of_pandas(cast("Any", column).reset_index(drop=True).to_frame("column")).to_series()


def _all_mappings(value: Sequence[object]) -> bool:
    return all(isinstance(row, Mapping) for row in value)


def _all_columns(value: Mapping[object, object]) -> bool:
    return all(
        _is_series(column) or (isinstance(column, Sequence) and not isinstance(column, (str, bytes)))
        for column in value.values()
    )


def _is_series(column: object) -> bool:
    package = type(column).__module__.partition(".")[0]
    return (package, type(column).__name__) in {("polars", "Series"), ("pandas", "Series"), ("numpy", "ndarray")}


def _type_name(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
