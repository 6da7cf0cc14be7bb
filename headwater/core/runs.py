"""Runs: how an attempt of a flow, or of a task outside any flow, begins, lasts and ends."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from headwater import clock, ids
from headwater.core import logs, prints, recording, runtime, signals
from headwater.core.arguments import find, resolve
from headwater.core.call_records import note_run
from headwater.core.context import RootRun, Run, RunContext, _current, current_open, open_transaction
from headwater.core.decisions import Finish, Retry, after_error, is_cancellation
from headwater.core.drivers import settle
from headwater.core.effects import CloseStreams, Gather, Invoke, Notify, Settle, Sleep, Steps, gathered
from headwater.core.engine import leave, run_task
from headwater.core.hooks import StateChange
from headwater.core.outer_run import outer_run
from headwater.core.parameters import plain_parameters
from headwater.core.runners.runner import close_session, runner_of
from headwater.core.signals import raise_pending
from headwater.core.states import State
from headwater.core.tracebacks import as_raised, users_line
from headwater.errors import RunRefused, RunSkipped, TimeLimitExceeded
from headwater.types import ErrorInfo, SourceCode

if TYPE_CHECKING:
    from headwater.core.context import TaskCall
    from headwater.core.flow import Flow
    from headwater.core.options import FlowOptions
    from headwater.core.run_limits import RunLimits
    from headwater.core.task import Task

_UNRECORDED = ErrorInfo(
    type="Unrecorded",
    message="an error came while its end was being recorded, such as too deep a recursion or too little memory",
)


def new_run(
    name: str,
    type: str,
    *,
    run_id: str | None = None,
    attempt: int = 1,
    parent: RunContext | None = None,
    source: SourceCode | None = None,
    is_async: bool = False,
    options: FlowOptions | None = None,
) -> Run:
    """A run that has not begun. Raises RunRefused where code is only loaded for its definitions."""
    if runtime.is_defining():
        raise RunRefused(f"'{name}' was called while code is loaded for its definitions only")
    goes_on = run_id is not None
    run_id = run_id or (ids.asked_id() if parent is None else ids.new_id())
    root = None if parent is None else parent.run.root
    if root is None:
        root = RootRun(run_id, name, attempt=attempt, is_async=is_async, options=options)
        root.request_id = ids.resumed_for() if goes_on else None
        root.started_by = outer_run()
    run = Run(root, run_id=run_id, flow=name, type=type, attempt=attempt, parent=parent, source=source)
    if options is not None:
        run.retries_left, run.runner = options.retry_budget, runner_of(options.runner)
    return run


def begin(run: Run, parameters: Mapping[str, Any], fields: Mapping[str, Any] | None = None) -> None:
    """Record that an attempt begins; at the root, take over signals and logs."""
    run.started = clock.now_us()
    run.failure, run.over = None, False
    run.parameters = parameters
    run.pending.clear()
    if run.parent is None:
        logs.attach()
        signals.enter(run.root)
    try:
        recording.run_started(run, plain_parameters(parameters), dict(fields or {}))
    except BaseException:
        if run.parent is None:
            signals.leave(run.root)
            logs.detach()
        raise


def end(run: Run, state: State, error: BaseException | ErrorInfo | None) -> None:
    """Record that an attempt has ended; at the root, close what it opened and tell the project."""
    root, context = run.root, _current.get()
    said = [] if context is None or context.run is not run else prints.unfinished(context)
    if run.parent is not None:
        run.cancelled.detach()
        close_session(run, join=not _given_up(run))
        recording.run_ended(run, state, error, *said)
        return
    with signals.closing(root):
        try:
            recording.run_ended(run, state, error, *said, *_left_open(run))
        finally:
            close_session(run, join=not root.abandoned)
            logs.detach()
            root.closing = True
            signals.leave(root)
    root.runtime.run_ended()


def _given_up(run: Run) -> bool:
    """Whether a run that was asked to stop, and waited, still has task runs in it that did not."""
    calls = list(run.root.open_tasks.values()) if run.cancelled.is_set() else ()
    return any(call.goes_on and run in call.context.run.outwards() for call in calls)


def _left_open(run: Run) -> list[Any]:
    """The ends that task runs have not recorded: an error within the engine came between, or they did not stop when asked to."""
    root, asked, found = run.root, run.cancelled.is_set(), []
    for task_run_id, call in list(root.open_tasks.items()):
        over = call.is_over
        if (asked or over) and root.open_tasks.pop(task_run_id, None) is not None:
            root.abandoned = root.abandoned or not (call.suspended or over)
            if asked:
                found.append(recording.ended(call, State.CANCELLED, signals.interruption(run)))
            else:
                found.append(recording.ended(call, State.FAILED, _UNRECORDED))
    return found


def attempt_of(run: Run, body: Invoke | Steps) -> Steps:
    """Call the body, wait for what it submitted; returns (value, error). After a cancellation, stop everything first."""
    value: Any = None
    error: BaseException | None = None
    try:
        value = (yield body) if isinstance(body, Invoke) else (yield from body)
    except BaseException as raised:  # noqa: BLE001 - recorded, then raised
        error = as_raised(raised)
    if error is None or not _stops(run, error):
        try:
            yield from gathered(run.pending)
        except BaseException as raised:  # noqa: BLE001 - recorded, then raised
            error = raised
    if error is not None and _stops(run, error):
        run.cancelled.set()
    if run.streams and not isinstance(error, GeneratorExit):
        yield CloseStreams(run)
    if error is not None and _stops(run, error) and not isinstance(error, GeneratorExit):
        yield Settle(run)
    return value, _unseen_failure(run, value) if error is None else error


def _stops(run: Run, error: BaseException) -> bool:
    """Whether nothing more of a run may go on after this error."""
    return is_cancellation(error) or _timed_out(run, error)


def _timed_out(run: Run, error: BaseException) -> bool:
    return isinstance(error, TimeLimitExceeded) and error.of == run.run_id


def _unseen_failure(run: Run, value: Any) -> BaseException | None:
    """The error of a submitted task that nobody looked at, or that the flow returned as its value."""
    returned = {id(upstream.future) for upstream in find((value,), {}) if not upstream.may_fail}
    for future in run.pending.values():
        if future.error is not None and (not future.looked_at or id(future) in returned):
            return future.error
    return None


def run_flow(flow: Flow[..., Any], run: Run, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Steps:
    """A flow's run with all its attempts: returns what the flow returned, or raises what it raised."""
    try:
        args, kwargs = yield from _resolved(args, kwargs)
        args, kwargs = flow.fitted(args, kwargs)
        parameters = flow.bind(args, kwargs)
        fields: dict[str, Any] = {}
        if run.root.resumable:
            fields = note_run(flow, run, args, kwargs, parameters)
        if flow.options.run_name is not None:
            from headwater.core.run_names import run_name

            fields["name"] = run_name(flow.options.run_name, parameters)
        while True:
            if run.root.earlier is not None and run.parent is None:
                run.root.earlier.rewind()
            begin(run, parameters, fields)
            limits = _limits(flow, run, parameters) if flow.is_limited else None
            token = _current.set(RunContext(run, is_async=flow.is_async))
            try:
                body = flow.body(run, args, kwargs)
                if limits is not None:
                    body = limits.around(body)
                if flow.options.hooks:
                    body = _told(flow, run, body)
                try:
                    value, error = yield from attempt_of(run, body)
                except GeneratorExit as closed:
                    # Python closes what stands within when a coroutine is given up, and asks it for no answer.
                    value, error = None, closed
                if error is None:
                    yield from _tell(flow, run, _returned(run))
                    return value
                error, decision = _after_error(flow, run, _final_error(run, error))
                if isinstance(decision, Retry):
                    run.root.claim(run)
                state = State.FAILED if isinstance(decision, Retry) else decision.state
                end(run, state, error)
                yield from _tell(flow, run, State.AWAITING_RETRY if isinstance(decision, Retry) else state, error)
            finally:
                leave(token)
                if limits is not None:
                    limits.free()
            if not isinstance(decision, Retry):
                raise error
            yield Sleep(decision.delay)
            run.attempt += 1
            if run.parent is None:
                run.root.attempt = run.attempt
    finally:
        # Whatever comes, in the middle of a delay, too: nobody is kept from making another attempt.
        run.root.release(run)


