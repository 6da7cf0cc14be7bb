"""A real collector over HTTP on loopback, which can be made to misbehave in every way that one does."""

import contextlib
import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Event = dict[str, Any]


@dataclass
class Answer:
    """What the collector does with a request."""

    status: int = 201
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    after: float = 0.0
    """Seconds that it thinks first; until the collector is closed at most."""
    hangs: bool = False
    """It takes the request and says nothing."""
    trickles: str = ""
    """It says its "head" or its "body" letter by letter, and never comes to an end."""
    drops: bool = False
    """It closes the connection instead of answering."""
    keeps: bool = True
    """Whether the event arrives."""


OK = Answer()
Behaviour = Callable[[int, Event], Answer]
"""What to do with the n-th request (from 1 on) and its event."""


class Collector:
    """Takes events at /api/v1/lineage. `arrived` is what it has kept, in order; `requests` counts all."""

    def __init__(self, behaviour: Behaviour = lambda number, event: OK) -> None:
        self.behaviour = behaviour
        self.arrived: list[Event] = []
        self.requests = 0
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self._lock = threading.Lock()
        self.leaving = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self.port = _free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def up(self) -> None:
        """Listen, on the port that it has had all along."""
        collector = self

        class Handler(_Handler):
            owner = collector

        self.leaving.clear()
        self._server = _Server(("127.0.0.1", self.port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def down(self) -> None:
        """Close the port."""
        if self._server is None or self._thread is None:
            return
        self.leaving.set()
        self._server.shutdown()
        self._server.close_all()
        self._server.server_close()
        self._thread.join()
        self._server = self._thread = None

    def answer(self, event: Event, path: str, headers: dict[str, str]) -> Answer:
        with self._lock:
            self.requests += 1
            found = self.behaviour(self.requests, event)
            self.headers.append(headers)
            self.paths.append(path)
            if found.status < 300 and found.keeps:
                self.arrived.append(event)
            return found

    def once(self) -> list[Event]:
        """What has arrived, each event once by its identity, in the order of first arrival."""
        return list({identity(event): event for event in reversed(self.arrived)}.values())[::-1]


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 64

    def __init__(self, *arguments: Any) -> None:
        self._sockets: set[socket.socket] = set()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._sockets.add(request)
        super().process_request(request, client_address)

    def close_all(self) -> None:
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that break off are what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    owner: Collector

    def do_POST(self) -> None:
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = self.owner.answer(event, self.path, dict(self.headers.items()))
        if answer.hangs or answer.after:
            self.owner.leaving.wait(30 if answer.hangs else answer.after)
        if answer.hangs or answer.drops:
            self.close_connection = True
            return
        if answer.trickles:
            self.close_connection = True
            self._trickle(answer.trickles)
            return
        body = answer.body.encode()
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _trickle(self, what: str) -> None:
        self.wfile.write(
            b"HTTP/1.1 201 Created\r\n" + (b"X-Long: " if what == "head" else b"Content-Length: 9999\r\n\r\n")
        )
        with contextlib.suppress(OSError):
            while not self.owner.leaving.wait(0.02):
                self.wfile.write(b"x")

    def log_message(self, *_: Any) -> None: ...


def identity(event: Event) -> str:
    """What tells an event from others, for a collector that drops what it already has."""
    return hashlib.sha256(json.dumps(event, sort_keys=True).encode()).hexdigest()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(behaviour: Behaviour = lambda number, event: OK) -> Iterator[Collector]:
    """A collector that listens until the end of the block."""
    collector = Collector(behaviour)
    collector.up()
    try:
        yield collector
    finally:
        collector.down()
