"""CSV files as sources: read with the options of the asset, never written. Their version is the hash of their content."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headwater.assets.location import parse_uri
from headwater.assets.protocols import Form, SqlRelation, Staged, Target
from headwater.core.globs import literal_glob
from headwater.errors import LocationError, MaterializationError
from headwater.materializers import staging as files
from headwater.materializers.convert import of_frame, only
from headwater.materializers.quoting import literal

if TYPE_CHECKING:
    import polars as pl

    from headwater.assets.partitions import Partition

READER_OPTIONS = frozenset(
    {
        "comment_prefix",
        "decimal_comma",
        "empty_string_is_null",
        "encoding",
        "eol_char",
        "has_header",
        "ignore_errors",
        "infer_schema",
        "infer_schema_length",
        "new_columns",
        "null_values",
        "quote_char",
        "schema",
        "schema_overrides",
        "separator",
        "skip_lines",
        "skip_rows",
        "skip_rows_after_header",
        "truncate_ragged_lines",
        "try_parse_dates",
    }
)
"""Options that an asset may give its CSV file: those of `polars.scan_csv` that say how the text is to be understood."""

_SQL_OPTIONS = frozenset({"separator", "quote_char", "has_header", "null_values"})
"""Those that DuckDB understands alike."""

_SQL_TYPES = {
    "Boolean": "BOOLEAN",
    "Float64": "DOUBLE",
    "Int64": "BIGINT",
    "Int128": "HUGEINT",
    "String": "VARCHAR",
}
"""What Polars finds in a file without being told, as DuckDB calls it."""


KEPT_AT_MOST = 256 << 20
"""Bytes of a file that is kept parsed when it is read again and again; greater ones are scanned each time."""


class ParsedFile:
    """The io source of a lazy frame over a file that was parsed before: a backfill reads it once for each partition."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def __call__(
        self, columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        """The rows asked for."""
        frame = self._frame if n_rows is None else self._frame.head(n_rows)
        frame = frame if predicate is None else frame.filter(predicate)
        yield only(frame, columns)


class _Reads:
    """How often one content of a file was asked for as a lazy frame, by its options, and what was parsed of it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.seen: set[str] = set()
        self.parsed: dict[str, pl.DataFrame] = {}


class CsvMaterializer:
    """Reads CSV files; an asset that a function makes is kept in another format."""

    def __init__(self) -> None:
        self._versions: files.FileCache[str] = files.FileCache()
        self._reads: files.FileCache[_Reads] = files.FileCache(limit=4)

    def stage(self, target: Target, partition: Partition | None, value: Any, *, version: str) -> Staged:
        """Raises LocationError: a CSV file is a source."""
        raise _read_only(target)

    def publish(self, target: Target, partition: Partition | None, staged: Staged) -> None:
        """Raises LocationError: a CSV file is a source."""
        raise _read_only(target)

    def load(self, target: Target, partitions: Sequence[Partition] | None, form: Form) -> Any:
        """The file's rows; a lazy frame scans it by its absolute path.

        Raises LocationError when there is no such file or it is not CSV, DefinitionError for an unknown option.
        """
        file = self._file(target, partitions)
        options = files.options_of(target, READER_OPTIONS)
        if not file.exists():
            hint = "put the file there, or change the asset's location"
            raise LocationError(f"there is no file of '{target.asset.name}'", where=str(file), hint=hint)
        if form == "path":
            return file
        with _reading(target, file):
            import polars as pl

            lazy = pl.scan_csv(file, glob=False, **options)
            if form == "sql" and set(options) <= _SQL_OPTIONS and _plain(options.get("null_values")):
                schema = lazy.collect_schema()
                known = _SQL_TYPES.keys() >= set(map(str, schema.values()))
                if known and len({name.lower() for name in schema}) == len(schema) and not _begins_empty(file):
                    return SqlRelation(select=_select(file, options, schema))
            if form in ("lazy", "any"):
                parsed = self._parsed(target, file, lazy, options)
                return lazy if parsed is None else parsed
            return of_frame(lazy.collect(), form)

    def _parsed(
        self, target: Target, file: Path, lazy: pl.LazyFrame, options: Mapping[str, Any]
    ) -> pl.LazyFrame | None:
        """The file as it was parsed before, from the second time on that the same content is asked for."""
        before = files.file_state(file)
        if before is None or before[1] > KEPT_AT_MOST:
            return None
        reads, key = self._reads.get(file, _Reads), repr(sorted(options.items()))
        with reads.lock:
            if key not in reads.seen:
                reads.seen.add(key)
                return None
            if key not in reads.parsed:
                frame = lazy.collect()
                if files.file_state(file) != before:
                    return None
                reads.parsed[key] = frame
            frame = reads.parsed[key]
        from polars.io.plugins import register_io_source

        return register_io_source(ParsedFile(frame), schema=frame.schema, explain_name=target.asset.name)

    def version(self, target: Target, partition: Partition | None) -> str | None:
        """The hash of the file's content, computed again only when the file looks changed."""
        file = self._file(target, None if partition is None or partition.key is None else [partition])
        if files.file_state(file) is None:
            return None
        with _reading(target, file):
            return self._versions.get(file, lambda: files.content_version(file))

    def discard(self, target: Target, version: str) -> None:
        """Does nothing: nothing is ever staged."""

    def _file(self, target: Target, partitions: Sequence[Partition] | None) -> Path:
        if target.partitioned or any(partition.key is not None for partition in partitions or ()):
            message = f"'{target.asset.name}' is a CSV file, which has no partitions"
            raise MaterializationError(message, hint="leave out its partitions, or keep it as parquet://")
        return parse_uri(target.asset.uri).resolve(target.root)


