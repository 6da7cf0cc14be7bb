"""OpenLineage of real scripts: whatever ends them, what was exported is valid, complete, once, and agrees with the graph."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

Validate = Callable[..., None]
HEADWATER = (sys.executable, "-m", "headwater.cli")
SHOP = """
import asyncio, sys, time
from pathlib import Path
from typing import Annotated
import polars as pl
from headwater import *

days = DailyPartitions("2024-01-01", "2024-01-06")
raw = Asset("raw", at="parquet://lake/raw", partitions=days, time_column="at", owners=["team:ops"], tags={"tier": "gold"})
window = Asset("window", at="duckdb://w.duckdb/main.window_", partitions=days, partition_column="day")
best = Asset("best", at="duckdb://w.duckdb/main.best")
good, bad = Asset("good", at="parquet://lake/good"), Asset("bad", at="parquet://lake/bad")
source = Asset("source", at="csv://source.csv")
strict = Asset("strict", at="parquet://lake/strict")
slow = Asset("slow", at="parquet://lake/slow", partitions=days)

@materialize(raw)
def ingest(partition: Partition) -> pl.DataFrame:
    return pl.DataFrame({"at": [partition.start, partition.start], "n": [1, 2]})

@materialize(window)
def rolling(seen: Annotated[pl.LazyFrame, raw.window(-2, 0)], partition: Partition) -> pl.LazyFrame:
    return seen.select(day=pl.lit(partition.date), n=pl.col("n").sum()).unique()

@materialize(best)
def pick(rows: Annotated[Asset, window.all()]):
    return sql("select max(n) as best from {rows} where n > 0", rows=rows)

@materialize(good, bad)
def split(frame: Annotated[pl.LazyFrame, source]):
    return frame.filter(pl.col("x") > 1), frame.filter(pl.col("x") <= 1)

@check(good)
def warns(frame: pl.DataFrame) -> tuple[bool, str]:
    return False, "it only warns"

@materialize(strict)
def strictly(frame: pl.DataFrame) -> pl.DataFrame:
    return frame

@check(strict, blocking=True)
def positive(frame: pl.DataFrame) -> bool:
    return bool((frame["x"] > 0).all())

@materialize(slow)
def slowly(partition: Partition) -> pl.DataFrame:
    linger()
    return pl.DataFrame({"x": [1]})

def linger():
    if not Path("fast").exists():
        Path("ready").touch()
        time.sleep(30)

@task
def boom():
    raise ValueError("one line\\nand ☃")

@flow
def inner(day):
    return rolling.at(day)()

@flow
def everything():
    for day in ("2024-01-01", "2024-01-02", "2024-01-03"):
        ingest.at(day)()
        inner(day)
    pick()
    observe(source)
    split()
    strictly(pl.DataFrame({"x": [1]}).with_columns(y=1))
    record("parquet://lake/report", version="v1", rows=3, inputs=[source])
    with materializing("parquet://lake/chosen") as m:
        m.write(pl.DataFrame({"a": [1]}))
    boom()

@flow
def refused():
    strictly(pl.DataFrame({"x": [0]}))

@flow
def waits():
    slowly.at("2024-01-01")()

@flow
async def waits_async():
    Path("ready").touch()
    await asyncio.sleep(30)

@flow(retries=1)
def again():
    if not Path("again").exists():
        Path("again").touch()
        boom()

if __name__ == "__main__":
    Path("source.csv").write_text("x\\n1\\n2\\n3\\n")
    for name in sys.argv[1:]:
        found = globals()[name]()
        if asyncio.iscoroutine(found):
            asyncio.run(found)
