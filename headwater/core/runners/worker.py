"""A worker: runs tries that were sent to it, and sends all that they record back to the coordinator.

It opens no segment of the journal. Nested task runs and subflows run here, in threads of this worker, and are recorded
by the coordinator as everything else.
"""

from __future__ import annotations

import contextvars
import os
import pickle
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from headwater.core import logs, prints, runtime, signals
from headwater.core.arguments import FutureLike
from headwater.core.context import RootRun, Run, RunContext, TaskCall, _current
from headwater.core.dispatch import run_coroutine
from headwater.core.drivers import drive_sync
from headwater.core.effects import Invoke, Steps
from headwater.core.engine import leave
from headwater.core.main_module import tell_main_name
from headwater.core.runners import carry
from headwater.core.runners.runner import close_session
from headwater.core.runs import attempt_of
from headwater.core.tracebacks import summary
from headwater.errors import ResultError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from headwater.core.journal.events import Body
    from headwater.core.task import Task

_GRACE = 2.0
"""Seconds that a coroutine which was cancelled because its time is up has to end before its worker is killed."""


class Channel(Protocol):
    """A worker's way to the coordinator, for the length of a try. Safe among threads; raises OSError when there is none."""

    def tell(self, message: bytes) -> None:
        """Send a message; returns when it outlives this worker."""
        ...

    def ask(self, message: bytes) -> bytes:
        """Send a message and wait for its answer."""
        ...


class _Line:
    """What a try says to the coordinator, numbered. One message is on its way at a time, answer and all.

    Who listens to a worker takes what comes in turn, and answers before it hears the next: of two questions that overtook
    each other the later would wait for the one behind it.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self.count = 0

    def tell(self, kind: str, content: Any) -> None:
        with self._lock:
            self._channel.tell(self._message(kind, content, asks=False))

    def ask(self, kind: str, content: Any = None) -> Any:
        with self._lock:
            data = self._channel.ask(self._message(kind, content, asks=True))
        what, answer = pickle.loads(data)  # noqa: S301 - from our own process
        if what == "error":
            raise answer
        return answer

    def _message(self, kind: str, content: Any, *, asks: bool) -> bytes:
        message = pickle.dumps((self.count, kind, content, asks), protocol=5)
        self.count += 1
        return message


class _Journal:
    """Stands for the journal in a worker: whatever is appended is sent, and what must be durable is waited for."""

    def __init__(self) -> None:
        self.line: _Line | None = None

    def append(self, *bodies: Body) -> None:
        """Append events, in one piece, at the coordinator."""
        line = self.line
        if line is None:
            raise UsageError("nothing runs in this worker right now that an event could belong to")
        if not bodies:
            return
        if any(body.durable for body in bodies):
            line.ask("events", bodies)
        else:
            line.tell("events", bodies)


class Worker:
    """Runs one try after the other. One that is a process of its own takes over what its coordinator's process has."""

    def __init__(self, *, own_process: bool = False) -> None:
        self._own_process = own_process
        self._lock = threading.Lock()
        self._root: RootRun | None = None
        self._setup: tuple[str, Any] | None = None
        self._journal = _Journal()

    def perform(self, payload: bytes, channel: Channel) -> bytes:
        """Run a payload; returns what the coordinator is to be given."""
        line = self._journal.line = _Line(channel)
        try:
            outcome = contextvars.copy_context().run(self._perform, pickle.loads(payload), line)  # noqa: S301 - ours
        except BaseException as error:  # noqa: BLE001 - told where somebody waits
            outcome = _outcome(error=carry.failure_of(error))
        finally:
            self._journal.line = None
            with suppress(OSError, ValueError, AttributeError):  # closed by whoever read it, or by the task
                sys.stdout.flush()
        return pickle.dumps(outcome | {"messages": line.count}, protocol=5)

    def stop(self) -> None:
        """Ask the try that runs to stop; from any thread. In a process of its own its function is interrupted."""
        with self._lock:
            root = self._root
            if root is None:
                return
            if self._own_process and not root.is_async:
                os.kill(os.getpid(), signal.SIGTERM)
        root.cancelled.set()

    def _perform(self, order: Mapping[str, Any], line: _Line) -> dict[str, Any]:
        project = self._project(order["setup"], line)
        with runtime.here(project):
            # Until the values are here, nobody knows what the task is: its run does.
            context = _context(order["call"])
            try:
                values = carry.unpack(context, carry.Parcel(*order["parcel"]))
            except Exception as error:
                hint = "what it is made of must be importable there, or be defined in the main script"
                raise UsageError(f"the call can't be restored in its worker: {summary(error)}", hint=hint) from error
            task = values["task"]
            call = _call(order["call"], context, task, values)
            with self._running(context.run.root):
                return self._tried(task, call)

    def _project(self, name: str, line: _Line) -> Any:
        if self._setup is None or self._setup[0] != name:
            setup = pickle.loads(line.ask("setup"))  # noqa: S301 - from our own process
            if self._own_process:
                _take_over(setup)
            project = setup["project"](self._journal)
            self._setup = name, project
            if self._own_process:
                runtime.set_current(project)
        return self._setup[1]

    @contextmanager
    def _running(self, root: RootRun) -> Iterator[None]:
        logs.attach()
        signals.enter(root)
        with self._lock:
            self._root = root
        try:
            yield
        finally:
            with self._lock:
                self._root = None
            root.closing = True
            signals.leave(root)
            logs.detach()

    def _tried(self, task: Task[..., Any], call: TaskCall) -> dict[str, Any]:
        run, root = call.context.run, call.context.run.root
        returned: list[Any] = []
        root.is_async = task.is_async
        steps = attempt_of(run, _try(task, call, returned, self._tell_limit))
        value, error = run_coroutine(steps, run) if task.is_async else drive_sync(steps, run)
        # What the task itself submitted has failed, and nobody looked: it is the flow that ends by that.
        failed = (one for one in run.pending.values() if isinstance(one.error, Exception))
        unseen = next((one for one in failed if (one.error is error if returned else not one.looked_at)), None)
        if unseen is not None and returned:
            error, value = None, returned[0]
        *_, outermost = run.outwards()
        close_session(outermost, join=not root.abandoned)
        root.journal.append(*prints.unfinished(call.context))
        outcome = _outcome(failure=run.failure)
        if unseen is not None and unseen.error is not None:
            outcome["unseen"] = unseen.task, carry.failure_of(unseen.error)
        if error is not None:
            return outcome | {"error": carry.failure_of(error)}
        return outcome | _packed(task, call, value)

    def _tell_limit(self, seconds: float | None) -> None:
        if self._journal.line is not None:
            self._journal.line.tell("limit", seconds)


