"""Carrying out a backfill plan: one run, whose units are the (asset, partition) pairs of the plan.

The request is durable before anything is launched, every unit gets an outcome, and a unit that failed blocks only its own
downstream. One process drives a backfill, by its lock; killed at any moment, it is resumed as the next attempt of the
same run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any, Literal, TypeAlias, get_args

from headwater import clock, failpoints, ids
from headwater.assets import registry
from headwater.assets.backfill import BackfillPlan
from headwater.assets.backfill_events import BackfillRequested
from headwater.assets.definitions import AssetDefinition
from headwater.assets.driving import Driver, Outcome, Told, Watcher, made_by
from headwater.assets.facts import Facts
from headwater.assets.progress import Unit
from headwater.assets.runtime import AssetRuntime
from headwater.errors import LockTimeout, UnknownNameError
from headwater.records import dataclass
from headwater.wording import command

__all__ = [
    "Outcome",
    "Request",
    "RunnerName",
    "Told",
    "Unit",
    "Watcher",
    "carry_out",
    "check_producible",
    "lock_of",
    "published_before",
    "request",
]

RunnerName: TypeAlias = Literal["inline", "threads", "processes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A backfill as it was asked for: its id, its plan, and how to carry it out."""

    backfill_id: str
    name: str
    targets: tuple[str, ...]
    plan: BackfillPlan
    range: str | None = None
    parallel: int = 1
    runner: RunnerName | None = None
    """Where partitions are made: "inline", in "threads", in "processes". None: in threads when several run at a time."""
    batch: int | None = None
    """How many partitions a call makes at most, where a function takes several; None: as its `@materialize` says."""
    max_failures: int | None = None
    type: str = "backfill"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.runner not in (None, *get_args(RunnerName)):
            raise UnknownNameError.of("runner", str(self.runner), get_args(RunnerName))

    @property
    def runs_here(self) -> bool:
        """Whether one partition is made after the other, in the thread that drives the backfill."""
        return self.runner == "inline" or (self.runner is None and self.parallel == 1)


def request(run: AssetRuntime, plan: BackfillPlan, *, name: str, targets: Iterable[str], **how: Any) -> Request:
    """Ask for a backfill, durably: from here on it can be resumed, whatever happens."""
    made = Request(backfill_id=ids.asked_id(), name=name, targets=tuple(targets), plan=plan, **how)
    how = {name: getattr(made, name) for name in ("parallel", "runner", "batch", "max_failures", "type")}
    options = {**how, **made.options}
    assets = registry.current().assets
    run.journal.append(
        *run.definitions.new(assets[step.asset] for step in plan.steps if step.asset in assets),
        BackfillRequested(
            backfill_id=made.backfill_id,
            name=name,
            targets=made.targets,
            range=made.range,
            options=options,
            plan=plan.to_json(),
            requested=plan.total,
            origin={"at": clock.now_us()},
        ),
    )
    failpoints.reach("backfill.requested")
    return made


def carry_out(
    run: AssetRuntime,
    request: Request,
    definitions: Mapping[str, AssetDefinition],
    *,
    attempt: int = 1,
    done: Mapping[Unit, str] | None = None,
    published: Iterable[Unit] = (),
    watch: Watcher | None = None,
) -> Outcome:
    """Run what is left of a backfill and give each unit its outcome.

    `done` are the outcomes that the journal has; `published` are units whose data an earlier attempt published without
    living to say so. Asked to pause (`backfill.asked`), it launches nothing more, and its state is paused; asked to cancel, it
    stops what runs, too, and is cancelled. Raises LockTimeout when another process drives it; Cancelled and KeyboardInterrupt
    pass through after everything that ran has been recorded.
    """
    try:
        with run.locks.hold(lock_of(request.backfill_id), timeout=0):
            return Driver(run, request, definitions, attempt, dict(done or {}), watch).drive(published)
    except LockTimeout as error:
        error.hint = "another process runs this backfill: see headwater backfill show " + request.backfill_id
        raise


def lock_of(backfill_id: str) -> str:
    """The lock that whoever drives a backfill holds."""
    return f"backfill:{backfill_id}"


def published_before(request: Request, facts: Facts, done: Mapping[Unit, str]) -> list[Unit]:
    """The units that earlier attempts published without living to say so; those of one function only all together."""
    planned = ((step.asset, partition.key) for step in request.plan.steps for partition in step.partitions)
    left = {unit for unit in planned if unit not in done}
    there = made_by(facts, left, request.backfill_id)
    return [unit for unit in there if _with_it(unit) & left <= there]


def _with_it(unit: Unit) -> set[Unit]:
    """The units that one call makes together with this one."""
    producer = registry.current().producers.get(unit[0])
    return {(asset.name, unit[1]) for asset in (producer.assets if producer is not None else ())}


def check_producible(definitions: Mapping[str, AssetDefinition], names: Iterable[str]) -> None:
    """Raise UnknownNameError when one of these can't be made in this process."""
    producers = registry.current().producers
    for name in names:
        if name not in definitions:
            raise UnknownNameError.of("asset", name, definitions)
        if name not in producers:
            raise UnknownNameError(
                f"nothing in the loaded modules produces '{name}'",
                hint="name the file that defines its function: -f my_flow.py, or list it in [tool.headwater] modules; "
                f"when it is gone for good: {command('retire', name)}",
            )
