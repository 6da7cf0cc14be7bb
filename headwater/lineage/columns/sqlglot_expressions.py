"""Which columns an SQL expression reads, and how: the parts of each kind of node, with the step that leads to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TypeAlias

from sqlglot import exp

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
    named,
    unknown,
)

Part: TypeAlias = tuple[exp.Expr, Kind]
ReadColumn: TypeAlias = Callable[[exp.Expr], Trace]
ReadQuery: TypeAlias = Callable[[exp.Expr], Trace]

WRITTEN = "written"
"""Mark on nodes that the query's author wrote, as opposed to those that sqlglot's rewriting adds."""

_AGGREGATES = named(
    "product favg fsum sumkahan kahan_sum kurtosis kurtosis_pop skewness entropy mad histogram histogram_exact sem mode "
    "total bitstring_agg geomean geometric_mean arbitrary list reservoir_quantile weighted_avg wavg max_by min_by approx_top_k"
)
"""Aggregate functions that sqlglot doesn't know to be some."""


def read(root: exp.Expr, kind: Kind, column: ReadColumn, query: ReadQuery, windows: Mapping[str, exp.Window]) -> Trace:
    """What `root` reads, `kind` being the step that leads to it.

    `column` and `query` trace a reference (to a column, or by a table's name to its row) and a nested query; `windows`
    are the SELECT's named windows.
    """
    found: list[Trace] = []
    todo: list[Part] = [(root, kind)]
    while todo:
        node, step = todo.pop()
        if isinstance(node, (exp.Column, exp.TableColumn)) and not isinstance(node.this, exp.Star):
            found.append(column(node).through(step))
        elif isinstance(node, (exp.Query, exp.Exists)):
            found.append(query(node).through(step))
        elif is_open(node):
            found.append(unknown(f"{node.sql()[:60]} stands for columns that the query does not name"))
        elif isinstance(node, exp.Dot) and isinstance(node.this, exp.Identifier):
            found.append(unknown(f"what {node.sql()[:60]} begins with"))
        else:
            todo += ((part, combine(step, inner)) for part, inner in _parts(node, windows))
    return merge(found)


def is_open(node: exp.Expr) -> bool:
    """Whether this stands for a number of columns that one can't tell from the text."""
    if isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star)):
        return not isinstance(node.parent, exp.Count)
    return isinstance(node, exp.Columns) or (isinstance(node, exp.Dot) and isinstance(node.expression, exp.Star))


def _parts(node: exp.Expr, windows: Mapping[str, exp.Window]) -> Iterable[Part]:
    if isinstance(node, exp.Window):
        return _window(node, windows)
    for kind, parts in _PARTS:
        if isinstance(node, kind):
            return parts(node)
    return _all(node, TRANSFORMATION)


def _all(node: exp.Expr, kind: Kind) -> Iterator[Part]:
    return ((child, kind) for child in node.iter_expressions())


def _window(node: exp.Window, windows: Mapping[str, exp.Window]) -> Iterator[Part]:
    if isinstance(node.this, exp.Expr):
        yield node.this, IDENTITY
    for name in ("order", "spec"):
        if isinstance(node.args.get(name), exp.Expr):
            yield node.args[name], WINDOW
    for child in node.args.get("partition_by") or ():
        yield child, WINDOW
    named = windows.get(node.alias)
    if named is not None and named is not node:
        yield from ((child, kind) for child, kind in _window(named, windows) if kind == WINDOW)


def _case(node: exp.Expr) -> Iterator[Part]:
    if node.this is not None:
        yield node.this, CONDITIONAL
    yield from ((child, IDENTITY) for child in node.args.get("ifs") or ())
    for name in ("true", "false", "default"):
        if node.args.get(name) is not None:
            yield node.args[name], IDENTITY


def _filter(node: exp.Expr) -> Iterator[Part]:
    yield node.this, IDENTITY
    yield node.expression, FILTER


def _ordered_values(node: exp.Expr) -> Iterator[Part]:
    """The ORDER BY inside an aggregate's parentheses, around its argument."""
    if node.this is not None:
        yield node.this, IDENTITY
    yield from ((child, SORT) for child in node.expressions)


def _within_group(node: exp.Expr) -> Iterator[Part]:
    """percentile_cont(0.5) WITHIN GROUP (ORDER BY x) is made of x; listagg(x) WITHIN GROUP (ORDER BY y) is ordered by y."""
    yield node.this, IDENTITY
    kind = SORT if node.this.find(exp.Column) else AGGREGATION
    yield from ((child, kind) for child in node.expression.expressions)


def _extreme(node: exp.Expr) -> Iterator[Part]:
    """arg_max(x, y): x where y is greatest."""
    yield node.this, AGGREGATION
    yield node.expression, SORT


def _coalesce(node: exp.Expr) -> Iterator[Part]:
    """COALESCE of the query's author is a transformation; one that sqlglot put in place of a USING column is not."""
    if node.meta.get(WRITTEN):
        return _all(node, TRANSFORMATION)
    return ((child, IDENTITY) for child in _merged_by_using(node))


def _merged_by_using(node: exp.Expr) -> Iterable[exp.Expr]:
    """The sides that a USING column takes its values from, join by join: the one whose rows are all kept, or all."""
    select = node.find_ancestor(exp.Select)
    sides = {join.alias_or_name: join.side for join in select.args.get("joins") or ()} if select is not None else {}
    arguments = [node.this, *node.expressions]
    kept = arguments[:1]
    for number, each in enumerate(arguments[1:], 2):
        side = sides.get(each.text("table"), "FULL")
        if side == "RIGHT":
            kept = [each]
        elif side == "FULL" or len(kept) > 1:
            kept = arguments[:number]
    return kept


def _called(node: exp.Expr) -> Iterator[Part]:
    return _all(node, AGGREGATION if node.name.lower() in _AGGREGATES else TRANSFORMATION)


def _combined(node: exp.Expr) -> Iterator[Part]:
    """ClickHouse's sumIf(x, condition) and its kin."""
    arguments = node.args.get("params") or node.expressions
    chosen = arguments[-1:] if node.name.lower().endswith("if") else []
    yield from ((each, AGGREGATION) for each in arguments[: len(arguments) - len(chosen)])
    yield from ((each, FILTER) for each in chosen)


def _number_of_set(_: exp.Expr) -> Iterator[Part]:
    """grouping(x) says by which columns this row was grouped, and nothing of their values."""
    return iter(())


_Parts: TypeAlias = Callable[[exp.Expr], Iterator[Part]]

_PARTS: tuple[tuple[tuple[type, ...], _Parts], ...] = (
    ((exp.Case, exp.If), _case),
    ((exp.Filter,), _filter),
    ((exp.WithinGroup,), _within_group),
    ((exp.Order,), _ordered_values),
    ((exp.ArgMax, exp.ArgMin), _extreme),
    ((exp.Coalesce,), _coalesce),
    ((exp.Lag, exp.Lead), partial(_all, kind=TRANSFORMATION)),
    ((exp.CombinedAggFunc, exp.CombinedParameterizedAgg), _combined),
    ((exp.Grouping, exp.GroupingId), _number_of_set),
    ((exp.AggFunc,), partial(_all, kind=AGGREGATION)),
    ((exp.Anonymous,), _called),
    (
        (exp.Paren, exp.Alias, exp.Ordered, exp.Distinct, exp.IgnoreNulls, exp.RespectNulls),
        partial(_all, kind=IDENTITY),
    ),
)
"""Tried in this order; anything else transforms what is inside it."""
