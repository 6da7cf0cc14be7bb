"""Column lineage of a query from DuckDB's own bound plan: every operator's output by position, from its inputs' outputs.

It knows what the text alone does not say: COLUMNS(), the fields of a struct, lateral queries. DuckDB writes a correlated
query as a join, so what such a query reads may count for the whole output where the text says one column.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeAlias

import duckdb

from headwater.assets.protocols import PlanLineage
from headwater.lineage.columns.algebra import (
    FILTER,
    GROUP_BY,
    IDENTITY,
    JOIN,
    NOTHING,
    SORT,
    TRANSFORMATION,
    Relation,
    Trace,
    merge,
    of_source,
    plan_lineage,
    unknown,
)
from headwater.lineage.columns.duckdb_bound import Bound, bound
from headwater.lineage.columns.duckdb_expressions import Node, function_name, nested, ordered, read, read_all
from headwater.lineage.columns.sql_tables import Tables

VERSIONS = ("2.0.",)
"""Versions of DuckDB whose plans mean what this module takes them to mean."""

_ROUNDS = 50
"""A recursive query's columns settle in as many rounds as they depend on each other in a chain."""

Columns: TypeAlias = tuple[Trace, ...]


def of_sql(text: str, tables: Tables) -> PlanLineage | None:
    """The lineage of a query in DuckDB's dialect over these tables; None when DuckDB can't bind it or show its plan."""
    if not duckdb.__version__.startswith(VERSIONS):
        return None
    found = bound(text, {name: columns for name, (_, columns) in tables.items()})
    if found is None or found.plan is None:
        return None
    try:
        return _of_bound(found, found.plan, tables)
    except (KeyError, TypeError, ValueError, IndexError, RecursionError):
        return None


def _of_bound(found: Bound, plan: Node, tables: Tables) -> PlanLineage | None:
    walk = _Walk(tables)
    output = walk.output(plan)
    if len(output.columns) != len(found.names):
        return None
    columns = tuple((name, trace) for name, (_, trace) in zip(found.names, output.columns, strict=True))
    return plan_lineage(Relation(columns=columns, rows=output.rows), tuple(walk.sources))


def _positions(columns: Sequence[Trace], rows: Trace) -> Relation:
    return Relation(columns=tuple(("", each) for each in columns), rows=rows)


def _traces(relation: Relation) -> Columns:
    return tuple(trace for _, trace in relation.columns)


def _mapped(columns: Columns, kept: Sequence[int]) -> Columns:
    return tuple(columns[position] for position in kept) if kept else columns


