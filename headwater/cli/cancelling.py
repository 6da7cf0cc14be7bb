"""`runs cancel`: asking a run in another process to stop."""

from __future__ import annotations

from headwater.cli.common import looked_at_until, open_project, who
from headwater.cli.options import COMMON, Common, RunId, check_wait
from headwater.cli.output import emit, say
from headwater.core.states import TERMINAL
from headwater.lineage.asking import cancel_run


def cancel(run_id: RunId, /, *, wait: float = 30.0, common: Common = COMMON) -> int:
    """Stop a run: its process is sent SIGTERM, and its run, with all that runs in it, ends as Cancelled.

    Async tasks stop at their next await, threads at their next step, child processes with it. All runs of that process end.

    Parameters
    ----------
    run_id
        The run's id as `headwater runs` prints it, or the beginning of it.
    wait
        Seconds to wait until it has ended.
    """
    check_wait(wait)
    project = open_project(None)
    row = project.reader.run(run_id)
    process = cancel_run(project.projection, project.carrier, project.journal, row["id"], who())
    say(f"asking process {process.pid} to stop")
    ended = looked_at_until(lambda: project.reader.run(row["id"]), lambda one: one["state"] in TERMINAL, wait)
    emit(ended, common.json, lambda: f"{ended['id']}  {ended['flow']}  {ended['state']}")
    if ended["state"] not in TERMINAL:
        say(f"it has not ended within {wait:g} s; it was asked, and ends when it comes to a point where it can")
        return 1
    return 0
