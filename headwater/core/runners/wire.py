"""Frames on a socket between a worker process and its coordinator."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from enum import IntEnum
from typing import NamedTuple

from headwater.core.journal import descriptors

_HEAD = struct.Struct("!BIQ")
_SMALL = 1 << 16


class Kind(IntEnum):
    """What a frame is."""

    RUN = 1
    """To a worker: a payload, and its number."""
    STOP = 2
    """To a worker: stop the payload of this number."""
    ANSWER = 3
    """To a worker: the answer to what it asked under this number."""
    TELL = 4
    """From a worker: a message."""
    ASK = 5
    """From a worker: a message that wants an answer."""
    DONE = 6
    """From a worker: what came of the payload."""


class Frame(NamedTuple):
    """A frame: what it is, the number that an answer refers to, and its bytes."""

    kind: int
    number: int
    data: bytes


class Wire:
    """One end of a socket. Any thread may send; one receives."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._lock = threading.Lock()
        descriptors.watch(self)

    def send(self, kind: Kind, data: bytes = b"", number: int = 0) -> None:
        """Send a frame; returns when the kernel has it. Raises OSError when the other side is gone."""
        head = _HEAD.pack(kind, number, len(data))
        with self._lock:
            if len(data) < _SMALL:
                self._socket.sendall(head + data)
            else:
                self._socket.sendall(head)
                self._socket.sendall(data)

    def receive(self) -> Frame | None:
        """The next frame, or None when the other side is gone."""
        head = self._read(_HEAD.size)
        if head is None:
            return None
        kind, number, length = _HEAD.unpack(head)
        data = self._read(length)
        return None if data is None else Frame(kind, number, bytes(data))

    def _read(self, length: int) -> bytearray | None:
        found = bytearray(length)
        view = memoryview(found)
        while view:
            try:
                count = self._socket.recv_into(view)
            except OSError:
                count = 0
            if not count:
                return None
            view = view[count:]
        return found

    def hang_up(self) -> None:
        """Let the other side see that nothing more comes, and nothing more is heard."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def forget(self) -> None:
        """In a forked child: this end is the parent's, and the other side must see it when the parent dies."""
        self._socket.close()
        self._lock = threading.Lock()
