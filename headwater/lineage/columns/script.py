"""Column lineage through the statements of a connection: tables and views that a query is made of by way of others."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import field

from headwater.assets.events import ColumnSchema
from headwater.assets.protocols import PlanLineage
from headwater.lineage.columns.algebra import NOTHING, Trace, merge, nothing_known, plan_lineage, relation
from headwater.lineage.columns.duckdb_types import quoted
from headwater.lineage.columns.queries import of_sql
from headwater.lineage.columns.sql_tables import Tables, bare
from headwater.records import dataclass

_NAME = r'(?P<name>"(?:[^"]|"")+"|[A-Za-z_]\w*)'
_CREATE = re.compile(
    rf"\s*CREATE\s+(?P<replace>OR\s+REPLACE\s+)?(?P<kind>TABLE|VIEW)\s+{_NAME}\s+AS\s+(?P<query>.+)", re.I | re.S
)
_DECLARE = re.compile(rf"\s*CREATE\s+TABLE\s+{_NAME}\s*\((?P<columns>.+)\)\s*", re.I | re.S)
_INSERT = re.compile(
    rf"\s*INSERT\s+INTO\s+{_NAME}\s*(?:\((?P<columns>[^()]*)\))?\s+(?P<named>BY\s+NAME\s+)?(?P<query>(?:SELECT|FROM|WITH|VALUES)\b.+)",
    re.I | re.S,
)
_DROP = re.compile(rf"\s*DROP\s+(?:TABLE|VIEW)\s+(?:IF\s+EXISTS\s+)?{_NAME}\s*", re.I)
_HARMLESS = re.compile(
    r"\s*(?:SELECT|FROM|WITH|VALUES|PIVOT|UNPIVOT|SUMMARIZE|DESCRIBE|SHOW|EXPLAIN|"
    r"SET\s+(?!VARIABLE|SCHEMA|SEARCH_PATH)(?:(?:GLOBAL|SESSION|LOCAL)\s+)?(?!SCHEMA|SEARCH_PATH)\w+\s*(?:=|TO))\b",
    re.I,
)
"""Statements that change no table that is known here; WITH in front of an INSERT is seen by `_changes`."""
_CHANGES = re.compile(r"\b(?:INSERT|UPDATE|DELETE|MERGE|CREATE|TRUNCATE)\b", re.I)
_MADE_BY_EXPRESSION = re.compile(r"\b(?:AS|DEFAULT|GENERATED)\b", re.I)


@dataclass(frozen=True, slots=True)
class _Key:
    """Stands for a table or a view of the connection where a source stands otherwise."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    columns: tuple[ColumnSchema, ...]
    lineage: PlanLineage | None = None
    view: str | None = None
    """The query of a view: it reads what its tables hold when it is asked."""