def _outcome(**members: Any) -> dict[str, Any]:
    return {"error": None, "failure": None, "unseen": None, "parcel": None, **members}


def _packed(task: Task[..., Any], call: TaskCall, value: Any) -> dict[str, Any]:
    try:
        parcel = carry.pack(call.context, {"value": value, "annotations": call.annotations}, back=True)
    except Exception as error:  # noqa: BLE001 - a value's own pickling may raise anything
        kind = type(value).__name__
        found = ResultError(
            f"what '{task.name}' returned, a {kind}, can't be sent back from its worker: {error}",
            hint="return what can be pickled, such as a path or a frame; or run it in threads",
        )
        return {"error": carry.failure_of(found)}
    return {"parcel": tuple(parcel)}


def _try(task: Task[..., Any], call: TaskCall, returned: list[Any], tell_limit: Any) -> Steps:
    token = _current.set(call.context)
    try:
        value = yield from _limited(task.steps(call), tell_limit, is_async=task.is_async)
        returned.append(value)
        return value
    finally:
        leave(token)


def _limited(steps: Steps, tell_limit: Any, *, is_async: bool) -> Generator[Any, Any, Any]:
    """The same steps; how long a function may take is the coordinator's to watch, who can kill this worker."""
    try:
        effect = steps.send(None)
        while True:
            seconds: float | None = None
            if isinstance(effect, Invoke) and effect.timeout is not None:
                seconds = effect.timeout
                tell_limit(seconds + _GRACE if is_async else seconds)
                effect = effect if is_async else Invoke(effect.fn, effect.args, effect.kwargs)
            try:
                value = yield effect
            except BaseException as error:  # noqa: BLE001 - the inner generator decides
                if seconds is not None:
                    tell_limit(None)
                effect = steps.throw(error)
            else:
                if seconds is not None:
                    tell_limit(None)
                sent, value = value, None
                effect = steps.send(sent)
                del sent
    except StopIteration as stop:
        return stop.value


def _context(described: Mapping[str, Any]) -> RunContext:
    """The runs around the call, from the outermost one inwards, as they are known at the coordinator."""
    outer: RunContext | None = None
    for one in reversed(described["runs"]):
        if outer is None:
            root = RootRun(one["run_id"], one["flow"], attempt=described["root_attempt"])
            root.started_by = described["started_by"]
        run = Run(
            root,
            run_id=one["run_id"],
            flow=one["flow"],
            type=one["type"],
            attempt=one["attempt"],
            parent=outer,
            source=one["source"],
        )
        run.started, run.holds = one["started"], one["holds"]
        outer = RunContext(run)
    assert outer is not None
    return outer


def _call(
    described: Mapping[str, Any], context: RunContext, task: Task[..., Any], values: Mapping[str, Any]
) -> TaskCall:
    call = TaskCall(
        context.run,
        described["task_run_id"],
        task.name,
        values["args"],
        values["kwargs"],
        outer=described["outer"],
        wait_for=tuple(_Ended(annotations) for annotations in values["wait_for"]),  # type: ignore[misc]
        is_async=task.is_async,
    )
    call.started = call.context.started = described["started"]
    call.tries, call.collects = described["tries"], described["collects"]
    return call


class _Ended(FutureLike):
    """Stands for a future that was waited for: what other layers know of it."""

    __slots__ = ("annotations",)

    def __init__(self, annotations: dict[str, Any]) -> None:
        self.annotations = annotations


def _take_over(setup: Mapping[str, Any]) -> None:
    """What the coordinator's process has: its import path, its folder, its environment, its arguments, its main script."""
    sys.path[:] = setup["path"]
    sys.argv[:] = setup["argv"]
    tell_main_name(setup["main"])
    os.environ.clear()
    os.environ.update(setup["environment"])
    os.chdir(setup["folder"])
