"""The members of a transaction: what completed in it, and how that is committed or taken back."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from headwater import failpoints
from headwater.core import recording
from headwater.core.decisions import is_cancellation
from headwater.core.effects import Ensure, Notify, Steps, guarded
from headwater.core.engine import change_of
from headwater.core.hooks import TaskOutcome, hook_name
from headwater.core.states import State
from headwater.core.tracebacks import summary
from headwater.records import dataclass
from headwater.types import ErrorInfo

if TYPE_CHECKING:
    from headwater.core.context import Run, TaskCall
    from headwater.core.hooks import TransactionHook
    from headwater.core.task import Task

_log = logging.getLogger("headwater.run")


class Participant(Protocol):
    """Something that is prepared in a transaction, to be made visible at its commit."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def key(self) -> Any:
        """What it is a new state of."""
        ...

    @property
    def task_run_id(self) -> str:
        """The task run that has prepared it."""
        ...

    @property
    def published(self) -> bool:
        """Whether it is visible."""
        ...

    def publish(self) -> None:
        """Make it visible, atomically. Raises what prevents that; then it has its outcome."""
        ...

    def drop(self, why: ErrorInfo) -> None:
        """Remove what was prepared; nothing happens when it has its outcome already."""
        ...


@dataclass(slots=True, eq=False)
class DoneTask:
    """A task run that completed in a transaction; its arguments and its value are kept only for its hooks."""

    task: Task[..., Any]
    call: TaskCall
    arguments: dict[str, Any] = field(default_factory=dict)
    result: Any = None

    @classmethod
    def of(cls, task: Task[..., Any], call: TaskCall, value: Any) -> DoneTask:
        """That of a call that has returned this."""
        done = cls(task, call)
        if task.options.on_commit or task.options.on_rollback:
            done.arguments, done.result = task.bind(call.args, call.kwargs), value
        call.release()
        return done

    def outcome(self, error: BaseException | None = None, published: tuple[str, ...] = ()) -> TaskOutcome:
        """What its hooks are told."""
        context = self.call.context
        return TaskOutcome(
            name=self.task.name,
            state=self.call.state,
            run_id=context.run_id,
            task_run_id=self.call.task_run_id,
            flow=context.flow,
            tries=self.call.tries,
            arguments=self.arguments,
            result=self.result,
            error=error,
            published=published,
            transaction=self.call.transaction,
        )


@dataclass(slots=True, eq=False)
class DoneRun:
    """The run of a flow that completed in a transaction of the flow around it."""

    run: Run


Member: TypeAlias = "DoneTask | DoneRun | Participant"


def participants(members: list[Member]) -> Iterator[Participant]:
    """Those that another layer has prepared."""
    return (member for member in members if not isinstance(member, (DoneTask, DoneRun)))


def committed(errors: list[BaseException], tasks: list[DoneTask]) -> Steps:
    """Call the commit hooks: the commit stands whatever they raise. Returns what interrupted them."""
    if failure := (yield from ensured(recording.tasks_committed, [done.call for done in tasks])):
        _log.error("what was committed can't be recorded for later attempts", exc_info=failure)
    interrupted: BaseException | None = None
    for done in tasks:
        if done.task.options.on_commit:
            outcome = done.outcome()
            for hook in done.task.options.on_commit:
                failure = yield from ensured(hook, outcome)
                if failure is not None:
                    _tell(errors, done, hook, "commit", failure)
                    interrupted = failure if is_cancellation(failure) else interrupted
    return interrupted


def undone(
    errors: list[BaseException],
    run: Run,
    members: list[Member],
    why: ErrorInfo,
    error: BaseException | None,
) -> Steps:
    """Take members back, the last one first; returns what interrupted that, unless it is what the block raised anyhow."""
    published: dict[str, list[str]] = {}
    for part in participants(members):
        if part.published:
            published.setdefault(part.task_run_id, []).append(part.name)
    if members:
        failpoints.reach("transaction.rollback")
        if failure := (yield from ensured(_record, run, members, why, published)):
            _log.error("a rollback could not be recorded", exc_info=failure)
        failpoints.reach("transaction.rolled_back")
    interrupted: BaseException | None = None
    for member in reversed(members):
        found = yield from _taken_back(errors, member, why, error, published)
        interrupted = found or interrupted
    return interrupted if error is None or not is_cancellation(error) else None


def _record(run: Run, members: list[Member], why: ErrorInfo, published: dict[str, list[str]]) -> None:
    """Write down which task runs and runs are rolled back: all but those whose data is published and stays."""
    tasks = [one.call for one in members if isinstance(one, DoneTask) and one.call.task_run_id not in published]
    if tasks:
        run.root.journal.append(*(recording.ended(call, State.ROLLED_BACK, why) for call in tasks))
    for one in members:
        if isinstance(one, DoneRun):
            recording.run_ended(one.run, State.ROLLED_BACK, why)


def _taken_back(
    errors: list[BaseException],
    member: Member,
    why: ErrorInfo,
    error: BaseException | None,
    published: dict[str, list[str]],
) -> Steps:
    if isinstance(member, DoneRun):
        return None
    if not isinstance(member, DoneTask):
        failure = yield from ensured(member.drop, why)
        if failure is not None:
            _log.error("what was staged for '%s' could not be discarded", member.name, exc_info=failure)
        return failure if failure is not None and is_cancellation(failure) else None
    interrupted: BaseException | None = None
    hooks = member.task.options.on_rollback
    outcome = member.outcome(error, tuple(published.get(member.call.task_run_id, ()))) if hooks else None
    for hook in reversed(hooks):
        failure = yield from ensured(hook, outcome)
        if failure is not None:
            _tell(errors, member, hook, "rollback", failure, error)
            interrupted = failure if is_cancellation(failure) else interrupted
    told = member.task.options.hooks.get(State.ROLLED_BACK, ())
    if told and member.call.state is State.ROLLED_BACK:
        interrupted = (yield from guarded(Notify(told, change_of(member.task, member.call, error)))) or interrupted
    return interrupted


def _tell(
    errors: list[BaseException],
    done: DoneTask,
    hook: TransactionHook,
    what: str,
    failure: BaseException,
    error: BaseException | None = None,
) -> None:
    """What a hook raised: in the run's log, with the transaction, and in the notes of the error that rolls it back."""
    text = f"the {what} hook {hook_name(hook)} of '{done.task.name}' raised {summary(failure)}"
    _log.error("%s", text, exc_info=failure)
    errors.append(failure)
    if error is not None:
        # One that takes no attributes (a frozen dataclass) takes no notes.
        with suppress(Exception):
            error.add_note(text)


def ensured(fn: Any, *args: Any) -> Steps:
    """Call a function whatever happens; returns what it raised."""
    return (yield from guarded(Ensure(fn, args)))
