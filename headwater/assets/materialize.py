"""`@materialize`: a function that makes assets; a task in a flow, and a node of the asset graph."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar, overload

from headwater.assets import execution, ranged, registry
from headwater.assets.asset import Asset, AssetInput, as_made
from headwater.assets.inputs import PARTITION, PARTITIONS, InputSpec, inputs_of, said_mappings
from headwater.assets.partitions import (
    UNPARTITIONED,
    Partition,
    PartitionsDefinition,
    PartitionSet,
    TimePartitions,
    dimensions,
)
from headwater.assets.scope import scope
from headwater.core.definition import place_of
from headwater.core.options import TaskOptions
from headwater.core.task import Task
from headwater.errors import DefinitionError, PartitionError
from headwater.wording import command

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self, Unpack

    from headwater.core.options import OptionValues


P = ParamSpec("P")
R = TypeVar("R")


class Materialization(Task[P, R]):
    """A task that makes assets: what `@materialize` turns a function into.

    Called in a flow with values it uses them; inputs that are not passed are read from their assets.
    """

    task_type: ClassVar[str] = "materialize"
    is_heavy: ClassVar[bool] = True
    assets: tuple[Asset, ...] = ()
    inputs: tuple[InputSpec, ...] = ()
    partition: Any = None
    version: str | None = None
    """What stands for its code when it was given: as long as it stays the same, no change of code counts."""
    partitions: PartitionSet | None = None
    """The partitions of a call, when the function takes several."""
    batch: int | None = None
    """How many partitions a call of a backfill makes at most, when the function takes several; None: all in a row."""
    yields: bool = False
    """Whether the function is a generator of partitions with their data."""
    hands_out: bool = True
    """Whether a call gives back what it made; without it only its outcome counts, as in a backfill."""
    tell: Callable[[str | None], None] | None = None
    """What a call for several partitions tells of each key that it has published, at that moment."""

    if TYPE_CHECKING:

        @overload
        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

        # What a call leaves out is read from its asset, `partition` comes from `.at(…)`, and a value may come in another form.
        @overload
        def __call__(self, *args: Any, **kwargs: Any) -> R: ...

        def __call__(self, *args: Any, **kwargs: Any) -> R: ...  # noqa: D102 - told by the overloads

    @property
    def wants_partition(self) -> bool:
        """Whether the function declares a `partition` parameter."""
        return PARTITION in self.parameters

    @property
    def wants_partitions(self) -> bool:
        """Whether a call makes several partitions: the asset has some, and the function declares a `partitions` parameter."""
        return bool(self.assets) and self.assets[0].partitions is not None and PARTITIONS in self.parameters

    def _prepare(self) -> None:
        super()._prepare()
        # What it generates is not handed out item by item: a call publishes each, and has ended when it returns.
        self.yields, self.generates = self.generates, False

    def at(self, partition: Partition | PartitionSet | str | date | Mapping[str, Any]) -> Materialization[P, R]:
        """The same materialization for a partition: a key, a date, a `Partition`, or of a product a mapping by dimension.

        A function that takes `partitions` is given a range or a set: "2024-01-01..2024-01-31", a `PartitionSet`.

        >>> from headwater import Asset, DailyPartitions, materialize
        >>> days = Asset("at_example", at="memory://at_example", partitions=DailyPartitions("2024-01-01"))
        >>> @materialize(days)
        ... def make(partition):
        ...     return [{"day": partition.key}]
        >>> make.at("2024-01-05").partition.key
        '2024-01-05'
        """
        definition = self.assets[0].partitions
        if definition is None:
            raise DefinitionError(
                f"the asset '{self.assets[0].name}' has no partitions", hint="give it some, or leave out .at(…)"
            )
        if self.wants_partitions:
            return self.replace(partitions=_set_of(definition, partition))
        if isinstance(partition, PartitionSet):
            raise self._makes_one(partition)
        try:
            return self.replace(partition=definition.partition(partition))
        except PartitionError:
            if isinstance(partition, str) and _are_several(definition, partition):
                raise self._makes_one(partition) from None
            raise

    def _makes_one(self, partitions: object) -> PartitionError:
        return PartitionError(
            f"'{self.name}' makes one partition a call, not {partitions}",
            where=place_of(self.fn),
            hint="declare a parameter `partitions` and yield (partition, data) pairs, call it for each partition, or: "
            + command("backfill", self.assets[0].name, partition=str(partitions)),
        )

    def with_options(
        self, *, assets: Asset | str | Sequence[Asset | str] | None = None, **options: Unpack[OptionValues]
    ) -> Self:
        """The same materialization with some options changed; this one stays as it is.

        `assets` are made instead of those that the decorator names, chosen at run time: as many, divided like them. Nothing is
        declared by that: the graph keeps what the decorator says. Raises DefinitionError for a wrong value, UnknownNameError
        for a wrong name.

        >>> from headwater import materialize
        >>> @materialize("memory://sales")
        ... def count():
        ...     return [{"n": 1}]
        >>> count.with_options(assets="memory://sales_of_berlin").assets
        (Asset('sales_of_berlin', at='memory://sales_of_berlin'),)
        """
        found = super().with_options(**options) if options else self
        return found if assets is None else found.replace(assets=_instead(self, assets))

    def code_in(self, root: Path) -> tuple[str, Mapping[str, str]]:
        """Its version, and the fingerprints that this is made of: of its function, what that calls, its constants and mappings."""
        if self.version is not None:
            return self.version, {"version": self.version}
        known: tuple[Path, str, Mapping[str, str]] | None = self._of_fn.get("code")
        if known is None or known[0] != root:
            known = self._of_fn["code"] = root, *self._code_in(root)
        return known[1:]

    def _code_in(self, root: Path) -> tuple[str, Mapping[str, str]]:
        from headwater.core.code_parts import code_version_of
        from headwater.core.hashing import fingerprint

        version, parts = code_version_of(self.fn, root, own=self.source_in(root).hash)
        partitions = self.assets[0].partitions
        said = {**_windows(partitions), **said_mappings(self.inputs, partitions)}
        if not said:
            return version, parts
        every = {**(parts or {"code": version}), **{name: fingerprint(value) for name, value in said.items()}}
        return fingerprint(every), every

    def steps(self, call: Any) -> Generator[Any, Any, Any]:
        """One try: write, audit, publish around the function."""
        return ranged.steps(self, call) if self.wants_partitions else execution.steps(self, call)

    def _check_cache(self) -> None:
        raise DefinitionError(
            f"'{self.name}' makes assets and can't be cached: what it made last is its cache",
            where=place_of(self.fn),
            hint="headwater materialize --only stale makes it when it is stale; cache a task that it calls",
        )

    def note(self, call: Any) -> None:
        """Note who a call within a flow's run is: by its partition, its arguments and what it reads."""
        from headwater.assets import restoring

        restoring.note(self, call)

    def keep(self, call: Any, value: Any) -> None:
        """Note what a call made, for later attempts of its run."""
        from headwater.assets import restoring

        restoring.keep(self, call, value)

    def restore(self, call: Any, kept: Any) -> Any:
        """What an earlier attempt's call made, read from its assets. Raises ResultError."""
        from headwater.assets import restoring

        return restoring.restore(self, call, kept)

    def run_fields(self, call: Any) -> dict[str, Any]:
        """The nominal time of a run of its own: its partition's window."""
        if self.wants_partitions:
            several = ranged.partitions_of(self, scope())
            return {"nominal_start": several.first.start_us, "nominal_end": several.last.end_us}
        partition = execution.partition_of(self, scope())
        if partition is None:
            return {}
        return {"nominal_start": partition.start_us, "nominal_end": partition.end_us}


