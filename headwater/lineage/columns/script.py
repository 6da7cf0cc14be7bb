"""Column lineage through the statements of a connection: tables and views that a query is made of by way of others."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import field

from headwater.assets.events import ColumnSchema
from headwater.assets.protocols import PlanLineage
from headwater.assets.sql import quoted
from headwater.lineage.columns.algebra import NOTHING, Trace, merge, nothing_known, plan_lineage, relation
from headwater.lineage.columns.queries import of_sql
from headwater.lineage.columns.sql_tables import Tables, bare
from headwater.lineage.columns.statements import Changed, Dropped, Made, Renamed, Transaction, effect_of, table_of
from headwater.records import dataclass


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
    _before: dict[str, _Made] = field(default_factory=dict)
    """What was made when the transaction began."""
    _lost: str | None = None

    @property
    def lost(self) -> bool:
        """Whether something happened to the connection that can't be followed: all is unknown from there on."""
        return self._lost is not None

    @staticmethod
    def table_of(statement: str) -> str | None:
        """The table or view that a statement makes or changes, as it is called afterwards; None of any other statement."""
        return table_of(bare(statement, dialect="duckdb"))

    def lose(self, what: str) -> None:
        """Something happened to the connection that can't be followed."""
        self._lost = self._lost or f"the connection executed {what}, which is not understood"

    def executed(self, statement: str, columns: Sequence[ColumnSchema] = (), *, existed: bool = False) -> None:
        """A statement was executed, of whose table these are the columns now, and which `existed` before it."""
        effect = effect_of(bare(statement, dialect="duckdb"), [column.name for column in columns])
        match effect:
            case None:
                self.lose(f"'{' '.join(statement.split())[:60]}'")
            case Made():
                if not (effect.if_missing and existed):
                    self._make(effect, tuple(columns))
            case Changed():
                before = self.of_query(f"SELECT * FROM {quoted(effect.table)}")  # noqa: S608 - read, never executed
                self._put(effect.table, tuple(columns), [before, *map(self.of_query, effect.queries)])
            case Renamed():
                before = self.of_query(f"SELECT * FROM {quoted(effect.before)}")  # noqa: S608
                self._put(effect.now, tuple(columns), [before])
                self._made.pop(effect.before, None)
            case Dropped():
                for name in effect.tables:
                    self._made.pop(name, None)
            case Transaction(word):
                self._transaction(word)

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

    def _make(self, made: Made, columns: tuple[ColumnSchema, ...]) -> None:
        if made.view:
            self._made[made.table] = _Made(columns=columns, view=made.query)
        else:
            self._put(made.table, columns, [] if made.query is None else [self.of_query(made.query)])

    def _put(self, name: str, columns: tuple[ColumnSchema, ...], found: Sequence[PlanLineage]) -> None:
        together = PlanLineage(
            sources=tuple(dict.fromkeys(source for each in found for source in each.sources)),
            edges=tuple(dict.fromkeys(edge for each in found for edge in each.edges)),
            unknown=tuple(dict.fromkeys(one for each in found for one in each.unknown)),
        )
        self._made[name] = _Made(columns=columns, lineage=_fitting(together, columns))

    def _transaction(self, word: str) -> None:
        if word == "BEGIN":
            self._before = dict(self._made)
        elif word == "ROLLBACK":
            self._made = self._before


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
