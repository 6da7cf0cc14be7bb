"""Tables in DuckDB files; with `attaching`, the one module of this package that imports DuckDB.

A file is opened only under its lock, briefly: to read, or to publish in one transaction what was staged as a
Parquet file beside it. A query (`SqlQuery`) is executed in a database in memory to which the files that it reads are
attached read-only, so that long queries never hold a file for writing. Which version of which partition a table holds
stands in the same file, written by the same transaction, in `_headwater_versions`.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, cast

import duckdb

from headwater import failpoints
from headwater.assets.events import ColumnSchema
from headwater.assets.protocols import RELATION_TABLE, Form, SqlQuery, SqlRelation, Staged, Target
from headwater.core.journal.home import sync_folder
from headwater.errors import LocationError, MaterializationError, ReturnTypeError
from headwater.materializers import staging as files
from headwater.materializers import tables
from headwater.materializers.attaching import Connection, attach, engine, memory, reading
from headwater.materializers.convert import ArrowStream, as_eager, of_frame, only
from headwater.materializers.locking import exclusive, shared
from headwater.materializers.publishing import Opened, Versions, publish_rows, read_versions
from headwater.materializers.querying import (
    copy_query,
    create_views,
    failing_rows,
    in_database,
    readable,
    register,
    result_of,
)
from headwater.materializers.quoting import identifier
from headwater.materializers.tables import place_of

if TYPE_CHECKING:
    import polars as pl

    from headwater.assets.partitions import Partition


class TableSource:
    """The io source of a lazy frame over a table: reads when the frame is executed, and says what it reads.

    `target` and `partitions` (None: the whole table) identify it as a leaf of a lazy plan.
    """

    def __init__(self, target: Target, partitions: Sequence[Partition] | None, select: str) -> None:
        self.target = target
        self.partitions = None if partitions is None else tuple(partitions)
        self._file = place_of(target).file
        self._select = select

    def schema(self) -> pl.Schema:
        """The Polars schema of the table."""
        return self._read(None, 0).schema

    def __call__(
        self, columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        """The rows asked for; only these columns are read, and no more than `n_rows` rows."""
        needed = columns
        if predicate is not None and columns is not None:
            needed = list(dict.fromkeys([*columns, *predicate.meta.root_names()]))
        frame = self._read(needed, n_rows)
        yield only(frame if predicate is None else frame.filter(predicate), columns)

    def load(self, form: Form) -> Any:
        """The rows at once, in another form."""
        if form != "pandas":
            return of_frame(self._read(None, None), form)
        with reading(self._file) as opened:
            return _pandas(_sql(opened, in_database(self._select, opened.name)))

    def _read(self, columns: list[str] | None, n_rows: int | None) -> pl.DataFrame:
        listed = "*" if columns is None else ", ".join(map(identifier, columns)) or "1"
        limit = "" if n_rows is None else f" LIMIT {int(n_rows)}"
        with reading(self._file) as opened:
            query = f"SELECT {listed} FROM ({in_database(self._select, opened.name)}){limit}"  # noqa: S608 (quoted)
            return frame_of_query(opened, query)


class DuckDBMaterializer:
    """Keeps assets as tables in DuckDB files; a partition is replaced by one transaction."""

    def __init__(self) -> None:
        self._versions: files.FileCache[Versions] = files.FileCache()

    def stage(self, target: Target, partition: Partition | None, value: Any, *, version: str) -> Staged:
        """Write a table, or the result of a query, to a Parquet file beside the database.

        Raises ReturnTypeError for what is not a table, PartitionError, LocationError, and what a query's engine raises.
        """
        files.check_partition(target, partition)
        folder = place_of(target).file.parent
        staged = self._stage(target, partition, value, folder=folder, version=version)
        try:
            _check_times(target, staged, folder)
        except BaseException:
            files.discard_file(folder, version)
            raise
        return staged

    def _stage(self, target: Target, partition: Partition | None, value: Any, *, folder: Path, version: str) -> Staged:
        if isinstance(value, SqlQuery):
            return _stage_query(value, target, partition, folder=folder, version=version)

        def columns(schema: pl.Schema) -> tuple[ColumnSchema, ...]:
            found = tables.table_columns(schema, target)
            tables.check_partition(found, target, partition)
            return found

        return files.stage_frame(value, target, partition, folder=folder, version=version, columns=columns)

    def publish(self, target: Target, partition: Partition | None, staged: Staged) -> None:
        """Replace the partition's rows (without partitions: all) in one transaction; done twice, it does nothing more.

        New columns are added, numbers widened. Raises MaterializationError when a column is of another type than in the
        table, or a constraint of the table refuses the rows, LocationError when another program holds the file.
        """
        files.check_partition(target, partition)
        place = place_of(target)
        source = files.staged_path(place.file.parent, staged.version)
        created = not place.file.exists()
        with files.writing(target, place.file), exclusive(place.file):
            with engine.attached(place.file, "READ_WRITE") as opened, _taking(target, place):
                versions = publish_rows(opened, place, target, partition, staged, source)
            self._versions.put(place.file, versions, beside=(_log(place.file),))
        if created:
            sync_folder(place.file.parent)
        failpoints.reach("publish.detached")
        files.discard_file(place.file.parent, staged.version)

    def load(self, target: Target, partitions: Sequence[Partition] | None, form: Form) -> Any:
        """The rows of these partitions (None: of the whole table); a lazy frame reads when it is executed.

        As "path": the database file. Raises LocationError when there is no such table.
        """
        place = place_of(target)
        columns = None
        if place.file.exists():
            with reading(place.file) as opened:
                columns = opened.columns(place, views=True)
        if columns is None:
            message = f"there is no table {place.name} for '{target.asset.name}'"
            raise LocationError(message, where=str(place.file), hint="materialize it first")
        if form == "path":
            return place.file
        select = tables.select_rows(place, target, partitions, columns)
        if form == "sql":
            return SqlRelation(select=select, database=place.file)
        source = TableSource(target, partitions, select)
        if form in ("lazy", "any"):
            return _lazy(source)
        return _relation(place.file, select) if form == "relation" else source.load(form)

    def version(self, target: Target, partition: Partition | None) -> str | None:
        """The version that the table holds, or a hash of its rows when somebody else made it (or it is a view); of a partition, of
        those that its column tells, if there are any.

        Read again only when the file has changed.
        """
        place = place_of(target)
        if files.file_state(place.file) is None:
            return None
        versions = self._versions.get(place.file, lambda: _read(place.file), beside=(_log(place.file),))
        key = files.key_of(partition)
        found = versions.of(place, key)
        made_here = target.partition_column is None or place.name.lower() in versions.tables
        if found is not None or (target.partitioned and (key is None or made_here)):
            return found
        if (place.name, key) not in versions.foreign:
            with reading(place.file) as opened:
                part = partition if target.partitioned else None
                versions.foreign[place.name, key] = opened.content_version(place, target, part)
        return versions.foreign[place.name, key]

    def discard(self, target: Target, version: str) -> None:
        """Remove what was staged, or half of it, if it is still there."""
        files.discard_file(place_of(target).file.parent, version)


def _check_times(target: Target, staged: Staged, folder: Path) -> None:
    """Refuse times of the day with nanoseconds, which the table would round."""
    import polars as pl

    names = [column.name for column in staged.columns if column.type in ("TIME", "TIME_NS")]
    if not names:
        return
    rows = files.scan(files.staged_path(folder, staged.version))
    for name in names:
        fine = (
            rows.select(pl.col(name).filter(pl.col(name).cast(pl.Int64) % 1_000 != 0).dt.to_string("%T%.9f"))
            .head(1)
            .collect()
        )
        if fine.height:
            raise ReturnTypeError(
                f"the column {name!r} of '{target.asset.name}' holds {fine.item()}, and a DuckDB table has no nanoseconds",
                hint="round it to microseconds, or turn it into text or a number",
            )


def frame_of_query(opened: Opened, query: str) -> pl.DataFrame:
    """The result of a query as a frame."""
    return frame_of_relation(_sql(opened, query))


def _sql(opened: Opened, query: str) -> duckdb.DuckDBPyRelation:
    return cast("Connection", opened.connection).sql(query)


@contextmanager
def _taking(target: Target, place: tables.Place) -> Iterator[None]:
    """Say of what the engine refuses which table it is about: a key or a check of the table's own, a view in its place."""
    try:
        yield
    except _REFUSED as error:
        message = f"the table {place.name} can't take the data of '{target.asset.name}': {str(error).splitlines()[0]}"
        hint = "mend the data, or what the table was made with by somebody else"
        raise MaterializationError(message, where=str(place.file), hint=hint) from error


