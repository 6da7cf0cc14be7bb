"""The tables of a query: which of them are known, under which name, with which columns."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import sqlglot
from sqlglot import Dialect, MappingSchema, exp
from sqlglot.dialects.dialect import NormalizationStrategy
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import traverse_scope

from headwater.assets.events import ColumnSchema
from headwater.records import dataclass

Tables = Mapping[str, tuple[Hashable, Sequence[ColumnSchema]]]


def bare(text: str, *, dialect: str) -> str:
    """One statement without the semicolons and comments after it, which not every reader takes for its end.

    >>> bare("SELECT ';' AS a; -- all of them", dialect="duckdb")
    "SELECT ';' AS a"
    """
    try:
        tokens = sqlglot.tokenize(text, read=dialect)
    except SqlglotError:
        return text
    while tokens and tokens[-1].token_type.name == "SEMICOLON":
        tokens.pop()
    return text[: tokens[-1].end + 1] if tokens else text


class Names:
    """How a dialect compares names that exist: as the engine folds them, not as a query writes them."""

    def __init__(self, dialect: str) -> None:
        self._strategy = Dialect.get_or_raise(dialect).normalization_strategy
        self.as_written = self._strategy in {
            NormalizationStrategy.CASE_INSENSITIVE,
            NormalizationStrategy.CASE_INSENSITIVE_UPPERCASE,
        }
        """Whether an alias keeps the case that it was written in, quoted or not."""

    def __call__(self, name: str) -> str:
        """The form in which sqlglot's normalization leaves a reference to this name."""
        if self._strategy is NormalizationStrategy.CASE_INSENSITIVE:
            return name.lower()
        if self._strategy is NormalizationStrategy.CASE_INSENSITIVE_UPPERCASE:
            return name.upper()
        return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A known table: its source key, its columns' own names by the form in which the query has them, and its schema."""

    source: Hashable
    columns: Mapping[str, str]
    schema: tuple[ColumnSchema, ...]


class KnownTables:
    """Puts names of our own in place of the known tables', so that dotted names and reserved words don't matter."""

    def __init__(self, tables: Tables, dialect: str) -> None:
        self.names = Names(dialect)
        self._given = {
            name.lower(): Place(
                source=source,
                columns={self.names(column.name): column.name for column in columns},
                schema=tuple(columns),
            )
            for name, (source, columns) in tables.items()
        }
        self._dialect = dialect
        self._places: dict[str, Place] = {}

    def rename(self, tree: exp.Expr) -> None:
        """Rename the known tables of a query, in place; the name that it used becomes the alias."""
        written: set[tuple[str, str]] = set()
        for table in _real_tables(tree):
            place = self._given.get(_dotted(table).lower()) or self._given.get(self._plain(table))
            if place is None:
                continue
            if table.db:
                written.add((table.db.lower(), table.name.lower()))
            self._places[own := f"_headwater_{len(self._places)}"] = place
            if not table.alias:
                table.set("alias", exp.TableAlias(this=table.this.copy()))
            for part in ("db", "catalog"):
                table.set(part, None)
            table.set("this", exp.to_identifier(own, quoted=True))
        for column in tree.find_all(exp.Column):
            if (column.db.lower(), column.table.lower()) in written:
                column.set("db", None)
                column.set("catalog", None)

    def _plain(self, table: exp.Table) -> str:
        """The name alone, of a table where such names are looked up; the same name elsewhere is another table."""
        database, schema = table.catalog.lower(), table.db.lower()
        if not database and schema in _DATABASES and self._dialect == "duckdb":
            database, schema = schema, ""
        return table.name.lower() if schema in _DEFAULTS and database in ("", *_DATABASES) else ""

    def place(self, table: exp.Table) -> Place | None:
        """The known table that a table node of the renamed query stands for."""
        return self._places.get(table.name)

    def schema(self) -> MappingSchema:
        """The columns of the renamed tables, for sqlglot."""
        columns: dict[str, object] = {
            own: dict.fromkeys(place.columns, "unknown") for own, place in self._places.items()
        }
        return MappingSchema(columns, dialect=self._dialect, normalize=False)

    def declared(self) -> dict[str, Sequence[ColumnSchema]]:
        """The renamed tables with their columns as given."""
        return {own: place.schema for own, place in self._places.items()}

    def column_names(self) -> dict[str, str]:
        """The columns' own names by the form in which the query has them."""
        return {key: name for place in self._places.values() for key, name in place.columns.items()}


def _dotted(table: exp.Table) -> str:
    return ".".join(part.name for part in table.parts)


_DEFAULTS = frozenset({"", "main", "public", "dbo"})
"""Schemas in which engines look for names without one: DuckDB, PostgreSQL, SQL Server."""
_DATABASES = ("memory", "temp")
"""DuckDB's own, which can stand in the place of a schema."""


def _real_tables(tree: exp.Expr) -> list[exp.Table]:
    """Tables in the order of the text, without references to CTEs."""
    found = {
        id(source): source
        for scope in traverse_scope(tree)
        for source in scope.sources.values()
        if isinstance(source, exp.Table) and isinstance(source.this, exp.Identifier)
    }
    return [table for table in tree.find_all(exp.Table) if id(table) in found]
