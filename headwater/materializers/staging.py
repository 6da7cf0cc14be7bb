"""Staged files: written beside their place under a hidden name, measured, and moved into place by one rename.

A staged file is a Parquet file whose footer names the asset, the partition and the version. Its name follows from the
version alone, so that any process can discard it that knows the version, and can name no other file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias, TypeVar

from headwater import clock, failpoints
from headwater.assets.events import ColumnSchema
from headwater.assets.protocols import SqlRelation, Staged, Target
from headwater.core.globs import literal_glob
from headwater.core.journal.home import sync_file, sync_folder
from headwater.errors import DefinitionError, HeadwaterError, LocationError, MaterializationError
from headwater.materializers.convert import as_frame
from headwater.materializers.measure import measure
from headwater.materializers.quoting import literal

if TYPE_CHECKING:
    import polars as pl

    from headwater.assets.partitions import Partition

T = TypeVar("T")

ASSET, PARTITION, VERSION = "headwater.asset", "headwater.partition", "headwater.version"
"""The members of a Parquet footer that say what a file is; an asset without partitions has no `headwater.partition`."""

WRITER_OPTIONS = frozenset({"compression", "compression_level", "data_page_size", "row_group_size", "statistics"})

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_OS_ERROR = re.compile(r"os error (\d+)")
_PLACE_ERRORS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO, errno.ENOTDIR}
    | {errno.ENAMETOOLONG, errno.EISDIR}
)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_RACY_US = 20_000  # a file this young may change again without its mtime showing it


def key_of(partition: Partition | None) -> str | None:
    """The key of a partition; None for an asset without partitions."""
    return None if partition is None else partition.key


def check_partition(target: Target, partition: Partition | None) -> None:
    """Refuse a partition for an asset that has none, and the reverse: the whole asset would be replaced by a part."""
    if target.partitioned != (key_of(partition) is not None):
        need = "needs a partition" if target.partitioned else "has no partitions"
        raise MaterializationError(f"'{target.asset.name}' {need}", where=target.asset.uri)


def footer(target: Target, partition: Partition | None, version: str) -> dict[str, str]:
    """What the footer of a file of this version says."""
    key = key_of(partition)
    named = {} if key is None else {PARTITION: key}
    return {ASSET: target.asset.name, **named, VERSION: version}


def polars_columns(schema: Mapping[str, object]) -> tuple[ColumnSchema, ...]:
    """A Polars schema as columns, with types as Polars prints them."""
    return tuple(ColumnSchema(name=name, type=str(dtype)) for name, dtype in schema.items())


Columns: TypeAlias = "Callable[[pl.Schema], tuple[ColumnSchema, ...]]"
"""Gives the columns of a staged schema as the asset's engine names them, or refuses them."""


class Written(NamedTuple):
    """What a staged file holds: its schema, its rows where the writer told, and its data for whoever looks closer."""

    schema: pl.Schema
    frame: Callable[[], pl.DataFrame | pl.LazyFrame]
    rows: int | None = None


def stage_frame(
    value: Any,
    target: Target,
    partition: Partition | None,
    *,
    folder: Path,
    version: str,
    columns: Columns = polars_columns,
) -> Staged:
    """Write a table into a staged file; a lazy frame is executed here, once. A failure leaves nothing behind.

    Raises ReturnTypeError for what is not a table, and whatever `stage_file` raises.
    """
    frame = as_frame(value)
    options = options_of(target, WRITER_OPTIONS)

    def write(path: Path) -> Written:
        import polars as pl

        told: list[int] = []
        try:
            said = footer(target, partition, version)
            if isinstance(frame, pl.DataFrame):
                frame.write_parquet(path, metadata=said, **options)
                return Written(frame.schema, lambda: frame, frame.height)
            frame.sink_parquet(
                path,
                metadata=said,
                sinked_paths_callback=lambda sunk: told.extend(one.num_rows for one in sunk.paths),
                **options,
            )
        except pl.exceptions.PolarsError as error:
            if _errno(error) in _PLACE_ERRORS:
                raise
            message = f"the data of '{target.asset.name}' can't be computed: {str(error).splitlines()[0]}"
            hint = "mend the plan that the function returns: it is executed when it is written"
            raise MaterializationError(message, where=target.asset.uri, hint=hint) from error
        except (ValueError, TypeError) as error:
            if not options:
                raise
            message = f"the options of '{target.asset.name}' are not what the Parquet writer takes: {error}"
            raise DefinitionError(message, where=f"options={options}", hint="mend Asset(options={…})") from error
        # The writer refuses rows of another schema than the plan's: the file need not be opened to know it.
        return Written(frame.collect_schema(), partial(scan, path), sum(told) if told else None)

    return stage_file(write, target, partition, folder=folder, version=version, columns=columns)