def materialize(
    *assets: Asset | str,
    inputs: Mapping[str, Asset | AssetInput | str] | None = None,
    version: str | None = None,
    batch: int | None = None,
    **options: Any,
) -> Callable[[Callable[P, R]], Materialization[P, R]]:
    """Declare which assets a function produces; the options are those of `@task`.

    The function is a task in a flow, and a node of the asset graph: parameters that are `Annotated` with an asset (or named
    in `inputs`) are read from it when they are not passed, in the form that the annotation names. Several assets: return a
    tuple in their order, or a mapping by name. What was made is stale when the code changes: the function, and what it uses
    of its project; with a `version`, when that changes instead. Raises DefinitionError when an input can't be resolved or
    mapped, or when an asset has a producer already.

    A function that declares a parameter `partitions` makes several partitions in one call: it yields (partition, data) pairs,
    or returns a mapping of them. `batch` bounds how many partitions a backfill gives to a call.

    >>> from headwater import materialize
    >>> @materialize("memory://greetings")
    ... def greetings():
    ...     return [{"text": "hello"}]
    >>> greetings.assets
    (Asset('greetings', at='memory://greetings'),)
    """
    if not assets or callable(assets[0]):
        raise DefinitionError(
            "@materialize needs the asset that the function makes",
            hint='write @materialize(Asset("x", at="parquet://lake/x")) or @materialize("parquet://lake/x")',
        )
    made = tuple([as_made(asset) for asset in assets])
    if len(made) > 1 and len({asset.partitions for asset in made}) > 1:
        raise DefinitionError(
            f"the assets {', '.join(asset.name for asset in made)} are partitioned differently",
            hint="assets of one function share their partitions: give them a function each",
        )
    local_names = sys._getframe(1).f_locals

    def decorate(fn: Callable[P, R]) -> Materialization[P, R]:
        if not hasattr(fn, "__qualname__"):
            raise DefinitionError(
                f"@materialize needs a function, got {fn!r}"[:300],
                hint="write one with def that calls it: by its name it is shown, and by its code its data gets stale",
            )
        task = Materialization(fn, TaskOptions.of(options) if options else _NO_OPTIONS)
        task.assets, task.inputs = made, inputs_of(fn, made, inputs, local_names)
        task.batch = batch
        if batch is not None or task.yields or task.wants_partitions:
            _check_range(task)
        if version is not None:
            task.version = _checked(version, fn)
        _check_inputs(task)
        for asset in made:
            registry.current().add_producer(asset, task)
        return task

    return decorate


