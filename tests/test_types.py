"""What a type checker says of code that uses Headwater: nothing of what is right, and something of what is wrong."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCRIPT = """
from typing import Annotated, assert_type

import polars as pl

from headwater import Asset, DailyPartitions, Partition, as_completed, flow, materialize, task, wait

orders = Asset("orders", at="parquet://lake/orders", partitions=DailyPartitions("2024-01-01"))
totals = Asset("totals", at="parquet://lake/totals")


@task
def add(a: int, b: int = 1) -> int:
    return a + b


@task
async def fetch(page: int) -> str:
    return str(page)


@materialize(orders)
def ingest(partition: Partition) -> pl.DataFrame:
    return pl.DataFrame({"day": [partition.date]})


@materialize(totals)
def total(sold: Annotated[pl.LazyFrame, orders]) -> pl.LazyFrame:
    return sold


@flow
def nightly(day: str) -> int:
    made = ingest.at(day)()
    assert_type(made, pl.DataFrame)
    assert_type(total(sold=made), pl.LazyFrame)
    assert_type(total(), pl.LazyFrame)
    assert_type(total.with_options(retries=1)(), pl.LazyFrame)
    first = add.submit(1)
    assert_type(first.result(), int)
    assert_type(add.submit(1, wait_for=first).result(), int)
    assert_type(fetch.submit(1).result(), str)
    assert_type(add.map([1, 2], first).result(), list[int])
    done, not_done = wait(add.map([1, 2]), timeout=5)
    assert_type([future.result() for future in done | not_done], list[int])
    assert_type([future.result() for future in as_completed([first])], list[int])
    return add.with_options(retries=2)(1)


assert_type(nightly("2024-01-01"), int)
add("x")  # wrong
add(1, c=2)  # wrong
nightly(3)  # wrong
text: str = add(1)  # wrong
number: int = total()  # wrong
add.with_options(retry=3)  # wrong
"""


def test_what_is_right_passes_and_what_is_wrong_is_told(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SCRIPT, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context"]
    command += ["--config-file", "", "--cache-dir", str(tmp_path / "cache"), "shop.py"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={"MYPYPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    told = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error:" in line}
    wrong = {at for at, line in enumerate(SCRIPT.splitlines(), start=1) if line.endswith("# wrong")}
    assert told == wrong, done.stdout + done.stderr
