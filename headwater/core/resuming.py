"""Resuming a run: another attempt of it in which the calls that completed earlier are not made again.

While a flow runs, each call of a task notes who it is (`identity`) and keeps what it returned, if that is small and plain or
the task asks for it: both stand in the journal with the task run's end. A resumed attempt runs the flow's function again; each
call that completed in an earlier attempt, with a result that can be restored, ends as Cached with that result.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from headwater.core import recording
from headwater.core.decisions import is_cancellation
from headwater.core.effects import Invoke
from headwater.core.prints import log_record
from headwater.core.states import State
from headwater.errors import HeadwaterError, UnknownNameError, UsageError
from headwater.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Generator

    from headwater.core.call_records import CallRecord
    from headwater.core.context import RootRun, TaskCall
    from headwater.core.flow import Flow
    from headwater.core.results import KeptResult
    from headwater.core.task import Task

LOGGER = "headwater.resume"
"""The logger under which a run's journal says why a call was made again."""
_INFO = 20
_DONE = frozenset({State.COMPLETED, State.CACHED})


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierCall:
    """A task run of an earlier attempt."""

    task_run_id: str
    task: str
    attempt: int
    """The attempt of the outermost run that it was part of."""
    state: str
    started: int
    ended: int | None = None
    outer: str | None = None
    """The task run that called it, or its subflow."""
    identity: str | None = None
    result: KeptResult | None = None
    sources: tuple[dict[str, Any], ...] | None = None
    """The asset versions whose data the result is known to be."""
    unkept: str | None = None
    """Why its result was not kept, or why it has no identity."""
    code: str | None = None

    @property
    def completed(self) -> bool:
        """Whether there was a result."""
        return self.state in _DONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Reused:
    """A call that was not made again: the task run that ended as Cached, and where its result comes from."""

    task: str
    task_run_id: str
    earlier: EarlierCall
    changed: bool
    """Whether the task's code is not what it was then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """A call that was made although one like it had completed, or may have: and why."""

    task: str
    task_run_id: str
    reason: str


class Earlier:
    """The calls of a run's earlier attempts, to be asked for one by one.

    Of calls that are alike, the n-th one gets what the n-th one that completed returned, in the newest attempt that had so
    many. `again` says, by task run, why a call that completed is to be made again.
    """

    def __init__(
        self,
        calls: Iterable[EarlierCall],
        *,
        last_attempt: int,
        again: Mapping[str, str] | None = None,
    ) -> None:
        self.last_attempt = last_attempt
        self.calls = tuple(calls)
        self.again_why = again or {}
        self.reused: list[Reused] = []
        self.again: list[Again] = []
        self._mutex = threading.Lock()
        self._alike = _by_identity(self.calls)
        self._nameless = {one.task: one for one in self.calls if one.completed and one.identity is None}
        self._taken: defaultdict[str, int] = defaultdict(int)

    def rewind(self) -> None:
        """Another attempt begins: every call may be asked for anew."""
        with self._mutex:
            self._taken.clear()
            self.reused.clear()
            self.again.clear()

    def take(self, identity: str) -> EarlierCall | None:
        """The next one of the calls that are alike, or None when no more of them completed."""
        with self._mutex:
            alike = self._alike.get(identity, ())
            at = self._taken[identity]
            if at >= len(alike):
                return None
            self._taken[identity] = at + 1
            return alike[at]

    def unnamed(self, task: str) -> bool:
        """Whether a call of this task completed that can't be told from others of it."""
        return task in self._nameless

    def refusal(self, found: EarlierCall) -> str | None:
        """Why a completed call is to be made again; None when its result can be tried."""
        if found.identity is None:
            return f"it can't be told from other calls: {found.unkept or 'it was recorded without'}"
        why = self.again_why.get(found.task_run_id)
        if why is None and found.state == State.ROLLED_BACK:
            why = "its transaction was rolled back"
        if why is None and found.result is None:
            why = f"its result was not kept: {found.unkept or 'it was recorded without'}"
        return why

    def prospects(self) -> list[tuple[EarlierCall, str | None]]:
        """The completed calls that another attempt may reuse, each with why it can't; those of no avail are left out."""
        alike = [one for several in self._alike.values() for one in several]
        known = [*alike, *self._nameless.values()]
        return [(one, self.refusal(one)) for one in sorted(known, key=lambda one: one.task_run_id)]

    def note(self, found: Reused | Again) -> None:
        """Keep what became of a call, to be told."""
        with self._mutex:
            if isinstance(found, Reused):
                self.reused.append(found)
            else:
                self.again.append(found)


