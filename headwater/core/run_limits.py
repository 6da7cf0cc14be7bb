"""How many runs of a flow there may be at once: who comes when there are as many waits, is skipped, or asks one to stop."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from headwater.core import recording
from headwater.core.concurrency import Holder, Slots, told
from headwater.core.context import RunContext
from headwater.core.effects import Invoke, Steps
from headwater.core.events import RunCancelRequested
from headwater.core.gates import Turn
from headwater.core.processes import terminate
from headwater.core.states import State
from headwater.errors import DefinitionError, HeadwaterError, RunSkipped

if TYPE_CHECKING:
    from headwater.core.context import Run
    from headwater.core.flow import Flow
    from headwater.core.journal.carrier import SeenLock
    from headwater.core.rates import RateTurn

PREFIX = "runs:"
"""What the locks of runs are called, before the flow's name."""

_PATIENCE = 0.5
"""Seconds after which a run that waits looks whether there is another one to ask."""

_here: dict[str, Run] = {}
"""The runs of this process that hold a slot, by id."""


def check_run_key(key: Callable[..., object], parameters: Collection[str], where: str) -> None:
    """Raise DefinitionError when a `run_key` can't be called with these parameters by their names.

    >>> check_run_key(lambda region, **rest: region, ["region", "day"], "flows.py:3")
    >>> check_run_key(lambda region: region, ["region", "day"], "flows.py:3")
    Traceback (most recent call last):
    ...
    headwater.errors.DefinitionError: run_key can't be called with the flow's parameters: got an unexpected keyword argument 'day'
      where: flows.py:3
      hint: it gets all of them by name: region, day; **rest takes those that do not count
    """
    try:
        signature = inspect.signature(key)
    except ValueError:
        return  # written in C: it is not known what it takes
    try:
        signature.bind(**dict.fromkeys(parameters))
    except TypeError as error:
        raise DefinitionError(
            f"run_key can't be called with the flow's parameters: {error}",
            where=where,
            hint=f"it gets all of them by name: {', '.join(parameters) or 'there are none'}; **rest takes those that do not count",
        ) from None


def _spelled(flow: str) -> str:
    """A flow's name, so that a key may follow it behind a colon: the key 'b' of 'a' is told from a flow 'a:b'.

    Other names stay as they are: that is what runs of an older version hold.

    >>> _spelled("nightly"), _spelled("a:b")
    ('nightly', '"a:b"')
    """
    return json.dumps(flow) if ":" in flow or flow.startswith('"') else flow


class RunLimits:
    """What an attempt of a run holds, from before its function is called until its end is recorded."""

    def __init__(
        self, flow: Flow[..., Any], run: Run, parameters: Mapping[str, Any], tell: Callable[[State], Steps]
    ) -> None:
        self._flow, self._run, self._parameters, self._tell = flow, run, parameters, tell
        self._slots: Slots | None = None
        self._turn: Turn | None = None
        self._lock = ""
        self._asked: set[str] = set()

    def around(self, body: Invoke | Steps) -> Steps:
        """The body, once the run holds what it needs. Raises RunSkipped when it is not to wait."""
        yield from self._name()
        self._slots = slots = self._needed()
        for turn in slots.waits():
            yield from self._wait(turn)
        if self._lock:
            self._run.holds = self._lock
            _here[self._run.run_id] = self._run
        return (yield body) if isinstance(body, Invoke) else (yield from body)

    def free(self) -> None:
        """Give back what it holds: its end is recorded."""
        self._run.holds = ""
        _here.pop(self._run.run_id, None)
        if self._slots is not None:
            self._slots.free()

    def _name(self) -> Steps:
        options = self._flow.options
        if options.max_runs is None:
            return
        name = PREFIX + _spelled(self._flow.name)
        if options.run_key is not None:
            key = yield Invoke(options.run_key, (), self._parameters)
            name += f":{key}"
        if not any(run.holds == name for run in self._run.outwards()):  # a flow that calls itself waits for nobody
            self._lock = name

    def _needed(self) -> Slots:
        options, context = self._flow.options, RunContext(self._run)
        rates = [(self._flow.name if name is None else name, rate) for name, rate in options.rate]
        slots = Slots.of(
            options.limits,
            self._run.root.runtime.limits,
            rates=rates,
            context=context,
            is_async=self._flow.is_async,
        )
        if self._lock:
            assert options.max_runs is not None
            text = told(self._lock, options.max_runs, context)
            locks = self._run.root.runtime.locks
            self._turn = Turn(locks, self._lock, options.max_runs, told=text, is_async=self._flow.is_async)
            slots.first(self._turn)
        return slots

    def _wait(self, turn: Turn | RateTurn) -> Steps:
        when_full = self._flow.options.when_full if turn is self._turn else "queue"
        if when_full == "skip":
            raise self._skipped()
        recording.run_changed(self._run, State.AWAITING_SLOT, turn.limit)
        yield from self._tell(State.AWAITING_SLOT)
        wait = turn.wait_async if self._flow.is_async else turn.wait
        seconds = _PATIENCE if when_full == "cancel" else None
        got = False
        while not got:
            if seconds is not None:
                yield Invoke(self._ask_to_stop)
            got = yield Invoke(wait, (self._run, seconds))
        recording.run_changed(self._run, State.RUNNING, turn.limit)

    def _holders(self) -> list[tuple[SeenLock, Holder]]:
        seen = [lock for lock in self._run.root.runtime.locks.seen() if lock.name == self._lock]
        return [(lock, holder) for lock in seen if (holder := Holder.of(lock.told)) is not None]

    def _skipped(self) -> RunSkipped:
        runs = ", ".join(str(holder.run_id) for _, holder in self._holders()) or "another run"
        most = self._flow.options.max_runs
        error = RunSkipped(
            f"the flow '{self._flow.name}' was skipped: {runs} runs, and at most {most} may at once",
            where=self._lock.removeprefix(PREFIX),
            hint='call it again later, or let it wait with when_full="queue"',
        )
        error.of = self._run.run_id
        return error

    def _ask_to_stop(self) -> None:
        """Ask the runs that hold the slots to stop, each once: as many as are needed, which is one."""
        holders = self._holders()
        most = self._flow.options.max_runs or 1
        if len(holders) < most or any(holder.run_id in self._asked for _, holder in holders):
            return
        lock, holder = min(holders, key=lambda one: str(one[1].run_id))
        if holder.run_id is None:
            return
        self._asked.add(holder.run_id)
        run = self._run
        run.root.journal.append(
            RunCancelRequested(run_id=holder.run_id, attempt=holder.attempt, asked_by=f"run {run.run_id}")
        )
        other = _here.get(holder.run_id)
        if other is not None:
            other.cancelled.set()
            return
        try:
            terminate(lock.pid, lambda: any(one == lock for one, _ in self._holders()))
        except PermissionError as error:
            raise HeadwaterError(
                f"the run {holder.run_id} can't be asked to stop: process {lock.pid} belongs to somebody else",
                hint="ask its owner",
            ) from error
