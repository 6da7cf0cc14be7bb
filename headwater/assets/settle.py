"""Settling: what a dead process had begun to make is brought to its one outcome, from the journal and the data.

If it was staged, its materializer is asked which version is in place: the staged one means that it was published, and the
outcome is written from the evidence. So does a later version that replaced it: between a death and the first look, others
may have published. Everything else is discarded, and what it staged is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from headwater import failpoints
from headwater.assets.events import (
    AssetRef,
    MaterializationEnded,
    MaterializationStaged,
    MaterializationStarted,
)
from headwater.assets.partitions import Partition
from headwater.assets.protocols import Materializer, Target
from headwater.core.journal.carrier import Carrier
from headwater.core.journal.events import Body, Event
from headwater.core.journal.lines import ODD, decode
from headwater.errors import HeadwaterError
from headwater.types import ErrorInfo


def settler(
    carrier: Carrier, root: Path, materializer: Callable[[AssetRef], Materializer]
) -> Callable[[Sequence[Event]], Iterator[Body]]:
    """What the journal's recovery calls with a dead writer's events; answers with the outcomes that are missing."""

    def settle(events: Sequence[Event]) -> Iterator[Body]:
        begun, staged = _open(events)
        for key, (started, at) in begun.items():
            yield _outcome(carrier, root, materializer, started, at, staged.get(key))

    return settle


def _open(
    events: Sequence[Event],
) -> tuple[dict[str, tuple[MaterializationStarted, int]], dict[str, MaterializationStaged]]:
    begun: dict[str, Event] = {}
    staged: dict[str, Event] = {}
    for event in events:
        if event.kind not in _KINDS:
            continue
        # An odd body, of a version or a writer that we don't know, leaves nothing that could be settled: it stops nobody.
        with suppress(*ODD):
            materialization = event.body["materialization_id"]
            if event.kind == MaterializationStarted.kind:
                begun[materialization] = event
            elif event.kind == MaterializationStaged.kind:
                staged[materialization] = event
            else:
                begun.pop(materialization, None)
    found: dict[str, tuple[MaterializationStarted, int]] = {}
    ready: dict[str, MaterializationStaged] = {}
    for key, event in begun.items():
        with suppress(*ODD):
            if key in staged:
                ready[key] = staged[key].record(MaterializationStaged)
            found[key] = event.record(MaterializationStarted), event.time
    return found, ready


_KINDS = (MaterializationStarted.kind, MaterializationStaged.kind, MaterializationEnded.kind)


def _outcome(
    carrier: Carrier,
    root: Path,
    materializer: Callable[[AssetRef], Materializer],
    started: MaterializationStarted,
    at: int,
    staged: MaterializationStaged | None,
) -> MaterializationEnded:
    died = "its process died before it was published"
    target = Target(asset=started.asset, root=root, partitioned=started.partition is not None)
    begun = at if staged is None else staged.started_at
    try:
        found = materializer(started.asset)
        published = staged is not None and (
            found.version(target, _partition(started)) == staged.evidence.version
            or _was_replaced(carrier, staged.evidence.version)
        )
        failpoints.reach("settle.asked")
        # What was published may have left its staged file too, if its process died right after.
        found.discard(target, started.materialization_id)
        failpoints.reach("settle.discarded")
        if published:
            return _ended(started, begun, "published", staged, None)
    except HeadwaterError as error:
        # The place can't be asked any more. The version that a later look finds there still tells the truth.
        died = f"{died}, and its place can't be read: {error.message}"
    return _ended(started, begun, "discarded", staged, died)


def _was_replaced(carrier: Carrier, version: str) -> bool:
    """Whether anybody has found a version in place when they put theirs there. Reads the whole journal, as seldom as that is."""
    sign = version.encode()
    lines = (line for batch in carrier.read() for line in batch.lines if sign in line)
    return any((event.body.get("evidence") or {}).get("replaces") == version for event in map(decode, lines))


def _ended(
    started: MaterializationStarted, at: int, state: str, staged: MaterializationStaged | None, message: str | None
) -> MaterializationEnded:
    return MaterializationEnded(
        materialization_id=started.materialization_id,
        started=started,
        started_at=at,
        state=state,
        evidence=staged.evidence if staged else None,
        error=ErrorInfo(type="Crashed", message=message) if message else None,
    )


def _partition(started: MaterializationStarted) -> Partition | None:
    """The partition by its key: all that a materializer needs to ask which version is in place."""
    return None if started.partition is None else Partition(key=started.partition)
