"""Limits: so many at once, in all processes of a home. As a block of code, as an option of tasks, and by their tags.

A slot is a lock of the home, so that the death of a process frees it. Several are taken in the order of their names, so that
nobody waits for somebody who waits for them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from headwater import clock
from headwater.core import recording, runtime
from headwater.core.context import current, running_loop
from headwater.core.decisions import is_cancellation
from headwater.core.effects import Invoke, Steps
from headwater.core.engine import tell
from headwater.core.gates import PREFIX, Turn
from headwater.core.signals import raise_pending
from headwater.errors import DefinitionError, LockTimeout, TimeLimitExceeded
from headwater.records import dataclass

if TYPE_CHECKING:
    from types import TracebackType

    from headwater.core.context import RunContext, TaskCall
    from headwater.core.options import TaskOptions
    from headwater.core.rates import Rate, RateTurn
    from headwater.core.task import Task

Needs: TypeAlias = tuple[tuple[str, int | None], ...]
"""Names of limits, each with how many may hold it at once; None: as the settings say."""


def limits_of(given: object) -> Needs:
    """Names and numbers, as the option `limits` is written, in the order in which they are taken. Raises DefinitionError.

    >>> limits_of("warehouse"), limits_of({"warehouse": 3, "api": 1})
    ((('warehouse', None),), (('api', 1), ('warehouse', 3)))
    """
    if given is None:
        return ()
    if isinstance(given, str):
        given = (given,)
    if not isinstance(given, Iterable):
        raise DefinitionError(f"limits are names, got {given!r}", hint=_HINT)
    items = (
        given.items() if isinstance(given, Mapping) else [(one, None) if isinstance(one, str) else one for one in given]
    )
    found: dict[str, int | None] = {}
    for item in items:
        if not isinstance(item, tuple) or len(item) != 2 or not isinstance(item[0], str) or not item[0]:
            raise DefinitionError(f"the name of a limit is a text, got {item!r}", hint=_HINT)
        found[item[0]] = None if item[1] is None else number_of(item[0], item[1])
    return tuple(sorted(found.items(), key=lambda one: one[0]))


_HINT = 'write limits="warehouse" or limits={"warehouse": 3}'


def number_of(name: str, given: object) -> int:
    """How many may hold a limit at once. Raises DefinitionError for what is no number from 1.

    >>> number_of("warehouse", 3)
    3
    """
    if not isinstance(given, int) or isinstance(given, bool) or given < 1:
        raise DefinitionError(f"the limit '{name}' is a number from 1, got {given!r}", hint=f'write {{"{name}": 3}}')
    return given


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a slot, as it is told to whoever looks."""

    limit: str
    slots: int
    run_id: str | None = None
    attempt: int = 1
    flow: str | None = None
    task: str | None = None
    task_run_id: str | None = None

    def text(self) -> str:
        """What `HeldLock.tell` is given."""
        return json.dumps([getattr(self, name) for name in self.__slots__])

    @classmethod
    def of(cls, text: str) -> Holder | None:
        """What `text` gave; None for anything else.

        >>> Holder.of(Holder(limit="warehouse", slots=3).text())
        Holder(limit='warehouse', slots=3, run_id=None, attempt=1, flow=None, task=None, task_run_id=None)
        """
        try:
            return cls(**dict(zip(cls.__slots__, json.loads(text), strict=True)))
        except (ValueError, TypeError):
            return None


