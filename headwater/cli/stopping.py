"""`backfill pause` and `backfill cancel`: asking the process that drives a backfill to stop, wherever it is."""

from __future__ import annotations

from typing import Any

from headwater import clock
from headwater.assets.backfilling import lock_of
from headwater.assets.events import BackfillAsked, BackfillStopped
from headwater.cli.common import open_project, who
from headwater.cli.options import COMMON, BackfillId, Common
from headwater.cli.output import emit, say
from headwater.errors import UsageError
from headwater.lineage.backfills import BackfillRecord, backfill_record
from headwater.project import Project

_PAUSE = 0.2
_OVER = ("completed", "cancelled", "failed")


def pause(backfill_id: BackfillId, /, *, wait: float = 30.0, common: Common = COMMON) -> int:
    """Pause a backfill: nothing more is launched, what runs is finished. `backfill resume` goes on.

    Parameters
    ----------
    backfill_id
        Its id, or the beginning of it.
    wait
        Seconds to wait until what runs has ended.
    """
    return _stop(backfill_id, "pause", wait, common)


def cancel(backfill_id: BackfillId, /, *, wait: float = 30.0, common: Common = COMMON) -> int:
    """Cancel a backfill: nothing more is launched, what runs is stopped at its next step. What was made stays.

    Parameters
    ----------
    backfill_id
        Its id, or the beginning of it.
    wait
        Seconds to wait until it has stopped.
    """
    return _stop(backfill_id, "cancel", wait, common)


def _stop(backfill_id: str, what: str, wait: float, common: Common) -> int:
    project = open_project(None, writes=True)
    record = backfill_record(project.projection, backfill_id)
    before = project.reader.backfill(record.backfill_id)["state"]
    if before in _OVER:
        raise UsageError(f"the backfill {record.backfill_id} is over: it is {before}")
    if not _settled_here(project, record, what, before):
        project.journal.append(BackfillAsked(backfill_id=record.backfill_id, what=what, asked_by=who()))
        say(f"asked it to {what}")
        _wait(project, record.backfill_id, wait)
    value = project.reader.backfill(record.backfill_id)
    emit(value, common.json, lambda: f"{value['id']}  {value['state']}")
    if value["state"] in ("running", "pausing", "cancelling"):
        say(f"it has not stopped within {wait:g} s; it was asked, and stops when what runs has ended")
        return 1
    return 0


def _settled_here(project: Project, record: BackfillRecord, what: str, state: str) -> bool:
    """Settle it at once when no process drives it; False when one does."""
    lock = project.locks.try_hold(lock_of(record.backfill_id))
    if lock is None:
        return False
    with lock:
        if what == "pause":
            raise UsageError(
                f"the backfill {record.backfill_id} does not run: it is {state}",
                hint=f"headwater backfill resume {record.backfill_id} goes on with it, backfill cancel gives it up",
            )
        project.journal.append(
            BackfillStopped(backfill_id=record.backfill_id, attempt=record.attempt, what=what, asked_by=who())
        )
    return True


def _wait(project: Project, backfill_id: str, seconds: float) -> dict[str, Any]:
    until = clock.now_us() + int(seconds * 1_000_000)
    while True:
        value: dict[str, Any] = project.reader.backfill(backfill_id)
        if value["state"] not in ("running", "pausing", "cancelling") or clock.now_us() >= until:
            return value
        clock.sleep(_PAUSE)
