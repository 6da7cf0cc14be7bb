"""Where submitted tasks wait that would only wait in their threads: of a limit, some more are let in than it has slots.

A thread that waits for a slot does not count against a flow's threads. Without this, ten thousand calls of one limit would
be ten thousand threads.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from headwater.core.concurrency import needs_of, smallest
from headwater.errors import DefinitionError

if TYPE_CHECKING:
    from headwater.core.context import Run
    from headwater.core.futures import TaskFuture
    from headwater.core.task import Task

MORE = 32
"""How many may wait in threads, beside as many as there are slots."""


class Lobby:
    """Lets so many in at once, in their order; whoever's run was asked to stop goes through."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._inside = 0
        self._starting = False
        self._waiting: OrderedDict[Callable[[], object], Run] = OrderedDict()
        self._lock = threading.RLock()

    def enter(self, start: Callable[[], object], run: Run) -> None:
        """Start something when there is room for it; `leave` says when it is done."""
        with self._lock:
            full = self._inside >= self._room
            if full:
                self._waiting[start] = run
            else:
                self._inside += 1
        if not full:
            start()
            return
        run.cancelled.subscribe(start, lambda: self._pass(start))
        if start not in self._waiting:
            run.cancelled.unsubscribe(start)  # it was let in meanwhile

    def leave(self) -> None:
        """Who was let in is done."""
        with self._lock:
            self._inside -= 1
            if self._starting:
                return  # what is being started here ends at once, and the loop below goes on
            self._starting = True
        while True:
            with self._lock:
                if not self._waiting or self._inside >= self._room:
                    self._starting = False
                    return
                start, run = self._waiting.popitem(last=False)
                self._inside += 1
            run.cancelled.unsubscribe(start)
            start()

    def _pass(self, start: Callable[[], object]) -> None:
        with self._lock:
            if self._waiting.pop(start, None) is None:
                return
            self._inside += 1
        start()


def through(
    task: Task[..., Any], run: Run, future: TaskFuture[Any], start: Callable[[], object]
) -> Callable[[], object]:
    """A start that goes through the lobby of the task's first limit, if it has one."""
    settings = run.root.runtime.limits
    needs = needs_of(task.options, settings)
    if not needs:
        return start
    name, number = needs[0]
    try:
        slots = smallest(name, number, settings.get(name))
    except DefinitionError:
        return start  # the task itself will say so
    lobby: Lobby = run.root.extras.setdefault(f"lobby:{name}", Lobby(slots + MORE))

    def enter() -> None:
        future._done.add_done_callback(lambda _: lobby.leave())
        lobby.enter(start, run)

    return enter