def _told(flow: Flow[..., Any], run: Run, body: Invoke | Steps) -> Steps:
    """The body, once the hooks of Running have heard of it: what interrupts them ends the attempt."""
    yield from _tell(flow, run, State.RUNNING)
    return (yield body) if isinstance(body, Invoke) else (yield from body)


def _limits(flow: Flow[..., Any], run: Run, parameters: Mapping[str, Any]) -> RunLimits:
    # Imported by those alone whose flows have limits.
    from headwater.core.run_limits import RunLimits

    return RunLimits(flow, run, parameters, partial(_tell, flow, run))


def _after_error(flow: Flow[..., Any], run: Run, error: BaseException) -> tuple[BaseException, Retry | Finish]:
    """What an attempt ends with, and what follows."""
    try:
        return error, _decided(flow, run, error)
    except BaseException as second:  # noqa: BLE001 - a condition or a delay of the user's own raised: that is how the run ends
        return second, Finish(State.CANCELLED if is_cancellation(second) else State.FAILED)


def _decided(flow: Flow[..., Any], run: Run, error: BaseException) -> Retry | Finish:
    if _timed_out(run, error):
        # All that it had begun was stopped for good: there is nothing that another attempt could go on in.
        return Finish(State.TIMED_OUT)
    if isinstance(error, RunSkipped) and error.of == run.run_id:
        return Finish(State.SKIPPED)
    earlier = run.root.earlier if run.parent is None else None
    tries = run.attempt - (0 if earlier is None else earlier.last_attempt)
    return after_error(flow.options, tries, error, final=run.handed_out)


