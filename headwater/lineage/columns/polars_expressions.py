"""Which columns a Polars expression reads, and how: a walk over the expression nodes that Polars shows of a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import field
from typing import Any, Protocol, TypeAlias

from headwater.lineage.columns.algebra import (
    AGGREGATION,
    CONDITIONAL,
    FILTER,
    IDENTITY,
    SORT,
    TRANSFORMATION,
    WINDOW,
    Kind,
    Relation,
    Trace,
    combine,
    merge,
    named,
    unknown,
)
from headwater.records import dataclass

# Polars' nodes are classes of its extension module without type information.
Node: TypeAlias = Any
Part: TypeAlias = tuple[int, Kind]

_STRUCT_FIELD = "field"
"""What Polars says of `pl.field` inside `with_fields`: it reads the struct, which the node around it has counted."""

LIMIT = 20_000
"""More expression nodes than this in one expression, and it is unknown."""


class Nodes(Protocol):
    """What this module needs of Polars' plan visitor."""

    def view_expression(self, node: int, /) -> Node:
        """The expression node of this number; raises NotImplementedError for one that is not shown."""
        ...


@dataclass(slots=True)
class Needs:
    """The columns that an expression reads, with the kind of each reading, and what could not be told."""

    columns: set[tuple[str, Kind]] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)

    def on(self, table: Relation) -> Trace:
        """The same, traced to the table's own sources."""
        columns = table.by_name
        traces = [
            columns[name].through(kind) if name in columns else unknown(f"column {name!r} is not in the plan's input")
            for name, kind in self.columns
        ]
        return merge([*traces, Trace(unknown=frozenset(self.unknown))] if self.unknown else traces)


def needs(nodes: Nodes, root: int, kind: Kind = IDENTITY) -> Needs:
    """What the expression `root` reads.

    The walk goes from the output down and takes the kind along, so that depth costs no recursion and a shared
    sub-expression is visited once for each kind.
    """
    found = Needs()
    todo: list[Part] = [(root, kind)]
    seen: set[Part] = set()
    while todo:
        part = todo.pop()
        if part in seen:
            continue
        seen.add(part)
        if len(seen) > LIMIT:
            found.unknown.add(f"an expression of more than {LIMIT} nodes")
            return found
        todo += _visit(nodes, part, found)
    return found


def _visit(nodes: Nodes, part: Part, found: Needs) -> Iterable[Part]:
    number, kind = part
    try:
        node = nodes.view_expression(number)
    except NotImplementedError as error:
        if str(error) != _STRUCT_FIELD:
            found.unknown.add(_hidden(str(error)))
        return ()
    name = type(node).__name__
    if name == "Column":
        found.columns.add((node.name, kind))
        return ()
    if name == "Literal":
        if type(node.value).__name__ == "PySeries":
            found.unknown.add("a literal Series, whose values were computed outside the plan")
        return ()
    if name == "Function" and _function_name(node) == "FieldByName":
        return [(child, combine(kind, step)) for child, step in _field_by_name(nodes, node)]
    if name not in _PARTS:
        found.unknown.add(f"an expression of kind {name}, which is not understood")
        return ()
    return [(child, combine(kind, step)) for child, step in _PARTS[name](node)]


def _hidden(message: str) -> str:
    if "anonymous" in message.lower():
        return "a Python function (map_batches, map_elements, map_groups or a plugin)"
    return f"an expression that Polars does not show: {message[:80]}"


def _field_by_name(nodes: Nodes, node: Node) -> Iterator[Part]:
    """A field of a struct that the same expression puts together is that field alone."""
    (child,) = node.input
    inner = nodes.view_expression(child)
    if type(inner).__name__ == "Function" and _function_name(inner) == "as_struct":
        fields = {_output_name(nodes, number): number for number in inner.input}
        if None not in fields and node.function_data[1] in fields:
            yield fields[node.function_data[1]], IDENTITY
            return
    yield child, TRANSFORMATION


