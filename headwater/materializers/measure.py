"""What staged data says of itself: rows, schema, the range of its time column, and whether its rows fit the partition."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

from headwater import clock
from headwater.assets.protocols import Target
from headwater.assets.time_columns import told
from headwater.errors import PartitionError, ReturnTypeError
from headwater.records import dataclass

if TYPE_CHECKING:
    import polars as pl

    from headwater.assets.partitions import Partition


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was found in a staged file; times in microseconds since the epoch."""

    rows: int
    time_min: int | None = None
    time_max: int | None = None


def measure(
    data: Callable[[], pl.DataFrame | pl.LazyFrame],
    schema: pl.Schema,
    target: Target,
    partition: Partition | None,
    *,
    rows: int | None = None,
) -> Measured:
    """Look over what is staged, once, if its schema and its `rows` do not say all: `data` gives its file's scan, or its frame.

    An instant is compared with the partition's window (a naive one is taken as UTC), a date with the days that the
    window touches in its own time zone. A null in the time column says nothing; a null in the partition column belongs
    nowhere. Raises PartitionError when rows lie outside, ReturnTypeError when a column is missing or of another type.
    """
    if rows is not None and target.time_column is None and (partition is None or target.partition_column is None):
        return Measured(rows=rows)
    import polars as pl

    wanted: list[pl.Expr] = [pl.len().alias("rows")] if rows is None else []
    time_column = _present(target.time_column, "time", target, schema)
    if time_column is not None:
        column = _as_time(time_column, schema, target)
        wanted += [column.min().alias("time_min"), column.max().alias("time_max")]
    outside = _outside(target, partition, schema)
    wanted += [expression.sum().alias(f"outside {name}") for name, expression in outside.items()]
    frame = data()
    found = _collected(frame.select(wanted)).row(0, named=True) if wanted else {}
    rows = found["rows"] if rows is None else rows
    for name, expression in outside.items():
        if found[f"outside {name}"]:
            example = _collected(frame.filter(expression).head(1).select(told(name, schema[name]))).item()
            _refuse(target, partition, name, found[f"outside {name}"], rows, example)
    zone = _zone(partition)
    return Measured(
        rows=rows,
        time_min=_instant(found.get("time_min"), zone),
        time_max=_instant(found.get("time_max"), zone, end=True),
    )


