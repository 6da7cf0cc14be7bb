"""Futures: the results of submitted tasks, before they are there."""

from __future__ import annotations

import concurrent.futures
import logging
import queue
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar, overload

from headwater import clock
from headwater.core.arguments import FutureLike
from headwater.core.context import current, running_loop
from headwater.core.decisions import is_cancellation
from headwater.core.runners import waiting
from headwater.core.signals import interruptible, interruption, raise_pending, raise_unheard
from headwater.core.states import State
from headwater.core.tracebacks import shown
from headwater.errors import Cancelled, UsageError
from headwater.forks import free_in_child

if TYPE_CHECKING:
    import asyncio
    from asyncio import AbstractEventLoop

    from headwater.core.context import Run, TaskCall

_log = logging.getLogger(__name__)

R = TypeVar("R")

_lock = free_in_child(threading.RLock())
"""Held while a future ends, or gets somebody who waits for it."""


class TaskFuture(FutureLike, Generic[R]):
    """The result of a submitted task. `future.result()` waits for it; in async code, `await future`.

    >>> from headwater import flow, task
    >>> from headwater.testing import project
    >>> with project():
    ...     @task
    ...     def double(x):
    ...         return 2 * x
    ...     @flow
    ...     def main():
    ...         future = double.submit(21)
    ...         return future.result(), future.state.value
    ...     main()
    (42, 'Completed')
    """

    __slots__ = (
        "__weakref__",
        "_call",
        "_ended",
        "_error",
        "_trace",
        "_value",
        "_waited_for",
        "looked_at",
        "loop",
        "task",
    )

    def __init__(self, call: TaskCall, task: str, loop: AbstractEventLoop | None = None) -> None:
        self.task = task
        """The task's name."""
        self.loop = loop
        """The event loop that it runs in, if it does not run in a thread."""
        self.looked_at = False
        """Whether somebody asked how it ended: an error that nobody looked at fails the flow."""
        self._call = call
        self._ended = False
        self._waited_for: concurrent.futures.Future[None] | None = None
        self._value: Any = None
        self._error: BaseException | None = None
        self._trace: TracebackType | None = None

    @property
    def _done(self) -> concurrent.futures.Future[None]:
        """What others wait for; made when somebody does: it is as large as all the rest of a future."""
        if self._waited_for is None:
            with _lock:
                if self._waited_for is None:
                    made: concurrent.futures.Future[None] = concurrent.futures.Future()
                    # Running, from the standard library's view: cancelling an `await` of it must not cancel the task.
                    made.set_running_or_notify_cancel()
                    if self._ended:
                        made.set_result(None)
                    self._waited_for = made
        return self._waited_for

    def __repr__(self) -> str:
        return f"<TaskFuture {self.task} {self._call.state.value} {self.task_run_id}>"

    @property
    def task_run_id(self) -> str:
        """The id of its task run."""
        return self._call.task_run_id

    @property
    def annotations(self) -> dict[str, Any]:
        """Notes of other layers on the call."""
        return self._call.annotations

    @property
    def state(self) -> State:
        """Where the task run stands now, without waiting."""
        if self._ended:
            self.looked_at = True
        return self._call.state

    @property
    def error(self) -> BaseException | None:
        """What it raised, once it is done; looking here doesn't count as having looked."""
        return self._error

    def done(self) -> bool:
        """Whether it has ended, without waiting."""
        return self._ended

    @interruptible
    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended, at most so many seconds; says whether it has."""
        self.looked_at = True
        return self._wait(clock.patience(timeout), hears=True)

    @interruptible
    def _wait(self, timeout: float | None = None, *, hears: bool = False) -> bool:
        """Wait; who `hears` that the run is asked to stop is told so, in whatever thread."""
        if self._ended:
            # With the very signal, perhaps, that this thread has not heard of yet.
            raise_unheard(self._call.context.run.root)
            return True
        self._refuse_to_block()
        with waiting():
            raise_pending()
            # In the main thread signals raise, as this does elsewhere.
            deaf = not hears or threading.current_thread() is threading.main_thread()
            return clock.in_slices(self._ended_within if deaf else self._ended_or_stopped, timeout)

    @interruptible
    def _ended_or_stopped(self, seconds: float | None) -> bool:
        run = _run_of(self)
        concurrent.futures.wait((self._done, run.cancelled.asked), seconds, concurrent.futures.FIRST_COMPLETED)
        if not self._ended and run.cancelled.is_set():
            raise interruption(run)
        return self._ended

    @interruptible
    def _ended_within(self, seconds: float | None) -> bool:
        try:
            self._done.result(seconds)
        except TimeoutError:
            return False
        return True

    @overload
    def result(self, timeout: float | None = None, raise_on_failure: Literal[True] = True) -> R: ...

    @overload
    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R | BaseException: ...

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R | BaseException:
        """What the task returned; waits for it, at most so many seconds (then raises TimeoutError).

        Raises what the task raised, with the task's own traceback; with `raise_on_failure=False` the error is returned.
        """
        if not self.wait(timeout):
            raise TimeoutError(f"the task '{self.task}' has not ended within {timeout} s")
        if self._error is None:
            value: R = self._value
            return value
        if not raise_on_failure:
            return self._error
        # The same error may be raised many times: each time from the task's own frames on, not from the last time's.
        raise self._error.with_traceback(self._trace)

    def __await__(self) -> Generator[Any, None, R]:
        self.looked_at = True
        if not self._ended:
            import asyncio

            with waiting():
                yield from asyncio.wrap_future(self._done).__await__()
        return self.result()

    def add_done_callback(self, callback: Callable[[TaskFuture[R]], object]) -> None:
        """Call this when it has ended (in the thread that it ended in), or now if it has."""
        self._done.add_done_callback(lambda _: callback(self))

    def succeed(self, value: R) -> None:
        """The engine says: it returned this."""
        self._value, self._error = value, None
        self._call.release()
        self._call.context.run.pending.pop(self.task_run_id, None)
        self._end()

    def fail(self, error: BaseException) -> None:
        """The engine says: it raised this."""
        cancelled = is_cancellation(error)
        if cancelled and not isinstance(error, Cancelled):
            # An `await` that raised asyncio's own CancelledError would look as if the one who awaits was cancelled.
            error = Cancelled(f"the task '{self.task}' was cancelled")
        if self._call.state in (State.PENDING, State.RUNNING, State.AWAITING_RETRY, State.AWAITING_SLOT):
            self._call.state = State.CANCELLED if cancelled else State.FAILED
        self._call.release()
        self._error, self._trace = error, shown(error)
        self._end()

    def _end(self) -> None:
        with _lock:
            before, self._ended = self._ended, True
            waited_for = self._waited_for
        if before:
            _log.warning(
                "a forked child left the task '%s', which only its parent ends: end it with os._exit(0)",
                self.task,
                exc_info=self._error,
            )
        elif waited_for is not None:
            waited_for.set_result(None)

    def forget(self) -> None:
        """In a forked child: the task ends in the parent, and nobody here would ever hear of it."""
        self._ended, self._waited_for = False, None
        error = f"the task '{self.task}' runs in the process that this one was forked from"
        self.fail(self._error or UsageError(error, hint="wait for it there, or call the task here"))

    def _refuse_to_block(self) -> None:
        if self.loop is not None and running_loop() is self.loop:
            raise UsageError(
                f"waiting for the async task '{self.task}' here would block the event loop that it runs in",
                hint="await the future, or use `async for future in as_completed(…)`",
            )


class Futures(list[TaskFuture[R]]):
    """The futures of a map."""

    def result(self, timeout: float | None = None) -> list[R]:
        """What they returned, in order. Raises the first one's error, or TimeoutError after so many seconds for one of them.

        The calls behind that one then count as not looked at: an error of theirs still fails the flow.
        """
        return [future.result(timeout) for future in self]

    def __await__(self) -> Generator[Any, None, list[R]]:
        """What they returned, in order, in async code, where `result()` would block the loop. Raises the first one's error."""
        return self._awaited().__await__()

    async def _awaited(self) -> list[R]:
        return [await future for future in self]

    def wait(self, timeout: float | None = None) -> None:
        """Wait until all have ended, at most so many seconds for each."""
        for future in self:
            future.wait(timeout)


