"""What the assets layer needs done and does not do itself: writing data, knowing the past, reading columns off a plan."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

from headwater.assets.events import AssetRef, ColumnSchema, UnknownColumn
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.assets.checks.history import PastVersion
    from headwater.assets.facts import Facts
    from headwater.assets.partitions import Partition

Form: TypeAlias = Literal["lazy", "eager", "arrow", "pandas", "relation", "path", "sql", "asset", "any"]
"""The forms in which an input can be asked for: polars.LazyFrame, polars.DataFrame, pyarrow.Table, pandas.DataFrame,
duckdb.DuckDBPyRelation, pathlib.Path, `SqlRelation`, the asset itself (not loaded, for use in `sql`; no materializer is
asked for it), or whatever the materializer keeps."""


RELATION_TABLE = "headwater_relation_"
"""What the names of tables behind DuckDB relations begin with that are handed out, each with a number of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An asset's place as a materializer needs to know it; made of the definition, or of the journal after a crash."""

    asset: AssetRef
    root: Path
    """The project's root: relative locations start there."""
    partitioned: bool = False
    partition_column: str | Mapping[str, str] | None = None
    """The column that names a row's partition; of a product, the column of each dimension."""
    time_column: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """Data that is written beside its place and not visible yet."""

    version: str
    staging: Mapping[str, Any]
    """JSON values that say where it is: the journal keeps them."""
    rows: int | None = None
    bytes: int | None = None
    columns: tuple[ColumnSchema, ...] = ()
    time_min: int | None = None
    """The least and greatest value of the time column, microseconds since the epoch, UTC (a date: the start of its day,
    for `time_max` the end of its day, in the partition's time zone or UTC)."""
    time_max: int | None = None
    frame: Callable[[], Any] = lambda: None
    """What checks look at: gives a polars.LazyFrame over the staged data (or the value itself where there is no frame)."""
    relation: SqlRelation | None = None
    """The same for a query, where an engine can read what was staged by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlRelation:
    """An input as SQL: a SELECT in DuckDB's dialect, and the database file that must be attached for it (if any).

    `{db}` in `select` stands for the quoted name under which the file gets attached.
    """

    select: str
    database: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlQuery:
    """A query to be executed inside the engine of the asset that it makes.

    In `text`, `{name}` stands for the input of that name; `inputs` gives each as a `SqlRelation`, or as a frame to register.
    """

    text: str
    inputs: Mapping[str, Any]


class Materializer(Protocol):
    """Writes and reads the data of assets; chosen by the scheme of the asset's URI."""

    def stage(self, target: Target, partition: Partition | None, value: Any, *, version: str) -> Staged:
        """Write the value beside its place, once. A lazy frame or a query is executed here.

        Raises ReturnTypeError when the value can't be stored, PartitionError when rows lie outside the partition,
        LocationError when the place can't be written.
        """
        ...

    def publish(self, target: Target, partition: Partition | None, staged: Staged) -> None:
        """Make staged data the current version, atomically and durably."""
        ...

    def load(self, target: Target, partitions: Sequence[Partition] | None, form: Form) -> Any:
        """The current data of these partitions (None: of the whole asset) in the form asked for."""
        ...

    def version(self, target: Target, partition: Partition | None) -> str | None:
        """The version that is in place now, read from the data itself; None when there is nothing."""
        ...

    def discard(self, target: Target, version: str) -> None:
        """Remove what `stage` wrote, or began to write, for this version; nothing happens when it is gone already.

        Called by whichever process finds that it will never be published: all that it has is the journal's intent.
        """
        ...


class Catalog(Protocol):
    """What is known of the past: the projection, as far as the assets layer needs it."""

    def facts(self, assets: Iterable[AssetRef] | None = None) -> Facts:
        """The facts of these assets and of everything upstream of them; of all when None."""
        ...

    def history(self, asset: AssetRef, *, before: int | None = None, limit: int = 100) -> Sequence[PastVersion]:
        """The versions of an asset that were published, the newest first; of one with partitions, the newest of each.

        `before` (microseconds since the epoch) leaves out partitions that begin then or later.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """Where a lazy plan starts: files, an io source (the callable itself), or columns in memory by buffer address."""

    paths: tuple[str, ...] = ()
    io_source: Any = None
    buffers: Mapping[str, int] = field(default_factory=dict)


class Held(NamedTuple):
    """A source whose columns a frame in memory holds: what it calls each of them, by the frame's own names.

    A column of the frame that is not among the names was put into it by somebody else.
    """

    source: Hashable
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanEdge:
    """A column edge whose source is still the key that `resolve` (or the schema given) answered with."""

    column: str | None
    source: Hashable
    source_column: str
    type: str
    subtype: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanLineage:
    """What a plan or a query says of its output: leaves found (None: one that nobody knows), edges, unknown columns."""

    sources: tuple[Hashable | None, ...]
    edges: tuple[PlanEdge, ...]
    unknown: tuple[UnknownColumn, ...]


class StatementLineage(Protocol):
    """Follows what the statements of a connection make of its tables."""

    @property
    def lost(self) -> bool:
        """Whether something happened to the connection that can't be followed: all is unknown from there on."""
        ...

    def table_of(self, statement: str) -> str | None:
        """The table or view that a statement makes or changes, as it is called afterwards; None of any other statement."""
        ...

    def executed(self, statement: str, columns: Sequence[ColumnSchema] = (), *, existed: bool = False) -> None:
        """A statement was executed, of whose table these are the columns now, and which `existed` before it."""
        ...

    def lose(self, what: str) -> None:
        """Something happened to the connection that can't be followed."""
        ...

    def of_query(self, query: str) -> PlanLineage:
        """The lineage of a query on the connection, as its tables are now."""
        ...


class ColumnLineage(Protocol):
    """Reads column lineage off plans and queries. Never guesses: what it does not understand is unknown."""

    def of_frame(self, frame: Any, resolve: Callable[[Leaf], Hashable | None]) -> PlanLineage:
        """The lineage of a polars.LazyFrame, from its plan, without executing it.

        `resolve` says which source a leaf is: several together are a frozenset, one with other names `Held`.
        """
        ...

    def leaves(self, frame: Any) -> Sequence[Leaf]:
        """Where a polars.LazyFrame starts, in a fixed order, without what is done to it."""
        ...

    def of_sql(
        self, text: str, tables: Mapping[str, tuple[Hashable, Sequence[ColumnSchema]]], *, dialect: str
    ) -> PlanLineage:
        """The lineage of a query over these tables (name in the query: source key, and schema)."""
        ...

    def script(self, tables: Mapping[str, tuple[Hashable, Sequence[ColumnSchema]]]) -> StatementLineage:
        """Follows the statements of a connection that was given these tables."""
        ...

    def buffers(self, frame: Any) -> Mapping[str, int]:
        """The columns of a polars.DataFrame by the address of their memory, to know it again as a leaf."""
        ...
