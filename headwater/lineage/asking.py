"""Asking what runs to stop: a run by a signal to its process, a backfill through the journal. The request is journaled first.

What was asked of a server, and no worker has begun yet, is taken back.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from headwater.assets.backfill_events import BackfillAsked, BackfillStopped
from headwater.assets.backfilling import lock_of
from headwater.core.events import RunCancelRequested
from headwater.core.journal.carrier import Carrier, EventWriter
from headwater.core.request_events import WorkEnded
from headwater.core.states import TERMINAL
from headwater.errors import HeadwaterError, UnknownNameError, UsageError
from headwater.lineage.backfills import BackfillRecord, backfill_record
from headwater.lineage.known_positions import POSITIONS, Known
from headwater.lineage.processes import Process, process_of, terminate
from headwater.lineage.projection import Projection
from headwater.lineage.reader import Reader

Stop: TypeAlias = Literal["pause", "cancel"]
_OVER = ("completed", "cancelled", "failed")


def cancel_run(projection: Projection, carrier: Carrier, journal: EventWriter, run_id: str, asked_by: str) -> Process:
    """Ask the process that a run lives in to stop; answers with that process. `run_id` may be an id's beginning.

    Raises UnknownNameError, UsageError when the run has ended, HeadwaterError when its process can't be asked from here.
    """
    row: dict[str, Any] = Reader(projection).run(run_id)
    if row["state"] in TERMINAL and not _goes_on(carrier, row["id"]):
        raise UsageError(f"the run {row['id']} has ended: it is {row['state']}", hint="headwater runs lists what runs")
    process = _process(projection, carrier, row["id"])
    journal.append(RunCancelRequested(run_id=row["id"], attempt=row["attempt"], asked_by=asked_by))
    try:
        terminate(carrier, process)
    except PermissionError as error:
        raise HeadwaterError(
            f"process {process.pid} belongs to somebody else",
            where=row["id"],
            hint="ask its owner, or cancel it as root",
        ) from error
    return process


def _goes_on(carrier: Carrier, run_id: str) -> bool:
    """Whether somebody is about to make another attempt of a run, and keeps all others from that."""
    held = carrier.locks.try_hold(f"run:{run_id}")
    if held is None:
        return True
    held.release()
    return False


def _process(projection: Projection, carrier: Carrier, run_id: str) -> Process:
    with projection.session() as session:
        closed = Known.of(session.rows(POSITIONS)).closed
        roots = session.rows("SELECT root_run_id FROM runs WHERE run_id = $run", {"run": run_id})
    root = next((root for (root,) in roots if root), run_id)
    found = process_of(carrier, root, closed=closed)
    if found is None:
        raise HeadwaterError(
            "the process of this run is gone", where=run_id, hint="look again: headwater runs shows it as Crashed"
        )
    if not found.is_here:
        raise HeadwaterError(
            f"the run lives in process {found.pid} on {found.host}", where=run_id, hint="cancel it on that machine"
        )
    return found


def stop_backfill(
    projection: Projection, carrier: Carrier, journal: EventWriter, backfill_id: str, what: Stop, asked_by: str
) -> str:
    """Ask a backfill to pause, or to be cancelled; its whole id. One that no process drives is cancelled at once.

    Raises UnknownNameError, UsageError when it is over, or when it does not run and so can't pause.
    """
    record = backfill_record(projection, backfill_id)
    before = Reader(projection).backfill(record.backfill_id)["state"]
    if before in _OVER:
        raise UsageError(f"the backfill {record.backfill_id} is over: it is {before}")
    if not _settled(carrier, journal, record, what, before, asked_by):
        journal.append(BackfillAsked(backfill_id=record.backfill_id, what=what, asked_by=asked_by))
    return record.backfill_id


def _settled(
    carrier: Carrier, journal: EventWriter, record: BackfillRecord, what: Stop, state: str, asked_by: str
) -> bool:
    """Settle it at once when no process drives it; False when one does."""
    lock = carrier.locks.try_hold(lock_of(record.backfill_id))
    if lock is None:
        return False
    with lock:
        if what == "pause":
            raise UsageError(
                f"the backfill {record.backfill_id} does not run: it is {state}",
                hint=f"headwater backfill resume {record.backfill_id} goes on with it, backfill cancel gives it up",
            )
        journal.append(
            BackfillStopped(backfill_id=record.backfill_id, attempt=record.attempt, what=what, asked_by=asked_by)
        )
    return True


def request_lock(request_id: str) -> str:
    """The lock that a worker takes before it begins with a request, and that the process which it starts then holds."""
    return f"work:{request_id}"


def cancel_request(
    projection: Projection, carrier: Carrier, journal: EventWriter, request_id: str, asked_by: str
) -> None:
    """Take back what was asked of a server, by its whole id. Raises UnknownNameError, UsageError when a worker has begun it.

    One that was taken by a worker which died before the run had begun is taken back as well.
    """
    lock = carrier.locks.try_hold(request_lock(request_id))
    if lock is None:
        raise _begun(request_id)
    with lock:
        # Looked at now that no worker can take it.
        projection.refresh()
        reader = Reader(projection)
        found = reader.work_request(request_id)
        if found is None:
            raise UnknownNameError(f"there is no request '{request_id}'", hint="a request is named by its whole id")
        state = found["state"]
        if state == "running" and reader.began(request_id) is not None:
            raise _begun(request_id)
        if state not in ("asked", "running"):
            raise UsageError(f"the request {request_id} is over: it is {state}")
        message = "cancelled before it had begun"
        journal.append(WorkEnded(request_id=request_id, exit_code=_CANCELLED, message=message, cancelled_by=asked_by))
    projection.refresh()


_CANCELLED = 130
"""The exit code of a command that was cancelled."""


def _begun(request_id: str) -> UsageError:
    hint = "cancel its run, or its backfill, as soon as that is there: it begins in a moment"
    return UsageError(f"a worker has begun the request {request_id}", hint=hint)
