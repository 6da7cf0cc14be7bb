"""The file: what becomes of it when it is deleted, damaged, foreign, held by somebody else, or looked at by two at once."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pytest
from lineage_world import content_of, ended, made, started, story, write

from headwater.core.events import LogWritten
from headwater.core.journal.home import Home
from headwater.core.journal.locks import Locks
from headwater.errors import LockTimeout, ProjectionError
from headwater.lineage import ingest, projection, store
from headwater.lineage import live as live_module
from headwater.lineage.live import LiveProjection
from headwater.lineage.projection import Projection


def asides(home: Home) -> list[str]:
    return [path.name for path in home.path.glob("headwater.duckdb.damaged-*")]


def log_of(home: Home) -> Path:
    return home.database.with_name("headwater.duckdb.wal")


@pytest.fixture
def filled(home: Home) -> Projection:
    write(home, story())
    made_first = Projection(home)
    assert made_first.refresh()
    return made_first


def test_every_damaged_block_is_either_found_or_without_effect(home: Home, filled: Projection, stress: bool) -> None:
    before = content_of(filled)
    size = home.database.stat().st_size
    good, log = home.database.read_bytes(), log_of(home).read_bytes()
    for offset in range(100, size, size // (40 if stress else 3)):
        data = bytearray(good)
        data[offset] ^= 0xFF
        home.database.write_bytes(bytes(data))
        log_of(home).write_bytes(log)
        assert _content_or_error(home) in (before, None)
        assert content_of(Projection(home)) == before
        for aside in home.path.glob("headwater.duckdb.damaged-*"):
            # However late somebody met the damage: what is put aside is what was found.
            assert aside.read_bytes() == (log if aside.suffix == ".wal" else bytes(data))
            aside.unlink()


def test_every_damage_of_the_log_beside_it_is_found_or_without_effect(
    home: Home, filled: Projection, stress: bool
) -> None:
    before, file, good = content_of(filled), home.database.read_bytes(), log_of(home).read_bytes()
    for offset in range(10, len(good), len(good) // (20 if stress else 2)):
        data = bytearray(good)
        data[offset] ^= 0xFF
        for harmed in (bytes(data), good[:offset]):
            home.database.write_bytes(file)
            log_of(home).write_bytes(harmed)
            assert content_of(Projection(home)) == before


def test_a_short_log_stays_beside_the_file_and_a_long_one_goes_into_it(
    home: Home, filled: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = home.database.read_bytes()
    write(home, [made("z", None, "v1")])
    assert filled.refresh()
    assert home.database.read_bytes() == file
    assert 0 < log_of(home).stat().st_size <= store.LOG_BYTES
    monkeypatch.setattr(store, "LOG_BYTES", 0)
    before = content_of(filled)
    assert home.database.read_bytes() != file
    assert not log_of(home).exists()
    assert content_of(filled) == before


def test_the_log_of_a_deleted_file_is_of_no_account(home: Home, filled: Projection) -> None:
    before = content_of(filled)
    assert log_of(home).exists()
    home.database.unlink()
    assert content_of(filled) == before
    assert asides(home) == []


def _content_or_error(home: Home) -> dict[str, Any] | None:
    try:
        return content_of(Projection(home))
    except ProjectionError:
        return None


def test_verify_finds_a_manipulated_row_and_rebuild_mends_it(home: Home, filled: Projection) -> None:
    assert filled.verify() == []
    with duckdb.connect(str(home.database)) as connection:
        connection.execute("UPDATE facts.outcomes SET rows = 99 WHERE version = 'v3'")
        connection.execute("DELETE FROM facts.logs")
    problems = filled.verify()
    assert {(problem.kind, problem.where) for problem in problems} == {
        ("missing", "facts.outcomes"),
        ("extra", "facts.outcomes"),
        ("missing", "facts.logs"),
    }
    assert '"rows":99' in next(problem.text for problem in problems if problem.kind == "extra")
    filled.rebuild()
    assert filled.verify() == []


def test_verify_misses_rows_of_every_table_of_facts(home: Home, filled: Projection) -> None:
    with duckdb.connect(str(home.database)) as connection:
        names = connection.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'facts'").fetchall()
        for (name,) in names:
            connection.execute(f"DELETE FROM facts.{name}")
    missing = {problem.where for problem in filled.verify() if problem.kind == "missing"}
    assert {f"facts.{name}" for (name,) in names} - missing == set()


def test_verify_tells_of_damage_of_the_journal(home: Home, filled: Projection) -> None:
    (segment,) = home.journal.glob("*.ndjson")
    data = segment.read_bytes()
    segment.write_bytes(data.replace(b"no such day", b"no such way"))
    kinds = [(problem.kind, problem.where) for problem in filled.verify()]
    assert kinds[0] == ("journal", "journal")
    assert ("extra", "facts.outcomes") in kinds[1:]


def test_verify_says_when_the_file_is_no_database(home: Home, filled: Projection) -> None:
    home.database.write_bytes(b"PK\x03\x04" + home.database.read_bytes()[4:])
    assert [(problem.kind, problem.where) for problem in filled.verify()] == [("damage", "headwater.duckdb")]


HOLD = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.readline()
"""