def _windows(partitions: PartitionsDefinition | None) -> dict[str, object]:
    """What says when the partitions of each dimension of time begin, unless that is midnight in UTC, by what it is called.

    Where all of them begin and end is no part of it.

    >>> from headwater.assets.partitions import DailyPartitions
    >>> [list(_windows(DailyPartitions("2024-01-01", timezone=zone))) for zone in ("UTC", "Europe/Berlin")]
    [[], ['division in time']]
    >>> early, late = (DailyPartitions(start, hour_offset=6) for start in ("2023-01-01", "2024-01-01"))
    >>> _windows(early) == _windows(late)
    True
    """
    found: dict[str, object] = {}
    for name, divided in dimensions(partitions or UNPARTITIONED).items():
        if isinstance(divided, TimePartitions) and divided.rule != (divided.step, "UTC", 0):
            found["division in time" + (f" of '{name}'" if name else "")] = divided.rule
    return found


def _instead(task: Materialization[Any, Any], given: Asset | str | Sequence[Asset | str]) -> tuple[Asset, ...]:
    """The assets that a call makes instead of those of its decorator. Raises DefinitionError."""
    found = tuple(
        [
            as_made(one, where="with_options(assets=…)")
            for one in ([given] if isinstance(given, (Asset, str)) else given)
        ]
    )
    if len(found) != len(task.assets):
        raise DefinitionError(
            f"'{task.name}' makes {len(task.assets)} asset{'s' * (len(task.assets) > 1)}, and {len(found)} were given instead",
            where=place_of(task.fn),
            hint="give as many, in the order of the decorator",
        )
    for declared, other in zip(task.assets, found, strict=True):
        if declared.partitions != other.partitions:
            raise DefinitionError(
                f"the asset '{other.name}' is partitioned differently from '{declared.name}', which it stands for",
                where=place_of(task.fn),
                hint=f'give it the same partitions: Asset("{other.name}", …, partitions={declared.name}.partitions)',
            )
    return found


def _checked(version: str, fn: Callable[..., Any]) -> str:
    if not isinstance(version, str) or not version:
        raise DefinitionError(
            f"the version of {fn.__qualname__} can't be {version!r}", where=place_of(fn), hint='write version="2"'
        )
    return version


def _check_inputs(task: Materialization[..., Any]) -> None:
    own = [asset.name for asset in task.assets]
    for spec in task.inputs:
        divided = spec.asset.partitions is not None
        if spec.asset.name in own and not (divided and spec.mapping.only_past):
            earlier = "read an earlier partition of it: .window(-1, -1)"
            raise DefinitionError(
                f"the asset '{spec.asset.name}' would be its own input",
                where=task.fn.__qualname__,
                hint=earlier if divided else f"give it partitions, such as DailyPartitions(…), and {earlier}",
            )


def _check_range(task: Materialization[..., Any]) -> None:
    if task.yields and not task.wants_partitions:
        raise DefinitionError(
            f"the generator function '{task.name}' can't be a task that makes one asset as a whole",
            where=place_of(task.fn),
            hint="return a list; to make several partitions in one call, declare `partitions` and yield (partition, data)",
        )
    if task.batch is not None and (not isinstance(task.batch, int) or task.batch < 1 or not task.wants_partitions):
        raise DefinitionError(
            f"batch={task.batch!r} of '{task.name}' bounds nothing",
            where=place_of(task.fn),
            hint="it is a number from 1, for a function that makes several partitions: that declares `partitions`",
        )
    if task.wants_partitions and task.wants_partition:
        raise DefinitionError(
            f"'{task.name}' declares both `partition` and `partitions`",
            where=place_of(task.fn),
            hint="`partition` is the one of a call, `partitions` are those of a call that makes several",
        )


def _set_of(definition: PartitionsDefinition, value: Any) -> PartitionSet:
    if isinstance(value, PartitionSet):
        return definition.set_of(value.keys()) if value.definition != definition else value
    if isinstance(value, str):
        return definition.parse(value)
    return definition.set_of([definition.partition(value).key])


def _are_several(definition: PartitionsDefinition, text: str) -> bool:
    try:
        return len(definition.parse(text)) > 1
    except PartitionError:
        return False


_NO_OPTIONS = TaskOptions()