class Slots:
    """The slots that somebody needs, and the rates: taken one after the other, given back together."""

    def __init__(self, turns: list[Turn | RateTurn], *, is_async: bool) -> None:
        self._turns = turns
        self.is_async = is_async

    @classmethod
    def of(
        cls,
        needs: Needs,
        settings: Mapping[str, int],
        *,
        rates: Iterable[tuple[str, Rate]] = (),
        context: RunContext | None = None,
        is_async: bool = False,
    ) -> Slots:
        """Those of these names; where the settings say a number, too, the smaller one holds. Raises DefinitionError."""
        found = runtime.current()
        wanted = [(name, smallest(name, number, settings.get(name))) for name, number in needs]
        turns: list[Turn | RateTurn] = []
        for name, slots in wanted:
            text = told(name, slots, context)
            turns.append(Turn(found.locks, PREFIX + name, slots, told=text, is_async=is_async))
        for name, rate in rates:
            from headwater.core.rates import FOLDER, RateTurn

            text = told(f"rate:{name}", 1, context)
            turns.append(RateTurn(found.locks, found.home.path / FOLDER, name, rate, told=text, is_async=is_async))
        return cls(turns, is_async=is_async)

    def first(self, turn: Turn) -> None:
        """Take this one before the others."""
        self._turns.insert(0, turn)

    def waits(self) -> Iterator[Turn | RateTurn]:
        """Take what can be had; gives each turn that has to be waited for before it goes on."""
        for turn in self._turns:
            if not turn.start():
                yield turn

    def take(self, timeout: float | None = None) -> None:
        """Take them all, waiting in this thread. Raises LockTimeout or TimeLimitExceeded, and then holds none."""
        context, until = current(), clock.deadline(timeout)
        try:
            for turn in self.waits():
                with _awaiting(context, turn):
                    if not turn.wait(None if context is None else context.run, clock.left(until)):
                        raise _too_long(turn, timeout)
            # A signal that arrived meanwhile is only marked, and the block may last.
            raise_pending()
        except BaseException:
            self.free()
            raise

    async def take_async(self, timeout: float | None = None) -> None:
        """The same in a coroutine, without holding up its loop."""
        context, until = current(), clock.deadline(timeout)
        try:
            for turn in self.waits():
                with _awaiting(context, turn):
                    if not await turn.wait_async(None if context is None else context.run, clock.left(until)):
                        raise _too_long(turn, timeout)
        except BaseException:
            self.free()
            raise

    async def pass_async(self, timeout: float | None = None) -> None:
        """Take them all, and give them back at once."""
        await self.take_async(timeout)
        self.free()

    def free(self) -> None:
        """Give them all back, and the places in lines; nothing happens when that was done before."""
        for turn in reversed(self._turns):
            turn.free()