def test_a_stranger_that_holds_the_file_is_worked_around(home: Home, filled: Projection) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home.database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as stranger:
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == "held\n"
        write(home, [started("r2"), ended("r2")])
        with Projection(home).session() as session:
            assert session.rows("SELECT run_id FROM runs ORDER BY ALL") == [("b1",), ("r1",), ("r2",)]
        assert list(home.tmp.glob("*.duckdb*")) == []
        assert [problem.kind for problem in filled.verify()] == ["held"]
        stranger.communicate("\n")
    assert asides(home) == []
    with filled.session() as session:
        assert session.rows("SELECT count(*) FROM runs") == [(3,)]


REFRESH = """
import sys
from headwater.core.journal.home import Home
from headwater.lineage.projection import Projection
one = Projection(Home.open(sys.argv[1], create=False))
for _ in range(4):
    assert one.refresh(wait=30)
"""


def test_a_line_that_takes_more_memory_than_all_else_may_is_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((ingest, "MEMORY"), (ingest, "SHARED_MEMORY"), (live_module, "SHARED_MEMORY")):
        monkeypatch.setattr(module, name, "48MB")
    monkeypatch.setattr(ingest, "LONG_BYTES", 4 << 20)
    write(home, [started("r"), LogWritten(run_id="r", level=20, logger="shop", message="x" * (8 << 20)), ended("r")])
    with Projection(home).session() as session:
        assert session.rows("SELECT length(message) FROM logs") == [(8 << 20,)]
    live = LiveProjection(home)
    with live.session() as session:
        limit = session.rows("SELECT current_setting('memory_limit')")
    write(home, [LogWritten(run_id="r", level=20, logger="shop", message="y" * (8 << 20))])
    assert live.refresh()
    with live.session() as session:
        assert session.rows("SELECT length(message) FROM logs") == [(8 << 20,)] * 2
        assert session.rows("SELECT current_setting('memory_limit')") == limit
    live.close()
    assert asides(home) == asides(Home.open(home.path / "server", create=False)) == []


def test_what_can_not_be_made_is_not_kept_again_and_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "MEMORY", "8MB")
    write(home, [started("r"), LogWritten(run_id="r", level=20, logger="shop", message="x" * (8 << 20)), ended("r")])
    home.database.unlink()
    for _ in range(3):
        with pytest.raises(ProjectionError, match="Out of Memory"):
            Projection(home).refresh()
    assert asides(home) == []


def runs_of(home: Home) -> set[str]:
    with Projection(home).session() as session:
        return {run for (run,) in session.rows("SELECT run_id FROM runs")}


