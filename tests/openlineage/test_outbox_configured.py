"""Destinations as users of openlineage-python configure them: read by the client itself, served by its transports."""

import errno
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openlineage_cases as cases
import pytest
from collector import OK, Answer, running
from outbox import Outbox, a_run, runs

from headwater import ids
from headwater.errors import ExportError, SettingsError
from headwater.lineage.openlineage.configured import config_file, destinations, is_configured
from headwater.lineage.openlineage.plainhttp import PlainHttp
from headwater.lineage.openlineage.transport import TransportDestination

Validate = Callable[..., None]


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, a home folder, and no variables that are meant for others."""
    for name in os.environ:
        if name.startswith("OPENLINEAGE") or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def write(path: Path, **config: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config))  # JSON is YAML


@pytest.mark.parametrize("url", [None, "http://marquez:5000"])
def test_a_home_folder_that_may_not_be_looked_into_stops_nobody(
    clean: Path, monkeypatch: pytest.MonkeyPatch, url: str | None
) -> None:
    # A container that runs as somebody else than its image was made for.
    home, stat = str(clean.parent / "home"), os.stat

    def refusing(path: Any, **more: Any) -> os.stat_result:
        if str(path).startswith(f"{home}/"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, **more)

    monkeypatch.setattr(os, "stat", refusing)
    if url is not None:
        monkeypatch.setenv("OPENLINEAGE_URL", url)
    assert is_configured(clean) == (url is not None)
    assert [str(one) for one in destinations(clean)] == ([] if url is None else [f"{url}/api/v1/lineage"])


def http(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "http", "url": url, **more}


def same(arrived: list[dict[str, Any]], outbox: Outbox) -> bool:
    """Whether what a transport brought is what we would have written, and the client's own tag."""
    for event in arrived:
        tags = event["run"]["facets"].pop("tags")["tags"]
        assert [tag["key"] for tag in tags] == ["openlineage_client_version"]
    return bool(cases.without_empty(arrived) == cases.without_empty(outbox.expected()))


