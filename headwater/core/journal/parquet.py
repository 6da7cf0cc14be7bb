"""The Parquet file of an archive: written, copied and read, with DuckDB in memory and in bounded pieces.

One row an event, sorted by writer and number. The members of a line stand in columns, and the line is rebuilt from them
byte for byte. All who call these functions know that what they read may be damaged: every line has its own checksum.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from headwater.core.globs import literal_glob
from headwater.core.journal import descriptors
from headwater.core.journal.index import FORMAT
from headwater.core.journal.lines import is_whole
from headwater.errors import JournalError
from headwater.ids import new_id

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SEPARATOR = b"\x1f"
"""Between the members of a line on the way into a file: JSON holds no control character."""

_GROUP = 2048
"""Events in a row group: as many can be lost to one damaged byte. DuckDB can't make it less, and larger ones save 2%."""
_ROWS = 20_000
_MEMORY = 192_000_000
_SIGN = "headwater_archive"

_SPOOLED = """
SELECT * FROM read_csv(
    $path, delim = chr(31), quote = '', escape = '', comment = '', header = false, auto_detect = false,
    strict_mode = false, parallel = false, max_line_size = $longest,
    columns = {
        writer: 'VARCHAR', seq: 'BIGINT', id: 'VARCHAR', time: 'BIGINT', kind: 'VARCHAR', version: 'BIGINT',
        body: 'VARCHAR', checksum: 'VARCHAR'
    }
)
"""
_READ = "read_parquet($path, hive_partitioning = false)"
_NUMBERED = (
    "read_parquet($path, hive_partitioning = false, file_row_number = true) "
    "WHERE file_row_number >= $first AND file_row_number < $last"
)
_LINE = (
    """'{"w":"' || writer || '","n":' || seq || ',"id":"' || id || '","t":' || time || ',"k":"' || kind || '","v":' """
    """|| version || ',"b":' || body || ',"c":"' || checksum || '"}'"""
)
_EXPIRES = "list_contains($kinds::VARCHAR[], kind) AND time < $before"

Parameters: TypeAlias = dict[str, "str | int | list[str]"]


class Row(NamedTuple):
    """An event's line, with the writer and the number that the file has it under."""

    writer: str
    seq: int
    line: bytes


def write(spool: Path, target: Path, *, longest: int) -> None:
    """Make a file of lines whose members are separated by SEPARATOR, in that order. Raises JournalError."""
    # DuckDB keeps what it has read of the file for as long as it may; a row group has to fit besides.
    memory = _MEMORY + 4 * min(spool.stat().st_size, _GROUP * longest)
    parameters: Parameters = {"path": literal_glob(str(spool)), "longest": max(longest + 1, 1 << 20)}
    _copy(_SPOOLED, parameters, spool, target, memory=memory)


def write_without(path: Path, target: Path, *, kinds: Collection[str], before: int) -> None:
    """Copy a file without the events of some kinds that are older than a moment. Raises JournalError."""
    source = f"SELECT * FROM {_READ} WHERE NOT ({_EXPIRES})"  # noqa: S608 - values are parameters
    _copy(source, {"path": literal_glob(str(path)), "kinds": list(kinds), "before": before}, path, target)


def _copy(source: str, parameters: Parameters, path: Path, target: Path, *, memory: int | None = None) -> None:
    sign = f"KV_METADATA {{{_SIGN}: '{FORMAT}'}}"
    place = str(target).replace("'", "''")
    with _connected(path.parent, target.parent, memory=memory) as connection:
        connection.execute(
            f"COPY ({source}) TO '{place}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_GROUP}, {sign})",
            parameters,
        )


def expiring(path: Path, kinds: Collection[str], before: int) -> int:
    """How many events of some kinds are older than a moment. Raises JournalError."""
    query = f"SELECT count(*) FROM {_READ} WHERE {_EXPIRES}"  # noqa: S608 - values are parameters
    with _connected(path.parent) as connection:
        return _one(connection, query, {"path": literal_glob(str(path)), "kinds": list(kinds), "before": before})


def staying(path: Path, kinds: Collection[str], before: int) -> Iterator[list[Row]]:
    """The rows that `write_without` keeps, in their order. Raises JournalError."""
    where = f"WHERE NOT ({_EXPIRES})"
    return _rows(path, where, {"kinds": list(kinds), "before": before})


def rows(path: Path, writers: tuple[str, str] | None = None) -> Iterator[list[Row]]:
    """All rows in their order, or those of the writers from one to another. Raises JournalError when a piece is damaged."""
    if writers is None:
        return _rows(path, "", {})
    return _rows(path, "WHERE writer BETWEEN $first AND $last", {"first": writers[0], "last": writers[1]})