@dataclass(slots=True)
class Script:
    """What the statements of one connection, in their order, have made of the tables that it was given.

    A statement that is not understood leaves everything after it unknown.

    >>> given = {"orders": ("orders", [ColumnSchema(name="amount", type="DOUBLE")])}
    >>> script = Script(given)
    >>> script.executed("CREATE TABLE twice AS SELECT amount * 2 AS a FROM orders", [ColumnSchema(name="a", type="DOUBLE")])
    >>> [(edge.column, edge.source, edge.source_column) for edge in script.of_query("SELECT max(a) AS top FROM twice").edges]
    [('top', 'orders', 'amount')]
    """

    given: Tables
    _made: dict[str, _Made] = field(default_factory=dict)
    _lost: str | None = None

    @property
    def lost(self) -> bool:
        """Whether something happened to the connection that can't be followed: all is unknown from there on."""
        return self._lost is not None

    @staticmethod
    def table_of(statement: str) -> str | None:
        """The table or view that a statement makes or changes, as it is written; None of any other statement."""
        statement = bare(statement, dialect="duckdb")
        found = _CREATE.fullmatch(statement) or _DECLARE.fullmatch(statement) or _INSERT.fullmatch(statement)
        return None if found is None else found["name"]

    def lose(self, what: str) -> None:
        """Something happened to the connection that can't be followed."""
        self._lost = self._lost or f"the connection executed {what}, which is not understood"

    def executed(self, statement: str, columns: Sequence[ColumnSchema] = ()) -> None:
        """A statement was executed; `columns` are those of its table, of which it has made or changed something."""
        statement = bare(statement, dialect="duckdb")
        if created := _CREATE.fullmatch(statement):
            self._create(created, tuple(columns))
        elif (declared := _DECLARE.fullmatch(statement)) and not _MADE_BY_EXPRESSION.search(declared["columns"]):
            self._put(
                declared["name"], _Made(columns=tuple(columns), lineage=PlanLineage(sources=(), edges=(), unknown=()))
            )
        elif inserted := _INSERT.fullmatch(statement):
            self._insert(inserted, tuple(columns))
        elif dropped := _DROP.fullmatch(statement):
            self._made.pop(_folded(dropped["name"]), None)
        elif not _HARMLESS.match(statement) or _CHANGES.search(statement):
            self.lose(f"'{' '.join(statement.split())[:60]}'")

    def of_query(self, query: str) -> PlanLineage:
        """The column lineage of a query on this connection, as its tables are now."""
        if self._lost is not None:
            return nothing_known(self._lost)
        text = query.lower()
        made = {name: one for name, one in self._made.items() if name.replace('"', '""') in text}
        tables: dict[str, tuple[Hashable, Sequence[ColumnSchema]]] = dict(self.given)
        tables |= {name: (_Key(name), one.columns) for name, one in made.items()}
        return _composed(of_sql(query, tables, dialect="duckdb"), {_Key(name): self._of_table(name) for name in made})

    def _of_table(self, name: str) -> PlanLineage:
        made = self._made[name]
        if made.view is None:
            assert made.lineage is not None
            return made.lineage
        # A view that names itself would never end.
        del self._made[name]
        try:
            return self.of_query(made.view)
        finally:
            self._made[name] = made

    def _create(self, created: re.Match[str], columns: tuple[ColumnSchema, ...]) -> None:
        if created["kind"].upper() == "VIEW":
            self._put(created["name"], _Made(columns=columns, view=created["query"]))
        else:
            lineage = _fitting(self.of_query(created["query"]), columns)
            self._put(created["name"], _Made(columns=columns, lineage=lineage))

    def _insert(self, inserted: re.Match[str], columns: tuple[ColumnSchema, ...]) -> None:
        query, table = inserted["query"], inserted["name"]
        if not inserted["named"]:
            listed = inserted["columns"] or ", ".join(quoted(column.name) for column in columns)
            query = f"SELECT * FROM (\n{query}\n) AS headwater_new({listed})"  # noqa: S608 - it is read, never executed
        before, new = self.of_query(f"SELECT * FROM {table}"), self.of_query(query)  # noqa: S608
        together = PlanLineage(
            sources=tuple(dict.fromkeys((*before.sources, *new.sources))),
            edges=tuple(dict.fromkeys((*before.edges, *new.edges))),
            unknown=tuple(dict.fromkeys((*before.unknown, *new.unknown))),
        )
        self._put(table, _Made(columns=columns, lineage=_fitting(together, columns)))

    def _put(self, name: str, made: _Made) -> None:
        self._made[_folded(name)] = made


def _folded(name: str) -> str:
    return (name[1:-1].replace('""', '"') if name.startswith('"') else name).lower()


def _fitting(lineage: PlanLineage, columns: tuple[ColumnSchema, ...]) -> PlanLineage:
    """The lineage of a table of these columns; nothing is known when it speaks of others, for then names were read wrongly."""
    named = {edge.column for edge in lineage.edges} | {one.column for one in lineage.unknown}
    wrong = named - {column.name for column in columns} - {None}
    return nothing_known(f"a table's columns were not understood: {sorted(map(str, wrong))[0]}") if wrong else lineage


def _composed(plan: PlanLineage, made: Mapping[Hashable, PlanLineage]) -> PlanLineage:
    """A query's lineage with that of the tables which were made on the way put in their place."""
    if not any(source in made for source in plan.sources):
        return plan
    inner = {key: _traces(lineage) for key, lineage in made.items()}
    found: dict[str | None, list[Trace]] = {}
    for edge in plan.edges:
        kind = (edge.type, edge.subtype)
        if edge.source in inner:
            trace = inner[edge.source].get(edge.source_column, NOTHING).through(kind)
        else:
            trace = Trace(edges=frozenset({(edge.source, edge.source_column, kind)}))
        found.setdefault(edge.column, []).append(trace)
    for one in plan.unknown:
        found.setdefault(one.column, []).append(Trace(unknown=frozenset({one.reason})))
    rows = [inner[source].get(None, NOTHING) for source in plan.sources if source in inner]
    whole = merge([*found.pop(None, []), *rows])
    columns = {name: merge(traces) for name, traces in found.items() if name is not None}
    sources = (of for each in plan.sources for of in (made[each].sources if each in made else (each,)))
    return plan_lineage(relation(columns, whole), tuple(dict.fromkeys(sources)))


def _traces(lineage: PlanLineage) -> dict[str | None, Trace]:
    """What each column (None: every row) is made of."""
    found: dict[str | None, list[Trace]] = {}
    for edge in lineage.edges:
        trace = Trace(edges=frozenset({(edge.source, edge.source_column, (edge.type, edge.subtype))}))
        found.setdefault(edge.column, []).append(trace)
    for one in lineage.unknown:
        found.setdefault(one.column, []).append(Trace(unknown=frozenset({one.reason})))
    return {name: merge(traces) for name, traces in found.items()}
