"""SIGKILL at any moment: every partition has one outcome, the tables are as if nothing had happened, nothing is left lying about."""

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
ONE = """
import os, signal, sys
from pathlib import Path
from typing import Annotated
import polars as pl
from headwater import Asset, flow, materialize
from headwater.assets import execution

x = Asset("x", at=PLACE)

@materialize(x)
def make():
    return pl.DataFrame({"n": [int(Path("n").read_text())]})

@flow
def main():
    make()

def killing(function):
    def replaced(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGKILL)
    return replaced

if __name__ == "__main__":
    if "before" in sys.argv:
        from headwater.materializers import duckdb, parquet
        for materializer in (duckdb.DuckDBMaterializer, parquet.ParquetMaterializer):
            materializer.publish = killing(materializer.publish)
    if "after" in sys.argv:
        execution.end = killing(execution.end)
    main()
"""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "headwater", *arguments]


def ask(folder: Path, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        command(*arguments, "--json"), cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def files(folder: Path) -> set[str]:
    """All that lies in a folder beside the home."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in found if path.parts[0] not in (".headwater", "__pycache__")}


def published(folder: Path) -> Mapping[str, int]:
    """How often each (asset, partition) was published."""
    with duckdb.connect(folder / ".headwater" / "headwater.duckdb", read_only=True) as connection:
        rows = connection.execute("SELECT asset, partition, count(*) FROM materializations GROUP BY ALL").fetchall()
    return {f"{asset}@{partition}": count for asset, partition, count in rows}


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


def test_a_backfill_that_is_killed_again_and_again(tmp_path: Path, stress: bool) -> None:
    days, kills = (365, 5) if stress else (60, 3)
    seed = random.SystemRandom().randrange(2**32)
    dice = random.Random(seed)
    print(f"seed {seed}")
    killed, quiet = tmp_path / "killed", tmp_path / "quiet"
    last = (FIRST + timedelta(days=days - 1)).isoformat()
    request = ["backfill", "totals", "--upstream", "-f", "year.py", "--from", FIRST.isoformat(), "--to", last]
    for folder in (killed, quiet):
        folder.mkdir()
        (folder / "year.py").write_text(YEAR)

    for number in range(kills):
        arguments = [*request, "--only", "missing"]
        if number % 2:
            arguments = ["backfill", "resume", ask(killed, "backfill", "list")["backfills"][0]["id"], "-f", "year.py"]
        kill_after(killed, dice.randint(1, days // (kills + 1)), dice.uniform(0, 0.08), *arguments)
    left = ask(killed, "backfill", "list")["backfills"]
    assert {row["state"] for row in left} == {"interrupted"}
    assert ask(killed, "backfill", "resume", left[0]["id"], "-f", "year.py", "--parallel", "2")["state"] == "completed"
    ask(quiet, *request)

    assert ask(killed, "verify") == {"ok": True, "problems": []}
    assert published(killed) == published(quiet)
    assert set(published(killed).values()) == {1}
    assert len(published(killed)) == 2 * days
    assert tables(killed) == tables(quiet)
    assert len(tables(killed)[0]) == 20 * days
    assert files(killed) == files(quiet)
    assert list((killed / ".headwater" / "tmp").iterdir()) == []
    runs = ask(killed, "runs")["runs"]
    assert {row["state"] for row in runs} == {"Completed", "Crashed"}
    shown = ask(killed, "backfill", "show", left[0]["id"])
    assert shown["partitions"]["completed"] == shown["partitions"]["requested"] == len(shown["outcomes"])


@pytest.mark.parametrize("place", ["parquet://lake/x", "duckdb://warehouse.duckdb/main.x"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_script_that_is_killed_around_publishing(tmp_path: Path, place: str, moment: str) -> None:
    (tmp_path / "one.py").write_text(f"PLACE = {place!r}\n" + ONE)
    for number, argument in enumerate(("", moment)):
        (tmp_path / "n").write_text(str(number))
        done = subprocess.run(
            [sys.executable, "one.py", argument], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == (-signal.SIGKILL if argument else 0), done.stderr
    after = moment == "after"

    (row,) = ask(tmp_path, "status")["assets"]
    assert (row["name"], row["rows"], row["stale"]["is_stale"]) == ("x", 1, False)
    with duckdb.connect(tmp_path / ".headwater" / "headwater.duckdb", read_only=True) as connection:
        outcomes = connection.execute('SELECT state FROM materialization_outcomes ORDER BY "at"').fetchall()
        ((version,),) = connection.execute("SELECT version FROM current_materializations").fetchall()
        made = connection.execute('SELECT version FROM materializations ORDER BY "at"').fetchall()
    assert outcomes == [("published",), ("published" if after else "discarded",)]
    assert made[-1] == (version,)
    assert [run["state"] for run in ask(tmp_path, "runs")["runs"]] == ["Crashed", "Completed"]

    assert content(tmp_path, place) == [(1 if after else 0,)]
    expected = (
        {"one.py", "n", "lake/x/data.parquet"} if place.startswith("parquet") else {"one.py", "n", "warehouse.duckdb"}
    )
    left = {name for name in files(tmp_path) if not name.endswith(".lock")}
    assert len(left) == len(expected), left
    assert list((tmp_path / ".headwater" / "tmp").iterdir()) == []
    assert ask(tmp_path, "verify")["ok"]


def content(folder: Path, place: str) -> list[Any]:
    if place.startswith("parquet"):
        found = [path for path in (folder / "lake").rglob("*") if path.is_file()]
        return pl.read_parquet(found).rows()
    with duckdb.connect(folder / "warehouse.duckdb", read_only=True) as connection:
        return connection.execute("SELECT n FROM x").fetchall()
