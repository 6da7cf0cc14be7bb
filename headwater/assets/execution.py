"""Write, audit, publish: how one call of a materialization brings its assets up to date.

The six steps: intent with a version id; write once to a staging place; check what was staged; a durable record of it with
all its evidence; publish atomically; the durable outcome. User code is not called here: the generator yields an `Invoke`
and the engine's driver, synchronous or asynchronous, carries it out.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from headwater import clock, ids
from headwater.assets import reading, registry, runtime, value_lineage
from headwater.assets.asset import Asset
from headwater.assets.events import (
    CheckResult,
    Evidence,
    InputVersion,
    MaterializationEnded,
    MaterializationStaged,
    MaterializationStarted,
)
from headwater.assets.forms import frame_form
from headwater.assets.inputs import PARTITION, InputSpec
from headwater.assets.mappings import infer_mapping
from headwater.assets.partitions import Partition
from headwater.assets.protocols import Staged, Target
from headwater.assets.sql import Sql
from headwater.assets.tracking import Sources, Tracker, as_value, walk
from headwater.core.engine import Invoke
from headwater.core.source import error_info
from headwater.errors import Cancelled, CheckFailed, MaterializationError, PartitionError, RefusedError, ReturnTypeError

if TYPE_CHECKING:
    from headwater.assets.materialize import Materialization
    from headwater.core.context import RunContext, TaskCall
    from headwater.types import SourceCode

MATERIALIZED = "headwater.materialized"
"""The annotation of a call and of its future that says which versions it made."""
_TRACKER = "headwater.tracker"
_TRIES = 3


@dataclass(slots=True, eq=False)
class Scope:
    """The materialization whose function is running: what it makes, and what it was seen to read while it ran."""

    inputs: tuple[InputSpec, ...]
    partition: Partition | None
    read: dict[InputVersion, None] = field(default_factory=dict)


_scope: ContextVar[Scope | None] = ContextVar("headwater_materialization", default=None)


def scope() -> Scope | None:
    """The materialization whose function is running in this context."""
    return _scope.get()


_outside = Tracker()


def tracker(context: RunContext | None) -> Tracker:
    """The tracker of a root run, shared by everything in it; outside runs, one for the process."""
    if context is None:
        return _outside
    found: Tracker | None = context.extras.get(_TRACKER)
    return found or context.extras.setdefault(_TRACKER, Tracker())


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who makes something: the run, the task run and the source of the function."""

    run_id: str
    attempt: int
    task_run_id: str
    flow: str
    task: str
    root_run_id: str
    root_flow: str
    root_attempt: int = 1
    source: SourceCode | None = None


@dataclass(slots=True, eq=False)
class Output:
    """One asset that a call makes: one version of one partition, from the intent to the outcome."""

    asset: Asset
    partition: Partition | None
    target: Target
    started: MaterializationStarted
    started_at: int
    staged: Staged | None = None
    evidence: Evidence | None = None
    recorded: bool = False
    ended: bool = False

    @property
    def version(self) -> str:
        """The version that is being made: its materialization's id."""
        return self.started.materialization_id


def begin(
    run: runtime.AssetRuntime, assets: Sequence[Asset], partition: Partition | None, identity: Identity, inputs: Sources
) -> list[Output]:
    """Step 1: journal the intent for each asset (and the definitions that this process has not journaled yet)."""
    now = clock.now_us()
    outputs = []
    for asset in assets:
        definition, target = run.definitions.of(asset), run.definitions.target(asset)
        started = MaterializationStarted(
            materialization_id=ids.new_id(),
            run_id=identity.run_id,
            attempt=identity.attempt,
            task_run_id=identity.task_run_id,
            flow=identity.flow,
            task=identity.task,
            root_run_id=identity.root_run_id,
            root_flow=identity.root_flow,
            root_attempt=identity.root_attempt,
            project=run.project,
            asset=target.asset,
            partition=partition.key if partition else None,
            partition_start=partition.start_us if partition else None,
            partition_end=partition.end_us if partition else None,
            inputs=inputs,
            source=identity.source,
            owners=definition.owners,
            tags=dict(definition.tags),
            description=definition.description,
        )
        outputs.append(Output(asset, partition, target, started, now))
    read = {source.asset for source in inputs}
    known = registry.current().assets
    new = run.definitions.new([*assets, *(known[name] for name in read if name in known)])
    run.journal.append(*new, *(output.started for output in outputs))
    return outputs