class ResultsAhead(Generic[R]):
    """The results of calls in their order, `for` or `async for`, with only so many calls begun that nobody has read."""

    def __init__(self, calls: Iterator[TaskFuture[R]], ahead: int) -> None:
        if not isinstance(ahead, int) or ahead < 1:
            raise UsageError(f"ahead is a number from 1, got {ahead!r}", hint="write ahead=100")
        self._calls, self._ahead = calls, ahead

    def __iter__(self) -> Iterator[R]:
        for future in self._futures():
            yield future.result()

    async def __aiter__(self) -> AsyncIterator[R]:
        for future in self._futures():
            yield await future

    def _futures(self) -> Iterator[TaskFuture[R]]:
        begun: deque[TaskFuture[R]] = deque()
        for future in self._calls:
            begun.append(future)
            if len(begun) == self._ahead:
                yield begun.popleft()
            del future
        while begun:
            yield begun.popleft()


class Waited(NamedTuple, Generic[R]):
    """Which futures have ended, and which have not."""

    done: set[TaskFuture[R]]
    not_done: set[TaskFuture[R]]


def _several(name: str, futures: Iterable[TaskFuture[R]] | TaskFuture[R]) -> list[TaskFuture[R]]:
    """The futures that a function is given, or one alone. Raises UsageError for anything else."""
    found: list[Any] = list(futures) if isinstance(futures, Iterable) else [futures]
    for one in found:
        if not isinstance(one, TaskFuture):
            hint = f"write {name}([future]), with what .submit(…) gave"
            raise UsageError(f"{name} takes futures, got {type(one).__name__}", hint=hint)
    return found


