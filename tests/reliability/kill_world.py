"""A small shop for tests that kill: what is made is told apart by a factor, and all promises can be checked at any moment."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import polars as pl
from journal_cases import assert_sound, of_kind
from nursery import Nursery, said

from headwater.assets.events import MaterializationEnded
from headwater.assets.partitions import Partition
from headwater.assets.protocols import Target
from headwater.assets.settle import settler
from headwater.core.journal.events import Event
from headwater.core.journal.reader import Reader
from headwater.core.journal.recovery import recover
from headwater.lineage.retention import DETAIL
from headwater.project import Project
from headwater.testing import project

DAYS = ("2024-01-01", "2024-01-02", "2024-01-03")
EXPORT = Path("catalog") / "events.ndjson"
SETTINGS = f"""
[project]
name = "shop"
[tool.headwater]
openlineage_file = "{EXPORT}"
openlineage_drain = 60
"""
SHOP = """
from pathlib import Path
from typing import Annotated
import polars as pl
from headwater import Asset, DailyPartitions, Partition, check, flow, materialize, transaction

days = DailyPartitions("2024-01-01", "2024-01-04")
orders = Asset("orders", at="csv://orders.csv")
raw = Asset("raw", at="parquet://lake/raw", partitions=days)
totals = Asset("totals", at="duckdb://warehouse.duckdb/main.totals", partitions=days, partition_column="day")
report = Asset("report", at="parquet://lake/report")
stock = Asset("stock", at="duckdb://warehouse.duckdb/main.stock")

def factor():
    return int(Path("factor").read_text())

@materialize(raw)
def take(rows: Annotated[pl.DataFrame, orders], partition: Partition) -> pl.DataFrame:
    day = rows.with_columns(pl.col("day").str.to_date()).filter(pl.col("day") == partition.date)
    return day.with_columns(pl.col("n") * factor())

@materialize(totals)
def add_up(rows: Annotated[pl.LazyFrame, raw]) -> pl.LazyFrame:
    return rows.group_by("day").agg(pl.col("n").sum())

@materialize(report)
def tell(rows: Annotated[pl.LazyFrame, orders]) -> pl.LazyFrame:
    return rows.select("item", pl.col("n") * factor())

@materialize(stock)
def count(rows: Annotated[pl.DataFrame, report]) -> pl.DataFrame:
    return rows.with_columns(pl.col("n") + 0)

@check(stock, blocking=True)
def nothing_is_negative(rows):
    return bool((rows["n"] >= 0).all())

@flow
def nightly():
    tell()
    count()
    add_up.at("2024-01-02")(take.at("2024-01-02")())

@flow
def together(fails=False):
    with transaction():
        count(tell())
        add_up.at("2024-01-02")(take.at("2024-01-02")())
        if fails:
            raise ValueError("not today")

if __name__ == "__main__":
    nightly()
"""
LIGHT = """
from headwater import flow, task

@task
def one(n):
    return n

@flow
def light():
    return [one(n) for n in range(3)]

