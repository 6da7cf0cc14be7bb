"""A few events become the same rows whether they are shaped in Python or taken apart by SQL."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lineage_world import batch, lines_of, made, started, story
from tried import STRESS

from headwater import ids
from headwater.core.journal.lines import encode, head_of, plain_json
from headwater.core.journal.reader import Batch
from headwater.lineage import ingest as ingestion
from headwater.lineage import rows, store
from headwater.lineage.compare import graph_hash
from headwater.lineage.ingest import ingest
from headwater.lineage.statements import statements

KINDS = sorted(kind for kind in statements("ingest.sql") if rows._form(kind) is not None)
ROUNDS = 300 if STRESS else 14
KNOWN = {
    "namespace": [None, "file", "file"],
    "dataset": [None, "a", "b", "b"],
    "partition": [None, "d1", "d2"],
    "version": [None, "v1", "v2", "v3"],
    "replaces": [None, "v1", "v2"],
    "state": ["published", "published", "failed", "skipped"],
    "started": [7, 70],
}
ODD = [
    True,
    -1,
    2**63,
    2**70,
    0.1,
    -1e-7,
    1e22,
    "\x00",
    "\x1b[0m",
    "1e9]",
    "17",
    "ä\U0001f30a",
    [],
    {},
    [None, {"a": 1e-9}],
]


class Pair:
    """Two projections that get the same events: one of them by SQL alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.few, self.sql = (store.connect(Path(":memory:"), temp=folder) for _ in range(2))

    def take(self, *batches: Batch) -> None:
        ingest(self.few, batches, self.folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ingestion, "FEW_BYTES", -1)
            ingest(self.sql, batches, self.folder)
        assert _content(self.few) == _content(self.sql)

    def close(self) -> None:
        self.few.close()
        self.sql.close()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    both = Pair(tmp_path_factory.mktemp("few"))
    yield both
    both.close()


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_shaped_rows_are_those_of_sql(pair: Pair, seed: int) -> None:
    chance = random.Random(seed)
    odd = 0.0 if seed % 2 else 0.01
    lines = [_line(chance, kind, odd) for kind in chance.choices(KINDS, k=6) + ["materialization.ended"] * 3]
    if not odd:
        rows.shape(lines)
    pair.take(batch(ids.new_id(), lines))


def test_all_that_events_say_is_shaped_but_for_rare_kinds() -> None:
    _, lines = lines_of(story())
    rare = [line for line in lines if json.loads(line)["k"] not in KINDS]
    assert {json.loads(line)["k"] for line in rare} == {"runs.pruned", "partitions.added"}
    shaped = rows.shape([line for line in lines if line not in rare])
    assert {"facts.outcomes", "facts.logs", "facts.checks", "facts.column_edges"} < set(shaped.tables)


def test_what_is_known_already_is_left_out(pair: Pair) -> None:
    writer, lines = lines_of([started(), made("a", "d1", "v9"), made("z", "d1", "v8"), started("r2")])
    pair.take(batch(writer, lines[:2]))
    pair.take(batch(writer, lines[3:], 3), batch(writer, lines[1:3], 1))
    pair.take(batch(writer, [lines[0], lines[0]]))


def test_positions_only_go_forward_and_an_archive_stands_for_what_it_absorbed(pair: Pair) -> None:
    (writer, lines), (archive, others) = lines_of([started(), started("r2")]), lines_of([started("r3")])
    pair.take(batch(writer, lines[1:], 1))
    pair.take(batch(writer, lines[:1]))
    assert (writer, 2) in pair.few.execute("SELECT writer, seq FROM state.positions").fetchall()
    end = batch(archive, others)
    pair.take(
        Batch(writer=archive, lines=end.lines, first_seq=0, position=end.position, closed=True, absorbed=(writer,))
    )
    assert {name for (name,) in pair.few.execute("SELECT writer FROM state.positions").fetchall()} & {
        writer,
        archive,
    } == {archive}


def _content(connection: Any) -> tuple[Any, ...]:
    pending, reached = (
        connection.execute(f"SELECT DISTINCT * FROM state.{table} ORDER BY ALL").fetchall()
        for table in ("pending", "positions")
    )
    return graph_hash(connection), pending, reached


def _line(chance: random.Random, kind: str, odd: float) -> bytes:
    """An event of a kind whose body is of its types, but for some that are `odd`."""
    _, spec = rows._form(kind) or (None, {})
    body = {name: _value(chance, name, inner, odd) for name, inner in spec.items() if chance.random() < 0.95}
    for name in ("asset", "started", "evidence", "checks"):
        if isinstance(spec.get(name), dict | list):
            body[name] = _value(chance, "", spec[name], odd)
    line = encode(head_of("w"), 0, started()).replace(plain_json(started()), json.dumps(body).encode())
    return line.replace(b'"k":"run.started"', b'"k":"%b"' % kind.encode())[:-1]


def _value(chance: random.Random, name: str, spec: rows.Spec, odd: float) -> object:
    if chance.random() < odd:
        return chance.choice(ODD)
    if name in KNOWN and isinstance(spec, str) and spec in ("VARCHAR", "BIGINT"):
        return chance.choice(KNOWN[name])
    if name and chance.random() < 0.2:
        return None
    if isinstance(spec, list):
        return [_value(chance, "", spec[0], odd) for _ in range(chance.randrange(3))] * chance.choice([1, 1, 2])
    if isinstance(spec, dict):
        there = {inner: _value(chance, "" if inner == "asset" else inner, one, odd) for inner, one in spec.items()}
        return {**there, "beyond": 1} if chance.random() < 0.1 else there
    values: dict[str, list[object]] = {
        "VARCHAR": ["", "x", 'it\'s "ä" \U0001f30a'],
        "BIGINT": [0, -(2**63), 2**63 - 1],
        "INTEGER": [0, -(2**31), 2**31 - 1],
        "DOUBLE": [0.5, -1e300],
        "BOOLEAN": [True, False],
        "JSON": [{"a": [1, None, True, 0.25, "ä\n"]}, "x", [], 3],
    }
    return chance.choice(values[spec])
