"""The journal of a large company: so many assets of which each reads twenty of others, each made once, and so many runs of flows.

    python benchmarks/sides/seeded.py FOLDER [ASSETS [RUNS]]

Written as lines into segments, so that fifty thousand assets, a million edges and a million runs take minutes, not days.
"""

import hashlib
import sys
from datetime import timedelta
from pathlib import Path

from headwater import clock, ids
from headwater.assets.definition_json import definition_hash, definition_to_json
from headwater.assets.definitions import AssetDefinition
from headwater.assets.events import (
    AssetDefined,
    AssetRef,
    Evidence,
    InputVersion,
    MaterializationEnded,
    MaterializationStarted,
)
from headwater.assets.freshness import Freshness
from headwater.core.events import LogWritten, RunEnded, RunStarted, TaskEnded, TaskStarted, WriterClosed, WriterOpened
from headwater.core.journal.home import Home
from headwater.core.journal.lines import encode, head_of
from headwater.core.journal.segment import segment_path
from headwater.types import ErrorInfo, SourceCode

WIDTH = 500
"""Assets in a layer; each reads some of the layer above."""
READ = 20
RUNS = 5_000
"""Runs in a segment."""
FLOWS = 300
TASKS = 200
"""Tasks of the run that was last."""
STEP = 10_000_000
"""Microseconds between two runs."""


def write(home: Home, assets: int = 50_000, runs: int = 1_000_000) -> None:
    """Write it all, the newest run just now."""
    now = clock.now_us()
    versions = [ids.new_id() for _ in range(assets)]
    for first in range(0, assets, WIDTH):
        _segment(home, (body for n in range(first, min(assets, first + WIDTH)) for body in _asset(n, versions, now)))
    for first in range(0, runs, RUNS):
        _segment(home, (body for n in range(first, min(runs, first + RUNS)) for body in _run(n, runs, now)))


def made_again(number: int):
    """What the journal gets when an asset is made again now: a run, and the materialization in it."""
    ref, version, now = _ref(number), ids.new_id(), clock.now_us()
    source = SourceCode(file="tables.py", line=number + 1, name=ref.name, hash=_hash(ref.name))
    whose = {"flow": ref.name, "root_run_id": version, "root_flow": ref.name, "project": "shop"}
    yield RunStarted(run_id=version, parameters={}, source=source, **whose)
    yield from _materialization(ref, version, now, (), (f"team:{number % 40}",), source, whose)
    yield RunEnded(run_id=version, state="Completed", started=now, source=source, **whose)


def _segment(home, bodies):
    writer = ids.new_id()
    head = head_of(writer)
    opened = WriterOpened(format=1, pid=4_000, host="worker-1", headwater="0.1.0", python="3.11.7", boot="b" * 32)
    every = (opened, *bodies, WriterClosed(reason="exit"))
    lines = [encode(head, seq, body) for seq, body in enumerate(every)]
    segment_path(home, writer).write_bytes(b"".join(lines))


def _ref(number):
    name = f"area_{number // WIDTH:03d}_table_{number % WIDTH:03d}"
    place = f"lake/{name}.parquet"
    return AssetRef(name=name, uri=f"parquet://{place}", kind="parquet", namespace="file", dataset=f"/srv/{place}")


def _inputs(number):
    above = number - number % WIDTH - WIDTH
    return [above + (number * 7 + step * 13) % WIDTH for step in range(READ)] if above >= 0 else []


def _asset(number, versions, now):
    ref, version = _ref(number), versions[number]
    made = now - 3_600_000_000 - number % 97 * 60_000_000
    source = SourceCode(file="tables.py", line=number + 1, name=ref.name, hash=_hash(ref.name))
    definition = AssetDefinition(
        ref=ref,
        freshness=Freshness(max_lag=timedelta(hours=2), clock="last_materialized") if number % 3 else None,
        owners=(f"team:{number % 40}",),
        tags={"tier": ("gold", "silver", "bronze")[number % 3]},
        group=f"area_{number // WIDTH:03d}",
        source=source,
    )
    value = definition_to_json(definition)
    yield AssetDefined(asset=ref, hash=definition_hash(value), project="shop", definition=value)
    whose = {"flow": ref.name, "root_run_id": version, "root_flow": ref.name, "project": "shop"}
    inputs = tuple(_read(_ref(one), versions[one]) for one in _inputs(number))
    with clock.use(_At(made)):
        yield from _materialization(ref, version, made, inputs, definition.owners, source, whose)


def _materialization(ref, version, made, inputs, owners, source, whose):
    started = MaterializationStarted(
        materialization_id=version,
        task=ref.name,
        task_run_id=version,
        run_id=version,
        asset=ref,
        source=source,
        owners=owners,
        tags={},
        **whose,
    )
    evidence = Evidence(version=version, rows=1_000, bytes=100_000, columns=(), inputs=inputs, code_version="c")
    yield started
    yield MaterializationEnded(
        materialization_id=version, state="published", started=started, started_at=made, evidence=evidence
    )


def _read(ref, version):
    return InputVersion(asset=ref.name, namespace=ref.namespace, dataset=ref.dataset, partition=None, version=version)


def _run(number, runs, now):
    began = now - (runs - number) * STEP
    with clock.use(_At(began)) as moving:
        run, name = ids.new_id(began), f"load_{number % FLOWS:03d}"
        source = SourceCode(file=f"flows/{name}.py", line=40, name=name, hash=_hash(name))
        whose = {"flow": name, "root_run_id": run, "root_flow": name, "project": "shop"}
        yield RunStarted(run_id=run, parameters={"day": number}, source=source, **whose)
        if number == runs - 1:
            yield from _tasks(run, name)
        moving.at += number % 30 * 1_000_000
        failed = number % 50 == 0
        error = ErrorInfo(type="ValueError", message=f"no rows in {name}", traceback="…") if failed else None
        state = "Failed" if failed else "Completed"
        yield RunEnded(run_id=run, state=state, started=began, error=error, source=source, **whose)


def _tasks(run, name):
    for number in range(TASKS):
        task_run, task, started = ids.new_id(), f"step_{number:03d}", clock.now_us()
        yield TaskStarted(task_run_id=task_run, run_id=run, task=task)
        yield LogWritten(run_id=run, task_run_id=task_run, level=20, logger=f"shop.{name}", message=f"step {number}")
        yield TaskEnded(task_run_id=task_run, run_id=run, task=task, state="Completed", tries=1, started=started)


class _At:
    def __init__(self, at):
        self.at = at

    def now_us(self):
        """Where it was put, and on by a little."""
        self.at += 10
        return self.at

    def sleep(self, seconds):
        """Nothing sleeps while a journal is made."""


def _hash(value):
    return hashlib.sha256(str(value).encode()).hexdigest()[:32]


if __name__ == "__main__":
    write(Home.open(Path(sys.argv[1]) / ".headwater", create=True), *map(int, sys.argv[2:]))
