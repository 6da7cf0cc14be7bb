"""E2: events that a collector refuses for good are parked with the reason, and the rest flows, in order."""

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from collector import OK, Answer, Collector, running
from courier_script import run_flows
from outbox import Outbox

from headwater import clock
from headwater.testing import FakeClock

REFUSALS = {status: f"{status} {HTTPStatus(status).phrase}: no" for status in (400, 413, 422)}


@pytest.mark.parametrize("status", REFUSALS)
def test_a_poison_event_is_parked_and_the_rest_flows(tmp_path: Path, status: int, stress: bool) -> None:
    flows = 1_000 if stress else 30
    run_flows(tmp_path, flows)
    with clock.use(FakeClock(clock.now_us())), running() as collector:
        outbox = Outbox(tmp_path, collector)
        expected = outbox.expected()
        poison = expected[::7]
        collector.behaviour = lambda number, event: Answer(status, "no") if event in poison else OK
        assert outbox.exporter.drain() == len(expected) - len(poison)
        assert collector.arrived == [event for event in expected if event not in poison]
        assert collector.requests == len(expected)
        letters = outbox.exporter.dead()
        assert [json.loads(str(letter.event)) for letter in letters] == poison
        assert {letter.reason for letter in letters} <= {
            REFUSALS[status],
            REFUSALS[status].replace("Request Entity", "Content"),
        }
        assert {letter.status for letter in letters} == {status}
        assert outbox.exporter.drain() == 0
        assert collector.requests == len(expected)
        assert outbox.exporter.status().dead == len(poison)

        collector.behaviour = lambda number, event: OK
        assert outbox.exporter.replay() == len(poison)
        assert sorted(map(str, collector.arrived)) == sorted(map(str, expected))
        assert outbox.exporter.status().dead == 0
    print(
        f"E2: {len(expected):,} events, {len(poison):,} of them refused with {status}: parked with the reason, the rest flowed"
    )


def test_poison_in_the_middle_of_trouble(tmp_path: Path) -> None:
    """A refusal between two outages: nothing is parked for an outage, and nothing is held up by a refusal."""
    run_flows(tmp_path, 4)
    answers: list[Any] = [OK, Answer(503), Answer(400, "no"), Answer(503), OK]
    with clock.use(FakeClock(clock.now_us())) as time, running() as collector:
        outbox = Outbox(tmp_path, collector)
        collector.behaviour = lambda number, event: answers[number - 1] if number <= len(answers) else OK
        for _ in range(3):
            with_trouble(outbox, time)
        assert [letter.reason for letter in outbox.exporter.dead()] == ["400 Bad Request: no"]
        expected = outbox.expected()
        assert collector.arrived == [expected[0], *expected[2:]]


def with_trouble(outbox: Outbox, time: FakeClock) -> None:
    from headwater.errors import ExportError

    try:
        outbox.exporter.drain(patient=True)
    except ExportError:
        time.sleep(10)


def test_a_collector_that_is_not_there_is_no_poison(tmp_path: Path) -> None:
    run_flows(tmp_path, 2)
    with clock.use(FakeClock(clock.now_us())) as time:
        outbox = Outbox(tmp_path, Collector())
        with_trouble(outbox, time)
        status = outbox.exporter.status()
        assert (status.dead, status.pending) == (0, 4)
