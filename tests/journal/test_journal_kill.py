from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from journal_cases import (
    assert_sound,
    events,
    expect,
    kinds,
    log,
    messages,
    of_kind,
    run_ended,
    run_started,
    segments,
    start,
    states,
)

from headwater.core.journal.home import Home
from headwater.core.journal.reader import Reader, decode
from headwater.core.journal.recovery import recover
from headwater.core.journal.verify import verify_journal
from headwater.core.journal.writer import Writer

WORKER = """
writer, name, threads = Writer(home), sys.argv[2], int(sys.argv[3])
writer.append(run_started(name))
out = sys.stdout.fileno()
def work(thread):
    for i in range(100_000):
        body = log(f"{name}:{thread}:{i}") if i % 5 else run_ended(f"{name}:{thread}:{i}")
        writer.append(body)
        os.write(out, f"{name}:{thread}:{i}\\n".encode())
for thread in range(threads):
    threading.Thread(target=work, args=(thread,)).start()
"""


def test_a_kill_at_any_moment_loses_nothing_acknowledged(home: Home) -> None:
    dice = random.Random(11)
    acknowledged: list[str] = []
    for i in range(5):
        process = start(home, WORKER, f"k{i}", 1 + i % 3)
        assert process.stdout is not None
        acknowledged.append(process.stdout.readline().strip())
        time.sleep(dice.uniform(0, 0.15))
        process.kill()
        said, _ = process.communicate(timeout=30)
        acknowledged += said.split("\n")[:-1]
        if i % 2:
            recover(home)
    recover(home)
    assert len(acknowledged) > 300
    found = events(home)
    assert_sound(found)
    written = messages(found) + [event.body["run_id"] for event in of_kind(found, "run.ended")]
    assert len(written) == len(set(written))
    assert set(acknowledged) <= set(written)
    assert {(f"k{i}", "Crashed") for i in range(5)} <= set(states(found))
    assert verify_journal(home) == []
    assert kinds(found).count("writer.closed") == 5


def test_a_stopped_writer_is_not_taken_for_dead(home: Home) -> None:
    import signal

    process = start(home, "writer = Writer(home); writer.append(run_started('a')); say('go'); sys.stdin.readline()")
    expect(process, "go")
    process.send_signal(signal.SIGSTOP)
    assert recover(home) == []
    process.send_signal(signal.SIGCONT)
    process.kill()
    process.communicate()
    assert recover(home)[0].crashed == ("a",)


def dead_segment(home: Home, records: int = 12) -> tuple[Path, bytes]:
    writer = Writer(home)
    writer.append(run_started("run"), *[log(i) for i in range(records)])
    segment = writer._segment
    assert segment is not None
    segment.free()
    writer.close()
    (path,) = segments(home)
    return path, path.read_bytes()


@pytest.mark.usefixtures("no_sync")
def test_a_cut_at_each_of_the_last_512_bytes_keeps_every_whole_record(home: Home) -> None:
    path, whole = dead_segment(home)
    truth = [decode(line) for line in whole.splitlines()]
    newlines = [i for i, byte in enumerate(whole) if byte == 0x0A]
    for length in range(len(whole) - 512, len(whole)):
        path.write_bytes(whole[:length])
        # A record is whole with its last brace: its newline can be put back.
        kept = truth[: sum(newline <= length for newline in newlines)]
        torn = not any(newline <= length <= newline + 1 for newline in newlines)
        (recovered,) = recover(home)
        assert [damage.kind for damage in recovered.damage] == ["torn"] * torn
        found = events(home)
        assert_sound(found)
        assert found[: len(kept)] == kept
        assert kinds(found[len(kept) :]) == ["run.ended", "writer.closed"]
        assert verify_journal(home) == recover(home) == []


@pytest.mark.usefixtures("no_sync")
def test_a_flipped_byte_is_never_taken_for_the_truth(home: Home) -> None:
    path, whole = dead_segment(home)
    truth = {event.id: event for event in Reader(home).events()}
    dice = random.Random(5)
    for _ in range(250):
        at, change = dice.randrange(len(whole)), dice.randrange(1, 256)
        path.write_bytes(whole[:at] + bytes([whole[at] ^ change]) + whole[at + 1 :])
        found = events(home)
        assert all(truth.get(event.id) == event for event in found)
        assert len(found) >= len(truth) - 2
        assert verify_journal(home), f"byte {at} xor {change} was not seen"
        original = path.read_bytes()
        recover(home)
        after = [event for event in events(home) if event.kind not in ("run.ended", "writer.closed")]
        assert all(truth.get(event.id) == event for event in after)
        assert len(after) >= len(found)
        # Nothing that may be evidence is rewritten: only less than a record at the very end is ever cut.
        assert path.read_bytes().startswith(original[: original.rfind(b"\n") + 1])


@pytest.mark.usefixtures("no_sync")
def test_several_flips_at_once(home: Home) -> None:
    path, whole = dead_segment(home)
    truth = {event.id: event for event in Reader(home).events()}
    dice = random.Random(6)
    for _ in range(100):
        data = bytearray(whole)
        for _ in range(dice.randrange(2, 30)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        path.write_bytes(bytes(data))
        assert all(truth.get(event.id) == event for event in events(home))
        recover(home)
        assert all(truth.get(event.id, event) == event for event in events(home))
        assert len(of_kind(events(home), "writer.closed")) == 1
        assert recover(home) == []


def test_a_run_that_ended_before_the_kill_is_not_crashed(home: Home) -> None:
    process = start(
        home,
        """
        writer = Writer(home)
        writer.append(run_started("a"))
        writer.append(run_ended("a"))
        say("ended")
        time.sleep(60)
        """,
    )
    expect(process, "ended")
    process.kill()
    process.communicate()
    (recovered,) = recover(home)
    assert recovered.crashed == ()
    assert states(events(home)) == {("a", "Completed"): 1}
    assert run_ended("a").state == "Completed"
