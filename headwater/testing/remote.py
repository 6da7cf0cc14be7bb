"""A remote runner in memory: what Dask, Ray or a cluster would be to Headwater, with their bad habits to be chosen.

For tests of flows that will run elsewhere, and for whoever writes a runner: it sees bytes only, so everything that has to
come back to the process that the flow runs in comes back as messages.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import field

from headwater.core.runners.remote import OnMessage, RemoteSession
from headwater.core.runners.runner import Session
from headwater.core.runners.worker import Worker
from headwater.errors import WorkerDied
from headwater.records import dataclass


@dataclass(eq=False, kw_only=True)
class FakeRemoteRunner:
    """Runs payloads in threads that stand for remote workers: bytes go in, bytes come out.

    With `late`, messages arrive after what was sent behind them, and after the result; with `shuffled`, payloads are begun
    in another order than they were submitted in; `slow` seconds pass before each begins. `loses` names by its number, from 0,
    a payload whose worker is lost after its first `loses_after` messages.

    >>> from headwater import flow, task
    >>> from headwater.testing import project
    >>> with project() as found:
    ...     @task
    ...     def double(x):
    ...         return 2 * x
    ...     @flow(runner=FakeRemoteRunner(late=True))
    ...     def main():
    ...         return double.map([1, 2, 3]).result()
    ...     main()
    [2, 4, 6]
    """

    workers: int = 2
    late: bool = False
    shuffled: bool = False
    slow: float = 0.0
    loses: frozenset[int] = frozenset()
    loses_after: int = 0
    messages: list[bytes] = field(default_factory=list)
    """What its workers have sent, in the order in which it arrived."""
    payloads: list[bytes] = field(default_factory=list)
    """What was submitted to it."""

    def open(self, max_workers: int | None) -> Session:
        """A cluster for a run."""
        return RemoteSession(_Cluster(self), self.workers)


@dataclass(eq=False)
class _Order:
    number: int
    payload: bytes
    on_message: OnMessage
    handle: Future[bytes]
    lost: bool = False
    worker: Worker | None = None


class _Cluster:
    def __init__(self, runner: FakeRemoteRunner) -> None:
        self._runner = runner
        self._lock = threading.Lock()
        self._orders: list[_Order | None] = []
        self._arrived = threading.Condition(self._lock)
        self._open: dict[Future[bytes], _Order] = {}
        self._random = random.Random(7)  # noqa: S311 - which order is tried need not be a secret
        self._post = _Post() if runner.late else None
        self._threads = [threading.Thread(target=self._work, name="headwater-fake") for _ in range(runner.workers)]
        for thread in self._threads:
            thread.start()

    def submit(self, payload: bytes, on_message: OnMessage) -> Future[bytes]:
        handle: Future[bytes] = Future()
        with self._lock:
            self._runner.payloads.append(payload)
            order = _Order(len(self._runner.payloads) - 1, payload, on_message, handle)
            self._open[handle] = order
            self._orders.append(order)
            self._arrived.notify()
        return handle

    def cancel(self, handle: Future[bytes], *, kill: bool = False) -> None:
        with self._lock:
            order = self._open.get(handle)
        if order is None:
            return
        if order.worker is not None:
            order.worker.stop()
        if kill:
            self._lose(order)

    def close(self, *, kill: bool = False) -> None:
        with self._lock:
            self._orders += [None] * len(self._threads)
            self._arrived.notify_all()
            orders = list(self._open.values())
        if kill:
            for order in orders:
                self._lose(order)
            return
        for thread in self._threads:
            thread.join()
        if self._post is not None:
            self._post.close()

    def _work(self) -> None:
        worker = Worker()
        while (order := self._next()) is not None:
            if self._runner.slow:
                time.sleep(self._runner.slow)
            order.worker = worker
            done = worker.perform(order.payload, _Channel(self._runner, order, self._post, self._lose))
            with self._lock:
                self._open.pop(order.handle, None)
            if not order.lost:
                order.handle.set_result(done)

    def _next(self) -> _Order | None:
        with self._arrived:
            self._arrived.wait_for(lambda: self._orders)
            at = self._random.randrange(len(self._orders)) if self._runner.shuffled else 0
            order = self._orders[at]
            if order is None:
                at, order = next(((at, one) for at, one in enumerate(self._orders) if one is not None), (0, None))
            del self._orders[at]
            return order

    def _lose(self, order: _Order) -> None:
        order.lost = True
        with self._lock:
            self._open.pop(order.handle, None)
        with suppress(InvalidStateError):
            order.handle.set_exception(WorkerDied(f"the worker of payload {order.number} was lost"))


class _Channel:
    """A remote worker's way back."""

    def __init__(
        self, runner: FakeRemoteRunner, order: _Order, post: _Post | None, lose: Callable[[_Order], None]
    ) -> None:
        self._runner, self._order, self._post, self._lose = runner, order, post, lose
        self._sent = 0

    def tell(self, message: bytes) -> None:
        self._check()
        if self._post is None:
            self._deliver(message)
        else:
            self._post.put(lambda: self._deliver(message))

    def ask(self, message: bytes) -> bytes:
        self._check()
        return self._deliver(message) or b""

    def _deliver(self, message: bytes) -> bytes | None:
        self._runner.messages.append(message)
        return self._order.on_message(message)

    def _check(self) -> None:
        if self._order.number in self._runner.loses and self._sent >= self._runner.loses_after:
            self._lose(self._order)
        if self._order.lost:
            raise ConnectionError("this worker has lost its coordinator")
        self._sent += 1


class _Post:
    """Delivers messages later than they were sent, and those that are there in the opposite order."""

    def __init__(self) -> None:
        self._letters: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._go_round, name="headwater-fake-post")
        self._thread.start()

    def put(self, letter: Callable[[], object]) -> None:
        self._letters.put(letter)

    def close(self) -> None:
        self._letters.put(None)
        self._thread.join()

    def _go_round(self) -> None:
        ended = False
        while not ended:
            bag = [self._letters.get()]
            time.sleep(0.005)
            while not self._letters.empty():
                bag.append(self._letters.get())
            ended = None in bag
            for letter in reversed(bag):
                if letter is not None:
                    letter()
