"""A2 at any moment: a backfill is killed again and again. Each partition has one outcome, and nothing is left."""

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from headwater.project import Project
from headwater.testing import project

FIRST = date(2023, 1, 1)
YEAR = """
from typing import Annotated
import polars as pl
from headwater import Asset, DailyPartitions, Partition, materialize

days = DailyPartitions("2023-01-01", "2024-01-01")
raw = Asset("raw", at="parquet://lake/raw", partitions=days)
totals = Asset("totals", at="duckdb://warehouse.duckdb/main.totals", partitions=days, partition_column="day")

@materialize(raw)
def ingest(partition: Partition) -> pl.DataFrame:
    number = partition.date.toordinal()
    return pl.DataFrame({"day": [partition.date] * 20, "item": [n % 3 for n in range(20)], "n": [n * number for n in range(20)]})

@materialize(totals)
def summarise(rows: Annotated[pl.LazyFrame, raw]) -> pl.LazyFrame:
    return rows.group_by("day", "item").agg(pl.col("n").sum())
"""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "headwater", *arguments]


def done(folder: Path, *arguments: str) -> dict[str, Any]:
    """What a command that must succeed prints with --json."""
    found = subprocess.run(
        command(*arguments, "--json"), cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert found.returncode == 0, (found.stdout, found.stderr)
    value: dict[str, Any] = json.loads(found.stdout)
    return value


def newest_backfill(folder: Path) -> dict[str, Any]:
    with project(folder) as found:
        row: dict[str, Any] = found.reader.backfills()["backfills"][0]
        return row


def files(folder: Path) -> set[str]:
    """All that lies in a folder beside the home."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {
        str(path)
        for path in found
        if path.parts[0] not in (".headwater", "__pycache__") and not path.name.endswith((".lock", ".wal"))
    }


def published(found: Project) -> Mapping[tuple[str, str | None], int]:
    """How often each (asset, partition) was published."""
    _, rows = found.reader.sql("SELECT asset, partition, count(*) FROM materializations GROUP BY ALL")
    return {(asset, partition): count for asset, partition, count in rows}


def tables(folder: Path) -> tuple[list[Any], list[Any]]:
    raw = pl.scan_parquet(folder / "lake" / "raw" / "*.parquet").select("day", "item", "n").collect().rows()
    with duckdb.connect(folder / "warehouse.duckdb", read_only=True) as connection:
        totals = connection.execute("SELECT day, item, n FROM totals ORDER BY ALL").fetchall()
    return sorted(raw), totals


def kill_after(folder: Path, more: int, delay: float, *arguments: str) -> None:
    """Run a command and kill it when so many more partitions lie in the lake, and a moment later."""
    lake = folder / "lake" / "raw"
    before = len(list(lake.glob("*.parquet")))
    with subprocess.Popen(
        command(*arguments), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as child:
        deadline = time.monotonic() + 120
        while len(list(lake.glob("*.parquet"))) < before + more:
            assert child.poll() is None, child.communicate()
            assert time.monotonic() < deadline, "it makes no progress"
            threading.Event().wait(0.005)
        threading.Event().wait(delay)
        child.kill()
        child.communicate()
    assert child.returncode == -signal.SIGKILL


@pytest.mark.timeout(1_800)
def test_a_backfill_that_is_killed_again_and_again(tmp_path: Path, stress: bool) -> None:
    days, kills = (365, 20) if stress else (24, 2)
    seed = random.SystemRandom().randrange(2**32)
    dice = random.Random(seed)
    print(f"seed {seed}")
    killed, quiet = tmp_path / "killed", tmp_path / "quiet"
    for folder in (killed, quiet):
        folder.mkdir()
        (folder / "year.py").write_text(YEAR)
    last = (FIRST + timedelta(days=days - 1)).isoformat()
    request = ["backfill", "totals", "--upstream", "-f", "year.py", "--from", FIRST.isoformat(), "--to", last]

    with subprocess.Popen(command(*request), cwd=quiet, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as other:
        for number in range(kills):
            arguments = [*request, "--only", "missing"]
            if number % 2:
                arguments = ["backfill", "resume", newest_backfill(killed)["id"], "-f", "year.py"]
            kill_after(killed, dice.randint(1, days // (kills + 1)), dice.uniform(0, 0.08), *arguments)
        left = newest_backfill(killed)
        assert left["state"] == "interrupted"
        resumed = done(killed, "backfill", "resume", left["id"], "-f", "year.py", "--parallel", "2")
        assert resumed["state"] == "completed"
    assert other.returncode == 0

    assert tables(killed) == tables(quiet)
    assert len(tables(killed)[0]) == 20 * days
    assert files(killed) == files(quiet)
    with project(killed) as found:
        assert found.projection.verify() == []
        once = published(found)
        assert set(once.values()) == {1}
        assert len(once) == 2 * days
        _, ended = found.reader.sql("SELECT state, count(*) FROM runs GROUP BY state ORDER BY state")
        assert ended == [("Completed", 1), ("Crashed", kills)]
        shown = found.reader.backfill(left["id"])
        assert shown["partitions"]["completed"] == shown["partitions"]["requested"] == len(shown["outcomes"])
    with project(quiet) as found:
        assert published(found) == once
