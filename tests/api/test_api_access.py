"""F2: every route without, with a wrong, an expired, a revoked token; odd paths; foreign Host and Origin. Nothing else answers."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_world import BASE, bearer, served, tokens_of
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from headwater import clock
from headwater.api.guard import BODY, OPEN
from headwater.cli import app as command_line

HOUR = 3_600_000_000


@pytest.fixture(scope="module")
def place(past: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import shutil

    folder = tmp_path_factory.mktemp("guarded") / "shop"
    shutil.copytree(past, folder)
    return folder


@pytest.fixture
def guarded(place: Path) -> Iterator[tuple[TestClient, FastAPI]]:
    with served(place) as found:
        yield found


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """Every route that the application has, with something in the place of its parameters."""
    found = []
    for path, methods in app.openapi()["paths"].items():
        for name in ("run_id", "backfill_id", "request_id"):
            path = path.replace(f"{{{name}}}", "0198a2")
        found += [(method.upper(), path) for method in methods]
    return [*found, ("GET", "/api/openapi.json")]


def refused(place: Path) -> dict[str, dict[str, str]]:
    """Headers that must open nothing."""
    expired = bearer(place, "admin", expires=clock.now_us() - 1)
    tokens = tokens_of(place)
    text, token = tokens.create("gone", "admin")
    tokens.revoke(token.id)
    other, _ = tokens.create("other", "admin")
    return {
        "none": {},
        "wrong": {"Authorization": f"Bearer hw_{'0' * 12}_{'A' * 43}"},
        "of another secret": {"Authorization": f"Bearer {other[:-1]}{'A' if other[-1] != 'A' else 'B'}"},
        "expired": expired,
        "revoked": {"Authorization": f"Bearer {text}"},
        "of another kind": {"Authorization": f"Basic {other}"},
        "nonsense": {"Authorization": "Bearer \xff\x00".replace("\x00", "")},
        "a cookie of ours, forged": {"Cookie": f"headwater_session={token.id}.{clock.now_us() + HOUR}.{'0' * 64}"},
        "a cookie of nobody": {"Cookie": "headwater_session=\xe9.x.y; a=b"},
    }


def test_no_route_answers_who_may_not_ask(guarded: tuple[TestClient, FastAPI], place: Path) -> None:
    client, app = guarded
    every = routes(app)
    assert len(every) > 30
    for what, headers in refused(place).items():
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        for method, path in every if what in ("none", "expired", "revoked") else every[::6]:
            answer = client.request(method, path, headers=raw)
            if (method, path) in OPEN:
                assert answer.status_code != 401 or path == "/api/session", (what, path)
                continue
            assert answer.status_code == 401, (what, method, path)
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.json()["type"] == "urn:headwater:error:unauthorized"


def test_a_valid_token_opens_them(guarded: tuple[TestClient, FastAPI], place: Path) -> None:
    client, app = guarded
    headers = bearer(place, "admin")
    for method, path in routes(app):
        if path != "/api/events":
            assert client.request(method, path, headers=headers).status_code not in (401, 403), (method, path)


def test_foreign_hosts_and_origins_are_refused_everywhere(guarded: tuple[TestClient, FastAPI], place: Path) -> None:
    client, app = guarded
    headers = bearer(place, "admin")
    foreign = [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example:8421"}, 421),
        ({"Host": "127.0.0.1:8421@evil.example"}, 421),
        ({"Host": ""}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:9999"}, 403),
    ]
    for number, (method, path) in enumerate(routes(app)):
        for more, status in foreign if number % 8 == 0 else (foreign[0], foreign[4]):
            assert client.request(method, path, headers={**headers, **more}).status_code == status, (method, path, more)
        if method != "GET":
            assert client.request(method, path, headers={**headers, "Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.get("/api/runs", headers={**headers, "Origin": BASE, "Host": "LOCALHOST:8421"}).status_code == 403
    assert client.get("/api/runs", headers={**headers, "Origin": BASE}).status_code == 200
    proxied = client.post("/api/session", json={}, headers={"Origin": "https://shop.example.com"})
    assert "have it pass on the Host" in proxied.json()["hint"]
    assert "access-control-allow-origin" not in client.get("/api/runs", headers={**headers, "Origin": BASE}).headers


ODD = (
    "/docs", "/redoc", "/openapi.json", "/api", "/api/", "/api/../api/runs", "/api//runs", "/API/runs",
    "/api/health/", "/api/health/../runs", "/api/health%2f..%2fruns", "/api/health;/runs", "/api/runs?x=/api/health",
    "/api/session/../runs", "/metrics/", "/static/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/.well-known/x",
)  # fmt: skip


def test_odd_paths_open_nothing(guarded: tuple[TestClient, FastAPI]) -> None:
    client, _ = guarded
    for path in ODD:
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"):
            assert client.request(method, path, follow_redirects=False).status_code == 401, (method, path)


def test_web_sockets_are_refused(guarded: tuple[TestClient, FastAPI], place: Path) -> None:
    client, _ = guarded
    for headers in ({}, bearer(place, "admin")):
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/api/events", headers=headers):
            pass


def test_a_token_allows_its_scope_and_no_more(guarded: tuple[TestClient, FastAPI], place: Path) -> None:
    client, app = guarded
    reader = bearer(place, "read")
    for method, path in routes(app):
        if method != "GET" and path != "/api/session":
            answer = client.request(method, path, headers=reader)
            assert (answer.status_code, answer.json()["type"]) == (403, "urn:headwater:error:scope"), (method, path)
    asked = client.post("/api/backfills", json={"selection": "sales"}, headers=bearer(place, "run"))
    assert asked.status_code == 202
    assert asked.json()["asked_by"] == "a runer"
    assert client.get("/api/audit", headers=bearer(place, "run")).json()["type"] == "urn:headwater:error:scope"
    (told,) = client.get("/api/audit?limit=1", headers=bearer(place, "admin")).json()["changes"]
    assert (told["by"], told["what"], told["subject"]) == ("a runer", "work: backfill", asked.json()["id"])


def test_a_browser_session_needs_its_text_for_each_change(guarded: tuple[TestClient, FastAPI], place: Path) -> None:
    client, _ = guarded
    tokens = tokens_of(place)
    text, token = tokens.create("me", "run")
    assert client.post("/api/session", json={"token": "hw_no"}).status_code == 401
    answer = client.post("/api/session", json={"token": text})
    cookie = answer.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Path=/"))
    assert text not in cookie
    csrf = client.get("/api/session").json()["csrf"]
    assert csrf == answer.json()["csrf"]
    body = {"selection": "sales"}
    assert client.post("/api/backfills", json=body).json()["type"] == "urn:headwater:error:csrf"
    assert client.post("/api/backfills", json=body, headers={"X-CSRF-Token": "0" * 64}).status_code == 403
    assert client.post("/api/backfills", json=body, headers={"X-CSRF-Token": csrf}).status_code == 202
    with served(place) as (after_a_restart, _):
        after_a_restart.cookies = client.cookies
        assert after_a_restart.get("/api/session").json()["name"] == "me"
    tokens.revoke(token.id)
    assert client.get("/api/session").status_code == 401


def test_a_session_can_be_ended(guarded: tuple[TestClient, FastAPI], place: Path) -> None:
    client, _ = guarded
    text, _ = tokens_of(place).create("out", "read")
    csrf = client.post("/api/session", json={"token": text}).json()["csrf"]
    assert client.delete("/api/session", headers={"X-CSRF-Token": csrf}).status_code == 204
    assert client.get("/api/session").status_code == 401


@pytest.mark.parametrize("foreign", ['theme={"dark":true}', "flag", "a b=c", "x=\xe9", "[x]=1"])
def test_a_session_stands_beside_whatever_cookies_other_servers_of_the_host_have_set(
    guarded: tuple[TestClient, FastAPI], place: Path, foreign: str
) -> None:
    client, app = guarded
    _, token = tokens_of(place).create("among others", "read")
    cookie = f"{foreign}; headwater_session={app.state.browsers.begin(token).cookie}; other=1"
    assert client.get("/api/session", headers={"Cookie": cookie.encode("latin-1")}).json()["name"] == "among others"


def test_a_copy_of_a_cookie_is_worth_nothing_once_its_session_was_ended(
    guarded: tuple[TestClient, FastAPI], place: Path
) -> None:
    client, app = guarded
    text, token = tokens_of(place).create("copied", "read")
    began = client.post("/api/session", json={"token": text})
    copy = {"Cookie": f"headwater_session={began.cookies['headwater_session']}"}
    other = {"Cookie": f"headwater_session={app.state.browsers.begin(token).cookie}"}
    client.cookies.clear()
    with served(place) as (beside, _):
        assert beside.get("/api/session", headers=copy).status_code == 200
        ended = client.delete("/api/session", headers={**copy, "X-CSRF-Token": began.json()["csrf"]})
        assert ended.status_code == 204
        for one in (client, beside):
            assert one.get("/api/session", headers=copy).status_code == 401
            assert one.get("/api/session", headers=other).status_code == 200  # of the same token, elsewhere
    tokens_of(place).create("after it", "read")  # which writes the file anew
    with served(place) as (after_a_restart, _):
        assert after_a_restart.get("/api/session", headers=copy).status_code == 401
        assert after_a_restart.get("/api/session", headers=other).status_code == 200


def test_what_was_ended_is_forgotten_when_it_would_be_over(tmp_path: Path) -> None:
    tokens, kept = tokens_of(tmp_path), tmp_path / ".headwater" / "tokens.json"
    tokens.end_session("one", clock.now_us() + HOUR)
    tokens.end_session("two", clock.now_us() - 1)
    tokens.end_session("three", clock.now_us() + HOUR)
    assert [tokens.has_ended(one) for one in ("one", "two", "three", "four")] == [True, False, True, False]
    assert len(json.loads(kept.read_text())["ended"]) == 2
    kept.with_suffix(f".{os.getpid()}.draft").write_text("left by a server that was killed")
    tokens.end_session("four", clock.now_us() + HOUR)
    assert tokens.has_ended("four")


def test_tokens_that_can_not_be_read_let_nobody_in_and_say_so(shop: Path) -> None:
    headers = bearer(shop, "admin")
    with served(shop) as (client, _):
        assert client.get("/api/runs", headers=headers).status_code == 200
        (shop / ".headwater" / "tokens.json").write_text('{"tokens": 3}')
        for answer in (
            client.get("/api/runs", headers=headers),
            client.post("/api/session", json={"token": headers["Authorization"].removeprefix("Bearer ")}),
        ):
            assert answer.headers["content-type"] == "application/problem+json"
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:headwater:error:home")
            assert "can't be read" in answer.json()["detail"]
            assert str(shop) not in answer.text
        assert client.get("/api/health").status_code == 200


def test_bodies_are_bounded(guarded: tuple[TestClient, FastAPI], place: Path) -> None:
    client, _ = guarded
    headers = bearer(place, "run")
    big = json.dumps({"selection": "s" * BODY})
    assert client.post("/api/backfills", content=big, headers=headers).status_code == 413
    pieces = (b"x" * 65_536 for _ in range(10))
    assert client.post("/api/backfills", content=pieces, headers=headers).status_code == 413
    assert client.post("/api/session", content=big).status_code == 413
    deep = "[" * 100_000 + "]" * 100_000
    for text in (deep, '{"a":' * 40_000, "", "nonsense", '{"selection": "\\ud800"}', "[]", "NaN", "1" * 5_000):
        answer = client.post("/api/backfills", content=text, headers={**headers, "Content-Type": "application/json"})
        assert answer.status_code in (400, 422), text[:20]
        assert answer.headers["content-type"] == "application/problem+json"


def test_what_a_body_may_say_is_bounded(guarded: tuple[TestClient, FastAPI], place: Path) -> None:
    client, _ = guarded
    headers = bearer(place, "run")
    wrong: list[dict[str, Any]] = [
        {"selection": ""},
        {"selection": "s" * 1_001},
        {"selection": "sales", "parallel": 257},
        {"selection": "sales", "unknown": 1},
        {"selection": "sales", "order": "random"},
        {"selection": "sales", "from": "2024-01-01"},
        {"selection": "sales", "from": "2024-01-01", "to": "2024-01-02", "partition": "2024-01-01"},
        {"selection": "nothing"},
    ]
    for body in wrong:
        assert client.post("/api/backfills", json=body, headers=headers).status_code in (400, 404, 422), body


def test_answers_are_not_to_be_framed_sniffed_or_kept(guarded: tuple[TestClient, FastAPI]) -> None:
    client, _ = guarded
    headers = client.get("/api/runs").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    assert "default-src 'self'" in headers["content-security-policy"]


def test_only_a_hash_of_a_token_is_kept(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(place)
    assert command_line.run(["token", "create", "--name", "ci", "--scope", "run", "--expires", "90d", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    kept = place / ".headwater" / "tokens.json"
    assert made["token"].split("_", 2)[2] not in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600
    with served(place):
        pass
    assert (place / ".headwater" / "server.key").stat().st_mode & 0o777 == 0o600
    assert command_line.run(["token", "list", "--json"]) == 0
    listed = capsys.readouterr().out
    assert made["token"] not in listed
    assert {"ci"} <= {one["name"] for one in json.loads(listed)["tokens"]}
    assert command_line.run(["token", "revoke", "ci", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "revoked"
    assert command_line.run(["token", "revoke", "ci"]) == 2
    for ages in ("9999999d", "999999999d"):
        capsys.readouterr()
        assert command_line.run(["token", "create", "--name", "old", "--expires", ages, "--json"]) == 2
        assert json.loads(capsys.readouterr().out)["error"]["kind"] == "usage"
    assert command_line.run(["token", "list", "--json"]) == 0
    assert "old" not in capsys.readouterr().out


def test_insecure_is_for_loopback_only(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(place)
    for host in ("0.0.0.0", "192.0.2.1", "example.com", "::"):
        assert command_line.run(["serve", "--insecure-local", "--host", host]) == 2
        assert "loopback" in capsys.readouterr().err
