"""Transactions: a group of task runs that commits together, or is taken back by its rollback hooks.

What completes in the block of a transaction becomes a member of it, in the order of completing. At the commit the members
that another layer has prepared (`Participant`) are made visible one after the other, and the commit hooks run; at a rollback
everything is undone in reverse. An inner transaction that ends well gives its members to the outer one.
"""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager
from enum import StrEnum
from types import TracebackType
from typing import TYPE_CHECKING, Any

from headwater import failpoints
from headwater.core import recording
from headwater.core.context import _transaction, current, current_open, open_transaction
from headwater.core.decisions import is_cancellation
from headwater.core.drivers import drive_async, drive_sync
from headwater.core.effects import Settle, Steps, gathered, guarded
from headwater.core.engine import leave
from headwater.core.signals import raise_pending
from headwater.core.states import State
from headwater.core.tracebacks import summary
from headwater.core.transaction_members import (
    DoneRun,
    DoneTask,
    Member,
    Participant,
    committed,
    ensured,
    participants,
    undone,
)
from headwater.errors import TransactionError, UsageError
from headwater.types import ErrorInfo

if TYPE_CHECKING:
    from contextvars import Token
    from typing import Self

    from headwater.core.context import Run, RunContext, TaskCall
    from headwater.core.futures import TaskFuture
    from headwater.core.task import Task


class TransactionState(StrEnum):
    """Where a transaction stands."""

    OPEN = "Open"
    JOINED = "Joined"
    """It ended well, and what is in it belongs to the transaction around it."""
    COMMITTED = "Committed"
    ROLLED_BACK = "RolledBack"


