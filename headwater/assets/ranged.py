"""One call of a materialization that makes several partitions: each is published and settled by itself as it comes.

The function gets `partitions`, the set that is to be made, and its inputs for all of it. It yields (partition, data) pairs, or
returns a mapping of them. What is wrong with one partition is that partition's own matter: the call goes on.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from headwater import clock
from headwater.assets import execution, reading, runtime, writing
from headwater.assets.events import InputVersion
from headwater.assets.inputs import PARTITIONS
from headwater.assets.partitions import Partition, PartitionSet
from headwater.assets.publications import hand_over
from headwater.assets.scope import Consumed, Scope, current_scope, scope, tracker
from headwater.assets.writing import Identity, Output
from headwater.core.effects import Close, Effect, Invoke
from headwater.core.tracebacks import in_users_words
from headwater.errors import (
    HeadwaterError,
    MaterializationError,
    PartitionError,
    PartitionsFailed,
    RefusedError,
    ReturnTypeError,
)

if TYPE_CHECKING:
    from headwater.assets.materialize import Materialization
    from headwater.core.context import TaskCall

_MADE = "headwater.made_partitions"
"""The annotation of a call that holds what earlier tries of it have published: it is not made again."""
_END = object()
_NAMED = 3


def steps(task: Materialization[Any, Any], call: TaskCall) -> Generator[Effect, Any, Any]:
    """The body of a try: everything around the user's function, whose calls are yielded to the driver."""
    making = _Making(task, call, partitions_of(task, scope()))
    try:
        making.bind()
        if making.left:
            yield from making.make()
        return making.result()
    except BaseException as error:
        damaged = reading.damaged(making.run, making.bound.values(), error)
        execution.placed(task, damaged or error)
        if damaged is not None:
            raise damaged from error
        raise


def partitions_of(task: Materialization[Any, Any], outer: Scope | None) -> PartitionSet:
    """The partitions that a call makes: its own, or those that the outer materialization's partition reads.

    Raises PartitionError when it was given none.
    """
    divided = task.assets[0].partitions
    assert divided is not None
    if task.partitions is not None:
        return task.partitions
    wanted = None if outer is None else outer.reads_of(task.assets[0])
    if wanted is not None:
        return wanted
    sample = divided.write(divided.sample)
    raise PartitionError(
        f"'{task.name}' makes several partitions in one call, and was given none",
        where=task.fn.__qualname__,
        hint=f'write {task.fn.__name__}.at("{sample}..{sample}")(…)',
    )


