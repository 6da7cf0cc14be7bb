"""A5: flipped bytes anywhere in a home. No answer is silently wrong, `verify` names it, and the original is kept."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from damage_world import Seen, World, flip, leave_a_log

from headwater.core.journal.lines import decode
from headwater.core.journal.reader import Reader
from headwater.core.journal.recovery import recover
from headwater.core.journal.verify import verify_journal

SEED = int(os.environ.get("HEADWATER_SEED", "5"))


@pytest.fixture
def world(damageable: World) -> Iterator[World]:
    files = dict(damageable.files)
    yield damageable
    damageable.files = files


class Truth:
    """What an undamaged home answers."""

    def __init__(self, world: World) -> None:
        world.restore()
        seen = world.look("verify", "answers", "facts", "outbox")
        assert seen.told == []
        assert seen.answer("verify") == []
        self.answers = seen.answer("answers")
        self.outbox = seen.answer("outbox")
        self.facts = {tuple(row) for row in seen.answer("facts")}


class Flips:
    """Makes flips, judges what comes of them, and counts."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.home = world.home
        self.truth = Truth(world)
        self.dice = random.Random(SEED)
        self.found: Counter[tuple[str, str]] = Counter()

    def flip(self, path: Path) -> tuple[str, bytes]:
        """Damage a file; what that is called, and what the file holds now."""
        kind, data = flip(self.world.files[path], self.dice)
        path.write_bytes(data)
        return kind, data

    def note(self, part: str, outcome: str) -> None:
        self.found[part, outcome] += 1

    def tell(self) -> str:
        parts = sorted({part for part, _ in self.found})
        counted = {
            part: ", ".join(f"{n} {outcome}" for (one, outcome), n in sorted(self.found.items()) if one == part)
            for part in parts
        }
        return "".join(f"\n  {part}: {text}" for part, text in counted.items())

    # The journal, by itself

    def in_a_segment(self, path: Path) -> None:
        """Flip a closed segment: whole records are read as they were, the rest is named, nothing of it is rewritten."""
        self.world.restore()
        kind, data = self.flip(path)
        whole = _lines(self.world.files[path])
        kept = [decode(line) for line in _lines(data) if line in whole]
        place = f"seed {SEED}: {kind} in {path.name}"
        found = [event for event in Reader(self.home).events() if event.writer == path.stem]
        assert found == kept, place
        named = bool(verify_journal(self.home))
        assert named or _is_prefix_of_records(data, self.world.files[path]), place
        recover(self.home)
        after = [event for event in Reader(self.home).events() if event.writer == path.stem]
        assert [event for event in after if event in kept] == kept, place
        assert {event.kind for event in after if event not in kept} <= {"task.ended", "run.ended", "writer.closed"}, (
            place
        )
        self.keeps(path, data)
        self.note("journal", _outcome(named, data == self.world.files[path]))

    def keeps(self, path: Path, data: bytes) -> None:
        """Only the beginning of a record, at the very end, may ever be cut off."""
        rest = data[data.rfind(b"\n") + 1 :]
        record = b'{"w":"%b","n":' % path.stem.encode()
        is_torn = rest[: len(record)] == record[: len(rest)] and b"\0" not in rest
        kept = data[: len(data) - len(rest)] if is_torn else data
        assert path.exists() or not kept
        assert not path.exists() or path.read_bytes().startswith(kept)

    # The journal, and what is made of it

    def in_a_read_segment(self, path: Path) -> None:
        """Flip a segment that the projection has read: it goes on answering with the truth."""
        self.world.restore()
        _, data = self.flip(path)
        seen = self.world.look("answers", "verify", "facts", "outbox")
        assert seen.answer("answers") == self.truth.answers
        assert self.same_facts(seen)
        assert seen.answer("outbox") == self.truth.outbox
        unchanged = data == self.world.files[path]
        assert bool(seen.answer("verify")) != unchanged
        assert path.read_bytes() == data
        self.note("journal, already projected", _outcome(bool(seen.answer("verify")), unchanged))

    def in_an_unread_segment(self, path: Path) -> None:
        """Flip a segment, and let the projection be made of what is left: all that can be read, and a word about the rest."""
        self.world.restore(without=[self.home.database])
        _, data = self.flip(path)
        seen = self.world.look("facts", "verify", "answers")
        whole = _lines(self.world.files[path])
        kept = {decode(line).id for line in _lines(data) if line in whole}
        ids = {str(row[0]) for row in self.truth.facts}
        lost = {decode(line).id for line in whole} - kept
        found = {tuple(row) for row in seen.answer("facts")}
        assert {row for row in self.truth.facts if row[0] not in lost} <= found
        assert all(row in self.truth.facts for row in found if row[0] in ids)
        ended = {str(row[1]) for row in found if row[0] not in ids}
        assert ended <= {"run_ended", "task_ended"}
        named = bool(seen.answer("verify"))
        if lost and not _is_prefix_of_records(data, self.world.files[path]):
            told = [text for text in seen.told if "the journal is damaged" in text]
            assert told
            # The beginning of a record at the very end is cut off, and told of once.
            assert named or "less than a record" in told[0]
        self.keeps(path, data)
        self.note("journal, not yet projected", _outcome(named or bool(seen.told), data == self.world.files[path]))

    def in_an_archive(self, path: Path) -> None:
        """Flip an archive or its index, which the projection has read or not: the truth, less of it with a word, or a refusal."""
        known = self.dice.random() < 0.5
        self.world.restore(without=[] if known else [self.home.database])
        _, data = self.flip(path)
        unchanged = data == self.world.files[path]
        seen = self.world.look("verify", "facts", "answers", "outbox")
        found = {tuple(row) for row in seen.answer("facts") or ()}
        if known:
            assert seen.answer("answers") == self.truth.answers
            assert found == self.truth.facts
            assert seen.answer("outbox") == self.truth.outbox
        assert found <= self.truth.facts
        named = bool(seen.answer("verify"))
        assert named != unchanged
        if found != self.truth.facts:
            assert seen.refused("facts") or any("the journal is damaged" in text for text in seen.told)
        # It is not the database that is damaged.
        assert list(self.home.path.glob("headwater.duckdb.damaged-*")) == []
        if path.suffix == ".parquet":
            assert data in [one.read_bytes() for one in path.parent.iterdir() if one.is_file()]
        self.note("archive" if path.suffix == ".parquet" else "index of an archive", _outcome(named, unchanged))

    # The rest of the home

    def in_the_database(self, path: Path) -> None:
        """Flip the database or its log: the truth, at the latest with the next look; what was damaged is put aside."""
        self.world.restore()
        _, data = self.flip(path)
        first = ("verify", "answers") if self.dice.random() < 0.5 else ("answers", "verify")
        seen = self.world.look(*first, "facts")
        assert seen.answer("answers") in (self.truth.answers, None)
        refused = [words for step in ("answers", "facts") if (words := seen.refused(step)) is not None]
        # Whoever meets the damage halfway is told to ask again, once.
        assert len(refused) <= 1
        assert all("ask again: it is rebuilt" in words for words in refused)
        assert self.same_facts(self.world.look("facts") if seen.answer("facts") is None else seen)
        named = seen.answer("verify")
        asides = [aside for aside in self.home.path.glob("headwater.duckdb.damaged-*") if aside.suffix != ".wal"]
        assert len(asides) == any("it is kept as" in text for text in seen.told)
        if asides and path == self.home.database:
            assert asides[0].read_bytes() == data
        part = "database" if path == self.home.database else "its write-ahead log"
        self.note(part, _outcome(bool(named or asides), data == self.world.files[path]))

    def in_a_small_file(self, path: Path) -> None:
        """Flip the marker, or what is kept of a destination: the truth, or a clear word instead of an answer."""
        self.world.restore(without=[self.home.database])
        _, data = self.flip(path)
        unchanged = data == self.world.files[path]
        seen = self.world.look("verify", "outbox")
        if path == self.home.marker:
            part, named = "marker", seen.refused("verify") is not None
        else:
            part, named = (
                "dead letters" if ".dead." in path.name else "position of a destination",
                bool(seen.answer("verify")),
            )
            assert named != unchanged or _is_prefix_of_records(data, self.world.files[path])
        if part == "dead letters":
            letters = seen.answer("outbox")[2]
            assert all(letter in self.truth.outbox[2] for letter in letters)
            assert letters == self.truth.outbox[2] or named or _is_prefix_of_records(data, self.world.files[path])
        else:
            assert seen.answer("outbox") == (None if named else self.truth.outbox)
        assert path.read_bytes() == data
        self.note(part, _outcome(named, unchanged))

    def same_facts(self, seen: Seen) -> bool:
        return {tuple(row) for row in seen.answer("facts")} == self.truth.facts


