"""The calls of a backfill: functions bound to their partitions, and where they run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import TYPE_CHECKING, Any

from headwater.assets import registry
from headwater.assets.partitions import Partition
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.assets.backfilling import Request
    from headwater.assets.materialize import Materialization
    from headwater.assets.progress import Unit
    from headwater.core.runners.runner import Runner


@dataclass(slots=True, eq=False)
class Call:
    """One call of a function, and the units that it gives their outcome."""

    producer: Materialization[..., Any]
    partitions: tuple[Partition, ...]
    units: list[Unit] = field(default_factory=list)
    settled: set[Unit] = field(default_factory=set)
    """Those that it was told of before its end."""
    ended: bool = False
    error: BaseException | None = None

    def bound(self, tell: Callable[[str | None], None] | None) -> Materialization[..., Any]:
        """The function with its partitions; `tell` hears of each that a call for several has published."""
        if self.producer.wants_partitions:
            divided = self.partitions[0].definition
            parts = None if divided is None else divided.set_of([one.key for one in self.partitions])
            return self.producer.replace(hands_out=False, partitions=parts, tell=tell)
        [one] = self.partitions
        return self.producer.replace(hands_out=False, partition=None if one.key is None else one)


def is_gone(partition: Partition) -> bool:
    """Whether a key of a list that shrinks as the program runs is not in it any more."""
    divided = partition.definition
    return divided is not None and not divided.fixed and partition not in divided.all()


def most_of(request: Request) -> dict[str, int | None]:
    """How many partitions a call takes at most, of the assets whose function takes several."""
    producers, found = registry.current().producers, {}
    for step in request.plan.steps:
        producer = producers.get(step.asset)
        if producer is not None and producer.wants_partitions:
            found[step.asset] = request.batch or producer.batch
    return found


def runner_of(request: Request) -> Runner:
    """Where the calls of a backfill run."""
    from headwater.core.runners.runner import InlineRunner, ThreadRunner

    if request.runs_here:
        return InlineRunner()
    if request.runner == "processes":
        from headwater.core.runners.processes import ProcessRunner

        return ProcessRunner(max_workers=request.parallel)
    return ThreadRunner(max_workers=request.parallel)
