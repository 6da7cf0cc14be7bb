"""The drivers: they carry out what the engine's generators yield, one in a thread, one in an event loop."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Sequence
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from headwater import clock
from headwater.core import signals
from headwater.core.context import current, running_loop
from headwater.core.effects import (
    Close,
    CloseStreams,
    Effect,
    Ensure,
    Gather,
    Invoke,
    Item,
    Notify,
    Settle,
    Sleep,
    Steps,
)
from headwater.core.hooks import failed as hook_failed
from headwater.core.runners import waiting
from headwater.core.signals import interruptible, interruption
from headwater.core.timeouts import overrun, within
from headwater.core.tracebacks import as_raised
from headwater.errors import Cancelled, ReturnTypeError, UsageError

if TYPE_CHECKING:
    from headwater.core.context import Run
    from headwater.core.futures import TaskFuture

PATIENCE = 8.0
"""Seconds that a run that was asked to stop waits for threads that are still in user code (Docker kills after 10)."""
_MARGIN_US = 1_000_000
"""So much earlier what is within a run gives up than the run itself, to end what it had begun."""
_POLL_US = 50_000


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
                    value = _perform(effect, run)
            except BaseException as error:  # noqa: BLE001 - the generator decides
                effect = steps.throw(error)
            else:
                # A value of the user's must not live in this frame while the next effect waits.
                sent, value = value, None
                effect = steps.send(sent)
                del sent
    except StopIteration as stop:
        return stop.value
    except RuntimeError as error:
        raised = as_raised(error)
        if raised is error:
            raise
    try:
        raise raised
    finally:
        del raised


@interruptible
def _invoke(effect: Invoke, run: Run) -> Any:
    if run.cancelled.is_set():
        raise interruption(run)
    if effect.timeout is None:
        value = effect.fn(*effect.args, **effect.kwargs)
    else:
        with overrun(effect.timeout):
            value = effect.fn(*effect.args, **effect.kwargs)
    if type(value) is CoroutineType:
        raise _never_awaited(value)
    if run.cancelled.is_set():
        raise interruption(run)
    return value


def _never_awaited(value: CoroutineType[Any, Any, Any]) -> ReturnTypeError:
    """The error for what returned a coroutine: it would have ended before that began, whoever awaited it then."""
    value.close()
    context, name = current(), value.__qualname__.rpartition(".")[2]
    what = "a function" if context is None else f"'{context.task or context.flow}'"
    return ReturnTypeError(
        f"{what} returned a coroutine of '{name}' that it has not awaited",
        hint=f"make it async def, and write: return await {name}(…)",
    )


@interruptible
def _perform(effect: Effect, run: Run) -> BaseException | None:
    if isinstance(effect, Sleep):
        if run.cancelled.is_set() or run.cancelled.wait(effect.seconds):
            raise interruption(run)
    elif isinstance(effect, Gather):
        for future in effect.futures:
            future._wait(hears=True)
        if run.cancelled.is_set():
            raise interruption(run)
    elif isinstance(effect, Settle):
        settle(effect.run, effect.among)
    elif isinstance(effect, Ensure):
        return _ensure(effect)
    elif isinstance(effect, Notify):
        _notify(effect)
    elif isinstance(effect, Close):
        effect.source.close()
    elif isinstance(effect, CloseStreams):
        _close_streams(effect.run)
    return None


@interruptible
def _ensure(effect: Ensure) -> BaseException | None:
    import inspect

    try:
        found = effect.fn(*effect.args)
        if inspect.iscoroutine(found):
            import asyncio

            if running_loop() is not None:
                found.close()
                raise UsageError("an async function can't be awaited here", hint="write it with def, or async with")
            asyncio.run(found)
    except BaseException as error:  # noqa: BLE001 - the generator decides
        return error
    return None


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


def settle(run: Run, among: Sequence[TaskFuture[Any]] | None = None) -> None:
    """Wait until what still runs in a cancelled run has stopped: so long, or until the next signal."""
    until = _gives_up_at(run, among)
    with signals.closing(run.root):
        while waiting_for := _unsettled(run, among):
            left = min(until - clock.machine_us(), _POLL_US) / 1_000_000
            if left <= 0 or run.root.impatient:
                return
            if waiting_for[0] is None:
                threading.Event().wait(left)
            else:
                waiting_for[0]._wait(left)


def _gives_up_at(run: Run, among: Sequence[TaskFuture[Any]] | None) -> int:
    """Until when it is waited for, on the machine's clock: a run that was asked to stop has so long with all that it is in.

    Each subflow and each transaction in it waits for its own, and gives up a little earlier: what it does then counts, too.
    """
    ends = clock.machine_us() + int(PATIENCE * 1_000_000)
    if not run.cancelled.is_set():
        return ends
    outermost = run
    while outermost.parent is not None and outermost.parent.run.cancelled.is_set():
        outermost = outermost.parent.run
    if outermost.gives_up_at is None:
        outermost.gives_up_at = ends
    is_all = outermost is run and among is None
    return outermost.gives_up_at - (0 if is_all else _MARGIN_US)


def _unsettled(run: Run, among: Sequence[TaskFuture[Any]] | None) -> list[TaskFuture[Any] | None]:
    """Futures that have not ended; at the root also task runs in threads of the user's own (None).

    A generator task that nobody reads on waits for its reader, not the other way round.
    """
    pending = list(run.pending.values()) if among is None else among
    futures: list[TaskFuture[Any] | None] = [future for future in pending if not future.done()]
    if futures or run.parent is not None or among is not None:
        return futures
    return [None] if any(call.goes_on for call in list(run.root.open_tasks.values())) else []


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
                if cancelled.is_set() and not isinstance(effect, (Settle, Ensure, Notify, Close, CloseStreams)):
                    raise interruption(run)
                if isinstance(effect, Invoke):
                    value = effect.fn(*effect.args, **effect.kwargs)
                    if inspect.iscoroutine(value):
                        value = await (value if effect.timeout is None else within(value, effect.timeout))
                        if type(value) is CoroutineType:
                            raise _never_awaited(value)
                    if cancelled.is_set():
                        raise interruption(run)
                else:
                    value = await _perform_async(effect)
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

    loop, current = asyncio.get_running_loop(), asyncio.current_task()
    assert current is not None
    # Weakly: an event loop may be closed with this in it. What nobody waits for any more is then let go, and ends the run.
    found = weakref.ref(current)

    def interrupt() -> None:
        task = found()
        if task is not None:
            loop.call_soon_threadsafe(task.cancel)

    run.root.interrupt, run.root.loop = interrupt, loop
    next_look: list[asyncio.TimerHandle] = []

    def look(task: asyncio.Task[Any]) -> None:
        # In slices, as every wait of the main thread (see `clock.in_slices`): of a signal that arrives right before it, the
        # loop's own wait would never hear. For as long as the loop is open, this also keeps the task, as nothing else need.
        next_look[:] = [loop.call_later(clock.SLICE, look, task)]

    look(current)
    del current
    try:
        return await drive_async(steps, run, sent, thrown)
    finally:
        next_look[0].cancel()
        run.root.interrupt = run.root.loop = None


async def _perform_async(effect: Effect) -> BaseException | None:
    import asyncio

    if isinstance(effect, Sleep):
        await clock.sleep_async(effect.seconds)
    elif isinstance(effect, Gather):
        waiting_for = [asyncio.wrap_future(future._done) for future in effect.futures if not future.done()]
        if waiting_for:
            with waiting():
                await asyncio.wait(waiting_for)
    elif isinstance(effect, Settle):
        await _settle_async(effect.run, effect.among)
    elif isinstance(effect, Ensure):
        return await _ensure_async(effect)
    elif isinstance(effect, Notify):
        await _notify_async(effect)
    elif isinstance(effect, Close):
        await (effect.source.aclose() if hasattr(effect.source, "aclose") else _closed(effect.source))
    elif isinstance(effect, CloseStreams):
        for stream in reversed(list(effect.run.streams.values())):
            with contextlib.suppress(Exception, Cancelled):
                await stream.end_async()
    return None


async def _ensure_async(effect: Ensure) -> BaseException | None:
    import inspect

    try:
        found = effect.fn(*effect.args)
        if inspect.isawaitable(found):
            await found
    except GeneratorExit:
        raise
    except BaseException as error:  # noqa: BLE001 - the generator decides
        return error
    return None


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


async def _settle_async(run: Run, among: Sequence[TaskFuture[Any]] | None) -> None:
    import asyncio

    until = _gives_up_at(run, among)
    with signals.closing(run.root):
        with contextlib.suppress(asyncio.CancelledError):
            # A boundary may have seen the signal before the cancellation that it asked for arrived here.
            await asyncio.sleep(0)
        while waiting_for := _unsettled(run, among):
            left = min(until - clock.machine_us(), _POLL_US) / 1_000_000
            if left <= 0 or run.root.impatient:
                return
            try:
                running = [asyncio.wrap_future(future._done) for future in waiting_for if future is not None]
                await (asyncio.wait(running, timeout=left) if running else asyncio.sleep(left))
            except asyncio.CancelledError:
                # Asked once more: whoever asks twice does not want to wait.
                run.root.impatient = True
