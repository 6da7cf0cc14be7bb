"""Assets on each runner: the same versions, edges, columns, definitions and outcomes as in threads."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import pytest
from runner_worlds import warm_up

from headwater import Asset, DailyPartitions, check, flow, materialize, sql, task
from headwater.assets.events import AssetDefined, Evidence, MaterializationEnded, MaterializationStaged
from headwater.core.events import RunEnded, TaskEnded
from headwater.core.journal.memory import MemoryCarrier
from headwater.core.runners.processes import ProcessRunner
from headwater.errors import CheckFailed, InputMissing, WorkerDied
from headwater.project import Project
from headwater.testing import project as project_of
from headwater.testing.remote import FakeRemoteRunner


@pytest.fixture(scope="module", autouse=True)
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessRunner]:
    with ProcessRunner(max_workers=2) as runner:
        warm_up(runner, tmp_path_factory.mktemp("workers"))
        yield runner


def runners(processes: ProcessRunner) -> dict[str, Any]:
    return {
        "threads": "threads",
        "inline": "inline",
        "processes": processes,
        "late": FakeRemoteRunner(late=True, shuffled=True),
    }


def world() -> Any:
    """A small shop, defined anew in each project: raw days, a SQL summary, a report, and a flow over all of it."""
    days = DailyPartitions("2024-01-01", "2024-02-01")
    orders = Asset("orders", at="parquet://lake/orders", partitions=days, tags={"tier": "gold"}, owners=["team:ops"])
    totals = Asset("totals", at="parquet://lake/totals", partitions=days)
    report = Asset("report", at="duckdb://warehouse.duckdb/report")
    notes = Asset("notes", at="memory://notes")

    @materialize(orders)
    def load(partition: Any) -> pl.LazyFrame:
        """Orders as they come in."""
        return pl.LazyFrame({"item": ["a", "b", "a"], "amount": [1, 2, 3], "day": [str(partition.key)] * 3})

    @materialize(totals)
    def sum_up(orders: Annotated[pl.LazyFrame, orders]) -> pl.LazyFrame:
        return orders.group_by("item").agg(pl.col("amount").sum())

    @check(totals, blocking=True)
    def has_rows(df: pl.DataFrame) -> bool:
        return df.height > 0

    @task
    def big(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.filter(pl.col("amount") > 1)

    @task
    def eager(frame: pl.LazyFrame) -> pl.DataFrame:
        return frame.collect()

    @materialize(report)
    def write(frames: list[Any]) -> Any:
        return sql("SELECT item, amount FROM {totals}", totals=frames[1]["more"][0])

    @materialize(notes)
    def note(frames: list[Any]) -> list[int]:
        return [len(frames)]

    def main() -> Any:
        made = [load.at(f"2024-01-0{day}").submit() for day in (1, 2)]
        sums = [sum_up.at(f"2024-01-0{day}").submit(one) for day, one in zip((1, 2), made, strict=True)]
        alone = sum_up.at("2024-01-01").submit(wait_for=sums)
        filtered = big.submit(alone)
        written = write.submit([filtered, {"more": [sums[1]]}])
        note.submit([eager.submit(filtered)], wait_for=[written]).wait()
        return written.result().collect().sort("item").rows()

    return main


def plain(evidence: Evidence | None) -> Any:
    if evidence is None:
        return None
    return {
        "rows": evidence.rows,
        "columns": evidence.columns,
        "inputs": sorted((one.asset, one.partition or "", one.via) for one in evidence.inputs),
        "unknown": evidence.unknown_inputs,
        "edges": sorted(
            (one.column or "", one.source_asset, one.source_column, one.type, one.subtype)
            for one in evidence.column_edges
        ),
        "unknown_columns": evidence.unknown_columns,
        "checks": [(one.name, one.passed) for one in evidence.checks],
        "code": evidence.code_version,
        "sql": evidence.sql,
    }


def outcomes(journal: MemoryCarrier) -> Any:
    ended = [
        (one.started.asset.name, one.started.partition, one.state, one.started.task, plain(one.evidence))
        for one in journal.records(MaterializationEnded)
    ]
    return {
        "ended": sorted(ended, key=repr),
        "defined": sorted((one.asset.name, one.hash) for one in journal.records(AssetDefined)),
        "tasks": sorted((one.task, one.state, one.tries) for one in journal.records(TaskEnded)),
        "runs": [(one.flow, one.state) for one in journal.records(RunEnded)],
        "writers": len({event.writer for event in journal.events}),
    }


def test_lineage_is_the_same_on_each_runner(processes: ProcessRunner, tmp_path: Path) -> None:
    found, root = {}, tmp_path / "shop"
    for name, runner in runners(processes).items():
        # At the same place each time: the hash of a definition knows where the asset lies.
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        with project_of(root, carrier=(journal := MemoryCarrier())) as project:
            body = world()
            assert flow(name="main", runner=runner)(body)() == [("a", 4), ("b", 2)]
            found[name] = outcomes(journal), board(project)
    expected, shown = found["threads"]
    assert [one[0] for one in expected["ended"]] == [
        "notes",
        "orders",
        "orders",
        "report",
        "totals",
        "totals",
        "totals",
    ]
    assert expected["ended"][3][4]["inputs"][0][0] == "totals"
    assert expected["ended"][4][4]["edges"]
    assert expected["writers"] == 1
    for name, (journaled, told) in found.items():
        assert journaled == expected, name
        assert told == shown, name


def test_columns_in_memory_under_other_names_are_known_in_another_process(processes: ProcessRunner) -> None:
    @materialize("parquet://lake/orders")
    def load() -> pl.DataFrame:
        return pl.DataFrame({"item": ["a", "b"], "amount": [1, 2], "tax": [3, 4], "nothing": [None, None]})

    @materialize("parquet://lake/kept")
    def keep(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows

    @flow(runner=processes)
    def main() -> None:
        rows = load().rename({"amount": "tax", "tax": "amount"}).with_columns(late=pl.lit(False))
        keep.submit(rows.select("amount", "tax", "nothing", "late").lazy()).wait()

    with project_of(carrier=(journal := MemoryCarrier())):
        main()
    (evidence,) = (one.evidence for one in journal.records(MaterializationEnded) if one.started.asset.name == "kept")
    assert evidence is not None
    assert [(one.column, one.source_column) for one in evidence.column_edges] == [
        ("amount", "tax"),
        ("tax", "amount"),
        ("nothing", "nothing"),
    ]
    assert {one.column for one in evidence.unknown_columns} == {"late"}


def board(project: Project) -> Any:
    """What the projection knows, without what differs from run to run."""
    with project.projection.session() as session:
        edges = session.rows("SELECT source, target, source_partition, target_partition FROM edges")
        columns = session.rows("SELECT source, source_column, target, target_column, type, subtype FROM column_edges")
        made = session.rows('SELECT asset, "partition", rows FROM materializations')
    return sorted(edges, key=repr), sorted(columns, key=repr), sorted(made, key=repr)


@pytest.mark.parametrize("kind", ["threads", "processes", "late"])
def test_refusals_and_missing_inputs_are_the_same(kind: str, processes: ProcessRunner) -> None:
    with project_of(carrier=(journal := MemoryCarrier())):
        raw, clean = Asset("raw", at="parquet://lake/raw"), Asset("clean", at="parquet://lake/clean")

        @materialize(clean)
        def tidy(raw: Annotated[pl.LazyFrame, raw]) -> pl.LazyFrame:
            return raw

        @materialize(raw)
        def nothing() -> pl.DataFrame:
            return pl.DataFrame({"id": []})

        @check(raw, blocking=True)
        def has_rows(df: pl.DataFrame) -> bool:
            return df.height > 0

        @flow(runner=runners(processes)[kind])
        def main() -> Any:
            missing, failed = tidy.submit(), nothing.submit()
            errors = [one.result(raise_on_failure=False) for one in (missing, failed)]
            return errors, [one.state.value for one in (missing, failed)]

        (missing, failed), states = main()
    assert isinstance(missing, InputMissing)
    assert missing.message == "the input 'raw' was never made"
    assert missing.hint == "make it first: headwater materialize raw"
    assert isinstance(failed, CheckFailed)
    assert states == ["Blocked", "Blocked"]
    assert [one.state for one in journal.records(MaterializationEnded)] == ["refused", "refused"]


def test_what_a_dead_worker_had_begun_gets_its_outcome_at_once(tmp_path: Path) -> None:
    with project_of(tmp_path, carrier=(journal := MemoryCarrier())) as project:
        raw = Asset("raw", at="parquet://lake/raw")

        @materialize(raw, retries=1)
        def make() -> pl.DataFrame:
            if not (tmp_path / "died").exists():
                (tmp_path / "died").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return pl.DataFrame({"id": [1]})

        @flow(runner=ProcessRunner(max_workers=1))
        def main() -> int:
            return make.submit().result().height

        assert main() == 1
        ended = journal.records(MaterializationEnded)
        assert [one.state for one in ended] == ["discarded", "published"]
        assert ended[0].error is not None
        assert ended[0].error.type == "Crashed"
        assert project.materializer(project.definitions.ref(raw)) is not None
        assert [one.name for one in (tmp_path / "lake").rglob("*") if one.is_file()] == ["raw.parquet"]


def test_a_worker_that_dies_between_publishing_and_its_outcome_has_published(tmp_path: Path) -> None:
    with project_of(tmp_path, carrier=(journal := MemoryCarrier())):
        raw = Asset("raw", at="parquet://lake/raw")

        @materialize(raw)
        def make() -> pl.DataFrame:
            from headwater import failpoints

            failpoints._armed = "publish.published"
            return pl.DataFrame({"id": [1]})

        @flow(runner=ProcessRunner(max_workers=1))
        def main() -> Any:
            return make.submit().result(raise_on_failure=False)

        assert isinstance(main(), WorkerDied)
        assert len(journal.records(MaterializationStaged)) == 1
        assert [one.state for one in journal.records(MaterializationEnded)] == ["published"]
        assert journal.records(TaskEnded)[0].state == "Crashed"


def test_a_materialization_inside_a_task_of_a_worker_is_read_by_the_one_around_it(processes: ProcessRunner) -> None:
    with project_of(carrier=(journal := MemoryCarrier())):
        days = DailyPartitions("2024-01-01", "2024-02-01")
        inner, outer = (
            Asset("inner", at="parquet://i", partitions=days),
            Asset("outer", at="parquet://o", partitions=days),
        )

        @materialize(inner)
        def make_inner() -> pl.DataFrame:
            return pl.DataFrame({"id": [1]})

        @task
        def between() -> None:
            make_inner()

        @materialize(outer)
        def make_outer() -> pl.DataFrame:
            between.submit().result()
            return pl.DataFrame({"id": [2]})

        @flow(runner=processes)
        def main() -> None:
            make_outer.at("2024-01-05")()

        main()
        ended = {one.started.asset.name: one for one in journal.records(MaterializationEnded)}
        assert ended["inner"].started.partition == "2024-01-05"
        assert ended["outer"].evidence is not None
        assert [one.asset for one in ended["outer"].evidence.inputs] == ["inner"]
