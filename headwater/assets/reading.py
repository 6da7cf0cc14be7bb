"""Reading inputs: which partitions, which versions are there, and the data in the form that was asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from headwater.assets import registry
from headwater.assets.asset import Asset
from headwater.assets.empty_input import empty_relation, empty_value
from headwater.assets.events import ColumnSchema, InputVersion
from headwater.assets.forms import frame_form
from headwater.assets.mappings import PartitionMapping
from headwater.assets.partitions import UNPARTITIONED, Partition, PartitionSet
from headwater.assets.protocols import RELATION_TABLE, Form, Target
from headwater.assets.runtime import AssetRuntime
from headwater.assets.tracking import Sources, Tracker
from headwater.core.context import open_transaction
from headwater.errors import HeadwaterError, InputMissing, LocationError, UsageError
from headwater.records import dataclass
from headwater.wording import counted, listed

_NAMED = 8
_READING_ERRORS = frozenset(
    {"ComputeError", "NoDataError", "PanicException", "IOException", "InvalidInputException", "SerializationException"}
)
"""What Polars and DuckDB raise when a file is not what it should be."""


@dataclass(frozen=True, slots=True, eq=False)
class BoundInput:
    """An input for `sql`: an asset with the partitions of it that are read; nothing is loaded."""

    asset: Asset
    partitions: tuple[Partition, ...] | None
    sources: Sources

    def relation(self, runtime: AssetRuntime) -> Any:
        """The input as a SELECT (`SqlRelation`); what is kept in memory as the frame that it is."""
        target = runtime.definitions.target(self.asset)
        if self.partitions == ():
            return empty_relation(runtime, target)
        return runtime.materializer(target.asset).load(target, self.partitions, "sql")


def bind(
    runtime: AssetRuntime, asset: Asset, mapping: PartitionMapping, partition: Partition | None, *, via: str
) -> BoundInput:
    """The partitions of an asset that are read for a partition of what is made, with the versions that are in place.

    Raises InputMissing naming the partitions that were never made, when more of them are missing than the mapping allows.
    """
    if asset.partitions is None:
        target = runtime.definitions.target(asset)
        _refuse_unpublished(target, (None,))
        version = runtime.materializer(target.asset).version(target, None)
        if version is None:
            message = f"the input '{asset.name}' was never made" if _made_here(asset) else _absent(asset)
            raise InputMissing(message, where=asset.at, hint=_make(asset, None))
        return BoundInput(asset, None, (_source(runtime, asset, None, version, via),))
    wanted = mapping.upstream(_as_set(partition), asset.partitions)
    bound, found = _in_place(runtime, asset, wanted, via)
    _require(asset, wanted, found, mapping)
    return bound


def bind_range(
    runtime: AssetRuntime, asset: Asset, mapping: PartitionMapping, wanted: PartitionSet
) -> tuple[BoundInput, dict[str | None, HeadwaterError]]:
    """What `bind` finds, for several partitions of what is made, and the errors of those whose inputs are missing, by key.

    Raises InputMissing for an input that is not divided and was never made.
    """
    if asset.partitions is None:
        return bind(runtime, asset, mapping, None, via="load"), {}
    reads = mapping.upstream(wanted, asset.partitions)
    bound, found = _in_place(runtime, asset, reads, "load")
    missing = reads - asset.partitions.set_of(part.key for part in found)
    lacking: dict[str | None, HeadwaterError] = {}
    # Where even all that is read would be too few, nothing needs to be missing.
    too_few = mapping.enough(len(reads)) > len(reads)
    concerned = wanted if too_few else mapping.downstream(missing, wanted.definition) & wanted
    for one in concerned:
        own = mapping.upstream(wanted.definition.set_of([one.key]), asset.partitions)
        try:
            _require(asset, own, {part: found[part] for part in own if part in found}, mapping)
        except InputMissing as error:
            lacking[one.key] = error
    return bound, lacking


def _in_place(
    runtime: AssetRuntime, asset: Asset, wanted: PartitionSet, via: str
) -> tuple[BoundInput, dict[Partition, str]]:
    """What there is of these partitions of an asset: bound, and each with its version."""
    target = runtime.definitions.target(asset)
    _refuse_unpublished(target, wanted)
    materializer = runtime.materializer(target.asset)
    found = {part: version for part in wanted if (version := materializer.version(target, part)) is not None}
    sources = tuple(_source(runtime, asset, part.key, version, via) for part, version in found.items())
    return BoundInput(asset, tuple(found), sources), found


def _refuse_unpublished(target: Target, wanted: Iterable[Partition | None]) -> None:
    """Refuse to read what the transaction that is open is about to replace: the data in place is the old one."""
    transaction = open_transaction()
    ref, staged = target.asset, () if transaction is None else transaction.holds()
    for part in wanted if staged else ():
        key = None if part is None else part.key
        if (ref.namespace, ref.dataset, key) in staged:
            raise UsageError(
                f"the input '{ref.name}'{'' if key is None else f' ({key})'} was made in this transaction, which publishes it "
                "only when it commits",
                where=ref.uri,
                hint=f"pass what made '{ref.name}' returned as the argument, or read it after the transaction",
            )


def load(runtime: AssetRuntime, tracker: Tracker, bound: BoundInput, form: Form) -> Any:
    """The data of a bound input, remembered by the tracker as coming from it."""
    if form == "asset":
        return bound
    target = runtime.definitions.target(bound.asset)
    if bound.partitions == ():
        return remember(runtime, tracker, empty_value(runtime, target, form), bound.sources)
    return load_versions(runtime, tracker, target, bound.partitions, form, bound.sources)


def load_versions(
    runtime: AssetRuntime,
    tracker: Tracker,
    target: Target,
    partitions: tuple[Partition, ...] | None,
    form: Form,
    sources: Sources,
    *,
    made: bool = False,
) -> Any:
    """The data of versions that are in place, remembered. What was `made` just now is not looked at again by who reads it.

    Of what somebody else has made, the materializer decides at each load how it is read best: a file may be parsed once
    and kept when it is read again.
    """
    lazy = form in ("lazy", "any")
    known = tracker.scan_of(sources) if lazy else None
    if known is not None:
        value = known.clone()
        tracker.add(value, sources)
        return value
    value = runtime.materializer(target.asset).load(target, partitions, form)
    # What is kept in memory is what somebody made, who may go on with it: then it is not this asset.
    kept = runtime.keeps_in_memory(target.asset)
    return remember(runtime, tracker, own(value) if kept else value, sources, made=made, shared=kept)


def remember(
    runtime: AssetRuntime,
    tracker: Tracker,
    value: Any,
    sources: Sources,
    *,
    shared: bool = False,
    made: bool = False,
) -> Any:
    """Follow a value that holds the data of these versions: itself, and what its plan or that of its `.lazy()` starts from.

    With `made` it is these versions just as they were published: a scan of their files is kept for who reads them next.

    Returns the value to hand out: a frame in memory that shares all its columns with another one gets a column of its own
    (with `shared`, in any case), since its lazy frames are known by nothing else.
    """
    kind = frame_form(value)
    if kind == "lazy":
        leaves = runtime.columns.leaves(value)
        if len(leaves) == 1 and leaves[0].buffers:
            # Rows in memory: collecting them copies nothing.
            value = remember(runtime, tracker, value.collect(), sources, shared=shared).lazy()
        for leaf in leaves:
            tracker.add_leaf(leaf, sources)
        if made and leaves and all(leaf.paths for leaf in leaves):
            tracker.add_scan(value, sources)
    elif kind == "eager":
        # One at a time: two threads that remember the same columns would each find that nobody else has them.
        with tracker.remembering:
            buffers = runtime.columns.buffers(value)
            if buffers and (shared or tracker.knows_other(buffers, sources)):
                import polars as pl

                column = min((value[name] for name in buffers), key=lambda series: series.estimated_size())
                value = value.with_columns(column.gather(pl.int_range(len(column), eager=True)))
                buffers = runtime.columns.buffers(value)
            held = {**dict.fromkeys(value.columns), **buffers}
            tracker.add_frame(value, held, sources, size=int(value.estimated_size()))
    elif kind == "relation":
        columns = tuple(
            ColumnSchema(name=name, type=str(of)) for name, of in zip(value.columns, value.types, strict=True)
        )
        for table in relation_tables(value.sql_query()):
            tracker.add_table(table, sources, columns)
    tracker.add(value, sources)
    return value


def relation_tables(query: str) -> list[str]:
    """The tables behind relations that were handed out, of which a relation's query reads.

    >>> relation_tables("SELECT a FROM headwater_relation_7 JOIN headwater_relation_12 USING (a)")
    ['headwater_relation_7', 'headwater_relation_12']
    """
    return list(dict.fromkeys(re.findall(rf"\b{RELATION_TABLE}\d+\b", query)))


def own(value: Any) -> Any:
    """The value as an object of its own, sharing what is inside.

    A function that gives back what it was given, or a constant, would otherwise make one object stand for two assets.
    """
    if type(value) in (list, dict, set):
        return value.copy()
    if type(value) is tuple:
        return tuple(list(value))  # noqa: C414 - a tuple of a tuple is the very same object
    form = frame_form(value)
    if form == "eager":
        return value.clone()
    if form == "arrow":
        return value.slice()
    return value.copy(deep=False) if form == "pandas" else value


def damaged(runtime: AssetRuntime, bound: Iterable[BoundInput], error: BaseException) -> HeadwaterError | None:
    """The error that names the damaged input, when that is what an engine's error comes from; None otherwise.

    A lazy input is read only when a plan is executed, whose error does not say which of its files it means: each input is
    read by itself then, a partition at a time.
    """
    if isinstance(error, LocationError) or not _from_reading(error):
        return None
    for one in bound:
        target = runtime.definitions.target(one.asset)
        materializer = runtime.materializer(target.asset)
        for part in (None,) if one.partitions is None else one.partitions:
            try:
                materializer.load(target, None if part is None else (part,), "eager")
            except HeadwaterError as found:
                return found
    return None


def _from_reading(error: BaseException) -> bool:
    raised = {type(one).__name__ for one in (error, error.__cause__) if one is not None}
    return bool(raised & _READING_ERRORS) or isinstance(error, OSError)


def unchanged(
    runtime: AssetRuntime, bound: BoundInput, kept: Callable[[Iterable[InputVersion]], Sources] | None = None
) -> bool:
    """Whether the versions that were read, or of them those that are `kept`, are still those in place."""
    target = runtime.definitions.target(bound.asset)
    materializer = runtime.materializer(target.asset)
    parts: tuple[Partition | None, ...] = (None,) if bound.partitions is None else bound.partitions
    counts = None if kept is None else set(kept(bound.sources))
    return all(
        materializer.version(target, part) == source.version
        for part, source in zip(parts, bound.sources, strict=True)
        if counts is None or source in counts
    )


def _as_set(partition: Partition | None) -> PartitionSet:
    if partition is None or partition.definition is None:
        return UNPARTITIONED.all()
    return partition.definition.set_of([partition.key])


def _source(runtime: AssetRuntime, asset: Asset, key: str | None, version: str, via: str) -> InputVersion:
    ref = runtime.definitions.ref(asset)
    return InputVersion(
        asset=asset.name, namespace=ref.namespace, dataset=ref.dataset, partition=key, version=version, via=via
    )


def _require(asset: Asset, wanted: PartitionSet, found: dict[Partition, str], mapping: PartitionMapping) -> None:
    needed = mapping.enough(len(wanted))
    if len(found) >= needed:
        return
    if not wanted:
        raise InputMissing(
            f"the input '{asset.name}' has no partition yet: it is {wanted.definition.describe()}",
            where=asset.at,
            hint="make this when it has one; needs=0 reads no rows until then",
        )
    if len(found) == len(wanted):
        message = f"the input '{asset.name}' has {counted(len(wanted), 'partition')}, at least {needed} are needed"
        raise InputMissing(message, where=asset.at, hint="make this when it has more, or ask for fewer with needs=")
    have = {part.key for part in found}
    missing = [wanted.definition.write(part.key) for part in wanted if part.key not in have]
    raise InputMissing(
        f"the input '{asset.name}' misses {len(missing)} of {len(wanted)} partitions: {listed(missing, _NAMED)}"
        + (f"; at least {needed} are needed" if mapping.needs is not None else ""),
        where=asset.at,
        hint=_make(asset, missing[0] if missing else None),
    )


def _made_here(asset: Asset) -> bool:
    return registry.current().is_made(asset.name)


def _absent(asset: Asset) -> str:
    return f"the input '{asset.name}' is not there, and nothing that is loaded makes it"


def _make(asset: Asset, partition: str | None) -> str:
    if not _made_here(asset):
        return "put its data there, or load what makes it (-f FILE, or modules in [tool.headwater])"
    from headwater.assets.selection_syntax import making

    return f"make it first: {making(asset.name, partition)}"