def stage_file(
    write: Callable[[Path], Written],
    target: Target,
    partition: Partition | None,
    *,
    folder: Path,
    version: str,
    columns: Columns = polars_columns,
) -> Staged:
    """Let `write` make a staged file in this folder and say what it holds, then sync and measure it.

    A failure leaves nothing behind. Raises PartitionError when rows lie outside the partition, LocationError when the place
    can't be written.
    """
    path = staged_path(folder, version)
    try:
        with writing(target, folder):
            make_folder(folder)
            written = write(path)
            failpoints.reach("staging.written")
            size = sync_file(path)
            failpoints.reach("staging.synced")
        found = measure(written.frame, written.schema, target, partition, rows=written.rows)
        named = columns(written.schema)
    except BaseException:
        _unlink(path)
        raise
    return Staged(
        version=version,
        staging={"file": path.name},
        rows=found.rows,
        bytes=size,
        columns=named,
        time_min=found.time_min,
        time_max=found.time_max,
        frame=lambda: scan(path),
        relation=None if is_opaque(written.schema) else SqlRelation(select=select((path,))),
    )


def scan(path: Path, schema: pl.Schema | None = None) -> pl.LazyFrame:
    """A lazy frame over one Parquet file, whatever characters its path holds; with its schema, if that is known."""
    import polars as pl

    return pl.scan_parquet(path, glob=False, hive_partitioning=False, schema=schema)


def select(found: Sequence[Path]) -> str:
    """The rows of Parquet files as a query of DuckDB's."""
    names = ", ".join(literal(literal_glob(str(path))) for path in found)
    return f"SELECT * FROM read_parquet([{names}], union_by_name = true, hive_partitioning = false)"  # noqa: S608 (literals)


def is_opaque(schema: pl.Schema) -> bool:
    """Whether a Parquet file of this schema holds what DuckDB does not see in it: whole numbers of 128 bits, which it would
    take for bytes, and durations, which it would take for numbers.
    """
    return any(kind in str(dtype) for dtype in schema.values() for kind in ("Int128", "Duration"))


@lru_cache(maxsize=1_024)
def staged_path(folder: Path, version: str) -> Path:
    """The staged file of a version. Raises LocationError for what can't be one, so that it can name no other file."""
    if not _VERSION.fullmatch(version):
        raise LocationError(f"{version!r} can't be used as a version", where=str(folder))
    return folder / f".staging-{version}.parquet"


def publish_file(staged: Path, final: Path, target: Target) -> None:
    """Move a staged file into place, durably: whoever looks sees the old file or the new one."""
    with writing(target, final):
        os.replace(staged, final)  # noqa: PTH105 - that makes another path of the second
        failpoints.reach("publish.renamed")
        sync_folder(final.parent)


def discard_file(folder: Path, version: str) -> None:
    """Remove the staged file of a version, if it is still there, and what a query spilled that a kill cut short."""
    path = staged_path(folder, version)
    _unlink(path)
    shutil.rmtree(path.with_suffix(".tmp"), ignore_errors=True)


def options_of(target: Target, known: frozenset[str]) -> dict[str, Any]:
    """The options of an asset. Raises DefinitionError for one that its materializer does not know."""
    unknown = sorted(set(target.options) - known)
    if unknown:
        message = f"the asset '{target.asset.name}' has an option {unknown[0]!r} that its materializer does not know"
        raise DefinitionError(message, hint=f"known: {', '.join(sorted(known))}")
    return dict(target.options)