def _rows(path: Path, where: str, parameters: Parameters) -> Iterator[list[Row]]:
    with _connected(path.parent) as connection:
        query = f"SELECT writer, seq, {_LINE} FROM {_READ} {where}"  # noqa: S608 - our own text
        answer = connection.execute(query, {"path": literal_glob(str(path)), **parameters})
        while found := answer.fetchmany(_ROWS):
            yield [Row(writer, seq, line.encode()) for writer, seq, line in found]


def salvage(path: Path, footer: bytes, tmp: Path) -> Iterator[list[Row]]:
    """All rows that can still be read of a damaged file, and whose lines are whole, in their order."""
    import duckdb

    with _readable(path, footer, tmp) as copy, _connected(copy.parent) as connection:
        name = literal_glob(str(copy))
        try:
            count = _one(connection, "SELECT num_rows FROM parquet_file_metadata($path)", {"path": name})
        except duckdb.Error:
            return
        query = f"SELECT writer, seq, {_LINE} FROM {_NUMBERED}"  # noqa: S608 - our own text
        for first in range(0, min(count, _most_rows(path)), _GROUP):
            try:
                found = connection.execute(query, {"path": name, "first": first, "last": first + _GROUP}).fetchall()
            except duckdb.Error:
                continue
            yield [row for row in map(_row, found) if row is not None]


def _most_rows(path: Path) -> int:
    # A damaged number of rows must not keep us for ever: more than this many can't be in so many bytes.
    return path.stat().st_size * 64


def _row(found: tuple[str | None, int | None, str | None]) -> Row | None:
    writer, seq, text = found
    line = (text or "").encode()
    # The line's own checksum covers the writer and the number that it was rebuilt from.
    return Row(writer, seq, line) if writer is not None and seq is not None and is_whole(line) else None


@contextmanager
def _readable(path: Path, footer: bytes, tmp: Path) -> Iterator[Path]:
    """The file, or where its end is damaged a copy with the right one."""
    if not footer or footer_of(path) == footer:
        yield path
        return
    copy = tmp / f"archive-{new_id()}.parquet"
    descriptor = descriptors.open_descriptor(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        # Whoever reads need not hold the projection's lock; who holds that sweeps away what nobody holds.
        descriptors.try_lock(descriptor)
        shutil.copyfile(path, copy)
        with copy.open("r+b") as file:
            file.seek(max(0, path.stat().st_size - len(footer)))
            file.write(footer)
        yield copy
    finally:
        copy.unlink(missing_ok=True)
        descriptors.close_descriptor(descriptor)


def footer_of(path: Path) -> bytes:
    """The end of a Parquet file, which says where everything lies; empty when it has none. Raises OSError."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 8))
        end = file.read()
        length = int.from_bytes(end[:4], "little") + 8
        if end[4:] != b"PAR1" or length > size:
            return b""
        file.seek(size - length)
        return file.read()


def format_of(path: Path) -> str | None:
    """Which format a file says that it has; None when it can't be read. Raises JournalError."""
    import duckdb

    with _connected(path.parent) as connection:
        query = "SELECT decode(value) FROM parquet_kv_metadata($path) WHERE decode(key) = $sign"
        try:
            row = connection.execute(query, {"path": literal_glob(str(path)), "sign": _SIGN}).fetchone()
        except duckdb.Error:
            return None
        return str(row[0]) if row else None


def _one(connection: DuckDBPyConnection, query: str, parameters: Parameters) -> int:
    row = connection.execute(query, parameters).fetchone()
    return int(row[0]) if row else 0


@contextmanager
def _connected(*folders: Path, memory: int | None = None) -> Iterator[DuckDBPyConnection]:
    """A database in memory that reaches nothing but these folders. Raises JournalError for what DuckDB can't do."""
    with descriptors.importing():
        import duckdb

    # One thread keeps the order of the rows, and little in memory.
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": 1,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "python_enable_replacements": False,
        "temp_directory": "",
    }
    if memory is not None:
        config["memory_limit"] = f"{memory // 1_000_000 + 1}MB"
    connection = duckdb.connect(":memory:", config=config)
    try:
        reached = sorted({name for folder in folders for name in (str(folder), literal_glob(str(folder)))})
        connection.execute("SET allowed_directories = $folders", {"folders": reached})
        connection.execute("SET enable_external_access = false; SET lock_configuration = true")
        yield connection
    except duckdb.Error as error:
        raise _failed(folders, error) from error
    finally:
        connection.close()


def _failed(folders: Sequence[Path], error: Exception) -> JournalError:
    return JournalError(
        f"an archive can't be read or written: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
        where=str(folders[-1]),
        hint="free space or mend the permissions; `headwater verify` says whether it is damaged",
    )
