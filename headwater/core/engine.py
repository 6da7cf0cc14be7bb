"""The engine: a task run as a generator of effects, and two drivers that carry them out, one sync and one async.

The generators decide and record; they never block and never call user code. What they need done they yield: `Invoke`,
`Sleep`, `Gather`, `Settle`, `Notify`. So there is one engine, and what differs between sync and async is in the drivers alone.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from headwater import clock
from headwater.core import recording, signals
from headwater.core.arguments import resolve
from headwater.core.context import _current
from headwater.core.decisions import Finish, after_error
from headwater.core.hooks import StateChange
from headwater.core.hooks import failed as hook_failed
from headwater.core.signals import interruptible, interruption
from headwater.core.states import State
from headwater.core.timeouts import overrun, within
from headwater.core.tracebacks import summary
from headwater.errors import Cancelled, TimeLimitExceeded

if TYPE_CHECKING:
    from contextvars import Token

    from headwater.core.context import Run, RunContext, TaskCall
    from headwater.core.futures import TaskFuture
    from headwater.core.hooks import Hook
    from headwater.core.task import Task

_log = logging.getLogger("headwater.run")

PATIENCE = 8.0
"""Seconds that a run that was asked to stop waits for threads that are still in user code (Docker kills after 10)."""
_POLL = 0.05


class Invoke:
    """Call a function, and await what it gives if that is a coroutine; the effect's value is what it returned.

    With a `timeout`, in seconds, a coroutine is cancelled when the time is up; of any other function it is only told.
    """

    __slots__ = ("args", "fn", "kwargs", "timeout")

    def __init__(
        self,
        fn: Callable[..., Any],
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> None:
        self.fn, self.args, self.kwargs, self.timeout = fn, args, kwargs or {}, timeout


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait for so many seconds, or until the run is asked to stop."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Gather:
    """Wait until futures have ended, however they did."""

    futures: tuple[TaskFuture[Any], ...]


@dataclass(frozen=True, slots=True)
class Settle:
    """Wait, but not for ever, until what still runs in a cancelled run has stopped. Never raises."""

    run: Run


@dataclass(frozen=True, slots=True)
class Notify:
    """Call hooks. Never raises what they raise."""

    hooks: tuple[Hook, ...]
    change: StateChange


@dataclass(frozen=True, slots=True)
class Item:
    """Hand an item of a generator to whoever reads it; the effect's value is what the reader sent."""

    value: Any


@dataclass(frozen=True, slots=True)
class Close:
    """Close a generator of the user's, also in a run that was asked to stop. Raises what its own code raises."""

    source: Any


@dataclass(frozen=True, slots=True)
class CloseStreams:
    """Close the generator tasks of a run that nobody has read to the end. Never raises."""

    run: Run


Effect: TypeAlias = Invoke | Sleep | Gather | Settle | Notify | Item | Close | CloseStreams
Steps: TypeAlias = Generator[Effect, Any, Any]


def run_task(task: Task[..., Any], call: TaskCall) -> Steps:
    """A task run from its upstream to its end: returns what the task returned, or raises what it raised."""
    run, hooks = call.context.run, task.options.hooks
    if run.cancelled.is_set():
        raise interruption(run)
    if call.upstream:
        yield from _resolve_arguments(task, call)
    token = _current.set(call.context)
    delay: float | None = None
    try:
        recording.task_started(call, task.options)
        while True:
            try:
                if delay is not None:
                    yield Sleep(delay)
                    recording.task_tries_again(call)
                call.tries += 1
                if hooks:
                    yield from _tell(task, call)
                value = yield from task.steps(call)
            except BaseException as error:
                delay = _after_error(task, call, error)
                if hooks and not isinstance(error, GeneratorExit):
                    yield from _tell(task, call, error)
                if delay is None:
                    raise
            else:
                recording.task_ended(call, State.COMPLETED)
                if hooks:
                    yield from _tell(task, call)
                return value
    finally:
        leave(token)


signals.hosts(run_task)


def _tell(task: Task[..., Any], call: TaskCall, error: BaseException | None = None) -> Steps:
    """Call the hooks of the state that a task run has come into."""
    hooks = task.options.hooks.get(call.state, ())
    if hooks:
        context = call.context
        yield Notify(
            hooks,
            StateChange(
                name=task.name,
                state=call.state,
                run_id=context.run_id,
                flow=context.flow,
                tries=call.tries,
                task_run_id=call.task_run_id,
                error=error,
            ),
        )


