"""The way to a slot: whoever wants one waits in a line of this process, whose first stands in the line among processes.

So ten thousand who wait cost one file and the looks of one. A slot that is freed here goes straight to the next one here,
unless another process waits for it, too.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from headwater import clock
from headwater.core.journal import descriptors
from headwater.core.runners import waiting
from headwater.core.signals import interruptible, interruption, raise_pending

if TYPE_CHECKING:
    from headwater.core.context import Run
    from headwater.core.journal.carrier import HeldLock, LockTable


PREFIX = "limit:"
"""What the locks of limits are called, before the limit's name."""

_SELDOM = 1.0
"""Seconds between two looks of who is going to be told."""


class Bell(Protocol):
    """Wakes somebody who waits."""

    def ring(self) -> None:
        """Wake them, now or when they are about to wait."""
        ...


class ThreadBell:
    """Wakes a thread."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def ring(self) -> None:
        """Wake it, now or when it is about to wait."""
        self._event.set()

    @interruptible
    def wait(self, seconds: float | None) -> None:
        """Wait for so many seconds at most (None: for ever)."""
        raise_pending()
        clock.in_slices(self._event.wait, seconds)
        self._event.clear()


class LoopBell:
    """Wakes a coroutine, from any thread."""

    def __init__(self) -> None:
        import asyncio

        self._event = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def ring(self) -> None:
        """Wake it, now or when it is about to wait; nothing happens when its loop has closed."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self, seconds: float | None) -> None:
        """Wait for so many seconds at most (None: for ever), without holding up the loop."""
        import asyncio

        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        self._event.clear()


class _Waiter:
    """Somebody in the line of this process."""

    __slots__ = ("bell", "lock", "told")

    def __init__(self, bell: Bell, told: str) -> None:
        self.bell, self.told = bell, told
        self.lock: HeldLock | None = None