def _lines(data: bytes) -> list[bytes]:
    return data.split(b"\n")[:-1]


def _is_prefix_of_records(data: bytes, whole: bytes) -> bool:
    """Whether whole records are missing at the end and nothing else: as a power loss leaves a file, so nobody can tell."""
    return whole.startswith(data) and (not data or data.endswith(b"\n"))


def _outcome(named: bool, unchanged: bool) -> str:
    return "named" if named else "changed nothing" if unchanged else "without effect"


@pytest.mark.usefixtures("no_sync")
def test_a5_no_flip_gives_a_silently_wrong_answer(world: World, stress: bool) -> None:
    flips = Flips(world)
    home = world.home
    segments = sorted(home.journal.glob("*.ndjson"))
    archived = [path for path in world.files if path.parent == home.archive]
    destination = [path for path in world.files if path.parent.name == "openlineage"]
    for _ in range(600 if stress else 24):
        flips.in_a_segment(flips.dice.choice(segments))
    for _ in range(60 if stress else 1):
        flips.in_an_unread_segment(flips.dice.choice(segments))
    for _ in range(40 if stress else 1):
        flips.in_a_read_segment(flips.dice.choice(segments))
    for _ in range(80 if stress else 1):
        flips.in_an_archive(flips.dice.choice(archived))
    for _ in range(70 if stress else 2):
        flips.in_a_small_file(flips.dice.choice([home.marker, *destination, *destination]))
    for _ in range(100 if stress else 1):
        flips.in_the_database(home.database)
    log = leave_a_log(world)
    flips.truth = Truth(world)
    for _ in range(50 if stress else 1):
        flips.in_the_database(log)
    print(f"A5: {sum(flips.found.values())} flips, seed {SEED}, 0 silently wrong{flips.tell()}")
