"""Where the partitions of a backfill are made: inline, in threads, in processes: the same tables, states and lineage.

And what belongs to that: workers that die, several backfills at once, definitions that changed since the plan was made.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cli_project import Cli

from headwater.testing import project

JOB = """
import os
import signal
import time
from pathlib import Path
from typing import Annotated

import polars as pl

from headwater import Asset, DailyPartitions, Partition, materialize

days = DailyPartitions("2024-01-01", "2024-01-07")
raw = Asset("raw", at="parquet://lake/raw", partitions=days)
sums = Asset("sums", at="parquet://lake/sums", partitions=days)


@materialize(raw, timeout=60)
def ingest(partition: Partition) -> pl.DataFrame:
    with open("pids.txt", "a") as pids:
        pids.write(f"{os.getpid()}\\n")
    how = os.environ.get("HOW_" + partition.key.replace("-", "_"))
    if how == "exit":
        os._exit(3)
    if how == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "raise":
        raise ValueError("no data today")
    while Path("hold").exists():
        Path(f"held-{partition.key}").touch()
        time.sleep(60)
    return pl.DataFrame({"day": [partition.date] * 3, "n": [1, 2, partition.date.day]})


@materialize(sums)
def add(rows: Annotated[pl.LazyFrame, raw]) -> pl.LazyFrame:
    return rows.group_by("day").agg(pl.col("n").sum())
