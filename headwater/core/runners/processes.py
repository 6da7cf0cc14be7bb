"""Processes for submitted tasks: workers that are started when they are needed and kept for the length of a run."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from headwater.core.journal import descriptors
from headwater.core.options import check_number
from headwater.core.runners.nursery import Nursery, Start
from headwater.core.runners.remote import PATIENCE, OnMessage, RemoteSession
from headwater.core.runners.runner import Session
from headwater.core.runners.wire import Kind, Wire
from headwater.errors import DefinitionError, WorkerDied

if TYPE_CHECKING:
    from socket import socket
    from typing import Self


class ProcessRunner:
    """Submitted tasks run in worker processes of this machine: for work that holds Python's lock, or may crash.

    `max_workers` is how many there are at most, by default the flow's `max_workers`, or the number of cores. With
    `start="forkserver"` a clean process that has imported Headwater forks them, in milliseconds; with "spawn" each is an
    interpreter of its own. The workers of a run end with it; in a `with` block they are kept for all runs in it.

    Raises DefinitionError for a wrong value.

    >>> ProcessRunner(max_workers=4)
    ProcessRunner(max_workers=4, start='forkserver')
    """

    def __init__(self, max_workers: int | None = None, *, start: Start = "forkserver") -> None:
        check_number("max_workers", max_workers, 1)
        if start not in ("forkserver", "spawn"):
            raise DefinitionError(
                f"there is no start method {start!r}", hint='write start="forkserver" or start="spawn"'
            )
        self.max_workers = max_workers
        self.start: Start = start
        self._kept: Workers | None = None

    def __repr__(self) -> str:
        return f"ProcessRunner(max_workers={self.max_workers}, start={self.start!r})"

    def open(self, max_workers: int | None) -> Session:
        """Workers for a run, or those of the `with` block. None is started before the first task is submitted."""
        if self._kept is not None:
            return RemoteSession(self._kept, self._kept.most, shared=True)
        most = self.max_workers or max_workers or os.cpu_count() or 1
        return RemoteSession(Workers(most, self.start), most)

    def __enter__(self) -> Self:
        self._kept = Workers(self.max_workers or os.cpu_count() or 1, self.start)
        self._kept.nursery.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close(kill=error is not None)


class _Order(NamedTuple):
    """A payload on its way: its number, who hears its messages, and where its outcome goes."""

    number: int
    payload: bytes
    on_message: OnMessage
    handle: Future[bytes]


class Workers:
    """Worker processes, so many at most; what they can't take yet waits in order."""

    def __init__(self, most: int, start: Start) -> None:
        self.most = most
        self.nursery = Nursery(start)
        self._start_afresh()
        descriptors.watch(self)

    def _start_afresh(self) -> None:
        self._lock = threading.Lock()
        self._workers: set[_Worker] = set()
        self._idle: list[_Worker] = []
        self._orders: deque[_Order] = deque()
        self._numbers = itertools.count(1)
        self._starting = 0
        self._closed = False

    def forget(self) -> None:
        """In a forked child: the workers are the parent's. Whoever submits here gets workers of this process."""
        self._start_afresh()

    def submit(self, payload: bytes, on_message: OnMessage) -> Future[bytes]:
        """Have a worker run a payload, now or when one is free."""
        order = _Order(next(self._numbers) & 0xFFFFFFFF, payload, on_message, Future())
        with self._lock:
            self._orders.append(order)
        self._go_on()
        return order.handle

    def cancel(self, handle: Future[bytes], *, kill: bool = False) -> None:
        """Ask a worker to stop, or kill it; what no worker has begun yet is never begun."""
        with self._lock:
            worker = next((one for one in self._workers if one.order is not None and one.order.handle is handle), None)
            waiting = next((one for one in self._orders if one.handle is handle), None)
            order = None if worker is None else worker.order
            if waiting is not None:
                self._orders.remove(waiting)
            elif worker is not None and kill:
                worker.kill()  # before it can be at anything else
        if waiting is not None:
            handle.set_exception(WorkerDied("it was stopped before it began"))
        elif worker is not None and order is not None and not kill:
            worker.stop(order)

    def close(self, *, kill: bool = False) -> None:
        """Let all workers go. What they are at is killed; so is one that does not end by itself."""
        with self._lock:
            self._closed = True
            workers, orders = list(self._workers), list(self._orders)
            self._orders.clear()
        for order in orders:
            order.handle.set_exception(WorkerDied("it was stopped before it began"))
        for worker in workers:
            if kill or worker.order is not None:
                worker.kill()
            else:
                worker.wire.hang_up()
        for worker in workers:
            worker.join()
        self.nursery.close()

    def _go_on(self) -> None:
        """Give what waits to workers that are free, or to new ones."""
        while True:
            with self._lock:
                if not self._orders or self._closed:
                    return
                if not self._idle and len(self._workers) + self._starting >= self.most:
                    return
                order = self._orders.popleft()
                worker: _Worker | None = self._idle.pop() if self._idle else None
                if worker is not None:
                    worker.order = worker.sending = order
                else:
                    self._starting += 1
            if worker is None:
                worker = self._new(order)
            if worker is not None:
                worker.take(order)
                continue
            with self._lock:
                if (self._workers or self._starting) and not self._idle:
                    return

    def _new(self, order: _Order) -> _Worker | None:
        """A new worker; None when there can be none: then those that are there take it, or who waits for it is told."""
        worker, failed = None, None
        try:
            worker = _Worker(self, *self.nursery.start())
            with self._lock:
                worker.listener.start()
                self._starting -= 1
                self._workers.add(worker)
                worker.order = worker.sending = order
                if self._closed:
                    worker.kill()
                return worker
        except Exception as error:  # noqa: BLE001 - told to who waits for it
            failed = error
        if worker is not None:
            # There is no thread that could listen to it.
            worker.wire.close()
            with suppress(WorkerDied):
                self.nursery.reap(worker.pid)
        with self._lock:
            self._starting -= 1
            if (self._workers or self._starting) and not self._closed:
                self._orders.appendleft(order)
                return None
        order.handle.set_exception(failed)
        return None

    def sent(self, worker: _Worker, order: _Order, *, delivered: bool) -> None:
        """A worker was given something, or was dead before it got it: then another one gets it."""
        with self._lock:
            if worker.sending is order:
                worker.sending = None
            is_at_it = worker.order is order
            if is_at_it and (worker.death is not None or not delivered):
                worker.order = None
            if not delivered:
                self._orders.appendleft(order)
        if not delivered:
            self._go_on()
        elif is_at_it and worker.death is not None:
            order.handle.set_exception(worker.death)

    def done(self, worker: _Worker, data: bytes) -> None:
        """A worker has finished what it was at."""
        with self._lock:
            order, worker.order = worker.order, None
            self._idle.append(worker)
        if order is not None:
            order.handle.set_result(data)
        self._go_on()

    def gone(self, worker: _Worker) -> None:
        """A worker has hung up: it is dead, or about to be."""
        try:
            code = self.nursery.reap(worker.pid)
        except WorkerDied:
            code = -signal.SIGKILL  # with what started it
        death = WorkerDied(f"its worker, process {worker.pid}, {_how(code)}")
        order = None
        with self._lock:
            self._workers.discard(worker)
            if worker in self._idle:
                self._idle.remove(worker)
            worker.death = death
            if worker.order is not worker.sending:  # else whoever sends it finds out whether it arrived
                order, worker.order = worker.order, None
        worker.wire.close()
        if order is not None:
            order.handle.set_exception(death)
        self._go_on()


