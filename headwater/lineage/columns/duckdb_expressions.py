"""Which columns an expression of DuckDB's bound plan reads, and how: all references are positions in the operator's input."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from headwater.lineage.columns.algebra import (
    AGGREGATION,
    CONDITIONAL,
    FILTER,
    IDENTITY,
    SORT,
    TRANSFORMATION,
    WINDOW,
    Kind,
    Trace,
    combine,
    merge,
    unknown,
)

# JSON as DuckDB writes it; what it leaves out is zero or empty.
Node: TypeAlias = Mapping[str, Any]
Part: TypeAlias = tuple[Node, Kind]


def read(root: Node, kind: Kind, columns: Sequence[Trace]) -> Trace:
    """What the expression reads of these columns, `kind` being the step that leads to it."""
    found: list[Trace] = []
    todo: list[Part] = [(root, kind)]
    while todo:
        node, step = todo.pop()
        name = node.get("expression_class", "")
        if name in {"BOUND_REF", "BOUND_COLUMN_REF"}:
            found.append(_column(node, columns).through(step))
        elif name in _PARTS:
            parts = list(_PARTS[name](node))
            todo += ((part, combine(step, inner)) for part, inner in parts)
            if name not in _CLOSED and len(parts) != sum(1 for _ in nested(node)):
                found.append(unknown(f"a part of an expression of DuckDB's kind {name}, which is not understood"))
        else:
            found.append(unknown(f"an expression of DuckDB's kind {name or 'without a name'}, which is not understood"))
    return merge(found)


def nested(node: Any) -> Iterator[Node]:
    """The expressions right below a node, wherever they stand in it."""
    members = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in members:
        if isinstance(value, dict) and "expression_class" in value:
            yield value
        elif name not in _ASIDE:
            yield from nested(value)


def read_all(expressions: Iterable[Node], kind: Kind, columns: Sequence[Trace]) -> Trace:
    """What several expressions read together."""
    return merge(read(each, kind, columns) for each in expressions)


def ordered(node: Node | None) -> list[Node]:
    """The expressions of an ORDER BY, of an operator or inside an aggregate."""
    return [each["expression"] for each in (node or {}).get("orders", ())]


def _column(node: Node, columns: Sequence[Trace]) -> Trace:
    place = node if node["expression_class"] == "BOUND_REF" else node.get("binding", {})
    position = place.get("index", place.get("column_index", 0))
    if position >= len(columns):
        return unknown("a column of the plan that is not in its input")
    return columns[position]


def _all(nodes: Iterable[Node | None], kind: Kind) -> Iterator[Part]:
    return ((each, kind) for each in nodes if each)


def function_name(node: Node) -> str:
    """The name of a function, without catalog and schema."""
    path = node.get("qname", {}).get("path") or [""]
    return str(path[-1])


def _transformed(node: Node) -> Iterator[Part]:
    return _all(node.get("children", ()), TRANSFORMATION)


def _case(node: Node) -> Iterator[Part]:
    for check in node.get("case_checks", ()):
        yield check["when_expr"], CONDITIONAL
        yield check["then_expr"], IDENTITY
    yield from _all([node.get("else_expr")], IDENTITY)


_EXTREMES = frozenset({"arg_max", "arg_min", "argmax", "argmin", "max_by", "min_by", "arg_max_null", "arg_min_null"})
"""Aggregates that give their first argument where the second one is extreme."""


def _aggregate(node: Node) -> Iterator[Part]:
    first, *others = node.get("children", ()) or ({},)
    yield from _all([first], AGGREGATION)
    yield from _all(others, SORT if function_name(node) in _EXTREMES else AGGREGATION)
    yield from _all([node.get("filter")], FILTER)
    yield from _all(ordered(node.get("order_bys")), SORT)


def _window(node: Node) -> Iterator[Part]:
    made = AGGREGATION if node["type"] == "WINDOW_AGGREGATE" else TRANSFORMATION
    yield from _all(node.get("children", ()), made)
    yield from _all(node.get("partitions", ()), WINDOW)
    yield from _all(ordered(node), WINDOW)
    yield from _all((node.get(name) for name in ("start_expr", "end_expr")), WINDOW)
    yield from _all((node.get(name) for name in ("offset_expr", "default_expr")), TRANSFORMATION)
    yield from _all([node.get("filters")], FILTER)
    yield from _all((each["expression"] for each in node.get("arg_orders", ())), SORT)


def _child(node: Node) -> Iterator[Part]:
    yield node["child"], TRANSFORMATION


def _members(*names: str) -> Callable[[Node], Iterator[Part]]:
    """The members of these names, as far as a node has them."""
    return lambda node: _all(map(node.get, names), TRANSFORMATION)


def _none(_: Node) -> Iterator[Part]:
    return iter(())


_PARTS: dict[str, Callable[[Node], Iterator[Part]]] = {
    "BOUND_CONSTANT": _none,
    "BOUND_PARAMETER": _none,
    # Its captures stand beside it, as further arguments of the function.
    "BOUND_LAMBDA": _none,
    "BOUND_FUNCTION": _transformed,
    "BOUND_CONJUNCTION": _transformed,
    "BOUND_OPERATOR": _transformed,
    "BOUND_COMPARISON": _members("left", "right"),
    "BOUND_BETWEEN": _members("input", "lower", "upper"),
    "BOUND_CAST": _child,
    "BOUND_CASE": _case,
    "BOUND_AGGREGATE": _aggregate,
    "BOUND_WINDOW": _window,
    "BOUND_UNNEST": _child,
}
"""The parts of each kind of expression, with the step that leads to them."""

_CLOSED = frozenset({"BOUND_LAMBDA"})
"""Kinds whose parts refer to something else than the operator's input."""

_ASIDE = frozenset({"function_data"})
"""What a function keeps for itself: it repeats a lambda that stands among the arguments."""
