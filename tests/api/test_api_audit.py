"""Who was given access, used it, or was refused: told in the journal, and bounded."""

import json
from pathlib import Path
from typing import Any

import pytest
from api_world import bearer, served, until
from fastapi.testclient import TestClient

from headwater import clock, settings
from headwater.api import access
from headwater.api.access import OTHERS, SOURCES, AccessLog
from headwater.cli import app as command_line
from headwater.core.journal.reader import Reader
from headwater.project import ServingProject


def recorded(folder: Path) -> list[dict[str, Any]]:
    """What the journal says of access, in order."""
    home = ServingProject(settings.load(folder)).home
    return [event.body for event in Reader(home).events() if event.kind == "access.recorded"]


def changes_of(client: TestClient, headers: dict[str, str], least: int) -> list[dict[str, Any]]:
    """What the audit tells, once it tells so much."""
    found: list[dict[str, Any]] = client.get("/api/audit", headers=headers).json()["changes"]
    return found if len(found) >= least else []


def cli(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    assert command_line.run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_tokens_and_sessions_are_told_without_what_they_are(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(shop)
    made = cli(capsys, "token", "create", "--scope", "admin", "--name", "ann")
    headers = {"Authorization": f"Bearer {made['token']}"}
    with served(shop) as (client, _):
        began = client.post("/api/session", json={"token": made["token"]})
        cookie = began.cookies["headwater_session"]
        assert (
            client.request("DELETE", "/api/session", headers={"X-CSRF-Token": began.json()["csrf"]}).status_code == 204
        )
        assert client.delete("/api/session", headers=headers).status_code == 204  # a token ends no session
        found = until(lambda: changes_of(client, headers, 3))
        assert client.post("/api/materializations", headers=headers, json={"selection": "sales"}).status_code == 202
        assert client.get("/api/audit", headers=headers).json()["changes"][0]["what"] == "work: materialize"
    cli(capsys, "token", "revoke", "ann")
    assert [(one["what"], one["by"]) for one in found][:2] == [
        ("access: session.ended", "ann"),
        ("access: session.began", "ann"),
    ]
    assert [one["what"] for one in recorded(shop)] == [
        "token.created",
        "session.began",
        "session.ended",
        "token.revoked",
    ]
    assert {one["subject"] for one in recorded(shop)} == {made["id"]}
    secret = made["token"].rpartition("_")[2]
    for path in (shop / ".headwater").rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes()
            assert cookie.encode() not in path.read_bytes()
    changes = cli(capsys, "audit", "--limit", "3")["changes"]
    assert [one["what"] for one in changes] == [
        "access: token.revoked",
        "work: materialize",
        "access: session.ended",
    ]
    assert command_line.run(["audit", "--limit", "1"]) == 0
    assert "token.revoked" in capsys.readouterr().out
    assert command_line.run(["audit", "--limit", "0"]) == 2


def test_who_is_refused_can_not_fill_the_journal(shop: Path) -> None:
    headers = bearer(shop, "admin")
    wrong = f"hw_{'0' * 12}_{'A' * 43}"
    with served(shop) as (client, _):
        for _ in range(40):
            assert client.post("/api/session", json={"token": wrong}).status_code == 401
            assert client.get("/api/runs", headers={"Authorization": f"Bearer {wrong}"}).status_code == 401
            assert client.get("/api/runs").status_code == 401  # who sends nothing tries nothing
        told = until(lambda: client.get("/api/audit", headers=headers).json()["changes"])
        assert told[0]["what"] == "access: refused"
    found = [one for one in recorded(shop) if one["what"] == "refused"]
    assert len(found) <= 2
    assert sum(one["count"] for one in found) == 80
    assert {one["subject"] for one in found} == {"testclient"}


def test_refusals_are_recorded_once_a_minute_and_address(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = clock.steady_us()
    monkeypatch.setattr(access.clock, "steady_us", lambda: now)
    project = ServingProject(settings.load(shop))
    log = AccessLog(project)
    for _ in range(10):
        for number in range(1_000):
            log.refuse(f"192.0.2.{number}")
        log.flush()
    first = recorded(shop)
    assert len(first) == SOURCES + 1
    assert [one["count"] for one in first if one["subject"] == OTHERS] == [1_000 - SOURCES]
    now += int(access.EVERY * 1e6)
    log.flush()
    assert sum(one["count"] for one in recorded(shop)) == 10_000
    assert len(recorded(shop)) == 2 * (SOURCES + 1)
    now += int(access.EVERY * 1e6)
    log.flush()  # whoever came no more is forgotten
    log.refuse("198.51.100.1")
    log.flush()
    assert recorded(shop)[-1]["subject"] == "198.51.100.1"
    project.close()