def _after_error(task: Task[..., Any], call: TaskCall, error: BaseException) -> float | None:
    """Record what follows a failed try: the delay before the next one, or None when there is none."""
    try:
        refused = isinstance(error, Exception) and task.refuses(error)
        timed_out = isinstance(error, TimeLimitExceeded) and error.of == call.task_run_id
        decision = after_error(
            task.options, call.tries, error, refused=refused, timed_out=timed_out, final=call.handed_out
        )
    except BaseException as second:
        # A condition or a delay of the user's own raised: that is how the task run ends.
        recording.task_ended(call, State.FAILED, second)
        raise
    if isinstance(decision, Finish):
        recording.task_ended(call, decision.state, error)
        return None
    if not call.context.run.may_retry():
        _log.warning("'%s' is not tried again: the retry budget of its flow is spent", task.name)
        recording.task_ended(call, State.FAILED, error)
        return None
    recording.task_waits(call, decision.delay, error)
    return decision.delay


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
            yield from _tell(task, call, error)
            upstream.future.result()
    call.args = tuple(resolve(value) for value in call.args)
    call.kwargs = {key: resolve(value) for key, value in call.kwargs.items()}
    call.upstream = ()


def leave(token: Token[RunContext | None]) -> None:
    """Go back to the context before."""
    try:
        _current.reset(token)
    except ValueError:
        # A coroutine that nobody awaited to its end is closed in another context: there is nothing to go back to.
        return


def drive_sync(steps: Steps, run: Run, sent: Any = None, thrown: BaseException | None = None) -> Any:
    """Carry out the effects of a generator in this thread; returns what it returns, or the next `Item` that it hands out.

    After an item it is called again, with what the reader sent or threw.
    """
    try:
        effect = steps.send(sent) if thrown is None else steps.throw(thrown)
        while True:
            try:
                if type(effect) is Invoke:
                    value = _invoke(effect, run)
                elif type(effect) is Item:
                    return effect
                else:
                    value = None
                    _perform(effect, run)
            except BaseException as error:  # noqa: BLE001 - the generator decides
                effect = steps.throw(error)
            else:
                # A value of the user's must not live in this frame while the next effect waits.
                sent, value = value, None
                effect = steps.send(sent)
                del sent
    except StopIteration as stop:
        return stop.value


@interruptible
def _invoke(effect: Invoke, run: Run) -> Any:
    if run.cancelled.is_set():
        raise interruption(run)
    if effect.timeout is None:
        value = effect.fn(*effect.args, **effect.kwargs)
    else:
        with overrun(effect.timeout):
            value = effect.fn(*effect.args, **effect.kwargs)
    if run.cancelled.is_set():
        raise interruption(run)
    return value


@interruptible
def _perform(effect: Effect, run: Run) -> None:
    if isinstance(effect, Sleep):
        if run.cancelled.is_set() or run.cancelled.wait(effect.seconds):
            raise interruption(run)
    elif isinstance(effect, Gather):
        for future in effect.futures:
            future._wait()
        if run.cancelled.is_set():
            raise interruption(run)
    elif isinstance(effect, Settle):
        settle(effect.run)
    elif isinstance(effect, Notify):
        _notify(effect)
    elif isinstance(effect, Close):
        effect.source.close()
    elif isinstance(effect, CloseStreams):
        _close_streams(effect.run)


@interruptible
def _notify(effect: Notify) -> None:
    for hook in effect.hooks:
        try:
            hook(effect.change)
        except Exception as error:  # noqa: BLE001 - whatever a hook raises, what it was told of stays as it is
            hook_failed(hook, effect.change, error)


@interruptible
def _close_streams(run: Run) -> None:
    for stream in reversed(list(run.streams.values())):
        # One that is being read right now, in a thread of the user's own, can't be closed: that thread ends it.
        with contextlib.suppress(Exception, Cancelled):
            stream.end()


def settle(run: Run) -> None:
    """Wait until what still runs in a cancelled run has stopped: so long, or until the next signal."""
    with signals.closing(run.root):
        for _ in range(int(PATIENCE / _POLL)):
            waiting_for = _unsettled(run)
            if not waiting_for or run.root.impatient:
                return
            if waiting_for[0] is None:
                threading.Event().wait(_POLL)
            else:
                waiting_for[0]._wait(_POLL)