"""


def start(folder: Path, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}
    return subprocess.Popen(
        [sys.executable, "-m", "headwater", *arguments, "-f", "job.py", "--json"],
        cwd=folder,
        env={**clean, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def done(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """What a command prints with --json."""
    (folder / "job.py").write_text(JOB)

    def call(*arguments: str, **environment: str) -> dict[str, Any]:
        with monkeypatch.context() as during:
            for name, value in environment.items():
                during.setenv(name, value)
            found = cli(*arguments, "-f", "job.py", "--json")
        assert found.out, found.err
        value: dict[str, Any] = found.json
        return value

    return call


Done = Callable[..., dict[str, Any]]


def told(folder: Path) -> tuple[Any, ...]:
    """Tables, outcomes and lineage, without ids and times."""
    questions = (
        "SELECT asset, partition, state, reason FROM backfill_partitions ORDER BY ALL",
        "SELECT asset, partition, count(*) FROM materializations GROUP BY ALL ORDER BY ALL",
        "SELECT task, state, count(*) FROM task_runs GROUP BY ALL ORDER BY ALL",
        "SELECT source, source_partition, target, target_partition FROM edges ORDER BY ALL",
    )
    with project(folder) as found:
        rows = [found.reader.sql(question)[1] for question in questions]
    tables = [pl.scan_parquet(folder / "lake" / name / "*.parquet").collect().rows() for name in ("raw", "sums")]
    return (*rows, *map(sorted, tables))


def test_the_same_backfill_inline_in_threads_and_in_processes(
    done: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, workers = {}, {}
    for runner in ("inline", "threads", "processes"):
        folder = tmp_path / runner
        folder.mkdir()
        (folder / "job.py").write_text(JOB)
        monkeypatch.chdir(folder)
        made = done("backfill", "*", "--parallel", "2", "--runner", runner, HOW_2024_01_03="raise")
        assert (made["state"], made["partitions"]["completed"]) == ("failed", 10)
        assert made["errors"][0]["message"] == "ValueError: no data today"
        assert "job.py" in made["errors"][0]["where"]
        found[runner] = told(folder)
        workers[runner] = len(set((folder / "pids.txt").read_text().split()))
    assert found["inline"] == found["threads"] == found["processes"]
    assert (workers["inline"], workers["threads"], workers["processes"]) == (1, 1, 2)
    assert len(found["inline"][-1]) == 5


def test_a_partition_that_kills_its_worker_fails_alone(done: Done, folder: Path) -> None:
    how = ["backfill", "*", "--parallel", "2", "--runner", "processes"]
    made = done(*how, HOW_2024_01_02="exit", HOW_2024_01_04="segfault")
    assert (made["state"], made["partitions"]["completed"], made["partitions"]["failed"]) == ("failed", 8, 2)
    assert made["partitions"]["blocked"] == 2
    assert {one["subject"]: one["kind"] for one in made["errors"]} == {
        "raw@2024-01-02": "worker_died",
        "raw@2024-01-04": "worker_died",
    }
    # What was asked for once is remembered: the runner, too.
    again = done("backfill", "retry", made["id"])
    assert (again["state"], again["partitions"]["completed"]) == ("completed", 4)
    assert len(set((folder / "pids.txt").read_text().split())) > 2


def test_a_timeout_holds_in_processes_and_cancel_stops_at_once(done: Done, cli: Cli, folder: Path) -> None:
    (folder / "job.py").write_text(JOB.replace("timeout=60", "timeout=0.2"))
    (folder / "hold").touch()
    made = done("backfill", "raw", "--from", "2024-01-01", "--to", "2024-01-02", "--runner", "processes")
    assert made["partitions"]["failed"] == 2
    assert "took longer than 0.2 s" in made["errors"][0]["message"]

    (folder / "job.py").write_text(JOB)
    process = start(folder, "backfill", "raw", "--from", "2024-01-04", "--to", "2024-01-06", "--runner", "processes")
    _until((folder / "held-2024-01-04").exists)
    newest = cli("backfill", "list", "--json").json["backfills"][0]["id"]
    began = time.monotonic()
    stopped = cli("backfill", "cancel", newest, "--json").json
    out, _ = process.communicate(timeout=30)
    assert time.monotonic() - began < 20, "a function that sleeps for a minute was waited for"
    assert (json.loads(out)["state"], stopped["state"]) == ("cancelled", "cancelled")
    assert json.loads(out)["partitions"]["cancelled"] == 3


def test_two_backfills_of_the_same_partitions_at_once(done: Done, folder: Path) -> None:
    both = [
        start(folder, "backfill", "*", "--parallel", "2", "--runner", runner) for runner in ("threads", "processes")
    ]
    ended = [json.loads(one.communicate(timeout=60)[0]) for one in both]
    with project(folder) as found:
        assert found.projection.verify() == []
        _, spans = found.reader.sql("SELECT asset, partition, version, replaces FROM materializations ORDER BY version")
    # Each version replaces the one that was in place: a chain without forks, so none was published beside another.
    chains: dict[tuple[str, str], list[tuple[str, str | None]]] = {}
    for asset, partition, version, replaces in spans:
        chains.setdefault((asset, partition), []).append((version, replaces))
    assert len(chains) == 12
    for chain in chains.values():
        replaced = [replaces for _, replaces in chain]
        assert len(set(replaced)) == len(chain)
        assert replaced.count(None) == 1
    for one in ended:
        # An input that the other one makes again and again may be given up on; nothing else may go wrong.
        assert one["partitions"]["completed"] + one["partitions"]["failed"] == 12
        assert all("changed" in error["message"] for error in one["errors"])
    assert pl.scan_parquet(folder / "lake" / "sums" / "*.parquet").collect().height == 6


def test_what_vanished_from_the_definitions_is_skipped_and_the_rest_goes_on(done: Done, folder: Path) -> None:
    made = done("backfill", "*", HOW_2024_01_01="raise", HOW_2024_01_05="raise")
    assert made["partitions"]["completed"] == 8
    text = JOB.replace('DailyPartitions("2024-01-01"', 'DailyPartitions("2024-01-02"')
    (folder / "job.py").write_text(
        text[: text.index("@materialize(sums)")].replace("sums = Asset", "_ = lambda *a, **k: 0; _")
    )
    again = done("backfill", "resume", made["id"])
    assert (again["state"], again["errors"]) == ("completed", [])
    assert (again["partitions"]["completed"], again["partitions"]["skipped"]) == (9, 3)
    with project(folder) as found:
        skipped = [one for one in found.reader.backfill(made["id"])["outcomes"] if one["state"] == "skipped"]
    assert {(one["asset"], one["partition"]): one["reason"] for one in skipped} == {
        ("raw", "2024-01-01"): "'raw' has no such partition any more (daily, 2024-01-02..2024-01-06, UTC)",
        ("sums", "2024-01-01"): "nothing produces it any more",
        ("sums", "2024-01-05"): "nothing produces it any more",
    }


def test_a_runner_that_there_is_not(done: Done, cli: Cli) -> None:
    refused = cli("backfill", "raw", "-f", "job.py", "--runner", "ray")
    assert (refused.code, "ray" in refused.err) == (2, True)


def _until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)
