"""What a value that is about to be stored says of its origin: sources, column edges, and what nobody can tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from headwater.assets import reading
from headwater.assets.asset import Asset, AssetInput
from headwater.assets.empty_input import NoRows
from headwater.assets.events import ColumnEdge, ColumnSchema, InputVersion, UnknownColumn
from headwater.assets.forms import frame_form
from headwater.assets.mappings import mapping_of
from headwater.assets.partitions import UNPARTITIONED, Partition
from headwater.assets.protocols import Held, Leaf, PlanLineage, SqlQuery, SqlRelation
from headwater.assets.reading import BoundInput
from headwater.assets.runtime import AssetRuntime
from headwater.assets.sql import Sql, quoted
from headwater.assets.tracking import Sources, Tracker, as_value
from headwater.errors import DefinitionError
from headwater.records import dataclass


class Dataset(NamedTuple):
    """The key that column edges are resolved to."""

    asset: str
    namespace: str
    dataset: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueLineage:
    """The value as its materializer takes it, and what was found of its origin."""

    value: Any
    sources: Sources = ()
    unknown_inputs: tuple[str, ...] = ()
    edges: tuple[ColumnEdge, ...] = ()
    unknown_columns: tuple[UnknownColumn, ...] = ()
    sql: str | None = None


def lineage_of(
    run: AssetRuntime, tracker: Tracker, value: Any, partition: Partition | None, *, reads: bool
) -> ValueLineage:
    """The lineage of what a function returned, which `reads` something or nothing; a query is resolved to its inputs here."""
    if isinstance(value, Sql):
        return _of_sql(run, tracker, value, partition)
    kind = frame_form(value)
    if kind == "lazy":
        return _of_plan(run, tracker, value)
    if kind == "relation":
        return _of_relation(run, tracker, value)
    known = tracker.of(value)
    if kind == "eager" and known is not None:
        return _passed_on(run, tracker, value, known)
    if kind is None:
        return ValueLineage(value=value, sources=as_value(tracker.sources_of(value), "value"))
    if not reads:
        # What comes from outside has no columns that its own could be made of, returned as a lazy frame or not.
        return ValueLineage(value=value)
    reason = "an eager frame does not say how its columns were made: return a lazy one"
    return ValueLineage(value=value, unknown_columns=(UnknownColumn(column=None, reason=reason),))


def with_unseen(found: Sequence[ValueLineage], read: Iterable[InputVersion]) -> list[ValueLineage]:
    """The lineages of all that a call made, which say of a plan or query that other values than its own may stand in it.

    What was read and is in none of them was used in another way: `is_in(banned.collect()["id"])` puts a list into the plan, and
    nothing in it tells that list from one that was written.
    """
    seen = {_place(source) for one in found for source in one.sources}
    aside = dict.fromkeys(source.asset for source in read if source.via != "wait_for" and _place(source) not in seen)
    unknown = tuple(
        UnknownColumn(column=None, reason=f"'{asset}' was read outside of the plan or query") for asset in aside
    )
    return [
        replace(one, unknown_columns=(*one.unknown_columns, *unknown)) if _is_read_off(one) else one for one in found
    ]


def _is_read_off(found: ValueLineage) -> bool:
    """Whether the value is a plan or a query, and something is known of all its columns."""
    is_one = isinstance(found.value, SqlQuery) or frame_form(found.value) in ("lazy", "relation")
    return is_one and all(each.column is not None for each in found.unknown_columns)


def _place(source: InputVersion) -> tuple[str, str]:
    return source.namespace, source.dataset


def plan_sources(run: AssetRuntime, tracker: Tracker, frame: Any) -> tuple[Sources, tuple[str, ...]]:
    """What the leaves of a lazy frame's plan say of its origin: sources, and what nobody knows."""
    return _resolved(run, tracker, frame)[1:]


def _resolved(run: AssetRuntime, tracker: Tracker, frame: Any) -> tuple[PlanLineage, Sources, tuple[str, ...]]:
    found: dict[Any, None] = {}
    unknown: list[str] = []

    def resolve(leaf: Leaf) -> Dataset | frozenset[Dataset] | Held | None:
        sources = tracker.of_leaf(leaf)
        if sources is None:
            unknown.append(f"the plan reads {_describe(leaf)}, which no asset is known to have given")
            return None
        found.update(dict.fromkeys(sources))
        if _is_derived(sources):
            return None
        if isinstance(leaf.io_source, NoRows):
            # No version of it was read: its columns are known all the same, as those of an input of a query are.
            asset = leaf.io_source.asset
            return Dataset(asset.name, asset.namespace, asset.dataset)
        if leaf.paths:
            # Several assets are in one scan when their scans were concatenated.
            return _datasets(sources) or None
        dataset = _dataset(sources)
        return Held(dataset, tracker.names_of(leaf)) if dataset is not None and leaf.buffers else dataset

    plan = run.columns.of_frame(frame, resolve)
    plan = replace(plan, unknown=(*plan.unknown, _UNSAID)) if _is_derived(found) else plan
    return plan, tuple(found), tuple(dict.fromkeys(unknown))


