"""`backfill pause` and `backfill cancel`: asking the process that drives a backfill to stop, wherever it is."""

from __future__ import annotations

from headwater.cli.common import looked_at_until, open_project, who
from headwater.cli.options import COMMON, BackfillId, Common, check_wait
from headwater.cli.output import emit, say
from headwater.lineage.asking import Stop, stop_backfill

_STOPPING = ("running", "pausing", "cancelling")


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


def _stop(backfill_id: str, what: Stop, wait: float, common: Common) -> int:
    check_wait(wait)
    project = open_project(None, writes=True)
    found = stop_backfill(project.projection, project.carrier, project.journal, backfill_id, what, who())
    if project.reader.backfill(found)["state"] in _STOPPING:
        say(f"asked it to {what}")
    value = looked_at_until(lambda: project.reader.backfill(found), lambda one: one["state"] not in _STOPPING, wait)
    emit(value, common.json, lambda: f"{value['id']}  {value['state']}")
    if value["state"] in _STOPPING:
        say(f"it has not stopped within {wait:g} s; it was asked, and stops when what runs has ended")
        return 1
    return 0
