"""The engine: a task run as a generator of effects, which decides and records, and never blocks or calls user code.

What it needs done it yields (`core/effects.py`), and a driver carries it out (`core/drivers.py`), one sync and one async. So there
is one engine, and what differs between sync and async is in the drivers alone.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from headwater.core import recording, signals
from headwater.core.arguments import resolve
from headwater.core.context import _current
from headwater.core.decisions import Finish, after_error, is_cancellation
from headwater.core.effects import Effect, Gather, Invoke, Notify, Sleep, Steps, guarded
from headwater.core.hooks import StateChange
from headwater.core.signals import interruption
from headwater.core.states import State
from headwater.core.tracebacks import as_raised, summary
from headwater.errors import TimeLimitExceeded, WorkerDied

if TYPE_CHECKING:
    from contextvars import Token

    from headwater.core.caching import CachedCall
    from headwater.core.context import TaskCall
    from headwater.core.resuming import Earlier, Restored
    from headwater.core.task import Task

_log = logging.getLogger("headwater.run")


def run_task(task: Task[..., Any], call: TaskCall) -> Steps:
    """A task run from its upstream to its end: returns what the task returned, or raises what it raised."""
    steps = _run_task(task, call)
    call.steps = weakref.ref(steps)
    return steps


def _run_task(task: Task[..., Any], call: TaskCall) -> Steps:
    run, hooks = call.context.run, task.options.hooks
    if run.cancelled.is_set():
        raise interruption(run)
    if call.upstream:
        yield from _resolve_arguments(task, call)
    if run.root.resumable:
        if task.is_heavy or task.options.persist_result:
            yield Invoke(task.note, (call,))
        else:
            task.note(call)
    token = _current.set(call.context)
    delay: float | None = None
    error: BaseException | None = None
    cached: CachedCall | None = None
    try:
        recording.task_started(call, task.options)
        if run.root.earlier is not None:
            restored = yield from _restored(task, call, run.root.earlier)
            if restored is not None:
                return restored.value
        if task.options.cache is not None:
            cached = yield from _cached(task, call)
            if cached.hit:
                return cached.value
        while True:
            try:
                if delay is not None:
                    if hooks:
                        yield from tell(task, call, error)
                    yield Sleep(delay)
                    recording.task_tries_again(call)
                call.tries += 1
                if hooks:
                    yield from tell(task, call)
                steps = task.steps(call) if call.place is None else call.place.steps(task, call)
                value = yield from (_limited(task, call, steps) if task.is_limited else steps)
                if cached is not None:
                    yield from cached.keep(value)
                if call.record is not None:
                    yield from _keep(task, call, value)
                    call.record.held = call.transaction is not None
            except BaseException as raised:
                error = as_raised(raised)
                second, delay = _after_error(task, call, error)
                if hooks and delay is None and not isinstance(error, GeneratorExit):
                    yield from tell(task, call, second or error)
                if second is not None:
                    raise second from error
                if delay is None:
                    raise
            else:
                recording.task_ended(call, State.COMPLETED)
                if hooks or call.transaction is not None or task.options.on_commit:
                    yield from _completed(task, call, value)
                return value
    finally:
        if cached is not None:
            cached.close()
        leave(token)


signals.hosts(_run_task)


def _limited(task: Task[..., Any], call: TaskCall, steps: Steps) -> Steps:
    # Imported by those alone whose tasks have limits, or tags.
    from headwater.core.concurrency import limited

    return limited(task, call, steps)


def _cached(task: Task[..., Any], call: TaskCall) -> Generator[Effect, Any, CachedCall]:
    """Look for a result that is kept, and end the call with it if there is one."""
    from headwater.core.caching import CachedCall

    cached = CachedCall(task, call)
    yield from cached.look_up()
    if cached.hit:
        if call.record is not None:
            yield from _keep(task, call, cached.value)
        recording.task_ended(call, State.CACHED)
        yield from tell(task, call)
    return cached


def _restored(task: Task[..., Any], call: TaskCall, earlier: Earlier) -> Generator[Effect, Any, Restored | None]:
    """End a call with what an earlier attempt made of it, if that will do."""
    from headwater.core.resuming import reuse

    found = yield from reuse(task, call, earlier)
    if found is not None:
        yield from tell(task, call)
    return found


def _keep(task: Task[..., Any], call: TaskCall, value: Any) -> Steps:
    """Keep what a call returned for later attempts: large results are written to the disk."""
    if task.is_heavy or task.options.persist_result:
        yield Invoke(task.keep, (call, value))
    else:
        task.keep(call, value)


def _completed(task: Task[..., Any], call: TaskCall, value: Any) -> Steps:
    """Tell the hooks; what completed is committed or rolled back with its transaction, also when something stops a hook."""
    hooks = task.options.hooks.get(State.COMPLETED, ())
    stopped = (yield from guarded(Notify(hooks, change_of(task, call)))) if hooks else None
    if call.transaction is not None or task.options.on_commit:
        from headwater.core.transactions import completed

        stopped = (yield from completed(task, call, value)) or stopped
    if stopped is not None:
        raise stopped


def tell(task: Task[..., Any], call: TaskCall, error: BaseException | None = None) -> Steps:
    """Call the hooks of the state that a task run has come into."""
    hooks = task.options.hooks.get(call.state, ())
    if hooks:
        yield Notify(hooks, change_of(task, call, error))


def change_of(task: Task[..., Any], call: TaskCall, error: BaseException | None = None) -> StateChange:
    """What the hooks of the state are told that a task run has come into."""
    context = call.context
    return StateChange(
        name=task.name,
        state=call.state,
        run_id=context.run_id,
        flow=context.flow,
        tries=call.tries,
        task_run_id=call.task_run_id,
        error=error,
    )


def _after_error(
    task: Task[..., Any], call: TaskCall, error: BaseException
) -> tuple[BaseException | None, float | None]:
    """Record what follows a failed try: the delay before the next one, or None when there is none.

    First comes what a condition or a delay of the user's own raised: that is how the task run ends.
    """
    try:
        refused = isinstance(error, Exception) and task.refuses(error)
        timed_out = isinstance(error, TimeLimitExceeded) and error.of == call.task_run_id
        crashed = isinstance(error, WorkerDied) and error.of == call.task_run_id
        decision = after_error(
            task.options,
            call.tries,
            error,
            refused=refused,
            timed_out=timed_out,
            crashed=crashed,
            final=call.handed_out,
        )
    except BaseException as second:  # noqa: BLE001 - the task run raises it
        recording.task_ended(call, State.CANCELLED if is_cancellation(second) else State.FAILED, second)
        return second, None
    if isinstance(decision, Finish):
        recording.task_ended(call, decision.state, error)
        return None, None
    if not call.context.run.may_retry():
        _log.warning("'%s' is not tried again: the retry budget of its flow is spent", task.name)
        recording.task_ended(call, State.FAILED, error)
        return None, None
    recording.task_waits(call, decision.delay, error)
    return None, decision.delay


def _resolve_arguments(task: Task[..., Any], call: TaskCall) -> Steps:
    """Wait for the upstream; put results in place of futures. Raises the upstream's error when it failed: skipped."""
    waited = tuple(upstream.future for upstream in call.upstream)
    yield Gather(waited)
    for upstream in call.upstream:
        upstream.future.looked_at = True
        error = upstream.future.error
        if error is not None and not upstream.may_fail:
            state = upstream.future.state.value
            why = f"it did not run: its upstream '{upstream.future.task}' ended {state}: {summary(error)}"
            recording.task_skipped(call, task.options, why)
            yield from tell(task, call, error)
            upstream.future.result()
    call.args = tuple(resolve(value) for value in call.args)
    call.kwargs = {key: resolve(value) for key, value in call.kwargs.items()}
    call.upstream = ()


def leave(token: Token[Any]) -> None:
    """Give a context variable back the value that it had before."""
    try:
        token.var.reset(token)
    except ValueError:
        # A coroutine that nobody awaited to its end is closed in another context: there is nothing to go back to.
        return
