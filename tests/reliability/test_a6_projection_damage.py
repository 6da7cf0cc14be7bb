"""A6: the projection's file is deleted, halved, foreign, of another version, or loses its log: rebuilt, identical."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path

import duckdb
import pytest
from lineage_world import content_of, ended, made, started, story, task_story, write

from headwater.core.events import LogWritten
from headwater.core.journal.events import Body
from headwater.core.journal.home import Home
from headwater.core.journal.writer import Writer
from headwater.lineage.projection import Projection

Harm = Callable[[Path], None]


def _log(path: Path) -> Path:
    return path.with_name(path.name + ".wal")


def deleted(path: Path) -> None:
    path.unlink()
    _log(path).unlink()


def deleted_but_for_its_log(path: Path) -> None:
    path.unlink()


def halved(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def wrong_magic(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04" + path.read_bytes()[4:])


def foreign(path: Path) -> None:
    deleted(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE mine (x INTEGER)")


def other_version(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE state.format SET schema = 'older'")


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def log_deleted(path: Path) -> None:
    _log(path).unlink()


def log_halved(path: Path) -> None:
    halved(_log(path))


def log_of_another(path: Path) -> None:
    _log(path).write_bytes(b"the log of another file")


HARMS: Mapping[Harm, bool] = {
    deleted: False,
    deleted_but_for_its_log: False,
    halved: True,
    wrong_magic: True,
    foreign: True,
    other_version: False,
    emptied: True,
    log_deleted: False,
    log_halved: False,
    log_of_another: False,
}
"""What is done to the file, and whether what can't be used is kept aside with a warning."""


def bodies() -> Iterator[Body]:
    """Runs without end, ten events each."""
    for number in count():
        run = f"run{number}"
        yield from (started(run), *task_story(f"task{number}", run))
        for line in range(3):
            yield LogWritten(run_id=run, level=20, logger="shop", message=f"line {line}")
        yield made("board", f"d{number % 300}", f"v{number}", [("flights", None, f"s{number}")], run=run)
        yield ended(run)


def fill(home: Home, events: int) -> None:
    writer, source = Writer(home), bodies()
    for _ in range(events // 1_000):
        writer.append(*(next(source) for _ in range(1_000)))
    writer.close()


@pytest.fixture
def left(home: Home, stress: bool) -> tuple[bytes, bytes]:
    """The file and its log as a process leaves them that is killed after a commit."""
    write(home, story())
    if stress:
        fill(home, 100_000)
    one = Projection(home)
    assert one.refresh()
    write(home, [started("late"), ended("late")])
    connection = one._open(home.database)
    found = home.database.read_bytes(), _log(home.database).read_bytes()
    connection.close()
    return found


def test_a6_a_harmed_file_is_rebuilt_to_the_identical_content(
    home: Home, left: tuple[bytes, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    one, slowest = Projection(home), 0.0
    before = content_of(one)
    for harm, told in HARMS.items():
        home.database.write_bytes(left[0])
        _log(home.database).write_bytes(left[1])
        harm(home.database)
        caplog.clear()
        began = time.perf_counter()
        with caplog.at_level(logging.WARNING):
            assert content_of(one) == before, harm.__name__
        slowest = max(slowest, time.perf_counter() - began)
        asides = list(home.path.glob("headwater.duckdb.damaged-*"))
        assert bool(asides) == told, harm.__name__
        assert ("rebuilt from the journal" in caplog.text) == told, harm.__name__
        for path in asides:
            path.unlink()
    assert one.verify() == []
    rows = sum(rows for ((rows, _),) in before.values())
    print(f"A6: {len(HARMS)} harms, {rows:,} rows: rebuilt to the identical content in {slowest:.1f} s at most")
    assert slowest < 60
