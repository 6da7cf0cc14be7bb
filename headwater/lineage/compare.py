"""Whether a projection says what the journal says: table by table, every column of every row."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from headwater.core.long_work import working
from headwater.lineage.statements import script
from headwater.records import dataclass

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TABLES = (*re.findall(r"CREATE TABLE (facts\.\w+)", script("schema.sql")), "state.latest")
"""The tables whose content follows from the events alone; positions depend on how far was read."""

OUTLINES = (
    "state.outlines", "state.reads", "state.keys", "state.pairs", "state.policies", "state.clocks",
    "state.declared", "state.told_edges", "state.told_column_edges",
)  # fmt: skip
"""The tables whose content follows from the others, once nothing is pending."""

_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that `verify` found.

    `kind` is journal (damage of the journal), outbox (of a destination's position or dead letters), damage (of the file),
    missing or extra (rows, held against the journal), or held (the file could not be compared: another program has it
    open, or the home is not writable).
    """

    kind: str
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


def content(connection: DuckDBPyConnection, table: str, database: str = "") -> tuple[int, int]:
    """The number of rows of a table and a hash over every column of all of them, whatever their order."""
    name = f"{database}.{table}" if database else table
    row = connection.execute(
        f"SELECT count(*), coalesce(sum(hash(whole)::HUGEINT), 0) FROM {name} AS whole"  # noqa: S608 - names of ours
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def graph_hash(connection: DuckDBPyConnection) -> dict[str, tuple[int, int]]:
    """`content` of all tables: equal for two projections of the same events."""
    return {table: content(connection, table) for table in TABLES}


def compare(connection: DuckDBPyConnection, fresh: Path) -> list[Problem]:
    """What differs between a projection and the one in `fresh`, which was made anew from the journal, with its outlines."""
    import duckdb

    path = str(fresh).replace("'", "''")
    connection.execute(f"ATTACH '{path}' AS fresh (READ_ONLY)")
    problems: list[Problem] = []
    pending = connection.execute("FROM state.pending LIMIT 1").fetchone()
    tables = TABLES if pending else (*TABLES, *OUTLINES)
    with working("comparing the projection with the journal", "tables", len(tables)) as work:
        for table in tables:
            try:
                if content(connection, table) != content(connection, table, "fresh"):
                    problems += _differences(connection, table)
            except duckdb.Error as error:
                problems.append(Problem(kind="damage", where=table, text=str(error).splitlines()[0]))
            work.go(1)
    return problems


def _differences(connection: DuckDBPyConnection, table: str) -> list[Problem]:
    sides = (
        ("missing", f"FROM fresh.{table} EXCEPT ALL FROM {table}", "the journal has it, the projection does not"),
        ("extra", f"FROM {table} EXCEPT ALL FROM fresh.{table}", "the projection has it, the journal does not"),
    )
    found: list[Problem] = []
    for kind, query, meaning in sides:
        sql = f"SELECT left(CAST(to_json(odd) AS VARCHAR), 2000), count(*) OVER () FROM ({query}) AS odd LIMIT {_SHOWN}"  # noqa: S608
        rows = connection.execute(sql).fetchall()
        found += [Problem(kind=kind, where=table, text=f"{meaning}: {row}") for row, _ in rows]
        if rows and rows[0][1] > _SHOWN:
            found.append(Problem(kind=kind, where=table, text=f"{rows[0][1] - _SHOWN} more rows like that"))
    return found
