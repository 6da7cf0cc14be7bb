"""E1: a collector that is down, then flapping, slow, half-closed: every event arrives, and no run notices."""

import itertools
import random
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from collector import OK, Answer, Collector, identity
from courier_script import Ran, run_flows
from outbox import Outbox

from headwater import clock
from headwater.errors import ExportError
from headwater.lineage.openlineage import plainhttp
from headwater.testing import FakeClock

ROUNDS = 3
"""Each mode is measured so often: the rest of the machine changes such a run by far more than 1%."""


def flapping(seed: int) -> Any:
    """Healthy for a while, then anything, for a while: refusing to, too busy, gone silent, closing before or after it took it."""
    rng = random.Random(seed)
    bad = [
        Answer(500),
        Answer(502),
        Answer(503, headers={"Retry-After": "30"}),
        Answer(429, headers={"Retry-After": "5"}),
        Answer(408),
        Answer(401),
        Answer(drops=True, keeps=False),
        Answer(drops=True),  # half-closed: it has the event, and the answer never comes
        Answer(hangs=True),
        Answer(after=0.02),
    ]
    moods = itertools.chain.from_iterable(
        itertools.repeat(None if well else rng.choice(bad), rng.randint(20, 60) if well else rng.randint(1, 3))
        for well in itertools.cycle((True, False))
    )
    return lambda number, event: next(moods) or OK


def deliver(outbox: Outbox, time: FakeClock, attempts: int) -> int:
    """As processes that come one after the other would: each tries when it is due. How many of them found it in trouble."""
    for troubles in range(attempts):
        try:
            outbox.exporter.drain(patient=True)
        except ExportError:
            due = outbox.exporter.resting_until()
            assert due is not None
            time.sleep((due - clock.now_us()) / 1_000_000)
        else:
            assert outbox.exporter.status().pending == 0
            return troubles
    raise AssertionError(f"{outbox.exporter.status().pending} events are left after {attempts} attempts")


def test_every_event_arrives_and_once_per_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stress: bool) -> None:
    monkeypatch.setattr(plainhttp, "_TIMEOUT", 0.1)
    flows = 5_000 if stress else 100
    collector = Collector()
    run_flows(tmp_path, flows, collector.url)  # nobody listens yet
    with clock.use(FakeClock(clock.now_us())) as time:
        outbox = Outbox(tmp_path, collector)
        assert outbox.exporter.status().pending == 2 * flows
        for _ in range(3):
            time.sleep(400)
            with pytest.raises(ExportError, match="Connection refused"):
                outbox.exporter.drain(patient=True)
        time.sleep(400)
        collector.behaviour = flapping(seed=7)
        collector.up()
        try:
            troubles = deliver(outbox, time, attempts=10 * flows)
        finally:
            collector.down()
        assert outbox.exporter.status().dead == 0
    assert collector.once() == outbox.expected()
    twice = len(collector.arrived) - len(collector.once())
    assert troubles > 0
    print(
        f"E1: {2 * flows:,} events, collector down, then flapping, slow, half-closed: {len(collector.once()):,} delivered, "
        f"once per id, 0 missing; {troubles} times in trouble, {twice} came twice with the same id"
    )


def test_order_of_each_run_holds_across_writers(tmp_path: Path) -> None:
    collector = Collector()
    for _ in range(3):
        run_flows(tmp_path, 5, collector.url)
    with clock.use(FakeClock(clock.now_us() + 10**9)) as time:
        outbox = Outbox(tmp_path, collector)
        collector.behaviour = lambda number, event: Answer(503) if number % 4 == 0 else OK
        collector.up()
        try:
            deliver(outbox, time, attempts=100)
        finally:
            collector.down()
    kinds: dict[str, list[str]] = {}
    for event in collector.arrived:
        kinds.setdefault(event["run"]["runId"], []).append(event["eventType"])
    assert list(kinds.values()) == [["START", "COMPLETE"]] * 15
    assert len({identity(event) for event in collector.arrived}) == 30


MODES = {
    "down": None,
    "hanging": Answer(hangs=True),
    "slow": Answer(after=0.05),
    "failing": Answer(503),
    "healthy": OK,
}


@pytest.mark.parametrize("mode", MODES)
def test_a_process_ends_in_time_whatever_the_collector_does(tmp_path: Path, mode: str) -> None:
    answer = MODES[mode]
    collector = Collector(lambda number, event: answer or OK)
    if answer is not None:
        collector.up()
    try:
        ran = run_flows(tmp_path, 20, collector.url, HEADWATER_OPENLINEAGE_DRAIN="0.2")
    finally:
        collector.down()
    # A hanging collector would hold a client for 5 s, and openlineage-python, which tries again, for 30.
    assert ran.process < 5
    if mode == "hanging":
        assert collector.requests <= 1


@pytest.mark.stress
@pytest.mark.parametrize("mode", MODES)
def test_a_runs_time_does_not_change(tmp_path: Path, mode: str) -> None:
    answer = MODES[mode]
    collector = Collector(lambda number, event: answer or OK)
    if answer is not None:
        collector.up()
    without: list[Ran] = []
    having: list[Ran] = []
    try:
        for number in range(ROUNDS):
            without.append(run_flows(tmp_path / f"without{number}", 5_000))
            having.append(run_flows(tmp_path / f"with{number}", 5_000, collector.url))
    finally:
        collector.down()
    wall, cpu = (
        statistics.median(getattr(ran, f"own_{time}") / getattr(ran, time) for ran in having)
        for time in ("wall", "cpu")
    )
    print(
        f"E1: 10,000 events, collector {mode}: {cpu:.2%} of the run's CPU and {wall:.2%} of its wall time went into telling them; "
        f"runs with a collector took {change(without, having):+.1%} CPU, those without one differ by {spread(without):.0%} "
        "among themselves"
    )
    assert cpu < 0.01
    assert wall < 0.01
    # What the courier does beside the run can't be told from what else the machine does, unless it is much.
    assert change(without, having) < max(0.1, spread(without))


def spread(runs: Sequence[Ran]) -> float:
    """By how much runs that do the same differ."""
    return max(ran.cpu for ran in runs) / min(ran.cpu for ran in runs) - 1


def change(without: Sequence[Ran], having: Sequence[Ran]) -> float:
    """By how much the run itself takes longer: processor time, which the rest of the machine disturbs least."""
    return min(ran.cpu for ran in having) / min(ran.cpu for ran in without) - 1
