"""Tables of DuckDB as text: column types, how a schema may change, and which rows belong to a partition. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from headwater.assets.events import ColumnSchema
from headwater.assets.location import parse_uri
from headwater.assets.partitions import boxes_of
from headwater.assets.protocols import Target
from headwater.errors import MaterializationError, ReturnTypeError
from headwater.materializers.convert import instance_of
from headwater.materializers.measure import dates_of, partition_columns
from headwater.materializers.quoting import identifier, literal
from headwater.records import dataclass

if TYPE_CHECKING:
    import polars as pl

    from headwater.assets.partitions import Partition

PARTITION_COLUMN = "_partition"
"""The column that is added to a table with partitions that has no partition column of its own."""

NULL = '"NULL"'
_SIGNED = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_UNSIGNED = ("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT")
_FLOATS = ("FLOAT", "DOUBLE")
_TIMES = ("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP", "TIMESTAMP_NS")
_FAMILIES = (_SIGNED, _UNSIGNED, _FLOATS, _TIMES)

STAGED_AS = {
    "HUGEINT": "DECIMAL(38, 0)",
    "UHUGEINT": "DECIMAL(38, 0)",
    "UUID": "VARCHAR",
    "INTERVAL": "VARCHAR",
    "BIT": "VARCHAR",
    "TIME WITH TIME ZONE": "VARCHAR",
    "JSON": "VARCHAR",
}
"""Types that Parquet would store as something else, with the type in which a value of theirs survives it unchanged."""

_LOSSY_INSIDE = ("HUGEINT", "UHUGEINT", "INTERVAL", "UUID", "TIME WITH TIME ZONE", "UNION", "VARIANT")
_QUOTED = re.compile(r'"(?:[^"]|"")*"|\'(?:[^\']|\'\')*\'')


@dataclass(frozen=True, slots=True)
class Place:
    """Where a table lies."""

    file: Path
    schema: str
    table: str

    @property
    def name(self) -> str:
        """The table's name as the book of versions keeps it."""
        return f"{self.schema}.{self.table}"

    @property
    def quoted(self) -> str:
        """The table's name as SQL."""
        return f"{identifier(self.schema)}.{identifier(self.table)}"


def place_of(target: Target) -> Place:
    """Where an asset's table lies."""
    location = parse_uri(target.asset.uri)
    if location.schema is None or location.table is None:
        raise MaterializationError(f"{target.asset.uri!r} is not the location of a table")
    return Place(location.resolve(target.root), location.schema, location.table)


@dataclass(frozen=True, slots=True)
class Change:
    """What must be done to a table before rows of another schema fit: columns to add, and types to widen."""

    add: Mapping[str, str]
    widen: Mapping[str, str]
    conflicts: Mapping[str, tuple[str, str]]
    """Columns of other types: (in the table, in the data). They fit only while the table's column holds no values."""


def change(existing: Mapping[str, str], staged: Mapping[str, str]) -> Change:
    """What differs between a table's columns and those of new rows; names are compared as DuckDB does, without case.

    >>> change({"a": "INTEGER"}, {"a": "BIGINT", "b": "DATE"})
    Change(add={'b': 'DATE'}, widen={'a': 'BIGINT'}, conflicts={})
    """
    known = {name.lower(): (name, dtype) for name, dtype in existing.items()}
    add: dict[str, str] = {}
    widen: dict[str, str] = {}
    conflicts: dict[str, tuple[str, str]] = {}
    for name, dtype in staged.items():
        found = known.get(name.lower())
        if found is None:
            add[name] = created_as(dtype)
        elif not fits(dtype, found[1]):
            if fits(found[1], dtype):
                widen[found[0]] = dtype
            else:
                conflicts[found[0]] = (found[1], dtype)
    return Change(add, widen, conflicts)


