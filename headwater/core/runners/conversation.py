"""What a worker says during a try: its events, in their order whatever order they arrive in, and what it wants to know."""

from __future__ import annotations

import contextvars
import logging
import pickle
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from headwater import clock
from headwater.core.events import LogWritten, RunEnded, RunStarted, TaskEnded, TaskStarted, TaskState, WriterClosed
from headwater.core.journal.events import Body, Event
from headwater.core.journal.lines import plain_json
from headwater.core.journal.recovery import endings
from headwater.core.runners import layers
from headwater.errors import HeadwaterError, WorkerDied

if TYPE_CHECKING:
    from headwater.core.runtime import Appender

LATE = 30.0
"""Seconds that a message may arrive after one that was sent later, or after the result."""

_log = logging.getLogger("headwater.runners")


class Limit(NamedTuple):
    """When a function has had its time: a moment of the monotonic clock, and how many seconds it had."""

    at: float
    seconds: float


class Message(NamedTuple):
    """What a worker sends: the number of the message, from 0, what it is, and whether it waits for an answer."""

    number: int
    kind: str
    content: Any
    asks: bool


class Conversation:
    """The coordinator's side of one try."""

    def __init__(self, journal: Appender, *, setup: bytes) -> None:
        self.limit: Limit | None = None
        """The time limit of the function that runs right now."""
        self.on_limit: Callable[[], object] = _nothing
        self._journal = journal
        self._setup = setup
        self._context = contextvars.copy_context()
        self._changed = threading.Condition()
        self._early: dict[int, Message] = {}
        self._answers: dict[int, Any] = {}
        self._next = 0
        self._open: dict[object, list[tuple[Body, int]]] = {}
        """What a death would leave open, by what it belongs to."""
        self._error: BaseException | None = None
        self._over = False

    def on_message(self, data: bytes) -> bytes | None:
        """Take a message in its turn; answers one that wants an answer. For any thread."""
        # What it leads to belongs to the run that waits for it, whoever brings it.
        return self._context.copy().run(self._received, data)

    def _received(self, data: bytes) -> bytes | None:
        message = Message(*pickle.loads(data))  # noqa: S301 - from our own process
        with self._changed:
            self._early[message.number] = message
            self._take_turns()
            if not message.asks:
                return None
            self._changed.wait_for(lambda: self._over or message.number in self._answers, LATE)
            answer = self._answers.pop(message.number, ("error", _lost(self._next)))
            return pickle.dumps(answer, protocol=5)

    def complete(self, count: int) -> None:
        """Wait until all messages are there that the worker has sent. Raises what taking one of them raised."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._next >= count, LATE):
                raise _lost(self._next)
            self._over = True
            if self._error is not None:
                raise self._error

    def bury(self) -> None:
        """The worker is gone: take what has arrived, and end what it had begun. Does nothing after `complete`."""
        with self._changed:
            if self._over:
                return
            self._over = True
            for number in sorted(self._early):
                self._take(self._early.pop(number))
            self._end_open()
            self._changed.notify_all()

    def _take_turns(self) -> None:
        while not self._over and self._next in self._early:
            self._take(self._early.pop(self._next))
            self._next += 1
            self._changed.notify_all()

    def _take(self, message: Message) -> None:
        answer: Any = None
        try:
            if message.kind == "events":
                self._append(message.content)
            elif message.kind == "limit":
                seconds = message.content
                self.limit = None if seconds is None else Limit(time.monotonic() + seconds, seconds)
                self.on_limit()
            elif message.kind == "setup":
                answer = self._setup
        except BaseException as error:  # noqa: BLE001 - told to the worker, or when the try has ended
            if not message.asks:
                self._error = error if self._error is None else self._error
            self._answer(message, ("error", error))
        else:
            self._answer(message, ("value", answer))

    def _answer(self, message: Message, answer: tuple[str, Any]) -> None:
        if message.asks:
            self._answers[message.number] = answer

    def _append(self, bodies: tuple[Body, ...]) -> None:
        for layer in layers.known().values():
            bodies = layer.news(bodies)
        if bodies:
            self._note(bodies)
            self._journal.append(*bodies)

    def _note(self, bodies: tuple[Body, ...]) -> None:
        for body in bodies:
            if isinstance(body, (TaskEnded, RunEnded)):
                self._open.pop(_key(body), None)
            elif not isinstance(body, LogWritten):
                self._open.setdefault(_key(body), []).append((body, clock.now_us()))

    def _end_open(self) -> None:
        noted = [one for several in self._open.values() for one in several]
        events = [_event(number, *one) for number, one in enumerate(noted)]
        if not events:
            return
        found = endings(events, [layer.settle for layer in layers.known().values()])
        bodies = [body for body in found.bodies if not isinstance(body, WriterClosed)]
        if bodies:
            self._journal.append(*bodies)
        if found.error is not None:
            _log.warning("what a worker that died had begun to make can't be settled: %s", found.error)


def _nothing() -> None:
    return None


def _lost(number: int) -> HeadwaterError:
    return WorkerDied(f"the worker's message number {number} never arrived")


def _key(body: Body) -> tuple[str, str, int] | None:
    if isinstance(body, (TaskStarted, TaskState, TaskEnded)):
        return "task", body.task_run_id, body.attempt
    if isinstance(body, (RunStarted, RunEnded)):
        return "run", body.run_id, body.attempt
    return None


def _event(number: int, body: Body, at: int) -> Event:
    import orjson

    plain = orjson.loads(plain_json(body))
    return Event(writer="", seq=number, id="", time=at, kind=body.kind, version=body.body_version, body=plain)
