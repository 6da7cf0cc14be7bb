"""The projection, the exports and the journal's archives: segments move while nobody notices."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from archive_cases import Follower, files, lines, scripts
from journal_cases import ROOT, dead_writer, events, log, run_ended, run_started, segments

from headwater.core.journal import archive as archive_module
from headwater.core.journal.archive import compact, expire
from headwater.core.journal.files import FileCarrier
from headwater.core.journal.home import Home
from headwater.core.journal.index import archives, index_path
from headwater.core.journal.segment import segment_path
from headwater.core.journal.writer import Writer
from headwater.lineage.compare import graph_hash
from headwater.lineage.condition import condition
from headwater.lineage.openlineage.exporter import Exporter
from headwater.lineage.openlineage.file import FileDestination
from headwater.lineage.projection import Projection

pytestmark = pytest.mark.usefixtures("no_sync")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five closed segments are many."""
    monkeypatch.setattr(archive_module, "MANY", 5)


def hash_of(home: Home) -> dict[str, tuple[int, int]]:
    with Projection(home).session() as session:
        return graph_hash(session._connection)


def positions(home: Home) -> list[tuple[str, bool]]:
    with Projection(home).session() as session:
        return [(row[0], row[1]) for row in session.rows("SELECT writer, closed FROM state.positions ORDER BY 1")]


@pytest.mark.usefixtures("few")
def test_a_session_that_finds_many_closed_segments_archives_them(home: Home) -> None:
    writers = scripts(home, 5)
    truth = lines(home)
    before = hash_of(home)
    assert segments(home) == []
    (made,) = archives(home)
    assert sorted(made.writers) == writers
    assert positions(home) == [(made.id, True)]
    assert hash_of(home) == before
    assert lines(home) == truth
    scripts(home, 4, start=5)
    assert len(positions(home)) == 5
    assert len(segments(home)) == 4
    assert condition(home).behind == 0
    assert Projection(home).verify() == []


def test_a_session_touches_no_segment_that_it_knows_to_be_closed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts(home, 20)
    assert len(positions(home)) == 20
    touched: list[str] = []
    for name in ("open", "stat"):
        real = getattr(os, name)

        def noted(path: object, *arguments: object, real: object = real, **named: object) -> object:
            touched.append(str(path))
            return real(path, *arguments, **named)  # type: ignore[operator]

        monkeypatch.setattr(os, name, noted)
    assert len(positions(home)) == 20
    assert touched
    assert [path for path in touched if path.endswith(".ndjson")] == []


@pytest.mark.usefixtures("few")
def test_a_rebuild_from_archives_gives_the_same(home: Home) -> None:
    scripts(home, 5)
    before = hash_of(home)
    scripts(home, 2, start=5)
    now = hash_of(home)
    assert len(archives(home)) == 1
    Projection(home).rebuild()
    assert hash_of(home) == now != before
    home.database.unlink()
    assert hash_of(home) == now
    assert Projection(home).verify() == []


@pytest.mark.usefixtures("few")
def test_a_projection_that_read_a_part_of_a_segment_goes_on_in_the_archive(home: Home) -> None:
    writer = Writer(home)
    writer.append(run_started("r"), log("a", "r"))
    assert len(positions(home)) == 1
    writer.append(log("b", "r"), run_ended("r"))
    writer.close()
    scripts(home, 5)
    assert compact(home) is not None
    with Projection(home).session() as session:
        assert session.rows("SELECT state FROM runs WHERE run_id = 'r'") == [("Completed",)]
        assert session.rows("SELECT count(*) FROM facts.logs WHERE run_id = 'r'") == [(2,)]
    assert len(positions(home)) == 1
    assert list(home.path.glob("*.damaged-*")) == []


@pytest.mark.usefixtures("few")
def test_what_dead_writers_left_is_ended_before_it_is_archived(home: Home) -> None:
    dead = dead_writer(home, run_started("dead"))
    scripts(home, 4)
    hash_of(home)
    (made,) = archives(home)
    assert dead.stem in made.writers
    with Projection(home).session() as session:
        assert session.rows("SELECT state FROM runs WHERE run_id = 'dead'") == [("Crashed",)]


@pytest.mark.usefixtures("few")
def test_segments_that_can_not_be_moved_do_not_count_as_many(home: Home) -> None:
    for writer in scripts(home, 6):
        path = segment_path(home, writer)
        path.write_bytes(path.read_bytes().replace(b'"message"', b'"massage"', 1))
    positions(home)
    for number in range(4):
        scripts(home, 1, start=6 + number)
        positions(home)
    assert archives(home) == []
    scripts(home, 1, start=10)
    positions(home)
    assert [len(one.writers) for one in archives(home)] == [5]


