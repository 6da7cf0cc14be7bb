"""Parquet files: one file, or a folder with one file for each partition.

`parquet://lake/x` is the file `lake/x.parquet`; with partitions it is the folder `lake/x/` with a file
`<partition key>.parquet` each, the key percent-encoded where a file name could not hold it. A location that ends in
`.parquet` is that very file. A file's footer says which version it is; a file that somebody else wrote has the hash of
its content as its version.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headwater.assets.events import ColumnSchema
from headwater.assets.location import parse_uri
from headwater.assets.protocols import Form, SqlRelation, Staged, Target
from headwater.errors import DefinitionError, LocationError
from headwater.materializers import staging as files
from headwater.materializers.convert import of_frame
from headwater.materializers.quoting import decode_key, encode_key
from headwater.materializers.uniting import united

if TYPE_CHECKING:
    import polars as pl

    from headwater.assets.partitions import Partition

_SUFFIX = ".parquet"


class ParquetMaterializer:
    """Keeps assets as Parquet files; a file appears in its place complete, by one rename."""

    def __init__(self) -> None:
        self._versions: files.FileCache[str] = files.FileCache()
        self._schemas: files.FileCache[pl.Schema] = files.FileCache()

    def stage(self, target: Target, partition: Partition | None, value: Any, *, version: str) -> Staged:
        """Write a table beside its place, once; a lazy frame is executed here.

        Raises ReturnTypeError for what is not a table, PartitionError, LocationError.
        """
        folder = self._file(target, partition).parent

        def described(schema: pl.Schema) -> tuple[ColumnSchema, ...]:
            # Who reads the file next need not open it to plan what to do with it.
            self._schemas.put(files.staged_path(folder, version), schema)
            return files.polars_columns(schema)

        return files.stage_frame(value, target, partition, folder=folder, version=version, columns=described)

    def publish(self, target: Target, partition: Partition | None, staged: Staged) -> None:
        """Move what was staged into its place; done twice, it does nothing more."""
        file = self._file(target, partition)
        source = files.staged_path(file.parent, staged.version)
        try:
            files.publish_file(source, file, target)
        except FileNotFoundError as error:
            if self.version(target, partition) == staged.version:
                return
            message = f"what was staged for '{target.asset.name}' is not there any more"
            raise LocationError(message, where=str(source), hint="materialize it again") from error
        self._schemas.move(source, file)
        self._versions.put(file, staged.version)

    def load(self, target: Target, partitions: Sequence[Partition] | None, form: Form) -> Any:
        """The data of these partitions, of those that exist; a lazy frame scans their files by absolute path.

        As "path": the file of one partition, the files of several as a tuple, the folder of all.
        Raises LocationError when there is nothing, or a file is not Parquet.
        """
        if form == "path" and partitions is None and target.partitioned:
            return self._folder(target)
        found = self.paths(target, partitions)
        if not found:
            where = str(self._folder(target))
            raise LocationError(f"there is no data of '{target.asset.name}'", where=where, hint="materialize it first")
        if form == "path":
            return found[0] if len(found) == 1 else found
        with _reading(target, found, partitions):
            if form == "sql" and not any(files.is_opaque(self._schema(file)) for file in found):
                return SqlRelation(select=self._select(target, found))
            lazy = self._scan(target, found)
            if form in ("lazy", "any"):
                return lazy
            return of_frame(lazy.collect(), form)

    def version(self, target: Target, partition: Partition | None) -> str | None:
        """The version in the file's footer, or the hash of its content when somebody else wrote it or it is damaged."""
        file = self._file(target, partition)
        state = files.file_state(file)
        if state is None:
            return None
        known = self._versions.known(file, (state,))
        if known is not None:
            return known
        with _reading(target, (file,), (partition,)):
            return self._versions.get(file, lambda: _read_version(file), state=(state,))

    def discard(self, target: Target, version: str) -> None:
        """Remove what was staged, or half of it, if it is still there."""
        folder = self._folder(target) if target.partitioned else self._file(target, None).parent
        files.discard_file(folder, version)

    def paths(self, target: Target, partitions: Sequence[Partition] | None) -> tuple[Path, ...]:
        """The absolute paths of the files of these partitions (None: of all) that exist, in the order of the partitions."""
        if partitions is None and target.partitioned:
            folder = self._folder(target)
            found = folder.glob(f"*{_SUFFIX}") if folder.is_dir() else ()
            return tuple(sorted(file for file in found if not file.name.startswith(".")))
        wanted = [self._file(target, partition) for partition in (partitions or (None,))]
        return tuple(file for file in wanted if file.exists())

    def partition_key(self, path: Path) -> str:
        """The key of the partition whose file this is.

        >>> ParquetMaterializer().partition_key(Path("/lake/flights/a%2Fb.parquet"))
        'a/b'
        """
        return decode_key(path.name.removesuffix(_SUFFIX))

    def _folder(self, target: Target) -> Path:
        return _place(target.asset.uri, target.root)

    def _file(self, target: Target, partition: Partition | None) -> Path:
        if target.partitioned and self._folder(target).name.endswith(_SUFFIX):
            message = f"'{target.asset.name}' has partitions, and its location is a single file"
            raise DefinitionError(message, where=target.asset.uri, hint=f"leave '{_SUFFIX}' out: it becomes a folder")
        files.check_partition(target, partition)
        return _file_of(target.asset.uri, target.root, files.key_of(partition))

    def _scan(self, target: Target, found: Sequence[Path]) -> pl.LazyFrame:
        import polars as pl

        if len(found) == 1 and not target.partitioned:
            return files.scan(found[0], self._schemas.known(found[0], (files.file_state(found[0]),)))
        schemas = {file: self._schema(file) for file in found}
        if not any(schemas.values()):
            schemas |= self._elsewhere(target)
        first = schemas[found[0]]
        if len(schemas) == 1:
            return files.scan(found[0], first)
        if all(schema == first for schema in schemas.values()):
            return pl.scan_parquet(list(found), glob=False, hive_partitioning=False)
        casts = pl.ScanCastOptions(integer_cast="upcast", float_cast="upcast", missing_struct_fields="insert")
        known = united(target, schemas)
        return pl.scan_parquet(
            list(found),
            glob=False,
            hive_partitioning=False,
            schema=known,
            missing_columns="insert",
            cast_options=casts,
        )

    def _select(self, target: Target, found: Sequence[Path]) -> str:
        # DuckDB opens no file without columns: such has no rows either.
        filled = [file for file in found if self._schema(file)]
        if len(filled) > 1:
            # DuckDB would find some type for columns that are of several: text of numbers, half a float of a whole number.
            united(target, {file: self._schema(file) for file in filled})
        if filled or not target.partitioned:
            return files.select(filled or found)
        return f"{files.select(tuple(self._elsewhere(target)) or found)} LIMIT 0"

    def _schema(self, file: Path) -> pl.Schema:
        return self._schemas.get(file, partial(_read_schema, file))

    def _elsewhere(self, target: Target) -> dict[Path, pl.Schema]:
        """The newest partition that has columns, which rows made of nothing, such as an empty list, have not."""
        for file in reversed(self.paths(target, None)):
            if schema := self._schema(file):
                return {file: schema}
        return {}


