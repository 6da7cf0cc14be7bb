"""Column lineage of a query: read off its text, and in DuckDB's dialect held against DuckDB's own bound plan."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from functools import lru_cache
from typing import TypeAlias

from headwater.assets.events import ColumnSchema
from headwater.assets.protocols import PlanLineage
from headwater.lineage.columns import duckdb_plan, sqlglot_walk
from headwater.lineage.columns.algebra import nothing_known
from headwater.lineage.columns.sql_tables import Names, Tables, bare

_Given: TypeAlias = tuple[tuple[str, Hashable, tuple[ColumnSchema, ...]], ...]


def of_sql(text: str, tables: Tables, *, dialect: str) -> PlanLineage:
    """The column lineage of one query; `tables` gives source key and schema by the name that the query uses.

    The text says more exactly than a plan which part of the output a nested query acts on, so it is read first. Where
    it leaves something unknown, or where DuckDB sees a column behind an output that the text did not show, the plan holds.
    """
    text = bare(text, dialect=dialect)
    return _read(text, tuple((name, source, tuple(columns)) for name, (source, columns) in tables.items()), dialect)


@lru_cache(maxsize=256)
def _read(text: str, given: _Given, dialect: str) -> PlanLineage:
    """Kept, because the same query makes each partition of an asset."""
    tables = {name: (source, columns) for name, source, columns in given}
    names = Names(dialect)
    for name, _, columns in given:
        if len({names(column.name) for column in columns}) < len(columns):
            # The engine gives all but the first of them other names: those of the text would be taken for the wrong ones.
            reason = f"columns of '{name}' have names that differ only in case"
            return replace(nothing_known(reason), sources=tuple(source for _, source, _ in given))
    written = sqlglot_walk.of_sql(text, tables, dialect=dialect)
    planned = duckdb_plan.of_sql(text, tables) if dialect == "duckdb" else None
    if planned is None or planned.unknown:
        return written
    return planned if written.unknown or _shows_more(planned, written) else written


def _shows_more(planned: PlanLineage, written: PlanLineage) -> bool:
    """Whether a column is behind an output's values that the other lineage does not name for it."""
    named = {(edge.column, edge.source, edge.source_column) for edge in written.edges}
    return any(
        edge.type == "DIRECT" and (edge.column, edge.source, edge.source_column) not in named for edge in planned.edges
    )