class Transaction:
    """What `transaction()` gives: values for the hooks, and a way to ask for a rollback. Used by one `with` block, once.

    >>> from headwater import flow, task, transaction
    >>> from headwater.testing import project
    >>> with project():
    ...     @task
    ...     def load(rows):
    ...         return len(rows)
    ...     @load.on_commit
    ...     def tell(outcome):
    ...         print(f"{outcome.name} {outcome.get('table')}: {outcome.result}")
    ...     @flow
    ...     def nightly():
    ...         with transaction() as txn:
    ...             txn.set("table", "orders")
    ...             load([1, 2, 3])
    ...         return txn.state.value
    ...     nightly()
    load orders: 3
    'Committed'
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name or "transaction"
        """What it is called in messages."""
        self.errors: list[BaseException] = []
        """What its hooks raised."""
        self.parent: Transaction | None = None
        """The transaction around it."""
        self._state = TransactionState.OPEN
        self._lock = threading.Lock()
        self._members: list[Member] = []
        self._pending: dict[str, TaskFuture[Any]] = {}
        self._data: dict[str, Any] = {}
        self._asked: str | None = None
        self._why: ErrorInfo | None = None
        self._run: Run | None = None
        self._own: AbstractContextManager[RunContext] | None = None
        self._token: Token[Transaction | None] | None = None

    def __repr__(self) -> str:
        return f"<Transaction {self.name} {self._state.value}>"

    @property
    def state(self) -> TransactionState:
        """Where it stands."""
        return self._state

    def set(self, name: str, value: Any) -> None:
        """Keep a value for the hooks, and for whoever asks in the block."""
        self._data[name] = value

    def get(self, name: str, default: Any = None) -> Any:
        """A value that was set in this transaction, or in one around it."""
        if name in self._data:
            return self._data[name]
        return default if self.parent is None else self.parent.get(name, default)

    def rollback(self, reason: str = "it was asked for") -> None:
        """Have it rolled back when the block ends, which goes on until then and raises nothing."""
        self._asked = reason

    def wait_for(self, future: TaskFuture[Any]) -> None:
        """A task was submitted in the block: it ends before the transaction does."""
        self._pending[future.task_run_id] = future

    def enlist(self, participant: Participant) -> bool:
        """Have something published at the commit. False: there will be none any more, publish it now."""
        home = self._take(participant)
        if home is not None and home.state is TransactionState.ROLLED_BACK:
            participant.drop(home._reason(None))
        return home is not None

    def holds(self) -> frozenset[Any]:
        """The keys of all that is prepared here or around here, and not published."""
        return frozenset(part.key for part in self._parts())

    def prepared(self, key: Any) -> Participant | None:
        """What was prepared last for a key, here or around here, and is not published."""
        return next((part for part in self._parts() if part.key == key), None)

    def _parts(self) -> list[Participant]:
        """All that is prepared here or around here: the innermost first, and of one transaction the last first."""
        found: list[Participant] = []
        with self._lock:
            one: Transaction | None = self
            while one is not None:
                found += reversed(list(participants(one._members)))
                one = one.parent
        return found

    def nearest_open(self) -> Transaction | None:
        """This transaction, or the nearest one around it that has not ended."""
        one: Transaction | None = self
        while one is not None and one._state is not TransactionState.OPEN:
            one = one.parent
        return one

    def joined(self, run: Run) -> None:
        """The run of a flow has completed in the block."""
        self._take(DoneRun(run))

    def _take(self, member: Member) -> Transaction | None:
        """Make it a member; gives the transaction that it belongs to, None when that was committed before."""
        with self._lock:
            home = self._home()
            if home._state is TransactionState.OPEN:
                home._members.append(member)
            return None if home._state is TransactionState.COMMITTED else home

    def _home(self) -> Transaction:
        one = self
        while one._state is TransactionState.JOINED and one.parent is not None:
            one = one.parent
        return one

    def _reason(self, error: BaseException | None) -> ErrorInfo:
        if self._why is None:
            because = summary(error) if error is not None else self._asked or "the one around it was"
            self._why = ErrorInfo(type="RolledBack", message=f"its transaction was rolled back: {because}")
        return self._why

    # The block.

    def __enter__(self) -> Self:
        context = current_open()
        if context is not None and context.is_async:
            raise UsageError(
                "'with transaction()' would block the event loop that this runs in",
                hint="write async with transaction()",
            )
        if context is None:
            from headwater.core.runs import open_run

            self._check_unused()
            self._own = open_run(flow=self.name)
            context = self._own.__enter__()
        return self._begin(context)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        run = self._left()
        if run is None:
            return
        try:
            final: BaseException | None = drive_sync(self._settled(run, error), run)
        finally:
            self._leave()
        if self._own is not None:
            final = self._ended_with(self._own, run, final)
        elif final is None and run.root.signal is not None:
            raise_pending()
        if final is not None and final is not error:
            raise final

    async def __aenter__(self) -> Self:
        context = current()
        if context is None:
            raise UsageError(
                "'async with transaction()' stands outside any run",
                hint="call it in an async flow or task; with transaction() works anywhere",
            )
        return self._begin(context)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        run = self._left()
        if run is None:
            return
        steps = self._settled(run, error)
        try:
            # A coroutine that is being closed may await nothing more.
            closed = isinstance(error, GeneratorExit)
            final: BaseException | None = drive_sync(steps, run) if closed else await drive_async(steps, run)
        finally:
            self._leave()
        if final is not None and final is not error:
            raise final

    def _check_unused(self) -> None:
        if self._run is not None:
            raise UsageError(f"the {self.name} was used already", hint="write with transaction() for each block")

    def _begin(self, context: RunContext) -> Self:
        self._check_unused()
        self.parent = open_transaction()
        if self.parent is not None:
            # One lock for all that may join each other.
            self._lock = self.parent._lock
        self._run = context.run
        self._token = _transaction.set(self)
        return self

    def _left(self) -> Run | None:
        """The run that the block is in; None in a forked child, which ends nothing of its parent's."""
        run = self._run
        assert run is not None
        if run.pid == os.getpid():
            return run
        self._leave()
        return None

    def _leave(self) -> None:
        token, self._token = self._token, None
        if token is not None:
            leave(token)

    def _ended_with(
        self, own: AbstractContextManager[RunContext], run: Run, error: BaseException | None
    ) -> BaseException | None:
        """End the run of its own, as the transaction has ended; gives the error that leaves the block."""
        try:
            own.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)
        except BaseException as raised:  # noqa: BLE001 - the caller raises it
            return raised
        if error is None and self._state is TransactionState.ROLLED_BACK:
            recording.run_ended(run, State.ROLLED_BACK, self._reason(None))
        return error

    # How it ends: steps for the engine's drivers, which return the error that leaves the block.

    def _settled(self, run: Run, error: BaseException | None) -> Steps:
        error = yield from self._waited(run, error)
        # What hooks call belongs to no transaction: it would be taken back with what it makes good.
        token = _transaction.set(None)
        try:
            if error is None and self._asked is None:
                home = self._joins()
                if home is self:
                    return (yield from self._commit(run))
                if home._state is TransactionState.OPEN:
                    return None
            interrupted = yield from self._roll_back(run, error)
            return error if interrupted is None else interrupted
        finally:
            leave(token)

    def _waited(self, run: Run, error: BaseException | None) -> Steps:
        """Wait for what was submitted in the block, but not for ever in a run that was asked to stop."""
        if isinstance(error, GeneratorExit):
            return error
        if error is None or not is_cancellation(error):
            try:
                yield from gathered(self._pending)
            except BaseException as raised:  # noqa: BLE001 - it rolls back, and is raised then
                error = raised
        if error is not None and is_cancellation(error):
            if run.cancelled.is_set():
                # It may be only marked: those who wait hear of it now.
                run.cancelled.set()
            yield from guarded(Settle(run, tuple(self._pending.values())))
        elif error is None:
            for future in tuple(self._pending.values()):
                if future.error is not None and not future.looked_at:
                    future.looked_at = True
                    return future.error
        self._pending.clear()
        return error

    def _joins(self) -> Transaction:
        """Give what is in it to the transaction around it; the one that it belongs to now: itself when it is the outermost."""
        with self._lock:
            home = self if self.parent is None else self.parent._home()
            if home is not self and home._state is TransactionState.OPEN:
                home._members += self._members
                self._members = []
                self._state = TransactionState.JOINED
            elif home is self or home._state is TransactionState.COMMITTED:
                self._state = TransactionState.COMMITTED
                return self
            return home

    def _commit(self, run: Run) -> Steps:
        members, parts = self._members, list(participants(self._members))
        if parts:
            failpoints.reach("transaction.commit")
        for part in parts:
            failure = yield from ensured(part.publish)
            if failure is not None:
                return (yield from self._broken(run, failure))
            failpoints.reach("transaction.published")
        if parts:
            failpoints.reach("transaction.committed")
        self._members = []
        return (yield from committed(self.errors, [member for member in members if isinstance(member, DoneTask)]))

    def _broken(self, run: Run, failure: BaseException) -> Steps:
        """Something could not be published: what was stays, everything else is taken back."""
        parts = list(participants(self._members))
        kept = ", ".join(part.name for part in parts if part.published) or "nothing"
        lost = ", ".join(part.name for part in parts if not part.published) or "nothing"
        said = f"published: {kept}; not published: {lost}"
        error: BaseException = failure
        if is_cancellation(failure):
            failure.add_note(f"it came while the {self.name} was committed; {said}")
        else:
            hint = "what is published stays; mend the cause and run again what is not"
            error = TransactionError(f"the {self.name} was not committed: {summary(failure)}; {said}", hint=hint)
            error.__cause__ = failure
        interrupted = yield from self._roll_back(run, error)
        return error if interrupted is None else interrupted

    def _roll_back(self, run: Run, error: BaseException | None) -> Steps:
        # The signal that leads here has been heard; another one gives up the hook that runs then.
        run.root.unheard = False
        with self._lock:
            self._state = TransactionState.ROLLED_BACK
            members, self._members = self._members, []
        why = self._reason(error)
        return (yield from undone(self.errors, run, members, why, error))


