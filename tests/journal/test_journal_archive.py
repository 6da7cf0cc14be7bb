"""Archives: moved segments are read as if they had never been moved, by whoever reads from wherever."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import duckdb
import pytest
from archive_cases import ODD, Follower, archived, files, lines, scripts
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from journal_cases import dead_writer, events, log, of_kind, run_ended, run_started, segments
from tried import tried_on

from headwater import clock, ids
from headwater.core.journal import archive as archive_module
from headwater.core.journal import parquet, unpack
from headwater.core.journal import segment as segment_module
from headwater.core.journal.archive import compact, expire, is_due
from headwater.core.journal.home import Home
from headwater.core.journal.index import archives
from headwater.core.journal.lines import REBOOT, decode, encode, head_of, is_whole
from headwater.core.journal.reader import Position, Reader
from headwater.core.journal.recovery import recover
from headwater.core.journal.verify import verify_journal
from headwater.core.journal.writer import Writer
from headwater.errors import FormatError, JournalError

pytestmark = pytest.mark.usefixtures("no_sync")


def test_moved_segments_are_read_as_before(home: Home) -> None:
    writers = scripts(home, 20)
    before = lines(home)
    made = archived(home)
    assert segments(home) == []
    assert lines(home) == before
    assert set(made.writers) == set(writers) == set(before)
    assert made.events == sum(map(len, before.values()))
    assert archives(home) == [made]
    assert all(made.id > writer for writer in writers)
    assert (made.first, made.last) == (min(e.time for e in events(home)), max(e.time for e in events(home)))
    assert files(home) == ["-0.parquet", ".json"]
    assert stat.S_IMODE(home.archive.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in home.archive.iterdir()} == {0o600}
    assert home.marker.read_text() == "headwater-home 2\n"
    assert Home.open(home.path, create=False) == home
    assert list(home.tmp.iterdir()) == []
    assert verify_journal(home) == []
    assert Reader(home).writers() == []
    assert not Reader(home).is_alive(writers[0])
    assert compact(home) is None


def test_a_home_without_archives_stays_in_the_format_that_older_versions_read(home: Home) -> None:
    scripts(home, 2)
    assert home.marker.read_text() == "headwater-home 1\n"


def test_the_parquet_file_is_as_documented(home: Home) -> None:
    scripts(home, 3)
    before = events(home)
    made = archived(home)
    with duckdb.connect(":memory:") as connection:
        found = connection.execute(f"SELECT * FROM '{made.path}'")
        assert [(one[0], str(one[1])) for one in found.description or ()] == [
            ("writer", "VARCHAR"), ("seq", "BIGINT"), ("id", "VARCHAR"), ("time", "BIGINT"), ("kind", "VARCHAR"),
            ("version", "BIGINT"), ("body", "VARCHAR"), ("checksum", "VARCHAR"),
        ]  # fmt: skip
        rows = found.fetchall()
        assert [row[:6] for row in rows] == [(e.writer, e.seq, e.id, e.time, e.kind, e.version) for e in before]
        assert [json.loads(row[6]) for row in rows] == [event.body for event in before]
        signs = connection.execute(f"SELECT key, value FROM parquet_kv_metadata('{made.path}')").fetchall()
        assert signs == [(b"headwater_archive", b"1")]


def test_living_writers_and_open_ends_stay_where_they_are(home: Home, writer: Writer) -> None:
    writer.append(log("alive"))
    dead = dead_writer(home, run_started("open"))
    (closed,) = scripts(home, 1)
    before = lines(home)
    assert set(archived(home).writers) == {closed}
    assert set(segments(home)) == {home.journal / f"{writer.id}.ndjson", dead}
    assert lines(home) == before
    writer.append(log("still"))
    recover(home)
    assert set(archived(home).writers) == {dead.stem}
    assert len(lines(home)[writer.id]) == 3


def test_a_damaged_segment_is_never_moved_and_not_looked_at_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged, whole = scripts(home, 2)
    path = home.journal / f"{damaged}.ndjson"
    path.write_bytes(path.read_bytes().replace(b"run0", b"ran0", 1))
    before = path.read_bytes()
    assert set(archived(home).writers) == {whole}
    assert path.read_bytes() == before
    assert [one.kind for one in verify_journal(home)] == ["record"]
    monkeypatch.setattr(archive_module, "Scan", None)
    assert compact(home) is None


@pytest.mark.parametrize(
    "line",
    [
        b'{"w":"%b","n":2, "id":"a","t":1,"k":"k","v":1,"b":{}',
        b'{"w":"%b","n":2,"id":"a","t":1,"k":"k","v":1,"b":{},"z":1',
        b'{"w":"%b","n":2,"id":"a","t":1.5,"k":"k","v":1,"b":{}',
        b'{"w":"%b","n":2,"id":"a","t":1,"k":"k\\u0041","v":1,"b":{}',
        b'{"w":"%b","n":2,"id":"a","t":1,"k":"k","v":1,"b":"\xff"',
        b'{"w":"%b","n":2,"id":"a","t":1,"k":"k","v":1,"b":"\x1f"',
        b'{"w":"%b","n":2,"id":"a","t":99999999999999999999,"k":"k","v":1,"b":{}',
    ],
)
def test_a_line_that_could_not_be_rebuilt_keeps_its_segment_in_place(home: Home, line: bytes) -> None:
    from zlib import crc32

    writer = Writer(home)
    writer.append(log("a"), log("b"))
    path = home.journal / f"{writer.id}.ndjson"
    name = writer.id.encode()
    writer.close()
    found = path.read_bytes().splitlines(keepends=True)
    checked = line.replace(b"%b", name)
    found[2] = b'%b,"c":"%08x"}\n' % (checked, crc32(checked))
    path.write_bytes(b"".join(found))
    before = Reader(home).read()
    assert sum(len(batch.lines) for batch in before) == 4
    made = compact(home)
    if made is not None:
        # What stands behind the body may be anything: it is kept as a part of it.
        assert b'"z":1' in checked
        assert lines(home) == {name.decode(): [one[:-1] for one in found]}
    else:
        assert path.exists()


def test_numbers_that_a_recovery_left_out_survive(home: Home) -> None:
    path = dead_writer(home, run_started("run"))
    for seq, body in ((REBOOT, run_ended("run", "Crashed")), (REBOOT + 1, _closed())):
        with path.open("ab") as file:
            file.write(encode(head_of(path.stem), seq, body))
    before = lines(home)
    made = archived(home)
    assert made.writers[path.stem].next == REBOOT + 2
    assert made.events == 4
    assert lines(home) == before
    (batch, _) = Reader(home).read({path.stem: Position(2, 700)})
    assert [decode(line).seq for line in batch.lines] == [REBOOT, REBOOT + 1]
    assert verify_journal(home) == []


def _closed() -> object:
    from headwater.core.events import WriterClosed

    return WriterClosed(reason="recovered")


@pytest.mark.parametrize(("limit", "value"), [("MOST", 4), ("MOST_BYTES", 6000)])
def test_not_too_much_is_moved_at_once(home: Home, monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    writers = scripts(home, 10)
    before = lines(home)
    monkeypatch.setattr(archive_module, limit, value)
    made = [archived(home), archived(home)]
    first, second = (len(one.writers) for one in made)
    assert first == second < 5
    assert sorted([*made[0].writers, *made[1].writers]) == writers[: first + second]
    while compact(home) is not None:
        pass
    assert lines(home) == before


def test_when_it_is_due() -> None:
    assert not is_due({})
    assert not is_due(dict.fromkeys(map(str, range(255)), 1000))
    assert is_due(dict.fromkeys(map(str, range(256)), 0))
    assert is_due({"one": 64 << 20})


def test_only_the_segments_of_some_writers(home: Home) -> None:
    writers = scripts(home, 3)
    made = compact(home, writers[1:])
    assert made is not None
    assert sorted(made.writers) == writers[1:]
    assert compact(home, ["nobody"]) is None


def test_an_archive_is_younger_than_its_writers_whatever_the_clock_says(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts(home, 3)
    before = lines(home)
    real = ids.new_id
    with monkeypatch.context() as patched:
        patched.setattr(ids, "new_id", lambda: "00" + real()[2:])
        made = archived(home)
    assert all(made.id > writer for writer in made.writers)
    assert made.id[14] == "7"
    assert len(made.id) == 36
    assert lines(home) == before


def test_a_home_whose_name_means_something_to_others(tmp_path: Path) -> None:
    home = Home.open(tmp_path / 'a=b [c]*\'s "home" %20' / ".headwater", create=True)
    scripts(home, 3)
    before = lines(home)
    made = archived(home)
    assert lines(home) == before
    assert expire(home, made, ["log.written"], clock.now_us()) is not None
    assert verify_journal(home) == []


def test_who_has_read_all_does_not_read_it_again(home: Home) -> None:
    writers = scripts(home, 5)
    follower = Follower(home)
    follower.look()
    assert follower.finished == set(writers)
    made = archived(home)
    made.path.unlink()
    assert follower.look() == 0
    assert follower.finished == {made.id}
    assert (follower.positions, follower.damage) == ({}, [])
    os.truncate(home.archive / f"{made.id}.json", 0)
    assert follower.look() == 0
    assert follower.finished == {made.id}


@pytest.mark.parametrize(("limit", "value"), [("MOST_LINES", 3), ("MOST_BYTES", 2000)])
def test_an_archive_is_read_in_pieces(home: Home, monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    scripts(home, 2, logs=20)
    truth = lines(home)
    archived(home)
    monkeypatch.setattr(unpack, limit, value)
    monkeypatch.setattr(parquet, "_ROWS", 4)
    follower, sizes = Follower(home), list[int]()
    while not sizes or sizes[-1]:
        sizes.append(follower.look(1))
    assert max(sizes) < 20
    assert follower.lines == truth


def test_who_has_read_a_part_gets_the_rest(home: Home) -> None:
    writer = Writer(home)
    writer.append(log("a"), log("b"))
    follower = Follower(home)
    follower.look()
    scripts(home, 1)
    writer.append(log("c"))
    writer.close()
    truth = lines(home)
    made = archived(home)
    assert follower.look() == 8
    assert follower.lines == truth
    assert follower.finished == {made.id}


def test_a_reader_in_the_middle_finds_what_is_moved_meanwhile(home: Home) -> None:
    scripts(home, 6)
    truth = lines(home)
    for stop in range(7):
        follower, moved = Follower(home), []
        reading = follower.reader.read()
        for _ in range(stop):
            batch = next(reading)
            follower.lines.setdefault(batch.writer, []).extend(batch.lines)
        if stop < 6:
            scripts(home, 1, start=stop + 6)
            moved = [archived(home)]
        for batch in reading:
            if batch.lines:
                follower.lines.setdefault(batch.writer, []).extend(batch.lines)
        assert {writer: follower.lines.get(writer) for writer in truth} == truth, stop
        assert len(moved) == (stop < 6)


def test_readers_and_a_mover_at_once(home: Home) -> None:
    done = threading.Event()
    wrong: list[object] = []

    def follow() -> None:
        follower = Follower(home)
        try:
            while not done.is_set():
                follower.look()
            follower.look()
            seen.append(follower.lines)
        except Exception as error:  # noqa: BLE001
            wrong.append(error)

    seen: list[dict[str, list[bytes]]] = []
    threads = [threading.Thread(target=follow) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(8):
        scripts(home, 8, start=number * 8)
        archived(home)
    done.set()
    for thread in threads:
        thread.join(30)
    assert wrong == []
    truth = lines(home)
    assert seen == [truth, truth]
    assert len(truth) == 64


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 2), st.integers(1, 3)),
        st.tuples(st.just("close"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("die"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("look"), st.integers(0, 2), st.sampled_from([1, 2, 0])),
        st.tuples(st.just("move"), st.integers(1, 3), st.just(0)),
    ),
    max_size=25,
)


@given(steps=STEPS)
@tried_on(20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_mixture_read_from_anywhere(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    home = Home.open(tmp_path_factory.mktemp("mixture") / "home", create=True)
    writers = [Writer(home) for _ in range(3)]
    followers = [Follower(home) for _ in range(3)]
    try:
        for what, which, much in steps:
            if what == "write":
                writers[which].append(*(log(f"{which}{i} {ODD}") for i in range(much)))
            elif what == "close":
                writers[which].close()
            elif what == "die" and writers[which]._segment is not None:
                writers[which]._segment.free()
                writers[which].close()
                recover(home)
            elif what == "look":
                followers[which].look(much or None)
            elif what == "move":
                compact(home)
        truth = lines(home)
        for follower in followers:
            follower.look()
            assert follower.lines == truth
            assert follower.look() == 0
            assert follower.damage == []
        for found in truth.values():
            assert [decode(line).seq for line in found] == list(range(len(found)))
        assert verify_journal(home) == []
    finally:
        for writer in writers:
            writer.close()


class TestExpire:
    def test_only_what_is_old_and_of_these_kinds_goes(self, home: Home) -> None:
        scripts(home, 4)
        middle = clock.now_us()
        scripts(home, 4, start=4)
        before = events(home)
        made = archived(home)
        thinner = expire(home, made, ["log.written", "task.started"], middle)
        assert thinner is not None
        assert (thinner.id, thinner.generation, thinner.events) == (made.id, 1, made.events - 8)
        assert files(home) == ["-1.parquet", ".json"]
        assert archives(home) == [thinner]
        assert events(home) == [e for e in before if e.kind != "log.written" or e.time >= middle]
        assert verify_journal(home) == []
        assert thinner.size < made.size
        assert expire(home, thinner, ["log.written"], middle) is None
        assert list(home.tmp.iterdir()) == []

    def test_who_has_read_on_is_not_disturbed(self, home: Home) -> None:
        writer = Writer(home)
        writer.append(log("a"), run_started("r"), log("b"))
        follower = Follower(home)
        follower.look()
        writer.append(log("c"), run_ended("r"), log("d"))
        writer.close()
        made = archived(home)
        assert expire(home, made, ["log.written"], clock.now_us()) is not None
        assert follower.look() == 2
        assert [decode(line).seq for line in follower.lines[decode(follower.lines[min(follower.lines)][0]).writer]] == [
            0, 1, 2, 3, 5, 7,
        ]  # fmt: skip
        assert follower.finished == {made.id}
        assert follower.look() == 0

    def test_a_reader_in_the_middle_goes_on_with_the_next_generation(
        self, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scripts(home, 4)
        made = archived(home)
        from headwater.core.journal import reader as reader_module

        unpack = reader_module.unpack

        def replaced(*arguments: object) -> object:
            monkeypatch.setattr(reader_module, "unpack", unpack)
            assert expire(home, made, ["log.written"], clock.now_us()) is not None
            return unpack(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(reader_module, "unpack", replaced)
        found = events(home)
        assert len(found) == made.events - 8
        assert of_kind(found, "log.written") == []

    def test_nothing_of_a_damaged_archive_expires(self, home: Home) -> None:
        scripts(home, 4)
        made = archived(home)
        whole = made.path.read_bytes()
        made.path.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
        with pytest.raises(JournalError, match="damaged"):
            expire(home, made, ["log.written"], clock.now_us())
        assert files(home) == ["-0.parquet", ".json"]


def test_an_archive_of_a_newer_version_is_refused(home: Home) -> None:
    from zlib import crc32

    scripts(home, 2)
    made = archived(home)
    index = home.archive / f"{made.id}.json"
    line = index.read_bytes().replace(b'"format":1', b'"format":2')[:-17]
    index.write_bytes(b'%b,"c":"%08x"}\n' % (line, crc32(line)))
    assert is_whole(index.read_bytes()[:-1])
    for look in (lambda: events(home), lambda: verify_journal(home), lambda: archives(home)):
        with pytest.raises(FormatError, match="format '2'"):
            look()


def test_a_full_disk_moves_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts(home, 3)
    before = lines(home)

    for module, name in (
        (archive_module.parquet, "write"),
        (archive_module.index, "save"),
        (archive_module, "sync_file"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, _full)
            with pytest.raises(JournalError, match="No space left"):
                compact(home)
        assert len(segments(home)) == 3
        assert lines(home) == before
        assert files(home) == []
    archived(home)
    assert lines(home) == before


def test_a_file_that_does_not_hold_what_was_written_takes_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts(home, 3)
    before = lines(home)
    write, write_without = parquet.write, parquet.write_without

    def without_the_last(spool: Path, draft: Path, *, longest: int) -> None:
        spool.write_bytes(b"".join(spool.read_bytes().splitlines(keepends=True)[:-1]))
        write(spool, draft, longest=longest)

    def without_more(path: Path, draft: Path, *, kinds: list[str], before: int) -> None:
        write_without(path, draft, kinds=[*kinds, "run.started"], before=before)

    monkeypatch.setattr(parquet, "write", without_the_last)
    monkeypatch.setattr(parquet, "write_without", without_more)
    with pytest.raises(JournalError, match="does not hold what was written to it, and was left out"):
        compact(home)
    assert (len(segments(home)), files(home), list(home.tmp.iterdir())) == (3, [], [])
    monkeypatch.setattr(parquet, "write", write)
    made = archived(home)
    with pytest.raises(JournalError, match="does not hold what was written to it, and was left out"):
        expire(home, made, ["log.written"], clock.now_us())
    monkeypatch.setattr(parquet, "write_without", write_without)
    monkeypatch.setattr(archive_module.index, "save", _full)
    with pytest.raises(JournalError, match="No space left"):
        expire(home, made, ["log.written"], clock.now_us())
    assert (files(home), list(home.tmp.iterdir())) == (["-0.parquet", ".json"], [])
    assert lines(home) == before


def _full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_long_segment_is_moved_in_bounded_pieces(home: Home) -> None:
    writer = Writer(home)
    for number in range(25):
        writer.append(*(log(f"{number} {i}") for i in range(1000)))
    writer.close()
    truth = lines(home)
    archived(home)
    batches = [batch for batch in Reader(home).read() if batch.lines]
    assert [batch.closed for batch in batches] == [False, True]
    assert batches[1].first_seq == batches[0].position.seq
    assert lines(home) == truth


class TestAFullSegment:
    def test_is_closed_when_no_run_is_open(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        from headwater.core.journal import writer as writer_module

        monkeypatch.setattr(writer_module, "MOST_BYTES", 1500)
        writer = Writer(home)
        writer.append(run_started("r"))
        first = writer.id
        for number in range(10):
            writer.append(log(number, "r"))
        assert writer.id == first
        writer.append(run_ended("r"))
        assert writer.id != first
        assert not Reader(home).is_alive(first)
        writer.append(log("later"))
        assert [path.stem for path in segments(home)] == [first, writer.id]
        writer.close()
        assert [event.body["reason"] for event in of_kind(events(home), "writer.closed")] == ["full", "exit"]
        assert recover(home) == []
        assert set(archived(home).writers) == {first, max(lines(home))}

    def test_with_threads_that_wait_for_their_sync(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        from headwater.core.journal import writer as writer_module

        monkeypatch.setattr(writer_module, "MOST_BYTES", 1500)
        monkeypatch.setattr(segment_module, "_sync_data", lambda descriptor: None)
        writer = Writer(home)
        wrong: list[BaseException] = []

        def work(name: int) -> None:
            try:
                for number in range(60):
                    writer.append(run_started(f"{name}.{number}"))
                    writer.append(run_ended(f"{name}.{number}"))
            except BaseException as error:  # noqa: BLE001
                wrong.append(error)

        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        writer.close()
        assert wrong == []
        assert len(of_kind(events(home), "run.ended")) == 240
        assert len(segments(home)) > 1
        assert recover(home) == []
        assert verify_journal(home) == []