class concurrency:
    """A block of code that so many may be in at once, in all processes of a home: `with` it, or `async with` it.

    One name and a number, several names (`["warehouse", "api"]`), or a mapping of names to numbers; a number that is left out
    stands in the settings (`[tool.headwater.limits]`), and where both say one the smaller one holds. Who comes first is
    served first; the death of a process frees what it held. Not reentrant. Raises LockTimeout when it takes longer than
    `timeout` seconds, DefinitionError for what is no limit.

    >>> from headwater.testing import project
    >>> with project():
    ...     with concurrency("warehouse", 3), concurrency("warehouse", 3):
    ...         "two of three"
    'two of three'
    """

    def __init__(
        self,
        names: str | Iterable[str] | Mapping[str, int | None],
        limit: int | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        needs = limits_of(names)
        if not needs:
            raise DefinitionError("a block without a limit's name", hint='write concurrency("warehouse", 3)')
        number = None if limit is None else number_of(needs[0][0], limit)
        self._needs: Needs = tuple((name, number if given is None else given) for name, given in needs)
        self._timeout = clock.patience(timeout)
        self._held: list[Slots] = []

    def _slots(self, *, is_async: bool) -> Slots:
        return Slots.of(self._needs, runtime.current().limits, context=current(), is_async=is_async)

    def __enter__(self) -> concurrency:
        slots = self._slots(is_async=False)
        slots.take(self._timeout)
        self._held.append(slots)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.pop().free()
        if error is None:
            raise_pending()

    async def __aenter__(self) -> concurrency:
        slots = self._slots(is_async=True)
        await slots.take_async(self._timeout)
        self._held.append(slots)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.pop().free()


def limited(task: Task[..., Any], call: TaskCall, steps: Steps) -> Steps:
    """A try of a task that holds what its options and its tags ask for; recorded as AwaitingSlot while it has to wait."""
    options, context = task.options, call.context
    settings: Mapping[str, int] = context.run.root.runtime.limits
    needs = needs_of(options, settings)
    if not needs and not options.rate:
        return (yield from steps)
    rates = [(task.name if name is None else name, rate) for name, rate in options.rate]
    # A coroutine that runs in another process is waited for in a thread.
    is_async = task.is_async and running_loop() is not None
    slots = Slots.of(needs, settings, rates=rates, context=context, is_async=is_async)
    try:
        for turn in slots.waits():
            recording.task_awaits_slot(call, turn.limit)
            if options.hooks:
                yield from tell(task, call)
            yield Invoke(turn.wait_async if is_async else turn.wait, (context.run,))
            recording.task_has_slot(call, turn.limit)
        return (yield from steps)
    finally:
        slots.free()


def needs_of(options: TaskOptions, settings: Mapping[str, int]) -> Needs:
    """The limits of a task: its own, and those that the settings give its tags.

    >>> from headwater.core.options import TaskOptions
    >>> needs_of(TaskOptions.of({"limits": "api", "tags": ["etl", "daily"]}), {"tag:etl": 2, "api": 3})
    (('api', None), ('tag:etl', None))
    """
    if not settings or not options.tags:
        return options.limits
    tags = [(f"tag:{tag}", None) for tag in options.tags if f"tag:{tag}" in settings]
    return tuple(sorted({**dict(tags), **dict(options.limits)}.items(), key=lambda one: one[0]))


def smallest(name: str, *numbers: int | None) -> int:
    """How many may hold a limit, of the numbers that are given. Raises DefinitionError when there is none."""
    given = [number for number in numbers if number is not None]
    if not given:
        raise DefinitionError(
            f"nobody says how many may hold the limit '{name}' at once",
            hint=f'write the number with it, {{"{name}": 3}}, or in pyproject.toml: [tool.headwater.limits] "{name}" = 3',
        )
    return min(given)


def told(name: str, slots: int, context: RunContext | None) -> str:
    """What is told of a slot that this code holds."""
    if context is None:
        return Holder(limit=name, slots=slots).text()
    return Holder(
        limit=name,
        slots=slots,
        run_id=context.run_id,
        attempt=context.attempt,
        flow=context.flow,
        task=context.task,
        task_run_id=context.task_run_id,
    ).text()


class _awaiting:
    """The task run that this code belongs to is AwaitingSlot meanwhile, and Running again afterwards."""

    def __init__(self, context: RunContext | None, turn: Turn | RateTurn) -> None:
        self._turn = turn
        self._call: TaskCall | None = None
        if context is not None and context.task_run_id is not None:
            self._call = context.run.root.open_tasks.get(context.task_run_id)

    def __enter__(self) -> None:
        if self._call is not None:
            recording.task_awaits_slot(self._call, self._turn.limit)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        # Who gave up goes on without the slot; who is to stop does not go on.
        if self._call is not None and (error is None or not is_cancellation(error)):
            recording.task_has_slot(self._call, self._turn.limit)


def _too_long(turn: Turn | RateTurn, seconds: float | None) -> LockTimeout | TimeLimitExceeded:
    if not isinstance(turn, Turn):
        return TimeLimitExceeded(
            f"the rate limit '{turn.name.partition(':')[2]}' lets nothing through within {seconds:g} s",
            hint="wait longer with timeout=…, or call less often",
        )
    name = turn.name.partition(":")[2]
    seen = [lock for lock in runtime.current().locks.seen() if lock.name == turn.name]
    what = f"all {turn.slots} slots of the limit '{name}' are" if turn.slots > 1 else f"the limit '{name}' is"
    people = ", ".join(sorted(f"{_who(Holder.of(lock.told))}process {lock.pid}" for lock in seen)) or "somebody else"
    return LockTimeout(
        f"{what} held by {people}; waited {seconds:g} s",
        hint="headwater limits shows who holds them; they are freed when their process ends",
    )


def _who(holder: Holder | None) -> str:
    if holder is None or holder.run_id is None:
        return ""
    return f"'{holder.task or holder.flow}' in "