class _Making:
    """The work on one call."""

    def __init__(self, task: Materialization[Any, Any], call: TaskCall, wanted: PartitionSet) -> None:
        self.run = runtime.current()
        self._task, self._call, self._wanted = task, call, wanted
        self._made: dict[str | None, list[Output]] = call.annotations.setdefault(_MADE, {})
        self._errors: dict[str | None, HeadwaterError] = {}
        self._arguments = task.bind(call.args, call.kwargs)
        self._consumed = Consumed(tracker=tracker(call.context))
        self._identity = Identity.of(call.context, call.task_run_id, task.name, task.source)
        self.left = wanted - wanted.definition.set_of(self._made)
        self.bound: dict[str, reading.BoundInput] = {}

    def bind(self) -> None:
        """Find what is read; partitions whose inputs are missing are set aside, with the reason."""
        for spec in self._task.inputs:
            if spec.parameter not in self._arguments:
                found, lacking = reading.bind_range(self.run, spec.asset, spec.mapping, self.left)
                self.bound[spec.parameter] = found
                self._consumed.add(found.sources)
                for key, error in lacking.items():
                    self._errors.setdefault(key, error)
        self.left -= self.left.definition.set_of(self._errors)

    def make(self) -> Generator[Effect, Any, None]:
        """Call the function, and publish what it gives."""
        task = self._task
        args, kwargs = task.unbind(self._filled())
        since = clock.now_us()
        value = yield from self._user(Invoke(task.fn, args, kwargs, task.options.timeout))
        if not task.yields:
            for pair in _pairs(task, value):
                self._publish(pair, since)
                since = clock.now_us()
            return
        step = _next_async if task.is_async else _next
        try:
            while (pair := (yield from self._user(Invoke(step, (value,), {}, task.options.timeout)))) is not _END:
                self._publish(pair, since)
                since = clock.now_us()
        except GeneratorExit:
            raise
        except BaseException:
            yield Close(value)
            raise

    def _filled(self) -> dict[str, Any]:
        run, task, track = self.run, self._task, self._consumed.tracker
        for name, value in self._arguments.items():
            self._consumed.add_value(run, name, value)
        specs = {spec.parameter: spec for spec in task.inputs}
        loaded = {name: reading.load(run, track, found, specs[name].form) for name, found in self.bound.items()}
        filled = {**self._arguments, **loaded, **execution.converted(run, task, self._arguments, track)}
        filled.setdefault(PARTITIONS, self.left)
        execution.check_complete(task, filled)
        return filled

    def _user(self, effect: Invoke) -> Generator[Effect, Any, Any]:
        inner = Scope(self._task.inputs, None)
        before = current_scope.set(inner)
        try:
            return (yield effect)
        finally:
            current_scope.reset(before)
            self._consumed.add(tuple(inner.read))

    def _publish(self, pair: Any, since: int) -> None:
        partition, value = self._which(pair)
        outputs = writing.begin(
            self.run,
            self._task.assets,
            partition,
            self._identity,
            reads=[spec.asset for spec in self._task.inputs],
        )
        try:
            consumed = self._consumed_by(partition)
            values, transaction = execution.values_for(self._task, value), self._call.transaction
            outputs, parts = execution.made_only(self.run, outputs, values, consumed, transaction)
            for output in outputs:
                # Its own time: since the one before it was published.
                output.started_at = since
            writing.stage(self.run, outputs, parts, consumed)
            self._check_unchanged(consumed)
            hand_over(self.run, outputs, transaction)
        except Exception as error:  # noqa: BLE001 - a partition may fail in any way, and fails alone
            execution.placed(self._task, error)
            writing.end_all(self.run, outputs, error)
            self._errors[partition.key] = in_users_words(error)
        except BaseException as error:
            writing.end_all(self.run, outputs, error)
            raise
        else:
            self._made[partition.key] = outputs
            if self._task.tell is not None:
                self._task.tell(partition.key)

    def _which(self, pair: Any) -> tuple[Partition, Any]:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise ReturnTypeError(
                f"{self._task.name} makes several partitions and gave {type(pair).__name__}, not a partition with its data",
                hint="yield (partition, data), or return a mapping {partition: data}",
            )
        partition = self._wanted.definition.partition(pair[0])
        if partition not in self.left:
            raise PartitionError(f"{self._task.name} gave {partition}, which it was not asked for: {self.left}")
        if partition.key in self._made or partition.key in self._errors:
            raise PartitionError(f"{self._task.name} gave {partition} twice")
        return partition, pair[1]

    def _consumed_by(self, partition: Partition) -> Consumed:
        """What counts as read for one partition: of what was read for all of them, what the mappings say."""
        mine: dict[tuple[str, str], set[str | None]] = {}
        here = self._wanted.definition.set_of([partition.key])
        for spec in self._task.inputs:
            if spec.asset.partitions is not None:
                ref = self.run.definitions.ref(spec.asset)
                reads = spec.mapping.upstream(here, spec.asset.partitions)
                mine.setdefault((ref.namespace, ref.dataset), set()).update(reads.keys())
        known = self._consumed
        only = {place: frozenset(keys) for place, keys in mine.items()}
        found = Consumed(tracker=known.tracker, unknown=list(known.unknown), only=only)
        found.add(found.kept(known.sources))
        return found

    def _check_unchanged(self, consumed: Consumed) -> None:
        changed = [one.asset.name for one in self.bound.values() if not reading.unchanged(self.run, one, consumed.kept)]
        if changed:
            raise MaterializationError(
                f"the input '{changed[0]}' changed while it was made",
                hint="something makes it all the time: let it finish first, or run both in one flow",
            )

    def result(self) -> Any:
        """A scan of what was published, of each asset. Raises PartitionsFailed when not everything was."""
        execution.made_before(
            self._call, tuple(writing.made_source(one) for outputs in self._made.values() for one in outputs)
        )
        for partition in self.left:
            if partition.key not in self._made:
                why = MaterializationError(
                    f"{self._task.name} gave no data for it", hint="yield (partition, data) for each of `partitions`"
                )
                self._errors.setdefault(partition.key, why)
        if self._errors:
            raise self._failed()
        if not self._task.hands_out:
            return None
        given = tuple(self._scan(place) for place in range(len(self._task.assets)))
        return given[0] if len(given) == 1 else given

    def _failed(self) -> HeadwaterError:
        if not self._made and len({type(one) for one in self._errors.values()}) == 1 and self._all_refused():
            return next(iter(self._errors.values()))
        listed = [f"{key}: {one.message}" for key, one in list(self._errors.items())[:_NAMED]]
        more = f"; and {len(self._errors) - _NAMED} more" if len(self._errors) > _NAMED else ""
        return PartitionsFailed(
            f"{len(self._errors)} of {len(self._wanted)} partitions were not made: {'; '.join(listed)}{more}",
            errors=self._errors,
        )

    def _all_refused(self) -> bool:
        return all(isinstance(one, RefusedError) for one in self._errors.values())

    def _scan(self, place: int) -> Any:
        outputs: list[Output] = [several[place] for several in self._made.values()]
        if not outputs or not all(one.ended for one in outputs):
            # What is only staged, until its transaction commits, can't be scanned where it lies.
            return None
        sources: tuple[InputVersion, ...] = tuple(writing.made_source(one) for one in outputs)
        parts = tuple(one.partition for one in outputs if one.partition is not None)
        try:
            return reading.load_versions(
                self.run, self._consumed.tracker, outputs[0].target, parts, "lazy", sources, made=True
            )
        except ReturnTypeError:
            return None


def _pairs(task: Materialization[Any, Any], value: Any) -> Iterator[Any]:
    if not isinstance(value, Mapping):
        raise ReturnTypeError(
            f"{task.name} makes several partitions and returned {type(value).__name__}",
            hint="yield (partition, data), or return a mapping {partition: data}",
        )
    yield from value.items()


def _next(source: Iterator[Any]) -> Any:
    return next(source, _END)


async def _next_async(source: Any) -> Any:
    return await anext(source, _END)
