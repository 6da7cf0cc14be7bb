"""Generators as tasks and flows: their items are handed out as they come, and the run goes on while they are read.

Between two items the engine's steps stand still, and the reader's code runs in the reader's own context.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any

from headwater.core.context import Run, TaskCall, _current, _transaction, current_open
from headwater.core.drivers import drive_async, drive_outermost, drive_sync
from headwater.core.effects import Close, Invoke, Item, Steps
from headwater.core.signals import interruptible, interruption
from headwater.core.tracebacks import shown
from headwater.errors import Cancelled, UsageError

if TYPE_CHECKING:
    from headwater.core.context import RunContext
    from headwater.core.transactions import Transaction


class _ReaderLeft(BaseException):
    """The reader reads no more: nothing went wrong."""


def generated(
    holder: TaskCall | Run,
    run: Run,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    timeout: float | None,
) -> Steps:
    """Steps that hand out each item of a generator function; a list of them for a call that nobody reads one by one.

    Returns what the generator returned. A reader who stops early closes the generator, and all is well.
    """
    source = yield Invoke(fn, args, kwargs)
    ahead, throw = (_anext, _athrow) if hasattr(source, "__anext__") else (_next, _throw)
    items: list[Any] = []
    collects = isinstance(holder, TaskCall) and holder.collects
    step = Invoke(ahead, (source, None), timeout=timeout)
    try:
        while True:
            more, item = yield step
            if not more:
                return items if collects else item
            if collects:
                items.append(item)
                step = Invoke(ahead, (source, None), timeout=timeout)
                continue
            holder.handed_out = holder.suspended = True
            try:
                sent = yield Item(item)
            except _ReaderLeft:
                break
            except BaseException as error:  # noqa: BLE001 - the generator of the user's is told of it
                step = Invoke(throw, (source, error), timeout=timeout)
            else:
                step = Invoke(ahead, (source, sent), timeout=timeout)
            finally:
                holder.suspended = False
                del item
    except GeneratorExit:
        raise
    except BaseException:
        # One that raised itself is closed already. In a run that was asked to stop it has not heard of that.
        yield Close(source)
        raise
    yield Close(source)
    if run.cancelled.is_set():
        raise interruption(run)
    return None


@interruptible
def _next(source: Generator[Any, Any, Any], sent: Any) -> tuple[bool, Any]:
    try:
        return True, next(source) if sent is None else source.send(sent)
    except StopIteration as stop:
        return False, stop.value


@interruptible
def _throw(source: Generator[Any, Any, Any], error: BaseException) -> tuple[bool, Any]:
    try:
        return True, source.throw(error)
    except StopIteration as stop:
        return False, stop.value


@interruptible
async def _anext(source: AsyncGenerator[Any, Any], sent: Any) -> tuple[bool, Any]:
    try:
        return True, await source.asend(sent)
    except StopAsyncIteration:
        return False, None


@interruptible
async def _athrow(source: AsyncGenerator[Any, Any], error: BaseException) -> tuple[bool, Any]:
    try:
        return True, await source.athrow(error)
    except StopAsyncIteration:
        return False, None


class Stream:
    """The steps of a generator that is being read, and where they stand."""

    __slots__ = ("_holder", "_inner", "_outermost", "_over", "_run", "_steps")

    def __init__(self, steps: Steps, run: Run, holder: TaskCall | Run) -> None:
        self._steps, self._run, self._holder = steps, run, holder
        self._inner: tuple[RunContext | None, Transaction | None] = current_open(), _transaction.get()
        """The context in which the steps go on."""
        self._outermost = self._inner[0] is None
        self._over = False

    def reader(self, is_async: bool) -> Generator[Any, Any, Any] | AsyncGenerator[Any, Any]:
        """The generator that the caller reads."""
        return self._read_async() if is_async else self._read()

    def _read(self) -> Generator[Any, Any, Any]:
        sent: Any = None
        thrown: BaseException | None = None
        while True:
            found = self._advance(sent, thrown)
            if type(found) is not Item:
                return found
            sent = thrown = None
            try:
                sent = yield found.value
            except GeneratorExit:
                # That the run was asked to stop is heard at its next boundary; a reader who has left hears nothing.
                with contextlib.suppress(Cancelled):
                    self.end()
                return None
            except BaseException as error:
                if self._over:
                    raise  # it was closed with its run: whoever throws now (an event loop that ends does) gets that back
                thrown = error
            finally:
                del found

    async def _read_async(self) -> AsyncGenerator[Any, Any]:
        sent: Any = None
        thrown: BaseException | None = None
        while True:
            found = await self._advance_async(sent, thrown)
            if type(found) is not Item:
                return
            sent = thrown = None
            try:
                sent = yield found.value
            except GeneratorExit:
                with contextlib.suppress(Cancelled):
                    await self.end_async()
                return
            except BaseException as error:
                if self._over:
                    raise  # it was closed with its run: whoever throws now (an event loop that ends does) gets that back
                thrown = error
            finally:
                del found

    def _advance(self, sent: Any, thrown: BaseException | None) -> Any:
        outer = self._enter()
        try:
            return self._advanced(drive_sync(self._steps, self._run, sent, thrown))
        except BaseException as error:
            self._leave_run()
            error.with_traceback(shown(error))
            raise
        finally:
            self._exit(outer)

    async def _advance_async(self, sent: Any, thrown: BaseException | None) -> Any:
        outer = self._enter()
        drive = drive_outermost if self._outermost else drive_async
        try:
            return self._advanced(await drive(self._steps, self._run, sent, thrown))
        except BaseException as error:
            self._leave_run()
            error.with_traceback(shown(error))
            raise
        finally:
            self._exit(outer)

    def _enter(self) -> tuple[RunContext | None, Transaction | None]:
        if self._over:
            name = self._run.flow if isinstance(self._holder, Run) else self._holder.context.task
            raise UsageError(
                f"'{name}' can't be read any more: the run that it belongs to has ended",
                hint="read its items, or make a list of them, while the flow runs",
            )
        outer = _current.get(), _transaction.get()
        _current.set(self._inner[0])
        _transaction.set(self._inner[1])
        return outer

    def _advanced(self, found: Any) -> Any:
        if type(found) is Item:
            self._registered[id(self)] = self
        else:
            self._leave_run()
        return found

    @property
    def _registered(self) -> dict[int, Stream]:
        # A flow's items are read by whoever called it: its own run ends with it, and the outer one closes it.
        run = self._run
        if isinstance(self._holder, Run) and run.parent is not None:
            return run.parent.run.streams
        return {} if self._outermost else run.streams

    def _leave_run(self) -> None:
        self._registered.pop(id(self), None)

    def _exit(self, outer: tuple[RunContext | None, Transaction | None]) -> None:
        self._inner = _current.get(), _transaction.get()
        _current.set(outer[0])
        _transaction.set(outer[1])

    def end(self) -> None:
        """Close what has not been read to the end. Raises what the generator's own code raises."""
        if self._over:
            return
        try:
            self._advance(None, _ReaderLeft())
        finally:
            self._over = True

    async def end_async(self) -> None:
        """As `end`, in the event loop."""
        if self._over:
            return
        try:
            await self._advance_async(None, _ReaderLeft())
        finally:
            self._over = True