class Gate:
    """A limit as this process sees it: who waits here, and the place that the process has in the line of all."""

    def __init__(self, locks: LockTable, name: str) -> None:
        self.name = name
        self._locks = locks
        self.numbers: Counter[int] = Counter()
        """How many ask for one of so many slots."""
        self.clear()

    def clear(self) -> None:
        """Nobody waits here, and nobody holds anything."""
        self._queue: OrderedDict[_Waiter, None] = OrderedDict()
        self._head: _Waiter | None = None
        """Who looks at the line of all processes, for everybody here."""
        self._line: Generator[float, int | None, HeldLock] | None = None
        self._asked = 0
        self._held = 0

    def join(self, number: int) -> None:
        """Somebody wants one of so many slots; among different numbers the smallest holds."""
        self.numbers[number] += 1

    def part(self, number: int) -> None:
        """Who wanted one of so many is done."""
        self.numbers[number] -= 1
        if not self.numbers[number]:
            del self.numbers[number]

    @property
    def slots(self) -> int:
        """How many may hold it at once."""
        return min(self.numbers)

    def steps(self, told: str, bell: Callable[[], Bell]) -> Generator[float | None, None, HeldLock]:
        """A slot, in steps: each gives the seconds until the next one at the latest (None: when the bell rings).

        There is none when nobody needs to wait. Who closes it gives up what it waits for.
        """
        if not self._queue:
            lock = self._locks.try_hold(self.name, slots=self.slots)
            if lock is not None:
                return self._took(lock, told)
        waiter = _Waiter(bell(), told)
        with _registry.guard:
            self._queue[waiter] = None
        try:
            while True:
                lock, leads = self._look(waiter)
                if lock is not None:
                    return lock
                yield self._lead(waiter) if leads else None
        finally:
            self._leave(waiter)

    def _look(self, waiter: _Waiter) -> tuple[HeldLock | None, bool]:
        with _registry.guard:
            if waiter.lock is None and self._head is None and next(iter(self._queue), None) is waiter:
                self._head = waiter
            lock, waiter.lock = waiter.lock, None
            return lock, self._head is waiter

    def _lead(self, waiter: _Waiter) -> float:
        """Take a step in the line of all processes, for the first one here."""
        slots = self.slots
        if self._asked != slots:
            self._close_line()
        line, self._line = self._line, None
        try:
            if line is None:
                line, self._asked = self._locks.steps(self.name, slots=slots), slots
                delay = next(line)
            else:
                delay = line.send(len(self._queue) or 1)
        except StopIteration as stop:
            self._hand(waiter, self._took(stop.value, waiter.told))
            return 0.0
        self._line = line
        # With all slots held here, only this process can free one, and it rings.
        return _SELDOM if self._held >= slots else delay

    def _took(self, lock: HeldLock, told: str) -> HeldLock:
        lock.tell(told)
        with _registry.guard:
            self._held += 1
        return lock

    def _hand(self, waiter: _Waiter, lock: HeldLock) -> None:
        with _registry.guard:
            self._queue.pop(waiter, None)
            second, waiter.lock = waiter.lock, lock
        if second is not None:
            # Somebody here freed one for it while it took one from the line.
            self.give_back(second)

    def give_back(self, lock: HeldLock) -> None:
        """A slot is free: for the next one here, unless another process waits for it."""
        if lock.held and self._queue and not self._locks.waiting(self.name, elsewhere=True) and self._pass_on(lock):
            return
        lock.release()
        with _registry.guard:
            self._held -= 1
            first = self._head or next(iter(self._queue), None)
        if first is not None:
            first.bell.ring()

    def _pass_on(self, lock: HeldLock) -> bool:
        with _registry.guard:
            waiter = next(iter(self._queue), None)
            if waiter is None or lock.slot >= self.slots:
                return False
            del self._queue[waiter]
            lock.tell(waiter.told)
            waiter.lock = lock
        waiter.bell.ring()
        return True

    def _leave(self, waiter: _Waiter) -> None:
        with _registry.guard:
            self._queue.pop(waiter, None)
            lock, waiter.lock = waiter.lock, None
            if self._head is waiter:
                self._head = None
            first = next(iter(self._queue), None) if self._head is None else None
            last = first is None and self._head is None
        if last:
            self._close_line()
        elif first is not None:
            first.bell.ring()
        if lock is not None:
            self.give_back(lock)

    def _close_line(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()


class _Registry:
    """The gates of this process that somebody uses."""

    def __init__(self) -> None:
        # Reentrant: a coroutine that nobody awaited to its end gives up its place wherever the collector finds it.
        self.guard = threading.RLock()
        self._gates: dict[tuple[LockTable, str], Gate] = {}
        descriptors.watch(self)

    def forget(self) -> None:
        """In a forked child: who waits and who holds are the parent's."""
        self.guard = threading.RLock()
        gates, self._gates = self._gates, {}
        for gate in gates.values():
            gate.clear()

    def enter(self, locks: LockTable, name: str, number: int) -> Gate:
        """The gate of a limit, for somebody who wants one of so many slots."""
        with self.guard:
            gate = self._gates.get((locks, name))
            if gate is None:
                gate = self._gates[locks, name] = Gate(locks, name)
            gate.join(number)
            return gate

    def leave(self, locks: LockTable, gate: Gate, number: int) -> None:
        """Who entered is done with it."""
        with self.guard:
            gate.part(number)
            if not gate.numbers and self._gates.get((locks, gate.name)) is gate:
                del self._gates[locks, gate.name]


_registry = _Registry()


class Turn:
    """Somebody's way to a slot: `start`, then `wait` if that did not do; `free` gives back what it has, or its place."""

    def __init__(self, locks: LockTable, name: str, slots: int, *, told: str = "", is_async: bool = False) -> None:
        self.name, self.slots = name, slots
        self.limit = name.removeprefix(PREFIX)
        """What is told of it."""
        self.lock: HeldLock | None = None
        self._locks = locks
        self._bell: ThreadBell | LoopBell | None = None
        self._is_async = is_async
        self._gate: Gate | None = _registry.enter(locks, name, slots)
        self._steps = self._gate.steps(told, self._make_bell)
        self._delay: float | None = 0.0

    def _make_bell(self) -> Bell:
        self._bell = LoopBell() if self._is_async else ThreadBell()
        return self._bell

    def start(self) -> bool:
        """Whether a slot could be had without waiting. Raises JournalError when the home can't be written."""
        return self._step()

    def wait(self, run: Run | None, seconds: float | None = None) -> bool:
        """Wait in this thread for so many seconds at most; whether there is a slot now. Raises when the run is to stop."""
        until = clock.deadline(seconds)
        with self._stoppable(run), waiting():
            while not self._step():
                left = clock.left(until)
                if left == 0:
                    return False
                assert isinstance(self._bell, ThreadBell)
                self._bell.wait(_least(self._delay, left))
                check(run)
        return True

    async def wait_async(self, run: Run | None, seconds: float | None = None) -> bool:
        """The same in a coroutine, without holding up its loop."""
        until = clock.deadline(seconds)
        with self._stoppable(run), waiting():
            while not self._step():
                left = clock.left(until)
                if left == 0:
                    return False
                assert isinstance(self._bell, LoopBell)
                await self._bell.wait(_least(self._delay, left))
                check(run)
        return True

    def free(self) -> None:
        """Give back the slot, or the place in the line; nothing happens when that was done before."""
        gate, self._gate = self._gate, None
        if gate is None:
            return
        try:
            self._steps.close()
            lock, self.lock = self.lock, None
            if lock is not None:
                gate.give_back(lock)
        finally:
            _registry.leave(self._locks, gate, self.slots)

    def _step(self) -> bool:
        if self.lock is None:
            try:
                self._delay = next(self._steps)
            except StopIteration as stop:
                self.lock = stop.value
        return self.lock is not None

    @contextmanager
    def _stoppable(self, run: Run | None) -> Iterator[None]:
        bell = self._bell
        if run is None or bell is None:
            yield
            return
        run.cancelled.subscribe(bell, bell.ring)
        try:
            check(run)
            yield
        finally:
            run.cancelled.unsubscribe(bell)


def check(run: Run | None) -> None:
    """Raises when a run was asked to stop."""
    if run is not None and run.cancelled.is_set():
        raise interruption(run)


def _least(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
