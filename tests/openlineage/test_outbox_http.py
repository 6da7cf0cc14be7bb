"""The outbox and a collector over HTTP: what the answers mean, when it is tried again, what is parked and replayed."""

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from collector import OK, Answer, Collector, running
from outbox import Outbox, a_run, runs

from headwater import clock
from headwater.errors import ExportError
from headwater.lineage.openlineage import exporter as exporter_module
from headwater.lineage.openlineage import plainhttp
from headwater.lineage.openlineage.plainhttp import PlainHttp
from headwater.testing import FakeClock

START = 1_700_000_000_000_000


@pytest.fixture
def time() -> Any:
    with clock.use(FakeClock(START)) as found:
        yield found


def test_a_healthy_collector_gets_each_event_exactly_once_in_order(tmp_path: Path, time: FakeClock) -> None:
    with running() as collector:
        outbox = Outbox(tmp_path, collector)
        outbox.write(*runs(60))
        assert outbox.exporter.drain() == 240
        assert outbox.exporter.drain() == 0
        assert collector.arrived == outbox.expected()
        assert set(collector.paths) == {"/api/v1/lineage"}
        status = outbox.exporter.status()
        assert (status.delivered, status.pending, status.dead, status.error) == (240, 0, 0, None)


@pytest.mark.parametrize("what", ["head", "body"])
def test_an_answer_that_trickles_has_no_more_time_than_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, time: FakeClock, what: str
) -> None:
    monkeypatch.setattr(plainhttp, "_TIMEOUT", 0.3)
    trickles = Answer(trickles=what, keeps=False)
    with running(lambda number, event: trickles if number == 2 else OK) as collector:
        outbox = Outbox(tmp_path, collector)
        outbox.write(*runs(1))
        with pytest.raises(ExportError, match=r"no answer within 0\.3 s"):
            outbox.exporter.drain()
        time.sleep(2)
        assert outbox.exporter.drain() == 3
        assert collector.arrived == outbox.expected()


@pytest.mark.parametrize(
    ("answer", "said", "hint"),
    [
        (Answer(500, "out of memory"), "500 Internal Server Error: out of memory", "tried again at"),
        (Answer(503), "503 Service Unavailable", "tried again at"),
        (Answer(408), "408 Request Timeout", "tried again at"),
        (Answer(429), "429 Too Many Requests", "tried again at"),
        (Answer(503, headers={"Retry-After": "soon"}), "503 Service Unavailable", "tried again at"),
        (Answer(503, headers={"Retry-After": "Mon, 1 Jan 2024 00:00:00 -0000"}), "503 Service", "tried again at"),
        (Answer(503, headers={"Retry-After": f"Mon, 1 Jan 2024 00:00 +{'9' * 20}"}), "503 Service", "tried again at"),
        (Answer(401, "bad key"), "401 Unauthorized: bad key", "OPENLINEAGE_API_KEY"),
        (Answer(403), "403 Forbidden", "OPENLINEAGE_API_KEY"),
        (Answer(404), "404 Not Found", "OPENLINEAGE_URL"),
        (Answer(302, headers={"Location": "/elsewhere"}), "302 Found", "redirects"),
        (Answer(drops=True, keeps=False), "can't be reached", "tried again at"),
    ],
    ids=lambda value: str(getattr(value, "status", "")) if isinstance(value, Answer) else None,
)
def test_what_may_pass_is_tried_later_and_nothing_is_parked(
    tmp_path: Path, time: FakeClock, answer: Answer, said: str, hint: str
) -> None:
    with running(lambda number, event: answer if number == 3 else OK) as collector:
        outbox = Outbox(tmp_path, collector)
        outbox.write(*runs(2))
        with pytest.raises(ExportError, match="can't be delivered") as raised:
            outbox.exporter.drain()
        assert said in raised.value.message
        assert hint in str(raised.value.hint)
        assert collector.requests == 3
        status = outbox.exporter.status()
        assert (status.delivered, status.pending, status.dead) == (2, 6, 0)
        assert said in str(status.error)
        assert outbox.exporter.drain(patient=True) == 0
        assert collector.requests == 3
        time.sleep(2)
        assert outbox.exporter.drain(patient=True) == 6
        assert collector.arrived == outbox.expected()
        assert outbox.exporter.status().error is None