def _of_plan(run: AssetRuntime, tracker: Tracker, frame: Any) -> ValueLineage:
    plan, found, unknown = _resolved(run, tracker, frame)
    return ValueLineage(
        value=frame,
        sources=as_value(found, "plan"),
        unknown_inputs=unknown,
        edges=_edges(plan),
        unknown_columns=plan.unknown,
    )


def _passed_on(run: AssetRuntime, tracker: Tracker, frame: Any, known: Sources) -> ValueLineage:
    """An eager frame that is an input itself: each column that still lies where it lay is that input's."""
    dataset = _dataset(known)
    if dataset is None or _is_derived(known):
        several = UnknownColumn(column=None, reason="the frame was made of several assets")
        return ValueLineage(value=frame, sources=known, unknown_columns=(several if dataset is None else _UNSAID,))
    changed = _changed(run, tracker, frame)
    reason = "the column was changed in the frame that was loaded"
    edges = tuple(
        ColumnEdge(
            column=column,
            source_asset=dataset.asset,
            source_namespace=dataset.namespace,
            source_dataset=dataset.dataset,
            source_column=column,
            type="DIRECT",
            subtype="IDENTITY",
        )
        for column in frame.columns
        if column not in changed
    )
    unknown = tuple(UnknownColumn(column=column, reason=reason) for column in frame.columns if column in changed)
    return ValueLineage(value=frame, sources=as_value(known, "value"), edges=edges, unknown_columns=unknown)


def _changed(run: AssetRuntime, tracker: Tracker, frame: Any) -> set[str]:
    """The columns of a frame that was loaded which are not as they were: those of polars lie elsewhere when they are others."""
    kind = frame_form(frame)
    if kind == "pandas":
        before = tracker.before(frame)
        return {
            name
            for name in frame.columns
            if before is None or name not in before or not frame[name].equals(before[name])
        }
    if kind != "eager":
        return set()
    held, now = tracker.columns_of(frame), run.columns.buffers(frame)
    return {column for column in frame.columns if held is not None and held.get(column, 0) != now.get(column)}


_UNSAID = UnknownColumn(column=None, reason="derived_from does not say how")


def _is_derived(sources: Iterable[InputVersion]) -> bool:
    return any(source.via == "derived" for source in sources)


