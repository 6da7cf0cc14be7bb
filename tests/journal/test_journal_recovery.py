from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from zlib import crc32

import pytest
from journal_cases import (
    assert_sound,
    dead_writer,
    events,
    expect,
    finish,
    kill,
    kinds,
    log,
    messages,
    of_kind,
    run_ended,
    run_started,
    segments,
    start,
    states,
    task_ended,
    task_started,
)

from headwater import ids
from headwater.core.events import RunEnded, TaskEnded, TaskState
from headwater.core.journal import recovery as recovery_module
from headwater.core.journal import segment as segment_module
from headwater.core.journal.events import Body, Event
from headwater.core.journal.home import Home
from headwater.core.journal.lines import REBOOT, head_of
from headwater.core.journal.reader import Position, Reader
from headwater.core.journal.recovery import crashed, recover
from headwater.core.journal.verify import verify_journal
from headwater.core.journal.writer import Writer
from headwater.errors import HeadwaterError
from headwater.testing import project

pytestmark = pytest.mark.usefixtures("no_sync")


OPEN = (
    run_started("outer"),
    run_started("inner", parent_run_id="outer", parent_flow="flow", root_run_id="outer"),
    task_started("done", "inner"),
    task_ended("done", "inner"),
    task_started("first", "inner"),
    TaskState(task_run_id="first", run_id="inner", state="AwaitingRetry", tries=3),
    task_started("second", "inner"),
    run_started("finished"),
    run_ended("finished"),
)


def test_a_dead_writers_runs_are_ended_where_they_stand(home: Home) -> None:
    path = dead_writer(home, *OPEN)
    (recovered,) = recover(home)
    assert recovered.writer == path.stem
    assert recovered.crashed == ("inner", "outer")
    assert (recovered.appended, recovered.damage, recovered.error) == (5, (), None)
    found = events(home)
    assert_sound(found)
    ends = found[-5:]
    assert kinds(ends) == ["task.ended", "task.ended", "run.ended", "run.ended", "writer.closed"]
    assert [end.body["task_run_id"] for end in ends[:2]] == ["second", "first"]
    first = ends[1].record(TaskEnded)
    assert (first.state, first.tries, first.started) == ("Crashed", 3, found[5].time)
    inner = ends[2].record(RunEnded)
    assert (inner.run_id, inner.parent_run_id, inner.state, inner.started) == (
        "inner",
        "outer",
        "Crashed",
        found[2].time,
    )
    assert inner.error is not None
    assert f"process {os.getpid()} on " in inner.error.message
    assert ends[4].body == {"reason": "recovered"}


def test_looking_again_finds_nothing(home: Home) -> None:
    path = dead_writer(home, *OPEN)
    recover(home)
    before = path.read_bytes()
    assert recover(home) == []
    assert path.read_bytes() == before


def test_a_living_writer_is_left_alone(home: Home, writer: Writer) -> None:
    writer.append(*OPEN)
    assert Reader(home).is_alive(writer.id)
    before = segments(home)[0].read_bytes()
    assert recover(home) == []
    assert segments(home)[0].read_bytes() == before


def test_only_the_writers_own_segment_says_what_is_open(home: Home, writer: Writer) -> None:
    writer.append(run_started("parent"))
    dead_writer(home, run_started("child", parent_run_id="parent"), task_started("task", "parent"))
    (recovered,) = recover(home)
    assert recovered.crashed == ("child",)
    assert states(events(home)) == {("child", "Crashed"): 1}


def test_a_settler_that_cannot_yet_is_asked_again(home: Home) -> None:
    dead_writer(home, run_started("run"))
    dead_writer(home, run_started("other"))
    ready = False

    def settler(found: Sequence[Event]) -> Iterable[Body]:
        if not ready and found[1].body["run_id"] == "run":
            raise HeadwaterError("the store does not answer")
        return [log(f"settled {found[1].body['run_id']}")]

    assert [str(recovered.error) for recovered in recover(home, [settler])] == ["the store does not answer", "None"]
    ready = True
    assert [recovered.error for recovered in recover(home, [settler])] == [None]
    found = events(home)
    assert sorted(messages(found)) == ["settled other", "settled run"]
    assert states(found) == {("run", "Crashed"): 1, ("other", "Crashed"): 1}
    assert recover(home) == []