def _read_only(target: Target) -> LocationError:
    message = f"'{target.asset.name}' lies in a CSV file, which can only be read"
    return LocationError(message, where=target.asset.uri, hint="give the asset a location in parquet:// or duckdb://")


def _plain(null_values: object) -> bool:
    return null_values is None or isinstance(null_values, (str, list, tuple))


def _begins_empty(file: Path) -> bool:
    """Whether the first line is empty: Polars looks for the header behind it, and DuckDB takes it for the header."""
    with file.open("rb") as opened:
        return opened.read(4).removeprefix(b"\xef\xbb\xbf")[:1] in (b"\n", b"\r")


def _select(file: Path, options: Mapping[str, Any], schema: pl.Schema) -> str:
    """The file as a query: its columns are told, as DuckDB would guess otherwise where the fields end, what is a header, and which
    types there are: `01234` is a number in a frame, and would be a text in a query. It would also leave out lines that look to it
    like a title or a comment.
    """
    types = [_SQL_TYPES[str(dtype)] for dtype in schema.values()]
    quote = literal(options.get("quote_char", '"') or "")
    arguments = [
        literal(literal_glob(str(file))),
        f"delim = {literal(options.get('separator', ','))}",
        f"quote = {quote}",
        f"escape = {quote}",
        f"header = {str(options.get('has_header', True)).lower()}",
        f"names = [{', '.join(map(literal, schema))}]",
        f"types = [{', '.join(map(literal, types))}]",
        "comment = ''",
        "skip = 0",
    ]
    nulls = options.get("null_values")
    # To Polars an empty text in quotes is a text, and what is named as null is one in quotes, too.
    arguments.append(f"allow_quoted_nulls = {str(nulls is not None).lower()}")
    if nulls is not None:
        listed = [nulls] if isinstance(nulls, str) else list(nulls)
        # Polars takes an empty field for null besides; said alone, DuckDB would not.
        arguments.append(f"nullstr = [{', '.join(literal(value) for value in ['', *listed])}]")
    return f"SELECT * FROM read_csv({', '.join(arguments)})"  # noqa: S608 (literals)


@contextmanager
def _reading(target: Target, file: Path) -> Iterator[None]:
    import polars as pl

    try:
        yield
    except (pl.exceptions.PolarsError, OSError, UnicodeError) as error:
        message = f"the file of '{target.asset.name}' can't be read: {str(error).splitlines()[0]}"
        hint = "see the file, or give reader options in Asset(options={…})"
        raise LocationError(message, where=str(file), hint=hint) from error