@lru_cache(maxsize=4_096)
def _file_of(uri: str, root: Path, key: str | None) -> Path:
    place = _place(uri, root)
    if key is not None:
        return place / f"{encode_key(key)}{_SUFFIX}"
    return place if place.name.endswith(_SUFFIX) else place.with_name(place.name + _SUFFIX)


@lru_cache(maxsize=65_536)
def _place(uri: str, root: Path) -> Path:
    return parse_uri(uri).resolve(root)


def _read_schema(file: Path) -> pl.Schema:
    return files.scan(file).collect_schema()


def _read_version(file: Path) -> str:
    import polars as pl

    try:
        stored = pl.read_parquet_metadata(file).get(files.VERSION)
    except pl.exceptions.ComputeError:
        # Who reads a damaged file is told. It has a version all the same, or nothing could take its place.
        stored = None
    return stored if stored is not None else files.content_version(file)


@contextmanager
def _reading(target: Target, found: Sequence[Path], partitions: Sequence[Partition | None] | None) -> Iterator[None]:
    import polars as pl

    try:
        yield
    except (pl.exceptions.ComputeError, OSError) as error:
        from headwater.assets.selection_syntax import making

        message = f"the data of '{target.asset.name}' can't be read: {str(error).splitlines()[0]}"
        single = len(found) == 1
        one = partitions[0] if target.partitioned and partitions is not None and len(partitions) == 1 else None
        part = one.definition.write(one.key) if one is not None and one.definition is not None else None
        hint = f"make it again ({making(target.asset.name, part)}), or put a sound file in its place"
        raise LocationError(message, where=str(found[0] if single else found[0].parent), hint=hint) from error
