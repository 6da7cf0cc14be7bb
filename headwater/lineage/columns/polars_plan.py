"""Column lineage of a polars.LazyFrame, read off its logical plan without executing it.

Polars shows its plan to engines (`NodeTraverser`, the interface that cudf-polars uses). It is versioned: on a version
that was not examined, everything is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from headwater.assets.protocols import Held, Leaf, PlanLineage
from headwater.lineage.columns import polars_joins
from headwater.lineage.columns.algebra import (
    AGGREGATION,
    FILTER,
    GROUP_BY,
    IDENTITY,
    JOIN,
    NOTHING,
    SORT,
    TRANSFORMATION,
    Kind,
    Relation,
    Trace,
    merge,
    nothing_known,
    of_source,
    plan_lineage,
    relation,
    unknown,
)
from headwater.lineage.columns.polars_expressions import Node, needs
from headwater.lineage.columns.polars_leaves import leaf_of, leaves_of
from headwater.records import dataclass

if TYPE_CHECKING:
    import polars as pl

Resolve: TypeAlias = Callable[[Leaf], Hashable | None]

VERSIONS = frozenset({14, 15, 16})
"""Major versions of Polars' plan interface whose nodes mean what this module takes them to mean."""

LIMIT = 5_000
"""More plan nodes than this, and all is unknown: shared sub-plans are shown again for each use and double at each join."""


