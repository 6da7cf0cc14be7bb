"""Asking what runs to stop: a run by a signal to its process, a backfill through the journal. The request is journaled first.

What was asked of a server, and has begun no run yet, is taken back.
"""

from __future__ import annotations

import contextlib
import signal
from typing import Any, Literal, TypeAlias

from headwater.assets.backfill_events import BackfillAsked, BackfillStopped
from headwater.assets.backfilling import lock_of
from headwater.core import processes
from headwater.core.events import RunCancelRequested
from headwater.core.journal.carrier import Carrier, EventWriter
from headwater.core.request_events import WorkCancelRequested, WorkEnded
from headwater.core.states import TERMINAL
from headwater.errors import HeadwaterError, LockTimeout, UnknownNameError, UsageError
from headwater.lineage.backfills import BackfillRecord, backfill_record
from headwater.lineage.known_positions import POSITIONS, Known
from headwater.lineage.processes import Process, is_here, process_of, terminate
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
    return _is_held(carrier, f"run:{run_id}")


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
            f"the run lives in process {found.pid} on {found.host}",
            where=run_id,
            hint=_THERE.format(what="cancel it"),
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
    """Take back what was asked of a server, by its whole id, as long as no run has begun for it.

    One that a worker took which died is taken back as well. A process that still loads its code is asked to stop, and killed
    when it doesn't. Raises UnknownNameError, UsageError when its run has begun or it is over, HeadwaterError when its process
    can't be stopped from here.
    """
    with contextlib.ExitStack() as held:
        lock = carrier.locks.try_hold(request_lock(request_id))
        stopped = lock is None
        if lock is not None:
            held.enter_context(lock)
        elif not _stop_loading(projection, carrier, journal, request_id, asked_by, held):
            return
        # Looked at now that no worker can take it.
        projection.refresh()
        reader = Reader(projection)
        found = reader.work_request(request_id)
        if found is None:
            raise UnknownNameError(f"there is no request '{request_id}'", hint="a request is named by its whole id")
        state = found["state"]
        if stopped and (state == "cancelled" or reader.began(request_id) is not None):
            return
        if state == "running" and reader.began(request_id) is not None:
            raise _begun(request_id)
        if state not in ("asked", "running"):
            raise UsageError(f"the request {request_id} is over: it is {state}")
        # Who stopped its process has said so already.
        by = None if stopped else asked_by
        journal.append(WorkEnded(request_id=request_id, exit_code=CANCELLED, message=BEFORE, cancelled_by=by))
    projection.refresh()


_THERE = "{what} on that machine, or in the container that it runs in"
CANCELLED = 130
"""The exit code of a command that was cancelled."""
BEFORE = "cancelled before it had begun"
"""What is said of a request that was taken back."""
_GRACE = 3.0
"""Seconds that a process gets to end by itself, and then to be gone."""


def _stop_loading(
    projection: Projection,
    carrier: Carrier,
    journal: EventWriter,
    request_id: str,
    asked_by: str,
    held: contextlib.ExitStack,
) -> bool:
    """Stop the process of a request that has begun no run, and hold its lock then; False when a run begins meanwhile."""
    reader, name = Reader(projection), request_lock(request_id)
    projection.refresh()
    found = reader.work_request(request_id)
    if found is None or found["process"] is None or reader.began(request_id) is not None:
        raise _begun(request_id)
    process, host = found["process"], found["process_host"]
    if not is_here(host, found["process_numbers"]):
        what = f"the request lives in process {process} on {host}"
        raise HeadwaterError(what, where=request_id, hint=_THERE.format(what="take it back"))
    journal.append(WorkCancelRequested(request_id=request_id, asked_by=asked_by))
    for how in (signal.SIGTERM, signal.SIGKILL):
        projection.refresh()
        if reader.began(request_id) is not None:
            return False  # it was asked to stop, and ends as its run does
        try:
            processes.terminate(process, lambda: _is_held(carrier, name), how)
        except PermissionError as error:
            what = f"process {process} belongs to somebody else"
            raise HeadwaterError(what, where=request_id, hint="ask its owner, or take it back as root") from error
        with contextlib.suppress(LockTimeout):
            held.enter_context(carrier.locks.hold(name, timeout=_GRACE))
            return True
    raise HeadwaterError(
        f"process {process} does not end", where=request_id, hint="it was killed, and ends when the machine lets it"
    )


def _is_held(carrier: Carrier, name: str) -> bool:
    lock = carrier.locks.try_hold(name)
    if lock is None:
        return True
    lock.release()
    return False


def _begun(request_id: str) -> UsageError:
    hint = "cancel its run, or its backfill, as soon as that is there: it begins in a moment"
    return UsageError(f"a worker has begun the request {request_id}", hint=hint)