class TestWhereItStands:
    def test_nothing(self, clean: Path) -> None:
        assert not is_configured(clean)
        assert destinations(clean) == ()

    def test_the_variables_alone_need_no_heavy_import(self, clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENLINEAGE_URL", "http://marquez:5000/")
        monkeypatch.setenv("OPENLINEAGE_ENDPOINT", "lineage/here")
        monkeypatch.setenv("OPENLINEAGE_API_KEY", "k-secret")
        (found,) = destinations(clean)
        assert isinstance(found, PlainHttp)
        assert str(found) == "http://marquez:5000/lineage/here"
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        (other,) = destinations(clean)
        assert isinstance(other, TransportDestination)
        assert (other.id, str(other)) == (found.id, str(found))
        assert [name for name in os.environ if name.startswith("OPENLINEAGE__")] == []

    def test_disabled(self, clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENLINEAGE_URL", "http://marquez:5000")
        monkeypatch.setenv("OPENLINEAGE_DISABLED", " True ")
        assert not is_configured(clean)
        assert destinations(clean) == ()

    @pytest.mark.parametrize("place", ["current", "root", "home", "named"])
    def test_the_file(self, clean: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
        root = clean / "project"
        root.mkdir()
        path = {
            "current": clean / "openlineage.yml",
            "root": root / "openlineage.yml",
            "home": clean.parent / "home/.openlineage/openlineage.yml",
            "named": clean / "elsewhere/lineage.yml",
        }[place]
        write(path, transport=http("http://marquez:5000"))
        if place == "named":
            assert not is_configured(root)
            monkeypatch.setenv("OPENLINEAGE_CONFIG", str(path))
        assert config_file(root) == path
        (found,) = destinations(root)
        assert str(found) == "http://marquez:5000/api/v1/lineage"
        assert os.environ.get("OPENLINEAGE_CONFIG") == (str(path) if place == "named" else None)

    @pytest.mark.parametrize("url", [None, "http://marquez:5000"])
    @pytest.mark.parametrize("folder", [False, True])
    def test_a_named_file_that_is_not_there_is_told(
        self, clean: Path, monkeypatch: pytest.MonkeyPatch, url: str | None, folder: bool
    ) -> None:
        """Nothing went to any catalog, or to another one, without a word."""
        write(clean / "openlineage.yml", transport=http("http://other:5000"))
        named = str(clean) if folder else "/nope/lineage.yml"
        monkeypatch.setenv("OPENLINEAGE_CONFIG", named)
        if url is not None:
            monkeypatch.setenv("OPENLINEAGE_URL", url)
        assert is_configured(clean)
        with pytest.raises(SettingsError) as raised:
            destinations(clean)
        assert named in str(raised.value)
        assert raised.value.where == "the variable OPENLINEAGE_CONFIG"
        monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
        assert destinations(clean) == ()

    def test_a_file_that_names_no_transport_prints_nothing(self, clean: Path) -> None:
        write(clean / "openlineage.yml", facets={"environment_variables": []})
        assert destinations(clean) == ()

    def test_a_file_and_the_url_are_two_destinations(self, clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        transports = {"first": http("http://one:5000"), "second": http("http://two:5000")}
        write(clean / "openlineage.yml", transport={"type": "composite", "transports": transports})
        monkeypatch.setenv("OPENLINEAGE_URL", "http://three:5000")
        hosts = sorted(str(one).split("/")[2] for one in destinations(clean))
        assert hosts == ["one:5000", "three:5000", "two:5000"]

    @pytest.mark.parametrize(
        ("config", "said"),
        [
            ({"type": "http"}, "`url` key not passed"),
            ({"type": "http", "url": "marquez"}, "Need valid url"),
            ({"type": "nowhere.Transport"}, "nowhere"),
            ({"type": "kafka", "topic": "t"}, "KafkaConfig|kafka"),
        ],
    )
    def test_a_wrong_one_is_named(self, clean: Path, config: dict[str, Any], said: str) -> None:
        write(clean / "openlineage.yml", transport=config)
        with pytest.raises(SettingsError, match=said) as raised:
            destinations(clean)
        assert raised.value.where == str(clean / "openlineage.yml")

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("transport:\n  type: http\n   url: http://marquez:5000\n", r"is no YAML, from line 3, column 7 on"),
            ("transport: {auth: {apiKey: *sekret}}", "is no YAML, from line 1"),
            ("transport: [", "is no YAML"),
            ("transport\n", "holds no settings"),
            ("\x00", "is no YAML"),
        ],
    )
    def test_a_file_that_is_no_yaml_is_named(
        self, clean: Path, capfd: pytest.CaptureFixture[str], text: str, said: str
    ) -> None:
        """The client went on as if there were none, and printed its traceback."""
        (clean / "openlineage.yml").write_text(text)
        with pytest.raises(SettingsError, match=said) as raised:
            destinations(clean)
        assert raised.value.where == str(clean / "openlineage.yml")
        assert "sekret" not in str(raised.value)
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize("url", ["http://marquez:port", "http://marquez:5000000", "http://[::1"])
    def test_what_is_no_address_is_named(self, clean: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
        monkeypatch.setenv("OPENLINEAGE_URL", url)
        with pytest.raises(SettingsError, match="OpenLineage is configured wrongly: ValueError: ") as raised:
            destinations(clean)
        assert raised.value.where == "the variables OPENLINEAGE_…"

    @pytest.mark.parametrize("key", ["k-secret\n", "k-\r\nsecret", "k-secret\u2192"])
    @pytest.mark.parametrize("proxy", [None, "http://127.0.0.1:1"])
    def test_a_key_that_cannot_be_sent_is_named_and_not_told(
        self, clean: Path, monkeypatch: pytest.MonkeyPatch, key: str, proxy: str | None
    ) -> None:
        monkeypatch.setenv("OPENLINEAGE_URL", "http://marquez:5000")
        monkeypatch.setenv("OPENLINEAGE_API_KEY", key)
        if proxy is not None:
            monkeypatch.setenv("HTTP_PROXY", proxy)
        with pytest.raises(SettingsError, match="can't be sent") as raised:
            destinations(clean)
        assert raised.value.where == "the variable OPENLINEAGE_API_KEY"
        assert "secret" not in f"{raised.value} {raised.value.hint}"

    def test_a_key_in_an_error_is_not_told(self, clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENLINEAGE_URL", "me:k-secret@marquez")
        monkeypatch.setenv("OPENLINEAGE_API_KEY", "k-secret")
        with pytest.raises(SettingsError) as raised:
            destinations(clean)
        assert "k-secret" not in str(raised.value)


class TestTransports:
    def outbox(self, clean: Path, number: int = 0) -> Outbox:
        return Outbox(clean, destinations(clean)[number])

    @pytest.mark.parametrize("kind", ["http", "async_http"])
    def test_http_delivers_exactly_once_what_we_would_write(self, clean: Path, kind: str, validate: Validate) -> None:
        with running() as collector:
            auth = {"type": "api_key", "apiKey": "k-secret"}
            headers = {"X-Team": "shop"}
            config = http(collector.url, endpoint="here", auth=auth, custom_headers=headers, compression=None)
            write(clean / "openlineage.yml", transport={**config, "type": kind})
            outbox = self.outbox(clean)
            assert isinstance(outbox.destination, TransportDestination)
            outbox.write(*runs(2))
            assert outbox.exporter.drain() == 8
            assert (collector.headers[0]["Authorization"], collector.headers[0]["X-Team"]) == (
                "Bearer k-secret",
                "shop",
            )
            assert set(collector.paths) == {"/here"}
            validate(collector.arrived, finished=True)
            assert same(collector.arrived, outbox)

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            (Answer(503), "503 Service Unavailable"),
            (Answer(401, "no k-secret please"), "401 Unauthorized: no \\*\\*\\* please"),
            (Answer(301, headers={"Location": "/elsewhere"}), "301 Moved Permanently"),
            (Answer(hangs=True, keeps=False), "no answer within 0.2 s"),
            (Answer(trickles="head", keeps=False), "no answer within 0.2 s"),
            (Answer(trickles="body", keeps=False), "no answer within 0.2 s"),
            (Answer(drops=True, keeps=False), "can't be reached"),
        ],
    )
    def test_trouble_is_tried_once_and_later(self, clean: Path, answer: Answer, said: str) -> None:
        with running(lambda number, event: answer if number == 2 else OK) as collector:
            auth = {"type": "api_key", "apiKey": "k-secret"}
            write(clean / "openlineage.yml", transport=http(collector.url, timeout=0.2, auth=auth))
            outbox = self.outbox(clean)
            outbox.write(*a_run())
            with pytest.raises(ExportError, match=said):
                outbox.exporter.drain()
            assert collector.requests == 2
            assert outbox.exporter.drain(patient=True) == 0
            assert outbox.exporter.drain() == 3
            assert same(collector.arrived, outbox)

    def test_a_refused_event_is_parked(self, clean: Path) -> None:
        with running(lambda number, event: Answer(400, "bad") if number == 2 else OK) as collector:
            write(clean / "openlineage.yml", transport=http(collector.url))
            outbox = self.outbox(clean)
            outbox.write(*a_run())
            assert outbox.exporter.drain() == 3
            assert [letter.reason for letter in outbox.exporter.dead()] == ["400 Bad Request: bad"]

    def test_each_of_a_composite_has_a_position_of_its_own(self, clean: Path) -> None:
        with running() as up, running(lambda number, event: Answer(500)) as down:
            transports = [http(up.url), http(down.url)]
            write(clean / "openlineage.yml", transport={"type": "composite", "transports": transports})
            first, second = self.outbox(clean, 0), self.outbox(clean, 1)
            first.write(*a_run())
            assert first.exporter.drain() == 4
            with pytest.raises(ExportError):
                second.exporter.drain()
            down.behaviour = lambda number, event: OK
            assert (first.exporter.drain(), second.exporter.drain()) == (0, 4)
            assert up.arrived == down.arrived

    def test_one_that_stops_at_the_first_success_is_one_destination(self, clean: Path) -> None:
        with running(lambda number, event: Answer(500)) as down, running() as up:
            retry = {"total": 0}
            transports = [http(down.url, retry=retry), http(up.url)]
            config = {"type": "composite", "transports": transports, "continue_on_success": False}
            write(clean / "openlineage.yml", transport=config)
            outbox = self.outbox(clean)
            outbox.write(*a_run())
            assert outbox.exporter.drain() == 4
            assert len(up.arrived) == 4

    def test_a_file(self, clean: Path) -> None:
        config = {"type": "file", "log_file_path": str(clean / "events.log"), "append": True}
        write(clean / "openlineage.yml", transport=config)
        outbox = self.outbox(clean)
        outbox.write(*a_run())
        assert outbox.exporter.drain() == 4
        assert outbox.exporter.drain() == 0
        lines = [json.loads(line) for line in (clean / "events.log").read_text().splitlines()]
        assert same(lines, outbox)
        (clean / "events.log").unlink()
        (clean / "events.log").mkdir()
        outbox.write(*a_run())
        with pytest.raises(ExportError, match=r"events\.log"):
            outbox.exporter.drain()
        assert outbox.exporter.status().pending == 4

    def test_the_console(self, clean: Path, caplog: pytest.LogCaptureFixture) -> None:
        write(clean / "openlineage.yml", transport={"type": "console"})
        outbox = self.outbox(clean)
        outbox.write(*a_run())
        with caplog.at_level(logging.INFO, "openlineage.client.transport.console"):
            assert outbox.exporter.drain() == 4
        assert len([record for record in caplog.records if "eventType" in record.message]) == 4

    def test_filters_and_tags_of_the_client_hold(self, clean: Path, validate: Validate) -> None:
        with running() as collector:
            write(
                clean / "openlineage.yml",
                transport=http(collector.url),
                filters=[{"type": "exact", "match": "nightly.summarise"}],
                tags={"job": {"layer": "gold"}},
            )
            outbox = self.outbox(clean)
            run_id = ids.new_id()
            start = cases.started(run_id)
            start_tagged = cases.started(run_id, task="other", tags={"tier": "1"})
            outbox.write(cases.run_started(run_id), start, start_tagged, cases.run_ended(run_id))
            outbox.exporter.drain()
            assert [event["job"]["name"] for event in collector.arrived] == ["nightly", "nightly.other", "nightly"]
            assert all(event["job"]["facets"]["tags"]["tags"][0]["key"] for event in collector.arrived)
            validate(collector.arrived)

    def test_kafka_gets_keys_that_keep_a_flow_in_one_partition(self) -> None:
        from openlineage.client.transport.kafka import KafkaTransport

        from headwater.lineage.openlineage.transport import official_event

        start = cases.started(ids.new_id())
        outer, inner = (official_event(event) for event in map(plain, (cases.run_started(start.run_id), start)))
        keys = {KafkaTransport._get_message_key(KafkaTransport.__new__(KafkaTransport), one) for one in (outer, inner)}
        assert keys == {"run:shop/nightly"}


def plain(body: Any) -> dict[str, Any]:
    from headwater.lineage.openlineage.translate import translate

    found = translate(cases.event(body))
    assert found is not None
    return found