def test_the_pause_doubles_up_to_five_minutes_and_survives_processes(tmp_path: Path, time: FakeClock) -> None:
    outbox = Outbox(tmp_path, Collector())
    outbox.write(*a_run())
    pauses = []
    for _ in range(12):
        with pytest.raises(ExportError, match="Connection refused"):
            outbox.exporter.drain(patient=True)
        due = outbox.exporter.status().next_try
        assert due is not None
        pauses.append((due - clock.now_us()) / 1_000_000)
        assert outbox.exporter.drain(patient=True) == 0
        time.sleep(pauses[-1])
    assert all(0.75 * 2**n <= pause <= 1.25 * 2**n for n, pause in enumerate(pauses[:8]))
    assert all(225 <= pause <= 375 for pause in pauses[9:])


def test_a_clock_that_was_ahead_keeps_nothing_waiting(tmp_path: Path, time: FakeClock) -> None:
    with running(lambda number, event: Answer(503) if number == 1 else OK) as collector:
        outbox = Outbox(tmp_path, collector)
        outbox.write(*a_run())
        time.sleep(30 * 365 * 86_400)
        with pytest.raises(ExportError):
            outbox.exporter.drain(patient=True)
        time.sleep(-30 * 365 * 86_400)
        assert outbox.exporter.drain(patient=True) == 4


@pytest.mark.parametrize("url", ["http://a..b:5000", "http://.b", "http://two words", "http://localhost/\u2192"])
def test_what_is_no_address_is_told_and_nothing_is_lost(tmp_path: Path, time: FakeClock, url: str) -> None:
    outbox = Outbox(tmp_path, PlainHttp(url, ""))
    outbox.write(*a_run())
    with pytest.raises(ExportError, match="it is no address") as raised:
        outbox.exporter.drain()
    assert "OPENLINEAGE_URL" in str(raised.value.hint)
    status = outbox.exporter.status()
    assert (status.delivered, status.pending, status.dead) == (0, 4, 0)
    assert "it is no address" in str(status.error)


@pytest.mark.parametrize("until", ["90", "Tue, 14 Nov 2023 22:14:50 GMT", "Tue, 14 Nov 2023 23:14:50 +0100"])
def test_one_that_asks_for_more_time_gets_it(tmp_path: Path, time: FakeClock, until: str) -> None:
    slow_down = Answer(429, headers={"Retry-After": until})
    with running(lambda number, event: slow_down if number == 1 else OK) as collector:
        outbox = Outbox(tmp_path, collector)
        outbox.write(*a_run())
        with pytest.raises(ExportError):
            outbox.exporter.drain()
        time.sleep(89)
        assert outbox.exporter.drain(patient=True) == 0
        time.sleep(1)
        assert outbox.exporter.drain(patient=True) == 4


def test_a_person_who_asks_need_not_wait(tmp_path: Path, time: FakeClock) -> None:
    with running(lambda number, event: Answer(503) if number == 1 else OK) as collector:
        outbox = Outbox(tmp_path, collector)
        outbox.write(*a_run())
        with pytest.raises(ExportError):
            outbox.exporter.drain()
        assert outbox.exporter.drain() == 4


def test_secrets_are_not_told(tmp_path: Path, time: FakeClock) -> None:
    said = Answer(400, "the key k-very-secret is odd, and so is http://me:k-other-secret@host/")
    with running(lambda number, event: said) as collector:
        destination = PlainHttp(collector.url, api_key="k-very-secret")
        outbox = Outbox(tmp_path, destination)
        outbox.write(*a_run())
        assert outbox.exporter.drain() == 0
        assert collector.headers[0]["Authorization"] == "Bearer k-very-secret"
    kept = b"".join(path.read_bytes() for path in outbox.home.path.rglob("*") if path.is_file())
    assert b"is odd" in kept
    assert b"secret" not in kept


