"""The small worlds of `asset_worlds`, in a projection: what is asked of facts in memory is asked of their events as well."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
from asset_worlds import World
from duckdb import DuckDBPyConnection

from headwater.assets.definition_json import definition_hash, definition_to_json
from headwater.assets.events import (
    AssetDefined,
    AssetObserved,
    Evidence,
    InputVersion,
    MaterializationEnded,
    MaterializationStarted,
)
from headwater.assets.partitions import partitioning
from headwater.core.journal.lines import plain_json
from headwater.core.journal.reader import Batch, Position
from headwater.lineage import store
from headwater.lineage.catalog import ProjectionCatalog
from headwater.lineage.ingest import ingest, outline
from headwater.lineage.session import Session


class RecordedWorld(World):
    """A world that keeps the events of all that happens in it, each with its time."""

    def __init__(self):
        super().__init__()
        self.events = []

    def observe(self, name, through=None, partition=None, version=None, at=None, rows=None):
        super().observe(name, through, partition, version, at, rows)
        seen = self.facts_of(name)["observed"][partition]
        body = AssetObserved(
            observation_id=f"o{len(self.events)}",
            project="world",
            asset=self.definitions[name].ref,
            partition=partition,
            version=version,
            data_through=seen.data_through,
            rows=rows,
        )
        self.events.append((seen.at, body))
        return self

    def make(self, name, *partitions, **how):
        for key in partitions or (None,):
            before = self.facts_of(name)["made"].get(key)
            super().make(name, *([key] if key is not None else []), **how)
            made = self.facts_of(name)["made"][key]
            told = {"replaces": before and before.version, "rows": made.rows, "time_max": made.time_max}
            told["unknown_inputs"] = ("something",) if made.unknown_inputs else ()
            self.events.append(self._outcome(name, made, "published", **told))
        return self

    def skip(self, name, *partitions, **how):
        for key in partitions or (None,):
            super().skip(name, *([key] if key is not None else []), **how)
            left_out = self.facts_of(name)["skipped"][key]
            self.events.append(self._outcome(name, left_out, "skipped"))
        return self

    def _outcome(self, name, made, state, **told):
        id_ = f"m{len(self.events)}"
        refs = {asset: one.ref for asset, one in self.definitions.items()}
        declared = {used.asset for used in self.definitions[name].inputs}
        inputs = tuple(
            InputVersion(
                asset=used.asset,
                namespace=refs[used.asset].namespace,
                dataset=refs[used.asset].dataset,
                partition=used.partition,
                version=used.version,
                via="load" if used.asset in declared else "value",
            )
            for used in made.inputs
        )
        window = partitioning(self.definitions[name]).partition(made.partition)
        started = MaterializationStarted(
            materialization_id=id_,
            run_id=made.run_id,
            task_run_id=f"task-{id_}",
            flow="world",
            task=f"make_{name}",
            root_run_id=made.run_id,
            root_flow="world",
            project="world",
            asset=refs[name],
            partition=made.partition,
            partition_start=window.start_us,
            partition_end=window.end_us,
            inputs=inputs,
            tags={},
        )
        version = made.version if state == "published" else id_
        evidence = Evidence(version=version, inputs=inputs, code_version=made.code_version, **told)
        return made.at, MaterializationEnded(
            materialization_id=id_,
            started=started,
            started_at=made.started,
            state=state,
            evidence=evidence,
        )

    def defined(self):
        """The events of all definitions, as they are now."""
        refs = {name: one.ref for name, one in self.definitions.items()}
        for one in self.definitions.values():
            value = definition_to_json(one, refs)
            yield self.now, AssetDefined(asset=one.ref, hash=definition_hash(value), project="world", definition=value)

    def catalog(self, connection, order=None, loaded=True) -> ProjectionCatalog:
        """The catalogue of a projection that got these events and nothing else; `order` says in which transactions and
        sequence, and somebody asks after each of them. With `loaded` the definitions are those of modules that are loaded, too."""
        recorded = Recorded(connection)
        for event in [*self.defined(), *self.events]:
            recorded.add(*event)
        return ProjectionCatalog(recorded.projection(order), (lambda: self.definitions) if loaded else dict)


class Recorded:
    """A projection that gets these events and nothing else, each with its time."""

    def __init__(self, connection):
        self._connection, self._lines, self._read = connection, [], 0
        for (table,) in connection.execute(_TABLES).fetchall():
            connection.execute(f"DELETE FROM {table}")

    def add(self, time, body):
        self._lines.append(_line(len(self._lines), time, body))

    def projection(self, order=None):
        """The projection, up to date; see `RecordedWorld.catalog`."""
        lines = self._lines[self._read :]
        with TemporaryDirectory() as folder:
            for numbers in order(len(lines)) if order else [range(len(lines))]:
                ingest(self._connection, [_batch([lines[number] for number in numbers], self._read)], Path(folder))
                if order:
                    outline(self._connection)
        self._read = len(self._lines)
        return _Projection(self._connection)


_TABLES = """
SELECT schema_name || '.' || table_name FROM duckdb_tables()
WHERE schema_name IN ('facts', 'state') AND table_name <> 'format'
"""


@contextmanager
def empty_projection() -> Iterator[DuckDBPyConnection]:
    """A projection in memory: making its tables and views takes longer than most that is asked of it."""
    with TemporaryDirectory() as folder:
        connection = store.connect(Path(":memory:"), temp=Path(folder))
        try:
            yield connection
        finally:
            connection.close()


class _Projection:
    def __init__(self, connection):
        self._connection = connection
        self._inside = None

    @contextmanager
    def session(self, *, outlined=False):
        if self._inside is not None:
            yield self._inside
            return
        if outlined:
            outline(self._connection)
        self._inside = Session(self._connection, Path("memory"))
        try:
            yield self._inside
        finally:
            self._inside = None
            self._connection.execute("ROLLBACK")


def _line(number, time, body):
    id_ = f"00000000-0000-7000-8000-{number:012x}"
    return orjson.dumps(
        {"w": "w", "n": number, "id": id_, "t": time, "k": body.kind, "b": orjson.Fragment(plain_json(body))}
    )


def _batch(lines, first):
    end = Position(first + len(lines), first + len(lines))
    return Batch(writer="w", lines=tuple(lines), first_seq=first, position=end, closed=False)