_REFUSED = (duckdb.ConstraintException, duckdb.CatalogException, duckdb.DependencyException, duckdb.ConversionException)

_WITHOUT_FRAME = ("INTERVAL", "BIT", "BIGNUM", "TIME WITH TIME ZONE")
"""Types that Polars does not have: it would show the bytes in which DuckDB keeps them, or leave out the zone."""


def frame_of_relation(relation: Any) -> pl.DataFrame:
    """A relation's rows as a frame; what Polars has no type for, such as intervals, comes as text.

    Of columns with the same name all but the first are numbered, as in a table that is made of it. Raises ReturnTypeError
    for unions, which a frame can't hold.

    >>> frame_of_relation(memory().sql("select 1 as a, 2 as a")).columns
    ['a', 'a_1']
    """
    import polars as pl

    if len({name.lower() for name in relation.columns}) < len(relation.columns):
        relation = relation.query("given", "FROM given")
    types = dict(zip(relation.columns, map(str, relation.types), strict=True))
    casts = [
        f"CAST({identifier(name)} AS VARCHAR) AS {identifier(name)}"
        for name in types
        if tables.holds_type(types[name], *_WITHOUT_FRAME)
    ]
    for name, dtype in types.items():
        if tables.holds_type(dtype, "UNION"):
            message = f"the column {name!r} is of type {dtype}, which a frame can't hold"
            raise ReturnTypeError(message, hint="take one member out of it, or cast it to VARCHAR")
    if casts:
        relation = relation.project(f"* REPLACE ({', '.join(casts)})")
    return pl.DataFrame(ArrowStream(relation))


