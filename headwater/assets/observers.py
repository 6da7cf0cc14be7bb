"""Observers: what looks at a source and says how far its data reaches, for `observe(asset)` and `headwater observe`."""

from __future__ import annotations

import glob
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from headwater import clock
from headwater.assets import registry
from headwater.assets.asset import Asset
from headwater.assets.partitions import Partition
from headwater.assets.protocols import SqlQuery, Target
from headwater.assets.time_columns import told
from headwater.errors import DefinitionError, LocationError, MaterializationError, ReturnTypeError, UsageError
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.assets.runtime import AssetRuntime

F = TypeVar("F", bound=Callable[[], Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What an observer saw of a source: how far its data reaches, its version, its rows; None is what it can't say.

    A date counts to the end of its day, in the time zone of the partition that it is about or UTC; a time without a zone is UTC.

    >>> Observation(data_through=date(2013, 1, 5), rows=842).rows
    842
    """

    data_through: datetime | date | None = None
    version: str | None = None
    rows: int | None = None

    def __post_init__(self) -> None:
        """Raises UsageError for a version or rows that would stand in the journal, and that nobody could read there."""
        if self.version is not None and not isinstance(self.version, str):
            raise UsageError(f"version can't be {self.version!r}"[:300], hint='give a text, such as version="3"')
        if self.rows is None:
            return
        # A number of NumPy's or of a column's sum is one; True counts nothing.
        rows = None if isinstance(self.rows, bool) or not hasattr(self.rows, "__index__") else index(self.rows)
        if rows is None or rows < 0:
            raise UsageError(f"rows can't be {self.rows!r}"[:300], hint="give a whole number from 0, such as rows=12")
        object.__setattr__(self, "rows", rows)


@runtime_checkable
class Observer(Protocol):
    """What is ready-made: looks at the place of an asset."""

    def look(self, run: AssetRuntime, asset: Asset, partition: Partition | None) -> Observation:
        """What is there now, of an asset with partitions of one of them. Raises LocationError when there is nothing."""
        ...


@dataclass(frozen=True, slots=True)
class _FileTimes:
    pattern: str | None

    def look(self, run: AssetRuntime, asset: Asset, partition: Partition | None) -> Observation:
        if self.pattern is None:
            target = _there(run, asset, partition)
            found = run.materializer(target.asset).load(target, _only(partition), "path")
            places = [Path(one) for one in (found if isinstance(found, tuple) else (found,))]
        else:
            places = sorted(run.root.glob(self._pattern(asset, partition)))
        times = [one.stat().st_mtime_ns for one in places if one.is_file()]
        if not times:
            where = self.pattern or asset.at
            raise LocationError(f"there are no files of '{asset.name}'", where=where, hint="check the pattern")
        last = max(times)
        through = datetime.fromtimestamp(last // 1_000_000_000, UTC)
        return Observation(data_through=through, version=f"{len(times)} files, {last}" if self.pattern else None)

    def _pattern(self, asset: Asset, partition: Partition | None) -> str:
        if self.pattern is None or partition is None:
            return self.pattern or ""
        if _PARTITION not in self.pattern:
            raise _not_of_one(
                asset, f'write file_times("landing/{_PARTITION}/*.csv"), or file_times() for its own files'
            )
        return self.pattern.replace(_PARTITION, glob.escape(str(partition.key)))


@dataclass(frozen=True, slots=True)
class _Sql:
    query: str

    def look(self, run: AssetRuntime, asset: Asset, partition: Partition | None) -> Observation:
        inputs = {}
        if "{asset}" in self.query:
            target = _there(run, asset, partition)
            inputs["asset"] = run.materializer(target.asset).load(target, _only(partition), "sql")
        elif partition is not None:
            raise _not_of_one(asset, "ask {asset}, which is then the rows of one partition")
        # As a number: a time with a zone would come as an object of yet another library.
        what = "typeof(data_through) AS kind, epoch_us(data_through) AS at_us"
        # A scalar subquery: of several rows or columns any one would pass for the newest time. On lines of its own, for it may
        # end with a comment.
        text = f"SELECT {what} FROM (SELECT (\n{self.query}\n) AS data_through)"  # noqa: S608 - the query is the user's own
        try:
            _, rows = run.failing(SqlQuery(text=text, inputs=inputs), ["kind", "at_us"], 1)
        except MaterializationError as error:
            raise MaterializationError(
                f"the observer of '{asset.name}' can't ask: {error.__cause__ or error}".splitlines()[0],
                where=self.query[:200],
                hint="mend the text of sql_observer(…): it gives one date or timestamp, in one row and one column",
            ) from error
        if not rows:
            return Observation()
        kind, at = rows[0]
        # A time of the day and an interval would count as so much after the beginning of 1970.
        if not kind.startswith(("DATE", "TIMESTAMP")):
            raise ReturnTypeError(
                f"the query of the observer of '{asset.name}' gave {kind}, which says no day",
                where=self.query[:200],
                hint="let it give a date or a timestamp",
            )
        if at is None:
            return Observation()
        found = clock.from_us(at)
        return Observation(data_through=found.date() if kind == "DATE" else found)


@dataclass(frozen=True, slots=True)
class _ColumnMax:
    column: str

    def look(self, run: AssetRuntime, asset: Asset, partition: Partition | None) -> Observation:
        import polars as pl

        target = _there(run, asset, partition)
        frame = run.materializer(target.asset).load(target, _only(partition), "lazy")
        with named_column(asset, self.column):
            column = told(self.column, frame.collect_schema().get(self.column))
            row = frame.select(through=column.max(), rows=pl.len()).collect().row(0, named=True)
        return Observation(data_through=time_in(asset, self.column, row["through"]), rows=row["rows"])


@contextmanager
def named_column(asset: Asset, column: str) -> Iterator[None]:
    """Say which column a source lacks."""
    import polars as pl

    try:
        yield
    except pl.exceptions.ColumnNotFoundError as error:
        message = f"'{asset.name}' has no column {column!r}"
        raise MaterializationError(message, where=asset.at, hint="name a column of the source") from error


def time_in(asset: Asset, column: str, value: object) -> datetime | date | None:
    """What a column holds, as a time: that of a CSV file may be text, as ISO 8601 writes it. Raises ReturnTypeError.

    >>> time_in(Asset("timed_example", at="memory://timed_example"), "day", "2013-01-05")
    datetime.date(2013, 1, 5)
    """
    if value is None or isinstance(value, date):
        return value
    try:
        return parsed(value)
    except ValueError:
        raise ReturnTypeError(
            f"the column {column!r} of '{asset.name}' holds {value!r}, which is no time"[:300],
            where=asset.at,
            hint='have it read as one: options={"try_parse_dates": True}, or another column',
        ) from None


def parsed(value: object) -> datetime | date:
    """A time or, where it names no hour, a date. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    try:
        return date.fromisoformat(value.strip())
    except ValueError:
        return datetime.fromisoformat(value.strip())


_PARTITION = "{partition}"


def _only(partition: Partition | None) -> tuple[Partition, ...] | None:
    return None if partition is None else (partition,)


def _there(run: AssetRuntime, asset: Asset, partition: Partition | None) -> Target:
    """The place to look at. Raises LocationError when it has nothing of the partition: a table gives no rows of it then."""
    target = run.definitions.target(asset)
    if partition is not None and run.materializer(target.asset).version(target, partition) is None:
        message = f"there is nothing of the partition {partition} of '{asset.name}'"
        raise LocationError(message, where=asset.at, hint="put its data there")
    return target


def _not_of_one(asset: Asset, hint: str) -> DefinitionError:
    return DefinitionError(
        f"the asset '{asset.name}' has partitions, of which its observer tells the same, whichever it is", hint=hint
    )


def file_times(pattern: str | None = None) -> Observer:
    """An observer: the data reaches to when its newest file was written.

    It looks at the asset's own files, or at those that a pattern names from the project's root ("landing/*.csv"); of an
    asset with partitions, at those of each of them ("landing/{partition}/*.csv").

    >>> from headwater import Asset
    >>> orders = Asset("observed_files", at="csv://landing/orders.csv", observe=file_times())
    """
    return _FileTimes(pattern)


def sql_observer(query: str) -> Observer:
    """An observer: the data reaches to what a query gives, a single date or timestamp. `{asset}` stands for the asset's rows:
    of an asset with partitions, for those of each of them.

    >>> from headwater import Asset
    >>> latest = sql_observer("select max(ts) from {asset} where state = 'done'")
    >>> events = Asset("observed_events", at="duckdb://source.duckdb/main.events", observe=latest)
    """
    return _Sql(query)


def column_max(column: str) -> Observer:
    """An observer: the data reaches to the greatest value of a column, which is read lazily; partition by partition.

    >>> from headwater import Asset
    >>> rates = Asset("observed_rates", at="parquet://lake/rates.parquet", observe=column_max("day"))
    """
    return _ColumnMax(column)


def observer(asset: Asset) -> Callable[[F], F]:
    """Declare a function as the observer of an asset: it is called without arguments and says what it saw.

    It gives how far the data reaches (a datetime or a date), an `Observation`, a version (text), the number of rows, or None:
    then the place of the asset is looked at. For an asset with partitions it gives a mapping of these, by their keys. Raises
    DefinitionError for what can't be called so.

    >>> from headwater import Asset
    >>> feed = Asset("observed_feed", at="memory://observed_feed")
    >>> @observer(feed)
    ... def newest_in_feed():
    ...     return datetime(2013, 1, 5, 12, tzinfo=UTC)
    """
    if not isinstance(asset, Asset):
        raise DefinitionError(f"@observer needs the asset that it is for, got {asset!r}", hint="write @observer(feed)")

    def decorate(fn: F) -> F:
        registry.current().observers[asset.name] = checked(asset.name, fn)
        return fn

    return decorate


def checked(name: str, value: Any) -> Any:
    """An observer, ready-made or a function, of the asset of that name. Raises DefinitionError."""
    if isinstance(value, Observer):
        return value
    if inspect.iscoroutinefunction(value):
        hint = "write it with def: it may wait, for observers are asked side by side"
        raise DefinitionError(f"the observer of the asset '{name}' is async: nobody would await it", hint=hint)
    if not callable(value):
        raise DefinitionError(
            f"{value!r} can't observe the asset '{name}'"[:300],
            hint="give a function, file_times(), column_max(name) …",
        )
    try:
        inspect.signature(value).bind()
    except TypeError as error:
        hint = "an observer is called without arguments"
        raise DefinitionError(f"the observer of the asset '{name}' has parameters", hint=hint) from error
    except ValueError:
        return value  # a builtin, which has no signature
    return value


def observer_of(asset: Asset) -> Any:
    """What observes an asset: the function that was declared last, or what the asset was given; None when nothing does."""
    return registry.current().observers.get(asset.name) or asset.observe


def seen_by(found: Any, run: AssetRuntime, asset: Asset) -> dict[str | None, Observation]:
    """What an observer sees now, by partition. Raises ReturnTypeError for an answer that says nothing, and what it raises."""
    if isinstance(found, Observer):
        return {None: found.look(run, asset, None)} if asset.partitions is None else _each(found, run, asset)
    answer = found()
    if asset.partitions is None:
        return {None: _observation(asset, answer)}
    if not isinstance(answer, Mapping):
        raise ReturnTypeError(
            f"the observer of '{asset.name}' gave {type(answer).__name__}, and the asset has partitions",
            hint="return a mapping of these: {key: how far it reaches}",
        )
    return {asset.partitions.partition(key).key: _observation(asset, one) for key, one in answer.items()}


def _each(found: Observer, run: AssetRuntime, asset: Asset) -> dict[str | None, Observation]:
    """What a ready-made observer sees of each partition that there is something of. Raises LocationError for none."""
    seen: dict[str | None, Observation] = {}
    nothing = None
    for part in asset.partitions.all(clock.now_us()) if asset.partitions is not None else ():
        try:
            seen[part.key] = found.look(run, asset, part)
        except LocationError as error:
            nothing = error
    if not seen and nothing is not None:
        raise nothing
    return seen


def _observation(asset: Asset, answer: object) -> Observation:
    if answer is None or isinstance(answer, Observation):
        return answer or Observation()
    if isinstance(answer, date):
        return Observation(data_through=answer)
    if isinstance(answer, str):
        return Observation(version=answer)
    if isinstance(answer, int) and not isinstance(answer, bool) and answer >= 0:
        return Observation(rows=answer)
    raise ReturnTypeError(
        f"the observer of '{asset.name}' gave {answer!r}"[:300],
        hint="return a datetime, a date, a version, a number of rows or an Observation",
    )
