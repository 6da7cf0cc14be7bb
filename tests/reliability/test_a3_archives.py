"""A3 with archives: whatever is moved when, the same events give the same graph, however often and in what order they come."""

from __future__ import annotations

import random
from pathlib import Path

from journal_cases import events
from lineage_world import hash_of, story, write
from test_a3_replay import chapter, shuffled

from headwater.core.journal.archive import compact
from headwater.core.journal.home import Home
from headwater.core.journal.index import archives
from headwater.core.journal.reader import Batch, Reader
from headwater.lineage.compare import graph_hash
from headwater.lineage.projection import Projection


def test_a3_segments_moved_at_any_moment(home: Home, tmp_path: Path, stress: bool) -> None:
    writers, seeds = (60, 30) if stress else (12, 2)
    dice = random.Random(5)
    kept: list[Batch] = []
    projection = Projection(home)
    for number in range(writers):
        write(home, story() if number == 0 else chapter(number))
        kept = [*kept, *Reader(home).read(skip={batch.writer for batch in kept} | {one.id for one in archives(home)})]
        if dice.random() < 0.3:
            projection.refresh(wait=5)
        if dice.random() < 0.3:
            closed = sorted(Reader(home).writers())
            compact(home, dice.sample(closed, dice.randint(0, len(closed))))
    straight = hash_of(tmp_path, [kept])
    assert len(archives(home)) > 1
    assert hash_of(tmp_path, [list(Reader(home).read())]) == straight
    with projection.session() as session:
        assert graph_hash(session._connection) == straight
    projection.rebuild()
    with projection.session() as session:
        assert graph_hash(session._connection) == straight
    assert projection.verify() == []
    while compact(home) is not None:
        pass
    moved = list(Reader(home).read())
    pieces = [batch for batch in moved if batch.lines]
    for seed in range(seeds):
        transactions = shuffled(pieces, random.Random(seed))
        for batch in moved:
            if batch.absorbed:
                random.Random(seed).choice(transactions).append(batch)
        assert hash_of(tmp_path, transactions) == straight, f"seed {seed}"
    found = f"{len(archives(home))} archives, {len(pieces)} writers, {len(events(home))} events"
    print(f"A3 with archives: {found}, three times in {seeds} orders: one graph hash")
