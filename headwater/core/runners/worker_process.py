"""The life of a worker process: tries come in over its socket, one after the other; it ends with its coordinator."""

from __future__ import annotations

import os
import queue
import signal
import socket
import threading

from headwater.core.runners.nursery import die_with_parent
from headwater.core.runners.wire import Kind, Wire
from headwater.core.runners.worker import Worker


def spawned(descriptor: int, parent: int) -> None:
    """The life of a worker in an interpreter of its own."""
    die_with_parent(parent)
    live(descriptor)


def live(descriptor: int) -> None:
    """Run what comes until nothing more does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _Life(Wire(socket.socket(fileno=descriptor))).go_on()


class _Life:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._worker = Worker(own_process=True)
        self._payloads: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._answers: dict[int, queue.SimpleQueue[bytes]] = {}
        self._asked = 0
        self._busy = False
        self._number = 0
        """That of the payload that came last."""

    def go_on(self) -> None:
        # User code gets the main thread, where signals arrive; this one listens.
        threading.Thread(target=self._listen, name="headwater-listener", daemon=True).start()
        while (payload := self._payloads.get()) is not None:
            done = self._worker.perform(payload, self)
            self._busy = False
            self._wire.send(Kind.DONE, done)
            del payload, done
        self._wire.close()

    def _listen(self) -> None:
        while (frame := self._wire.receive()) is not None:
            if frame.kind == Kind.RUN:
                self._busy, self._number = True, frame.number
                self._payloads.put(frame.data)
            elif frame.kind == Kind.STOP and frame.number == self._number:
                self._worker.stop()
            elif frame.kind == Kind.ANSWER:
                self._answers.pop(frame.number).put(frame.data)
        if self._busy:
            # The coordinator is gone in the middle of something: nobody would ever hear of what this goes on to do.
            os.kill(os.getpid(), signal.SIGKILL)
        self._payloads.put(None)

    def tell(self, message: bytes) -> None:
        self._wire.send(Kind.TELL, message)

    def ask(self, message: bytes) -> bytes:
        answer: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        with self._lock:
            self._asked += 1
            number = self._asked
            self._answers[number] = answer
        self._wire.send(Kind.ASK, message, number)
        return answer.get()
