"""An input of which no partition is read: before the first one of a window, or where `at_least=0` is content with none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from headwater.assets.events import AssetRef
from headwater.assets.forms import frame_form
from headwater.assets.location import OF_TABLES
from headwater.assets.protocols import Form, SqlRelation, Target
from headwater.assets.runtime import AssetRuntime
from headwater.errors import LocationError

if TYPE_CHECKING:
    import polars as pl


class NoRows:
    """The io source of a lazy frame without rows: lineage knows the frame by it, and which asset its columns are of."""

    def __init__(self, asset: AssetRef, schema: pl.Schema) -> None:
        self.asset = asset
        self._schema = schema

    def __call__(
        self, columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        """One frame without rows."""
        import polars as pl

        frame = pl.DataFrame(schema=self._schema)
        yield frame if columns is None else frame.select(columns)


def empty_value(runtime: AssetRuntime, target: Target, form: Form) -> Any:
    """No rows in this form, with the columns that the asset has; without columns when it was never made.

    None where no table is asked for and the place may hold anything.
    """
    if form == "path":
        return ()
    if form == "any" and target.asset.kind not in OF_TABLES:
        return None
    from polars.io.plugins import register_io_source

    schema = _schema(runtime, target)
    lazy = register_io_source(NoRows(target.asset, schema), schema=schema, explain_name=target.asset.name)
    return lazy if form in ("lazy", "any") else runtime.convert(lazy, form)


def empty_relation(runtime: AssetRuntime, target: Target) -> Any:
    """No rows as SQL; of what is kept in memory a frame without rows.

    Raises LocationError when the asset was never made: a query can't do without its columns.
    """
    whole = runtime.materializer(target.asset).load(target, None, "sql")
    if not isinstance(whole, SqlRelation):
        return runtime.convert(whole, "eager").clear()
    return SqlRelation(select=f"SELECT * FROM ({whole.select}) LIMIT 0", database=whole.database)  # noqa: S608 (a SELECT)


def _schema(runtime: AssetRuntime, target: Target) -> pl.Schema:
    import polars as pl

    try:
        whole = runtime.materializer(target.asset).load(target, None, "lazy")
    except LocationError:
        return pl.Schema()
    # Partitions in memory that are no tables come as they are: to ask for one of them as a table says so.
    schema: pl.Schema = (
        whole if frame_form(whole) else runtime.convert(next(iter(whole.values())), "lazy")
    ).collect_schema()
    return schema