def test_a_recoverer_killed_at_any_byte_leaves_the_rest_to_the_next(home: Home, tmp_path: Path) -> None:
    def settler(found: Sequence[Event]) -> Iterable[Body]:
        return [] if "settled" in messages(found) else [log("settled")]

    path = dead_writer(home, *OPEN)
    begun = path.stat().st_size
    copy = tmp_path / "copy"
    shutil.copy(path, copy)
    recover(home, [settler])
    whole = path.read_bytes()
    ends = Counter({("inner", "Crashed"): 1, ("outer", "Crashed"): 1, ("finished", "Completed"): 1})
    for cut in random.Random(7).sample(range(begun, len(whole)), 60):
        path.write_bytes(whole[:cut])
        recover(home, [settler])
        found = events(home)
        assert_sound(found)
        assert states(found) == ends
        assert Counter(end.body["task_run_id"] for end in of_kind(found, "task.ended")) == Counter(
            ["done", "first", "second"]
        )
        assert messages(found) == ["settled"]
        assert kinds(found)[-1] == "writer.closed"
        assert verify_journal(home) == []


def test_a_recoverer_killed_while_it_settles_leaves_the_segment_free(home: Home) -> None:
    path = dead_writer(home, *OPEN)
    before = path.read_bytes()
    process = start(home, "recover(home, [lambda events: [say('settling'), time.sleep(60)]])")
    expect(process, "settling")
    assert recover(home) == [], "it is being recovered"
    kill(process)
    assert path.read_bytes() == before
    assert recover(home)[0].crashed == ("inner", "outer")


def test_processes_that_recover_at_once_write_each_end_once(home: Home) -> None:
    for i in range(15):
        dead_writer(home, run_started(f"run{i}"), task_started(f"task{i}", f"run{i}"))
    script = """
    say("ready")
    sys.stdin.readline()
    while not all(map(lambda one: one in ended(), [f"run{i}" for i in range(15)])):
        for one in recover(home):
            say(*one.crashed)
    """.replace("ended()", "{run for run, _ in states(events(home))}")
    processes = [start(home, script) for _ in range(3)]
    for process in processes:
        expect(process, "ready")
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [line for process in processes for line in finish(process).split()]
    assert sorted(said) == sorted(f"run{i}" for i in range(15))
    found = events(home)
    assert_sound(found)
    assert states(found) == {(f"run{i}", "Crashed"): 1 for i in range(15)}
    assert len(of_kind(found, "task.ended")) == len(of_kind(found, "writer.closed")) == 15


def test_a_torn_tail_is_cut_and_told_once(home: Home) -> None:
    path = dead_writer(home, run_started("run"), log("last"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    assert [damage.kind for damage in verify_journal(home)] == ["torn"]
    (recovered,) = recover(home)
    assert [damage.kind for damage in recovered.damage] == ["torn"]
    assert kinds(events(home)) == ["writer.opened", "run.started", "run.ended", "writer.closed"]
    assert_sound(events(home))
    assert verify_journal(home) == recover(home) == []


@pytest.mark.parametrize("ending", [b"", b"\x0b"])
def test_a_last_record_that_only_lacks_its_newline_is_kept(home: Home, ending: bytes) -> None:
    path = dead_writer(home, run_started("run"), run_ended("run"))
    path.write_bytes(path.read_bytes()[:-1] + ending)
    assert recover(home)[0].damage == ()
    assert_sound(events(home))
    assert states(events(home)) == {("run", "Completed"): 1}


@pytest.mark.parametrize("content", [b"", b'{"w":"'])
def test_a_segment_without_a_first_event_is_removed(home: Home, content: bytes) -> None:
    (home.journal / f"{'0' * 36}.ndjson").write_bytes(content)
    (recovered,) = recover(home)
    assert [damage.kind for damage in recovered.damage] == (["torn"] if content else [])
    assert segments(home) == []


def test_a_segment_that_holds_nothing_but_damage_is_kept_and_named(home: Home) -> None:
    path = home.journal / f"{'0' * 36}.ndjson"
    path.write_bytes(b"\x00" * 4096)
    (recovered,) = recover(home)
    assert [damage.kind for damage in recovered.damage] == ["record"]
    assert path.read_bytes().startswith(b"\x00" * 4096)
    assert [damage.kind for damage in verify_journal(home)] == ["record"]
    assert recover(home) == []


def test_damage_in_the_middle_stays_and_is_named(home: Home) -> None:
    path = dead_writer(home, run_started("run"), log("b"), log("c"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1] + lines[2].replace(b'"b"', b'"x"') + lines[3])
    (recovered,) = recover(home)
    assert [damage.kind for damage in recovered.damage] == ["record"]
    assert lines[2].replace(b'"b"', b'"x"') in path.read_bytes()
    assert kinds(events(home)) == ["writer.opened", "run.started", "log.written", "run.ended", "writer.closed"]
    assert recover(home) == []


def test_a_damaged_last_record_keeps_its_number(home: Home) -> None:
    path = dead_writer(home, run_started("run"), log("last"))
    path.write_bytes(path.read_bytes().replace(b'"last"', b'"lost"'))
    position = {path.stem: Position(3, path.stat().st_size)}
    recover(home)
    assert kinds(Reader(home).events(position)) == ["run.ended", "writer.closed"]


def test_after_a_crash_of_the_machine_no_number_is_used_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    path = dead_writer(home, run_started("run"), log("a"), log("b"), log("c"))
    (batch,) = Reader(home).read()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]))
    for module in (recovery_module, segment_module):
        monkeypatch.setattr(module, "boot_id", lambda: "another boot")
    recover(home)
    # Who has read events that the disk lost still learns of the end.
    new = list(Reader(home).events({path.stem: batch.position}))
    assert kinds(new) == ["run.ended", "writer.closed"]
    assert [event.seq for event in new] == [REBOOT, REBOOT + 1]
    assert verify_journal(home) == []


