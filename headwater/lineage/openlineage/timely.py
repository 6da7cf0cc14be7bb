"""Answers over HTTP that come in time as a whole: a socket's own timeout begins anew with each byte."""

from __future__ import annotations

import http.client
import io
from typing import TYPE_CHECKING, Any

from headwater import clock

if TYPE_CHECKING:
    import socket

    from requests.adapters import HTTPAdapter


class TimelyAnswer(http.client.HTTPResponse):
    """An answer that has the seconds of its socket's timeout until its last byte. Reading raises TimeoutError then."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        if sock.gettimeout():
            self.fp = io.BufferedReader(_Timely(self.fp.detach(), sock))


class _Timely(io.RawIOBase):
    """What a socket receives, until the time of all of it is up."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw, self._socket, self._seconds = raw, sock, sock.gettimeout() or 0.0
        self._until = clock.machine_us() + int(self._seconds * 1_000_000)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - clock.machine_us()
        if left <= 0:
            raise TimeoutError("timed out")
        self._socket.settimeout(left / 1_000_000)
        try:
            return self._raw.readinto(buffer)
        finally:
            if self._socket.fileno() >= 0:
                self._socket.settimeout(self._seconds)

    def close(self) -> None:
        self._raw.close()
        super().close()


def make_timely(adapter: HTTPAdapter) -> None:
    """Let the answers that an adapter of requests gets come in time."""
    manager = adapter.poolmanager
    manager.pool_classes_by_scheme = {scheme: _timely(pool) for scheme, pool in manager.pool_classes_by_scheme.items()}


def _timely(pool: Any) -> Any:
    connection = type(pool.ConnectionCls.__name__, (pool.ConnectionCls,), {"response_class": TimelyAnswer})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})