light()
"""
N = tuple(range(1, 13))
"""The numbers of the twelve orders, four a day."""


@dataclass(slots=True)
class Shop:
    """The project in a folder, and which factor belongs to what was begun when."""

    folder: Path
    factors: dict[str, int] = field(default_factory=dict)
    seen: dict[str, Event] = field(default_factory=dict)
    pruned: bool = False
    """Whether logs and the detail of task runs may have expired."""

    @classmethod
    def make(cls, folder: Path) -> Shop:
        folder.mkdir(parents=True)
        (folder / "pyproject.toml").write_text(SETTINGS)
        (folder / "shop.py").write_text(SHOP)
        (folder / "light.py").write_text(LIGHT)
        rows = [f"{DAYS[(n - 1) // 4]},item{n % 4},{n}" for n in N]
        (folder / "orders.csv").write_text("\n".join(["day,item,n", *rows]) + "\n")
        return cls(folder)

    def copy(self, folder: Path) -> Shop:
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns(EXPORT.parent.name, "openlineage"))
        with project(folder) as found:
            # An export is known by where its file lies.
            found.exporter(folder / EXPORT).drain()
        return Shop(folder, dict(self.factors), dict(self.seen), self.pruned)

    def wipe(self) -> None:
        """As if nothing had ever run here."""
        for folder in (".headwater", "lake", EXPORT.parent):
            shutil.rmtree(self.folder / folder, ignore_errors=True)
        for path in self.folder.glob("warehouse.duckdb*"):
            path.unlink()
        self.factors, self.seen = {}, {}

    def set_factor(self, factor: int) -> None:
        """From here on everything is made with another factor."""
        (self.folder / "factor").write_text(str(factor))

    def judge(self) -> None:
        """End what is dead, and hold everything to what is promised."""
        with project(self.folder) as found:
            before = {event.id for event in Reader(found.home).events()}
            lost = {self.seen[event].kind for event in self.seen.keys() - before}
            assert lost <= (DETAIL.keys() if self.pruned else set()), "acknowledged events are lost"
            recovered = recover(found.home, [settler(found.carrier, found.root, found.materializer)])
            assert [one.error for one in recovered if one.error] == []
            events = list(Reader(found.home).events())
            assert before <= {event.id for event in events}, "recovery lost events"
            if self.pruned:
                # What expired leaves gaps.
                assert len({event.id for event in events}) == len(events)
            else:
                assert_sound(events)
            self._note(events)
            _every_start_has_one_end(events)
            self._data_is_what_was_published(found, events)
        assert [path for path in self.folder.rglob(".staging-*") if path.exists()] == []

    def _note(self, events: list[Event]) -> None:
        factor = int((self.folder / "factor").read_text())
        for event in events:
            if event.id not in self.seen and event.kind == "materialization.started":
                self.factors[event.body["materialization_id"]] = factor
        self.seen = {event.id: event for event in events}

    def _data_is_what_was_published(self, found: Project, events: list[Event]) -> None:
        ends = [event for event in of_kind(events, "materialization.ended") if event.body["state"] == "published"]
        last = {
            (end.body["started"]["asset"]["name"], end.body["started"]["partition"]): end
            for end in sorted(ends, key=lambda end: (end.body["started_at"], end.time))
        }
        content = self.content()
        for (name, key), end in last.items():
            ref = end.record(MaterializationEnded).started.asset
            target = Target(asset=ref, root=found.root, partitioned=key is not None)
            partition = None if key is None else Partition(key=key)
            version = end.body["materialization_id"]
            assert found.materializer(ref).version(target, partition) == version, (name, key)
            assert content[name, key] == expected(name, key, self.factors[version]), (name, key)
        assert set(content) == set(last), "data is visible that nobody published"

    def content(self) -> dict[tuple[str, str | None], list[int]]:
        """All data that is there, by asset and partition: its numbers, in order."""
        files = [path for path in self.folder.glob("lake/**/*.parquet") if not path.name.startswith(".")]
        found: dict[tuple[str, str | None], list[int]] = {
            (("report", None) if path.stem == "report" else ("raw", path.stem)): sorted(pl.read_parquet(path)["n"])
            for path in files
        }
        warehouse = self.folder / "warehouse.duckdb"
        if not warehouse.exists():
            return found
        with duckdb.connect(warehouse, read_only=True) as connection:
            tables = {name for (name,) in connection.execute("SHOW TABLES").fetchall()}
            if "stock" in tables:
                found["stock", None] = [
                    int(n) for (n,) in connection.execute("SELECT n FROM stock ORDER BY 1").fetchall()
                ]
            if "totals" in tables:
                for day, n in connection.execute("SELECT day, n FROM totals ORDER BY ALL").fetchall():
                    found.setdefault(("totals", str(day)), []).append(int(n))
        return found

    def finished(self) -> None:
        """All that must hold once everything ran to its end: the projection, the export, and nothing lies about."""
        self.judge()
        with project(self.folder) as found:
            assert found.projection.verify() == []
            assert {row["state"] for row in found.reader.runs()["runs"]} <= {"Completed", "Crashed", "Failed"}
            exported, again = self.folder / EXPORT, self.folder / "again.ndjson"
            found.exporter(exported).drain()
            found.exporter(again).drain()
            lines = exported.read_bytes().splitlines()
            assert Counter(lines) == Counter(again.read_bytes().splitlines())
            assert len(set(lines)) == len(lines)
            assert all(json.loads(line)["eventType"] for line in lines)
            again.unlink()
            assert list(found.home.tmp.iterdir()) == list(found.home.journal.glob("*.new")) == []


def _every_start_has_one_end(events: list[Event]) -> None:
    for start, end, names in (
        ("run.started", "run.ended", ("run_id", "attempt")),
        ("task.started", "task.ended", ("task_run_id", "attempt")),
        ("materialization.started", "materialization.ended", ("materialization_id",)),
        ("writer.opened", "writer.closed", ()),
    ):
        begun, ended = (
            Counter((event.writer, *(event.body.get(name) for name in names)) for event in one)
            for one in (of_kind(events, start), _without_what_a_transaction_adds(of_kind(events, end)))
        )
        assert begun == ended, f"{start} and {end} differ"
        assert set(begun.values()) <= {1}


def _without_what_a_transaction_adds(ends: list[Event]) -> list[Event]:
    """Of a task run that completed: that it was rolled back, or once more that it completed, with its result."""
    found: dict[object, Event] = {}
    for event in ends:
        if event.kind != "task.ended":
            found[event.id] = event
        elif event.body["state"] != "RolledBack":
            found[event.body["task_run_id"], event.body["state"]] = event
    return list(found.values())


def expected(name: str, key: str | None, factor: int) -> list[int]:
    """What an asset's data says that was made with this factor."""
    if key is None:
        return sorted(n * factor for n in N)
    day = N[DAYS.index(key) * 4 :][:4]
    return sorted(n * factor for n in day) if name == "raw" else [sum(day) * factor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A way to kill a process: what it runs, and how the shop is brought to where that makes sense."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)
    code: int = 0
    """How the process ends that is not killed."""

    def prepare(self, shop: Shop, nest: Nursery, factor: int) -> None:
        """Bring about what the process is to find."""
        if self.name == "first":
            shop.wipe()
        shop.set_factor(-factor if self.name == "refused" else factor)
        if self.name == "light" and not (shop.folder / ".headwater" / "headwater.duckdb").exists():
            # Plain tasks make no projection: who died before there was one leaves them none to bring up to date.
            with project(shop.folder) as found:
                found.projection.refresh(wait=60)
        if self.name == "look":
            _leave_a_dead_process(shop, nest)
        if self.name == "damaged":
            _scribble(shop.folder / ".headwater" / "headwater.duckdb")
        if self.name == "poison":
            # All that ever ran waits for the collector: so there is always enough to be refused.
            for path in (shop.folder / ".headwater" / "openlineage").glob("*"):
                if not path.name.startswith("file-"):
                    path.unlink()
            assert nest.run(shop.folder, ["light.py"]) == 0, said(shop.folder)
        if self.name == "prune":
            # Whatever was there before: one segment to move, and one archive with something to expire.
            with project(shop.folder) as found:
                found.prune("0.001s")
                found.prune("9999w")
            assert nest.run(shop.folder, ["light.py"]) == 0, said(shop.folder)
            shop.pruned = True

    def kill(self, shop: Shop, nest: Nursery, failpoint: str) -> None:
        """Run it to the failpoint, where it must die."""
        code = nest.run(shop.folder, self.arguments, failpoint=failpoint, environment=self.environment)
        assert code == -9, f"{self.name} was not killed at {failpoint}: {said(shop.folder)}"

    def reaches(self, shop: Shop, nest: Nursery) -> dict[str, int]:
        """Run it to its end: how often it reaches which failpoint on the way."""
        code = nest.run(shop.folder, self.arguments, count=True, environment=self.environment)
        assert code == self.code, said(shop.folder)
        counts = shop.folder / "reached.json"
        found: dict[str, int] = json.loads(counts.read_bytes())
        counts.unlink()
        return found


BACKFILL = ("backfill", "totals", "--upstream", "--from", DAYS[0], "--to", DAYS[1], "-f", "shop.py")


def scenarios(url: str) -> tuple[Scenario, ...]:
    """All of them; `url` is a collector's that refuses every event."""
    return (
        Scenario(name="light", arguments=("light.py",)),
        Scenario(name="script", arguments=("shop.py",)),
        Scenario(name="together", arguments=("run", "shop.py:together")),
        Scenario(name="undone", arguments=("run", "shop.py:together", "-p", "fails=true"), code=1),
        Scenario(name="refused", arguments=("shop.py",), code=1),
        Scenario(name="backfill", arguments=BACKFILL),
        Scenario(name="look", arguments=("runs",)),
        Scenario(name="rebuild", arguments=("rebuild",)),
        Scenario(name="damaged", arguments=("runs",)),
        Scenario(name="prune", arguments=("prune", "--older-than", "0.001s")),
        Scenario(name="poison", arguments=("openlineage", "export"), environment={"OPENLINEAGE_URL": url}),
        Scenario(name="first", arguments=("shop.py",)),
    )


def _leave_a_dead_process(shop: Shop, nest: Nursery) -> None:
    before = set((shop.folder / ".headwater" / "journal").iterdir())
    assert nest.run(shop.folder, ["shop.py"], failpoint="publish.detached") == -9, said(shop.folder)
    (segment,) = set((shop.folder / ".headwater" / "journal").iterdir()) - before
    with segment.open("ab") as file:
        file.write(b'{"w":"%b' % segment.stem[:9].encode())


def _scribble(database: Path) -> None:
    # The process that was killed before may have moved it aside.
    whole = database.read_bytes() if database.exists() else b""
    database.write_bytes(b"PK\x03\x04" + whole[4:])
    database.with_name(database.name + ".wal").write_bytes(b"the log of a damaged file")
