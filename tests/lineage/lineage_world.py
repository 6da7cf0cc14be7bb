"""Small worlds of events for the tests of the projection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from headwater import ids
from headwater.assets.backfill_events import (
    BackfillAsked,
    BackfillPartitionEnded,
    BackfillPartitionLaunched,
    BackfillRequested,
    BackfillStopped,
    PartitionsAdded,
)
from headwater.assets.events import (
    AssetChecked,
    AssetDefined,
    AssetObserved,
    AssetRef,
    CheckResult,
    ColumnEdge,
    ColumnSchema,
    Evidence,
    FreshnessJudged,
    InputVersion,
    MaterializationEnded,
    MaterializationStarted,
    UnknownColumn,
)
from headwater.core.events import (
    LogWritten,
    RunCancelRequested,
    RunEnded,
    RunStarted,
    RunState,
    TaskCache,
    TaskEnded,
    TaskKept,
    TaskStarted,
    TaskState,
)
from headwater.core.journal.events import Body
from headwater.core.journal.home import Home
from headwater.core.journal.lines import encode, head_of
from headwater.core.journal.reader import Batch, Position
from headwater.core.journal.writer import Writer
from headwater.core.request_events import (
    AccessRecorded,
    PrunedRun,
    RunsPruned,
    WorkAsked,
    WorkCancelRequested,
    WorkEnded,
    WorkStarted,
    WorkTaken,
)
from headwater.lineage import store
from headwater.lineage.compare import TABLES, graph_hash
from headwater.lineage.ingest import ingest
from headwater.lineage.projection import Projection
from headwater.types import ErrorInfo

Key = tuple[str, str | None, str | None]
"""An input: asset, partition, version."""


def ref(name: str, *, place: str = "/data") -> AssetRef:
    return AssetRef(
        name=name, uri=f"data/{name}.parquet", kind="parquet", namespace="file", dataset=f"{place}/{name}.parquet"
    )


def started(run: str = "r1", *, attempt: int = 1, flow: str = "daily", kind: str = "flow") -> RunStarted:
    return RunStarted(
        run_id=run,
        attempt=attempt,
        flow=flow,
        type=kind,
        root_run_id=run,
        root_flow=flow,
        project="shop",
        parameters={},
    )


def ended(run: str = "r1", state: str = "Completed", *, attempt: int = 1, flow: str = "daily", **more: Any) -> RunEnded:
    return RunEnded(
        run_id=run, attempt=attempt, flow=flow, state=state, started=5, root_run_id=run, root_flow=flow, project="shop",
        **more,
    )  # fmt: skip


def task_story(task: str = "t1", run: str = "r1") -> list[Body]:
    return [
        TaskStarted(task_run_id=task, run_id=run, task="make"),
        TaskState(task_run_id=task, run_id=run, state="AwaitingRetry", tries=1, delay=1.0),
        TaskState(task_run_id=task, run_id=run, state="Running", tries=2),
        TaskEnded(task_run_id=task, run_id=run, task="make", state="Completed", tries=2, started=7),
    ]


def cache_story(task: str = "t1", run: str = "r1") -> list[Body]:
    """A task run that found no kept result, and kept its own."""
    return [
        TaskCache(
            task_run_id=task, run_id=run, task="make", verdict="miss", because="not_kept", text="none", policy="RUN",
            key="k", parts={"run": run},
        ),
        TaskKept(task_run_id=task, run_id=run, task="make", key="k", encoding="json", size=1),
    ]  # fmt: skip


def made(
    asset: str,
    partition: str | None,
    version: str,
    inputs: Iterable[Key] = (),
    *,
    run: str = "r1",
    replaces: str | None = None,
    state: str = "published",
    columns: Mapping[str | None, Iterable[tuple[str, str]]] | None = None,
    place: str = "/data",
    **evidence: Any,
) -> MaterializationEnded:
    """A materialization; `columns` says of which (asset, column) each output column is made."""
    edges = [
        ColumnEdge(
            column=target,
            source_asset=source,
            source_namespace="file",
            source_dataset=ref(source, place=place).dataset,
            source_column=column,
            type="DIRECT" if target else "INDIRECT",
            subtype="IDENTITY" if target else "FILTER",
        )
        for target, sources in (columns or {}).items()
        for source, column in sources
    ]
    start = MaterializationStarted(
        materialization_id=version, run_id=run, task_run_id=f"task-{version}", flow="daily", task=f"make_{asset}",
        root_run_id=run, root_flow="daily", project="shop", asset=ref(asset, place=place), partition=partition,
        tags={"tier": "gold"},
    )  # fmt: skip
    found = Evidence(
        version=version,
        replaces=replaces,
        rows=3,
        inputs=tuple(
            InputVersion(
                asset=name, namespace="file", dataset=ref(name, place=place).dataset, partition=part, version=v
            )
            for name, part, v in inputs
        ),
        columns=tuple(ColumnSchema(name=name, type="Int64") for name in columns or () if name),
        column_edges=tuple(edges),
        **evidence,
    )
    published = state == "published"
    return MaterializationEnded(
        materialization_id=version,
        started=start,
        started_at=100,
        state=state,
        evidence=found if published else None,
        error=None if published else ErrorInfo(type="ValueError", message="no such day"),
    )


def defined(asset: str, inputs: Iterable[str] = (), *, place: str = "/data", **more: Any) -> AssetDefined:
    from headwater.assets.definition_json import definition_hash

    one = ref(asset, place=place)
    definition = {
        "ref": {name: getattr(one, name) for name in ("name", "uri", "kind", "namespace", "dataset")},
        "inputs": [
            {"parameter": name, "asset": name, "mapping": {"type": "same"}, "namespace": "file",
             "dataset": ref(name, place=place).dataset}
            for name in inputs
        ],
        **more,
    }  # fmt: skip
    return AssetDefined(asset=one, hash=definition_hash(definition), project="shop", definition=definition)


def story() -> list[Body]:
    """A bit of everything: each table gets rows."""
    return [
        started(),
        RunState(run_id="r1", state="AwaitingSlot", limit="gpu"),
        *task_story(),
        *cache_story(),
        LogWritten(run_id="r1", task_run_id="t1", level=20, logger="shop", message="hällo\u0000 \U0001f30a"),
        defined("flights"),
        defined("delays", ["flights", "planes"]),
        AssetObserved(observation_id="o1", project="shop", asset=ref("flights"), version="s1", data_through=50, rows=9),
        AssetObserved(observation_id="o2", project="shop", asset=ref("flights"), version="s2", data_through=60, rows=9),
        made("delays", "d1", "v1", [("flights", None, "s1")], columns={"day": [("flights", "time")]}),
        made("delays", "d2", "v2", [("flights", None, "s2")], columns={"day": [("flights", "time")]}),
        made(
            "delays", "d1", "v3", [("flights", None, "s2"), ("weather", "d1", "w1")], replaces="v1", time_max=70,
            columns={"day": [("flights", "time")], None: [("weather", "a.b")]}, unknown_inputs=("a list",),
            unknown_columns=(UnknownColumn(column="late", reason="map_batches"),),
            checks=(CheckResult(name="rows", passed=True, blocking=True),),
        ),
        made("delays", "d2", "v4", state="failed"),
        FreshnessJudged(
            project="shop", asset=ref("delays"), verdict="late", before="fresh", at=5, clock="data_through", stands=1, seen=9
        ),
        AssetChecked(
            project="shop", asset=ref("delays"), partition="d1", version="v3",
            checks=(
                CheckResult(name="rows", passed=False, blocking=True, message="0 rows", metrics={"rows": 0, "x": None}),
                CheckResult(name="late", passed=True, severity="warn", kind="in_range", description="Not late."),
            ),
        ),
        made("report", None, "v5", [("delays", "d1", "v3"), ("delays", "d2", "v2")], columns={"n": [("delays", "day")]}),
        ended(),
        RunCancelRequested(run_id="r1", attempt=1, asked_by="ann@host"),
        RunsPruned(before=1, runs=(PrunedRun(run_id="r0", attempt=1, tasks={"Completed": 2}, logs=3),)),
        started("b1", kind="backfill", flow="backfill"),
        BackfillRequested(
            backfill_id="b1", name="year", targets=("delays",), range="d1..d3", options={}, plan={"total": 3}, requested=3,
            origin={},
        ),
        BackfillPartitionLaunched(backfill_id="b1", attempt=1, asset="delays", partition="d1"),
        BackfillPartitionEnded(backfill_id="b1", attempt=1, asset="delays", partition="d1", state="completed"),
        BackfillPartitionLaunched(backfill_id="b1", attempt=1, asset="delays", partition="d2"),
        BackfillAsked(backfill_id="b1", what="pause", asked_by="ann@host"),
        BackfillStopped(backfill_id="b1", attempt=1, what="pause", asked_by="ann@host"),
        WorkAsked(request_id="b2", what="backfill", arguments={"selection": "delays"}, asked_by="ann"),
        WorkTaken(request_id="b2", pid=7, host="here"),
        WorkStarted(request_id="b2", pid=8, host="here"),
        WorkCancelRequested(request_id="b2", asked_by="ann"),
        WorkEnded(request_id="b2", exit_code=1, message="error: no"),
        AccessRecorded(what="refused", subject="192.0.2.7", count=12),
        PartitionsAdded(name="cities", keys=("rome", "oslo"), project="shop"),
        ended("b1", "Crashed", flow="backfill", type="backfill"),
    ]  # fmt: skip


def write(home: Home, bodies: Iterable[Body], *, close: bool = True) -> Writer:
    writer = Writer(home)
    writer.append(*bodies)
    if close:
        writer.close()
    return writer


def lines_of(bodies: Iterable[Body]) -> tuple[str, list[bytes]]:
    writer = ids.new_id()
    return writer, [encode(head_of(writer), seq, body)[:-1] for seq, body in enumerate(bodies)]


def batch(writer: str, lines: Iterable[bytes], first: int = 0) -> Batch:
    lines = tuple(lines)
    end = Position(first + len(lines), first + len(lines))
    return Batch(writer=writer, lines=lines, first_seq=first, position=end, closed=False)


def ingested(folder: Path, transactions: Iterable[Iterable[Batch]]) -> Iterator[Any]:
    """A connection to a projection of its own that got these batches, a transaction each."""
    connection = store.connect(Path(":memory:"), temp=folder)
    try:
        for batches in transactions:
            ingest(connection, batches, folder)
        yield connection
    finally:
        connection.close()


def hash_of(folder: Path, transactions: Iterable[Iterable[Batch]]) -> dict[str, tuple[int, int]]:
    (found,) = (graph_hash(connection) for connection in ingested(folder, transactions))
    return found


def content_of(one: Projection) -> dict[str, Any]:
    """What the tables hold, as seen through a look."""
    with one.session() as session:
        sql = "SELECT count(*), coalesce(sum(hash(whole)::HUGEINT), 0) FROM {} AS whole"
        return {table: session.rows(sql.format(table)) for table in TABLES}
