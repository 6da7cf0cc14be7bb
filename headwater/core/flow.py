"""`@flow`: a function whose calls are runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, ParamSpec, TypeVar, cast, overload

from headwater.core import runtime
from headwater.core.context import current_open
from headwater.core.definition import Definition, place_of
from headwater.core.drivers import drive_async, drive_outermost, drive_sync
from headwater.core.effects import Invoke
from headwater.core.options import FlowOptions, FlowOptionValues, TaskOptions
from headwater.core.runs import new_run, run_flow
from headwater.core.signals import raise_pending
from headwater.core.tracebacks import shown
from headwater.core.validation import converted
from headwater.errors import DefinitionError, UsageError

if TYPE_CHECKING:
    from typing import Self, Unpack

    from headwater.core.context import Run
    from headwater.core.effects import Steps
    from headwater.core.resuming import Resumption

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")


class Flow(Definition[P, R]):
    """A function as a flow. Called, it is a run and returns its value; in another flow it is a subrun of that."""

    noun: ClassVar[str] = "flow"

    def _check_cache(self) -> None:
        raise DefinitionError(
            f"the flow '{self.name}' can't be cached", where=place_of(self.fn), hint="cache the tasks that it calls"
        )

    def _prepare(self) -> None:
        super()._prepare()
        self.is_limited = bool(self.options.limits or self.options.rate or self.options.max_runs)
        if self.options.run_name is not None:
            from headwater.core.run_names import check_run_name

            check_run_name(self.options.run_name, self.parameters, place_of(self.fn) or self.name)
        if self.options.run_key is not None:
            from headwater.core.run_limits import check_run_key

            check_run_key(self.options.run_key, self.parameters, place_of(self.fn) or self.name)

    options_type: ClassVar[type[TaskOptions]] = FlowOptions
    options: FlowOptions
    resumption: Resumption | None = None
    """The run that a call goes on with, if it is not a new one."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it and return what it returns. Raises what it raises, or the error of a submitted task that nobody looked at."""
        if self.generates:
            return cast("R", self._stream(args, kwargs))
        if self.is_async:
            return cast("R", self._named(self._call_async(args, kwargs)))
        try:
            run = self._new_run()
            value: R = drive_sync(run_flow(self, run, self._own(args), kwargs), run)
        except BaseException as error:
            # The engine's frames between the caller and the function tell nobody anything.
            error.with_traceback(shown(error))
            raise
        if run.parent is not None and run.root.signal is not None:
            raise_pending()
        return value

    async def _call_async(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        try:
            run = self._new_run()
            steps = run_flow(self, run, self._own(args), kwargs)
            return await (drive_outermost(steps, run) if run.parent is None else drive_async(steps, run))
        except BaseException as error:
            error.with_traceback(shown(error))
            raise

    def _stream(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        from headwater.core.streams import Stream

        run = self._new_run()
        return Stream(run_flow(self, run, self._own(args), kwargs), run, run).reader(self.is_async)

    def body(self, run: Run, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Invoke | Steps:
        """What an attempt does: the call of the function, or the reading of what it generates."""
        if not self.generates:
            return Invoke(self.fn, args, kwargs, self.options.timeout)
        from headwater.core.streams import generated

        return generated(run, run, self.fn, args, kwargs, self.options.timeout)

    def resume(self, run_id: str, *, from_task: str | None = None, parameters: Mapping[str, Any] | None = None) -> R:
        """Run it again as another attempt of a run that has ended: calls that completed are not made again.

        What they returned is restored; what can't be runs again, and the run's log says why. With `from_task`, all calls of
        that task are made again, and those that may have used what they returned. The parameters are those of the run;
        `parameters` gives what was not kept (secrets, objects), or changes some. Raises UsageError for a run that can't be
        resumed, and what the flow raises.
        """
        if current_open() is not None:
            raise UsageError("a run can't be resumed within another one", where=run_id)
        found = runtime.current().resumption(run_id, from_task=from_task)
        return cast("R", found.call(self, parameters or {}))

    def _new_run(self) -> Run:
        outer = current_open()
        run = new_run(
            self.name,
            "flow",
            run_id=None if self.resumption is None else self.resumption.run_id,
            attempt=1 if self.resumption is None else self.resumption.last_attempt + 1,
            parent=outer,
            source=self.source,
            is_async=self.is_async,
            options=self.options,
        )
        if outer is None:
            run.root.resumable = True
            if self.resumption is not None:
                self.resumption.enter(run.root)
        return run

    def fitted(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        """The arguments of a call as the annotations of the parameters want them; defaults are as they are written.

        Raises ParameterError naming the parameters that do not fit.
        """
        hints = self.hints
        passed = super().bind(args, kwargs) if hints else {}
        changed = converted(self.parameters, hints, passed, where=place_of(self.fn) or self.name)
        return self.unbind({**passed, **changed}) if changed else (args, kwargs)

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call by parameter, defaults included. Raises TypeError when they don't fit the function."""
        bound = self.bound(self.signature.bind, args, kwargs)
        bound.apply_defaults()
        return dict(bound.arguments)

    def with_options(self, **options: Unpack[FlowOptionValues]) -> Self:
        """The same flow with some options changed; this one stays as it is.

        Raises DefinitionError for a wrong value, UnknownNameError for a wrong name.
        """
        return self.replace(options=self.options.changed(options))

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...

    @overload
    def __get__(self: Flow[Concatenate[S, Q], T], instance: S, owner: type | None = None) -> Flow[Q, T]: ...

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else self.replace(instance=instance)


@overload
def flow(fn: Callable[P, R], /, **options: Unpack[FlowOptionValues]) -> Flow[P, R]: ...


@overload
def flow(**options: Unpack[FlowOptionValues]) -> Callable[[Callable[P, R]], Flow[P, R]]: ...


def flow(fn: Callable[P, R] | None = None, /, **options: Any) -> Flow[P, R] | Callable[[Callable[P, R]], Flow[P, R]]:
    """Make a function a flow: `@flow`, or with options `@flow(name="nightly", max_workers=8)`.

    The options are those of `@task`, but for a cache, and

    - `runner`: where submitted tasks run ("threads", "processes", "inline" or a runner such as `ProcessRunner(max_workers=4)`)
    - `max_workers`: how many of them at once (in threads by default the number of cores plus 4, at most 32)
    - `retry_budget`: how many retries all task runs of a run may make together
    - `max_runs`: how many of its runs at once, in all processes; `when_full`: what one more does ("queue", "skip", "cancel");
      `run_key`: a function of the parameters, runs of the same key count together
    - `run_name`: what each run is called, with parameters in braces ("load-{day}")

    Raises DefinitionError for what can't be a flow.

    >>> @flow(name="nightly")
    ... def main(day: str = "2024-01-01") -> str:
    ...     return day
    >>> main.name, main.fn()
    ('nightly', '2024-01-01')
    """
    made = FlowOptions.of(options)
    return Flow(fn, made) if fn is not None else lambda function: Flow(function, made)
