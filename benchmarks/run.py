"""What things cost: each beside the physical limit in the same run, as a ratio. `make bench`; writes RESULTS.md.

A figure alone says as much about the machine as about Headwater; the ratio to the raw work beside it does not.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from headwater import Asset, DailyPartitions, Partition, flow, materialize, task
from headwater.assets import backfilling
from headwater.assets.backfill import BackfillRequest, plan
from headwater.testing import project

HERE = Path(__file__).parent
ENVIRON = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@dataclass(frozen=True)
class Row:
    """One measure: Headwater's figure, the raw work's, in milliseconds."""

    measure: str
    ours: float
    raw: float
    beside: str

    def cells(self) -> str:
        ratio = f"{self.ours / self.raw:.1f}" if self.raw else "-"
        return f"| {self.measure} | {self.ours:.3f} | {self.raw:.3f} | {ratio} | {self.beside} |"


def wall(do: Callable[[], object], repeat: int = 5) -> float:
    """The median of so many runs, milliseconds of wall clock."""
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        do()
        times.append((time.perf_counter() - began) * 1_000)
    return statistics.median(times)


def cpu(do: Callable[[], object], repeat: int = 5) -> float:
    """The least of so many runs, milliseconds of CPU."""
    times = []
    for _ in range(repeat):
        began = time.process_time()
        do()
        times.append((time.process_time() - began) * 1_000)
    return min(times)


def python(*arguments: str, cwd: Path | None = None) -> None:
    subprocess.run([sys.executable, *arguments], cwd=cwd, check=True, env=ENVIRON, stdout=subprocess.DEVNULL)


def imports() -> Row:
    ours = wall(lambda: python("-c", "import headwater"))
    return Row("`import headwater`, whole process", ours, wall(lambda: python("-c", "pass")), "`python -c pass`")


SCRIPT = """
from headwater import flow, task
@task
def one(): return 1
@flow
def main(): return one()
main()
"""


def first_script() -> Row:
    def fresh() -> None:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "script.py").write_text(SCRIPT)
            python("script.py", cwd=Path(folder))

    return Row(
        "`python flow.py`, one task, fresh home", wall(fresh), wall(lambda: python("-c", "pass")), "`python -c pass`"
    )


def one_task() -> Row:
    count = 5_000

    @task
    def nothing(value: int) -> int:
        return value

    @flow
    def many() -> None:
        for value in range(count):
            nothing(value)

    line = b"x" * 300 + b"\n"

    def raw() -> None:
        with tempfile.TemporaryFile(buffering=0) as file:
            for _ in range(2 * count):
                os.write(file.fileno(), line)

    with project():
        many()
        ours = cpu(many, 3) / count
    return Row("one task, fully recorded, CPU", ours, cpu(raw, 3) / count, "two appends of 300 bytes")


def _raw_write(folder: Path, number: int, frame: pl.DataFrame) -> None:
    """The same files, the same syncs, nothing else: stage, sync, replace, sync the folder, three syncs of a journal."""
    staged, final = folder / f".{number}.part", folder / f"{number}.parquet"
    frame.write_parquet(staged)
    with staged.open("rb+") as file:
        os.fsync(file.fileno())
    staged.replace(final)
    opened = os.open(folder, os.O_RDONLY)
    os.fsync(opened)
    os.close(opened)
    with (folder / "journal").open("ab", buffering=0) as journal:
        for _ in range(2):
            journal.write(b"x" * 2_000 + b"\n")
            os.fdatasync(journal.fileno())


def backfill() -> Row:
    count = 200
    days = DailyPartitions("2024-01-01", "2025-01-01")
    frame = pl.DataFrame({"x": [1, 2, 3]})
    with tempfile.TemporaryDirectory() as folder, project(Path(folder)) as found:
        asset = Asset("trivial", at="parquet://lake/trivial", partitions=days)

        @materialize(asset)
        def trivial(partition: Partition) -> pl.DataFrame:
            return frame

        facts = found.catalog.facts()
        wanted = days.range("2024-01-01", str(days.at(days.bounds[0] + count - 1)))
        made = plan(facts, BackfillRequest(targets=("trivial",), partitions=wanted), 0)
        request = backfilling.request(found, made, name="backfill trivial", targets=["trivial"])
        began = time.perf_counter()
        backfilling.carry_out(found, request, facts.definitions)
        ours = (time.perf_counter() - began) * 1_000 / count
        raw_folder = Path(folder) / "raw"
        raw_folder.mkdir()
        began = time.perf_counter()
        for number in range(count):
            _raw_write(raw_folder, number, frame)
        raw = (time.perf_counter() - began) * 1_000 / count
    return Row("backfill, a partition of a trivial Parquet asset, durable", ours, raw, "the same files and syncs")


def main() -> None:
    rows = [imports(), first_script(), one_task(), backfill()]
    lines = [
        "# What things cost",
        "",
        f"`make bench` on {platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}. "
        "Milliseconds; the ratio is what to look at.",
        "",
        "| measure | Headwater | raw | ratio | raw is |",
        "|---|---|---|---|---|",
        *(row.cells() for row in rows),
    ]
    text = "\n".join(lines) + "\n"
    (HERE / "RESULTS.md").write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