def _of_sql(run: AssetRuntime, tracker: Tracker, query: Sql, partition: Partition | None) -> ValueLineage:
    given = query_inputs(run, tracker, query.inputs, partition, where=query.text[:80])
    text = query.text.format_map({name: quoted(name) for name in query.inputs})
    plan = run.columns.of_sql(text, given.tables, dialect="duckdb")
    return ValueLineage(
        value=SqlQuery(text=query.text, inputs=given.inputs),
        sources=given.sources,
        unknown_inputs=given.unknown,
        edges=_edges(plan),
        unknown_columns=(*plan.unknown, *given.unknown_columns),
        sql=text,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryInputs:
    """The inputs of queries by their names: as an engine takes them, with the versions behind them, and what is unknown."""

    inputs: dict[str, Any]
    tables: dict[str, tuple[Dataset | None, tuple[ColumnSchema, ...]]]
    sources: Sources
    unknown: tuple[str, ...]
    unknown_columns: tuple[UnknownColumn, ...] = ()
    """What nobody can tell of whatever reads an input whose columns are not its asset's."""


def query_inputs(
    run: AssetRuntime, tracker: Tracker, given: Mapping[str, Any], partition: Partition | None, *, where: str
) -> QueryInputs:
    """Bind the inputs of queries: assets, inputs of the function, frames. Raises DefinitionError, InputMissing."""
    inputs: dict[str, Any] = {}
    tables: dict[str, tuple[Dataset | None, tuple[ColumnSchema, ...]]] = {}
    sources: list[Any] = []
    unknown: list[str] = []
    unknown_columns: list[UnknownColumn] = []
    for name, value in given.items():
        bound = _bound(run, value, partition)
        if bound is not None:
            inputs[name] = bound.relation(run)
            sources.extend(as_value(bound.sources, "sql"))
            tables[name] = (_asset_dataset(run, bound.asset), _schema(run, bound))
            continue
        known = tracker.of(value)
        inputs[name] = value
        if known is None:
            if isinstance(value, SqlRelation) or frame_form(value) is None:
                raise DefinitionError(
                    f"the input '{name}' of the query is a {type(value).__name__}",
                    where=where,
                    hint="give an Asset, an input of the function, a frame, or a plain value (a number, a text, a date …)",
                )
            unknown.append(f"the query reads '{name}', a {type(value).__name__} of unknown origin")
        else:
            sources.extend(as_value(known, "sql"))
            if _is_derived(known):
                unknown_columns.append(_UNSAID)
            elif _changed(run, tracker, value):
                unknown_columns.append(UnknownColumn(column=None, reason=f"'{name}' was changed since it was loaded"))
            else:
                tables[name] = (_dataset(known), frame_schema(value))
    return QueryInputs(
        inputs=inputs,
        tables=tables,
        sources=tuple(dict.fromkeys(sources)),
        unknown=tuple(unknown),
        unknown_columns=tuple(dict.fromkeys(unknown_columns)),
    )


def _of_relation(run: AssetRuntime, tracker: Tracker, relation: Any) -> ValueLineage:
    """A DuckDB relation says by which query it was made; tables that were handed out are known by their names."""
    text = relation.sql_query()
    given = tracker.connection_of(relation)
    if given is not None:
        raw, followed = given
        return _read_by(relation, followed.lineage(raw, text), followed.sources)
    tables: dict[str, tuple[Any, tuple[ColumnSchema, ...]]] = {}
    sources: list[Any] = []
    for name in reading.relation_tables(text):
        known, columns = tracker.table(name) or ((), ())
        sources.extend(as_value(known, "plan"))
        if (dataset := _dataset(known)) is not None:
            tables[name] = (dataset, columns)
    return _read_by(relation, run.columns.of_sql(text, tables, dialect="duckdb"), sources)


def _read_by(relation: Any, plan: PlanLineage, sources: Iterable[InputVersion]) -> ValueLineage:
    unread = None in plan.sources
    return ValueLineage(
        value=relation,
        sources=tuple(dict.fromkeys(sources)),
        unknown_inputs=("the relation reads what no asset is known to have given",) if unread else (),
        edges=_edges(plan),
        unknown_columns=plan.unknown,
    )


def _bound(run: AssetRuntime, given: Any, partition: Partition | None) -> BoundInput | None:
    if isinstance(given, BoundInput):
        return given
    if isinstance(given, Asset):
        given = AssetInput(given)
    if not isinstance(given, AssetInput):
        return None
    downstream = partition.definition if partition else UNPARTITIONED
    mapping = mapping_of(given.mapping, given.asset.partitions, downstream)
    return reading.bind(run, given.asset, mapping, partition, via="sql")


def _schema(run: AssetRuntime, bound: BoundInput) -> tuple[ColumnSchema, ...]:
    target = run.definitions.target(bound.asset)
    return frame_schema(run.materializer(target.asset).load(target, bound.partitions or None, "lazy"))


def frame_schema(frame: Any) -> tuple[ColumnSchema, ...]:
    """The columns of a table in any form, with their types as its library prints them; none of what is no table."""
    kind = frame_form(frame)
    if kind in ("lazy", "eager"):
        pairs = frame.collect_schema().items()
    elif kind == "relation":
        pairs = zip(frame.columns, frame.types, strict=True)
    elif kind == "arrow":
        pairs = zip(frame.schema.names, frame.schema.types, strict=True)
    elif kind == "pandas":
        pairs = zip(frame.columns, frame.dtypes, strict=True)
    else:
        return ()
    return tuple(ColumnSchema(name=str(name), type=str(dtype)) for name, dtype in pairs)


def _asset_dataset(run: AssetRuntime, asset: Asset) -> Dataset:
    ref = run.definitions.ref(asset)
    return Dataset(asset.name, ref.namespace, ref.dataset)


def _dataset(sources: Sources) -> Dataset | None:
    """The one dataset that all these sources are versions of, if it is one."""
    found = _datasets(sources)
    return next(iter(found)) if len(found) == 1 else None


def _datasets(sources: Sources) -> frozenset[Dataset]:
    """The datasets that these sources are versions of."""
    return frozenset(Dataset(source.asset, source.namespace, source.dataset) for source in sources)


def _edges(plan: PlanLineage) -> tuple[ColumnEdge, ...]:
    return tuple(
        ColumnEdge(
            column=edge.column,
            source_asset=edge.source.asset,
            source_namespace=edge.source.namespace,
            source_dataset=edge.source.dataset,
            source_column=edge.source_column,
            type=edge.type,
            subtype=edge.subtype,
        )
        for edge in plan.edges
        if isinstance(edge.source, Dataset)
    )


def _describe(leaf: Leaf) -> str:
    if leaf.paths:
        return f"the file {leaf.paths[0]}" + (f" and {len(leaf.paths) - 1} more" if len(leaf.paths) > 1 else "")
    if leaf.io_source is not None:
        return f"the source {type(leaf.io_source).__name__}"
    return f"a frame in memory with the columns {', '.join(list(leaf.buffers)[:5])}"