def _by_identity(calls: Iterable[EarlierCall]) -> dict[str, tuple[EarlierCall, ...]]:
    attempts: defaultdict[str, defaultdict[int, list[EarlierCall]]] = defaultdict(lambda: defaultdict(list))
    # In the order in which they were called: ids of task runs grow with time.
    for one in sorted(calls, key=lambda one: one.task_run_id):
        # What was taken back hides what the same call had made before: that was taken back with it.
        if one.identity is not None and (one.completed or one.state == State.ROLLED_BACK):
            attempts[one.identity][one.attempt].append(one)
    return {identity: _newest(by_attempt) for identity, by_attempt in attempts.items()}


def _newest(by_attempt: Mapping[int, list[EarlierCall]]) -> tuple[EarlierCall, ...]:
    found: list[EarlierCall] = []
    for attempt in sorted(by_attempt, reverse=True):
        found += by_attempt[attempt][len(found) :]
    return tuple(found)


def made_again_from(calls: Iterable[EarlierCall], task: str) -> dict[str, str]:
    """The calls that `retry --from TASK` makes again, with why: the task's own, what they ran within, what may have used them.

    What a call used is not known in general: what was called before the task was, or began before it had ended, can't
    have used it; all else may have.
    """
    known = list(calls)
    outer = {one.task_run_id: one.outer for one in known}
    found: dict[str, str] = {}
    ended: dict[int, int] = {}
    called: dict[int, str] = {}
    for one in known:
        if one.task != task:
            continue
        moment = _called(one)
        called[one.attempt] = min(called.get(one.attempt, moment), moment)
        found[one.task_run_id] = f"it is '{task}', from which on the run is retried"
        if one.ended is not None:
            ended[one.attempt] = min(ended.get(one.attempt, one.ended), one.ended)
        around = one.outer
        while around is not None:
            found.setdefault(around, f"it called '{task}', from which on the run is retried")
            around = outer.get(around)
    for one in known:
        is_later = one.started >= ended.get(one.attempt, one.started + 1)
        if is_later and _called(one) >= called[one.attempt]:
            found.setdefault(one.task_run_id, f"it began after '{task}' had ended, and may have used its result")
    return found


def _called(one: EarlierCall) -> str:
    """The millisecond that a call was made in, which its id begins with; it may have begun much later than that."""
    return one.task_run_id[:13]


@dataclass(frozen=True, slots=True)
class Restored:
    """The value of a call that was not made again."""

    value: Any


def reuse(task: Task[..., Any], call: TaskCall, earlier: Earlier) -> Generator[Invoke, Any, Restored | None]:
    """End a call with the result of an earlier attempt; None when it is to be made, which is then said with why."""
    record = call.record
    assert record is not None
    found, reason = _choose(earlier, call, record)
    if found is None:
        if reason is not None:
            _say_again(call, earlier, reason)
        return None
    assert found.result is not None
    try:
        value = yield Invoke(task.restore, (call, found.result))
        if found.sources:
            value = call.context.run.root.runtime.remember_sources(call.context, value, found.sources)
    except HeadwaterError as error:
        _say_again(call, earlier, f"its result can't be restored: {error.message}")
        return None
    except BaseException as error:
        recording.task_ended(call, State.CANCELLED if is_cancellation(error) else State.FAILED, error)
        raise
    record.earlier, record.result, record.sources = found, found.result, found.sources
    changed = None not in (found.code, record.code) and found.code != record.code
    earlier.note(Reused(task=task.name, task_run_id=call.task_run_id, earlier=found, changed=changed))
    if changed:
        _log(call, f"the code of '{task.name}' is not what it was when it made the result that is reused")
    recording.task_ended(call, State.CACHED)
    return Restored(value)


