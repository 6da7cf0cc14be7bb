"""Values in the memory of this process: for tests, and for what need not outlive a run."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headwater.assets.location import OF_TABLES, parse_uri
from headwater.assets.protocols import Form, SqlQuery, Staged, Target
from headwater.errors import LocationError, ReturnTypeError
from headwater.forks import free_in_child
from headwater.materializers.convert import as_eager, convert, is_frame
from headwater.materializers.measure import measure
from headwater.materializers.staging import check_partition, key_of, polars_columns
from headwater.materializers.uniting import united

if TYPE_CHECKING:
    import polars as pl

    from headwater.assets.partitions import Partition

_lock = free_in_child(threading.Lock())
_staged: dict[str, Any] = {}
_values: dict[tuple[Path, str, str], dict[str | None, tuple[str, Any]]] = {}


def forget(root: Path) -> None:
    """Forget the values of one project (tests)."""
    with _lock:
        for place in [place for place in _values if place[0] == root.absolute()]:
            del _values[place]


def clear() -> None:
    """Forget all values (tests)."""
    with _lock:
        _staged.clear()
        _values.clear()


class MemoryMaterializer:
    """Keeps any value as it is; a lazy frame or a relation is executed and kept as a frame.

    What is kept belongs to the project's root and the location, and is gone with the process.
    """

    def stage(self, target: Target, partition: Partition | None, value: Any, *, version: str) -> Staged:
        """Keep a value aside. Raises PartitionError when its rows lie outside the partition: those of a frame, and rows in
        plain Python where the asset names a column of them.

        In a test, what belongs in a file or a table becomes a table, as it would there. Raises ReturnTypeError.
        """
        check_partition(target, partition)
        value = _as_there(value, target)
        frame = _table_of(value, target)
        if frame is None:
            with _lock:
                _staged[version] = value
            return Staged(version=version, staging={"version": version}, frame=lambda: value)
        found = measure(lambda: frame, frame.schema, target, partition, rows=frame.height)
        with _lock:
            _staged[version] = frame if type(value).__name__ in ("LazyFrame", "DuckDBPyRelation") else value
        return Staged(
            version=version,
            staging={"version": version},
            rows=found.rows,
            bytes=int(frame.estimated_size()),
            columns=polars_columns(frame.schema),
            time_min=found.time_min,
            time_max=found.time_max,
            frame=frame.lazy if is_frame(value) else lambda: value,
        )

    def publish(self, target: Target, partition: Partition | None, staged: Staged) -> None:
        """Make the value the current one; done twice, it does nothing more."""
        with _lock:
            kept = _values.setdefault(_place(target), {})
            key = key_of(partition)
            if key in kept and kept[key][0] == staged.version:
                return
            if staged.version not in _staged:
                message = f"what was staged for '{target.asset.name}' is not there any more"
                raise LocationError(message, where=target.asset.uri, hint="materialize it again")
            kept[key] = (staged.version, _staged.pop(staged.version))

    def load(self, target: Target, partitions: Sequence[Partition] | None, form: Form) -> Any:
        """The value, converted to the form; of several partitions, tables one below the other, else a dict by key.

        Rows in plain Python are tables for who asks for one. Raises LocationError when there is nothing.
        """
        with _lock:
            kept = dict(_values.get(_place(target), {}))
        keys = list(kept) if partitions is None else [key_of(partition) for partition in partitions]
        found = {key: kept[key][1] for key in keys if key in kept}
        if not found:
            message = f"there is no data of '{target.asset.name}'"
            raise LocationError(
                message, where=target.asset.uri, hint="materialize it first: memory ends with the process"
            )
        if target.partitioned and form not in ("any", "path") and all(_width(value) == 0 for value in found.values()):
            # Rows made of nothing, such as an empty list: other partitions tell which columns they would have.
            others = (value for _, value in reversed(kept.values()) if _width(value))
            found = {key: as_eager(other).clear() for key, other in zip(found, others, strict=False)} or found
        if len(found) == 1 and (partitions is not None or not target.partitioned):
            return convert(next(iter(found.values())), form)
        try:
            if form == "any" and not all(is_frame(value) for value in found.values()):
                return found
            frames = {key: as_eager(value) for key, value in found.items()}
        except ReturnTypeError:
            return found
        return convert(_together(target, frames), form)

    def version(self, target: Target, partition: Partition | None) -> str | None:
        """The version that is kept; None when there is nothing."""
        with _lock:
            kept = _values.get(_place(target), {}).get(key_of(partition))
        return None if kept is None else kept[0]

    def discard(self, target: Target, version: str) -> None:
        """Forget what was staged."""
        with _lock:
            _staged.pop(version, None)


def _as_there(value: Any, target: Target) -> Any:
    """The value as the place of its asset would take it."""
    if isinstance(value, SqlQuery) and target.asset.kind == "duckdb":
        from headwater.materializers.duckdb import frame_of_sql

        return frame_of_sql(value, target)
    tabular = target.asset.kind in OF_TABLES or isinstance(value, SqlQuery)
    return as_eager(value) if tabular and not is_frame(value) else value


def _table_of(value: Any, target: Target) -> pl.DataFrame | None:
    """The table that is measured; None of what is none."""
    if is_frame(value):
        return as_eager(value)
    if target.time_column is None and target.partition_column is None:
        return None
    try:
        return as_eager(value)
    except ReturnTypeError:
        return None


def _together(target: Target, frames: Mapping[str | None, pl.DataFrame]) -> pl.DataFrame:
    """Partitions one below the other. Left to itself, Polars would make numbers of dates, and text of numbers."""
    import polars as pl

    types: dict[str, list[pl.DataType]] = {}
    for frame in frames.values():
        for name, dtype in frame.schema.items():
            types.setdefault(name, []).append(dtype)
    loose = set() if target.asset.kind == "parquet" else {name for name, found in types.items() if _are_alike(found)}
    firm = {
        f"{target.asset.uri}, partition {key}": {
            name: frame.schema[name] for name in frame.columns if name not in loose
        }
        for key, frame in frames.items()
    }
    known = united(target, firm)
    cast = [frame.cast({name: known[name] for name in frame.columns if name in known}) for frame in frames.values()]
    return pl.concat(cast, how="diagonal_relaxed")


def _are_alike(types: Sequence[pl.DataType]) -> bool:
    """Whether values of these types stay what they are in one that holds all of them: numbers, texts, times without a zone."""
    import polars as pl

    values = [dtype for dtype in types if not isinstance(dtype, pl.Null)]
    kinds = (
        all(dtype.is_numeric() for dtype in values),
        all(isinstance(dtype, (pl.String, pl.Categorical, pl.Enum)) for dtype in values),
        # Nanoseconds reach to 2262: a later date would be lost in them.
        all(dtype in (pl.Date(), pl.Datetime("ms"), pl.Datetime("us")) for dtype in values),
    )
    return any(kinds)


def _width(value: Any) -> int | None:
    """How many columns a table has; None of what is no table."""
    try:
        return as_eager(value).width
    except ReturnTypeError:
        return None


def _place(target: Target) -> tuple[Path, str, str]:
    # With the kind: in a test, data of assets of any kind may be kept here, of the tables of one file too.
    location = parse_uri(target.asset.uri)
    table = "" if location.table is None else f"/{location.schema}.{location.table}".lower()
    return target.root.absolute(), target.asset.kind, location.path + table