class _Walk:
    """One walk over one plan."""

    def __init__(self, tables: Tables) -> None:
        self._tables = {name.lower(): given for name, given in tables.items()}
        self._shared: dict[int, Relation] = {}
        self.sources: dict[Hashable, None] = {}

    def output(self, node: Node) -> Relation:
        """What an operator gives."""
        handler = _HANDLERS.get(node["type"])
        strange = (name for name in node if name not in _READ and any(nested({name: node[name]})))
        if handler is None or any(strange):
            raise ValueError(f"the operator {node['type']}")
        return handler(self, node)

    def _inputs(self, node: Node) -> list[Relation]:
        return [self.output(each) for each in node.get("children", ())]

    def _input(self, node: Node) -> Relation:
        (only,) = self._inputs(node)
        return only

    def get(self, node: Node) -> Relation:
        if node.get("children"):
            return self._table_function(node)
        table = node.get("function_data", {}).get("table")
        if function_name(node) != "seq_scan" or table is None:
            name = function_name(node)
            made = unknown(f"the table function {name}") if name not in _MADE_UP else NOTHING
            return _positions([made] * len(node.get("column_indexes", ())), NOTHING)
        source, schema = self._tables[table.lower()]
        self.sources[source] = None
        own = {column.name.lower(): column.name for column in schema}
        columns = [self._of_table(source, node, each.get("index", 0), own) for each in node.get("column_indexes", ())]
        return _positions(_mapped(tuple(columns), node.get("projection_ids", ())), NOTHING)

    def _of_table(self, source: Hashable, node: Node, index: int, own: dict[str, str]) -> Trace:
        """A column of a table; positions beyond them are DuckDB's own, such as the row's number."""
        names = node["names"]
        return of_source(source, own[names[index].lower()]) if index < len(names) else NOTHING

    def _table_function(self, node: Node) -> Relation:
        """A function of each row: what it gives is made of all its arguments, and so is how often the row comes out."""
        given = self._input(node)
        columns, passed = _traces(given), node.get("projected_input", ())
        arguments = merge(each for at, each in enumerate(columns) if at not in passed)
        made = [arguments.through(TRANSFORMATION)] * len(node.get("column_indexes", ()))
        rows = merge([given.rows, arguments.through(JOIN)])
        return _positions([*made, *(columns[position] for position in passed)], rows)

    def projection(self, node: Node) -> Relation:
        given = self._input(node)
        columns = _traces(given)
        return _positions([read(each, IDENTITY, columns) for each in node["expressions"]], given.rows)

    def filter(self, node: Node) -> Relation:
        given = self._input(node)
        columns = _traces(given)
        rows = merge([given.rows, read_all(node["expressions"], FILTER, columns)])
        return _positions(_mapped(columns, node.get("projection_map", ())), rows)

    def aggregate(self, node: Node) -> Relation:
        given = self._input(node)
        columns = _traces(given)
        groups = [read(each, IDENTITY, columns) for each in node.get("groups", ())]
        made = [read(each, IDENTITY, columns) for each in node.get("expressions", ())]
        numbers = [NOTHING] * len(node.get("grouping_functions", ()))
        keys = NOTHING if _is_duplicate_free(node) else merge(groups).through(GROUP_BY)
        return _positions([*groups, *made, *numbers], merge([given.rows, keys]))

    def window(self, node: Node) -> Relation:
        given = self._input(node)
        columns = _traces(given)
        return _positions([*columns, *(read(each, IDENTITY, columns) for each in node["expressions"])], given.rows)

    def unnest(self, node: Node) -> Relation:
        given = self._input(node)
        columns = _traces(given)
        made = [read(each, IDENTITY, columns) for each in node["expressions"]]
        return _positions([*columns, *made], merge([given.rows, merge(made).through(JOIN)]))

    def order(self, node: Node) -> Relation:
        given = self._input(node)
        columns = _traces(given)
        rows = merge([given.rows, read_all(ordered(node), SORT, columns)])
        return _positions(_mapped(columns, node.get("projection_map", ())), rows)

    def limit(self, node: Node) -> Relation:
        given = self._input(node)
        bounds = [
            node[name]["expression"] for name in ("limit_val", "offset_val") if "expression" in node.get(name, {})
        ]
        rows = merge([given.rows, read_all(bounds, FILTER, _traces(given))])
        return Relation(columns=given.columns, rows=rows)

    def distinct(self, node: Node) -> Relation:
        given = self._input(node)
        columns = _traces(given)
        rows = [given.rows, read_all(node.get("distinct_targets", ()), GROUP_BY, columns)]
        rows.append(read_all(ordered(node.get("order_by")), SORT, columns))
        return Relation(columns=given.columns, rows=merge(rows))

    def same(self, node: Node) -> Relation:
        return self._input(node)

    def nothing(self, node: Node) -> Relation:
        return _positions([NOTHING] * len(node.get("return_types", [None])), NOTHING)

    def values(self, node: Node) -> Relation:
        given = self._input(node)
        rows = [[read(each, TRANSFORMATION, _traces(given)) for each in row] for row in node["expressions"]]
        return _positions([merge(column) for column in zip(*rows, strict=True)], given.rows)

    def join(self, node: Node) -> Relation:
        left, right = self._inputs(node)
        ours, theirs = _traces(left), _traces(right)
        keys = _conditions(node, ours, theirs)
        kind = node.get("join_type", "INNER")
        kept = _mapped(ours, node.get("left_projection_map", ()))
        others = _mapped(theirs, node.get("right_projection_map", ()))
        if kind == "MARK":
            return _positions([*kept, merge([keys.through(TRANSFORMATION), right.rows])], left.rows)
        if kind in {"SEMI", "ANTI"}:
            return _positions(kept, merge([left.rows, right.rows, keys.through(JOIN)]))
        if kind == "SINGLE":
            decides = merge([keys.through(FILTER), right.rows])
            return _positions([*kept, *(merge([each, decides]) for each in others)], left.rows)
        if kind not in {"INNER", "LEFT", "RIGHT", "FULL", "OUTER"}:
            raise ValueError(f"a join of kind {kind}")
        return _positions([*kept, *others], merge([left.rows, right.rows, keys.through(JOIN)]))

    def product(self, node: Node) -> Relation:
        """Rows of both sides; one that gives a single row, such as a subquery's value, decides its own columns alone."""
        left, right = self._inputs(node)
        if _is_single(node["children"][1]):
            own = [merge([each, right.rows]) for each in _traces(right)]
            return _positions([*_traces(left), *own], left.rows)
        return _positions([*_traces(left), *_traces(right)], merge([left.rows, right.rows]))

    def union(self, node: Node) -> Relation:
        inputs = self._inputs(node)
        columns = [merge(each) for each in zip(*map(_traces, inputs), strict=True)]
        return _positions(columns, merge(each.rows for each in inputs))

    def compared(self, node: Node) -> Relation:
        """EXCEPT and INTERSECT: the left side's rows, chosen by all columns of both."""
        left, right = self._inputs(node)
        chosen = merge([left.everything, right.everything]).through(JOIN)
        return _positions(_traces(left), merge([left.rows, right.rows, chosen]))

    def shared(self, node: Node) -> Relation:
        first, then = node["children"]
        self._shared[node.get("table_index", 0)] = self.output(first)
        return self.output(then)

    def reference(self, node: Node) -> Relation:
        return self._shared[node.get("cte_index", 0)]

    def recursive(self, node: Node) -> Relation:
        if node.get("key_targets"):
            raise ValueError("USING KEY")
        first, again = node["children"]
        number, found = node.get("table_index", 0), self.output(first)
        for _ in range(_ROUNDS):
            self._shared[number] = found
            step = self.output(again)
            columns = [merge(each) for each in zip(_traces(found), _traces(step), strict=True)]
            rows = [found.rows, step.rows]
            if not node.get("union_all"):
                rows.append(merge(columns).through(GROUP_BY))
            united = _positions(columns, merge(rows))
            if united == found:
                return found
            found = united
        raise ValueError("a recursive query that does not settle")


