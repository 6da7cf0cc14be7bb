"""How column dependencies add up: kinds of edges, their combination along nested steps, and the trace of a column."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import field
from functools import cached_property, lru_cache
from typing import TypeAlias

from headwater.assets.events import UnknownColumn
from headwater.assets.protocols import PlanEdge, PlanLineage
from headwater.records import dataclass

Kind: TypeAlias = tuple[str, str]
"""An edge's type and subtype, in OpenLineage's words."""

Edge: TypeAlias = tuple[Hashable, str, Kind]
"""Source, column of that source, kind."""

IDENTITY: Kind = ("DIRECT", "IDENTITY")
TRANSFORMATION: Kind = ("DIRECT", "TRANSFORMATION")
AGGREGATION: Kind = ("DIRECT", "AGGREGATION")
JOIN: Kind = ("INDIRECT", "JOIN")
GROUP_BY: Kind = ("INDIRECT", "GROUP_BY")
FILTER: Kind = ("INDIRECT", "FILTER")
SORT: Kind = ("INDIRECT", "SORT")
WINDOW: Kind = ("INDIRECT", "WINDOW")
CONDITIONAL: Kind = ("INDIRECT", "CONDITIONAL")

_DIRECT = (IDENTITY, TRANSFORMATION, AGGREGATION)
_ORDER = (*_DIRECT, JOIN, GROUP_BY, FILTER, SORT, WINDOW, CONDITIONAL)


def named(words: str) -> frozenset[str]:
    """The words of a text, as a set of names.

    >>> sorted(named("sum mean"))
    ['mean', 'sum']
    """
    return frozenset(words.split())


def combine(outer: Kind, inner: Kind) -> Kind:
    """The kind of a dependency that goes through two steps, `outer` being the one nearer to the output.

    Direct steps take the stronger of the two; an indirect step makes the whole indirect, the outermost one naming it.

    >>> combine(AGGREGATION, IDENTITY)
    ('DIRECT', 'AGGREGATION')
    >>> combine(TRANSFORMATION, FILTER)
    ('INDIRECT', 'FILTER')
    >>> combine(SORT, WINDOW)
    ('INDIRECT', 'SORT')
    """
    if outer not in _DIRECT:
        return outer
    if inner not in _DIRECT:
        return inner
    return max(outer, inner, key=_DIRECT.index)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What a column (or a set of rows) is made of, and what could not be told about it."""

    edges: frozenset[Edge] = frozenset()
    unknown: frozenset[str] = frozenset()
    """Reasons; empty when all of it is known."""

    def through(self, kind: Kind) -> Trace:
        """This trace as seen behind one more step.

        >>> Trace(edges=frozenset({("orders", "amount", IDENTITY)})).through(FILTER).edges
        frozenset({('orders', 'amount', ('INDIRECT', 'FILTER'))})
        """
        if kind == IDENTITY:
            return self
        edges = frozenset((source, column, combine(kind, inner)) for source, column, inner in self.edges)
        return Trace(edges=edges, unknown=self.unknown)


NOTHING = Trace()
"""Made of no column: a literal, a row number."""


def merge(traces: Iterable[Trace]) -> Trace:
    """All traces as one.

    >>> merge([NOTHING, unknown("a lambda")]).unknown
    frozenset({'a lambda'})
    """
    found = list(traces)
    if found and all(each is found[0] for each in found):
        return found[0]
    return Trace(
        edges=frozenset().union(*(trace.edges for trace in found)),
        unknown=frozenset().union(*(trace.unknown for trace in found)),
    )


@lru_cache(maxsize=4096)
def of_source(source: Hashable, column: str) -> Trace:
    """The trace of a source's own column."""
    return Trace(edges=frozenset({(source, column, IDENTITY)}))


def unknown(reason: str) -> Trace:
    """The trace of something that can't be told."""
    return Trace(unknown=frozenset({reason}))


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A table on the way: its columns in order, and what its set of rows depends on.

    Two columns of a query may bear the same name, hence pairs.
    """

    columns: tuple[tuple[str, Trace], ...] = ()
    rows: Trace = field(default=NOTHING)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(name for name, _ in self.columns)

    @cached_property
    def by_name(self) -> Mapping[str, Trace]:
        """The columns by name; of two with the same name, the first."""
        return dict(reversed(self.columns))

    def without(self, unresolved: Collection[str]) -> Relation:
        """The same without these reasons for its rows: a source that nobody knows makes its own columns unknown, not all."""
        return Relation(
            columns=self.columns, rows=Trace(edges=self.rows.edges, unknown=self.rows.unknown - set(unresolved))
        )

    @property
    def everything(self) -> Trace:
        """All columns together."""
        return merge(trace for _, trace in self.columns)


def relation(columns: Mapping[str, Trace], rows: Trace = NOTHING) -> Relation:
    """A relation of distinctly named columns."""
    return Relation(columns=tuple(columns.items()), rows=rows)


def plan_lineage(result: Relation, sources: Sequence[Hashable | None]) -> PlanLineage:
    """The contract's value: edges column by column, then those of the whole output, each in a fixed order."""
    order = {source: number for number, source in enumerate(sources)}
    edges: list[PlanEdge] = []
    reasons: list[UnknownColumn] = []
    for name, trace in (*result.columns, (None, result.rows)):
        found = sorted(trace.edges, key=lambda edge: _rank(edge, order)) if len(trace.edges) > 1 else trace.edges
        edges += (_plan_edge(name, edge) for edge in found)
        reasons += (UnknownColumn(column=name, reason=reason) for reason in sorted(trace.unknown))
    if len(set(result.names)) < len(result.columns):
        edges, reasons = list(dict.fromkeys(edges)), list(dict.fromkeys(reasons))
    return PlanLineage(sources=tuple(sources), edges=tuple(edges), unknown=tuple(reasons))


def nothing_known(reason: str) -> PlanLineage:
    """The lineage of what could not be read at all."""
    return PlanLineage(sources=(None,), edges=(), unknown=(UnknownColumn(column=None, reason=reason),))


def _plan_edge(column: str | None, edge: Edge) -> PlanEdge:
    source, source_column, (type_, subtype) = edge
    return PlanEdge(column=column, source=source, source_column=source_column, type=type_, subtype=subtype)


def _rank(edge: Edge, order: Mapping[Hashable | None, int]) -> tuple[int, str, int]:
    source, column, kind = edge
    return order.get(source, len(order)), column, _ORDER.index(kind)
