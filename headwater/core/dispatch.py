"""Submitting: a task run starts in a thread, or in the event loop of async code, once its upstream has ended."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from headwater import ids
from headwater.core.arguments import WaitFor, find, waited_for
from headwater.core.context import Run, RunContext, TaskCall, current_open, running_loop
from headwater.core.drivers import drive_async, drive_sync
from headwater.core.effects import Steps
from headwater.core.engine import run_task
from headwater.core.futures import TaskFuture
from headwater.core.runners.runner import session_of
from headwater.core.runs import new_run, run_alone
from headwater.errors import Cancelled

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from headwater.core.runners.remote import Place
    from headwater.core.task import Task


def new_call(
    task: Task[..., Any],
    context: RunContext,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    wait_for: WaitFor = (),
) -> TaskCall:
    """A call of a task within a run."""
    if wait_for:
        wait_for = waited_for(wait_for)
    upstream = find(args, kwargs, wait_for)
    waits = tuple(found.future for found in find((), {}, wait_for)) if wait_for else ()
    call = TaskCall(
        context.run,
        ids.new_id(),
        task.name,
        args,
        kwargs,
        outer=context.task_run_id,
        wait_for=waits,
        upstream=upstream,
        is_async=task.is_async,
    )
    call.context.scope = context.scope
    return call


def alone(
    task: Task[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], wait_for: WaitFor = ()
) -> tuple[Run, TaskCall]:
    """A call of a task outside any flow, and the run of its own that it is."""
    run = new_run(task.name, task.task_type, source=task.source, is_async=task.is_async)
    return run, new_call(task, RunContext(run), args, kwargs, wait_for)


def submit(
    task: Task[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], wait_for: WaitFor = ()
) -> TaskFuture[Any]:
    """Start a task run when its upstream has ended; returns its future at once."""
    context = current_open()
    if context is None:
        run, call = alone(task, args, kwargs, wait_for)
        loop = running_loop() if task.is_async else None
        future: TaskFuture[Any] = TaskFuture(call, task.name, loop)
        job = _Job(run, run_alone(task, run, call), future, task.is_async)
        start: Callable[[], object] = job.in_loop if loop is not None else job.in_new_thread
    else:
        run, call = context.run, new_call(task, context, args, kwargs, wait_for)
        call.place = place = _place_of(task, call)
        loop = running_loop() if task.is_async and context.is_async and place is None else None
        future = TaskFuture(call, task.name, loop)
        run.pending[call.task_run_id] = future
        if call.transaction is not None:
            call.transaction.wait_for(future)
        # What runs elsewhere is only waited for here: only an async hook needs a loop for that.
        job = _Job(run, run_task(task, call), future, task.is_async and (place is None or bool(task.options.hooks)))
        start = job.in_loop if loop is not None else job.in_runner
        if task.is_limited and loop is None:
            from headwater.core.lobby import through

            start = through(task, run, future, start)
    call.collects = task.generates
    _after([found.future for found in call.upstream if not found.future.done()], start)
    return future


def _place_of(task: Task[..., Any], call: TaskCall) -> Place | None:
    """Where the tries of a submitted task happen, if not in this process."""
    run = call.context.run
    if run.cancelled.is_set():
        return None
    place = session_of(run).place
    # A transaction is committed where it was opened: what belongs to it stays there.
    return place if place is not None and call.transaction is None and place.takes(task) else None


def _after(futures: list[TaskFuture[Any]], start: Callable[[], object]) -> None:
    """Call `start` when all futures have ended: until then a task takes up no thread."""
    if not futures:
        start()
        return
    left = len(futures)
    lock = threading.Lock()
    # A future keeps its callbacks: what they start must not live as long as its upstream does.
    waiting = [start]

    def one_ended(_: object) -> None:
        nonlocal left
        with lock:
            left -= 1
            last = left == 0
        if last:
            waiting.pop()()

    for future in futures:
        future._done.add_done_callback(one_ended)


class _Job:
    """A submitted task run on its way to where it runs."""

    __slots__ = ("_context", "_future", "_is_async", "_run", "_steps", "_task")

    def __init__(self, run: Run, steps: Steps, future: TaskFuture[Any], is_async: bool) -> None:
        self._run, self._steps, self._future, self._is_async = run, steps, future, is_async
        self._context = contextvars.copy_context()
        self._task: Any = None

    def in_runner(self) -> None:
        """Run where the runner of its run lets it."""
        if self._run.cancelled.is_set():
            # Its threads may be gone already.
            self._future.fail(Cancelled("the run was asked to stop"))
            return
        try:
            session_of(self._run).submit(self._in_thread)
        except Exception as error:  # noqa: BLE001 - a runner may be anybody's
            # Nobody else would ever say so: it may have waited for others until now.
            self._future.fail(error)

    def in_new_thread(self) -> None:
        """Run in a thread that outlives the caller: nobody else waits for a task outside any flow."""
        threading.Thread(target=self._in_thread, name=f"headwater-{self._future.task}").start()

    def in_loop(self) -> None:
        """Run in the event loop of the future."""
        loop = self._future.loop
        assert loop is not None
        if running_loop() is loop:
            self._create_task()
            return
        try:
            loop.call_soon_threadsafe(self._create_task)
        except RuntimeError as error:
            self._future.fail(Cancelled(f"its event loop has ended: {error}"))

    def _in_thread(self) -> None:
        self._context.run(self._settle_future)

    def _settle_future(self) -> None:
        try:
            value = run_coroutine(self._steps, self._run) if self._is_async else drive_sync(self._steps, self._run)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the future raises it where somebody waits
            self._future.fail(error)
        else:
            self._future.succeed(value)

    def _create_task(self) -> None:
        loop = self._future.loop
        assert loop is not None
        self._task = loop.create_task(_stoppable(self._steps, self._run), context=self._context)
        self._task.add_done_callback(self._task_done)

    def _task_done(self, task: Any) -> None:
        if task.cancelled():
            self._future.fail(Cancelled(f"the task '{self._future.task}' was cancelled"))
        elif (error := task.exception()) is not None:
            self._future.fail(error)
        else:
            self._future.succeed(task.result())


def run_coroutine(steps: Steps, run: Run) -> Any:
    """Carry out the effects of a generator in an event loop of its own, in this thread; returns what it returns."""
    import asyncio

    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        return runner.run(_with_children(loop, steps, run), context=contextvars.copy_context())


async def _with_children(loop: AbstractEventLoop, steps: Steps, run: Run) -> Any:
    import asyncio

    try:
        return await _stoppable(steps, run)
    finally:
        # What it submitted, and what that submitted, lives in this loop, which ends with it.
        while children := [one for one in list(run.pending.values()) if one.loop is loop and not one.done()]:
            await asyncio.wait([asyncio.wrap_future(one._done) for one in children])


async def _stoppable(steps: Steps, run: Run) -> Any:
    """Each `await` of a coroutine is a boundary: when the run is asked to stop, it is cancelled there."""
    import asyncio

    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    run.cancelled.subscribe(task, lambda: _cancel(loop, task))
    try:
        return await drive_async(steps, run)
    finally:
        run.cancelled.unsubscribe(task)


def _cancel(loop: AbstractEventLoop, task: Any) -> None:
    try:
        loop.call_soon_threadsafe(task.cancel)
    except RuntimeError:
        # The loop has closed in the meantime: the task has ended with it.
        return