def stage(run: runtime.AssetRuntime, output: Output, value: Any, consumed: Consumed) -> None:
    """Steps 2 and 3: write the value beside its place and run the checks on what was written.

    Raises CheckFailed when a blocking check fails; the evidence then says which, and nothing is published.
    """
    materializer = run.materializer(output.target.asset)
    found = value_lineage.lineage_of(run, consumed.tracker, value, output.partition)
    staged = materializer.stage(output.target, output.partition, found.value, version=output.version)
    output.staged = staged
    results = tuple(check.run(staged.frame()) for check in registry.current().checks_of(output.asset.name))
    inputs = dict.fromkeys([*consumed.sources, *found.sources])
    output.evidence = Evidence(
        version=staged.version,
        rows=staged.rows,
        bytes=staged.bytes,
        columns=staged.columns,
        time_min=staged.time_min,
        time_max=staged.time_max,
        inputs=_once(inputs),
        unknown_inputs=tuple(dict.fromkeys([*consumed.unknown, *found.unknown_inputs])),
        column_edges=found.edges,
        unknown_columns=found.unknown_columns,
        checks=results,
        code_version=output.started.source.hash if output.started.source else None,
        sql=found.sql,
    )
    failed = [result for result in results if result.blocking and not result.passed]
    if failed:
        raise CheckFailed(
            f"the check '{failed[0].name}' failed on {_subject(output)}" + _message(failed[0]),
            where=output.asset.at,
            hint="the old data stays in place; mend the data or the check and run again",
        )


def publish(run: runtime.AssetRuntime, output: Output) -> None:
    """Steps 4, 5 and 6: durable record, atomic publishing, durable outcome, while nobody else publishes the partition."""
    assert output.staged is not None
    assert output.evidence is not None
    materializer, ref = run.materializer(output.target.asset), output.target.asset
    with run.locks.hold(f"publish:{ref.namespace}:{ref.dataset}:{output.started.partition or ''}"):
        output.evidence = replace(output.evidence, replaces=materializer.version(output.target, output.partition))
        run.journal.append(
            MaterializationStaged(
                materialization_id=output.version,
                started=output.started,
                started_at=output.started_at,
                staging=dict(output.staged.staging),
                evidence=output.evidence,
            )
        )
        output.recorded = True
        materializer.publish(output.target, output.partition, output.staged)
        end(run, output, "published")


def end(run: runtime.AssetRuntime, output: Output, state: str, error: BaseException | None = None) -> None:
    """Journal the outcome, once; what was staged and not published is removed."""
    if output.ended:
        return
    materializer = run.materializer(output.target.asset)
    output.ended = True
    if state != "published" and output.staged is not None:
        if output.recorded and materializer.version(output.target, output.partition) == output.version:
            # Stopped between publishing and its outcome: the data itself says that it is there.
            state, error = "published", None
        materializer.discard(output.target, output.version)
    run.journal.append(
        MaterializationEnded(
            materialization_id=output.version,
            started=output.started,
            started_at=output.started_at,
            state=state,
            evidence=output.evidence,
            error=error_info(error) if error is not None else None,
        )
    )


@dataclass(slots=True, kw_only=True)
class Consumed:
    """What a call was seen to read: sources, values of unknown origin, and the tracker that knows more."""

    tracker: Tracker
    sources: dict[InputVersion, None] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def add(self, sources: Sources) -> None:
        """Add sources, each once."""
        self.sources.update(dict.fromkeys(sources))

    def add_value(self, run: runtime.AssetRuntime, name: str, value: Any) -> None:
        """Add what stands behind a passed value; a frame that nobody knows is of unknown origin, and said to be."""
        self.add(as_value(self.tracker.sources_of(value), "value"))
        for one in walk(value):
            kind = frame_form(one)
            if kind is None or self.tracker.of(one) is not None:
                continue
            if kind == "lazy":
                found, unknown = value_lineage.plan_sources(run, self.tracker, one)
                self.add(as_value(found, "plan"))
                self.unknown.extend(f"the argument '{name}': {reason}" for reason in unknown)
            else:
                self.unknown.append(f"the argument '{name}' holds a {type(one).__name__} of unknown origin")


