"""The benchmarks: the harness measures a row, and the report says what was measured, met, missed and not measured."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import measure
from benchmarks.measure import Sample
from benchmarks.report import Judged, Outcome, amount, render
from benchmarks.rows import ROWS, Row, Side

ROOT = Path(__file__).parent.parent


def _side(who: str, label: str = "a way", **how: object) -> Side:
    return Side(who=who, label=label, run=("-c", "pass"), durable="synced", **how)


def _outcome(who: str, label: str = "a way", *, times: int = 1, aside: bool = False, **figures: float) -> Outcome:
    return Outcome(_side(who, label, times=times, aside=aside), Sample(figures, "7 events"), turns=3)


def _line(text: str, start: str) -> list[str]:
    found = next(line for line in text.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in found.strip("|").split("|")]


def _judged(outcomes: list[Outcome], **row: object) -> Judged:
    wanted = {"name": "one", "measure": "one thing", "figure": "wall_ms", "goal": 10.0, **row}
    return Judged(Row(sides=tuple(one.side for one in outcomes), **wanted), outcomes)


def test_a_row_is_measured_and_written_where_it_is_asked_for(tmp_path):
    out = tmp_path / "results.md"
    command = ["-m", "benchmarks.run", "--quick", "--no-peers", "--only", "import", "--out", str(out)]
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True, capture_output=True, timeout=60)
    cells = _line(out.read_text(), "`import headwater`, whole process")
    assert cells[1] == "≤ 60.0 ms"
    assert cells[2].endswith(" ms")
    assert cells[5:7] == ["not measured", "not measured"]


def test_the_report_sets_each_side_beside_headwater():
    judged = _judged(
        [
            _outcome("Headwater", wall_ms=5.0, cpu_ms=4.0, process_wall_ms=100.0, process_cpu_ms=90.0, peak_mb=50.0),
            _outcome("raw", wall_ms=2.0),
            _outcome("Prefect", "slow", wall_ms=5_000.0),
            _outcome("Prefect", "quick", wall_ms=500.0, server_cpu_ms=10.0),
            _outcome("Dagster", "a tenth", times=10, wall_ms=6.0),
            _outcome("Dagster", "easier", aside=True, wall_ms=1.0),
        ]
    )
    text = render([judged], [("processor", "two cores")], "make bench")
    assert _line(text, "one thing") == [
        *("one thing", "≤ 10.0 ms", "5.00 ms", "2.00 ms", "2.5x", "500 ms (100x)", "60.0 ms (12x)", "yes")
    ]
    assert "1 of 1 goals met." in text
    assert _line(text, "Headwater: a way") == [
        *("Headwater: a way", "3", "5.00 ms", "4.00 ms", "", "100 ms, 90.0 ms, 50 MB", "7 events", "synced")
    ]
    assert _line(text, "Prefect: quick")[4] == "server CPU 10.0 ms"
    assert "| processor | two cores |" in text


@pytest.mark.parametrize(("raw", "verdict"), [(9.0, "yes"), (8.0, "**no**")])
def test_a_goal_over_the_raw_work_is_for_the_difference(raw, verdict):
    outcomes = [_outcome("Headwater", wall_ms=99.0, quiet_ms=10.0), _outcome("raw", wall_ms=50.0, quiet_ms=raw)]
    text = render([_judged(outcomes, goal=1.5, over_raw="quiet_ms")], [], "make bench")
    assert _line(text, "one thing")[-1] == verdict


@pytest.mark.parametrize(
    ("row", "ours", "peer", "cells"),
    [
        ({}, 20.0, 400.0, ["5x", "20x", "yes"]),
        ({}, 5.0, 20.0, ["5x", "4x", "**no**"]),
        ({"over_raw": "quiet_ms"}, 30.0, 400.0, ["5x", "40x", "yes"]),
        ({"unit": "/s"}, 30.0, 10.0, ["0.2x", "3x", "yes"]),
        ({}, 20.0, None, ["5x", "not measured", ""]),
    ],
)
def test_a_goal_is_also_a_ratio_to_the_peer_beside_which_it_was_set(row, ours, peer, cells):
    outcomes = [_outcome("Headwater", wall_ms=ours, quiet_ms=ours), _outcome("raw", wall_ms=1.0, quiet_ms=20.0)]
    outcomes += [] if peer is None else [_outcome("Dagster", wall_ms=peer)]
    text = render([_judged(outcomes, beside=(("Dagster", 50.0),), **row)], [], "make bench")
    assert _line(text, "one thing | Dagster")[2:] == cells


@pytest.mark.parametrize(("events", "verdict"), [(600.0, "yes"), (400.0, "**no**")])
def test_a_goal_may_be_a_share_of_the_raw_rate(events, verdict):
    outcomes = [_outcome("Headwater", events_per_s=events), _outcome("raw", events_per_s=1_000.0)]
    judged = _judged(outcomes, figure="events_per_s", unit="/s", goal=0.5, of_raw=True)
    cells = _line(render([judged], [], "make bench"), "one thing")
    assert cells[1:5] == ["≥ 50% of raw", f"{events:,.0f}/s", "1,000/s", f"{events / 1_000:.1f}x"]
    assert cells[-1] == verdict


def test_the_rows_of_the_projection_may_be_larger_and_have_no_goal_then(tmp_path):
    out = tmp_path / "results.md"
    options = ["--quick", "--no-peers", "--only", "rebuild", "--scale", "2000", "--out", str(out)]
    command = [sys.executable, "-m", "benchmarks.run", *options]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    cells = _line(out.read_text(), "rebuild of the projection, 2,000 events")
    assert cells[1] == cells[-1] == ""
    assert cells[2].endswith(" s") or cells[2].endswith(" ms")


@pytest.mark.parametrize(("events", "verdict"), [(9_000.0, "yes"), (7_000.0, "**no**")])
def test_of_a_rate_more_is_better(events, verdict):
    outcomes = [_outcome("Headwater", events_per_s=events), _outcome("Prefect", events_per_s=events / 10)]
    text = render([_judged(outcomes, figure="events_per_s", unit="/s", goal=8_000.0)], [], "make bench")
    assert _line(text, "one thing")[-3:] == [f"{events / 10:,.0f}/s (10x)", "-", verdict]


def test_what_could_not_be_measured_is_said():
    failed = Outcome(_side("Headwater"), None, missing="failed (exit status 1: no)")
    absent = Outcome(_side("Dagster"), None, missing="not measured (the package index could not be used)")
    text = render([_judged([failed, absent])], [], "make bench")
    cells = _line(text, "one thing")
    assert cells[2] == "failed (exit status 1: no)"
    assert cells[6:] == ["not measured (the package index could not be used)", "not measured"]
    assert "0 of 1 goals met. 1 not measured." in text


def test_the_least_cpu_and_the_median_of_the_wall_clock_count():
    taken = [Sample({"wall_ms": wall, "cpu_ms": cpu}, "") for wall, cpu in [(1.0, 3.0), (9.0, 2.0), (2.0, 4.0)]]
    assert measure.best(taken).figures == {"wall_ms": 2.0, "cpu_ms": 2.0}


def test_a_side_that_fails_or_hangs_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with pytest.raises(measure.Failed, match="exit status 1: ValueError: no"):
        measure.run(measure.own_python(), ("-c", "raise ValueError('no')"))
    with pytest.raises(measure.Failed, match="took too long"):
        measure.run(measure.own_python(), ("-c", "import time; time.sleep(60)"), timeout=0.2)
    assert list(tmp_path.iterdir()) == []


def test_amounts_have_three_digits_and_their_unit():
    assert [amount(value, "ms") for value in (0.0543, 5.0, 12.34, 499.6, 12_900.0)] == [
        *("0.054 ms", "5.00 ms", "12.3 ms", "500 ms", "12.9 s")
    ]


def test_every_row_of_the_goals_has_sides_that_exist():
    for row in ROWS:
        assert {side.who for side in row.sides} >= {"Headwater"}
        for side in row.sides:
            assert Path(side.run[0]).is_file()