def _output_name(nodes: Nodes, number: int) -> str | None:
    try:
        node = nodes.view_expression(number)
    except NotImplementedError:
        return None
    name: str | None = node.name if type(node).__name__ in {"Column", "Alias"} else None
    return name


def _function_name(node: Node) -> str:
    head = node.function_data[0]
    return head if isinstance(head, str) else repr(head).rpartition(".")[2]


_AGGREGATES = named(
    "All Any And Or Xor HasNulls IsSorted IsEmpty ConcatVertical null_count arg_max arg_min min_by max_by n_unique "
    "approx_n_unique mode value_counts unique_counts quantile product skew kurtosis entropy corr cov hist"
)
"""Functions that make one value (or another set of rows) of a column, apart from those that are Agg nodes."""

_SAME_VALUES = named(
    "reverse sample shuffle gather_every drop_nulls drop_nans unique top_k bottom_k top_k_by bottom_k_by"
)
"""Functions that choose or reorder values and change none."""

_SORTED_BY = {"top_k_by": 2, "bottom_k_by": 2, "min_by": 1, "max_by": 1}
"""Functions whose inputs from this position on only say which rows come first."""

_WINDOWED_BY = named("MaxBy MeanBy MinBy QuantileBy RankBy StdBy SumBy VarBy interpolate_by")
"""Functions whose inputs after the first say where a window begins and ends."""


def _function(node: Node) -> Iterator[Part]:
    name = _function_name(node)
    first = IDENTITY if name in _SAME_VALUES else AGGREGATION if name in _AGGREGATES else TRANSFORMATION
    if name == "arg_max" and len(node.function_data) > 1:
        first = TRANSFORMATION  # Polars 2.1 shows arg_sort under this name, with options
    sorted_from = _SORTED_BY.get(name)
    for position, child in enumerate(node.input):
        if sorted_from is not None and position >= sorted_from:
            yield child, SORT
        elif name in _WINDOWED_BY and position > 0:
            yield child, WINDOW
        else:
            yield child, first


def _members(*parts: tuple[str, Kind]) -> Callable[[Node], Iterator[Part]]:
    """The parts that stand in these attributes of a node, each with the step that leads to it."""
    return lambda node: ((getattr(node, name), kind) for name, kind in parts)


def _aggregate(node: Node) -> Iterator[Part]:
    for child in node.arguments:
        yield child, AGGREGATION


def _window(node: Node) -> Iterator[Part]:
    yield node.function, IDENTITY
    for child in node.partition_by:
        yield child, WINDOW
    if node.order_by is not None:
        yield node.order_by, WINDOW


def _sort_by(node: Node) -> Iterator[Part]:
    yield node.expr, IDENTITY
    for child in node.by:
        yield child, SORT


def _struct_eval(node: Node) -> Iterator[Part]:
    yield node.expr, TRANSFORMATION
    for child in node.evaluation:
        yield child.node, TRANSFORMATION


_PARTS: dict[str, Callable[[Node], Iterator[Part]]] = {
    "Alias": _members(("expr", IDENTITY)),
    "Cast": _members(("expr", TRANSFORMATION)),
    "BinaryExpr": _members(("left", TRANSFORMATION), ("right", TRANSFORMATION)),
    "Function": _function,
    "Agg": _aggregate,
    "Ternary": _members(("predicate", CONDITIONAL), ("truthy", IDENTITY), ("falsy", IDENTITY)),
    "Window": _window,
    "Rolling": _members(("function", IDENTITY), ("index_column", WINDOW)),
    "Filter": _members(("input", IDENTITY), ("by", FILTER)),
    "Sort": _members(("expr", IDENTITY), ("expr", SORT)),
    "SortBy": _sort_by,
    "Gather": _members(("expr", IDENTITY), ("idx", FILTER)),
    "Slice": _members(("input", IDENTITY), ("offset", FILTER), ("length", FILTER)),
    "Explode": _members(("expr", TRANSFORMATION)),
    "StructEval": _struct_eval,
    "Len": _members(),
}
"""The parts of each kind of expression with the step that leads to them."""
