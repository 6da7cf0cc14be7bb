"""The process that starts workers: it has imported Headwater and nothing of the user's, and so forks clean ones fast.

It has a single thread and waits for nothing but its coordinator: when that is gone, it ends, and with it, by the kernel on
Linux and by the end of their sockets elsewhere, its workers. Nothing of the user's main module is run again.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from typing import Literal, TypeAlias

from headwater.core.journal import descriptors
from headwater.errors import WorkerDied

Start: TypeAlias = Literal["forkserver", "spawn"]

_ORDER = struct.Struct("!cq")
_REPLY = struct.Struct("!q")
_PATIENCE = 2.0
_PR_SET_PDEATHSIG = 1


class Nursery:
    """The coordinator's side. Safe among threads. Raises WorkerDied when no worker can be started."""

    def __init__(self, start: Start) -> None:
        self._order = b"f" if start == "forkserver" else b"s"
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._children: set[int] = set()
        """The workers that the process has started, and nobody has reaped."""
        descriptors.watch(self)

    def open(self) -> None:
        """Start the process, unless it runs already."""
        with self._lock:
            self._opened()

    def start(self) -> tuple[int, socket.socket]:
        """A new worker: its process id, and this process's end of a socket to it."""
        ours, theirs = socket.socketpair()
        try:
            with self._lock:
                try:
                    pid = _asked(self._opened(), self._order, 0, theirs)
                except WorkerDied:
                    self._end()  # somebody has killed it: with it its workers are gone
                    pid = _asked(self._opened(), self._order, 0, theirs)
                if pid < 0:
                    raise WorkerDied(
                        f"a worker process can't be started: {os.strerror(-pid)}",
                        hint="end other processes, or start fewer with max_workers=…",
                    )
                self._children.add(pid)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return pid, ours

    def reap(self, pid: int) -> int:
        """How a worker ended that has hung up: its exit code, negative for a signal's number. Ends one that goes on."""
        with self._lock:
            if pid not in self._children or self._socket is None:
                raise WorkerDied("what started it has ended, and it has with that")
            self._children.remove(pid)
            return _asked(self._socket, b"r", pid)

    def close(self) -> None:
        """End the process; its workers must have been reaped."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        end, self._socket = self._socket, None
        process, self._process = self._process, None
        self._children.clear()
        if end is not None:
            end.close()
        if process is not None:
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def forget(self) -> None:
        """In a forked child: the process is the parent's."""
        end, self._socket = self._socket, None
        if end is not None:
            end.close()
        if self._process is not None:
            self._process.returncode = 0  # nobody here may wait for it
        self._process = None
        self._children.clear()
        self._lock = threading.Lock()

    def _opened(self) -> socket.socket:
        if self._socket is not None:
            return self._socket
        ours, theirs = socket.socketpair()
        with theirs:
            command = f"from {__name__} import main; main({theirs.fileno()})"
            first = f"import sys; sys.path[:] = {sys.path!r}; "
            # In a group of its own: Ctrl-C in a terminal is the coordinator's to hear, which then tells the workers.
            self._process = subprocess.Popen(  # noqa: S603 - this very interpreter
                [sys.executable, *_flags(), "-c", first + command, json.dumps(_loaded())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                process_group=0,
            )
        self._socket = ours
        return ours


def _asked(end: socket.socket, order: bytes, number: int, given: socket.socket | None = None) -> int:
    try:
        socket.send_fds(end, [_ORDER.pack(order, number)], [] if given is None else [given.fileno()])
        reply = end.recv(_REPLY.size, socket.MSG_WAITALL)
    except OSError:
        reply = b""
    if len(reply) < _REPLY.size:
        raise WorkerDied(
            "worker processes can't be started: what starts them has ended",
            hint="its error stands on standard error, if it could say anything",
        )
    found: int = _REPLY.unpack(reply)[0]
    return found


def _flags() -> list[str]:
    # What multiprocessing uses for the same: -W, -X and the like, as this interpreter was started.
    found: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return found


def _loaded() -> list[str]:
    """The modules of ours that this process uses: workers will need them too. None of them loads a heavy library."""
    ours = ("headwater.core.", "headwater.assets.", "headwater.project")
    return [name for name in sys.modules if name.startswith(ours)]


def main(descriptor: int) -> None:
    """The process that starts workers, or in a forked child: a worker."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    for name in ("cloudpickle", "orjson", "headwater.core.runners.worker_process", *json.loads(sys.argv[1])):
        # Ahead of time only: a worker that needs what can't be imported says so where somebody hears it.
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    given = _serve(socket.socket(fileno=descriptor))
    if given is not None:
        from headwater.core.runners.worker_process import live

        live(given)


def _serve(orders: socket.socket) -> int | None:
    """Carry out orders until the coordinator is gone; in a forked child, returns the descriptor that it was given."""
    with orders, contextlib.suppress(ConnectionError):
        while True:
            data, given, _, _ = socket.recv_fds(orders, _ORDER.size, 1)
            if len(data) < _ORDER.size:
                return None
            order, number = _ORDER.unpack(data)
            if order == b"r":
                reply = _reap(number)
            else:
                try:
                    reply = _fork() if order == b"f" else _spawn(given[0])
                except OSError as error:
                    reply = -(error.errno or errno.EAGAIN)  # those that are there go on
                if reply == 0:
                    return given[0]
                os.close(given[0])
            orders.sendall(_REPLY.pack(reply))
    return None


def _fork() -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        die_with_parent(parent)
    return pid


def _spawn(descriptor: int) -> int:
    first = f"import sys; sys.path[:] = {sys.path!r}; "
    command = f"from headwater.core.runners.worker_process import spawned; spawned({descriptor}, {os.getpid()})"
    process = subprocess.Popen(  # noqa: S603 - this very interpreter
        [sys.executable, *_flags(), "-c", first + command], stdin=subprocess.DEVNULL, pass_fds=(descriptor,)
    )
    process.returncode = 0  # reaped by its id, on order
    return process.pid


def _reap(pid: int) -> int:
    import time

    until = time.monotonic() + _PATIENCE
    found, status = os.waitpid(pid, os.WNOHANG)
    while not found and time.monotonic() < until:
        time.sleep(0.002)
        found, status = os.waitpid(pid, os.WNOHANG)
    if not found:
        os.kill(pid, signal.SIGKILL)
        found, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, where it can; nothing may hold that up."""
    if sys.platform != "linux":
        return
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
