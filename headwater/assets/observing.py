"""Assets that something else writes: `observe` a source, `record` what others made, `materializing` chosen at run time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from typing import Any

from headwater import clock, ids
from headwater.assets import runtime, writing
from headwater.assets.asset import Asset, as_asset, as_made
from headwater.assets.events import AssetObserved, ColumnSchema, Evidence, InputVersion
from headwater.assets.forms import frame_form
from headwater.assets.observers import Observation, named_column, observer_of, parsed, seen_by, time_in
from headwater.assets.partitions import Partition
from headwater.assets.publications import hand_over
from headwater.assets.reading import BoundInput, damaged
from headwater.assets.scope import Consumed, scope, tracker
from headwater.assets.time_columns import told
from headwater.assets.tracking import as_value
from headwater.assets.writing import Identity
from headwater.core import context as core_context
from headwater.core.arguments import find, resolve
from headwater.core.runs import open_run
from headwater.errors import DefinitionError, LocationError, PartitionError, UsageError
from headwater.records import dataclass


def observe(
    asset: Asset | str,
    *,
    partition: Partition | str | date | None = None,
    version: str | None = None,
    data_through: datetime | date | None = None,
    rows: int | None = None,
) -> AssetObserved:
    """Note what a source holds now: its version, its rows, and how far its data reaches. Returns what was journaled.

    Where nothing is given the asset's observer is asked, if it has one. What is not said is read from the source itself: the
    version from the data, `data_through` as the maximum of the asset's `time_column` (a date counts to the end of its day,
    in the partition's time zone or UTC). Raises LocationError when there is nothing to see, and what an observer raises.

    >>> from headwater import Asset, observe
    >>> from headwater.testing import project
    >>> with project():
    ...     rates = Asset("rates", at="memory://rates")
    ...     observe(rates, version="2024-01-05", rows=3).rows
    3
    """
    found = as_asset(asset, where="observe(…)")
    run = runtime.current()
    given = Observation(data_through=data_through, version=version, rows=rows)
    looks = observer_of(found) if given == Observation() and partition is None else None
    if looks is None:
        part = given_partition(found, partition)
        bodies = [_observed(run, found, part, given, asked=False)]
    else:
        bodies = _by_observer(run, found, looks)
    run.journal.append(*run.definitions.new([found]), *bodies)
    return bodies[-1]


def _by_observer(run: runtime.AssetRuntime, asset: Asset, observer: Any) -> list[AssetObserved]:
    answers = seen_by(observer, run, asset)
    if not answers:
        raise _nothing(asset)
    parts = asset.partitions
    return [
        _observed(run, asset, None if parts is None or key is None else parts.partition(key), seen, asked=True)
        for key, seen in answers.items()
    ]


def _observed(
    run: runtime.AssetRuntime, asset: Asset, partition: Partition | None, said: Observation, *, asked: bool
) -> AssetObserved:
    """The event of an observation: what was said, and what a look at the place adds to it.

    An observer that was `asked` may be there to spare a look at the data, or for a place that can't be looked at.
    """
    target, version, seen = run.definitions.target(asset), said.version, _Seen()
    if version is None:
        version = run.materializer(target.asset).version(target, partition)
        if version is None and (not asked or said == Observation()):
            raise _nothing(asset, partition)
        if version is not None and (not asked or said.data_through is None):
            seen = _look(run, asset, partition)
    context = core_context.current()
    return AssetObserved(
        observation_id=ids.new_id(),
        run_id=context.run_id if context else None,
        task_run_id=context.task_run_id if context else None,
        project=run.project,
        asset=target.asset,
        partition=partition.key if partition else None,
        partition_end=partition.end_us if partition else None,
        version=version,
        data_through=seen.data_through if said.data_through is None else _end_of(said.data_through, partition),
        rows=seen.rows if said.rows is None else said.rows,
        columns=seen.columns,
    )


def _nothing(asset: Asset, partition: Partition | None = None) -> LocationError:
    name = f"{asset.name}@{partition.key}" if partition else asset.name
    return LocationError(
        f"there is nothing to observe of '{name}'", where=asset.at, hint="check the place, or give version="
    )


def record(
    asset: Asset | str,
    *,
    partition: Partition | str | date | None = None,
    version: str | None = None,
    rows: int | None = None,
    data_through: datetime | date | None = None,
    inputs: Iterable[Any] = (),
) -> str:
    """Record that something else has just made an asset; returns the version. `inputs` are values or assets it was made of.

    Raises UsageError for a version that is no text, for rows that are no number, and for what is no time.

    >>> from headwater import Asset, record
    >>> from headwater.testing import project
    >>> with project():
    ...     report = Asset("report", at="memory://report")
    ...     record(report, version="v7", rows=12)
    'v7'
    """
    found = as_asset(asset, where="record(…)")
    run = runtime.current()
    with _identity(f"record {found.name}") as identity:
        part, target = given_partition(found, partition), run.definitions.target(found)
        # What may be refused comes first: once it has begun, it has an outcome.
        through = _end_of(data_through, part)
        said = Observation(version=version, rows=rows)
        before = run.materializer(target.asset).version(target, part) if version is None else None
        consumed, reads = _consumed(run, inputs)
        output = writing.begin(run, [found], part, identity, inputs=tuple(consumed.sources), reads=reads)[0]
        output.evidence = Evidence(
            version=version or before or output.version,
            rows=said.rows,
            time_max=through,
            inputs=tuple(consumed.sources),
            unknown_inputs=tuple(consumed.unknown),
        )
        writing.end(run, output, "published")
        return output.evidence.version


class Writing:
    """What `materializing` gives: `write` brings the asset up to date with a value, once."""

    def __init__(self, run: runtime.AssetRuntime, output: writing.Output, consumed: Consumed) -> None:
        self._run, self._output, self._consumed = run, output, consumed
        self.written = False

    def write(self, value: Any) -> None:
        """Stage, check and publish a value; in a transaction it is published at the commit.

        Raises CheckFailed when a blocking check says no.
        """
        if self.written:
            raise DefinitionError(f"'{self._output.asset.name}' was written already", hint="open materializing again")
        writing.stage(self._run, [self._output], [value], self._consumed)
        hand_over(self._run, [self._output], core_context.open_transaction())
        self.written = True


@contextmanager
def materializing(
    asset: Asset | str, *, partition: Partition | str | date | None = None, inputs: Iterable[Any] = ()
) -> Iterator[Writing]:
    """Bring an asset up to date that is chosen at run time: `with materializing(asset) as m: m.write(frame)`.

    `inputs` are values or assets that the written one was made of. If the block raises, or writes nothing, nothing is published.

    >>> from headwater import materializing
    >>> from headwater.testing import project
    >>> with project(), materializing("memory://chosen") as m:
    ...     m.write([{"id": 1}])
    """
    found = as_made(asset, where="materializing(…)")
    run = runtime.current()
    with _identity(f"materializing {found.name}") as identity:
        consumed, reads = _consumed(run, inputs)
        part = given_partition(found, partition)
        output = writing.begin(run, [found], part, identity, inputs=tuple(consumed.sources), reads=reads)[0]
        try:
            yield (block := Writing(run, output, consumed))
            if not block.written:
                raise DefinitionError(f"nothing was written to '{found.name}'", hint="call m.write(value) in the block")
        except BaseException as error:
            writing.end_all(run, [output], error)
            raise


def derived_from(value: Any, *sources: Any) -> Any:
    """Say that a value was computed from others, where Headwater can't see it (an eager frame that was changed); returns it.

    Futures among those, at any depth, are waited for; raises what their tasks raised.

    >>> from headwater import derived_from
    >>> rows = [{"id": 1}]
    >>> changed = derived_from([{"id": 2}], rows)
    """
    track = tracker(core_context.current())
    consumed = Consumed(tracker=track)
    for future, may_fail in find(sources, {}):
        future.result(raise_on_failure=not may_fail)
    consumed.add_value(runtime.current(), "sources", resolve(sources))
    found = as_value(consumed.sources, "derived")
    if found:
        track.add(value, found)
        if frame_form(value) == "eager":
            # So that it is known again when it is made lazy.
            buffers = runtime.current().columns.buffers(value)
            track.add_frame(value, buffers, found, size=int(value.estimated_size()))
    return value


def _consumed(run: runtime.AssetRuntime, inputs: Iterable[Any]) -> tuple[Consumed, list[Asset]]:
    """What stands behind what somebody says that an asset was made of: values, or assets as a whole; and these assets."""
    if isinstance(inputs, str) or not isinstance(inputs, Iterable):
        problem = f"inputs must be a list of values or assets, not {inputs!r}"[:200]
        raise UsageError(problem, hint="write inputs=[orders]")
    consumed, assets = Consumed(tracker=tracker(core_context.current())), list[Asset]()
    for one in inputs:
        if isinstance(one, Asset):
            assets.append(one)
            ref = run.definitions.ref(one)
            consumed.add((InputVersion(asset=one.name, namespace=ref.namespace, dataset=ref.dataset, via="derived"),))
        else:
            consumed.add_value(run, "inputs", one)
    return consumed, assets


@contextmanager
def _identity(name: str) -> Iterator[Identity]:
    """Who makes something outside a materialization: the run that this is in, or one of its own."""
    context = core_context.current()
    if context is None:
        with open_run(flow=name, type="materialize", parameters={}) as opened:
            yield Identity.of(opened, opened.task_run_id or opened.run_id, name)
    else:
        yield Identity.of(context, context.task_run_id or context.run_id, name)


def given_partition(asset: Asset, value: Partition | str | date | None) -> Partition | None:
    """The partition that is meant; where none was given, that of the materialization around it. Raises PartitionError."""
    if asset.partitions is None:
        if value is not None:
            raise PartitionError(f"the asset '{asset.name}' has no partitions, but {value!r} was given")
        return None
    if value is not None:
        return asset.partitions.partition(value)
    outer = scope()
    if outer is not None and outer.partition is not None and outer.partition.definition == asset.partitions:
        return outer.partition
    raise PartitionError(
        f"the asset '{asset.name}' is partitioned, and no partition was given", hint="give partition=…"
    )


def _look(run: runtime.AssetRuntime, asset: Asset, partition: Partition | None) -> _Seen:
    target, parts = run.definitions.target(asset), (partition,) if partition else None
    frame = run.materializer(target.asset).load(target, parts, "lazy")
    if frame_form(frame) != "lazy":
        return _Seen(rows=len(frame) if hasattr(frame, "__len__") else None)
    try:
        return _measured(asset, partition, frame)
    except Exception as error:
        found = damaged(run, [BoundInput(asset, parts, ())], error)
        if found is None:
            raise
        raise found from error


def _measured(asset: Asset, partition: Partition | None, frame: Any) -> _Seen:
    import polars as pl

    from headwater.assets.value_lineage import frame_schema

    wanted = [pl.len().alias("rows")]
    if asset.time_column is not None:
        wanted.append(told(asset.time_column, frame.collect_schema().get(asset.time_column)).max().alias("through"))
    column = asset.time_column or ""
    with named_column(asset, column):
        row = frame.select(wanted).collect().row(0, named=True)
    through = _end_of(time_in(asset, column, row.get("through")), partition)
    return _Seen(rows=row["rows"], data_through=through, columns=frame_schema(frame))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What a look at a source showed."""

    rows: int | None = None
    data_through: int | None = None
    columns: tuple[ColumnSchema, ...] = ()


def _end_of(moment: datetime | date | str | None, partition: Partition | None) -> int | None:
    """Microseconds since the epoch; a date counts to the end of its day, in the partition's time zone; a naive time is UTC."""
    if moment is None or moment != moment:  # what pandas has for no time is a datetime, and equals nothing
        return None
    if isinstance(moment, str):
        with suppress(ValueError):
            moment = parsed(moment)
    if not isinstance(moment, date):
        # A time of NumPy's is none of Python's, and would be taken for a whole day.
        hint = "give a datetime or a date, such as value.item() of a time of NumPy's, or text such as 2024-01-05T12:00"
        raise UsageError(f"data_through can't be {moment!r}"[:300], hint=hint)
    if not isinstance(moment, datetime):
        start = None if partition is None else partition.start
        zone = None if start is None else start.tzinfo
        return clock.day_us(moment, zone or UTC, end=True)
    return clock.given_us(moment)