class TestDeadLetters:
    def test_they_are_replayed_and_what_is_refused_again_stays(self, tmp_path: Path, time: FakeClock) -> None:
        with running(lambda number, event: Answer(422) if event["eventType"] == "START" else OK) as collector:
            outbox = Outbox(tmp_path, collector)
            outbox.write(*a_run())
            assert outbox.exporter.drain() == 2
            assert [letter.reason for letter in outbox.exporter.dead()] == [f"422 {HTTPStatus(422).phrase}"] * 2
            refused = [json.loads(str(letter.event)) for letter in outbox.exporter.dead()]
            assert outbox.exporter.replay() == 0
            collector.behaviour = lambda number, event: Answer(400, "no") if event == refused[0] else OK
            assert outbox.exporter.replay() == 1
            (left,) = outbox.exporter.dead()
            assert (left.reason, left.status) == ("400 Bad Request: no", 400)
            collector.behaviour = lambda number, event: OK
            assert outbox.exporter.replay() == 1
            assert outbox.exporter.dead() == []
            assert sorted(map(str, collector.arrived)) == sorted(map(str, outbox.expected()))

    def test_a_replay_that_gets_stuck_keeps_the_rest(self, tmp_path: Path, time: FakeClock) -> None:
        with running(lambda number, event: Answer(422)) as collector:
            outbox = Outbox(tmp_path, collector)
            outbox.write(*a_run())
            outbox.exporter.drain()
            collector.behaviour = lambda number, event: OK if number == 5 else Answer(503)
            with pytest.raises(ExportError, match="503"):
                outbox.exporter.replay()
            assert len(outbox.exporter.dead()) == 3

    def test_an_event_that_cannot_be_told_is_parked_and_replayed_when_it_can(
        self, tmp_path: Path, time: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        translate = exporter_module.translate

        def fails(event: Any, **options: Any) -> Any:
            if event.seq == 3:
                raise KeyError("asset")
            return translate(event, **options)

        with running() as collector:
            outbox = Outbox(tmp_path, collector)
            outbox.write(*a_run())
            with monkeypatch.context() as patch:
                patch.setattr(exporter_module, "translate", fails)
                assert outbox.exporter.status().pending == 4
                assert outbox.exporter.drain() == 3
                (letter,) = outbox.exporter.dead()
                assert "KeyError: 'asset'" in letter.reason
                assert outbox.exporter.replay() == 0
            assert outbox.exporter.replay() == 1
            assert sorted(map(str, collector.arrived)) == sorted(map(str, outbox.expected()))

    def test_one_torn_by_a_kill_is_passed_over(self, tmp_path: Path, time: FakeClock) -> None:
        with running(lambda number, event: Answer(422)) as collector:
            outbox = Outbox(tmp_path, collector)
            outbox.write(*a_run())
            outbox.exporter.drain()
            (file,) = outbox.home.path.rglob("*.dead.ndjson")
            assert file.stat().st_mode & 0o777 == 0o600
            file.write_bytes(file.read_bytes() + b'{"id": "ha')
            assert len(outbox.exporter.dead()) == 4
            outbox.write(*a_run())
            outbox.exporter.drain()
            assert len(outbox.exporter.dead()) == 8


class TestAgain:
    def test_from_the_beginning(self, tmp_path: Path, time: FakeClock) -> None:
        with running() as collector:
            outbox = Outbox(tmp_path, collector)
            outbox.write(*runs(3))
            outbox.exporter.drain()
            outbox.exporter.restart()
            assert outbox.exporter.drain() == 12
            assert collector.arrived == outbox.expected() * 2
            assert outbox.exporter.status().delivered == 24

    def test_what_is_wanted(self, tmp_path: Path, time: FakeClock) -> None:
        with running() as collector:
            outbox = Outbox(tmp_path, collector)
            outbox.write(*runs(3))
            outbox.exporter.drain()
            run = collector.arrived[0]["run"]["runId"]
            assert outbox.exporter.redeliver(lambda event: event["run"]["runId"] == run) == 2
            assert [event["run"]["runId"] for event in collector.arrived[12:]] == [run] * 2
            assert outbox.exporter.drain() == 0

    def test_while_somebody_delivers_the_error_says_so(self, tmp_path: Path) -> None:
        outbox = Outbox(tmp_path, Collector())
        exporter = outbox.exporter
        with exporter._held(), pytest.raises(ExportError, match="another process is delivering"):
            outbox.exporter.replay()
