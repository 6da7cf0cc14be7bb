"""The journal of a team, as its processes would have written it: five hundred flows a day, each a process with forty tasks.

Of the tasks two make a partition of an asset of twelve columns, and each writes two lines of log.
"""

import hashlib

from headwater import clock, ids
from headwater.assets.events import (
    AssetDefined,
    AssetRef,
    ColumnEdge,
    ColumnSchema,
    Evidence,
    InputVersion,
    MaterializationEnded,
    MaterializationStaged,
    MaterializationStarted,
)
from headwater.core.events import LogWritten, RunEnded, RunStarted, TaskEnded, TaskStarted, WriterClosed, WriterOpened
from headwater.core.journal.home import Home
from headwater.core.journal.lines import encode, head_of
from headwater.core.journal.segment import segment_path
from headwater.types import SourceCode

DAY = 86_400_000_000
FIRST = 1_735_689_600_000_000  # 2025-01-01
FLOWS = 500
BETWEEN = DAY // FLOWS
TASKS = 40
MADE = 2
EVENTS = 2 + 2 + 4 * TASKS + 4 * MADE
"""Events of one flow run, its process's own two among them."""


class Moving:
    """A clock that is where it is put, and goes on by ten milliseconds with each look."""

    def __init__(self, at):
        self.at = at

    def now_us(self):
        """Ten milliseconds after the last look."""
        self.at += 10_000
        return self.at

    def sleep(self, seconds):
        """Nothing sleeps while a journal is made."""
        self.at += round(seconds * 1e6)


def write(home: Home, events: int, *, skip: int = 0, first: int = FIRST) -> int:
    """Write whole flow runs of a team that began on its `first` day, of at least so many events, after `skip` runs; how many."""
    runs = -(-events // EVENTS)
    with clock.use(Moving(first)) as moving:
        for number in range(skip, skip + runs):
            day, flow = divmod(number, FLOWS)
            moving.at = first + day * DAY + flow * BETWEEN
            _segment(home, flow, day)
    return runs


def _segment(home, flow, day):
    writer = ids.new_id()
    head = head_of(writer)
    lines = [encode(head, seq, body) for seq, body in enumerate(_run(flow, day))]
    segment_path(home, writer).write_bytes(b"".join(lines))


def _run(flow, day):
    run, began = ids.new_id(), clock.now_us()
    name = f"load_{flow:03d}"
    source = SourceCode(file=f"flows/{name}.py", line=40, name=name, hash=_hash(flow))
    whose = {"flow": name, "root_run_id": run, "root_flow": name, "project": "shop"}
    yield WriterOpened(format=1, pid=4_000 + flow, host="worker-1", headwater="0.1.0", python="3.11.7", boot=_hash(day))
    yield RunStarted(run_id=run, parameters={"day": day}, source=source, **whose)
    version = None
    for number in range(TASKS):
        task_run, task = ids.new_id(), f"step_{number:02d}"
        started = clock.now_us()
        yield TaskStarted(task_run_id=task_run, run_id=run, task=task)
        for text in ("reading %d rows of the orders of the day", "%d rows are left after the filter"):
            yield LogWritten(
                run_id=run, task_run_id=task_run, level=20, logger=f"shop.{name}", message=text % (flow * 97 + number)
            )
        if number >= TASKS - MADE:
            version = yield from _made(flow, day, number, version, {"run_id": run, "task_run_id": task_run, **whose})
        yield TaskEnded(task_run_id=task_run, run_id=run, task=task, state="Completed", tries=1, started=started)
    yield RunEnded(run_id=run, state="Completed", started=began, source=source, **whose)
    yield WriterClosed(reason="exit")


def _made(flow, day, number, before, whose):
    asset, version, began = _asset(flow, number), ids.new_id(), clock.now_us()
    source = SourceCode(file=f"flows/load_{flow:03d}.py", line=80 + number, name=asset.name, hash=_hash(asset.name))
    yield AssetDefined(asset=asset, hash=_hash(asset.name), project="shop", definition=_definition(asset))
    started = MaterializationStarted(
        materialization_id=version,
        task=asset.name,
        asset=asset,
        partition=clock.from_us(FIRST + day * DAY).strftime("%Y-%m-%d"),
        partition_start=FIRST + day * DAY,
        partition_end=FIRST + (day + 1) * DAY,
        source=source,
        owners=("orders-team",),
        tags={},
        **whose,
    )
    yield started
    evidence = _evidence(flow, number, version, before, started.partition)
    told = {"materialization_id": version, "started": started, "started_at": began, "evidence": evidence}
    yield MaterializationStaged(staging={"file": f".staging-{version}.parquet"}, **told)
    yield MaterializationEnded(state="published", **told)
    return version


def _evidence(flow, number, version, before, partition):
    names = [f"column_{column:02d}" for column in range(12)]
    source = _asset(flow, number - 1)
    place = {"source_asset": source.name, "source_namespace": source.namespace, "source_dataset": source.dataset}
    read = InputVersion(
        asset=source.name, namespace=source.namespace, dataset=source.dataset, partition=partition, version=before
    )
    edges = [ColumnEdge(column=name, source_column=name, type="DIRECT", subtype="IDENTITY", **place) for name in names]
    return Evidence(
        version=version,
        rows=10_000 + flow,
        bytes=1_000_000 + number,
        columns=tuple(ColumnSchema(name=name, type="Float64") for name in names),
        inputs=() if before is None else (read,),
        column_edges=() if before is None else tuple(edges),
        code_version=_hash(source.name),
    )


def _asset(flow, number):
    name = f"orders_{flow:03d}_{number}"
    uri = f"s3://warehouse/{name}.parquet"
    return AssetRef(
        name=name, uri=f"parquet+{uri}", kind="parquet", namespace="s3://warehouse", dataset=f"{name}.parquet"
    )


def _definition(asset):
    return {"ref": {"name": asset.name, "uri": asset.uri}, "owners": ["orders-team"], "inputs": [], "tags": {}}


def _hash(value):
    return hashlib.sha256(str(value).encode()).hexdigest()[:32]
