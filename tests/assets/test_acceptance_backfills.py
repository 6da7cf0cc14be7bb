"""Backfills as a user meets them: async functions, several outputs, kills in the middle, failures that end one early."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from headwater.assets import registry
from headwater.cli.app import run
from headwater.core import runtime

JOB = """
    import asyncio
    import os
    from typing import Annotated

    import polars as pl

    from headwater import Asset, DailyPartitions, Partition, materialize

    days = DailyPartitions("2024-01-01", "2024-01-05")
    raw = Asset("raw", at="parquet://lake/raw", partitions=days)
    left = Asset("left", at="parquet://lake/left", partitions=days)
    right = Asset("right", at="duckdb://wh.duckdb/main.right", partitions=days)

    @materialize(raw)
    async def fetch(partition: Partition) -> pl.DataFrame:
        await asyncio.sleep(0)
        with open("calls.txt", "a") as calls:
            calls.write(f"raw {partition.key}\\n")
        if partition.key == os.environ.get("BROKEN"):
            raise ValueError("the sensor is silent")
        return pl.DataFrame({"day": [partition.key]})

    @materialize(left, right)
    def split(x: Annotated[pl.LazyFrame, raw], partition: Partition):
        with open("calls.txt", "a") as calls:
            calls.write(f"split {partition.key}\\n")
        return {"left": x, "right": x.with_columns(n=1)}
"""

CHECK = """
    from headwater import check

    @check(left, blocking=True)
    def never(df: pl.DataFrame) -> bool:
        return False
"""

KILLED = """
    import os
    import sys

    from headwater.cli.app import run
    from headwater.core.journal.writer import Writer

    kind, count, append = sys.argv[1], int(sys.argv[2]), Writer.append
    seen = 0

    def counted(self, *bodies):
        global seen
        append(self, *bodies)
        seen += any(type(body).__name__ == kind for body in bodies)
        if seen == count:
            os.kill(os.getpid(), 9)

    Writer.append = counted
    sys.exit(run(sys.argv[3:]))
