"""Journal events to translate: builders with defaults, and a strategy for whole histories of runs."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from hypothesis import strategies as st

from headwater import ids
from headwater.assets.events import (
    AssetRef,
    CheckResult,
    ColumnEdge,
    ColumnSchema,
    Evidence,
    InputVersion,
    MaterializationEnded,
    MaterializationStarted,
    UnknownColumn,
)
from headwater.core.events import LogWritten, RunEnded, RunStarted, TaskStarted
from headwater.core.journal.events import Body, Event
from headwater.types import ErrorInfo, OuterRun, SourceCode

NOON = 1_357_387_200_000_000  # 2013-01-05T12:00:00Z
SECOND = 1_000_000
DAY = 86_400 * SECOND

FLIGHTS = AssetRef(
    name="flights", uri="parquet://lake/flights", kind="parquet", namespace="file", dataset="/srv/shop/lake/flights"
)
DELAYS = AssetRef(
    name="delays",
    uri="duckdb://warehouse.duckdb/main.delays",
    kind="duckdb",
    namespace="duckdb:///srv/shop/warehouse.duckdb",
    dataset="warehouse.main.delays",
)
SOURCE = SourceCode(file="flows/nightly.py", line=12, name="summarise", hash="9f86d081")


def without_empty(value: Any) -> Any:
    """A value without the empty objects and lists in it, which the official client writes and we leave out."""
    if isinstance(value, dict):
        found = {key: without_empty(item) for key, item in value.items()}
        return {key: item for key, item in found.items() if item not in ({}, [])}
    return [without_empty(item) for item in value] if isinstance(value, list) else value


def event(body: Body, *, seq: int = 0, time: int = NOON) -> Event:
    """The body as it is read back from the journal."""
    return Event(
        writer="0199aa00-0000-7000-8000-000000000000",
        seq=seq,
        id=ids.new_id(),
        time=time,
        kind=body.kind,
        version=body.body_version,
        body=orjson.loads(orjson.dumps(body)),
    )


def history(bodies: Iterable[Body]) -> list[Event]:
    """Bodies as events that follow each other by a second."""
    return [event(body, seq=seq, time=NOON + seq * SECOND) for seq, body in enumerate(bodies)]


def run_started(run_id: str, **changes: Any) -> RunStarted:
    found = {
        "run_id": run_id,
        "flow": "nightly",
        "root_run_id": run_id,
        "root_flow": "nightly",
        "project": "shop",
        "parameters": {"day": "2013-01-05"},
    }
    return RunStarted(**(found | changes))


def run_ended(run_id: str, state: str = "Completed", **changes: Any) -> RunEnded:
    found = {
        "run_id": run_id,
        "flow": "nightly",
        "state": state,
        "started": NOON,
        "root_run_id": run_id,
        "root_flow": "nightly",
        "project": "shop",
    }
    return RunEnded(**(found | changes))


def started(run_id: str, **changes: Any) -> MaterializationStarted:
    found = {
        "materialization_id": ids.new_id(),
        "run_id": run_id,
        "task_run_id": ids.new_id(),
        "flow": "nightly",
        "task": "summarise",
        "root_run_id": run_id,
        "root_flow": "nightly",
        "project": "shop",
        "asset": DELAYS,
        "tags": {},
    }
    return MaterializationStarted(**(found | changes))


def ended(start: MaterializationStarted, state: str = "published", **changes: Any) -> MaterializationEnded:
    found: dict[str, Any] = {
        "materialization_id": start.materialization_id,
        "started": start,
        "started_at": NOON,
        "state": state,
        "evidence": Evidence(version=start.materialization_id) if state == "published" else None,
    }
    return MaterializationEnded(**(found | changes))


def read(asset: AssetRef = FLIGHTS, partition: str | None = "2013-01-05", version: str | None = "v1") -> InputVersion:
    return InputVersion(
        asset=asset.name, namespace=asset.namespace, dataset=asset.dataset, partition=partition, version=version
    )


def edge(column: str | None, source: str, type: str = "DIRECT", subtype: str = "IDENTITY") -> ColumnEdge:
    return ColumnEdge(
        column=column,
        source_asset=FLIGHTS.name,
        source_namespace=FLIGHTS.namespace,
        source_dataset=FLIGHTS.dataset,
        source_column=source,
        type=type,
        subtype=subtype,
    )


# Whole histories

names = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=12)
maybe_names = st.none() | names
moments = st.integers(min_value=-10 * 365 * DAY, max_value=80 * 365 * DAY)
assets = st.builds(
    AssetRef,
    name=names,
    uri=st.just("parquet://lake/flights"),
    kind=st.sampled_from(["parquet", "duckdb", "csv", "memory"]),
    namespace=st.sampled_from(["file", "memory", "duckdb:///srv/100% mine/a[1].duckdb", "s3://bucket", "x://[::1]:5"])
    | names,
    dataset=names,
)
sources = st.builds(SourceCode, file=names, line=st.integers(1, 9_999), name=names, hash=names)
errors = st.builds(ErrorInfo, type=names, message=st.text(max_size=20), traceback=maybe_names)
reads = st.builds(
    InputVersion, asset=names, namespace=names, dataset=names, partition=maybe_names, version=maybe_names, via=names
)
edges = st.builds(
    ColumnEdge,
    column=maybe_names,
    source_asset=names,
    source_namespace=names,
    source_dataset=names,
    source_column=names,
    type=st.sampled_from(["DIRECT", "INDIRECT"]),
    subtype=st.sampled_from(["IDENTITY", "JOIN", "FILTER"]),
)
counts = st.none() | st.integers(0, 2**53)
evidence = st.builds(
    Evidence,
    version=names,
    rows=counts,
    bytes=counts,
    columns=st.lists(st.builds(ColumnSchema, name=names, type=names), max_size=3).map(tuple),
    inputs=st.lists(reads, max_size=3).map(tuple),
    unknown_inputs=st.lists(names, max_size=1).map(tuple),
    column_edges=st.lists(edges, max_size=4).map(tuple),
    unknown_columns=st.lists(st.builds(UnknownColumn, column=maybe_names, reason=names), max_size=1).map(tuple),
    checks=st.lists(
        st.builds(
            CheckResult,
            name=names,
            passed=st.booleans(),
            blocking=st.booleans(),
            message=maybe_names,
            severity=st.sampled_from([None, "warn", "error"]),
            kind=st.sampled_from([None, "function", "not_null"]),
            columns=st.lists(names, max_size=2).map(tuple),
            description=maybe_names,
            metrics=st.dictionaries(st.sampled_from(["rows", "nulls(a)", "mean(a)", "sum(b)"]), st.integers(0, 9)),
        ),
        max_size=2,
    ).map(tuple),
    sql=maybe_names,
)


outer_runs = st.builds(
    OuterRun,
    namespace=names,
    job=names,
    run_id=st.uuids().map(str),
    root_namespace=names,
    root_job=names,
    root_run_id=st.uuids().map(str),
)


@st.composite
def materializations(draw: st.DrawFn, run: RunStarted) -> list[Body]:
    start = started(
        run.run_id,
        attempt=run.attempt,
        flow=run.flow,
        root_run_id=run.root_run_id,
        root_flow=run.root_flow,
        root_attempt=run.root_attempt,
        started_by=run.started_by,
        task=draw(names),
        asset=draw(assets),
        partition=draw(maybe_names),
        partition_start=draw(st.none() | moments),
        partition_end=draw(st.none() | moments),
        inputs=tuple(draw(st.lists(reads, max_size=2))),
        source=draw(st.none() | sources),
        owners=tuple(draw(st.lists(names, max_size=2))),
        tags=draw(st.dictionaries(names, st.text(max_size=5), max_size=2)),
        description=draw(maybe_names),
    )
    state = draw(st.sampled_from(["published", "refused", "failed", "skipped", "discarded"]))
    found = draw(evidence if state == "published" else st.none() | evidence)
    return [start, ended(start, state, evidence=found, error=draw(st.none() | errors))]


@st.composite
def runs(draw: st.DrawFn, parent: RunStarted | None = None) -> list[Body]:
    """All attempts of a run, with what they made, their subflows, and events that no catalog wants."""
    run_id, flow = ids.new_id(), draw(names)
    root = (parent.root_run_id, parent.root_flow) if parent else (run_id, flow)
    same: dict[str, Any] = {"flow": flow, "root_run_id": root[0], "root_flow": root[1]}
    if parent:
        same |= {"parent_run_id": parent.run_id, "parent_flow": parent.flow}
        same |= {"parent_attempt": parent.attempt, "root_attempt": parent.root_attempt, "started_by": parent.started_by}
    else:
        same |= {"type": draw(st.sampled_from(["flow", "backfill", "materialize"]))}
        same |= {"started_by": draw(st.none() | outer_runs)}
    found: list[Body] = []
    for attempt in range(1, draw(st.integers(1, 2)) + 1):
        if parent is None:
            same["root_attempt"] = attempt
        start = run_started(
            run_id, attempt=attempt, source=draw(st.none() | sources), nominal_start=draw(moments), **same
        )
        inner = draw(st.lists(materializations(start) if parent else materializations(start) | runs(start), max_size=2))
        other = [TaskStarted(task_run_id=ids.new_id(), run_id=run_id, task="fetch")]
        state = draw(st.sampled_from(["Completed", "Failed", "Crashed", "TimedOut", "Cancelled", "RolledBack"]))
        # What is rolled back with its transaction had completed before.
        states = ["Completed", state] if state == "RolledBack" else [state]
        ends = [run_ended(run_id, one, attempt=attempt, error=draw(st.none() | errors), **same) for one in states]
        log = LogWritten(run_id=run_id, attempt=attempt, level=20, logger="shop", message='"k":"run.started"')
        found.extend([start, *other, *_woven(inner), log, *ends])
    return found


def _woven(lines: Sequence[Sequence[Body]]) -> list[Body]:
    # What runs side by side stands in the journal in turns.
    return [body for row in itertools.zip_longest(*lines) for body in row if body is not None]