def _collected(frame: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    import polars as pl

    return frame.collect() if isinstance(frame, pl.LazyFrame) else frame


def _present(name: str | None, what: str, target: Target, schema: pl.Schema) -> str | None:
    if name is None or name in schema:
        return name
    if not schema:  # rows made of nothing, such as an empty list, have no columns to look at
        return None
    message = f"the data for '{target.asset.name}' has no column {name!r}, which is its {what} column"
    raise ReturnTypeError(message, hint=f"its columns: {', '.join(map(repr, schema.names()[:20]))}")


def _as_time(name: str, schema: pl.Schema, target: Target) -> pl.Expr:
    import polars as pl

    dtype = schema[name]
    if isinstance(dtype, pl.Datetime):
        return told(name, dtype).dt.epoch("us")
    if isinstance(dtype, (pl.Date, pl.Null)):
        return told(name, dtype)
    message = f"the time column {name!r} of '{target.asset.name}' is of type {dtype}"
    raise ReturnTypeError(message, hint="make it a date or a datetime, for example with .str.to_datetime()")


def _outside(target: Target, partition: Partition | None, schema: pl.Schema) -> dict[str, pl.Expr]:
    import polars as pl

    if partition is None or partition.key is None:
        return {}
    found: dict[str, pl.Expr] = {}
    for column, part in partition_columns(target, partition):
        if _present(column, "partition", target, schema) is not None:
            found[column] = ~_belongs(column, schema, target, part).fill_null(False)
    name = _present(target.time_column, "time", target, schema)
    if name is not None and name not in found and partition.start is not None and not _is_null(schema[name]):
        within = _on_days(name, partition) if isinstance(schema[name], pl.Date) else _within(name, partition)
        found[name] = ~within.fill_null(True)
    return found


def partition_columns(target: Target, partition: Partition) -> list[tuple[str, Partition]]:
    """The columns that name a row's partition, each with the partition that it names."""
    column = target.partition_column
    if column is None or isinstance(column, str):
        return [] if column is None else [(column, partition)]
    return [(name, partition.dimension(dimension)) for dimension, name in column.items()]


def _belongs(name: str, schema: pl.Schema, target: Target, partition: Partition) -> pl.Expr:
    import polars as pl

    dtype = schema[name]
    if isinstance(dtype, pl.Date):
        first, last = dates_of(partition)
        return pl.col(name).is_between(pl.lit(first), pl.lit(last))
    if isinstance(dtype, pl.Datetime) and partition.start is not None:
        return _within(name, partition)
    if isinstance(dtype, (pl.String, pl.Enum, pl.Categorical)) or dtype.is_integer():
        return pl.col(name).cast(pl.String) == pl.lit(partition.key)
    if _is_null(dtype):
        return pl.col(name).is_not_null()
    message = f"the partition column {name!r} of '{target.asset.name}' is of type {dtype}"
    raise ReturnTypeError(message, hint="make it a date, a datetime, a string or a whole number")


def _is_null(dtype: pl.DataType) -> bool:
    import polars as pl

    return isinstance(dtype, pl.Null)


def _within(name: str, partition: Partition) -> pl.Expr:
    import polars as pl

    instant = pl.col(name).dt.epoch("us")
    return (instant >= partition.start_us) & (instant < partition.end_us)


def _on_days(name: str, partition: Partition) -> pl.Expr:
    import polars as pl

    first, last = days_of(partition)
    return pl.col(name).is_between(pl.lit(first), pl.lit(last))


def days_of(partition: Partition) -> tuple[date, date]:
    """The first and last local day that a partition's window touches."""
    start, end = partition.start, partition.end
    if start is None or end is None:
        return partition.date, partition.date
    # In UTC, because arithmetic on a zoned datetime goes by the wall clock.
    last = (end.astimezone(UTC) - timedelta(microseconds=1)).astimezone(end.tzinfo)
    return start.date(), last.date()


def dates_of(partition: Partition) -> tuple[date, date]:
    """The first and the last date by which a column tells rows of a partition: all its days, as a week has seven.

    One that is not made of whole days, or that is named by another one than its first, has its own date alone: no date may
    tell two partitions.
    """
    start, end = partition.start, partition.end
    first, last = days_of(partition)
    if start is not None and end is not None and first == partition.date < last < end.date():
        before = (start.astimezone(UTC) - timedelta(microseconds=1)).astimezone(start.tzinfo)
        if before.date() < first:
            return first, last
    return partition.date, partition.date


def _zone(partition: Partition | None) -> tzinfo:
    start = None if partition is None else partition.start
    return UTC if start is None or start.tzinfo is None else start.tzinfo


def _instant(value: int | date | None, zone: tzinfo, *, end: bool = False) -> int | None:
    """Microseconds as they are; a date as the start of its day in this zone, or as its end."""
    if value is None or isinstance(value, int):
        return value
    return clock.day_us(value, zone, end=end)


def _refuse(target: Target, partition: Partition | None, name: str, outside: int, rows: int, example: Any) -> None:
    lie = "lies" if outside == 1 else "lie"
    message = f"{outside:,} of {rows:,} rows {lie} outside the partition {partition} of '{target.asset.name}'"
    window = ""
    if partition is not None and partition.start is not None and partition.end is not None:
        window = f" ({partition.start.isoformat()} to {partition.end.isoformat()})"
    raise PartitionError(
        f"{message}: {name} = {example}",
        where=f"column {name!r}, partition {partition}{window}",
        hint="filter the rows in the function, or change partition_column or time_column of the asset",
    )
