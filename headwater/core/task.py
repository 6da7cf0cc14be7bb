"""`@task`: a function whose calls are recorded, retried and run side by side."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, ParamSpec, TypeVar, cast, overload

from headwater.core.arguments import WaitFor, spread, spread_lazily, waited_for
from headwater.core.call_records import keep_result, note_call, restore_result
from headwater.core.context import Run, TaskCall, current_open
from headwater.core.definition import Definition
from headwater.core.dispatch import alone, new_call, submit
from headwater.core.drivers import drive_async, drive_outermost, drive_sync
from headwater.core.effects import Invoke
from headwater.core.engine import run_task
from headwater.core.futures import Futures, ResultsAhead, TaskFuture
from headwater.core.options import OptionValues, TaskOptions
from headwater.core.runs import run_alone
from headwater.core.signals import raise_pending
from headwater.core.tracebacks import shown
from headwater.errors import RefusedError

if TYPE_CHECKING:
    from typing import Self, Unpack

    from headwater.core.effects import Steps
    from headwater.core.hooks import TransactionHook
    from headwater.core.results import KeptResult

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")
H = TypeVar("H", bound="TransactionHook")


class Task(Definition[P, R]):
    """A function as a task. Called, it runs and returns its value; in a flow it is a task run of that flow's run."""

    task_type: ClassVar[str] = "task"
    """The type of the run that a call outside any flow is."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it here and return what it returns. Raises what it raises."""
        if self.generates:
            return cast("R", self._stream(args, dict(kwargs)))
        if self.is_async:
            return cast("R", self._named(self._call_async(args, dict(kwargs))))
        try:
            run, _, steps = self._begin(args, kwargs)
            value: R = drive_sync(steps, run)
        except BaseException as error:
            # The engine's frames between the caller and the function tell nobody anything.
            error.with_traceback(shown(error))
            raise
        if run.root.signal is not None:
            raise_pending()
        return value

    async def _call_async(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            run, _, steps = self._begin(args, kwargs)
            if current_open() is None:
                return await drive_outermost(steps, run)
            return await drive_async(steps, run)
        except BaseException as error:
            error.with_traceback(shown(error))
            raise

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Run, TaskCall, Steps]:
        context = current_open()
        wait_for = kwargs.pop("wait_for", ()) if kwargs else ()
        if context is None:
            run, call = alone(self, self._own(args), kwargs, wait_for)
            return run, call, run_alone(self, run, call)
        call = new_call(self, context, self._own(args), kwargs, wait_for)
        return context.run, call, run_task(self, call)

    def _stream(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        from headwater.core.streams import Stream

        run, call, steps = self._begin(args, kwargs)
        return Stream(steps, run, call).reader(self.is_async)

    @overload
    def submit(self: Task[Q, Coroutine[Any, Any, T]], *args: Q.args, **kwargs: Q.kwargs) -> TaskFuture[T]: ...

    @overload
    def submit(
        self: Task[Q, Coroutine[Any, Any, T]], *args: Any, wait_for: WaitFor = (), **kwargs: Any
    ) -> TaskFuture[T]: ...

    @overload
    def submit(
        self: Task[Q, Iterator[T]] | Task[Q, AsyncIterator[T]], *args: Any, wait_for: WaitFor = (), **kwargs: Any
    ) -> TaskFuture[list[T]]: ...

    @overload
    def submit(self, *args: P.args, **kwargs: P.kwargs) -> TaskFuture[R]: ...

    @overload
    def submit(self, *args: Any, wait_for: WaitFor = (), **kwargs: Any) -> TaskFuture[R]: ...

    def submit(self, *args: Any, wait_for: WaitFor = (), **kwargs: Any) -> TaskFuture[Any]:
        """Start it in the background and return its future at once: in a thread, or in the event loop of async code.

        Futures in the arguments, at any depth of lists, tuples, sets and dicts, are waited for and replaced by their
        results; `wait_for` names more to wait for, one or several. When one of them failed the task does not run (its state is
        Skipped, and its `result()` raises the upstream's error), unless it is wrapped in `allow_failure(…)`. Of a generator the
        future gives a list of all its items.
        """
        return submit(self, self._own(args), kwargs, wait_for)

    @overload
    def map(self: Task[Q, Coroutine[Any, Any, T]], *args: Any, wait_for: WaitFor = (), **kwargs: Any) -> Futures[T]: ...

    @overload
    def map(self, *args: Any, wait_for: WaitFor = (), **kwargs: Any) -> Futures[R]: ...

    def map(self, *args: Any, wait_for: WaitFor = (), **kwargs: Any) -> Futures[Any]:
        """Submit it once for each item of the arguments that are sequences, side by side; `unmapped(…)` passes one whole.

        Raises UsageError when there is nothing to go through, or when lengths differ.
        """
        waits = waited_for(wait_for)
        return Futures(submit(self, self._own(row), named, waits) for row, named in spread(args, kwargs))

    @overload
    def imap(self: Task[Q, Coroutine[Any, Any, T]], *args: Any, ahead: int = 100, **kwargs: Any) -> ResultsAhead[T]: ...

    @overload
    def imap(self, *args: Any, ahead: int = 100, **kwargs: Any) -> ResultsAhead[R]: ...

    def imap(self, *args: Any, ahead: int = 100, **kwargs: Any) -> ResultsAhead[Any]:
        """As `map`, in the memory of `ahead` calls, however many there are: gives the results in order, `for` or `async for`.

        Arguments may be iterators: an item is taken, and its call submitted, only when fewer than `ahead` calls have begun
        whose results nobody has read. Raises what a call raised where its result would come.
        """
        rows = spread_lazily(args, kwargs)
        return ResultsAhead((submit(self, self._own(row), named) for row, named in rows), ahead)

    def steps(self, call: TaskCall) -> Steps:
        """One try, for subclasses to do something around: yields the call of the function, returns the task's value."""
        if self.generates:
            from headwater.core.streams import generated

            return (yield from generated(call, call.context.run, self.fn, call.args, call.kwargs, self.options.timeout))
        return (yield Invoke(self.fn, call.args, call.kwargs, self.options.timeout))

    def _check_cache(self) -> None:
        from headwater.core.cache_keys import check_policy

        check_policy(self)

    is_heavy: ClassVar[bool] = False
    """Whether noting who a call is, and keeping what it returned, reads or writes files even without `persist_result`."""

    def note(self, call: TaskCall) -> None:
        """Note who a call within a flow's run is, before its function can change its arguments."""
        note_call(self, call)

    def keep(self, call: TaskCall, value: Any) -> None:
        """Keep what a call returned, for later attempts of its run. Never raises."""
        keep_result(self, call, value)

    def restore(self, call: TaskCall, kept: KeptResult) -> Any:
        """What an earlier attempt's call returned. Raises ResultError, or another HeadwaterError."""
        return restore_result(self, call, kept)

    def on_commit(self, hook: H) -> H:
        """Call this with a `TaskOutcome` when the transaction of a task run is committed; without one, when it completed.

        >>> @task
        ... def load(rows): ...
        >>> @load.on_commit
        ... def tell(outcome): ...
        >>> load.options.on_commit == (tell,)
        True
        """
        self.options = self.options.changed({"on_commit": (*self.options.on_commit, hook)})
        return hook

    def on_rollback(self, hook: H) -> H:
        """Call this with a `TaskOutcome` when the transaction of a task run is rolled back, hooks given last first.

        >>> @task
        ... def load(rows): ...
        >>> @load.on_rollback
        ... def remove(outcome): ...
        >>> load.options.on_rollback == (remove,)
        True
        """
        self.options = self.options.changed({"on_rollback": (*self.options.on_rollback, hook)})
        return hook

    def refuses(self, error: BaseException) -> bool:
        """Whether an error is a refusal: the task run ends as Blocked, without retries."""
        return isinstance(error, RefusedError)

    def run_fields(self, call: TaskCall) -> dict[str, Any]:
        """More members for the RunStarted of a call outside any flow, for subclasses to give (nominal times)."""
        return {}

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...

    @overload
    def __get__(self: Task[Concatenate[S, Q], T], instance: S, owner: type | None = None) -> Task[Q, T]: ...

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else self.replace(instance=instance)


@overload
def task(fn: Callable[P, R], /, **options: Unpack[OptionValues]) -> Task[P, R]: ...


@overload
def task(**options: Unpack[OptionValues]) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def task(fn: Callable[P, R] | None = None, /, **options: Any) -> Task[P, R] | Callable[[Callable[P, R]], Task[P, R]]:
    """Make a function a task: `@task`, or with options `@task(retries=2, retry_delay=[1, 10])`.

    - `name`, under which it is recorded; `tags`: "etl" is counted by the limit `tag:etl` of the settings
    - `retries`; `retry_delay` (seconds: a number, one for each retry, or a function of the number of the try that failed);
      `retry_if` (a function that says which errors are worth another try)
    - `timeout` (seconds, of each try)
    - `hooks` (functions to call, by state); `on_commit` and `on_rollback` (functions to call when its transaction ends)
    - `cache` (True, policies such as `INPUTS + SOURCE`, or a function), `cache_for` ("12h"), `refresh`, `once`: what it
      returned before is used again
    - `persist_result` (True keeps a large result for a resumed run, False keeps none), `result` ("pickle" allows that)
    - `limits` ({"warehouse": 3}) and `rate` ("10/minute"), for all processes

    Raises DefinitionError for what can't be a task.

    >>> @task(retries=2)
    ... def double(number: int) -> int:
    ...     return 2 * number
    >>> double.fn(3), double.options.retries
    (6, 2)
    """
    made = TaskOptions.of(options)
    return Task(fn, made) if fn is not None else lambda function: Task(function, made)
