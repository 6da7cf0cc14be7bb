from __future__ import annotations

from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from journal_cases import events, expect, finish, log, messages, run_started, segments, start
from tried import tried_on

from headwater.core.journal import reader as reader_module
from headwater.core.journal.events import Body
from headwater.core.journal.home import Home
from headwater.core.journal.lines import REBOOT, decode, encode, head_of
from headwater.core.journal.reader import Batch, Position, Reader
from headwater.core.journal.scan import Scan
from headwater.core.journal.verify import verify_journal
from headwater.core.journal.writer import Writer
from headwater.errors import FormatError


def rewrite(path: Path, lines: list[bytes]) -> None:
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def line_of(path: Path, seq: int, body: Body) -> bytes:
    return encode(head_of(path.stem), seq, body)[:-1]


def take(reader: Reader, positions: dict[str, Position]) -> list[Batch]:
    batches = list(reader.read(positions))
    positions.update({batch.writer: batch.position for batch in batches})
    return batches


def test_reading_on_gives_only_what_is_new(home: Home, writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, positions = Reader(home), dict[str, Position]()
    seen: list[str] = []
    begins: list[int] = []

    def scan(*arguments: Any, seq: int, offset: int) -> Scan:
        begins.append(seq)
        return Scan(*arguments, seq=seq, offset=offset)

    monkeypatch.setattr(reader_module, "Scan", scan)
    for i in range(4):
        writer.append(log(f"{i}a"), log(f"{i}b"))
        batches = take(reader, positions)
        seen += messages(decode(line) for batch in batches for line in batch.lines)
        assert take(reader, positions) == []
    assert seen == [f"{i}{x}" for i in range(4) for x in "ab"]
    assert begins == [0, 3, 5, 7]
    assert [batch.closed for batch in batches] == [False]
    writer.close()
    (last,) = take(reader, positions)
    assert last.closed
    assert list(reader.read(skip={last.writer})) == []


def test_writers_are_read_in_order_of_birth(home: Home) -> None:
    writers = [Writer(home) for _ in range(3)]
    for writer in reversed(writers):
        writer.append(log(writer.id))
    assert Reader(home).writers() == [writer.id for writer in writers]
    assert messages(events(home)) == [writer.id for writer in writers]
    for writer in writers:
        writer.close()


def test_a_live_tail_waits_until_it_is_whole(home: Home, writer: Writer) -> None:
    writer.append(log("whole"))
    (path,) = segments(home)
    reader, positions = Reader(home), dict[str, Position]()
    take(reader, positions)
    line = line_of(path, 2, log("later")) + b"\n"
    for cut in range(1, len(line)):
        with path.open("ab") as file:
            file.write(line[cut - 1 : cut])
        assert take(reader, positions) == []
    assert verify_journal(home) == []
    with path.open("ab") as file:
        file.write(line[-1:])
    assert [messages(map(decode, batch.lines)) for batch in take(reader, positions)] == [["later"]]


def test_a_segment_that_grows_while_it_is_read(home: Home) -> None:
    process = start(
        home,
        """
        writer = Writer(home)
        writer.append(log("first"))
        say("go")
        for i in range(6_000):
            writer.append(log(i))
        """,
    )
    expect(process, "go")
    reader, positions, seen = Reader(home), dict[str, Position](), list[str]()
    closed = False
    while not closed:
        for batch in take(reader, positions):
            assert batch.damage == ()
            seen += messages(map(decode, batch.lines))
            closed = batch.closed
    finish(process)
    assert seen == ["first", *map(str, range(6_000))]


def test_a_segment_that_vanishes_while_others_are_read(home: Home) -> None:
    writers = [Writer(home) for _ in range(3)]
    for writer in writers:
        writer.append(log(writer.id))
    reading = Reader(home).read()
    assert next(reading).writer == writers[0].id
    segments(home)[1].unlink()
    assert [batch.writer for batch in reading] == [writers[2].id]
    assert not Reader(home).is_alive(writers[1].id)
    for writer in writers:
        writer.close()


def test_an_empty_segment_has_no_events(home: Home) -> None:
    (home.journal / f"{'0' * 36}.ndjson").touch()
    assert list(Reader(home).read()) == []
    assert verify_journal(home) == []


def test_what_is_no_segment_is_passed_over(home: Home) -> None:
    (home.journal / "notes.ndjson").write_text("hello\n")
    (home.journal / f"{'0' * 36}.new").touch()
    assert Reader(home).writers() == []


@given(seq=st.integers(0, 35), offset=st.integers(0, 9000))
@tried_on(75, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_wrong_offset_is_seen_and_does_no_harm(home: Home, seq: int, offset: int) -> None:
    if not segments(home):
        writer = Writer(home)
        for i in range(28):
            writer.append(log(i))
        writer.close()
    (path,) = segments(home)
    found = list(Reader(home).events({path.stem: Position(seq, offset)}))
    assert [event.seq for event in found] == list(range(seq, 30))


def test_a_segment_of_a_newer_format_is_refused(home: Home, writer: Writer) -> None:
    writer.append(log("a"))
    writer.close()
    (path,) = segments(home)
    lines = path.read_bytes().splitlines()
    newer = lines[0].replace(b'"format":1', b'"format":2')
    assert newer != lines[0]
    rewrite(path, [newer[:-16] + b',"c":"%08x"}' % crc32(newer[:-16]), *lines[1:]])
    for look in (lambda: list(Reader(home).read()), lambda: verify_journal(home)):
        with pytest.raises(FormatError, match="format '2'"):
            look()


def damaged(home: Home, change: str) -> Path:
    """A segment of twelve events (numbers 0 to 11) to which something was done."""
    writer = Writer(home)
    for i in range(1, 11):
        writer.append(log(i))
    writer.close()
    (path,) = segments(home)
    lines = path.read_bytes().splitlines()
    if change == "record":
        lines[5] = lines[5].replace(b'"5"', b'"6"')
    elif change == "gap":
        del lines[4:7]
    elif change == "repeated":
        lines.insert(7, lines[5])
    elif change == "foreign":
        lines.insert(7, line_of(Path("f" * 36), 7, log("foreign")))
    elif change == "split":
        lines[5:6] = [lines[5][:100], lines[5][101:]]
    elif change == "merged":
        lines[5:7] = [lines[5] + b"x" + lines[6]]
    elif change == "end":
        lines[-1] = b"\x00" * 50
    rewrite(path, lines)
    return path


@pytest.mark.parametrize(
    ("change", "kinds", "lost"),
    [
        ("record", ["record"], {5}),
        ("gap", ["gap"], {4, 5, 6}),
        ("repeated", ["repeated"], set()),
        ("foreign", ["foreign"], set()),
        ("split", ["record", "record"], {5}),
        ("merged", ["record", "gap"], {5, 6}),
        ("end", ["record"], {11}),
    ],
)
def test_damage_is_named_and_the_rest_is_read(home: Home, change: str, kinds: list[str], lost: set[int]) -> None:
    path = damaged(home, change)
    batches = list(Reader(home).read())
    damage = [damage for batch in batches for damage in batch.damage]
    assert [damage.kind for damage in damage] == kinds
    assert damage == verify_journal(home)
    assert all(path.stem in str(one) and one.offset > 0 for one in damage)
    found = [decode(line) for batch in batches for line in batch.lines]
    assert [event.seq for event in found] == [i for i in range(12) if i not in lost]
    for batch in batches:
        numbers = [decode(line).seq for line in batch.lines]
        assert numbers == list(range(batch.first_seq, batch.first_seq + len(numbers)))


def test_damage_is_told_once_to_a_reader_that_reads_on(home: Home) -> None:
    path = damaged(home, "repeated")
    reader, positions = Reader(home), dict[str, Position]()
    assert sum(len(batch.damage) for batch in take(reader, positions)) == 1
    assert take(reader, positions) == []
    (batch,) = reader.read({path.stem: Position(8, 10**6)})
    assert (len(batch.lines), batch.damage) == (4, ())


def test_a_number_that_a_recovery_went_on_with_is_no_gap(home: Home, writer: Writer) -> None:
    writer.append(run_started("a"))
    (path,) = segments(home)
    with path.open("ab") as file:
        file.write(line_of(path, REBOOT, log("recovered")) + b"\n")
    assert verify_journal(home) == []
    assert messages(Reader(home).events({writer.id: Position(5000, 10**6)})) == ["recovered"]