def frame_of_pandas(value: Any) -> pl.DataFrame:
    """The columns of a pandas DataFrame, and first what its index has names for, as `groupby` makes it."""
    named = {
        name: at for at, name in enumerate(value.index.names) if isinstance(name, str) and name not in value.columns
    }
    if named:
        value = value.reset_index(level=list(named.values()))
    if not len(value.columns):
        return as_eager({})
    if not all(isinstance(name, str) for name in value.columns):
        raise ReturnTypeError("the names of a pandas DataFrame's columns must be text", hint="rename them with str")
    spans = {at: str(dtype) for at, dtype in enumerate(value.dtypes) if str(dtype).startswith("timedelta64[")}
    value = _with_numbers(value, spans)
    connection = memory()
    try:
        connection.register("given", value)
        return _with_durations(frame_of_relation(connection.sql("SELECT * FROM given")), spans)
    except (duckdb.DataError, duckdb.NotSupportedError, duckdb.InvalidInputException) as error:
        message = f"the pandas DataFrame can't be stored: {str(error).splitlines()[0]}"
        raise ReturnTypeError(
            message, hint="turn the column into text or numbers, for example with .astype(str)"
        ) from error
    finally:
        connection.close()


def _with_numbers(value: Any, spans: Mapping[int, str]) -> Any:
    """Durations, by their position, as the numbers that they are: DuckDB makes intervals of them, whose months have 30 days."""
    value = value.copy(deep=False) if spans else value
    for at, dtype in spans.items():
        unit = dtype.replace("[s]", "[ms]")  # Polars has no seconds
        value.isetitem(at, value.iloc[:, at].to_numpy().astype(unit).view("int64"))
    return value