def fits(dtype: str, into: str) -> bool:
    """Whether every value of a type can be kept in a column of another type unchanged.

    >>> fits("INTEGER", "BIGINT"), fits("BIGINT", "INTEGER"), fits("VARCHAR", "DATE"), fits('"NULL"[]', "DATE[]")
    (True, False, False, True)
    """
    if dtype in (into, NULL) or (dtype == "VARCHAR" and into.startswith("ENUM(")):
        return True
    if NULL in dtype and re.fullmatch(".+".join(map(re.escape, dtype.split(NULL))), into):
        return True  # within a list or a struct: there were no values
    for family in _FAMILIES:
        if dtype in family and into in family:
            return family.index(dtype) <= family.index(into)
    return False


def created_as(dtype: str) -> str:
    """The type of a new column; one of which only nulls are known is text until there are values.

    >>> created_as('"NULL"'), created_as("DATE")
    ('VARCHAR', 'DATE')
    """
    return {NULL: "VARCHAR", "TIME_NS": "TIME"}.get(dtype, dtype)


def check_columns(names: Sequence[str], target: Target) -> None:
    """Refuse columns that a table can't have: none at all, one without a name, our own, two that differ only in case."""
    asset = target.asset.name
    if not names and not target.partitioned:
        raise ReturnTypeError(f"the data for '{asset}' has no columns", hint="a table needs at least one column")
    if "" in names:
        raise ReturnTypeError(f"the data for '{asset}' has a column without a name", hint="rename it")
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        if other != name:
            message = f"the data for '{asset}' has columns {other!r} and {name!r}, which a table can't tell apart"
            raise ReturnTypeError(message, hint="rename one of them")
    if PARTITION_COLUMN in seen and target.partition_column != PARTITION_COLUMN:
        message = f"the data for '{asset}' has a column {PARTITION_COLUMN!r}, which Headwater adds itself"
        raise ReturnTypeError(message, hint="rename it, or name it as the asset's partition_column")


def check_partition(columns: Sequence[ColumnSchema], target: Target, partition: Partition | None) -> None:
    """Refuse a column of dates that is to tell partitions of which several lie on one day: each would replace the others."""
    if partition is None or partition.key is None:
        return
    types = {column.name: column.type for column in columns}
    for name, part in partition_columns(target, partition):
        if _type_of(name, types) == "DATE" and part.definition is not None and _shares_its_day(part):
            what = f"the partition column {name!r} of '{target.asset.name}'"
            message = f"{what} is a date, which other partitions than {part} have, too"
            hint = "give the rows a column of times, or of the partition's key as text, and name it as the partition_column"
            raise ReturnTypeError(message, hint=hint)


def _shares_its_day(partition: Partition) -> bool:
    beside = (partition.previous, partition.next)
    return any(other is not None and other.date == partition.date for other in beside)


def table_columns(schema: pl.Schema, target: Target) -> tuple[ColumnSchema, ...]:
    """The columns of a frame with the types that they get in a table. Raises ReturnTypeError for what has none."""
    check_columns(schema.names(), target)
    return tuple(ColumnSchema(name=name, type=table_type(dtype, name)) for name, dtype in schema.items())


def table_type(dtype: pl.DataType, column: str) -> str:
    """The DuckDB type of a Polars type, as a Parquet file carries it over."""
    import polars as pl

    if isinstance(dtype, pl.Datetime):
        plain = {"ms": "TIMESTAMP_MS", "us": "TIMESTAMP", "ns": "TIMESTAMP_NS"}[dtype.time_unit]
        return "TIMESTAMP WITH TIME ZONE" if dtype.time_zone else plain
    if isinstance(dtype, pl.Decimal):
        return f"DECIMAL({dtype.precision or 38},{dtype.scale})"
    if isinstance(dtype, pl.Struct):
        fields = ", ".join(
            f"{identifier(field.name)} {table_type(instance_of(field.dtype), column)}" for field in dtype.fields
        )
        return f"STRUCT({fields})"
    if isinstance(dtype, (pl.List, pl.Array)):
        return f"{table_type(instance_of(dtype.inner), column)}[]"
    found = _table_types().get(dtype.base_type())
    if found is None:
        message = f"the column {column!r} is of type {dtype}, which a DuckDB table can't store"
        hint = "turn a duration into a number, for example with .dt.total_seconds()"
        raise ReturnTypeError(message, hint=hint if isinstance(dtype, pl.Duration) else "cast it to another type")
    return found


