"""`headwater backfill pause`, `cancel` and `retry`: a backfill is stopped from another process, and goes on as it should."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli_project import Cli
from clocks import Stopped

from headwater import clock

FLOWS = """
from pathlib import Path

import polars as pl

from headwater import Asset, DailyPartitions, materialize
from headwater.core.context import current

days = Asset("days", at="parquet://lake/days", partitions=DailyPartitions("2024-01-01", "2024-01-07"))


@materialize(days)
def make(partition):
    Path(f"begun-{partition.key}").touch()
    while not Path("go").exists() and not Path(f"go-{partition.key}").exists():
        if current().cancelled.wait(0.02):
            break
    if Path(f"fail-{partition.key}").exists():
        raise ValueError("no")
    return pl.DataFrame({"day": [partition.key]})
"""

Start = Callable[..., "subprocess.Popen[str]"]


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    (folder / "flows.py").write_text(FLOWS)
    processes = []

    def begin(*more: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "headwater", "backfill", "days", "-f", "flows.py", "--json", *more]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def the_id(cli: Cli) -> str:
    return str(cli("backfill", "list", "--json").json["backfills"][0]["id"])


def test_a_paused_backfill_finishes_what_runs_and_is_resumed(cli: Cli, folder: Path, start: Start) -> None:
    process = start()
    until((folder / "begun-2024-01-01").exists)
    identity = the_id(cli)
    with clock.use(Stopped()):  # the wait is over nevertheless
        asked = cli("backfill", "pause", identity[:20], "--wait", "0.1", "--json")
    assert (asked.code, asked.json["state"]) == (1, "pausing")
    assert "asked to pause" not in asked.out
    # What runs is let go only when the process has heard of it.
    assert process.stderr is not None
    heard = next(line for line in process.stderr if "asked to pause this backfill" in line)
    assert heard
    (folder / "go").touch()
    out, err = process.communicate(timeout=60)
    told = json.loads(out)
    assert (process.returncode, told["state"]) == (1, "paused")
    assert "it was paused by " in err
    assert told["partitions"]["completed"] == 1
    assert not (folder / "begun-2024-01-02").exists()
    shown = cli("backfill", "show", identity, "--json").json
    assert (shown["state"], shown["partitions"]["completed"], shown["partitions"]["cancelled"]) == ("paused", 1, 0)
    assert cli("runs", "--json").json["runs"][0]["state"] == "Cancelled"

    again = cli("backfill", "pause", identity)
    assert again.code == 2
    assert "does not run: it is paused" in again.err

    resumed = cli("backfill", "resume", identity, "-f", "flows.py", "--json")
    assert (resumed.code, resumed.json["partitions"]["completed"]) == (0, 6)
    assert cli("backfill", "show", identity, "--json").json["state"] == "completed"
    over = cli("backfill", "cancel", identity)
    assert (over.code, "is over: it is completed" in over.err) == (2, True)


def test_a_cancelled_backfill_stops_what_runs_at_its_next_step(cli: Cli, folder: Path, start: Start) -> None:
    process = start("--parallel", "2")
    until(lambda: (folder / "begun-2024-01-01").exists() and (folder / "begun-2024-01-02").exists())
    identity = the_id(cli)
    done = cli("backfill", "cancel", identity, "--json")
    assert (done.code, done.json["state"]) == (0, "cancelled")
    out, err = process.communicate(timeout=60)
    told = json.loads(out)
    assert (process.returncode, told["state"]) == (1, "cancelled")
    assert "it was cancelled by " in err
    assert told["partitions"] == done.json["partitions"]
    assert told["partitions"]["cancelled"] == 6
    assert not (folder / "begun-2024-01-03").exists()
    assert {row["state"] for row in cli("runs", "--json").json["runs"]} == {"Cancelled"}
    # Who thinks better of it may still have the rest made.
    (folder / "go").touch()
    resumed = cli("backfill", "resume", identity, "-f", "flows.py", "--json")
    assert (resumed.code, resumed.json["partitions"]["completed"]) == (0, 6)


def test_a_backfill_that_nobody_drives_is_cancelled_at_once(cli: Cli, folder: Path, start: Start) -> None:
    process = start()
    until((folder / "begun-2024-01-01").exists)
    process.kill()
    process.communicate()
    identity = the_id(cli)
    done = cli("backfill", "cancel", identity, "--json")
    assert (done.code, done.json["state"], done.json["partitions"]["cancelled"]) == (0, "cancelled", 6)


def test_retry_runs_what_failed_and_nothing_else(cli: Cli, folder: Path, start: Start) -> None:
    (folder / "go").touch()
    for day in (2, 4):
        (folder / f"fail-2024-01-0{day}").touch()
    process = start()
    out, _ = process.communicate(timeout=60)
    identity = json.loads(out)["id"]
    assert json.loads(out)["partitions"]["failed"] == 2
    for file in [*folder.glob("fail-*"), *folder.glob("begun-*")]:
        file.unlink()
    done = cli("backfill", "retry", identity, "-f", "flows.py", "--json")
    assert (done.code, done.json["partitions"]["requested"], done.json["partitions"]["completed"]) == (0, 2, 2)
    assert sorted(file.name for file in folder.glob("begun-*")) == ["begun-2024-01-02", "begun-2024-01-04"]
    shown = cli("backfill", "show", identity, "--json").json
    assert (shown["state"], shown["partitions"]["completed"]) == ("completed", 6)
    nothing = cli("backfill", "retry", identity, "-f", "flows.py")
    assert (nothing.code, "nothing failed" in nothing.out) == (0, True)


def test_a_dry_run_says_how_long_it_will_take(cli: Cli, folder: Path, start: Start) -> None:
    (folder / "go").touch()
    start("--to", "2024-01-03", "--from", "2024-01-01").communicate(timeout=60)
    plan = cli("backfill", "days", "-f", "flows.py", "--dry-run", "--parallel", "3", "--json").json
    (step,) = plan["steps"]
    assert 0 < step["usual_seconds"] < 10
    assert plan["estimate"] == pytest.approx(step["usual_seconds"] * 6 / 3)
    assert "6 to make, in about 0." in cli("backfill", "days", "-f", "flows.py", "--dry-run").out


def test_what_was_never_made_has_no_estimate(cli: Cli, folder: Path, start: Start) -> None:
    plan = cli("backfill", "days", "-f", "flows.py", "--dry-run", "--json").json
    assert (plan["estimate"], plan["steps"][0]["usual_seconds"]) == (None, None)


def test_what_ran_when_a_backfill_was_killed_is_interrupted(start: Start, folder: Path, cli: Cli) -> None:
    process = start()
    until((folder / "begun-2024-01-01").exists)
    process.kill()
    process.communicate()
    identity = the_id(cli)
    killed = cli("backfill", "show", identity, "--json").json
    assert (killed["state"], killed["partitions"]["running"]) == ("interrupted", 0)
    assert [(one["partition"], one["state"]) for one in killed["outcomes"]] == [("2024-01-01", "interrupted")]
    (folder / "go").touch()
    assert cli("backfill", "resume", identity, "-f", "flows.py").code == 0
    shown = cli("backfill", "show", identity, "--json").json
    assert {one["state"] for one in shown["outcomes"]} == {"completed"}


@pytest.mark.parametrize("wait", ["inf", "nan", "-5"])
def test_a_wait_that_is_none_is_refused_before_anything_is_asked(
    cli: Cli, start: Start, folder: Path, wait: str
) -> None:
    process = start()
    until((folder / "begun-2024-01-01").exists)
    for command in ("pause", "cancel"):
        done = cli("backfill", command, the_id(cli), "--wait", wait)
        assert (done.code, f"--wait {wait} is not a number of seconds" in done.err) == (2, True)
    assert cli("backfill", "list", "--json").json["backfills"][0]["state"] == "running"
    assert process.poll() is None


def test_who_resumes_with_no_partition_at_a_time_is_refused(cli: Cli, folder: Path) -> None:
    (folder / "flows.py").write_text(FLOWS)
    (folder / "go").touch()
    (folder / "fail-2024-01-02").touch()
    done = cli("backfill", "days", "-f", "flows.py", "--json")
    assert done.code == 1
    for command in ("resume", "retry"):
        for parallel in ("0", "-1"):
            again = cli("backfill", command, done.json["id"], "-f", "flows.py", "--parallel", parallel)
            assert again.code == 2
            assert f"--parallel {parallel} is not a number of partitions at a time" in again.err
    assert [run["attempt"] for run in cli("runs", "--json").json["runs"]] == [1]
