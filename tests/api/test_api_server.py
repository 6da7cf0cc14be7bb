"""Real servers, on loopback: how they start and stop, what survives, and the client."""

import contextlib
import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_world import PATIENCE, Server, bearer, serving, tokens_of, until

from headwater.api.client import Client
from headwater.api.serving import CONNECTIONS
from headwater.cli import app as command_line
from headwater.core.journal.home import Home
from headwater.errors import HeadwaterError, UnknownNameError, UsageError

CANARY = "canary-c4n4ry"
SECRETS = {
    "OPENLINEAGE_URL": f"http://user:{CANARY}@127.0.0.1:1/{CANARY}",
    "OPENLINEAGE_API_KEY": CANARY,
    "SOME_PASSWORD": CANARY,
}


@pytest.fixture(scope="module")
def running(past: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server with secrets in its environment, and its folder."""
    folder = tmp_path_factory.mktemp("running") / "shop"
    shutil.copytree(past, folder)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        with serving(folder) as server:
            yield server, folder


def test_the_client_answers_as_the_local_reader(
    running: tuple[Server, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server, shop = running
    token, _ = tokens_of(shop).create("me", "run")
    client = Client(server.url, token=token)
    assert client.status()["assets"][0]["name"] == "sales"
    assert client.explain("sales@2024-01-02")["verdict"] == "up to date"
    run = client.runs(limit=1)["runs"][0]
    assert client.run(run["id"][:13])["id"] == run["id"]
    assert len(client.task_runs(run["id"])["task_runs"]) == 5
    assert client.lineage("sales", columns=True)["root"] == "sales"
    pages = client.pages(client.partitions("sales", limit=10), client.partitions, "sales", limit=10)
    assert [len(page["partitions"]) for page in pages] == [10, 10, 10, 1]
    with pytest.raises(UnknownNameError, match="there is no asset 'sael'"):
        client.asset("sael")
    with pytest.raises(UsageError):
        client.runs(limit=0)
    with pytest.raises(HeadwaterError, match="no valid token"):
        Client(server.url, token="hw_no").runs()
    asked = client.backfill_create("sales", first="2024-01-06", last="2024-01-07")
    assert client.request(asked["id"])["state"] == "asked"
    # The home's own projection is free all the while, for the command line and for everybody.
    monkeypatch.chdir(shop)
    assert command_line.run(["runs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"][0].items() <= run.items()
    assert command_line.run(["verify", "--json"]) == 0


def test_slow_clients_hold_up_nobody(running: tuple[Server, Path]) -> None:
    server, shop = running
    token, _ = tokens_of(shop).create("quick", "read")
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(50)]
    for number, one in enumerate(slow):
        start = b"POST /api/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
        one.sendall(start if number % 2 else start[:30])
    assert Client(server.url, token=token, timeout=20).runs()["runs"]
    for one in slow:
        one.close()


def test_who_finds_the_server_full_is_told_to_come_again(running: tuple[Server, Path]) -> None:
    server, shop = running
    token, _ = tokens_of(shop).create("late", "read")
    client = Client(server.url, token=token)

    def answers() -> bool:
        with contextlib.suppress(HeadwaterError):
            return bool(client.runs()["runs"])
        return False

    with contextlib.ExitStack() as others:
        for _ in range(CONNECTIONS):
            others.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        with pytest.raises(HeadwaterError, match="as many connections as it takes"):
            client.runs()
    until(answers)


def test_connections_that_ask_nothing_are_closed(running: tuple[Server, Path]) -> None:
    server, _ = running
    sent = (b"", b"GET /api/health HTTP/1.1\r\nHost: 127")
    silent = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in sent]
    asks = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        for one, text in zip(silent, sent, strict=True):
            one.sendall(text)
        asks.request("GET", "/api/health")
        assert asks.getresponse().read()
        assert [one.recv(1) for one in silent] == [b"", b""]
        asks.request("GET", "/api/health")  # one that has asked stays open
        assert asks.getresponse().read()
    finally:
        for one in (*silent, asks):
            one.close()


def test_no_secret_is_told(running: tuple[Server, Path]) -> None:
    server, shop = running
    headers = bearer(shop, "admin")
    token = headers["Authorization"].split()[1]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    answers = []
    paths = ("openlineage", "session", "limits", "requests", "runs/zzzz", "assets", "health", f"runs?cursor={CANARY}")
    for path in (*(f"/api/{path}" for path in paths), "/metrics"):
        connection.request("GET", path, headers=headers)
        answers.append(connection.getresponse().read().decode())
    connection.request("POST", "/api/session", json.dumps({"token": token, "more": CANARY}), headers)
    answers.append(connection.getresponse().read().decode())
    connection.close()
    told = "\n".join(answers) + (shop / "serve.log").read_text()
    assert CANARY not in told
    assert token not in told
    secret = token.rpartition("_")[2]
    for path in (shop / ".headwater").rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path


def test_killed_in_the_middle_of_everything_nothing_is_lost(shop: Path, stress: bool) -> None:
    headers = bearer(shop, "run")
    token = headers["Authorization"].split()[1]
    asked: list[str] = []
    last = "none"
    for _ in range(20 if stress else 1):
        with serving(shop) as server:
            client = Client(server.url, token=token)
            assert {one["id"] for one in client.work_requests(limit=500)["requests"]} == set(asked)
            with Listening(server, {**headers, "Last-Event-ID": last}) as answer:
                assert b"event: reset" in read_message(answer)
                asked += [client.backfill_create("sales", partition="2024-01-06")["id"] for _ in range(5)]
                told = read_message(answer)
                while b"work.asked" not in told:
                    told = read_message(answer)
                last = told.splitlines()[0].split(b": ")[1].decode()
                server.stop(signal.SIGKILL)
    with serving(shop) as server:
        client = Client(server.url, token=token)
        assert {one["id"] for one in client.work_requests(limit=500)["requests"]} == set(asked)
        with Listening(server, {**headers, "Last-Event-ID": last}) as answer:
            assert b"event: reset" in read_message(answer)  # another server: everything is to be read again
            assert server.stop() == 0  # who listens does not hold it up
    with pytest.raises(HeadwaterError, match="can't be reached"):
        client.runs()


def test_who_listens_with_a_token_that_is_revoked_hears_nothing_more(shop: Path) -> None:
    headers, others = bearer(shop, "admin"), bearer(shop, "run")
    with serving(shop) as server, Listening(server, headers) as answer:
        assert b"event: hello" in read_message(answer)
        tokens_of(shop).revoke("a adminer")
        client = Client(server.url, token=others["Authorization"].split()[1])
        client.backfill_create("sales", partition="2024-01-06")
        assert answer.read() == b""


def test_who_listens_with_a_session_that_was_ended_hears_nothing_more(shop: Path) -> None:
    others, (text, _) = bearer(shop, "run"), tokens_of(shop).create("a browser", "read")
    with serving(shop) as server:
        began = asked(server, "POST", {"Content-Type": "application/json"}, json.dumps({"token": text}))
        session = {"Cookie": str(began.headers["set-cookie"]).partition(";")[0]}
        with Listening(server, session) as answer:
            assert b"event: hello" in read_message(answer)
            headers = {**session, "X-CSRF-Token": json.loads(began.read())["csrf"]}
            assert asked(server, "DELETE", headers).status == 204
            client = Client(server.url, token=others["Authorization"].split()[1])
            client.backfill_create("sales", partition="2024-01-06")
            assert answer.read() == b""


def asked(server: Server, method: str, headers: dict[str, str], body: str = "") -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request(method, "/api/session", body=body, headers={**headers, "Connection": "close"})
    return connection.getresponse()


class Listening:
    """A connection that listens to live updates."""

    def __init__(self, server: Server, headers: dict[str, str]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        self._headers = headers

    def __enter__(self) -> http.client.HTTPResponse:
        self._connection.request("GET", "/api/events", headers=self._headers)
        answer = self._connection.getresponse()
        assert answer.headers["content-type"].startswith("text/event-stream")
        return answer

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def read_message(answer: http.client.HTTPResponse) -> bytes:
    found = b""
    while not found.endswith(b"\n\n"):
        line = answer.readline()
        assert line, found
        found += line
    return found


def test_a_port_that_is_taken_is_told(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(shop)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert command_line.run(["serve", "--port", port]) == 1
        assert "--port" in capsys.readouterr().err


def test_names_that_are_allowed_are_those_of_the_host_header(tmp_path: Path, past: Path) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(past, folder)
    allowed = [f"--allow-host={one}" for one in ("Shop.example:8443", "till.example.", "fd00::5")]
    with serving(folder, *allowed) as server:
        for host, status in {
            "shop.example": 200,
            "shop.example:8443": 200,
            "till.example": 200,
            "[fd00::5]:8421": 200,
            "other.example": 421,
        }.items():
            connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
            with contextlib.closing(connection):
                connection.request("GET", "/api/health", headers={"Host": host})
                assert connection.getresponse().status == status, host


@pytest.mark.parametrize("anew", [False, True])
def test_a_server_ends_once_its_home_is_gone(shop: Path, anew: bool) -> None:
    with serving(shop, "--insecure-local", "--run") as server, Listening(server, {}) as answer:
        assert b"event: hello" in read_message(answer)
        Client(server.url).backfill_create("sales", partition="2024-01-06")
        home = (shop / ".headwater").rename(shop / "moved")
        if anew:
            Home.open(shop / ".headwater", create=True)
        shutil.rmtree(home, ignore_errors=True)
        while answer.readline():
            pass
        assert server.process.wait(PATIENCE) == 1
        assert server.process.stdout is not None
        told = json.loads(server.process.stdout.read())["error"]
    assert told["message"] == "the home was deleted, or another one put in its place, while it was in use"
    assert "start this again" in told["hint"]
    assert "Traceback" not in (shop / "serve.log").read_text()


def test_a_worker_ends_once_its_home_is_gone(shop: Path) -> None:
    command = [sys.executable, "-m", "headwater", "worker"]
    with subprocess.Popen(command, cwd=shop, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as worker:
        try:
            assert worker.stdout is not None
            assert "waits for work" in worker.stdout.readline()
            (shop / ".headwater").rename(shop / "moved")
            Home.open(shop / ".headwater", create=True)
            _, said = worker.communicate(timeout=PATIENCE)
        finally:
            worker.kill()
    assert worker.returncode == 1
    assert "error: the home was deleted, or another one put in its place, while it was in use" in said
