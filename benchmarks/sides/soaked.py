"""A flow that runs for a long time: so many tasks a second for so many seconds; a line of JSON for each sample.

Each task logs; now and then one is tried again, and one makes a partition of an asset out of another.
"""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

SETTINGS = """
[project]
name = "soak"
[tool.headwater]
openlineage_file = "lineage.ndjson"
"""
RETRIED, MADE = 50, 20
"""Every so manieth task is one that fails once, or one that makes something."""


def soak(seconds, rate, every):
    """Run it, with a sample every so many seconds; a rate of 0 is as fast as it goes."""
    Path("pyproject.toml").write_text(SETTINGS)
    import polars as pl

    from headwater import Asset, DailyPartitions, flow, get_logger, materialize, task

    days = DailyPartitions("2000-01-01")
    orders = Asset("orders", at="parquet://data/orders", partitions=days)
    totals = Asset("totals", at="parquet://data/totals", partitions=days)
    failed = set()

    @task(retries=1, retry_delay=0)
    def step(number):
        get_logger().info("step %d of many", number)
        if number % RETRIED == 1 and number not in failed:
            failed.add(number)
            raise OSError("not the first time")
        failed.discard(number)
        return number

    @materialize(orders)
    def load(number) -> pl.DataFrame:
        return pl.DataFrame({"order": range(100), "amount": [float(number)] * 100})

    @materialize(totals, inputs={"found": orders})
    def add_up(found: pl.LazyFrame) -> pl.LazyFrame:
        return found.select(pl.col("amount").sum())

    def one(number):
        step(number)
        if number % MADE == 0:
            day = f"2000-01-{number // MADE % 28 + 1:02d}"
            load.at(day)(number)
            add_up.at(day)()

    @flow
    def long():
        began = last = time.monotonic()
        number = 0
        while (now := time.monotonic()) - began < seconds:
            one(number)
            number += 1
            if now - last >= every:
                last = now
                say(number, now - began)
            if rate and (ahead := began + number / rate - time.monotonic()) > 0:
                time.sleep(ahead)
        say(number, time.monotonic() - began)

    long()


def say(tasks, seconds):
    """What this process holds."""
    journal = sum(path.stat().st_size for path in Path(".headwater/journal").glob("*.ndjson"))
    held = {
        "mb": resident_mb(),
        "files": len(list(Path("/dev/fd").iterdir())),
        "threads": threads(),
        "journal_mb": journal / 1e6,
    }
    print(json.dumps({"tasks": tasks, "seconds": round(seconds, 1), **held}), flush=True)


def resident_mb():
    """The memory of this process that is in the machine's."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6
    except FileNotFoundError:  # macOS has no /proc
        return int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(os.getpid())])) * 1_024 / 1e6


def threads():
    """Python's threads, and where the system tells them, all others."""
    try:
        return len(list(Path("/proc/self/task").iterdir()))
    except FileNotFoundError:
        return threading.active_count()


if __name__ == "__main__":
    soak(*map(float, sys.argv[1:]))