def test_a_writer_that_dies_while_it_is_born_leaves_nothing(home: Home, writer: Writer) -> None:
    process = start(
        home,
        """
        real = Path.rename
        def strike(self, target):
            say("unborn")
            time.sleep(60)
        Path.rename = strike
        Writer(home).append(log("never acknowledged"))
        """,
    )
    expect(process, "unborn")
    assert recover(home) == []
    assert [path.suffix for path in home.journal.iterdir()] == [".new"], "a living one is left alone"
    kill(process)
    recover(home)
    assert list(home.journal.iterdir()) == []
    assert events(home) == []


ODD = (
    b'"k":"run.started","v":1,"b":{}',
    b'"k":"run.started","v":1,"b":null',
    b'"k":"run.started","v":9,"b":{"run_id":["x"]}',
    b'"k":"run.ended","v":1,"b":{}',
    b'"k":"task.started","v":1,"b":{"task_run_id":"t"}',
    b'"k":"task.state","v":1,"b":{"task_run_id":"t"}',
    b'"k":"writer.opened","v":1,"b":{}',
    b'"k":"materialization.started","v":1,"b":{"materialization_id":"m"}',
    b'"k":"materialization.staged","v":1,"b":{}',
    b'"k":"materialization.ended","v":1,"b":null',
    b'"k":"of.another.version","v":1,"b":[]',
    b'"no":"event"',
    b"no json",
)
"""What another version, or somebody else's program, may write in a line whose checksum is right."""


@pytest.mark.parametrize("follows", [True, False])
def test_odd_events_keep_nobody_from_ending_what_a_dead_writer_left(home: Home, follows: bool) -> None:
    path = dead_writer(home, run_started("r"))
    with path.open("ab") as file:
        for seq, odd in enumerate((*ODD, LAST) if follows else ODD, 2):
            line = b'%b%d,"id":"%b","t":1,%b' % (head_of(path.stem), seq, ids.new_id().encode(), odd)
            file.write(b'%b,"c":"%08x"}\n' % (line, crc32(line)))
    with project(home.path.parent) as found:
        assert found.home == home
        with found.projection.session() as session:
            assert session.rows("SELECT state FROM runs WHERE run_id = 'r'") == [("Crashed",)]
        assert [one.writer for one in found.carrier.recover([found._settle])] == []
        assert found.prune("1s").runs == 0
        assert found.projection.verify() == []


LAST = b'"k":"log.written","v":1,"b":{"run_id":"r","level":20,"logger":"shop","message":"m"}'


def test_crashed_is_a_function_of_the_events_alone(home: Home) -> None:
    dead_writer(home, *OPEN)
    found = events(home)
    tasks, runs = crashed(found)
    assert [task.task_run_id for task in tasks] == ["second", "first"]
    assert [run.run_id for run in runs] == ["inner", "outer"]
    assert crashed(found[:1]) == ([], [])


def test_a_closed_segment_that_lost_its_last_newline_gets_it_back_and_nothing_else(home: Home) -> None:
    writer = Writer(home)
    writer.append(run_started("a"), run_ended("a"))
    writer.close()
    (path,) = segments(home)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert recover(home) == []
    assert path.read_bytes() == whole
