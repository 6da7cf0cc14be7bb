"""`headwater openlineage` with collectors over HTTP: what it tells, and with which exit code."""

import json
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from cli_project import as_in_a_new_process
from collector import OK, Answer, Collector, running
from courier_script import clean_environment, run_flows

from headwater.cli.app import run

Ask = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """A command as in a process of its own: exit code, its JSON document, and what it says beside it."""
    run_flows(tmp_path, 2)
    monkeypatch.chdir(tmp_path)

    def asked(*arguments: str, url: str | None = None) -> tuple[int, Any, str]:
        with monkeypatch.context() as patch, as_in_a_new_process():
            for name in ("OPENLINEAGE_URL", "OPENLINEAGE_API_KEY", "HTTP_PROXY", "http_proxy"):
                patch.delenv(name, raising=False)
            for name, value in clean_environment(tmp_path, url).items():
                patch.setenv(name, value)
            capsys.readouterr()
            code = run(["openlineage", *arguments, "--json"])
        told = capsys.readouterr()
        return code, json.loads(told.out), told.err

    return asked


def test_down_and_up_again(ask: Ask, tmp_path: Path) -> None:
    collector = Collector()
    code, found, said = ask("export", url=collector.url)
    (row,) = found["destinations"]
    assert (code, row["exported"], row["pending"]) == (1, 0, 4)
    assert "Connection refused" in row["error"]
    assert "tried again at" in said
    (row,) = ask("status", url=collector.url)[1]["destinations"]
    assert (row["destination"], row["pending"]) == (f"{collector.url}/api/v1/lineage", 4)
    assert row["next_try"] > "2026"
    collector.up()
    try:
        code, found, said = ask("export", url=collector.url)
        assert (code, found["exported"], said) == (0, 4, "")
        (row,) = ask("status", url=collector.url)[1]["destinations"]
        assert (row["delivered"], row["pending"], row["error"], row["next_try"]) == (4, 0, None, None)
        assert len(collector.arrived) == 4
    finally:
        collector.down()


def test_a_position_that_cannot_be_read_holds_up_no_other_destination(ask: Ask, tmp_path: Path) -> None:
    with running() as collector:
        places = [{"type": "file", "log_file_path": str(tmp_path / "lineage.log"), "append": True}]
        transport = {"type": "composite", "transports": [*places, {"type": "http", "url": collector.url}]}
        (tmp_path / "openlineage.yml").write_text(json.dumps({"transport": transport}))
        assert ask("export")[0] == 0
        assert len(collector.arrived) == 4
        for position in (tmp_path / ".headwater/openlineage").glob("*.json"):
            position.write_text("{") if position.name.startswith("transport-") else position.unlink()
        code, found, said = ask("export")
        assert (code, [row["exported"] for row in found["destinations"]]) == (1, [0, 4])
        assert "remove this file and what was exported" in said
        assert len(collector.arrived) == 8
        code, found, _ = ask("status")
        assert (code, [row["delivered"] for row in found["destinations"]]) == (0, [0, 4])
        assert "can't be read" in found["destinations"][0]["error"]


def test_dead_letters_are_shown_and_replayed(ask: Ask) -> None:
    with running(lambda number, event: Answer(422, "too long") if number <= 2 else OK) as collector:
        code, found, _ = ask("export", url=collector.url)
        assert (code, found["destinations"][0]["exported"], found["destinations"][0]["dead"]) == (0, 2, 2)
        code, found, _ = ask("dead", url=collector.url)
        assert [(row["event"], row["job"], row["status"]) for row in found["dead"]] == [
            ("START", "nightly", 422),
            ("COMPLETE", "nightly", 422),
        ]
        assert found["dead"][0]["reason"] == f"422 {HTTPStatus(422).phrase}: too long"
        assert found["dead"][0]["body"]["eventType"] == "START"
        collector.behaviour = lambda number, event: Answer(422) if event["eventType"] == "START" else OK
        code, found, _ = ask("replay", url=collector.url)
        assert (code, found["destinations"][0]["replayed"], found["destinations"][0]["dead"]) == (1, 1, 1)
        collector.behaviour = lambda number, event: OK
        code, found, _ = ask("replay", url=collector.url)
        assert (code, found["destinations"][0]["replayed"], found["destinations"][0]["dead"]) == (0, 1, 0)
        assert ask("dead", url=collector.url)[1] == {"dead": []}


def test_what_was_delivered_is_delivered_again(ask: Ask) -> None:
    with running() as collector:
        ask("export", url=collector.url)
        first = list(collector.arrived)
        run_id = first[0]["run"]["runId"]

        def again(*options: str) -> list[dict[str, Any]]:
            collector.arrived.clear()
            assert ask("replay", *options, url=collector.url)[0] == 0
            return collector.arrived

        assert again("--all") == first
        assert again("--run", run_id[:20]) in (first[:2], first)
        assert again("--since", "2020-01-01", "--to", "lineage") == first
        assert again("--since", "2120-01-01") == []
        code, found, _ = ask("replay", "--run", "nope", url=collector.url)
        assert (code, found["error"]["message"]) == (2, "there is no run 'nope'")
        assert run_id in found["error"]["hint"]
        collector.behaviour = lambda number, event: Answer(503)
        code, _, said = ask("replay", "--all", url=collector.url)
        assert (code, "503 Service Unavailable" in said) == (1, True)


def test_wrong_calls(ask: Ask) -> None:
    assert ask("export")[0] == 2
    assert ask("export")[1]["error"]["hint"].startswith("give --to FILE, or set OPENLINEAGE_URL")
    # Here --to names one of those that are configured, and no file.
    for other in ("dead", "replay"):
        assert ask(other)[1]["error"]["hint"].startswith("set OPENLINEAGE_URL")
    url = "http://127.0.0.1:9"
    assert ask("replay", "--all", "--run", "x", url=url)[0] == 2
    assert "there is no destination" in ask("replay", "--to", "nobody", url=url)[1]["error"]["message"]
    assert "--follow" in ask("export", "--follow", url=url)[1]["error"]["message"]
    assert ask("status", url="no url at all")[1]["error"]["kind"] == "settings"


def test_two_destinations_one_of_them_down(ask: Ask, tmp_path: Path) -> None:
    with running() as up:
        transports = [{"type": "http", "url": Collector().url}, {"type": "http", "url": up.url}]
        config = {"transport": {"type": "composite", "transports": transports}}
        (tmp_path / "openlineage.yml").write_text(json.dumps(config))
        code, found, _ = ask("export")
        assert code == 1
        assert [row["exported"] for row in found["destinations"]] == [0, 4]
        assert len(up.arrived) == 4


def test_a_file_is_replayed_behind_what_it_holds_and_written_anew_when_it_is_removed(ask: Ask, tmp_path: Path) -> None:
    with (tmp_path / "pyproject.toml").open("a") as settings:
        settings.write('[tool.headwater]\nopenlineage_file = "events.ndjson"\n')
    file = tmp_path / "events.ndjson"
    assert ask("export")[1]["exported"] == 4
    once = file.read_bytes()
    assert ask("replay", "--all")[1]["destinations"][0]["replayed"] == 4
    assert file.read_bytes() == once * 2
    file.unlink()
    assert ask("export")[1]["exported"] == 4
    assert file.read_bytes() == once
