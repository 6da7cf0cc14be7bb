"""What the engine writes to the journal about task runs and runs."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from headwater import clock
from headwater.core.decisions import is_cancellation
from headwater.core.events import RunEnded, RunStarted, RunState, TaskEnded, TaskStarted, TaskState
from headwater.core.prints import unfinished
from headwater.core.states import State
from headwater.core.tracebacks import error_info, summary, text_of
from headwater.types import ErrorInfo

if TYPE_CHECKING:
    from headwater.core.context import Run, TaskCall
    from headwater.core.journal.events import Body
    from headwater.core.options import TaskOptions

_log = logging.getLogger("headwater")
_NO_RECORD: dict[str, Any] = {}


def task_started(call: TaskCall, options: TaskOptions) -> None:
    """A task run begins."""
    root = call.context.run.root
    call.state = State.RUNNING
    call.started = call.context.started = clock.now_us()
    root.open_tasks[call.task_run_id] = call
    root.journal.append(_started(call, options))


def task_ended(call: TaskCall, state: State, error: BaseException | None = None) -> None:
    """A task run has ended. Only the first to say so is heard: a thread that was given up may come late."""
    root = call.context.run.root
    if root.open_tasks.pop(call.task_run_id, None) is not None:
        context = call.context
        try:
            said = unfinished(context) if context.printed else ()
            root.journal.append(*said, ended(call, state, error))
        except BaseException:
            # No call here: recursion may be at its limit. Its end is recorded with that of the run.
            root.open_tasks[call.task_run_id] = call
            raise


def task_skipped(call: TaskCall, options: TaskOptions, why: str) -> None:
    """A task run ended before it began, because an upstream of it failed."""
    call.started = clock.now_us()
    error = ErrorInfo(type="UpstreamFailed", message=why)
    call.context.run.root.journal.append(_started(call, options), ended(call, State.SKIPPED, error))


def task_waits(call: TaskCall, delay: float, error: BaseException) -> None:
    """A try failed, and the next one starts after so many seconds."""
    _change(call, State.AWAITING_RETRY, tries=call.tries, delay=delay, error=error_info(error))


def task_tries_again(call: TaskCall) -> None:
    """The next try starts."""
    _change(call, State.RUNNING, tries=call.tries + 1)


def task_awaits_slot(call: TaskCall, limit: str) -> None:
    """It has to wait for a slot of a limit, or for a rate."""
    _change(call, State.AWAITING_SLOT, tries=max(1, call.tries), limit=limit)


def task_has_slot(call: TaskCall, limit: str) -> None:
    """It has it, and goes on."""
    _change(call, State.RUNNING, tries=max(1, call.tries), limit=limit)


def ended(call: TaskCall, state: State, error: BaseException | ErrorInfo | None = None) -> TaskEnded:
    """The end of a task run, as a body."""
    call.state = state
    context, record = call.context, call.record
    return TaskEnded(
        task_run_id=call.task_run_id,
        run_id=context.run.run_id,
        attempt=context.run.attempt,
        task=context.task or "",
        state=state.value,
        tries=call.tries,
        started=call.started,
        error=_info(error),
        **(_NO_RECORD if record is None else record.members()),
    )


def tasks_committed(calls: Iterable[TaskCall]) -> None:
    """The transaction of task runs commits: what they returned counts for later attempts, so their end is told once more."""
    held = [call for call in calls if call.record is not None and call.record.held]
    for call in held:
        assert call.record is not None
        call.record.held = False
    if held:
        held[0].context.journal.append(*(ended(call, State.COMPLETED) for call in held))


def _started(call: TaskCall, options: TaskOptions) -> TaskStarted:
    context = call.context
    return TaskStarted(
        task_run_id=call.task_run_id,
        run_id=context.run.run_id,
        attempt=context.run.attempt,
        task=context.task or "",
        parent_task_run_id=call.outer,
        tags=options.tags,
    )


def _change(
    call: TaskCall,
    state: State,
    *,
    tries: int,
    delay: float | None = None,
    error: ErrorInfo | None = None,
    limit: str | None = None,
) -> None:
    call.state = state
    run = call.context.run
    run.root.journal.append(
        TaskState(
            task_run_id=call.task_run_id,
            run_id=run.run_id,
            attempt=run.attempt,
            state=state.value,
            tries=tries,
            delay=delay,
            error=error,
            limit=limit,
        )
    )


def run_started(run: Run, parameters: dict[str, Any], fields: dict[str, Any]) -> None:
    """An attempt of a run begins; returns when that is on disk."""
    members = _members(run) | {"parameters": parameters}
    if run.parent is not None:
        members["parent_task_run_id"] = run.parent.task_run_id
    elif run.root.request_id is not None:
        members["request_id"] = run.root.request_id
    run.root.journal.append(RunStarted(**members | fields))


def _members(run: Run) -> dict[str, Any]:
    """What the start and the end of an attempt say alike."""
    outer, root = run.parent, run.root
    return {
        "run_id": run.run_id,
        "attempt": run.attempt,
        "flow": run.flow,
        "type": run.type,
        "parent_run_id": outer.run_id if outer else None,
        "parent_flow": outer.flow if outer else None,
        "parent_attempt": outer.attempt if outer else 1,
        "root_run_id": root.run_id,
        "root_flow": root.flow,
        "root_attempt": root.attempt,
        "started_by": root.started_by,
        "project": root.project,
        "source": run.source,
    }


def run_changed(run: Run, state: State, limit: str | None = None) -> None:
    """An attempt of a run has come into a state that is not terminal."""
    run.root.journal.append(RunState(run_id=run.run_id, attempt=run.attempt, state=state.value, limit=limit))


def run_ended(run: Run, state: State, error: BaseException | ErrorInfo | None, *before: Body) -> None:
    """An attempt of a run has ended; returns when that is on disk. In a forked child nothing has: the run is its parent's."""
    if run.pid != os.getpid():
        _log.warning(
            "a forked child left the run of '%s', which only its parent ends: end it with os._exit(0)", run.flow
        )
        return
    end = RunEnded(**_members(run), state=state.value, started=run.started, error=_info(error))
    run.root.journal.append(*before, end)


def _info(error: BaseException | ErrorInfo | None) -> ErrorInfo | None:
    if error is None or isinstance(error, ErrorInfo):
        return error
    if is_cancellation(error):
        # Where the signal happened to find the program is no defect of the line that it found.
        return ErrorInfo(type=type(error).__qualname__, message=text_of(error) or summary(error))
    return error_info(error)
