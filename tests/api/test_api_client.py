"""What the client does with what is no answer of a server, and with addresses and tokens that can be none."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from headwater.api.client import Client
from headwater.errors import HeadwaterError, UnknownNameError, UsageError


class Other(HTTPServer):
    """A server of something else."""

    status, body = 200, b""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Other)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def other() -> Iterator[Other]:
    with Other(("127.0.0.1", 0), _Answers) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>log in</html>"),
        (200, b""),
        (200, b"[]"),
        (200, b"\xff"),
        (302, b""),
        (302, b"{}"),
        (502, b"<html>"),
    ],
)
def test_what_is_no_answer_of_a_server_is_an_error(other: Other, status: int, body: bytes) -> None:
    other.status, other.body = status, body
    with pytest.raises(HeadwaterError, match="no answer of a Headwater server"):
        Client(other.url).runs()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:99999", "http://127.0.0.1:port", "http://[::1", "http://", "ftp://x"]
)
def test_what_is_no_address_is_told_at_once(url: str) -> None:
    with pytest.raises(UsageError, match="not the address of a server"):
        Client(url)


@pytest.mark.parametrize("url", ["http://a b", "http://a..b", f"http://{'x' * 64}"])
def test_an_address_that_can_not_be_asked_is_an_error_of_ours(url: str) -> None:
    with pytest.raises(HeadwaterError, match="can't be reached"):
        Client(url).runs()


def test_what_can_not_be_asked_of_a_backfill_is_told_with_what_can() -> None:
    """The server's answer was `Method Not Allowed`."""
    with pytest.raises(UnknownNameError, match="there is no request to a backfill 'stop'") as told:
        Client("http://127.0.0.1:8421").backfill_ask("0197f3", "stop")
    assert told.value.hint == "known: cancel, pause, resume, retry"


@pytest.mark.parametrize("token", ["hw_0\n", "hw_\u2603", "hw_0\r\nX: y"])
def test_a_token_that_can_be_none_is_told_at_once(token: str) -> None:
    with pytest.raises(UsageError, match="characters that no token has") as told:
        Client("http://127.0.0.1:8421", token=token)
    assert "hw_" not in str(told.value)