def _with_durations(frame: pl.DataFrame, spans: Mapping[int, str]) -> pl.DataFrame:
    import polars as pl

    units: dict[str, Literal["ms", "us", "ns"]] = {"timedelta64[us]": "us", "timedelta64[ns]": "ns"}
    missing = -(2**63)  # NaT
    names = {frame.columns[at]: pl.Duration(units.get(dtype, "ms")) for at, dtype in spans.items()}
    return frame.with_columns(
        pl.when(pl.col(name) != missing).then(pl.col(name)).cast(dtype).alias(name) for name, dtype in names.items()
    )


def pandas_of_frame(frame: pl.DataFrame) -> Any:
    """A frame as a pandas DataFrame."""
    if not frame.width:
        return _pandas(memory().sql("SELECT 1 AS none LIMIT 0"))[[]]
    return _pandas(relation_of_frame(frame))


def _pandas(relation: duckdb.DuckDBPyRelation) -> Any:
    with warnings.catch_warnings():
        # DuckDB converts zoned times by a call that pandas 3.1 deprecates: nothing that a user could change.
        warnings.filterwarnings("ignore", message="The inplace keyword in DataFrame")
        try:
            found = relation.df()
        except duckdb.InvalidInputException as error:
            if "'pytz'" not in str(error):
                raise
            message = "a struct with a time that has a zone needs pytz in a pandas DataFrame, and pytz is not installed"
            hint = "install pytz, or ask for polars.LazyFrame or polars.DataFrame"
            raise MaterializationError(message, hint=hint) from error
    for name, dtype in zip(relation.columns, map(str, relation.types), strict=True):
        if dtype == "TIMESTAMPTZ_NS":
            # DuckDB leaves out their zone, which is UTC in all that it hands out.
            found[name] = found[name].dt.tz_localize("UTC")
    return found


def relation_of_frame(frame: pl.DataFrame) -> duckdb.DuckDBPyRelation:
    """A frame as a relation, in a database in memory of its own that lives as long as the relation."""
    connection, name = memory(), _new_name()
    register(connection, name, frame)
    return connection.sql(f"SELECT * FROM {name}")  # noqa: S608 (a name of our own)


def _relation(file: Path, select: str) -> duckdb.DuckDBPyRelation:
    # Copied into memory, because a relation is executed later, when nobody holds the file's lock any more.
    connection, name = memory(), _new_name()
    with shared([file]):
        attach(connection, file, "db")
        connection.execute(f"CREATE TABLE {name} AS {in_database(select, 'db')}")
        connection.execute("DETACH db")
    return connection.sql(f"SELECT * FROM {name}")  # noqa: S608 (a name of our own)


_numbers = count(1)


def _new_name() -> str:
    """A name that no other relation's table in this process has: a relation that is made of it is known by it."""
    return f"{RELATION_TABLE}{next(_numbers)}"


def _lazy(source: TableSource) -> pl.LazyFrame:
    from polars.io.plugins import register_io_source

    return register_io_source(source, schema=source.schema, explain_name=source.target.asset.name)


def _read(file: Path) -> Versions:
    with reading(file) as opened:
        return read_versions(opened)


def _log(file: Path) -> Path:
    return file.with_name(f"{file.name}.wal")