def test_a_copy_of_a_home_with_hard_links_tells_of_its_own_runs_alone(home: Home, tmp_path: Path) -> None:
    write(home, [started("both"), ended("both")])
    assert runs_of(home) == {"both"}
    shutil.copytree(home.path, tmp_path / "copy", copy_function=os.link)
    copy = Home.open(tmp_path / "copy", create=False)
    for turn in ("1", "2"):
        write(home, [started(f"ours {turn}"), ended(f"ours {turn}")])
        assert runs_of(home) == {"both", "ours 1", f"ours {turn}"}
        write(copy, [started(f"theirs {turn}"), ended(f"theirs {turn}")])
        assert runs_of(copy) == {"both", "theirs 1", f"theirs {turn}"}
    for one in (home, copy):
        assert Projection(one).verify() == []
        assert asides(one) == []


def test_two_processes_that_refresh_at_once_lose_nothing(home: Home) -> None:
    writer = write(home, [started("r0")], close=False)
    helpers = [subprocess.Popen([sys.executable, "-c", REFRESH, str(home.path)]) for _ in range(2)]
    for number in range(1, 60):
        writer.append(started(f"r{number}"), ended(f"r{number}"))
    assert [helper.wait(60) for helper in helpers] == [0, 0]
    writer.close()
    with Projection(home).session() as session:
        assert session.rows("SELECT count(*), count(DISTINCT run_id) FROM runs") == [(60, 60)]
    assert Projection(home).verify() == []
    assert asides(home) == []


def test_threads_of_one_process_share_it_in_turn(home: Home, filled: Projection) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert len({str(content_of(filled)) for _ in range(3)} | set(map(str, pool.map(content_of, [filled] * 6)))) == 1


def test_a_session_inside_a_session_is_the_same_one(filled: Projection) -> None:
    with filled.session() as outer, filled.session() as inner:
        assert inner is outer
    with filled.session() as later:
        assert later is not outer


def test_what_replaces_the_file_is_refused_inside_a_session(filled: Projection) -> None:
    with filled.session():
        for change in (filled.rebuild, filled.verify):
            with pytest.raises(ProjectionError, match="inside"):
                change()


