"""`runs cancel`: asking a run in another process to stop."""

from __future__ import annotations

from headwater import clock
from headwater.cli.common import open_project, who
from headwater.cli.options import COMMON, Common, RunId
from headwater.cli.output import emit, say
from headwater.core.events import RunCancelRequested
from headwater.core.states import TERMINAL
from headwater.errors import HeadwaterError, UsageError
from headwater.lineage.processes import Process, process_of, terminate
from headwater.project import Project

_PAUSE = 0.2


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
    project = open_project(None)
    row = project.reader.run(run_id)
    if row["state"] in TERMINAL:
        raise UsageError(f"the run {row['id']} has ended: it is {row['state']}", hint="headwater runs lists what runs")
    process = _process(project, row["id"])
    project.journal.append(RunCancelRequested(run_id=row["id"], attempt=row["attempt"], asked_by=who()))
    say(f"asking process {process.pid} to stop")
    try:
        terminate(project.carrier, process)
    except PermissionError as error:
        raise HeadwaterError(
            f"process {process.pid} belongs to somebody else",
            where=row["id"],
            hint="ask its owner, or cancel it as root",
        ) from error
    ended = _wait(project, row["id"], wait)
    emit(ended, common.json, lambda: f"{ended['id']}  {ended['flow']}  {ended['state']}")
    if ended["state"] not in TERMINAL:
        say(f"it has not ended within {wait:g} s; it was asked, and ends when it comes to a point where it can")
        return 1
    return 0


def _process(project: Project, run_id: str) -> Process:
    with project.projection.session() as session:
        closed = {writer for (writer,) in session.rows("SELECT writer FROM state.positions WHERE closed")}
        roots = session.rows("SELECT root_run_id FROM runs WHERE run_id = $run", {"run": run_id})
    root = next((root for (root,) in roots if root), run_id)
    found = process_of(project.carrier, root, closed=closed)
    if found is None:
        raise HeadwaterError(
            "the process of this run is gone", where=run_id, hint="look again: headwater runs shows it as Crashed"
        )
    if not found.is_here:
        raise HeadwaterError(
            f"the run lives in process {found.pid} on {found.host}", where=run_id, hint="cancel it on that machine"
        )
    return found


def _wait(project: Project, run_id: str, seconds: float) -> dict[str, object]:
    until = clock.now_us() + int(seconds * 1_000_000)
    while True:
        row = project.reader.run(run_id)
        if row["state"] in TERMINAL or clock.now_us() >= until:
            return row
        clock.sleep(_PAUSE)