def transaction(name: str | None = None) -> Transaction:
    """A block whose tasks commit together or are rolled back: `with transaction():`, in async code `async with transaction():`.

    When the block raises, when a task that was submitted in it fails and nobody looked, when `rollback()` was called or the
    run is asked to stop, each task run that had completed becomes RolledBack, and all their `on_rollback` hooks are
    called, the last one first. What the block raised is raised; what hooks raised stands in its notes. Outside any run it is
    a run of its own, with this name. Raises TransactionError when not everything could be published at the commit.

    >>> from headwater import task, transaction
    >>> from headwater.testing import project
    >>> with project():
    ...     @task
    ...     def reserve(seat):
    ...         return seat
    ...     @reserve.on_rollback
    ...     def release(outcome):
    ...         print(f"released {outcome.result}")
    ...     with transaction() as txn:
    ...         _ = reserve("12A"), reserve("12B")
    ...         txn.rollback("no card")
    released 12B
    released 12A
    """
    return Transaction(name)


def get_transaction() -> Transaction | None:
    """The innermost transaction that this code is in, None outside of any.

    >>> get_transaction() is None
    True
    """
    return open_transaction()


def completed(task: Task[..., Any], call: TaskCall, value: Any) -> Steps:
    """A task run has completed: a member of its transaction now. Without one, or after its end, it has its fate at once.

    Returns what interrupted the hooks that were called then.
    """
    member, home = DoneTask.of(task, call, value), None
    if call.transaction is not None:
        call.transaction._pending.pop(call.task_run_id, None)
        home = call.transaction._take(member)
    if home is None:
        return (yield from committed([], [member]))
    if home._state is TransactionState.ROLLED_BACK:
        return (yield from undone(home.errors, call.context.run, [member], home._reason(None), None))
    return None
