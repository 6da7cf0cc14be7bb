"""Tries that happen elsewhere: the seam for whatever carries them there, and this process's side of it.

The coordinator, which is the process that the flow runs in, decides and records everything: states, retries, hooks, results.
What a try is goes to a worker as bytes; every event that it causes comes back as a message, and is appended here.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from headwater import ids
from headwater.core.context import TaskCall
from headwater.core.effects import Invoke
from headwater.core.futures import TaskFuture
from headwater.core.main_module import main_name
from headwater.core.options import CACHING, TaskOptions
from headwater.core.runners import carry, failures, layers
from headwater.core.runners.conversation import Conversation
from headwater.core.runners.threads import ThreadPool
from headwater.core.signals import Terminated, interruption
from headwater.core.timeouts import exceeded
from headwater.core.tracebacks import summary, text_of
from headwater.errors import HeadwaterError, ResultError, WorkerDied

if TYPE_CHECKING:
    from headwater.core.context import Run
    from headwater.core.task import Task

PATIENCE = 2.0
"""Seconds that a worker has to stop by itself when it was asked to; then it is killed."""

OnMessage = Callable[[bytes], "bytes | None"]


class Remote(Protocol):
    """What carries tries to workers: processes of this machine, a cluster. All methods may be called by any thread."""

    def submit(self, payload: bytes, on_message: OnMessage) -> Future[bytes]:
        """Have a worker run a payload (with `headwater.core.runners.worker.Worker.perform`), at once or when one is free.

        Each message that it sends is given to `on_message`, in any thread and any order, also after the result; where that
        answers, the answer goes back to the worker. The future gives what `perform` returned, or raises WorkerDied when
        the worker was lost.
        """
        ...

    def cancel(self, handle: Future[bytes], *, kill: bool = False) -> None:
        """Ask a worker to stop what it is at (`Worker.stop`), or with `kill` end it: its future then raises WorkerDied."""
        ...

    def close(self, *, kill: bool = False) -> None:
        """Let all workers go; returns when none is left. With `kill` whatever they are at."""
        ...


class RemoteSession:
    """A runner whose tries happen elsewhere, while a run uses it: threads here wait for workers there."""

    def __init__(self, remote: Remote, max_workers: int, *, shared: bool = False) -> None:
        self.place: Place | None = Place(remote)
        self._remote = remote
        self._shared = shared
        self._threads = ThreadPool(max_workers)

    def submit(self, job: Callable[[], object]) -> None:
        """Run a job in a thread that waits for its worker."""
        self._threads.submit(job)

    def close(self, *, join: bool) -> None:
        """The run is over: no worker is left of it, unless the workers are shared with other runs."""
        self._threads.close(join=join)
        if not self._shared:
            self._remote.close(kill=not join)


class Place:
    """Where the tries of tasks happen that are not run in this process."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._lock = threading.Lock()
        self._known: tuple[Any, str, bytes] | None = None

    def takes(self, task: Task[..., Any]) -> bool:
        """Whether a task can run there; one that can't runs in a thread of this process."""
        return not any(layer.stays(task) for layer in layers.known().values())

    def steps(self, task: Task[..., Any], call: TaskCall) -> Generator[Invoke, Any, Any]:
        """One try: yields the call that waits for the worker, returns the task's value."""
        return (yield Invoke(self._perform, (task, call)))

    def _perform(self, task: Task[..., Any], call: TaskCall) -> Any:
        run = call.context.run
        setup, data = self._setup(run)
        payload = _payload(task, call, setup)
        conversation = Conversation(run.root.journal, setup=data)
        handle = self._remote.submit(payload, conversation.on_message)
        waiting = _Waiting(self._remote, handle, conversation, run)
        try:
            waiting.wait()
            outcome = pickle.loads(handle.result())  # noqa: S301 - from our own process
            conversation.complete(outcome["messages"])
        except BaseException as error:  # noqa: BLE001 - told in the words of the one who waits
            conversation.bury()
            raise _ended_early(error, waiting, call) from None
        return _opened(task, call, outcome)

    def _setup(self, run: Run) -> tuple[str, bytes]:
        """What every worker must know of this process, and a name for it: workers ask for it when they don't have it."""
        project = run.root.runtime
        with self._lock:
            if self._known is None or self._known[0] is not project:
                self._known = project, ids.new_id(), carry.dumps(setup_of(project))[0]
            return self._known[1:]


def setup_of(project: Any) -> dict[str, Any]:
    """The project, the import path, the folder and the environment of this process, and what its main script is called."""
    return {
        "project": project.elsewhere(),
        "path": list(sys.path),
        "folder": str(Path.cwd()),
        "environment": dict(os.environ),
        "argv": list(sys.argv),
        "main": main_name(),
    }


def _payload(task: Task[..., Any], call: TaskCall, setup: str) -> bytes:
    """A try as bytes. Raises UsageError that names the argument which can't be sent."""
    values = {
        "task": _bare(task),
        "args": call.args,
        "kwargs": dict(call.kwargs),
        "wait_for": [future.annotations for future in call.wait_for if hasattr(future, "annotations")],
    }
    try:
        parcel = carry.pack(call.context, values)
    except Exception as error:  # noqa: BLE001 - a value's own pickling may raise anything
        raise carry.refused(task, task.bind(call.args, call.kwargs), error) from None
    return pickle.dumps({"setup": setup, "call": _described(call), "parcel": tuple(parcel)}, protocol=5)


