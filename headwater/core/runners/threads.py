"""Threads for submitted tasks: as many as may run at once, and one more for each that only waits for others."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from headwater.core.journal import descriptors

if TYPE_CHECKING:
    from headwater.core.runners.remote import Place


class _Worker(threading.Thread):
    def __init__(self, runner: ThreadPool, number: int) -> None:
        # Daemons: a thread that was given up after Ctrl-C must not keep the process from ending.
        super().__init__(name=f"headwater-{number}", daemon=True)
        self.runner = runner
        self.waits = 0
        """How many wait in it: of an event loop, several may."""

    def run(self) -> None:
        self.runner.work(self)


class ThreadPool:
    """Runs jobs in threads. A job that waits for another job does not count, so nested waits can't starve each other."""

    place: Place | None = None
    """Where the tries of its tasks happen, when that is not in these threads."""

    def __init__(self, max_workers: int | None = None) -> None:
        self._limit = max_workers or min(32, (os.cpu_count() or 1) + 4)
        self._start_afresh()
        descriptors.watch(self)

    def _start_afresh(self) -> None:
        self._jobs: deque[Callable[[], object]] = deque()
        self._changed = threading.Condition()
        self._threads: set[_Worker] = set()
        self._idle = 0
        self._waiting = 0
        self._closed = False
        self._started = 0

    def forget(self) -> None:
        """In a forked child: the threads and their jobs are the parent's. Whoever submits here gets threads of this process."""
        self._start_afresh()

    def submit(self, job: Callable[[], object]) -> None:
        """Run a job when a thread is free. It must not raise. Raises RuntimeError when there is no thread and can be none."""
        with self._changed:
            self._jobs.append(job)
            if self._idle >= len(self._jobs):
                self._changed.notify()
                return
            try:
                self._grow()
            except RuntimeError:
                self._jobs.pop()
                raise

    def _grow(self) -> None:
        if len(self._threads) - self._waiting < self._limit:
            self._started += 1
            worker = _Worker(self, self._started)
            try:
                worker.start()
            except RuntimeError:
                if len(self._threads) <= self._waiting:
                    raise
                return  # the threads that are there take it
            self._threads.add(worker)

    def work(self, worker: _Worker) -> None:
        """What a thread does for as long as it is needed."""
        while (job := self._next(worker)) is not None:
            job()
            # A job holds its task's arguments and its value: let go of them before waiting for the next.
            del job

    def _next(self, worker: _Worker) -> Callable[[], object] | None:
        with self._changed:
            while True:
                many = len(self._threads) - self._waiting > self._limit
                # A job that forked comes back here in the child, too, where its thread is nobody's worker.
                if many or worker not in self._threads or (self._closed and not self._jobs):
                    self._threads.discard(worker)
                    if self._jobs:
                        # It may have been the one that was woken for a job: another one takes that.
                        self._changed.notify()
                    return None
                if self._jobs:
                    return self._jobs.popleft()
                self._idle += 1
                self._changed.wait()
                self._idle -= 1

    @contextmanager
    def waiting(self, worker: _Worker) -> Iterator[None]:
        """Let another thread take this one's place for as long as it only waits."""
        with self._changed:
            self._waits(worker, 1)
            try:
                if len(self._jobs) > self._idle:
                    self._grow()
            except BaseException:
                self._waits(worker, -1)
                raise
        try:
            yield
        finally:
            with self._changed:
                self._waits(worker, -1)

    def _waits(self, worker: _Worker, more: int) -> None:
        before, worker.waits = worker.waits, worker.waits + more
        self._waiting += bool(worker.waits) - bool(before)

    def close(self, *, join: bool) -> None:
        """Let the threads end once nothing is left to do; with `join`, wait until they have."""
        with self._changed:
            self._closed = True
            threads = list(self._threads)
            self._changed.notify_all()
        if join:
            for thread in threads:
                thread.join()


@contextmanager
def waiting() -> Iterator[None]:
    """Tell this thread's runner, if it has one, that it only waits for now."""
    thread = threading.current_thread()
    if isinstance(thread, _Worker):
        with thread.runner.waiting(thread):
            yield
    else:
        yield