class _Worker:
    """A worker process as its coordinator has it, and the thread that listens to it."""

    def __init__(self, workers: Workers, pid: int, end: socket) -> None:
        self.pid = pid
        self.wire = Wire(end)
        self.order: _Order | None = None
        self.sending: _Order | None = None
        """An order that is still on its way to it."""
        self.death: WorkerDied | None = None
        self._workers = workers
        self._alive = threading.Lock()
        self._gone = False
        self.listener = threading.Thread(target=self._listen, name=f"headwater-worker-{pid}", daemon=True)

    def take(self, order: _Order) -> None:
        try:
            self.wire.send(Kind.RUN, order.payload, order.number)
        except OSError:
            self._workers.sent(self, order, delivered=False)
        else:
            self._workers.sent(self, order, delivered=True)

    def stop(self, order: _Order) -> None:
        try:
            self.wire.send(Kind.STOP, number=order.number)
        except OSError:
            return

    def kill(self) -> None:
        with self._alive:
            if not self._gone:  # its process id is its own until it is reaped
                os.kill(self.pid, signal.SIGKILL)

    def join(self) -> None:
        self.listener.join(PATIENCE)
        if self.listener.is_alive():
            self.kill()
            self.listener.join()

    def _listen(self) -> None:
        while (frame := self.wire.receive()) is not None:
            order = self.order
            if frame.kind == Kind.DONE:
                self._workers.done(self, frame.data)
            elif order is not None:
                self._answer(frame.kind, frame.number, order.on_message(frame.data))
            del frame, order
        with self._alive:
            self._gone = True
        self._workers.gone(self)

    def _answer(self, kind: int, number: int, answer: bytes | None) -> None:
        if kind == Kind.ASK:
            try:
                self.wire.send(Kind.ANSWER, answer or b"", number)
            except OSError:
                return


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with the exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by the signal {-code}"