def test_who_waits_for_long_is_told_for_which_process(
    home: Home, filled: Projection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(projection, "TOLD_AFTER", 0.05)
    lock = Locks(home.locks).try_hold(projection.LOCK)
    assert lock is not None
    threading.Timer(0.5, lock.release).start()
    with filled.session():
        pass
    assert [one.getMessage() for one in caplog.records if "waiting" in one.getMessage()] == [
        f"waiting for process {os.getpid()}, which has the projection: it may be making it anew, or have been stopped"
    ]


def test_refresh_leaves_when_somebody_else_is_busy(home: Home, filled: Projection) -> None:
    with Locks(home.locks).hold(projection.LOCK):
        assert filled.refresh() is False
        with pytest.raises(LockTimeout), filled.session(timeout=0.01):
            pass
    assert filled.refresh() is True


def test_a_plain_client_sees_the_views_once_a_session_has_closed(home: Home, filled: Projection) -> None:
    with duckdb.connect(str(home.database), read_only=True) as connection:
        views = {name for (name,) in connection.execute("SHOW TABLES").fetchall()}
        assert {"runs", "task_runs", "assets", "materializations", "edges", "column_edges"} <= views
        for view in views:
            connection.execute(f"FROM {view}").fetchall()
        assert connection.execute("SELECT typeof(started), state FROM runs WHERE run_id = 'r1'").fetchall() == [
            ("TIMESTAMP", "Completed")
        ]


@pytest.mark.parametrize(
    ("view", "columns"),
    [
        ("runs", "run_id, flow, attempt, state, started, ended"),
        ("task_runs", "task_run_id, run_id, task, state, tries, started, ended, error"),
        ("assets", "name, location, namespace, dataset"),
        (
            "materializations",
            'asset, partition, version, run_id, "at", rows, bytes, data_through, code_version',
        ),
        (
            "edges",
            'source, target, source_partition, target_partition, source_version, target_version, run_id, origin, "at"',
        ),
        ("column_edges", 'source, source_column, target, target_column, type, subtype, run_id, "at"'),
    ],
)
def test_the_documented_views_have_their_columns_in_order(filled: Projection, view: str, columns: str) -> None:
    with filled.session() as session:
        names = [name.strip().strip('"') for name in columns.split(",")]
        assert list(session.execute(f"FROM {view}").columns[: len(names)]) == names
        assert session.rows(f"SELECT {columns} FROM {view}")


def test_what_is_new_is_read_from_where_the_last_look_ended(home: Home, filled: Projection) -> None:
    writer = write(home, [started("r2")], close=False)
    with filled.session() as session:
        assert session.rows("SELECT state FROM runs WHERE run_id = 'r2'") == [("Running",)]
    writer.append(ended("r2"))
    with filled.session() as session:
        assert session.rows("SELECT state FROM runs WHERE run_id = 'r2'") == [("Completed",)]
    writer.close()


DIE = """
import os, sys
sys.path.insert(0, sys.argv[2])
from lineage_world import started, write
from headwater.core.journal.home import Home
write(Home.open(sys.argv[1], create=False), [started("dead")], close=False)
os._exit(1)
"""


def test_a_dead_processs_run_is_ended_before_anybody_looks(home: Home, filled: Projection) -> None:
    subprocess.run([sys.executable, "-c", DIE, str(home.path), str(Path(__file__).parent)], check=False, timeout=60)
    seen: list[int] = []

    def settler(events: Any) -> list[Any]:
        # A settler may itself want to look something up: the lock must be free.
        assert filled.refresh()
        seen.append(len(list(events)))
        return []

    with Projection(home, settlers=[settler]).session() as session:
        assert session.rows("SELECT state FROM runs WHERE run_id = 'dead'") == [("Crashed",)]
    assert len(seen) == 1


def test_a_journal_that_lost_its_end_takes_the_file_with_it(home: Home) -> None:
    writer = write(home, [started("r1")], close=False)
    (segment,) = home.journal.glob("*.ndjson")
    size = segment.stat().st_size
    writer.append(started("lost"))
    one = Projection(home)
    assert one.refresh()
    with segment.open("r+b") as file:
        file.truncate(size)
    with one.session() as session:
        assert session.rows("SELECT run_id FROM runs") == [("r1",)]
    writer.close()


def test_queries_of_others_can_only_read(filled: Projection) -> None:
    with filled.session() as session:
        for sql in (
            "DELETE FROM facts.logs",
            "EXPLAIN ANALYZE DELETE FROM facts.logs",
            "COPY (SELECT 1) TO 'out.csv'",
            "SELECT 1; DELETE FROM facts.logs",
            "FROM read_text('/etc/hostname')",
            "SET enable_external_access = true",
            "INSTALL httpfs",
            "SELECT nothing FROM nowhere",
            "SELEC 1",
        ):
            with pytest.raises(ProjectionError):
                session.ask(sql)
        assert session.ask("SELECT count(*) AS n FROM logs").dicts() == [{"n": 1}]


def test_nothing_can_be_written_through_a_session(filled: Projection) -> None:
    with filled.session() as session:
        with pytest.raises(duckdb.Error):
            session.execute("DELETE FROM facts.logs")
        with pytest.raises(duckdb.Error):
            session.execute("SET enable_external_access = true")
        assert session.rows("SELECT count(*) FROM logs") == [(1,)]


def test_an_error_of_the_system_is_no_damage(home: Home, filled: Projection) -> None:
    found = store.finding(duckdb.IOException("IO Error: Cannot open file: Permission denied"), home.database)
    assert isinstance(found, ProjectionError)
    assert isinstance(store.finding(duckdb.IOException("Corrupt database file"), home.database), store.Damaged)


def test_too_little_memory_is_no_damage(home: Home, filled: Projection, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home, [LogWritten(run_id="r", level=20, logger="shop", message="x" * 900) for _ in range(2_000)])
    monkeypatch.setattr(ingest, "MEMORY", "1MB")
    with pytest.raises(ProjectionError, match="Out of Memory") as caught, filled.session():
        pass
    assert "more memory" in str(caught.value.hint)
    assert asides(home) == []
    monkeypatch.undo()
    with filled.session() as session:
        assert session.rows("SELECT count(*) FROM logs WHERE run_id = 'r'") == [(2_000,)]


def test_a_limit_on_the_size_of_files_is_no_damage(home: Home, filled: Projection) -> None:
    write(home, [LogWritten(run_id="r", level=20, logger="shop", message="x" * 900) for _ in range(200)])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(ProjectionError, match="File too large") as caught, filled.session():
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "ulimit -f" in str(caught.value.hint)
    assert asides(home) == []
    with filled.session() as session:
        assert session.rows("SELECT count(*) FROM logs WHERE run_id = 'r'") == [(200,)]


def test_a_failed_ingestion_leaves_the_file_as_it_was(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home, [made("a", None, "v1")])
    one = Projection(home)
    before = content_of(one)
    write(home, [made("a", None, "v2", replaces="v1")])
    monkeypatch.setattr("headwater.lineage.ingest._note_reach", _raise)
    with pytest.raises(KeyboardInterrupt), one.session():
        pass
    monkeypatch.undo()
    assert content_of(one) != before
    assert one.verify() == []


def _raise(*_: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("name", "odd"),
    [(b"a?b", r"'\?'"), (b"a\\b", r"'\\'"), (b"a\xff", "not UTF-8")],
    ids=["query", "backslash", "bytes"],
)
def test_a_home_that_duckdb_cannot_open_is_refused_clearly(tmp_path: Path, name: bytes, odd: str) -> None:
    home = Home.open(tmp_path / os.fsdecode(name), create=True)
    with pytest.raises(ProjectionError, match=odd) as caught, Projection(home).session():
        pass
    str(caught.value).encode()
    assert "HEADWATER_HOME" in str(caught.value.hint)


def test_a_backslash_in_the_path_of_a_home_leads_to_no_other_home(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    other = Home.open(tmp_path / "a" / "b", create=True)
    write(other, story())
    assert Projection(other).refresh()
    before = other.database.read_bytes()
    with pytest.raises(ProjectionError), Projection(Home.open(tmp_path / "a\\b", create=True)).session():
        pass
    assert other.database.read_bytes() == before
    assert asides(other) == []


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_cannot_use_its_parents_session(filled: Projection) -> None:
    with filled.session() as session:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                session.rows("SELECT 1")
            except ProjectionError:
                code = 0 if not filled.refresh() else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert session.rows("SELECT count(*) FROM runs") == [(2,)]


def test_no_thread_is_left(filled: Projection) -> None:
    before = threading.active_count()
    content_of(filled)
    assert threading.active_count() == before


def test_a_session_within_that_of_another_object_for_the_same_file_is_that_session(
    home: Home, filled: Projection
) -> None:
    other = Projection(home)
    with filled.session() as outer:
        with other.session(timeout=0) as inner:
            assert inner is outer
        with pytest.raises(ProjectionError, match="inside a session"):
            other.rebuild()
    with other.session(timeout=0) as later:
        assert later is not outer


def test_a_project_that_is_opened_beside_the_own_one_answers_about_growing_lists(tmp_path: Path) -> None:
    # Judging asks the project of the process for the keys, while the other one looks: it waited for itself for ever.
    script = """
import sys
from headwater import Asset, DynamicPartitions, clock, materialize
from headwater.project import Project

customers = DynamicPartitions("customers")
orders = Asset("orders", at="parquet://lake/orders", partitions=customers)

@materialize(orders)
def ingest(partition):
    return [{"customer": partition.key}]

if sys.argv[1] == "make":
    customers.add("acme", "zeta")
    ingest.at("acme")()
else:
    print(Project.open().catalog.staleness(clock.now_us())["orders"].stale)
"""
    (tmp_path / "shop.py").write_text(script)
    for step, wanted in (("make", ""), ("look", "zeta\n")):
        command = [sys.executable, "shop.py", step]
        said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
        assert said.stdout == wanted, said.stderr