@contextmanager
def writing(target: Target, place: Path) -> Iterator[None]:
    """Say of an error of the file system which asset could not be written, and where; others pass."""
    try:
        yield
    except HeadwaterError:
        raise
    except Exception as error:
        number = _errno(error)
        if number not in _PLACE_ERRORS:
            raise
        message = f"'{target.asset.name}' can't be written: {os.strerror(number)}"
        hint = "make room on the disk" if number in _NO_ROOM else "see that the place can be written"
        raise LocationError(message, where=str(place), hint=hint) from error


def _errno(error: Exception) -> int:
    if isinstance(error, OSError):
        return error.errno or 0
    # Engines wrap what the system said into the text of their own errors.
    engine, text = type(error).__module__.partition(".")[0], str(error)
    if engine in ("duckdb", "_duckdb"):
        return next((number for number in _NO_ROOM if f": {os.strerror(number)}" in text), 0)
    found = _OS_ERROR.search(text) if engine == "polars" else None
    return int(found[1]) if found else 0


def make_folder(folder: Path) -> None:
    """Make a folder and what leads to it, durably."""
    if os.path.isdir(folder):  # noqa: PTH112 - a third of the time, for every file that is made
        return
    missing = []
    place = folder
    while not place.exists():
        missing.append(place)
        place = place.parent
    for made in reversed(missing):
        with suppress(FileExistsError):  # another process may be at the same
            made.mkdir()
        sync_folder(made.parent)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def content_version(path: Path) -> str:
    """The version of a file that nobody gave one: the hash of its content, `sha256:…`."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return f"sha256:{digest.hexdigest()}"


FileState = tuple[int, int, int]


def file_state(path: Path) -> FileState | None:
    """What changes when a file does: mtime (ns), size, inode; None when there is no file."""
    try:
        found = os.stat(path)  # noqa: PTH116 - asked several times for every file that is made
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class FileCache(Generic[T]):
    """What was read from files, kept for as long as the files look unchanged."""

    def __init__(self, limit: int = 10_000) -> None:
        self._kept: dict[Path, tuple[tuple[FileState | None, ...], T]] = {}
        self._limit = limit

    def get(
        self,
        path: Path,
        read: Callable[[], T],
        *,
        beside: tuple[Path, ...] = (),
        state: tuple[FileState | None, ...] | None = None,
    ) -> T:
        """What `read` gave for this file, when neither it nor the files beside it changed since then.

        `state` is how they look now, where the caller has just seen that.
        """
        files = (path, *beside)
        state = self._state(files) if state is None else state
        known = self.known(path, state)
        if known is not None:
            return known
        value = read()
        after = self._state(files)
        newest = max((found[0] for found in after if found), default=0) // 1_000
        if after == state and newest + _RACY_US < clock.now_us():
            self._keep(path, state, value)
        return value

    def known(self, path: Path, state: tuple[FileState | None, ...]) -> T | None:
        """What is kept of a file that looks like this; None when nothing is."""
        kept = self._kept.get(path)
        return kept[1] if kept is not None and kept[0] == state else None

    def put(self, path: Path, value: T, *, beside: tuple[Path, ...] = ()) -> None:
        """Keep what is known of a file by somebody who has it locked: nobody else can have changed it meanwhile."""
        self._keep(path, self._state((path, *beside)), value)

    def move(self, path: Path, to: Path) -> None:
        """What is kept of a file is known of it under another name: it was renamed, which changes nothing of how it looks."""
        kept = self._kept.pop(path, None)
        if kept is not None:
            self._kept[to] = kept

    def _state(self, files: tuple[Path, ...]) -> tuple[FileState | None, ...]:
        return tuple(file_state(file) for file in files)

    def _keep(self, path: Path, state: tuple[FileState | None, ...], value: T) -> None:
        if len(self._kept) >= self._limit:
            self._kept.clear()
        self._kept[path] = (state, value)


def _unlink(path: Path) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        path.unlink()