def of_frame(frame: pl.LazyFrame, resolve: Resolve) -> PlanLineage:
    """The column lineage of a lazy frame; `resolve` says which source a leaf is, or which ones (a frozenset) together."""
    import polars as pl

    try:
        nodes = frame._ldf.with_optimizations(_as_written()).visit()
    except (AttributeError, NotImplementedError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        return nothing_known(f"Polars does not show the plan: {_first_line(error)}")
    if nodes.version()[0] not in VERSIONS:
        return nothing_known(f"plan interface {nodes.version()} of Polars {pl.__version__} is not known")
    walk = _Walk(nodes, resolve)
    try:
        return plan_lineage(walk.result().without(walk.unresolved), walk.sources())
    except _TooLarge:
        return nothing_known(f"a plan of more than {LIMIT} nodes")
    except (AttributeError, TypeError, ValueError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        return nothing_known(f"the plan of Polars {pl.__version__} is not as expected: {_first_line(error)}")


def leaves(frame: pl.LazyFrame) -> list[Leaf]:
    """Where a lazy frame's plan starts, as far as Polars shows it; what is done to it is not looked at."""
    import polars as pl

    found: list[Leaf] = []
    try:
        nodes = frame._ldf.with_optimizations(_as_written()).visit()
        if nodes.version()[0] in VERSIONS:
            found += leaves_of(nodes, LIMIT)
    except (AttributeError, NotImplementedError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return found
    return found


@cache
def _as_written() -> Any:
    """The optimizations of a plan that is looked at as it was written: none. Polars takes a copy of them."""
    import polars as pl

    return pl.QueryOptFlags.none()._pyoptflags


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def _hidden(message: str) -> str:
    if "opaque python" in message:
        return "a Python function over the frame (map_batches)"
    if "apply inside GroupBy" in message:
        return "a Python function over groups (map_groups)"
    return f"a plan node that Polars does not show: {message[:60]}"


_ADDED = "the column was put into a frame in memory, outside of the plan"


class _TooLarge(Exception):
    """The plan has more nodes than are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A plan node with what its inputs have come to, and its own output columns."""

    node: Node
    inputs: tuple[Relation, ...]
    schema: tuple[str, ...]

    @property
    def input(self) -> Relation:
        (only,) = self.inputs
        return only

    @property
    def rows(self) -> Trace:
        return merge(each.rows for each in self.inputs)

    def output(self, columns: Sequence[Trace], rows: Trace = NOTHING) -> Relation:
        return Relation(columns=tuple(zip(self.schema, columns, strict=True)), rows=merge([self.rows, rows]))


class _Walk:
    """One walk over one plan: inputs first, each node once."""

    def __init__(self, nodes: Any, resolve: Resolve) -> None:
        self._nodes = nodes
        self._resolve = resolve
        self._found: dict[Hashable | None, None] = {}
        self._done: dict[int, Relation] = {}
        self.unresolved: set[str] = set()

    def sources(self) -> tuple[Hashable | None, ...]:
        return tuple(self._found)

    def result(self) -> Relation:
        root: int = self._nodes.get_node()
        todo: list[tuple[int, tuple[int, ...] | None]] = [(root, None)]
        count = 0
        while todo:
            number, inputs = todo.pop()
            if number in self._done:
                continue
            self._nodes.set_node(number)
            if inputs is None:
                count += 1
                if count > LIMIT:
                    raise _TooLarge
                children = tuple(self._nodes.get_inputs())
                todo.append((number, children))
                todo += ((child, None) for child in reversed(children))
            else:
                self._done[number] = self._look(inputs)
        return self._done[root]

    def _look(self, inputs: tuple[int, ...]) -> Relation:
        relations = tuple(self._done[number] for number in inputs)
        schema = tuple(self._nodes.get_schema())
        try:
            node = self._nodes.view_current_node()
        except NotImplementedError as error:
            return self._opaque(relations, schema, _hidden(_first_line(error)))
        name = type(node).__name__
        handler = _HANDLERS.get(name)
        if handler is None:
            return self._opaque(relations, schema, f"a plan node of kind {name}, which is not understood")
        return handler(self, _Step(node=node, inputs=relations, schema=schema))

    def _opaque(self, inputs: Sequence[Relation], schema: Iterable[str], reason: str) -> Relation:
        """Whatever such a node does to its columns, it may also choose rows."""
        if not inputs:
            self._found[None] = None
        nobody_knows = unknown(reason)
        rows = merge([nobody_knows, *(each.rows for each in inputs)])
        return relation(dict.fromkeys(schema, nobody_knows), rows)

    def _read(self, expression: Node, table: Relation, kind: Kind = IDENTITY) -> Trace:
        return needs(self._nodes, expression.node, kind).on(table)

    def _read_all(self, expressions: Iterable[Node], table: Relation, kind: Kind) -> Trace:
        return merge(self._read(expression, table, kind) for expression in expressions)

    def _leaf(self, leaf: Leaf, schema: Sequence[str], what: str, made_up: Iterable[str | None] = ()) -> Relation:
        found = self._resolve(leaf)
        source, names = found if isinstance(found, Held) else (found, {name: name for name in schema})
        sources = sorted(source, key=str) if isinstance(source, frozenset) else [source]
        self._found.update(dict.fromkeys(sources))
        if source is None:
            self.unresolved.add(reason := f"{what} is no known asset")
            columns = dict.fromkeys(schema, unknown(reason))
        else:
            columns = {
                name: merge(of_source(one, names[name]) for one in sources) if name in names else unknown(_ADDED)
                for name in schema
            }
        columns.update({name: NOTHING for name in made_up if name is not None})
        return relation(columns)

    def scan(self, step: _Step) -> Relation:
        leaf = leaf_of(step.node)
        paths = leaf.paths
        options = step.node.file_options
        row_index = options.row_index
        made_up = (row_index[0] if row_index else None, options.include_file_paths)
        shown = paths[0] if paths else "a scan without paths"
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        found = self._leaf(leaf, step.schema, shown + more, made_up)
        if step.node.predicate is None:
            return found
        return Relation(columns=found.columns, rows=self._read(step.node.predicate, found, FILTER))

    def python_scan(self, step: _Step) -> Relation:
        leaf = leaf_of(step.node)
        name = getattr(leaf.io_source, "__qualname__", type(leaf.io_source).__name__)
        return self._leaf(leaf, step.schema, f"the io source {name}")

    def frame_scan(self, step: _Step) -> Relation:
        return self._leaf(leaf_of(step.node), step.schema, "a frame in memory")

    def select(self, step: _Step) -> Relation:
        columns = {each.output_name: self._read(each, step.input) for each in step.node.expr}
        return step.output([columns[name] for name in step.schema])

    def with_columns(self, step: _Step) -> Relation:
        columns = dict(step.input.columns)
        columns.update({each.output_name: self._read(each, step.input) for each in step.node.exprs})
        return step.output([columns[name] for name in step.schema])

    def project(self, step: _Step) -> Relation:
        columns = step.input.by_name
        return step.output([columns[name] for name in step.schema])

    def same(self, step: _Step) -> Relation:
        return step.input

    def filter(self, step: _Step) -> Relation:
        kept = self._read(step.node.predicate, step.input, FILTER)
        return Relation(columns=step.input.columns, rows=merge([step.rows, kept]))

    def sort(self, step: _Step) -> Relation:
        keys = self._read_all(step.node.by_column, step.input, SORT)
        return Relation(columns=step.input.columns, rows=merge([step.rows, keys]))

    def distinct(self, step: _Step) -> Relation:
        subset = step.node.options[1]
        columns = step.input.by_name
        keys = merge(columns[name] for name in (step.schema if subset is None else subset))
        return Relation(columns=step.input.columns, rows=merge([step.rows, keys.through(GROUP_BY)]))

    def group_by(self, step: _Step) -> Relation:
        keys = {each.output_name: self._read(each, step.input) for each in step.node.keys}
        aggregates = {each.output_name: self._read(each, step.input, AGGREGATION) for each in step.node.aggs}
        index = self._index(step)
        columns = {**index, **keys, **aggregates}
        rows = merge([*keys.values(), *index.values()]).through(GROUP_BY)
        return step.output([columns[name] for name in step.schema], rows)

    def _index(self, step: _Step) -> dict[str, Trace]:
        """The time column of `rolling` and `group_by_dynamic`, and the boundaries made of it."""
        options = step.node.options
        if options.rolling is not None:
            name = options.rolling.index_column
            return {name: step.input.by_name[name]}
        if options.dynamic is not None:
            name = options.dynamic.index_column
            windows = step.input.by_name[name].through(TRANSFORMATION)
            return dict.fromkeys((name, "_lower_boundary", "_upper_boundary"), windows)
        return {}

    def join(self, step: _Step) -> Relation:
        left, right = step.inputs
        options = polars_joins.Options(*step.node.options)
        sides = (
            polars_joins.Side(left, [key.output_name for key in step.node.left_on]),
            polars_joins.Side(right, [key.output_name for key in step.node.right_on]),
        )
        columns = polars_joins.columns(options, *sides, step.schema)
        if columns is None:
            return self._opaque(step.inputs, step.schema, f"a join of kind {options.kind} whose columns do not add up")
        keys = [
            self._read_all(step.node.left_on, left, JOIN),
            self._read_all(step.node.right_on, right, JOIN),
            polars_joins.exact_keys(options, left, right).through(JOIN),
        ]
        if step.node.predicate is not None:
            keys.append(self._read(step.node.predicate, Relation(columns=columns), JOIN))
        return Relation(columns=columns, rows=merge([step.rows, *keys]))

    def union(self, step: _Step) -> Relation:
        if any(len(each.columns) != len(step.schema) for each in step.inputs):
            return self._opaque(step.inputs, step.schema, "a union of inputs of different width")
        columns = [merge(each.columns[position][1] for each in step.inputs) for position, _ in enumerate(step.schema)]
        return step.output(columns)

    def merge_sorted(self, step: _Step) -> Relation:
        united = self.union(step)
        keys = [step.node.key] if isinstance(step.node.key, str) else step.node.key
        order = merge(united.by_name[key] for key in keys).through(SORT)
        return Relation(columns=united.columns, rows=merge([united.rows, order]))

    def hconcat(self, step: _Step) -> Relation:
        return step.output([trace for each in step.inputs for _, trace in each.columns])

    def map_function(self, step: _Step) -> Relation:
        name, *arguments = step.node.function
        columns = step.input.by_name
        if name == "row_index":
            return step.output([NOTHING if each == arguments[0] else columns[each] for each in step.schema])
        if name == "explode":
            return self._explode(step, arguments[0])
        if name == "unnest":
            return self._unnest(step, arguments[0])
        if name == "unpivot":
            return self._unpivot(step, *arguments)
        if name == "rename":
            return step.output([trace for _, trace in step.input.columns])
        if name in {"hint_sorted", "rechunk"}:
            return step.input
        return self._opaque(step.inputs, step.schema, f"the plan function {name!r}, which is not understood")

    def _explode(self, step: _Step, exploded: Sequence[str]) -> Relation:
        """An explode joins each row with the items of its lists: their number decides how often the row comes out."""
        columns = dict(step.input.columns)
        lists = merge(columns[name] for name in exploded)
        columns.update({name: columns[name].through(TRANSFORMATION) for name in exploded})
        return step.output([columns[name] for name in step.schema], lists.through(JOIN))

    def _unnest(self, step: _Step, structs: Sequence[str]) -> Relation:
        """Fields stand where their struct stood: what remains of the output's names between the others is theirs."""
        kept = {name: trace for name, trace in step.input.columns if name not in structs}
        fields = [name for name in step.schema if name not in kept]
        trace = merge(step.input.by_name[name] for name in structs).through(TRANSFORMATION)
        columns = {**kept, **dict.fromkeys(fields, trace)}
        return step.output([columns[name] for name in step.schema])

    def _unpivot(
        self, step: _Step, index: Sequence[str], on: Sequence[str] | None, variable: str, value: str
    ) -> Relation:
        columns = step.input.by_name
        if on is None:
            on = [name for name in columns if name not in index]
        made = {
            **{name: columns[name] for name in index},
            variable: NOTHING,
            value: merge(columns[name] for name in on),
        }
        return step.output([made[name] for name in step.schema])


_HANDLERS: dict[str, Callable[[_Walk, _Step], Relation]] = {
    "Scan": _Walk.scan,
    "PythonScan": _Walk.python_scan,
    "DataFrameScan": _Walk.frame_scan,
    "Select": _Walk.select,
    "HStack": _Walk.with_columns,
    "SimpleProjection": _Walk.project,
    "Filter": _Walk.filter,
    "Sort": _Walk.sort,
    "Slice": _Walk.same,
    "Cache": _Walk.same,
    "Sink": _Walk.same,
    "Distinct": _Walk.distinct,
    "GroupBy": _Walk.group_by,
    "Join": _Walk.join,
    "Union": _Walk.union,
    "MergeSorted": _Walk.merge_sorted,
    "HConcat": _Walk.hconcat,
    "MapFunction": _Walk.map_function,
}
