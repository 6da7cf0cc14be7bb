"""One call of a materialization: its partition, its inputs, its function, and what it makes written, audited and published.

User code is not called here: the generator yields an `Invoke`, and the engine's driver, synchronous or asynchronous,
carries it out.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from inspect import Parameter
from typing import TYPE_CHECKING, Any

from headwater.assets import reading, runtime, writing
from headwater.assets.events import InputVersion
from headwater.assets.forms import frame_form
from headwater.assets.inputs import PARTITION
from headwater.assets.partitions import Partition
from headwater.assets.publications import hand_over
from headwater.assets.scope import Consumed, Scope, current_scope, scope, tracker
from headwater.assets.sql import Sql
from headwater.assets.tracking import Sources, Tracker, as_value
from headwater.assets.writing import Identity, Output
from headwater.core.definition import place_of
from headwater.core.effects import Invoke
from headwater.errors import HeadwaterError, MaterializationError, PartitionError, ReturnTypeError, UsageError

if TYPE_CHECKING:
    from headwater.assets.materialize import Materialization
    from headwater.core.context import TaskCall
    from headwater.core.transactions import Transaction

MATERIALIZED = "headwater.materialized"
"""The annotation of a call and of its future that says which versions it made."""
_TRIES = 3


class _NotMade:
    """What stands for an optional output that a function left out."""


NOT_MADE = _NotMade()


def steps(task: Materialization[Any, Any], call: TaskCall) -> Generator[Invoke, Any, Any]:
    """The body of a materialization's try: everything around the user's function, which is yielded to the driver."""
    run = runtime.current()
    partition = partition_of(task, scope())
    arguments = task.bind(call.args, call.kwargs)
    track = tracker(call.context)
    reads = [spec.asset for spec in task.inputs]
    identity = Identity.of(call.context, call.task_run_id, task.name, task.source)
    for _ in range(_TRIES):
        consumed = Consumed(tracker=track)
        outputs: list[Output] = []
        bound: dict[str, tuple[reading.BoundInput, Any]] = {}
        try:
            outputs = writing.begin(run, task.assets, partition, identity, reads=reads)
            bound = _inputs(run, task, call, arguments, partition, consumed)
            filled = {**arguments, **{name: value for name, (_, value) in bound.items()}}
            filled.update(converted(run, task, arguments, track))
            if task.wants_partition and PARTITION not in filled:
                filled[PARTITION] = partition
            check_complete(task, filled)
            value = yield from _invoke(task, filled, partition, consumed)
            outputs, parts = made_only(run, outputs, values_for(task, value), consumed, call.transaction)
            writing.stage(run, outputs, parts, consumed)
            if all(reading.unchanged(run, one) for one, _ in bound.values()):
                if call.transaction is None:
                    hand_over(run, outputs, None)
                made = _note(call, outputs)
                given = _result(run, consumed, outputs, made, value, parts) if task.hands_out else None
                if call.transaction is not None:
                    hand_over(run, outputs, call.transaction)
                return given
            for output in outputs:
                writing.end(run, output, "discarded")
        except BaseException as error:
            damaged = reading.damaged(run, (one for one, _ in bound.values()), error)
            placed(task, error)
            writing.end_all(run, outputs, damaged or error)
            if damaged is not None:
                raise damaged from error
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
    wanted = None if outer is None else outer.reads_of(asset)
    if wanted is not None and len(wanted) == 1:
        return wanted.first
    raise PartitionError(
        f"the asset '{asset.name}' is partitioned, and no partition was given",
        where=task.fn.__qualname__,
        hint=f'write {task.fn.__name__}.at("{asset.partitions.sample}")(…)',
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


def converted(
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
    before = current_scope.set(inner)
    try:
        args, kwargs = task.unbind(arguments)
        return (yield Invoke(task.fn, args, kwargs, task.options.timeout))
    finally:
        current_scope.reset(before)
        consumed.add(tuple(inner.read))


def check_complete(task: Materialization[Any, Any], filled: Mapping[str, Any]) -> None:
    """Raise UsageError when a parameter has no argument."""
    named = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    for name, one in task.parameters.items():
        if name not in filled and one.default is Parameter.empty and one.kind in named:
            raise UsageError(
                f"{task.fn.__name__} needs '{name}', which was not passed and is no input",
                hint=f"write {name}: Annotated[polars.LazyFrame, the asset], or @materialize(…, inputs={{'{name}': …}})",
            )


def placed(task: Materialization[Any, Any], error: BaseException) -> None:
    """Let an error that says no place name the function whose call it ended."""
    if isinstance(error, HeadwaterError) and error.where is None:
        place = place_of(task.fn)
        error.where = task.fn.__qualname__ + ("" if place is None else f" ({place})")


def values_for(task: Materialization[Any, Any], value: Any) -> tuple[Any, ...]:
    """What a function returned, by the assets that it makes. Raises ReturnTypeError."""
    names = [asset.name for asset in task.assets]
    optional = {asset.name for asset in task.assets if asset.optional}
    # What a single output returns is its data, unless it is optional and the mapping names it, or nothing.
    by_name = (len(names) > 1 or optional) and isinstance(value, Mapping) and set(value) <= set(names)
    if by_name and set(names) - set(value) <= optional:
        return tuple(value.get(name, NOT_MADE) for name in names)
    if len(names) == 1:
        return (value,)
    if isinstance(value, (tuple, list)) and len(value) == len(names):
        return tuple(value)
    returned = type(value).__name__ + (f" of {len(value)}" if isinstance(value, (tuple, list)) else "")
    raise ReturnTypeError(
        f"{task.name} makes {len(names)} assets and returned {returned}",
        hint=f"return a tuple of {len(names)} values, or a mapping with the keys {', '.join(names)}",
    )


def made_only(
    run: runtime.AssetRuntime,
    outputs: list[Output],
    parts: tuple[Any, ...],
    consumed: Consumed,
    transaction: Transaction | None,
) -> tuple[list[Output], tuple[Any, ...]]:
    """The outputs that a call made, and what it returned for them; optional ones that it left out are handed over."""
    if not any(part is NOT_MADE for part in parts):
        return outputs, parts
    for output, part in zip(outputs, parts, strict=True):
        if part is NOT_MADE:
            writing.leave_out(run, output, consumed)
            hand_over(run, [output], transaction)
    kept = [(output, part) for output, part in zip(outputs, parts, strict=True) if part is not NOT_MADE]
    return [output for output, _ in kept], tuple(part for _, part in kept)


def _note(call: TaskCall, outputs: list[Output]) -> Sources:
    """What was made, noted with the call and for the materialization that it was called in."""
    made = tuple(writing.made_source(output) for output in outputs)
    made_before(call, made)
    return made


def made_before(call: TaskCall, made: Sources) -> None:
    """Note what a call made, now or in an earlier attempt, with it and for the materialization that it was called in."""
    call.annotations[MATERIALIZED] = made
    outer = scope()
    if outer is not None:
        outer.read.update(dict.fromkeys(as_value(made, "value")))


def _result(
    run: runtime.AssetRuntime,
    consumed: Consumed,
    outputs: list[Output],
    made: Sources,
    value: Any,
    parts: tuple[Any, ...],
) -> Any:
    """What the call gives back: what the function returned; a lazy frame or a query as a scan of what was published.

    What is only staged moves at the commit, and is gone after a rollback: its rows are read into memory.
    """
    given = []
    for output, part, source in zip(outputs, parts, made, strict=True):
        lazy = isinstance(part, Sql) or frame_form(part) == "lazy"
        if lazy and not output.ended and output.staged is not None:
            rows = output.staged.frame()
            rows = rows.collect().lazy() if frame_form(rows) == "lazy" else rows
            kept = run.keeps_in_memory(output.target.asset)
            given.append(reading.remember(run, consumed.tracker, rows, (source,), shared=kept))
            continue
        if lazy:
            partitions = None if output.partition is None else (output.partition,)
            scan = reading.load_versions(run, consumed.tracker, output.target, partitions, "lazy", (source,), made=True)
            given.append(scan)
            continue
        result = reading.own(part)
        # A frame that nobody knew was passed, and may have been passed on: its own lazy frames are not this asset's.
        sources = (source, *_also(consumed.tracker, result, source))
        given.append(reading.remember(run, consumed.tracker, result, sources, shared=bool(consumed.unknown)))
    if len(parts) == 1 and parts[0] is value:
        return given[0]
    if isinstance(value, Mapping):
        return {output.asset.name: part for output, part in zip(outputs, given, strict=True)}
    return tuple(given)


def _also(tracker: Tracker, value: Any, made: InputVersion) -> Sources:
    """The other assets that this very object is already: one that could not be told apart by a copy stands for them all."""
    known = tracker.of(value) or ()
    return tuple(one for one in known if (one.namespace, one.dataset) != (made.namespace, made.dataset))
