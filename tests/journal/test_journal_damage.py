"""Flipped bytes: what stands in a damaged segment is never taken for the truth, and nothing of it is rewritten."""

from __future__ import annotations

import random

import pytest
from journal_cases import dead_writer, events, log, of_kind, run_started

from headwater.core.journal.home import Home
from headwater.core.journal.reader import Reader
from headwater.core.journal.recovery import recover
from headwater.core.journal.verify import verify_journal

STORY = (run_started("run"), *(log(number) for number in range(12)))


@pytest.mark.usefixtures("no_sync")
def test_a_flipped_byte_is_never_taken_for_the_truth(home: Home) -> None:
    path = dead_writer(home, *STORY)
    whole = path.read_bytes()
    truth = {event.id: event for event in Reader(home).events()}
    dice = random.Random(5)
    for _ in range(250):
        at, change = dice.randrange(len(whole)), dice.randrange(1, 256)
        path.write_bytes(whole[:at] + bytes([whole[at] ^ change]) + whole[at + 1 :])
        found = events(home)
        assert all(truth.get(event.id) == event for event in found)
        assert len(found) >= len(truth) - 2
        assert verify_journal(home), f"byte {at} xor {change} was not seen"
        original = path.read_bytes()
        recover(home)
        after = [event for event in events(home) if event.kind not in ("run.ended", "writer.closed")]
        assert all(truth.get(event.id) == event for event in after)
        assert len(after) >= len(found)
        # Nothing that may be evidence is rewritten: only less than a record at the very end is ever cut.
        assert path.read_bytes().startswith(original[: original.rfind(b"\n") + 1])


@pytest.mark.usefixtures("no_sync")
def test_several_flips_at_once(home: Home) -> None:
    path = dead_writer(home, *STORY)
    whole = path.read_bytes()
    truth = {event.id: event for event in Reader(home).events()}
    dice = random.Random(6)
    for _ in range(100):
        data = bytearray(whole)
        for _ in range(dice.randrange(2, 30)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        path.write_bytes(bytes(data))
        assert all(truth.get(event.id) == event for event in events(home))
        recover(home)
        assert all(truth.get(event.id, event) == event for event in events(home))
        assert len(of_kind(events(home), "writer.closed")) == 1
        assert recover(home) == []
