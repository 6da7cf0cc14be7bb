"""`@materialize`: a function that makes assets; a task in a flow, and a node of the asset graph."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar

from headwater.assets import execution, registry
from headwater.assets.asset import Asset, AssetInput, as_asset
from headwater.assets.inputs import PARTITION, InputSpec, inputs_of
from headwater.assets.partitions import Partition
from headwater.assets.scope import scope
from headwater.core.options import TaskOptions
from headwater.core.task import Task
from headwater.errors import DefinitionError

if TYPE_CHECKING:
    from headwater.core.engine import Invoke

P = ParamSpec("P")
R = TypeVar("R")


class Materialization(Task[P, R]):
    """A task that makes assets: what `@materialize` turns a function into.

    Called in a flow with values it uses them; inputs that are not passed are read from their assets.
    """

    task_type: ClassVar[str] = "materialize"
    may_generate: ClassVar[bool] = False
    assets: tuple[Asset, ...] = ()
    inputs: tuple[InputSpec, ...] = ()
    partition: Any = None
    hands_out: bool = True
    """Whether a call gives back what it made; without it only its outcome counts, as in a backfill."""

    @property
    def wants_partition(self) -> bool:
        """Whether the function declares a `partition` parameter."""
        return PARTITION in self.parameters

    def at(self, partition: Partition | str | date) -> Materialization[P, R]:
        """The same materialization for a partition: a key, a date, or a `Partition`.

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
        return self.replace(partition=definition.partition(partition))

    def steps(self, call: Any) -> Generator[Invoke, Any, Any]:
        """One try: write, audit, publish around the function."""
        return execution.steps(self, call)

    def run_fields(self, call: Any) -> dict[str, Any]:
        """The nominal time of a run of its own: its partition's window."""
        partition = execution.partition_of(self, scope())
        if partition is None:
            return {}
        return {"nominal_start": partition.start_us, "nominal_end": partition.end_us}


def materialize(
    *assets: Asset | str,
    inputs: Mapping[str, Asset | AssetInput | str] | None = None,
    **options: Any,
) -> Callable[[Callable[P, R]], Materialization[P, R]]:
    """Declare which assets a function produces; the options are those of `@task`.

    The function is a task in a flow, and a node of the asset graph: parameters that are `Annotated` with an asset (or named
    in `inputs`) are read from it when they are not passed, in the form that the annotation names. Several assets: return a
    tuple in their order, or a mapping by name. Raises DefinitionError when an input can't be resolved or mapped, or when an
    asset has a producer already.

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
    made = tuple([as_asset(asset) for asset in assets])
    if len(made) > 1 and len({asset.partitions for asset in made}) > 1:
        raise DefinitionError(
            f"the assets {', '.join(asset.name for asset in made)} are partitioned differently",
            hint="assets of one function share their partitions: give them a function each",
        )
    local_names = sys._getframe(1).f_locals

    def decorate(fn: Callable[P, R]) -> Materialization[P, R]:
        task = Materialization(fn, TaskOptions.of(options) if options else _NO_OPTIONS)
        task.assets, task.inputs = made, inputs_of(fn, made, inputs, local_names)
        own = [asset.name for asset in made]
        for spec in task.inputs:
            if spec.asset.name in own and not _reads_only_the_past(spec):
                raise DefinitionError(
                    f"the asset '{spec.asset.name}' would be its own input",
                    where=fn.__qualname__,
                    hint="read an earlier partition of it: .window(-1, -1)",
                )
        for asset in made:
            registry.current().add_producer(asset, task)
        return task

    return decorate


_NO_OPTIONS = TaskOptions()


def _reads_only_the_past(spec: InputSpec) -> bool:
    last = getattr(spec.mapping, "last", None)
    return isinstance(last, int) and last < 0