"""


@pytest.fixture
def sensors(tmp_path: Path) -> Path:
    (tmp_path / "job.py").write_text(textwrap.dedent(JOB))
    (tmp_path / "killed.py").write_text(textwrap.dedent(KILLED))
    return tmp_path


@pytest.fixture
def headwater(sensors: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """A command as in a process of its own; gives what it printed, its exit code in the first line."""
    monkeypatch.chdir(sensors)
    for name in [name for name in os.environ if name.startswith("HEADWATER_")]:
        monkeypatch.delenv(name)

    def call(*arguments: str) -> str:
        capsys.readouterr()
        before, path = set(sys.modules), list(sys.path)
        with registry.scope(), runtime.use(None):
            code = run(arguments)
            runtime.current().close()
            runtime.current().projection.refresh()
        for name in {"job"} - before:
            sys.modules.pop(name, None)
        sys.path[:] = path
        return f"{code}\n{capsys.readouterr().out}"

    return call


def killed(folder: Path, kind: str, count: int) -> None:
    """A backfill in a process of its own, killed right after so many events of a kind."""
    command = [sys.executable, "killed.py", kind, str(count), "backfill", "*", "-f", "job.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -9, done.stderr


def rows(folder: Path, query: str) -> list[tuple]:
    with duckdb.connect(folder / ".headwater/headwater.duckdb", read_only=True) as connection:
        return connection.sql(query).fetchall()


def calls(folder: Path) -> Counter[str]:
    return Counter((folder / "calls.txt").read_text().splitlines())


def backfill_of(folder: Path) -> tuple[str, str, int]:
    [found] = rows(folder, "select backfill_id, state, completed from backfills")
    return found


def test_async_functions_are_made_and_fail_like_any_other(sensors: Path, headwater, monkeypatch) -> None:
    monkeypatch.setenv("BROKEN", "2024-01-02")
    done = headwater("backfill", "*", "-f", "job.py", "--parallel", "2")

    assert done.startswith("1\n")
    assert "9 completed, 1 failed, 2 blocked of 12" in done
    assert "raw@2024-01-02: ValueError: the sensor is silent" in done
    made = rows(sensors, "select distinct partition from materializations where asset = 'raw' order by 1")
    assert made == [("2024-01-01",), ("2024-01-03",), ("2024-01-04",)]

    monkeypatch.delenv("BROKEN")
    assert "3 completed of 3" in headwater("materialize", "*", "-f", "job.py")
    assert calls(sensors)["raw 2024-01-02"] == 2
    assert sum(calls(sensors).values()) == 9


def test_a_function_of_several_assets_is_not_called_again_for_what_it_published_before_a_kill(
    sensors: Path, headwater
) -> None:
    # Both outputs of the second call are there, and only one of them has its outcome in the backfill.
    killed(sensors, "BackfillPartitionEnded", 5)
    headwater("status")
    backfill, state, completed = backfill_of(sensors)
    assert (state, completed) == ("interrupted", 5)

    assert "12 completed of 12" in headwater("backfill", "resume", backfill, "-f", "job.py")

    assert set(calls(sensors).values()) == {1}
    made = rows(sensors, "select asset, count(*) from materializations group by 1 order by 1")
    assert made == [("left", 4), ("raw", 4), ("right", 4)]


def test_outputs_of_one_function_of_which_a_kill_let_only_one_be_published_are_made_together(
    sensors: Path, headwater
) -> None:
    killed(sensors, "MaterializationEnded", 5)
    headwater("status")
    backfill, _, completed = backfill_of(sensors)
    assert completed == 4

    assert "12 completed of 12" in headwater("backfill", "resume", backfill, "-f", "job.py")

    assert [call for call, count in calls(sensors).items() if count > 1] == ["split 2024-01-02"]
    newest = "select task_run_id from facts.outcomes where asset = '{}' and partition = '2024-01-02' order by time desc"
    assert rows(sensors, newest.format("left"))[0] == rows(sensors, newest.format("right"))[0]
    assert headwater("verify").startswith("0\n")
    assert "up to date" in headwater("materialize", "*", "-f", "job.py")


def test_a_backfill_that_ended_after_too_many_failures_has_failed_wherever_it_is_shown(
    sensors: Path, headwater, monkeypatch
) -> None:
    monkeypatch.setenv("BROKEN", "2024-01-02")
    done = headwater("backfill", "raw", "-f", "job.py", "--max-failures", "1", "--json")
    assert '"state": "failed"' in done
    assert sum(calls(sensors).values()) == 2
    backfill, state, completed = backfill_of(sensors)
    assert (state, completed) == ("failed", 1)

    monkeypatch.delenv("BROKEN")
    assert "4 completed of 4" in headwater("backfill", "resume", backfill, "-f", "job.py")
    assert backfill_of(sensors) == (backfill, "completed", 4)


def test_what_a_check_refuses_is_blocked_and_the_command_says_so_by_its_exit_code(sensors: Path, headwater) -> None:
    with (sensors / "job.py").open("a") as file:
        file.write(textwrap.dedent(CHECK))
    headwater("backfill", "raw", "-f", "job.py", "--partition", "2024-01-01..2024-01-02")
    done = headwater("materialize", "left", "-f", "job.py", "--partition", "2024-01-01")
    assert done.startswith("3\n")
    assert "2 blocked of 2" in done
    assert "the check 'never' failed on left@2024-01-01" in done

    # A failure beside it is what counts.
    assert headwater("backfill", "left", "-f", "job.py", "--partition", "2024-01-01..2024-01-02").startswith("3\n")
    (sensors / "lake/raw/2024-01-02.parquet").write_text("damaged")
    assert headwater("backfill", "left", "-f", "job.py", "--partition", "2024-01-01..2024-01-02").startswith("1\n")


def test_explain_tells_of_a_failed_attempt_also_when_older_data_is_in_place(
    sensors: Path, headwater, monkeypatch
) -> None:
    headwater("backfill", "raw", "-f", "job.py", "--partition", "2024-01-02")
    monkeypatch.setenv("BROKEN", "2024-01-02")
    headwater("backfill", "raw", "-f", "job.py", "--partition", "2024-01-02")

    told = headwater("explain", "raw@2024-01-02")
    assert "ended failed: the sensor is silent" in told
    assert "with 1 row as version" in told


def test_materializing_what_is_stale_when_nothing_is_does_nothing(sensors: Path, headwater) -> None:
    assert headwater("materialize", "*", "-f", "job.py").startswith("0\n")
    done = headwater("materialize", "stale()", "-f", "job.py")
    assert done.startswith("0\n")
    assert "nothing to do" in done