"""
SETTINGS = '[tool.headwater]\nopenlineage_file = "itself.ndjson"\nopenlineage_namespace = "ware house"\n'


class Folder:
    """A folder with the script, as a user has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "shop.py").write_text(SHOP)
        (path / "pyproject.toml").write_text(SETTINGS)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=self.path, capture_output=True, text=True, timeout=60)

    def script(self, *flows: str) -> int:
        return self.run(sys.executable, "shop.py", *flows).returncode

    def stop(self, signum: int, *command: str) -> int:
        """Start a command, stop it when it is in the middle of its work, and answer with what it ended with."""
        ready = self.path / "ready"
        ready.unlink(missing_ok=True)
        with subprocess.Popen(command, cwd=self.path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            until = time.monotonic() + 30
            while not ready.exists():
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.01)
            process.send_signal(signum)
            return process.wait(30)

    def headwater(self, *arguments: str) -> str:
        done = self.run(*HEADWATER, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def events(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.path / name).read_text().splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def names(events: list[dict[str, Any]], kind: str) -> list[str]:
    return [event["job"]["name"] for event in events if event["eventType"] == kind]


def test_a_failed_flow_with_all_kinds_of_materializations(folder: Folder, validate: Validate) -> None:
    assert folder.script("everything") == 1
    folder.headwater("openlineage", "export", "--to", "steps.ndjson")
    assert folder.script("refused") == 1
    assert folder.script("again") == 0
    folder.headwater("openlineage", "export", "--to", "steps.ndjson")
    events = folder.events("steps.ndjson")
    validate(events, finished=True)
    assert folder.events("itself.ndjson") == events
    assert names(events, "FAIL") == ["everything", "refused.strictly", "refused", "again"]
    assert names(events, "COMPLETE")[-1] == "again"
    assert_parents_are_there(events)
    assert column_edges(events) == column_edges_of_the_graph(folder)
    (rolled,) = (event for event in reversed(events) if event["job"]["name"] == "inner.rolling"
                 and event["eventType"] == "COMPLETE"
                 and event["run"]["facets"]["nominalTime"]["nominalStartTime"].startswith("2024-01-03"))  # fmt: skip
    (read,) = rolled["inputs"]
    assert json.dumps(read["inputFacets"]["subset"]).count("identifier") == 3
    assert "version" not in read["facets"]
    (strange,) = (event for event in events if event["job"]["name"] == "everything.strictly"
                  and event["eventType"] == "COMPLETE")  # fmt: skip
    # Nobody knows what the changed frame was made of: the facet that claims to be exact is left out.
    assert "lineage" not in strange["job"]["facets"]


def test_whatever_stops_a_run_its_end_is_exported_once(folder: Folder, validate: Validate) -> None:
    script = (sys.executable, "shop.py")
    assert folder.stop(signal.SIGINT, *script, "waits") == -signal.SIGINT
    assert folder.stop(signal.SIGTERM, *script, "waits_async") == 143
    folder.headwater("openlineage", "export", "--to", "steps.ndjson")
    assert folder.stop(signal.SIGKILL, *script, "waits") == -signal.SIGKILL
    backfill = (*HEADWATER, "backfill", "-f", "shop.py", "slow", "--from", "2024-01-01", "--to", "2024-01-03")
    assert folder.stop(signal.SIGKILL, *backfill) == -signal.SIGKILL
    (folder.path / "fast").touch()
    listed = json.loads(folder.headwater("backfill", "list", "--json"))
    folder.headwater("openlineage", "export", "--to", "steps.ndjson")
    folder.headwater("backfill", "resume", "-f", "shop.py", listed["backfills"][0]["id"])
    folder.headwater("openlineage", "export", "--to", "steps.ndjson")
    events = folder.events("steps.ndjson")
    validate(events, finished=True)
    assert_parents_are_there(events)
    stopped = ["waits.slowly", "waits"]
    assert names(events, "ABORT") == [
        *stopped, "waits_async", *stopped, "backfill slow.slowly", "backfill slow",
    ]  # fmt: skip
    assert names(events, "COMPLETE") == ["backfill slow.slowly"] * 3 + ["backfill slow"]
    assert same(folder.events("itself.ndjson")) == same(events)


def same(events: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(event, sort_keys=True) for event in events)


def assert_parents_are_there(events: list[dict[str, Any]]) -> None:
    jobs = {event["run"]["runId"]: event["job"] for event in events}
    for event in events:
        parent = event["run"]["facets"].get("parent")
        for one in (parent, parent["root"]) if parent else ():
            job = jobs[one["run"]["runId"]]
            assert (job["namespace"], job["name"]) == (one["job"]["namespace"], one["job"]["name"])


def column_edges(events: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
    found: set[tuple[Any, ...]] = set()
    for output in (output for event in events for output in event["outputs"]):
        facet = output["facets"].get("columnLineage", {"fields": {}})
        fields = [(name, field["inputFields"]) for name, field in facet["fields"].items()]
        for name, inputs in [*fields, (None, facet.get("dataset", []))]:
            for one in inputs:
                for way in one["transformations"]:
                    found.add((one["name"], one["field"], output["name"], name, way["type"], way["subtype"]))
    return found


def column_edges_of_the_graph(folder: Folder) -> set[tuple[Any, ...]]:
    folder.headwater("verify")
    with duckdb.connect(str(folder.path / ".headwater/headwater.duckdb"), read_only=True) as connection:
        query = "select source_dataset, source_column, target_dataset, target_column, type, subtype from column_edges"
        found = set(connection.execute(query).fetchall())
    assert found
    return found