def _table_types() -> dict[type[pl.DataType], str]:
    import polars as pl

    return {
        pl.Boolean: "BOOLEAN",
        pl.Int8: "TINYINT",
        pl.Int16: "SMALLINT",
        pl.Int32: "INTEGER",
        pl.Int64: "BIGINT",
        pl.UInt8: "UTINYINT",
        pl.UInt16: "USMALLINT",
        pl.UInt32: "UINTEGER",
        pl.UInt64: "UBIGINT",
        pl.Float32: "FLOAT",
        pl.Float64: "DOUBLE",
        pl.String: "VARCHAR",
        pl.Categorical: "VARCHAR",
        pl.Enum: "VARCHAR",
        pl.Binary: "BLOB",
        pl.Date: "DATE",
        pl.Time: "TIME",
        pl.Null: NULL,
    }


def kept_types(columns: Mapping[str, str]) -> dict[str, str]:
    """The columns of a query whose type Parquet would lose, with that type.

    >>> kept_types({"n": "HUGEINT", "a": "DATE"})
    {'n': 'HUGEINT'}
    """
    for name, dtype in columns.items():
        if dtype not in STAGED_AS and holds_type(dtype, *_LOSSY_INSIDE):
            message = f"the column {name!r} is of type {dtype}, which can't be staged without loss"
            raise ReturnTypeError(message, hint="cast what it holds, for example to BIGINT or VARCHAR")
    return {name: dtype for name, dtype in columns.items() if dtype in STAGED_AS}


def holds_type(dtype: str, *wanted: str) -> bool:
    """Whether a type is one of these or has one inside, as DuckDB writes it; a field that is called like a type is none.

    >>> holds_type("STRUCT(a INTERVAL[])", "INTERVAL"), holds_type("STRUCT(INTERVAL VARCHAR)", "INTERVAL")
    (True, False)
    """
    # The name of a field stands before its type, and names and values in quotes are no types at all.
    bare = _QUOTED.sub("", dtype)
    return re.search(rf"\b({'|'.join(wanted)})(?=[\[\](,)]|$)", bare) is not None


def staged_select(query: str, columns: Mapping[str, str]) -> str:
    """A query whose result survives Parquet unchanged: types that it does not have are cast (see `kept_types`)."""
    kept = kept_types(columns)
    casts = ", ".join(
        f"CAST({identifier(name)} AS {STAGED_AS[dtype]}) AS {identifier(name)}" for name, dtype in kept.items()
    )
    return f"SELECT *{f' REPLACE ({casts})' if casts else ''} FROM {query}"  # noqa: S608 (quoted)


def rows_of(partition: Partition, column: str | None, dtype: str) -> str:
    """The condition under which a row belongs to a partition, as text with literals.

    >>> from headwater.assets.partitions import Partition
    >>> rows_of(Partition(key="a'b"), None, "VARCHAR")
    '"_partition" = \\'a\\'\\'b\\''
    """
    name = identifier(column or PARTITION_COLUMN)
    if column is None or dtype == "VARCHAR" or dtype.startswith("ENUM("):
        return f"{name} = {literal(partition.key or '')}"
    if dtype == "DATE":
        return _between(name, dates_of(partition))
    if dtype.startswith("TIMESTAMP") and partition.start is not None and partition.end is not None:
        zoned = "TIMESTAMPTZ" if dtype == "TIMESTAMP WITH TIME ZONE" else "TIMESTAMP"
        first, end = (moment.astimezone(UTC).replace(tzinfo=None) for moment in (partition.start, partition.end))
        zone = "+00" if zoned == "TIMESTAMPTZ" else ""
        bounds = [f"{zoned} {literal(moment.isoformat(sep=' ') + zone)}" for moment in (first, end)]
        return f"({name} >= {bounds[0]} AND {name} < {bounds[1]})"
    if dtype in (*_SIGNED, *_UNSIGNED):
        return f"CAST({name} AS VARCHAR) = {literal(partition.key or '')}"
    raise MaterializationError(f"rows of a partition can't be told by the column {column!r}, which is of type {dtype}")


