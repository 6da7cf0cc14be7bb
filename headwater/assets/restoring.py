"""Materializations in a resumed run: what one made is read from its asset, as long as that is still in place.

A call is known by its partition, by its arguments (of a table the asset versions that it is known to be), and by the versions
of the inputs that it reads by itself: when one of them was made again, what was made of it is made again, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import partial
from typing import TYPE_CHECKING, Any

from headwater.assets import execution, reading, runtime
from headwater.assets.events import InputVersion
from headwater.assets.forms import frame_form
from headwater.assets.scope import scope, tracker
from headwater.core import results
from headwater.core.call_records import CallRecord, encoded_result
from headwater.core.identity import Unidentified, identify, inner_scope
from headwater.core.journal.events import from_plain
from headwater.core.results import KeptResult
from headwater.errors import HeadwaterError, ResultError

if TYPE_CHECKING:
    from headwater.assets.materialize import Materialization
    from headwater.assets.partitions import Partition
    from headwater.core.context import RunContext, TaskCall

_MEMBERS = tuple(field.name for field in fields(InputVersion))
_IMMUTABLE = ("lazy", "eager", "arrow", "relation")


def note(task: Materialization[Any, Any], call: TaskCall) -> None:
    """Note who a call is. Never raises."""
    context = call.context
    if task.wants_partitions:
        call.record = CallRecord(None, "it makes several partitions in one call", task.compiled)
        return
    try:
        partition = execution.partition_of(task, scope())
        read = _read(task, call, partition)
    except HeadwaterError as error:
        found: str | Unidentified = Unidentified(f"what it reads can't be told: {error.message}")
    else:
        key = None if partition is None else partition.key
        arguments = {**call.kwargs, "": (key, read)}
        known = partial(known_as, context)
        found = identify(
            context.scope, task.name, call.args, arguments, known, whole=task.options.persist_result is True
        )
    context.scope = inner_scope(context.scope, task.name, found)
    identity, why = (None, found.reason) if isinstance(found, Unidentified) else (found, None)
    call.record = CallRecord(identity, why, task.compiled)


def _read(
    task: Materialization[Any, Any], call: TaskCall, partition: Partition | None
) -> tuple[tuple[str | None, ...], ...]:
    """The versions of the inputs that it will read by itself."""
    run = runtime.current()
    passed = task.bind(call.args, call.kwargs)
    bound = [
        reading.bind(run, spec.asset, spec.mapping, partition, via="load")
        for spec in task.inputs
        if spec.parameter not in passed
    ]
    return tuple(_spelled(source) for one in bound for source in one.sources)


def _spelled(source: InputVersion) -> tuple[str | None, ...]:
    return source.namespace, source.dataset, source.partition, source.version


def known_as(context: RunContext, value: Any) -> tuple[str, ...] | None:
    """What stands for a table: the asset versions whose data it is known to hold, if nobody can have changed it."""
    if frame_form(value) not in _IMMUTABLE:
        return None
    sources = tracker(context).of(value)
    if not sources or any(source.version is None for source in sources):
        return None
    return ("versions", *(str(part) for source in sources for part in _spelled(source)))


def keep(task: Materialization[Any, Any], call: TaskCall, value: Any) -> None:
    """Note what was made, and in which form it was handed out; what is no table is kept. Never raises."""
    record = call.record
    if record is None or record.unkept is not None:
        return
    if task.options.persist_result is False:
        record.unkept = "its task has persist_result=False"
        return
    made = call.annotations.get(execution.MATERIALIZED, ())
    if len(made) < len(task.assets):
        record.unkept = "it left out an optional output"
        return
    parts = _parts(value, len(made))
    forms = [None if part is None else frame_form(part) for part in parts]
    told: dict[str, Any] = {"made": [_plain(source) for source in made], "forms": forms, "value": None}
    told["names"] = list(value) if isinstance(value, Mapping) and len(made) > 1 else None
    if value is not None and None in forms:
        kept = encoded_result(task, call, value)
        if kept is None:
            return
        told["value"] = dict(kept) if isinstance(kept, Mapping) else asdict(kept)
    record.result = encoded_result(task, call, told, name=f"run-{call.task_run_id}-made")


def _plain(source: InputVersion) -> dict[str, Any]:
    # By name, in a fifth of the time that `asdict` takes: every materialization in a flow does it.
    return {name: getattr(source, name) for name in _MEMBERS}


def _parts(value: Any, count: int) -> list[Any]:
    if count == 1 or value is None:
        return [value] * count
    return list(value.values() if isinstance(value, Mapping) else value)


def restore(task: Materialization[Any, Any], call: TaskCall, kept: KeptResult) -> Any:
    """What a call made, read from its assets. Raises ResultError when something else is in place by now."""
    run, track = runtime.current(), tracker(call.context)
    store = call.context.run.root.runtime.results
    told = results.restore(store, kept)
    made = tuple(from_plain(InputVersion, one) for one in told["made"])
    places = []
    for asset, source in zip(task.assets, made, strict=True):
        target = run.definitions.target(asset)
        parts = (
            None
            if source.partition is None or asset.partitions is None
            else asset.partitions.partition(source.partition)
        )
        if run.materializer(target.asset).version(target, parts) != source.version:
            name = source.asset if source.partition is None else f"{source.asset}@{source.partition}"
            raise ResultError(f"what it made of {name} is not in place any more")
        places.append((target, None if parts is None else (parts,)))
    execution.made_before(call, made)
    if told["value"] is not None:
        inner = from_plain(KeptResult, told["value"])
        value = results.restore(store, inner, pickle=task.options.result == "pickle", hint=task.returns)
        return reading.remember(run, track, value, made) if len(made) == 1 else value
    values = [
        None if form is None else reading.load_versions(run, track, target, parts, form, (source,))
        for form, source, (target, parts) in zip(told["forms"], made, places, strict=True)
    ]
    if told["names"] is not None:
        return dict(zip(told["names"], values, strict=True))
    return values[0] if len(values) == 1 else None if None in told["forms"] else tuple(values)