def steps(task: Materialization[Any, Any], call: TaskCall) -> Generator[Invoke, Any, Any]:
    """The body of a materialization's try: everything around the user's function, which is yielded to the driver."""
    run = runtime.current()
    partition = partition_of(task, scope())
    arguments = task.bind(call.args, call.kwargs)
    track = tracker(call.context)
    for _ in range(_TRIES):
        consumed = Consumed(tracker=track)
        outputs: list[Output] = []
        try:
            outputs = begin(run, task.assets, partition, _identity(task, call), ())
            bound = _inputs(run, task, call, arguments, partition, consumed)
            filled = {**arguments, **{name: value for name, (_, value) in bound.items()}}
            filled.update(_converted(run, task, arguments, track))
            if task.wants_partition and PARTITION not in filled:
                filled[PARTITION] = partition
            value = yield from _invoke(task, filled, partition, consumed)
            parts = _values_for(task, value)
            for output, part in zip(outputs, parts, strict=True):
                stage(run, output, part, consumed)
            if all(reading.unchanged(run, one) for one, _ in bound.values()):
                for output in outputs:
                    publish(run, output)
                return _result(run, consumed, call, outputs, value, parts)
            for output in outputs:
                end(run, output, "discarded")
        except BaseException as error:
            end_all(run, outputs, error)
            raise
    raise MaterializationError(
        f"the inputs of {task.name} changed {_TRIES} times while it ran",
        hint="something makes them all the time: let it finish first, or run both in one flow",
    )


def partition_of(task: Materialization[Any, Any], outer: Scope | None) -> Partition | None:
    """The partition that a call makes: its own, or the outer materialization's through the mapping.

    Raises PartitionError when a partitioned asset is called without one.
    """
    asset = task.assets[0]
    if asset.partitions is None:
        if task.partition is not None:
            raise PartitionError(f"the asset '{asset.name}' has no partitions, but {task.partition!r} was given")
        return None
    if task.partition is not None:
        return asset.partitions.partition(task.partition)
    if outer is not None and outer.partition is not None and outer.partition.definition is not None:
        downstream = outer.partition.definition
        mapping = next((spec.mapping for spec in outer.inputs if spec.asset.name == asset.name), None)
        mapping = mapping or infer_mapping(asset.partitions, downstream)
        wanted = mapping.upstream(downstream.set_of([outer.partition.key]), asset.partitions)
        if len(wanted) == 1:
            return wanted.first
    raise PartitionError(
        f"the asset '{asset.name}' is partitioned, and no partition was given",
        where=task.fn.__qualname__,
        hint=f'write {task.fn.__name__}.at("{asset.partitions.key(asset.partitions.bounds[0])}")(…)',
    )


def _identity(task: Materialization[Any, Any], call: TaskCall) -> Identity:
    context = call.context
    return Identity(
        run_id=context.run_id,
        attempt=context.attempt,
        task_run_id=call.task_run_id,
        flow=context.flow,
        task=task.name,
        root_run_id=context.root_run_id,
        root_flow=context.root_flow,
        root_attempt=context.run.root.attempt,
        source=task.source,
    )


def _inputs(
    run: runtime.AssetRuntime,
    task: Materialization[Any, Any],
    call: TaskCall,
    arguments: Mapping[str, Any],
    partition: Partition | None,
    consumed: Consumed,
) -> dict[str, tuple[reading.BoundInput, Any]]:
    """Load the inputs that were not passed; note what stands behind those that were, and behind `wait_for`."""
    loaded: dict[str, tuple[reading.BoundInput, Any]] = {}
    for spec in task.inputs:
        if spec.parameter not in arguments:
            bound = reading.bind(run, spec.asset, spec.mapping, partition, via="load")
            loaded[spec.parameter] = (bound, reading.load(run, consumed.tracker, bound, spec.form))
            consumed.add(bound.sources)
    for name, value in arguments.items():
        consumed.add_value(run, name, value)
    for future in call.wait_for:
        consumed.add(as_value(getattr(future, "annotations", {}).get(MATERIALIZED, ()), "wait_for"))
    return loaded


def _converted(
    run: runtime.AssetRuntime, task: Materialization[Any, Any], arguments: Mapping[str, Any], track: Tracker
) -> dict[str, Any]:
    """Passed tables in the form that their parameter's annotation names, still known as what they are."""
    found = {}
    for spec in task.inputs:
        value = arguments.get(spec.parameter)
        if spec.parameter not in arguments or spec.form == "asset" or value is None:
            continue
        converted = found[spec.parameter] = run.convert(value, spec.form)
        known = track.sources_of(value)
        if converted is not value and known:
            found[spec.parameter] = reading.remember(run, track, converted, known)
    return found


