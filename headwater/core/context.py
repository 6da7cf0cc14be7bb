"""Which run the current code belongs to, by a context variable that threads, asyncio tasks and subflows inherit; and which loop."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from headwater import clock
from headwater.core import runtime
from headwater.core.cancellation import Cancellation
from headwater.core.states import State

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from weakref import ReferenceType

    from headwater.core.arguments import Upstream
    from headwater.core.call_records import CallRecord
    from headwater.core.futures import TaskFuture
    from headwater.core.options import FlowOptions
    from headwater.core.resuming import Earlier
    from headwater.core.runners.remote import Place
    from headwater.core.runners.runner import Runner, Session
    from headwater.core.runtime import Appender
    from headwater.core.streams import Stream
    from headwater.core.transactions import Transaction
    from headwater.types import OuterRun, SourceCode

P = ParamSpec("P")
R = TypeVar("R")


class RootRun:
    """What everything inside an outermost run shares: its journal, threads, values and its end by a signal."""

    def __init__(
        self, run_id: str, flow: str, *, attempt: int = 1, is_async: bool = False, options: FlowOptions | None = None
    ) -> None:
        project = runtime.current()
        self.run_id, self.flow, self.is_async = run_id, flow, is_async
        self.attempt = attempt
        self.runtime = project
        self.project: str = project.project
        self.journal: Appender = project.journal
        self.request_id: str | None = None
        """The request that goes on with this run, where a worker has started it for one."""
        self.started_by: OuterRun | None = None
        """The run of another orchestrator that started this process."""
        self.extras: dict[str, Any] = {}
        self.cancelled = Cancellation()
        self.open_tasks: dict[str, TaskCall] = {}
        """The task runs that have started and whose end nobody has recorded yet: whoever takes one out records it."""
        self.signal: int | None = None
        """The signal that asked it to stop."""
        self.unheard = False
        """Whether a signal came while the engine or the journal was at work, and nothing has been raised for it yet."""
        self.interrupt: Callable[[], object] | None = None
        """How a signal reaches a run that is a coroutine; set while it runs."""
        self.loop: AbstractEventLoop | None = None
        """The event loop that it is in; one that was closed never goes on with it."""
        self.closing = False
        """Whether it is ending: a signal then no longer raises, it only makes us wait less."""
        self.impatient = False
        self.abandoned = False
        """Whether threads were given up that are still in user code."""
        self.resumable = False
        """Whether its calls are noted, so that another attempt can go on where this one ended."""
        self.earlier: Earlier | None = None
        """The calls of earlier attempts, when this one resumes them."""
        self.claimed: Any = None
        """The lock that keeps others from beginning an attempt of this run, while it is not sure that it is over."""
        self.max_workers = None if options is None else options.max_workers
        self.lock = threading.Lock()
        """Held while what its submitted tasks go to is opened or closed."""

    def claim(self, run: Run) -> None:
        """Another attempt of the outermost run follows: nobody else may begin one until `release`."""
        locks = getattr(self.runtime, "locks", None)
        if run.parent is None and self.claimed is None and locks is not None:
            self.claimed = locks.try_hold(f"run:{self.run_id}")

    def release(self, run: Run) -> None:
        """No other attempt of the outermost run follows in this process."""
        if run.parent is None and self.claimed is not None:
            held, self.claimed = self.claimed, None
            held.release()


class Run:
    """An attempt of a run while it runs."""

    __slots__ = (
        "attempt",
        "cancelled",
        "failure",
        "flow",
        "gives_up_at",
        "handed_out",
        "holds",
        "over",
        "parameters",
        "parent",
        "pending",
        "pid",
        "retries_left",
        "root",
        "run_id",
        "runner",
        "scope",
        "session",
        "source",
        "started",
        "streams",
        "suspended",
        "type",
    )

    def __init__(
        self,
        root: RootRun,
        *,
        run_id: str,
        flow: str,
        type: str,
        attempt: int = 1,
        parent: RunContext | None = None,
        source: SourceCode | None = None,
    ) -> None:
        self.root, self.run_id, self.flow, self.type, self.attempt = root, run_id, flow, type, attempt
        self.parent, self.source = parent, source
        self.parameters: Mapping[str, Any] = {}
        """The arguments that its function was called with, by name."""
        self.pid = os.getpid()
        """The process that began it, and alone may end it: a child that it forks inherits this object."""
        self.started = clock.now_us()
        self.scope: str = "" if parent is None else parent.scope
        """What the identities of the calls in it begin with."""
        self.cancelled: Cancellation = root.cancelled if parent is None else Cancellation(parent.run.cancelled)
        self.pending: dict[str, TaskFuture[Any]] = {}
        """Submitted tasks in their order, without those that have completed."""
        self.failure: str | None = None
        self.streams: dict[int, Stream] = {}
        """Its generator tasks that are being read, in the order in which they began."""
        self.handed_out = False
        """Whether a reader has got an item of the flow's own, which is a generator: another attempt would hand it out again."""
        self.runner: Runner | None = None
        """Where its submitted tasks run, if it says so itself."""
        self.session: Session | None = None
        """What is open of its runner."""
        self.holds = ""
        """The lock of its flow's `max_runs`, while it has a slot of it."""
        self.over = False
        """Whether its attempt has ended: what is called from then on is none of it."""
        self.suspended = False
        self.gives_up_at: int | None = None
        """Until when it waits for what does not stop, once it was asked to: microseconds of the machine's clock."""
        self.retries_left: int | None = None
        """How many retries its task runs may still make together; None when nothing bounds them."""

    def may_retry(self) -> bool:
        """Take a retry from the budgets of this run and of those around it; False when one is spent."""
        runs = [run for run in self.outwards() if run.retries_left is not None]
        with self.root.lock:
            if any(run.retries_left == 0 for run in runs):
                return False
            for run in runs:
                run.retries_left = (run.retries_left or 0) - 1
        return True

    def outwards(self) -> Iterator[Run]:
        """This run and those around it."""
        run = self
        while True:
            yield run
            if run.parent is None:
                return
            run = run.parent.run