def _between(name: str, span: tuple[date, date]) -> str:
    first, last = map(literal, span)
    return f"({name} BETWEEN {first} AND {last})"


def rows_of_all(partitions: Sequence[Partition], column: str | None, dtype: str) -> str:
    """The condition for several partitions; days that follow each other become one range."""
    if not partitions:
        return "false"
    if column is not None and dtype == "DATE":
        name = identifier(column)
        return " OR ".join(_between(name, span) for span in _spans(sorted(set(map(dates_of, partitions)))))
    if column is None or dtype == "VARCHAR":
        keys = ", ".join(literal(partition.key or "") for partition in partitions)
        return f"{identifier(column or PARTITION_COLUMN)} IN ({keys})"
    return " OR ".join(rows_of(partition, column, dtype) for partition in partitions)


def select_rows(
    place: Place, target: Target, partitions: Sequence[Partition] | None, columns: Mapping[str, str]
) -> str:
    """The rows of these partitions (None: all) as the text of a `SqlRelation`, without the column that we added."""
    hidden = PARTITION_COLUMN in columns and target.partition_column != PARTITION_COLUMN
    listed = f"* EXCLUDE ({identifier(PARTITION_COLUMN)})" if hidden else "*"
    text = f"SELECT {listed} FROM {{db}}.{place.quoted}"  # noqa: S608 (quoted)
    if partitions is None or not target.partitioned:
        return text
    # A key may hold the very text that stands for the database.
    condition = _rows_of_target(target, partitions, columns).replace("{db}", "{' || 'db}")
    return f"{text} WHERE {condition}"


def rows_to_replace(target: Target, partition: Partition, columns: Mapping[str, str]) -> str | None:
    """The condition under which a row of a table with these columns belongs to a partition; None: no such row can be there."""
    named = target.partition_column
    wanted = [named or PARTITION_COLUMN] if named is None or isinstance(named, str) else named.values()
    if any(_type_of(column, columns) is None for column in wanted):
        return None
    return _rows_of_target(target, [partition], columns)


def _rows_of_target(target: Target, partitions: Sequence[Partition], columns: Mapping[str, str]) -> str:
    column = target.partition_column
    if column is None or isinstance(column, str):
        return rows_of_all(partitions, column, _type_of(column or "", columns) or "VARCHAR")
    divided = partitions[0].definition if partitions else None
    if divided is None:
        return "false"
    boxes = boxes_of(divided.set_of(part.key for part in partitions))
    return " OR ".join(
        " AND ".join(
            f"({rows_of_all(list(sides[name]), one, _type_of(one, columns) or 'VARCHAR')})"
            for name, one in column.items()
        )
        for sides in boxes
    )


def _type_of(column: str, columns: Mapping[str, str]) -> str | None:
    return next((dtype for name, dtype in columns.items() if name.lower() == column.lower()), None)


def _spans(dates: Sequence[tuple[date, date]]) -> list[tuple[date, date]]:
    spans: list[tuple[date, date]] = []
    for first, last in dates:
        if spans and spans[-1][1] + timedelta(days=1) == first:
            spans[-1] = (spans[-1][0], last)
        else:
            spans.append((first, last))
    return spans
