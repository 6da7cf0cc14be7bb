"""A4: a dead writer's segment, cut at each of its last 512 bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from journal_cases import assert_sound, dead_writer, events, kinds, log, run_ended, run_started

from headwater.core.journal.events import Body
from headwater.core.journal.home import Home
from headwater.core.journal.lines import decode
from headwater.core.journal.recovery import recover
from headwater.core.journal.verify import verify_journal

LAST = 512
STORIES: dict[str, list[Body]] = {
    "logs": [run_started("run"), *(log(number) for number in range(12))],
    "short": [run_started("run")],
    "long lines": [run_started("run"), log("é\n\u2028 " * 300), log("x" * 700)],
    "an end": [run_started("run"), run_started("done"), log("\U0001f30a"), run_ended("done")],
}


@pytest.mark.usefixtures("no_sync")
def test_a4_a_cut_at_each_of_the_last_512_bytes(home: Home, stress: bool) -> None:
    cuts = torn = 0
    for story in STORIES if stress else ["logs"]:
        path = dead_writer(home, *STORIES[story])
        whole = path.read_bytes()
        for length in range(max(1, len(whole) - LAST), len(whole)):
            path.write_bytes(whole[:length])
            cuts, torn = cuts + 1, torn + judge(home, path, whole, length)
            path.unlink(missing_ok=True)
    print(f"A4: {cuts} cuts: every whole record kept, {torn} torn tails told once each")


def judge(home: Home, path: Path, whole: bytes, length: int) -> int:
    """How many torn tails there were, 0 or 1, once all is as it should be."""
    newlines = [place for place, byte in enumerate(whole) if byte == 0x0A]
    # A record is whole with its last brace: its newline can be put back.
    kept = [decode(line) for line in whole.splitlines()[: sum(newline <= length for newline in newlines)]]
    torn = not any(newline <= length <= newline + 1 for newline in newlines)
    if torn:
        assert [damage.kind for damage in verify_journal(home)] == ["torn"]
    (recovered,) = recover(home)
    assert [damage.kind for damage in recovered.damage] == ["torn"] * torn
    found = events(home)
    if not kept:
        assert not path.exists()
        return int(torn)
    assert_sound(found)
    assert found[: len(kept)] == kept
    crashed = ["run.ended"] * sum(event.kind == "run.started" for event in kept)
    crashed = crashed[sum(event.kind == "run.ended" for event in kept) :]
    assert kinds(found[len(kept) :]) == [*crashed, "writer.closed"]
    assert verify_journal(home) == recover(home) == []
    return int(torn)