_DECIDED_HERE = ("hooks", "retry_if", "retry_delay", "on_commit", "on_rollback", *CACHING)


def _bare(task: Task[..., Any]) -> Task[..., Any]:
    """The task without what is decided here around its tries: that need not be such that it can be sent."""
    plain = TaskOptions()
    given = {
        name: getattr(plain, name) for name in _DECIDED_HERE if getattr(task.options, name) != getattr(plain, name)
    }
    return task.replace(options=replace(task.options, **given)) if given else task


def _described(call: TaskCall) -> dict[str, Any]:
    members = ("run_id", "flow", "type", "attempt", "source", "started", "holds")
    return {
        "runs": [{name: getattr(run, name) for name in members} for run in call.context.run.outwards()],
        "root_attempt": call.context.run.root.attempt,
        "started_by": call.context.run.root.started_by,
        "task_run_id": call.task_run_id,
        "outer": call.outer,
        "started": call.started,
        "tries": call.tries,
        "collects": call.collects,
    }


class _Waiting:
    """A thread that waits for a worker: until it is done, the run is asked to stop, or the time is up."""

    def __init__(self, remote: Remote, handle: Future[bytes], conversation: Conversation, run: Run) -> None:
        self._remote, self._handle, self._conversation, self._run = remote, handle, conversation, run
        self.exceeded: float | None = None
        """The time limit that was passed, in seconds."""

    @property
    def cancelled(self) -> bool:
        """Whether the run was asked to stop."""
        return self._run.cancelled.is_set()

    def wait(self) -> None:
        """Return when the worker is done, or gone."""
        awake, cancelled = threading.Event(), self._run.cancelled
        self._handle.add_done_callback(lambda _: awake.set())
        self._conversation.on_limit = awake.set
        cancelled.subscribe(awake, awake.set)
        kill_at: float | None = None
        try:
            while not self._handle.done():
                now = time.monotonic()
                if cancelled.is_set() and kill_at is None:
                    self._remote.cancel(self._handle)
                    kill_at = now + PATIENCE
                limit = self._conversation.limit
                if limit is not None and now >= limit.at:
                    self.exceeded = limit.seconds
                    kill_at = now
                if kill_at is not None and now >= kill_at:
                    awake.clear()
                    if self._handle.done():
                        break
                    self._remote.cancel(self._handle, kill=True)
                    awake.wait(PATIENCE)
                    continue
                ends = [at for at in (kill_at, limit and limit.at) if at is not None]
                awake.wait(min(ends) - now if ends else None)
                awake.clear()
        finally:
            cancelled.unsubscribe(awake)


def _ended_early(error: BaseException, waiting: _Waiting, call: TaskCall) -> BaseException:
    """What a try without an outcome raises."""
    if waiting.cancelled:
        return interruption(call.context.run)
    if waiting.exceeded is not None:
        return exceeded(waiting.exceeded)
    if isinstance(error, HeadwaterError) and not isinstance(error, WorkerDied):
        return error
    what = (
        error.message
        if isinstance(error, WorkerDied)
        else f"its worker was lost: {text_of(error) or type(error).__name__}"
    )
    hint = "with retries=… it is tried again in a new worker; a worker that is killed may have used too much memory"
    died = WorkerDied(
        f"'{call.context.task}' was stopped in the middle: {what}",
        hint=getattr(error, "hint", None) or hint,
    )
    died.of = call.task_run_id
    return died


def _opened(task: Task[..., Any], call: TaskCall, outcome: dict[str, Any]) -> Any:
    """What a worker gave back: the value, or its error is raised. What it says of the call is noted."""
    run = call.context.run
    if outcome["failure"] is not None:
        run.failure = outcome["failure"]
    if outcome["unseen"] is not None:
        _unseen(run, *outcome["unseen"])
    if outcome["error"] is not None:
        error = failures.error_of(outcome["error"])
        if isinstance(error, Terminated) and not run.cancelled.is_set():
            died = WorkerDied(f"'{task.name}' was stopped in the middle: its worker was told to end ({error})")
            died.of = call.task_run_id
            raise died
        raise error
    try:
        values = carry.unpack(call.context, carry.Parcel(*outcome["parcel"]), back=True)
    except Exception as error:
        hint = "return what can be pickled and unpickled, such as a path or a frame; or run it in threads"
        raise ResultError(f"what '{task.name}' returned can't be restored: {summary(error)}", hint=hint) from error
    call.annotations.update(values["annotations"])
    return values["value"]


def _unseen(run: Run, name: str, failure: failures.Failure) -> None:
    """A task that a task submitted in its worker has failed, and nobody looked: as here, that fails the flow."""
    call = TaskCall(run, ids.new_id(), name, (), {})
    future: TaskFuture[Any] = TaskFuture(call, name)
    future.fail(failures.error_of(failure))
    run.pending[call.task_run_id] = future