def _unsettled(run: Run) -> list[TaskFuture[Any] | None]:
    """Futures that have not ended; at the root also task runs in threads of the user's own (None).

    A generator task that nobody reads on waits for its reader, not the other way round.
    """
    futures: list[TaskFuture[Any] | None] = [future for future in list(run.pending.values()) if not future.done()]
    if futures or run.parent is not None:
        return futures
    return [None] if any(not call.suspended for call in list(run.root.open_tasks.values())) else []


async def drive_async(steps: Steps, run: Run, sent: Any = None, thrown: BaseException | None = None) -> Any:
    """Carry out the effects of a generator in the running event loop; as `drive_sync`."""
    import inspect

    cancelled = run.cancelled
    try:
        effect = steps.send(sent) if thrown is None else steps.throw(thrown)
        while True:
            try:
                if type(effect) is Item:
                    return effect
                if cancelled.is_set() and not isinstance(effect, (Settle, Notify, Close, CloseStreams)):
                    raise interruption(run)
                if isinstance(effect, Invoke):
                    value = effect.fn(*effect.args, **effect.kwargs)
                    if inspect.iscoroutine(value):
                        value = await (value if effect.timeout is None else within(value, effect.timeout))
                    if cancelled.is_set():
                        raise interruption(run)
                else:
                    value = None
                    await _perform_async(effect)
            except BaseException as error:  # noqa: BLE001 - the generator decides
                effect = steps.throw(error)
            else:
                sent, value = value, None
                effect = steps.send(sent)
                del sent
    except StopIteration as stop:
        return stop.value


signals.hosts(drive_async)


async def drive_outermost(steps: Steps, run: Run, sent: Any = None, thrown: BaseException | None = None) -> Any:
    """Like `drive_async`, for an outermost run: a signal cancels the asyncio task that it runs in."""
    import asyncio

    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    run.root.interrupt = lambda: loop.call_soon_threadsafe(task.cancel)
    next_look: list[asyncio.TimerHandle] = []

    def look() -> None:
        # In slices, as every wait of the main thread (see `clock.in_slices`): of a signal that arrives right before it, the
        # loop's own wait would never hear.
        next_look[:] = [loop.call_later(clock.SLICE, look)]

    look()
    try:
        return await drive_async(steps, run, sent, thrown)
    finally:
        next_look[0].cancel()
        run.root.interrupt = None


async def _perform_async(effect: Effect) -> None:
    import asyncio

    if isinstance(effect, Sleep):
        await clock.sleep_async(effect.seconds)
    elif isinstance(effect, Gather):
        waiting_for = [asyncio.wrap_future(future._done) for future in effect.futures if not future.done()]
        if waiting_for:
            await asyncio.wait(waiting_for)
    elif isinstance(effect, Settle):
        await _settle_async(effect.run)
    elif isinstance(effect, Notify):
        await _notify_async(effect)
    elif isinstance(effect, Close):
        await (effect.source.aclose() if hasattr(effect.source, "aclose") else _closed(effect.source))
    elif isinstance(effect, CloseStreams):
        for stream in reversed(list(effect.run.streams.values())):
            with contextlib.suppress(Exception, Cancelled):
                await stream.end_async()


async def _closed(source: Any) -> None:
    source.close()


async def _notify_async(effect: Notify) -> None:
    import inspect

    for hook in effect.hooks:
        try:
            told = hook(effect.change)
            if inspect.isawaitable(told):
                await told
        except Exception as error:  # noqa: BLE001 - as in `_notify`
            hook_failed(hook, effect.change, error)


async def _settle_async(run: Run) -> None:
    import asyncio

    with signals.closing(run.root):
        with contextlib.suppress(asyncio.CancelledError):
            # A boundary may have seen the signal before the cancellation that it asked for arrived here.
            await asyncio.sleep(0)
        for _ in range(int(PATIENCE / _POLL)):
            waiting_for = _unsettled(run)
            if not waiting_for or run.root.impatient:
                return
            try:
                running = [asyncio.wrap_future(future._done) for future in waiting_for if future is not None]
                await (asyncio.wait(running, timeout=_POLL) if running else asyncio.sleep(_POLL))
            except asyncio.CancelledError:
                # Asked once more: whoever asks twice does not want to wait.
                run.root.impatient = True