def _tell(flow: Flow[..., Any], run: Run, state: State, error: BaseException | None = None) -> Steps:
    """Call the hooks of the state that a run has come into."""
    hooks = flow.options.hooks.get(state, ())
    if hooks and not isinstance(error, GeneratorExit):
        change = StateChange(
            name=run.flow, state=state, run_id=run.run_id, flow=run.flow, tries=run.attempt, error=error
        )
        # What is called when the run has ended is none of it, and is not to stop with it.
        token = _current.set(run.parent) if run.over else None
        try:
            yield Notify(hooks, change)
        finally:
            if token is not None:
                leave(token)


def _returned(run: Run) -> State:
    """The body returned: the attempt completed, unless somebody said `context.fail(…)`; answers how it ended."""
    if run.failure is None:
        end(run, State.COMPLETED, None)
        transaction = open_transaction()
        if transaction is not None:
            transaction.joined(run)
        return State.COMPLETED
    end(run, State.FAILED, ErrorInfo(type="Failed", message=run.failure))
    return State.FAILED


def _final_error(run: Run, error: BaseException) -> BaseException:
    """What the caller gets. A coroutine cancelled by a signal raises what a function raises; what failed never exits with 0."""
    root = run.root
    if run.parent is None and root.is_async and root.signal is not None and is_cancellation(error):
        return signals.raised_by(root.signal)
    # A forked child ends with a code of its own: the run is its parent's.
    if run.parent is None and isinstance(error, SystemExit) and error.code in (None, 0) and run.pid == os.getpid():
        what = f"'{run.flow}' was left by sys.exit({'' if error.code is None else error.code}) before it had returned"
        where = f" ({line})" if (line := users_line(error)) else ""
        todo = "return from it instead, or catch SystemExit around what exits when it is done"
        return SystemExit(f"{what}{where}, so that its run has failed: {todo}").with_traceback(error.__traceback__)
    return error


def run_alone(task: Task[..., Any], run: Run, call: TaskCall) -> Steps:
    """A task outside any flow: a run of its own around the task run."""
    call.args, call.kwargs = yield from _resolved(call.args, call.kwargs, call.wait_for)
    call.upstream = ()
    begin(run, task.bind(call.args, call.kwargs), task.run_fields(call))
    token = _current.set(RunContext(run, is_async=task.is_async))
    try:
        try:
            value, error = yield from attempt_of(run, run_task(task, call))
        except GeneratorExit as closed:
            value, error = None, closed  # as in `run_flow`
        if error is None:
            _returned(run)
            return value
        error = _final_error(run, error)
        state = State.CANCELLED if is_cancellation(error) else State.FAILED
        end(run, call.state if call.state in (State.BLOCKED, State.TIMED_OUT) else state, error)
    finally:
        leave(token)
    raise error


def _resolved(args: tuple[Any, ...], kwargs: Mapping[str, Any], wait_for: tuple[Any, ...] = ()) -> Steps:
    """The arguments with results in place of futures. Raises the error of an upstream that failed."""
    upstreams = find(args, kwargs, wait_for)
    if upstreams:
        yield Gather(tuple(upstream.future for upstream in upstreams))
        for upstream in upstreams:
            upstream.future.result(raise_on_failure=not upstream.may_fail)
        args = tuple(resolve(value) for value in args)
        kwargs = {key: resolve(value) for key, value in kwargs.items()}
    return args, kwargs


@contextmanager
def open_run(
    *,
    flow: str,
    type: str = "flow",
    parameters: Mapping[str, Any] | None = None,
    run_id: str | None = None,
    attempt: int = 1,
    source: SourceCode | None = None,
) -> Iterator[RunContext]:
    """A run without a function: what happens in the `with` block belongs to it, in other threads through `context.run_in`.

    It ends as Failed when the block raises (or `context.fail(message)` was called), as Cancelled on Cancelled and Ctrl-C.
    Within another run it is a subrun of that.
    """
    run = new_run(flow, type, run_id=run_id, attempt=attempt, parent=current_open(), source=source)
    context = RunContext(run)
    begin(run, parameters or {})
    token = _current.set(context)
    try:
        try:
            error = yield from _block(run, context)
        except GeneratorExit as closed:
            error = closed  # the block stands in a generator that was closed; as in `run_flow`
        if error is None:
            _returned(run)
            return
        error = _final_error(run, error)
        end(run, State.CANCELLED if is_cancellation(error) else State.FAILED, error)
    finally:
        leave(token)
    raise error


def _block(run: Run, context: RunContext) -> Generator[RunContext, None, BaseException | None]:
    error: BaseException | None = None
    try:
        yield context
        raise_pending()
    except BaseException as raised:  # noqa: BLE001 - recorded, then raised
        error = raised
    if error is None or not is_cancellation(error):
        try:
            while left := [future for future in tuple(run.pending.values()) if not future.done()]:
                for future in left:
                    future._wait(hears=True)
        except BaseException as raised:  # noqa: BLE001 - recorded, then raised
            error = raised
    if error is not None and is_cancellation(error):
        run.cancelled.set()
        settle(run)
    return _unseen_failure(run, None) if error is None else error