@interruptible
def wait(futures: Iterable[TaskFuture[R]] | TaskFuture[R], timeout: float | None = None) -> Waited[R]:
    """Wait until all have ended, or one alone, at most so many seconds together; failures don't raise.

    Raises UsageError for what is no future, and for a timeout that is no number.

    >>> wait([])
    Waited(done=set(), not_done=set())
    """
    futures, until = _several("wait", futures), clock.deadline(clock.patience(timeout))
    for future in futures:
        future.wait(clock.left(until))
    done = {future for future in futures if future.done()}
    return Waited(done, set(futures) - done)


def _run_of(future: TaskFuture[Any]) -> Run:
    """The run that waits for a future: in a thread of the user's own it is that of the future."""
    context = current()
    return (future._call.context if context is None else context).run


@interruptible
def _take(
    ended: queue.SimpleQueue[TaskFuture[R] | None], found: list[TaskFuture[R] | None], seconds: float | None
) -> bool:
    try:
        found.append(ended.get(timeout=seconds))
    except queue.Empty:
        return False
    return True


class as_completed(Generic[R]):
    """Futures as they end, `for` or `async for`. Raises TimeoutError when not all have ended after so many seconds.

    >>> list(as_completed([]))
    []
    """

    def __init__(self, futures: Iterable[TaskFuture[R]] | TaskFuture[R], timeout: float | None = None) -> None:
        self._futures = list(dict.fromkeys(_several("as_completed", futures)))
        self._timeout = clock.patience(timeout)

    @interruptible
    def __iter__(self) -> Iterator[TaskFuture[R]]:
        for future in self._futures:
            if not future.done():
                future._refuse_to_block()
        ended: queue.SimpleQueue[TaskFuture[R] | None] = queue.SimpleQueue()
        for future in self._futures:
            future.add_done_callback(ended.put)
        until = clock.deadline(self._timeout)
        for _ in self._futures:
            future = self._next_ended(ended, until)
            future.looked_at = True
            yield future

    @interruptible
    def _next_ended(self, ended: queue.SimpleQueue[TaskFuture[R] | None], until: int | None) -> TaskFuture[R]:
        run, found = _run_of(self._futures[0]), list[TaskFuture[R] | None]()
        run.cancelled.subscribe(found, partial(ended.put, None))
        try:
            with waiting():
                raise_pending()
                clock.in_slices(partial(_take, ended, found), clock.left(until))
        finally:
            run.cancelled.unsubscribe(found)
        if not found:
            raise self._too_late()
        if found[0] is None:
            raise interruption(run)
        return found[0]

    async def __aiter__(self) -> AsyncIterator[TaskFuture[R]]:
        import asyncio

        loop = asyncio.get_running_loop()
        ended: asyncio.Queue[TaskFuture[R]] = asyncio.Queue()
        for future in self._futures:
            future.add_done_callback(lambda one: loop.call_soon_threadsafe(ended.put_nowait, one))
        until = None if self._timeout is None else loop.time() + self._timeout
        await asyncio.sleep(0)  # those that have ended already are there from now on
        for _ in self._futures:
            future = await self._next(ended, until)
            future.looked_at = True
            yield future

    async def _next(self, ended: asyncio.Queue[TaskFuture[R]], until: float | None) -> TaskFuture[R]:
        import asyncio

        if not ended.empty():
            return ended.get_nowait()
        try:
            # Around the wait alone: a time that is up while the reader is at work would cancel the reader.
            async with asyncio.timeout_at(until):
                with waiting():
                    return await ended.get()
        except TimeoutError:
            raise self._too_late() from None

    def _too_late(self) -> TimeoutError:
        return TimeoutError(f"not all tasks have ended within {self._timeout} s")