class RunContext:
    """The run, and the task run in it, that the current code belongs to."""

    __slots__ = ("is_async", "printed", "run", "scope", "started", "task", "task_run_id")

    def __init__(
        self, run: Run, task_run_id: str | None = None, task: str | None = None, is_async: bool = False
    ) -> None:
        self.run = run
        self.task_run_id = task_run_id
        self.task = task
        self.started = run.started
        """When the task run (or the run, outside a task) began: microseconds since the epoch."""
        self.is_async = is_async
        self.scope = run.scope
        self.printed = ""
        """What it has printed of a line that has not ended yet."""

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.run.run_id

    @property
    def attempt(self) -> int:
        """The attempt of the run, from 1."""
        return self.run.attempt

    @property
    def flow(self) -> str:
        """The run's name: that of its flow, or of its task when it was called outside a flow."""
        return self.run.flow

    @property
    def type(self) -> str:
        """The run's type: flow, task, materialize, backfill …"""
        return self.run.type

    @property
    def root_run_id(self) -> str:
        """The id of the outermost run that this one is part of."""
        return self.run.root.run_id

    @property
    def root_flow(self) -> str:
        """The name of the outermost run."""
        return self.run.root.flow

    @property
    def project(self) -> str:
        """The project's name."""
        return self.run.root.project

    @property
    def root(self) -> Path:
        """The project's root folder."""
        folder: Path = self.run.root.runtime.root
        return folder

    @property
    def journal(self) -> Appender:
        """Where this run's events go."""
        return self.run.root.journal

    @property
    def cancelled(self) -> Cancellation:
        """Set when the run was asked to stop: long work may look at it, and raise `headwater.errors.Cancelled`."""
        return self.run.cancelled

    @property
    def extras(self) -> dict[str, Any]:
        """Values that other layers keep for as long as the outermost run lasts."""
        return self.run.root.extras

    def fail(self, message: str) -> None:
        """Let the run end as Failed with this message although its body returns."""
        self.run.failure = message

    def run_in(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function within this run, from any thread: tasks that it calls belong to it."""
        token = _current.set(self)
        try:
            return fn(*args, **kwargs)
        finally:
            _current.reset(token)


class TaskCall:
    """One call of a task: its arguments, and what is known of it while it runs."""

    __slots__ = (
        "annotations",
        "args",
        "collects",
        "context",
        "handed_out",
        "kwargs",
        "outer",
        "place",
        "record",
        "started",
        "state",
        "steps",
        "suspended",
        "task_run_id",
        "transaction",
        "tries",
        "upstream",
        "wait_for",
    )

    def __init__(
        self,
        run: Run,
        task_run_id: str,
        task: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        outer: str | None = None,
        wait_for: tuple[TaskFuture[Any], ...] = (),
        upstream: tuple[Upstream, ...] = (),
        is_async: bool = False,
    ) -> None:
        self.task_run_id = task_run_id
        self.args = args
        self.kwargs = kwargs
        self.wait_for = wait_for
        self.upstream = upstream
        """Every future that it waits for: in `wait_for`, and in its arguments until they are resolved."""
        self.outer = outer
        """The task run that called it."""
        self.started = 0
        self.context = RunContext(run, task_run_id, task, is_async)
        self.annotations: dict[str, Any] = {}
        """Notes of other layers; the future of the call shows the same dict."""
        self.record: CallRecord | None = None
        """What it notes for later attempts of a flow's run."""
        self.state = State.PENDING
        self.tries = 0
        self.transaction = open_transaction()
        """The transaction in whose block it was called."""
        self.collects = False
        """Whether the items of a generator become a list, because nobody reads them one by one."""
        self.handed_out = False
        """Whether a reader has got an item of a generator: another try would hand it out again."""
        self.suspended = False
        """Whether a generator waits for its reader."""
        self.place: Place | None = None
        """Where its tries happen, when that is another process."""
        self.steps: ReferenceType[Any] | None = None
        """The generator that runs it, weakly: what nobody drives any more must be let go at once."""

    @property
    def is_over(self) -> bool:
        """Whether what runs it has come to its end, also without having recorded one: an error may come anywhere, and near the
        limit of recursion Python ends a generator without a word to it.
        """
        steps = None if self.steps is None else self.steps()
        return steps is None or steps.gi_frame is None

    @property
    def goes_on(self) -> bool:
        """Whether something still runs it: one that is suspended waits for its reader."""
        return not (self.suspended or self.is_over)

    def release(self) -> None:
        """Let go of the arguments: a future that somebody keeps must not keep them alive."""
        self.args, self.kwargs, self.upstream, self.wait_for = (), {}, (), ()


_current: ContextVar[RunContext | None] = ContextVar("headwater_run", default=None)
_transaction: ContextVar[Transaction | None] = ContextVar("headwater_transaction", default=None)
"""The transaction in whose block this code is; one that has ended counts as the one around it."""


def open_transaction() -> Transaction | None:
    """The innermost transaction that this code is in and that has not ended, None outside of any."""
    found = _transaction.get()
    return None if found is None else found.nearest_open()


def _forget_the_parents_tasks() -> None:
    # A forked child that comes back from inside a task, or leaves it by an error, ends no task run of its parent.
    context = _current.get()
    while context is not None:
        context.run.root.open_tasks.clear()
        pending = list(context.run.pending.values())
        context.run.pending.clear()
        for future in pending:
            future.forget()
        context = context.run.parent


os.register_at_fork(after_in_child=_forget_the_parents_tasks)


def current() -> RunContext | None:
    """The run that this code belongs to, or None outside of any.

    >>> current() is None
    True
    """
    return _current.get()


def current_open() -> RunContext | None:
    """What a call made here belongs to: a run that has ended counts as the one around it.

    A thread, a callback or a hook may be left over from a run. Of one that was asked to stop it is to stop, too.
    """
    context = _current.get()
    while context is not None and context.run.over and not context.run.cancelled.is_set():
        context = context.run.parent
    return context


def running_loop() -> AbstractEventLoop | None:
    """The event loop that this code runs in, which nothing may hold up.

    >>> running_loop() is None
    True
    """
    asyncio = sys.modules.get("asyncio")  # who has not imported it, which takes 30 ms, has no loop
    loop: AbstractEventLoop | None = None if asyncio is None else asyncio._get_running_loop()
    return loop
