"""A5: segments that vanish, are emptied, swapped, copied, or are no files: named, and never a silently shorter history."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from journal_cases import dead_writer, segments
from lineage_world import content_of, ended, made, started, story, task_story, write

from headwater import ids
from headwater.core.journal.archive import compact
from headwater.core.journal.home import Home
from headwater.core.journal.locks import Locks
from headwater.errors import JournalError
from headwater.lineage.projection import Projection


@pytest.fixture
def filled(home: Home) -> Projection:
    """Three closed segments, the middle one of the run `r2`, and a projection of them."""
    write(home, story())
    write(home, [started("r2"), *task_story("t2", "r2"), made("board", "d1", "v9", run="r2"), ended("r2")])
    write(home, [started("r3"), ended("r3")])
    one = Projection(home)
    assert one.refresh()
    assert one.verify() == []
    return one


def runs(one: Projection) -> set[str]:
    with one.session() as session:
        return {run for (run,) in session.rows("SELECT run_id FROM runs")}


def verified(one: Projection) -> str:
    return "\n".join(map(str, one.verify()))


def asides(home: Home) -> list[Path]:
    return [path for path in home.path.glob("headwater.duckdb.damaged-*") if path.suffix != ".wal"]


def test_a_closed_segment_that_vanishes_is_named_and_stays_known(
    home: Home, filled: Projection, caplog: pytest.LogCaptureFixture
) -> None:
    before, gone = content_of(filled), segments(home)[1]
    gone.unlink()
    assert content_of(filled) == before
    assert f"{gone.stem}: the segment is gone; 9 record(s) had been read of it" in verified(filled)
    assert "extra" in {problem.kind for problem in filled.verify()}
    with caplog.at_level(logging.WARNING):
        filled.rebuild()
    assert f"{gone.stem}: the segment is gone" in caplog.text
    assert runs(filled) == {"r1", "r3", "b1"}
    # What only the old file knows is kept, and the loss is not forgotten.
    (aside,) = asides(home)
    assert f"{gone.stem}: the segment is gone" in verified(Projection(home))
    filled.rebuild()
    assert f"{gone.stem}: the segment is gone" in verified(Projection(home))
    for end in ("", ".wal"):  # what was put aside is the file with its log
        if Path(f"{aside}{end}").exists():
            shutil.copyfile(f"{aside}{end}", f"{home.database}{end}")
    assert content_of(filled) == before


def test_the_segment_of_a_dead_writer_that_vanishes_is_told_and_stays_named(
    home: Home, filled: Projection, caplog: pytest.LogCaptureFixture
) -> None:
    living = write(home, [started("r4"), *task_story("t4", "r4")], close=False)
    assert "r4" in runs(filled)
    path = home.journal / f"{living.id}.ndjson"
    path.unlink()
    with caplog.at_level(logging.WARNING):
        assert runs(filled) == {"r1", "r2", "r3", "b1"}
    assert f"{path.stem}: the segment is gone; 6 record(s) had been read of it" in caplog.text
    assert len(asides(home)) == 1
    assert f"{path.stem}: the segment is gone" in verified(filled)
    living.close()


@pytest.mark.parametrize("moved", [False, True])
def test_what_was_gone_and_is_put_back_is_known_again(home: Home, filled: Projection, moved: bool) -> None:
    before = content_of(filled)
    one, other = segments(home)[:2]
    if moved:
        with Locks(home.locks).hold("projection"):
            assert compact(home, {one.stem, other.stem}) is not None
        assert content_of(filled) == before
    gone = list(home.archive.iterdir()) if moved else [one, other]
    kept = {path: path.read_bytes() for path in gone}
    for path in gone:
        path.unlink()
    filled.rebuild()
    assert runs(filled) == {"r3"}
    for path in gone if moved else [other]:
        path.write_bytes(kept[path])
    assert runs(filled) == ({"r1", "r2", "r3", "b1"} if moved else {"r2", "r3"})
    if not moved:
        assert f"{one.stem}: the segment is gone" in verified(filled)
        one.write_bytes(kept[one])
    assert content_of(filled) == before
    assert filled.verify() == []


@pytest.mark.parametrize("gone", ["*", "*.json", "*.parquet"])
def test_an_archive_that_vanishes_is_named_and_stays_known(
    home: Home, filled: Projection, caplog: pytest.LogCaptureFixture, gone: str
) -> None:
    before = content_of(filled)
    with Locks(home.locks).hold("projection"):
        archive = compact(home, {path.stem for path in segments(home)[:2]})
    assert archive is not None
    assert content_of(filled) == before
    for path in list(home.archive.glob(gone)):
        path.unlink()
    named = verified(filled)
    assert archive.id in named
    assert content_of(filled) == before
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        filled.rebuild()
    if gone == "*.json":
        # An index is made anew from the archive that it tells of.
        assert content_of(filled) == before
        assert filled.verify() == []
    else:
        assert archive.id in caplog.text
        assert runs(filled) == {"r3"}
        assert len(asides(home)) == 1
        assert archive.id in verified(filled)


def test_an_emptied_segment_is_named(home: Home, filled: Projection, caplog: pytest.LogCaptureFixture) -> None:
    before, emptied = content_of(filled), segments(home)[1]
    emptied.write_bytes(b"")
    assert content_of(filled) == before
    assert f"{emptied.stem}: the segment ends at byte 0" in verified(filled)
    with caplog.at_level(logging.WARNING):
        filled.rebuild()
    assert "ends at byte 0" in caplog.text
    assert len(asides(home)) == 1


def test_a_gap_is_named_and_the_rest_is_read(home: Home, filled: Projection, caplog: pytest.LogCaptureFixture) -> None:
    path = segments(home)[1]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3] + lines[5:]))
    assert "2 record(s) are missing" in verified(filled)
    home.database.unlink()
    with caplog.at_level(logging.WARNING):
        assert runs(filled) == {"r1", "r2", "r3", "b1"}
    assert "2 record(s) are missing" in caplog.text


def test_swapped_segments_are_named_and_tell_nothing_false(home: Home, filled: Projection) -> None:
    before, (_, one, other) = content_of(filled), segments(home)
    spare = home.tmp / "spare"
    one.rename(spare)
    other.rename(one)
    spare.rename(other)
    assert content_of(filled) == before
    assert verified(filled).count("a record belongs to another writer") == 13
    home.database.unlink()
    assert runs(filled) == {"r1", "b1"}


def test_a_copied_segment_is_named_and_counts_once(home: Home, filled: Projection) -> None:
    before, path = content_of(filled), segments(home)[1]
    shutil.copyfile(path, home.journal / f"{ids.new_id()}.ndjson")
    assert content_of(filled) == before
    home.database.unlink()
    assert content_of(filled) == before
    assert "a record belongs to another writer" in verified(filled)


@pytest.mark.parametrize("kind", ["a folder", "a link"])
def test_what_is_no_file_is_named_and_refused(home: Home, filled: Projection, kind: str) -> None:
    path = segments(home)[1]
    moved = home.tmp / "moved"
    path.rename(moved)
    path.mkdir() if kind == "a folder" else path.symlink_to(moved)
    assert f"{path.stem} at byte 0 (record 0): it can't be read" in verified(filled)
    home.database.unlink()
    with pytest.raises(JournalError, match=re.escape(path.name)):
        filled.refresh()
    path.rmdir() if kind == "a folder" else path.unlink()
    moved.rename(path)
    assert runs(filled) == {"r1", "r2", "r3", "b1"}


def test_other_files_in_the_folder_change_nothing(home: Home, filled: Projection) -> None:
    before = content_of(filled)
    (home.journal / "notes.txt").write_text("mine")
    (home.journal / "report.ndjson").write_text("{}\n")
    (home.journal / f"{ids.new_id()}.ndjson.bak").write_text("{}\n")
    (home.journal / "more").mkdir()
    assert content_of(filled) == before
    assert filled.verify() == []


def test_what_is_no_record_is_kept_when_a_dead_writer_is_recovered(home: Home) -> None:
    path = dead_writer(home, started("r1"), *task_story("t1", "r1"))
    data = path.read_bytes()
    # A block of zeros where the last records were: what was there may be looked for later, so it is never cut away.
    data = data[:-700] + bytes(700)
    path.write_bytes(data)
    one = Projection(home)
    assert run_states(one) == {"r1": "Crashed"}
    assert path.read_bytes().startswith(data)
    assert "are not the record that was written" in verified(one)
    home.database.unlink()
    assert run_states(Projection(home)) == {"r1": "Crashed"}


def test_the_end_of_a_damaged_run_is_seen_by_who_had_read_more(home: Home) -> None:
    path = dead_writer(home, started("r1"), *task_story("t1", "r1"))
    one = Projection(home)
    with one._connected():  # it has read all of it, and nobody has looked for the dead yet
        pass
    # Three records become one line that is none.
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + bytes(sum(map(len, lines[3:])) - 1) + b"\n")
    assert run_states(one) == {"r1": "Crashed"}


def run_states(one: Projection) -> dict[str, Any]:
    with one.session() as session:
        return dict(session.rows("SELECT run_id, state FROM runs"))
