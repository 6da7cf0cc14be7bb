"""Damaged archives: what is not what was written is never taken for the truth, the rest is read, nothing is thrown away."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from archive_cases import Follower, archived, files, lines, scripts
from journal_cases import events, segments

from headwater import clock
from headwater.core.journal import parquet
from headwater.core.journal.archive import compact, expire
from headwater.core.journal.home import Home
from headwater.core.journal.index import archives, index_path, load, remove_leftovers
from headwater.core.journal.mending import mend
from headwater.core.journal.reader import Reader
from headwater.core.journal.verify import verify_journal
from headwater.core.journal.writer import Writer
from headwater.errors import FormatError

pytestmark = pytest.mark.usefixtures("no_sync")


def test_a_flipped_byte_of_the_file_is_found_and_all_else_is_read(home: Home, stress: bool) -> None:
    scripts(home, 20, logs=4)
    truth = lines(home)
    made = archived(home)
    whole = made.path.read_bytes()
    dice = random.Random(11)
    kept = []
    for _ in range(400 if stress else 20):
        at, change = dice.randrange(len(whole)), dice.randrange(1, 256)
        wrong = whole[:at] + bytes([whole[at] ^ change]) + whole[at + 1 :]
        made.path.write_bytes(wrong)
        follower = Follower(home)
        follower.look()
        assert all(set(found) <= set(truth[writer]) for writer, found in follower.lines.items()), (at, change)
        lost = sum(map(len, truth.values())) - sum(map(len, follower.lines.values()))
        assert follower.damage[0] == "archive", (at, change)
        assert follower.missing == lost
        assert follower.finished == {made.id}
        (first, *gaps) = verify_journal(home)
        assert (first.kind, first.writer, first.missing) == ("archive", made.id, lost)
        assert sum(gap.missing for gap in gaps) == lost
        assert made.path.read_bytes() == wrong
        kept.append(lost == 0)
    # The file ends in what says where everything lies; of that there is a copy.
    assert any(kept)
    assert list(home.tmp.iterdir()) == []


def test_one_damaged_byte_costs_no_more_than_a_row_group(home: Home) -> None:
    writer = Writer(home)
    for number in range(10):
        scripts(home, 1, logs=1000, start=number)
    writer.close()
    truth = lines(home)
    made = archived(home)
    whole = made.path.read_bytes()
    made.path.write_bytes(whole[:5000] + b"\xff" * 2000 + whole[7000:])
    follower = Follower(home)
    follower.look()
    lost = sum(map(len, truth.values())) - sum(map(len, follower.lines.values()))
    assert 0 < lost <= 2048
    for writer_id, found in follower.lines.items():
        assert [line for line in truth[writer_id] if line in set(found)] == found


@pytest.mark.parametrize(
    "harm", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"\x00" * len(data)]
)
def test_a_file_of_which_little_is_left(home: Home, harm: Callable[[bytes], bytes]) -> None:
    scripts(home, 5)
    made = archived(home)
    made.path.write_bytes(harm(made.path.read_bytes()))
    follower = Follower(home)
    follower.look()
    assert follower.damage[0] == "archive"
    assert verify_journal(home)[0].missing == follower.missing
    assert follower.missing + sum(map(len, follower.lines.values())) == made.events


def test_a_file_that_is_gone_is_told_until_it_is_back(home: Home) -> None:
    scripts(home, 5)
    truth = lines(home)
    made = archived(home)
    aside = made.path.rename(home.path / "aside")
    follower = Follower(home)
    for _ in range(2):
        follower.damage.clear()
        assert follower.look() == 0
        assert follower.damage == ["archive"]
        assert follower.finished == set()
    assert [(one.kind, one.missing) for one in verify_journal(home)] == [("archive", made.events)]
    aside.rename(made.path)
    follower.look()
    assert follower.lines == truth
    assert verify_journal(home) == []


def test_a_lost_index_is_made_again(home: Home) -> None:
    scripts(home, 5)
    truth = lines(home)
    made = archived(home)
    index_path(home, made.id).unlink()
    assert events(home) == []
    assert [(one.kind, one.writer) for one in verify_journal(home)] == [("index", made.id)]
    assert mend(home, ()) == []
    assert archives(home) == [made]
    assert lines(home) == truth
    assert verify_journal(home) == []


def test_every_flipped_byte_of_an_index_and_every_cut_is_seen_and_mended(home: Home, stress: bool) -> None:
    scripts(home, 3)
    truth = lines(home)
    made = archived(home)
    index = index_path(home, made.id)
    whole = index.read_bytes()
    dice = random.Random(3)
    places = dice.sample(range(len(whole)), min(400, len(whole)) if stress else 12)
    flipped = [whole[:at] + bytes([whole[at] ^ dice.randrange(1, 256)]) + whole[at + 1 :] for at in places]
    for wrong in (*flipped, whole[: places[0]], whole[:-1]):
        index.write_bytes(wrong)
        assert load(home, made.id) is None
        assert [one.kind for one in verify_journal(home)] == ["index"]
        mend(home, ())
        assert index.read_bytes() == whole
        assert (home.archive / f"{index.name}.damaged").read_bytes() == wrong
    assert lines(home) == truth


def test_a_known_archive_is_not_opened(home: Home) -> None:
    scripts(home, 3)
    made = archived(home)
    index_path(home, made.id).write_bytes(b"damaged")
    assert mend(home, {made.id}) == []
    assert index_path(home, made.id).read_bytes() == b"damaged"


def test_with_a_damaged_file_a_lost_index_tells_of_what_is_left(home: Home) -> None:
    for number in range(3):
        scripts(home, 1, logs=1500, start=number)
    truth = lines(home)
    made = archived(home)
    whole = made.path.read_bytes()
    made.path.write_bytes(whole[:3000] + b"\xff" * 500 + whole[3500:])
    index_path(home, made.id).unlink()
    mend(home, ())
    (again,) = archives(home)
    assert again.checksum == ""
    assert 0 < again.events < made.events
    follower = Follower(home)
    follower.look()
    assert sum(map(len, follower.lines.values())) == again.events
    assert all(set(found) <= set(truth[writer]) for writer, found in follower.lines.items())
    assert [one.kind for one in verify_journal(home)] == ["archive"]


def test_with_nothing_left_it_is_told_and_left_alone(home: Home) -> None:
    scripts(home, 3)
    made = archived(home)
    made.path.write_bytes(b"nothing")
    index_path(home, made.id).unlink()
    assert [one.kind for one in mend(home, ())] == ["index"]
    assert [one.kind for one in verify_journal(home)] == ["index"]
    assert made.path.read_bytes() == b"nothing"


def test_a_lost_index_of_a_newer_version_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts(home, 3)
    monkeypatch.setattr(parquet, "FORMAT", 2)
    made = archived(home)
    index_path(home, made.id).unlink()
    with pytest.raises(FormatError, match="format '2'"):
        mend(home, ())


def test_a_generation_that_never_came_to_be_is_removed(home: Home) -> None:
    scripts(home, 3)
    truth = lines(home)
    made = archived(home)
    unborn = made.path.with_name(f"{made.id}-1.parquet")
    unborn.write_bytes(b"half")
    assert verify_journal(home) == []
    mend(home, {made.id})
    assert files(home) == ["-0.parquet", ".json"]
    assert lines(home) == truth


def test_a_generation_that_is_over_is_removed(home: Home) -> None:
    scripts(home, 3)
    made = archived(home)
    old = made.path.read_bytes()
    thinner = expire(home, made, ["log.written"], clock.now_us())
    assert thinner is not None
    made.path.write_bytes(old)
    found = events(home)
    mend(home, {made.id})
    assert files(home) == ["-1.parquet", ".json"]
    assert events(home) == found
    index_path(home, made.id).unlink()
    mend(home, ())
    assert archives(home) == [thinner]


def test_segments_that_a_killed_mover_left_are_not_read_twice(home: Home) -> None:
    writers = scripts(home, 3)
    follower = Follower(home)
    follower.look()
    copies = {path: path.read_bytes() for path in segments(home)}
    truth = lines(home)
    made = archived(home)
    for path, data in copies.items():
        path.write_bytes(data)
    assert lines(home) == truth
    for _ in range(2):
        assert follower.look() == 0
        assert follower.finished == {made.id}
    scripts(home, 1, start=3)
    assert follower.look() == 6
    assert verify_journal(home) == []
    assert remove_leftovers(home, set(Reader(home).writers())) == set(writers)
    assert len(segments(home)) == 1


def test_a_verify_in_the_middle_of_a_compaction_tells_of_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts(home, 3)
    seen = []

    def look(*arguments: object) -> None:
        seen.append(verify_journal(home))
        seen.append([len(found) for found in lines(home).values()])
        save(*arguments)  # type: ignore[arg-type]

    from headwater.core.journal import index

    save = index.save
    monkeypatch.setattr(index, "save", look)
    assert compact(home) is not None
    assert seen == [[], [6, 6, 6]]


def test_what_the_system_refuses_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    from headwater.core.journal import unpack
    from headwater.errors import JournalError

    scripts(home, 3)
    archived(home)

    def refused(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(unpack.index, "checksum_of", refused)
    with pytest.raises(JournalError, match="Permission denied"):
        events(home)
    assert [one.kind for one in verify_journal(home)] == ["unreadable"]
