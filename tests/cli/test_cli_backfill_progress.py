"""How far a backfill is: the live board, plain lines, and `backfill show` with its grid."""

import io

from cli_project import Cli
from rich.console import Console

from headwater import clock
from headwater.assets.backfilling import Told
from headwater.cli.progress import Pace, board
from headwater.testing import FakeClock

JOB = """
import polars as pl

from headwater import Asset, DailyPartitions, DynamicPartitions, materialize

days = DailyPartitions("2024-01-01", "2024-04-01")
raw = Asset("raw", at="parquet://lake/raw", partitions=days)
sums = Asset("sums", at="parquet://lake/sums", partitions=days)


@materialize(raw, batch=31)
def ingest(partitions):
    for partition in partitions:
        if partition.date.day != 13:
            yield partition, pl.DataFrame({"n": [1]})


@materialize(sums, inputs={"rows": raw}, batch=31)
def add(rows, partitions):
    return {partition: rows.sum() for partition in partitions}
"""


def test_show_draws_each_asset_and_says_what_failed(cli: Cli, folder) -> None:
    (folder / "job.py").write_text(JOB)
    done = cli("backfill", "*", "-f", "job.py", "--from", "2024-01-01", "--to", "2024-03-02", "--json").json
    shown = cli("backfill", "show", done["id"])
    lines = shown.out.splitlines()
    assert shown.code == 0
    assert lines[0] == f"{done['id']}  failed"
    assert "asset  planned  completed  running  failed  blocked  skipped" in lines
    assert "raw         62         60        -       2        -        -" in lines
    assert "sums        62         60        -       -        2        -" in lines
    at = lines.index("raw  2024-01-01 … 2024-03-02   (2 each)")
    grid = lines[at + 1].strip()
    assert (len(grid), grid.count("█"), grid.count("✗")) == (31, 29, 2)
    assert grid[6] == "✗"
    assert "failed  raw@2024-01-13: ingest gave no data for it" in lines
    assert "blocked  sums@2024-01-13: its input raw@2024-01-13 was not made" in lines


def counts(requested: int, completed: int = 0, running: int = 0, failed: int = 0) -> dict[str, int]:
    ended = {"completed": completed, "failed": failed, "skipped": 0, "blocked": 0}
    return {"requested": requested, "running": running, **ended}


def test_the_board_has_a_line_for_each_asset_with_rate_and_estimate() -> None:
    with clock.use(FakeClock(us=0)):
        pace = Pace(200)
        pace.of(counts(200))
        clock.sleep(10)
        told = Told(counts(200, 95, 2, 5), {"raw": counts(100, 90, 1, 5), "sums": counts(100, 5, 1)})
        console = Console(file=io.StringIO(), width=100)
        console.print(board(told, 200, pace, 100, 30))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    lines = [line.split() for line in text.splitlines()]
    assert [line[0] for line in lines[1:4]] == ["raw", "sums", "all"]
    assert [line[2:] for line in lines[1:4]] == [["95/100", "1", "5"], ["5/100", "1"], ["100/200", "2", "5"]]
    assert "10.0 a second, about 10s left" in text
