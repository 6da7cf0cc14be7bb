"""A3: the same segments again and again, in whatever order, give the same rows and the same graph."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from journal_cases import events
from lineage_world import batch, ended, hash_of, lines_of, made, started, story, task_story, write

from headwater.core.journal.events import Body
from headwater.core.journal.home import Home
from headwater.core.journal.reader import Batch, Reader


def shuffled(times: Sequence[Batch], dice: random.Random) -> list[list[Batch]]:
    """The batches three times, cut anywhere, in any order, in up to four transactions."""
    pieces = [piece for _ in range(3) for whole in times for piece in cut(whole, dice)]
    dice.shuffle(pieces)
    transactions: list[list[Batch]] = []
    while pieces:
        size = len(pieces) if len(transactions) == 3 else dice.randint(1, len(pieces))
        transactions.append(pieces[:size])
        pieces = pieces[size:]
    return transactions


def cut(whole: Batch, dice: random.Random) -> list[Batch]:
    """A batch in up to four pieces."""
    ends = sorted({*(dice.randint(0, len(whole.lines)) for _ in range(3)), len(whole.lines)})
    starts = [0, *ends[:-1]]
    return [
        batch(whole.writer, whole.lines[start:end], whole.first_seq + start)
        for start, end in zip(starts, ends, strict=True)
        if end > start
    ]


def chapter(number: int) -> list[Body]:
    """A run that makes the next version of an asset that all chapters make."""
    run, version = f"run{number}", f"version{number}"
    inputs = [("flights", None, f"s{number}")]
    return [
        started(run),
        *task_story(f"task{number}", run),
        made("board", f"d{number % 5}", version, inputs, run=run, columns={"day": [("flights", "time")]}),
        ended(run),
    ]


def test_a3_the_same_segments_three_times_in_any_order(home: Home, tmp_path: Path, stress: bool) -> None:
    writers, seeds = (40, 40) if stress else (4, 3)
    write(home, story())
    for number in range(writers):
        write(home, chapter(number))
    segments = list(Reader(home).read())
    straight = hash_of(tmp_path, [segments])
    assert straight["facts.outcomes"][0] == 5 + writers
    for seed in range(seeds):
        assert hash_of(tmp_path, shuffled(segments, random.Random(seed))) == straight, f"seed {seed}"
    print(f"A3: {len(segments)} segments, {len(events(home))} events, three times in {seeds} orders: one graph hash")


def test_each_single_step_replayed_alone_changes_nothing(tmp_path: Path) -> None:
    writer, lines = lines_of(story())
    once = hash_of(tmp_path, [[batch(writer, lines)]])
    assert hash_of(tmp_path, [[batch(writer, lines)]] * 3) == once
    alone = [[batch(writer, [line], number)] for number, line in enumerate(lines)]
    assert hash_of(tmp_path, alone) == once