def _choose(earlier: Earlier, call: TaskCall, record: CallRecord) -> tuple[EarlierCall | None, str | None]:
    """The earlier call whose result will do, or why there is none; neither for a call that had not completed."""
    if record.identity is None:
        name = call.context.task or ""
        return None, f"it can't be told from other calls: {record.unkept}" if earlier.unnamed(name) else None
    found = earlier.take(record.identity)
    if found is None:
        return None, None
    why = earlier.refusal(found)
    return (found, None) if why is None else (None, why)


def _say_again(call: TaskCall, earlier: Earlier, reason: str) -> None:
    task = call.context.task or ""
    earlier.note(Again(task=task, task_run_id=call.task_run_id, reason=reason))
    _log(call, f"'{task}' runs again: {reason}")


def _log(call: TaskCall, message: str) -> None:
    call.context.journal.append(log_record(call.context, _INFO, LOGGER, message))


@dataclass(slots=True, kw_only=True, eq=False)
class Resumption:
    """A run that another attempt goes on with: how it was called, what was done, and the lock that claims it."""

    run_id: str
    last_attempt: int
    flow: str
    file: str
    function: str
    plain: Mapping[str, Any]
    kept: Mapping[str, str]
    defaulted: tuple[str, ...]
    lost: tuple[str, ...]
    earlier: Earlier
    expired: str | None = None
    """Before when task runs of it may be gone."""
    lock: Any = None

    def arguments(self, flow: Flow[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters to call the flow with: those of the run, and the given ones in their place.

        Raises UsageError that names those which were not kept and are not given, UnknownNameError for a wrong name.
        """
        from headwater.core.kept_parameters import restored_parameters

        for name in given:
            if name not in flow.parameters:
                raise UnknownNameError.of("parameter", name, flow.parameters, where=flow.name, none="it has none")
        left_out = frozenset((*self.defaulted, *self.lost, *self.kept, *given))
        kept = {name: text for name, text in self.kept.items() if name not in given}
        found = {**restored_parameters(flow, self.plain, kept, left_out), **given}
        missing = [name for name in self.lost if name not in given]
        if missing:
            raise UsageError(
                f"the run was not kept with its parameter{'s' if len(missing) > 1 else ''} {', '.join(missing)}: "
                "secrets and objects stand nowhere",
                where=self.run_id,
                hint="give " + " ".join(f"-p {name}=…" for name in missing),
            )
        gone = [name for name in found if name not in flow.parameters]
        if gone:
            raise UsageError(
                f"the flow '{flow.name}' has no parameter '{gone[0]}' any more",
                where=self.run_id,
                hint="start a new run instead",
            )
        return found

    def enter(self, root: RootRun) -> None:
        """The attempt begins: its calls ask what was done."""
        root.earlier, root.claimed, self.lock = self.earlier, self.lock, None

    def call(self, flow: Flow[..., Any], given: Mapping[str, Any]) -> Any:
        """Call the flow as another attempt of the run; what a call of the flow returns. Raises UsageError."""
        try:
            if flow.name != self.flow:
                raise UsageError(
                    f"this is a run of the flow '{self.flow}', and not of '{flow.name}'", where=self.run_id
                )
            args, kwargs = flow.unbind(self.arguments(flow, given))
        except BaseException:
            self.release()
            raise
        return flow.replace(resumption=self)(*args, **kwargs)

    def release(self) -> None:
        """Give up the claim."""
        held, self.lock = self.lock, None
        if held is not None:
            held.release()
