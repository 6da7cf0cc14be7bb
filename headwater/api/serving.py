"""Serving the application with uvicorn: one process, a socket, and an end that leaves nothing behind."""

from __future__ import annotations

import errno
import ipaddress
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from headwater.api.guard import PATIENCE, allowed_name
from headwater.errors import HeadwaterError, UsageError

if TYPE_CHECKING:
    import asyncio

    import uvicorn

    from headwater.project import ServingProject

PORT = 8421
CONNECTIONS = 400
"""Connections at once; what comes beyond is told to come later."""
GRACE = 10
"""Seconds that answers get to be finished when the server stops."""


def serve(
    project: ServingProject,
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    allowed: tuple[str, ...] = (),
    insecure: bool = False,
    runs_work: bool = False,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is told the address. Port 0 takes any that is free.

    Raises UsageError for what must not be, HeadwaterError when the address can't be used, HomeError once the home is gone.
    """
    if insecure and not is_loopback(host):
        raise UsageError(
            f"--insecure-local is for loopback, and {host} is not",
            hint="leave --host out, or leave --insecure-local out and make tokens: headwater token create",
        )
    from headwater.api.app import create_app

    names = [allowed_name(one) for one in allowed]
    project.home.check_writable()
    listening = _bound(host, port)
    try:
        name = f"[{host}]" if ":" in host else host
        app = create_app(project, hosts=(name, *names), insecure=insecure, runs_work=runs_work)
        url = f"http://{name}:{listening.getsockname()[1]}"
        server, service = _server(app, lambda: ready(url)), app.state.service
        service.when_lost = lambda: setattr(server, "should_exit", True)
        server.run(sockets=[listening])
    finally:
        listening.close()
    if service.lost is not None:
        raise service.lost


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
        except BaseException:
            found.close()
            raise
    except (OSError, OverflowError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        elsewhere = isinstance(error, socket.gaierror) or getattr(error, "errno", None) == errno.EADDRNOTAVAIL
        known = "--host is an address of this machine: 127.0.0.1, or 0.0.0.0 for all that it has"
        hint = known if elsewhere else "is a server running already? take another with --port"
        raise HeadwaterError(f"{host}:{port} can't be used: {reason}", where=f"{host}:{port}", hint=hint) from error
    return found


def _server(app: object, ready: Callable[[], None]) -> uvicorn.Server:
    try:
        import uvicorn
    except ImportError as error:
        raise HeadwaterError("uvicorn is not installed", hint="pip install 'headwater[server]'") from error

    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Protocol(H11Protocol):
        """Closes a connection that does not come to ask: uvicorn waits for ever, and has only so many of them."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._patience = self.loop.call_later(PATIENCE, self._close_unasked)

        def connection_lost(self, exc: Exception | None) -> None:
            self._patience.cancel()
            super().connection_lost(exc)

        def _close_unasked(self) -> None:
            if not self.cycle:  # no request has come yet
                self.transport.close()

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started and not self.should_exit:
                ready()

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            before = {one: signal.signal(one, self._stop) for one in (signal.SIGINT, signal.SIGTERM)}
            try:
                yield
            finally:
                for one, handler in before.items():
                    signal.signal(one, handler)

        def _stop(self, number: int, frame: FrameType | None) -> None:
            # Who listens to live updates would never leave by himself.
            app.state.service.hub.close()  # type: ignore[attr-defined]
            self.handle_exit(number, frame)

    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        http=Protocol,
        lifespan="on",
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACE,
        h11_max_incomplete_event_size=64 * 1024,
    )
    return Server(config)