def _invoke(
    task: Materialization[Any, Any], arguments: dict[str, Any], partition: Partition | None, consumed: Consumed
) -> Generator[Invoke, Any, Any]:
    inner = Scope(task.inputs, partition)
    before = _scope.set(inner)
    try:
        args, kwargs = task.unbind(arguments)
        return (yield Invoke(task.fn, args, kwargs))
    finally:
        _scope.reset(before)
        consumed.add(tuple(inner.read))


def _values_for(task: Materialization[Any, Any], value: Any) -> tuple[Any, ...]:
    names = [asset.name for asset in task.assets]
    if len(names) == 1:
        return (value,)
    if isinstance(value, Mapping) and set(value) == set(names):
        return tuple(value[name] for name in names)
    if isinstance(value, (tuple, list)) and len(value) == len(names):
        return tuple(value)
    raise ReturnTypeError(
        f"{task.name} makes {len(names)} assets and returned {type(value).__name__}",
        where=task.fn.__module__,
        hint=f"return a tuple of {len(names)} values, or a mapping with the keys {', '.join(names)}",
    )


def _result(
    run: runtime.AssetRuntime,
    consumed: Consumed,
    call: TaskCall,
    outputs: list[Output],
    value: Any,
    parts: tuple[Any, ...],
) -> Any:
    """What the call gives back: what the function returned; a lazy frame or a query as a scan of what was published."""
    made = [made_source(output) for output in outputs]
    given = []
    for output, part, source in zip(outputs, parts, made, strict=True):
        again = isinstance(part, Sql) or frame_form(part) == "lazy"
        result = (
            run.materializer(output.target.asset).load(
                output.target, None if output.partition is None else (output.partition,), "lazy"
            )
            if again
            else reading.own(part)
        )
        # A frame that nobody knew was passed, and may have been passed on: its own lazy frames are not this asset's.
        shared = bool(consumed.unknown)
        sources = (source, *_also(consumed.tracker, result, source))
        given.append(reading.remember(run, consumed.tracker, result, sources, shared=shared))
    call.annotations[MATERIALIZED] = tuple(made)
    outer = scope()
    if outer is not None:
        outer.read.update(dict.fromkeys(as_value(made, "value")))
    if len(outputs) == 1:
        return given[0]
    if isinstance(value, Mapping):
        return {output.asset.name: part for output, part in zip(outputs, given, strict=True)}
    return tuple(given)


def _also(tracker: Tracker, value: Any, made: InputVersion) -> Sources:
    """The other assets that this very object is already: one that could not be told apart by a copy stands for them all."""
    known = tracker.of(value) or ()
    return tuple(one for one in known if (one.namespace, one.dataset) != (made.namespace, made.dataset))


def made_source(output: Output) -> InputVersion:
    """What was made, as the source that it is for whatever reads it next."""
    ref = output.target.asset
    return InputVersion(
        asset=ref.name,
        namespace=ref.namespace,
        dataset=ref.dataset,
        partition=output.started.partition,
        version=output.version,
        via="value",
    )


def end_all(run: runtime.AssetRuntime, outputs: list[Output], error: BaseException) -> None:
    """Journal the outcome of everything that has none yet, after an error."""
    if isinstance(error, RefusedError):
        state = "refused"
    elif isinstance(error, (Cancelled, KeyboardInterrupt, GeneratorExit)):
        state = "discarded"
    else:
        state = "failed"
    for output in outputs:
        end(run, output, state, error)


def _once(inputs: Mapping[InputVersion, None]) -> tuple[InputVersion, ...]:
    # The same version may be known in several ways: the first one found stands for it.
    found: dict[tuple[str, str, str | None, str | None], InputVersion] = {}
    for one in inputs:
        found.setdefault((one.namespace, one.dataset, one.partition, one.version), one)
    return tuple(found.values())


def _subject(output: Output) -> str:
    return output.asset.name + (f"@{output.started.partition}" if output.started.partition else "")


def _message(result: CheckResult) -> str:
    return f": {result.message}" if result.message else ""
