"""The kinds of events of backfills and of dynamic partitions, which most processes never write."""

from __future__ import annotations

from typing import Any, ClassVar

from headwater.core.journal.events import Body
from headwater.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillRequested(Body):
    """Somebody asked for a backfill: durable before anything is launched. The backfill's id is its run's id.

    `plan` is `BackfillPlan.to_json()`; `options` are the request's own (parallel, order, only, max_failures).
    """

    kind: ClassVar[str] = "backfill.requested"
    durable: ClassVar[bool] = True

    backfill_id: str
    name: str
    targets: tuple[str, ...]
    range: str | None = None
    options: dict[str, Any]
    plan: dict[str, Any]
    requested: int
    origin: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillPartitionLaunched(Body):
    """One (asset, partition) of a backfill is being started, for the so-manieth attempt of the backfill."""

    kind: ClassVar[str] = "backfill.partition_launched"

    backfill_id: str
    attempt: int
    asset: str
    partition: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillPartitionEnded(Body):
    """One (asset, partition) of a backfill has its outcome: completed, failed, skipped or blocked, with the reason."""

    kind: ClassVar[str] = "backfill.partition_ended"

    backfill_id: str
    attempt: int
    asset: str
    partition: str | None = None
    state: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionsAdded(Body):
    """Keys were added to a list of dynamic partitions; `name` is the list's."""

    kind: ClassVar[str] = "partitions.added"
    durable: ClassVar[bool] = True

    name: str
    keys: tuple[str, ...]
    project: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionsRemoved(Body):
    """Keys were removed from a list of dynamic partitions; what was made of them stays."""

    kind: ClassVar[str] = "partitions.removed"
    durable: ClassVar[bool] = True

    name: str
    keys: tuple[str, ...]
    project: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillAsked(Body):
    """Somebody asked the process that drives a backfill to "pause" or to "cancel" it; `asked_by` says who, as user@host."""

    kind: ClassVar[str] = "backfill.asked"
    durable: ClassVar[bool] = True

    backfill_id: str
    what: str
    asked_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillStopped(Body):
    """A backfill stopped because it was asked to; after "cancel" what has no outcome will get none, unless it is resumed.

    `attempt` is 0 when no attempt had begun.
    """

    kind: ClassVar[str] = "backfill.stopped"
    durable: ClassVar[bool] = True

    backfill_id: str
    attempt: int
    what: str
    asked_by: str | None = None


KINDS: dict[str, type[Body]] = {
    body.kind: body
    for body in (
        BackfillRequested,
        BackfillPartitionLaunched,
        BackfillPartitionEnded,
        PartitionsAdded,
        PartitionsRemoved,
        BackfillAsked,
        BackfillStopped,
    )
}