@pytest.mark.usefixtures("few")
def test_a_failure_to_archive_disturbs_nobody(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scripts(home, 5)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(archive_module, "sync_file", full)
        before = hash_of(home)
    assert "No space left" in caplog.text
    assert files(home) == []
    assert len(segments(home)) == 5
    assert hash_of(home) == before
    assert files(home) == ["-0.parquet", ".json"]


@pytest.mark.usefixtures("few")
def test_a_lost_index_is_told_and_mended_by_the_next_look(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    scripts(home, 5)
    before = hash_of(home)
    (made,) = archives(home)
    index_path(home, made.id).unlink()
    assert hash_of(home) == before
    assert archives(home) == [made]
    index_path(home, made.id).write_bytes(b"damaged")
    home.database.unlink()
    assert hash_of(home) == before
    assert files(home) == ["-0.parquet", ".json", ".json.damaged"]


@pytest.mark.usefixtures("few")
def test_an_archive_with_a_damaged_index_is_not_taken_for_gone(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    scripts(home, 5)
    before = hash_of(home)
    (made,) = archives(home)
    whole = index_path(home, made.id).read_bytes()
    index_path(home, made.id).write_bytes(b"damaged")
    with duckdb.connect(str(home.database)) as connection:
        connection.execute("UPDATE state.format SET schema = 'of another version'")
    assert hash_of(home) == before
    assert index_path(home, made.id).read_bytes() == whole
    index_path(home, made.id).write_bytes(b"damaged")
    Projection(home).rebuild()
    assert positions(home) == [(made.id, True)]
    assert "gone" not in caplog.text


def test_a_look_takes_nothing_from_who_reads_a_damaged_archive(home: Home) -> None:
    for number in range(3):
        writer = Writer(home)
        writer.append(*(log(f"{number}.{i}") for i in range(3_000)))
        writer.close()
    made = compact(home)
    assert made is not None
    assert Projection(home).refresh()
    data = bytearray(made.path.read_bytes())
    data[-100] ^= 0xFF
    made.path.write_bytes(bytes(data))
    count = 0
    for batch in FileCarrier(home).read():
        count += len(batch.lines)
        assert Projection(home).refresh()
    assert count == made.events
    assert list(home.tmp.iterdir()) == []
    # What a dead process left is locked by nobody.
    (home.tmp / "archive-left.parquet").write_bytes(b"")
    assert Projection(home).refresh()
    assert list(home.tmp.iterdir()) == []


@pytest.mark.usefixtures("few")
def test_an_export_says_each_event_once_whatever_moves_meanwhile(home: Home, tmp_path: Path) -> None:
    def exporter(name: str) -> Exporter:
        return Exporter(home, FileCarrier(home), FileDestination(tmp_path / name))

    cursor = home.path / "openlineage"
    scripts(home, 3)
    exporter("events").drain()
    writer = Writer(home)
    writer.append(run_started("open"))
    exporter("events").drain()
    writer.append(run_ended("open"))
    writer.close()
    scripts(home, 3, start=3)
    assert compact(home) is not None
    exporter("events").drain()
    exporter("again").drain()
    found = (tmp_path / "events").read_bytes().splitlines()
    assert len(found) == len(set(found)) == 14
    assert sorted(found) == sorted((tmp_path / "again").read_bytes().splitlines())
    for path in cursor.glob("*.json"):
        state = path.read_text()
        assert state.count(archives(home)[0].id) == 1
        assert not any(name in state for name in archives(home)[0].writers)
    assert exporter("events").drain() == 0


def test_an_export_that_is_stopped_in_a_thinned_archive_goes_on_where_it_was(home: Home, tmp_path: Path) -> None:
    writer = Writer(home)
    for number in range(40):
        writer.append(run_started(f"r{number}"), log("x"), log("y"), run_ended(f"r{number}"))
    writer.close()
    made = compact(home)
    assert made is not None
    assert expire(home, made, ["log.written"], events(home)[-1].time + 1) is not None
    exporter = Exporter(home, FileCarrier(home), FileDestination(tmp_path / "events"))
    for _ in range(200):
        exporter.drain(0)
    exporter.drain()
    found = (tmp_path / "events").read_bytes().splitlines()
    assert len(found) == len(set(found)) == 80


KILLED = """
import sys
from headwater.core.journal.archive import compact, expire
from headwater.core.journal.index import archives
from headwater.core.journal.home import Home
from headwater.core.journal.locks import Locks
home = Home.open(sys.argv[1], create=False)
with Locks(home.locks).hold("projection"):
    compact(home)
    expire(home, archives(home)[-1], ["log.written"], int(sys.argv[2]))
"""
POINTS = ["drafted", "raised", "written", "indexed", "unlinked", "unlinked:3", "thinned", "written:2", "indexed:2"]


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_point_nothing_is_lost_and_nothing_left(home: Home, point: str) -> None:
    writers = scripts(home, 5)
    before, truth = hash_of(home), lines(home)
    follower = Follower(home)
    follower.look()
    expiring = point in ("thinned", "written:2", "indexed:2")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HEADWATER_FAILPOINT": f"archive.{point}"}
    command = [sys.executable, "-c", KILLED, str(home.path), str(events(home)[-1].time + 1)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    thinned = {writer: [line for line in found if b"log.written" not in line] for writer, found in truth.items()}
    wanted = thinned if point == "indexed:2" else truth
    assert lines(home) == wanted
    assert follower.look() == 0
    with Projection(home).session() as session:
        assert len(session.rows("SELECT run_id FROM runs")) == 5
    hash_of(home)
    assert lines(home) == wanted
    assert list(home.tmp.iterdir()) == []
    archive = point not in ("drafted", "raised")
    assert files(home) == ([f"-{int(point == 'indexed:2')}.parquet", ".json"] if archive else [])
    assert [path.stem for path in segments(home)] == ([] if archive else writers)
    if not expiring:
        assert hash_of(home) == before
    assert Projection(home).verify() == []
    if not archive:
        assert compact(home) is not None
        assert lines(home) == truth