def _conditions(node: Node, left: Columns, right: Columns) -> Trace:
    """What a join's condition reads, as a value: two sides of a comparison, or an expression over all columns."""
    both = (*left, *right)
    found: list[Trace] = []
    for each in node.get("conditions", ()):
        if each["comparison"] == "INVALID":
            found.append(read(each["left"], IDENTITY, both))
        else:
            found += [read(each["left"], IDENTITY, left), read(each["right"], IDENTITY, right)]
    return merge([*found, *(read(node[name], IDENTITY, both) for name in ("condition", "predicate") if name in node)])


def _is_single(node: Node) -> bool:
    while node["type"] == "LOGICAL_PROJECTION":
        (node,) = node["children"]
    return node["type"] == "LOGICAL_AGGREGATE_AND_GROUP_BY" and not node.get("groups")


def _is_duplicate_free(node: Node) -> bool:
    """Whether these groups are DuckDB's own: the keys of a correlated query, each once, to be joined to their rows again."""
    columns = node["children"][0].get("bound_columns") or [""]
    return not node.get("expressions") and all(str(each).startswith("__duckdb_delim_col_") for each in columns)


_MADE_UP = frozenset({"range", "generate_series", "repeat", "unnest", "empty_result"})
"""Table functions that read no data of their own; without a child they have constants for arguments."""

_READ = frozenset(
    {"children", "expressions", "groups", "conditions", "condition", "predicate", "orders", "order_by"}
    | {"distinct_targets", "limit_val", "offset_val"}
)
"""Where operators have expressions that are read here, and their inputs."""

_HANDLERS: dict[str, Callable[[_Walk, Node], Relation]] = {
    "LOGICAL_GET": _Walk.get,
    "LOGICAL_PROJECTION": _Walk.projection,
    "LOGICAL_FILTER": _Walk.filter,
    "LOGICAL_AGGREGATE_AND_GROUP_BY": _Walk.aggregate,
    "LOGICAL_WINDOW": _Walk.window,
    "LOGICAL_UNNEST": _Walk.unnest,
    "LOGICAL_ORDER_BY": _Walk.order,
    "LOGICAL_LIMIT": _Walk.limit,
    "LOGICAL_DISTINCT": _Walk.distinct,
    "LOGICAL_SAMPLE": _Walk.same,
    "LOGICAL_DUMMY_SCAN": _Walk.nothing,
    "LOGICAL_EMPTY_RESULT": _Walk.nothing,
    "LOGICAL_EXPRESSION_GET": _Walk.values,
    "LOGICAL_COMPARISON_JOIN": _Walk.join,
    "LOGICAL_ASOF_JOIN": _Walk.join,
    "LOGICAL_ANY_JOIN": _Walk.join,
    "LOGICAL_CROSS_PRODUCT": _Walk.product,
    "LOGICAL_POSITIONAL_JOIN": _Walk.product,
    "LOGICAL_UNION": _Walk.union,
    "LOGICAL_EXCEPT": _Walk.compared,
    "LOGICAL_INTERSECT": _Walk.compared,
    "LOGICAL_MATERIALIZED_CTE": _Walk.shared,
    "LOGICAL_CTE_REF": _Walk.reference,
    "LOGICAL_RECURSIVE_CTE": _Walk.recursive,
}
"""What each operator does to columns and rows; any other makes the plan one that is not understood."""