def failing(query: SqlQuery, columns: Sequence[str], limit: int) -> tuple[int, list[tuple[Any, ...]]]:
    """How many rows a query gives, and these columns of the first of them.

    Raises ReturnTypeError when the text is not one SELECT, MaterializationError when DuckDB refuses it.

    >>> failing(SqlQuery(text="select 1 as a union all select 2", inputs={}), ["a"], 1)
    (2, [(1,)])
    """
    frames = _frames(query)
    with TemporaryDirectory(prefix="headwater-") as folder, _given(query, frames, Path(folder)) as connection:
        return failing_rows(connection, query, columns, limit)


def frame_of_sql(query: SqlQuery, target: Target) -> pl.DataFrame:
    """The rows of a query whose result makes an asset, with the types that they have when they are read from a table.

    Raises ReturnTypeError when the text is not one SELECT, MaterializationError when DuckDB refuses it.
    """
    frames = _frames(query)
    with TemporaryDirectory(prefix="headwater-") as folder, _given(query, frames, Path(folder)) as connection:
        return result_of(connection, query, target, frame_of_relation)


def connect(inputs: Mapping[str, Any]) -> Connection:
    """A database in memory with these inputs under their names: files are read when they are asked, the rest is copied.

    >>> connect({"numbers": SqlRelation(select="SELECT 7 AS n")}).sql("SELECT n FROM numbers").fetchall()
    [(7,)]
    """
    connection = memory()
    # A Python variable that happens to be called like a table would be read in its place.
    connection.execute("SET python_enable_replacements = false")
    for name, given in inputs.items():
        if not isinstance(given, SqlRelation):
            register(connection, own := _new_name(), as_eager(given))
            connection.execute(f"CREATE TABLE {identifier(name)} AS SELECT * FROM {own}")  # noqa: S608 (quoted)
            connection.unregister(own)
        elif given.database is None:
            with readable(name):
                connection.execute(f"CREATE VIEW {identifier(name)} AS {given.select}")
        else:
            with shared([given.database]):
                attach(connection, given.database, "db")
                connection.execute(f"CREATE TABLE {identifier(name)} AS {in_database(given.select, 'db')}")
                connection.execute("DETACH db")
    return connection


def _frames(query: SqlQuery) -> dict[str, pl.DataFrame]:
    # Before anything is locked: a lazy one may read the very databases that are.
    return {name: as_eager(given) for name, given in query.inputs.items() if not isinstance(given, SqlRelation)}


@contextmanager
def _given(query: SqlQuery, frames: Mapping[str, pl.DataFrame], temporary: Path) -> Iterator[Connection]:
    """A database in memory that sees the inputs of a query, whose files are locked meanwhile."""
    relations = {name: given for name, given in query.inputs.items() if isinstance(given, SqlRelation)}
    found = sorted({relation.database for relation in relations.values() if relation.database is not None})
    names = {file: f"db{number}" for number, file in enumerate(found)}
    connection = memory(temporary)
    try:
        with shared(names):
            for file, name in names.items():
                attach(connection, file, name)
            for name, frame in frames.items():
                register(connection, name, frame)
            create_views(connection, relations, names)
            yield connection
    finally:
        connection.close()


def _stage_query(query: SqlQuery, target: Target, partition: Partition | None, *, folder: Path, version: str) -> Staged:
    frames = _frames(query)
    columns: dict[str, str] = {}

    def write(path: Path) -> files.Written:
        temporary = path.with_suffix(".tmp")
        try:
            with _given(query, frames, temporary) as connection:
                footer = files.footer(target, partition, version)
                columns.update(copy_query(connection, query, path, target, footer))
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        scan = files.scan(path)
        return files.Written(scan.collect_schema(), lambda: scan)

    def described(_schema: object) -> tuple[ColumnSchema, ...]:
        found = tuple(ColumnSchema(name=name, type=dtype) for name, dtype in columns.items())
        tables.check_partition(found, target, partition)
        return found

    staged = files.stage_file(write, target, partition, folder=folder, version=version, columns=described)
    return replace(staged, staging={**staged.staging, "types": tables.kept_types(columns)})
