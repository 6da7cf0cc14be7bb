"""B2: a limit of 3 among processes that are killed and cancelled while they wait and while they hold: never more, none leaked."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from journal_cases import assert_sound, events, finish, start, states

from headwater.core.journal.home import Home
from headwater.core.journal.locks import Locks
from headwater.core.journal.recovery import recover

LIMIT = 3

# Forks the runs, a few at a time, and sends each its fate. A run that holds a slot locks the byte of its number in a file, with
# locks of another kind than ours: the kernel itself is the witness that nobody else has that slot. The descriptor of that file
# is older than any lock's, so that a process that dies frees the byte first.
HEAD = f"""
import fcntl, heapq, random, traceback
dice, runs, together, LIMIT = random.Random(int(sys.argv[2])), int(sys.argv[3]), int(sys.argv[4]), {LIMIT}
witness = os.open(home.path / "tmp" / "witness", os.O_RDWR | os.O_CREAT)
diary = os.open(home.path / "tmp" / "diary", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def note(word, number, slot=-1):
    os.write(diary, f"{{word}} {{number}} {{slot}} {{time.monotonic_ns()}}\\n".encode())
"""

BARE = """
EARLY = 0.01
writer, locks = Writer(home), Locks(home.locks)
from headwater.core.journal import waiting
enter = waiting.Place._enter
def enter_and_note(place):
    enter(place)
    note("waits", number)
waiting.Place._enter = enter_and_note

def run(number, seconds, fate, early):
    writer.append(run_started(f"r{number}"))
    state = "Cancelled"
    try:
        note("wants", number)
        with locks.hold("limit:database", slots=LIMIT) as lock:
            # Whom the crew's signal did not reach in time cancels itself: not twice, or the witness would be left first.
            signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM) if early else ())
            try:
                fcntl.lockf(witness, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, lock.slot)
                note("enters", number, lock.slot)
                time.sleep(seconds)
                if fate and early and fate != signal.SIGKILL:
                    sys.exit()
                if fate:
                    os.kill(os.getpid(), fate)
                    time.sleep(60)
                note("leaves", number, lock.slot)
            finally:
                fcntl.lockf(witness, fcntl.LOCK_UN)
        state = "Completed"
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        writer.append(run_ended(f"r{number}", state))
        writer.close()
"""

# The same with real flows: two tasks a run, each in a thread of its own, that need a slot of the limit. Which one they have they
# need not know: a byte that nobody else has locked, in this process or in another, must be left for them.
FLOWS = """
EARLY = 0.04
from headwater import flow, task
from headwater.core import runtime
from headwater.project import Project
# What a run imports: an import that a signal interrupts says so with errors of its own.
import headwater.core.concurrency, headwater.core.journal.files, headwater.core.lobby, headwater.core.runners.threads
import json.encoder, orjson
mine, guard = set(), threading.Lock()

def enter():
    with guard:
        for slot in set(range(LIMIT)) - mine:
            try:
                fcntl.lockf(witness, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, slot)
            except BlockingIOError:
                continue
            mine.add(slot)
            return slot
    raise AssertionError("more than the limit")

def leave(slot):
    with guard:
        fcntl.lockf(witness, fcntl.LOCK_UN, 1, slot)
        mine.remove(slot)

@task(limits={"database": LIMIT})
def step(number, seconds, fate):
    slot = enter()
    note("enters", number, slot)
    try:
        time.sleep(seconds)
        if fate:
            os.kill(os.getpid(), fate)
            time.sleep(0.05)
        note("leaves", number, slot)
    finally:
        leave(slot)

@flow(name="crew")
def crew(number, seconds, fate):
    futures = step.map([number, number], seconds=seconds / 2, fate=fate)
    return [future.result() for future in futures]

def run(number, seconds, fate, early):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    project = Project.open(home.path.parent)
    runtime.set_current(project)
    note("wants", number)
    try:
        # Whom the crew's signal did not reach in time cancels itself.
        crew(number, seconds, fate)
    except AssertionError:
        note("fails", number)
        raise
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        project.close()
"""

LOOP = """
def child(number, seconds, fate, early):
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run(number, seconds, fate, early)
    except (KeyboardInterrupt, SystemExit):
        os._exit(0)
    except BaseException:
        note("fails", number)
        traceback.print_exc()
        os._exit(1)
    os._exit(0)

fates = [signal.SIGKILL] * 3 + [signal.SIGINT, signal.SIGTERM] + [None] * 5
living, coming, codes, number = set(), [], dict(), 0
while number < runs or living:
    if number < runs and len(living) < together:
        seconds, fate, early = dice.uniform(0, 0.02), fates[number % 10], dice.random() < 0.5
        pid = os.fork()
        if pid == 0:
            child(number, seconds, fate, early)
        living.add(pid)
        number += 1
        if fate and early:
            heapq.heappush(coming, (time.monotonic() + dice.uniform(0.003, EARLY * together), pid, fate))
    while coming and coming[0][0] < time.monotonic():
        _, pid, fate = heapq.heappop(coming)
        if pid in living:
            os.kill(pid, fate)
    while living:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            break
        living.remove(pid)
        code = os.waitstatus_to_exitcode(status)
        codes[code] = codes.get(code, 0) + 1
    time.sleep(0.001)
say(codes)
"""


@dataclass(frozen=True, slots=True)
class Note:
    """A line of the diary: what a run did, with which slot, and when."""

    word: str
    run: int
    slot: int
    at: int


def noted(home: Home) -> list[Note]:
    lines = (home.tmp / "diary").read_text(encoding="utf-8").splitlines()
    return [Note(word, int(run), int(slot), int(at)) for word, run, slot, at in map(str.split, lines)]


def overtaken(diary: list[Note]) -> int:
    """How often the unluckiest waiter saw another one enter that had come after it."""
    came = {note.run: note.at for note in diary if note.word == "wants"}
    places = {note.run: note.at for note in diary if note.word == "waits"}
    came.update(places)
    entered: list[int] = []
    most = 0
    for note in diary:
        if note.word == "enters":
            if note.run in places:
                most = max(most, sum(came[other] > came[note.run] for other in entered))
            entered.append(note.run)
    return most


def test_b2_a_limit_holds_whoever_dies(tmp_path: Path, stress: bool) -> None:
    runs, together = (1_000, 24) if stress else (60, 12)
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    home = Home.open(tmp_path / ".headwater", create=True)
    said = finish(start(home, HEAD + BARE + LOOP, seed, runs, together), timeout=100)
    diary = noted(home)
    assert [note for note in diary if note.word == "fails"] == [], said

    entered = [note for note in diary if note.word == "enters"]
    assert {note.slot for note in entered} == set(range(LIMIT))
    waits = {note.run: note.at for note in diary if note.word == "wants"}
    longest = max(note.at - waits[note.run] for note in entered) / 1e9
    most = overtaken(diary)
    # They take their slots in turn; as many as there are slots may be noted in another order, or come at the same moment.
    assert most <= together // 2, (most, said)

    locks = Locks(home.locks)
    free = [locks.try_hold("limit:database", slots=LIMIT) for _ in range(LIMIT)]
    assert [lock.slot for lock in free if lock is not None] == list(range(LIMIT))
    assert locks.try_hold("limit:database", slots=LIMIT) is None
    for lock in free:
        assert lock is not None
        lock.release()
    assert list(home.locks.iterdir()) == []

    recover(home)
    found = events(home)
    assert_sound(found)
    ends = states(found)
    assert set(ends.values()) == {1}
    assert len({run for run, _ in ends}) == len(ends)
    by_state = {state: sum(1 for _, ended in ends if ended == state) for state in ("Completed", "Cancelled", "Crashed")}
    assert by_state["Completed"] == runs // 2
    holding = len(entered) - runs // 2
    print(
        f"B2: {runs:,} runs over a limit of {LIMIT}, {together} at once, {runs * 3 // 10} killed and {runs // 5} cancelled, "
        f"{holding} of them while they held it: never over {LIMIT}, 0 slots held afterwards; overtaken {most} times at most, "
        f"waited {longest:.2f} s at most; each ended once, {by_state}"
    )


def test_b2_tasks_with_a_limit_in_real_flows(tmp_path: Path, stress: bool) -> None:
    runs, together = (1_000, 16) if stress else (40, 8)
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    home = Home.open(tmp_path / ".headwater", create=True)
    said = finish(start(home, HEAD + FLOWS + LOOP, seed, runs, together), timeout=600 if stress else 100)
    diary = noted(home)
    assert [note for note in diary if note.word == "fails"] == [], said
    entered = [note for note in diary if note.word == "enters"]
    assert {note.slot for note in entered} == set(range(LIMIT))

    recover(home)
    found = events(home)
    assert_sound(found)
    ends = states(found)
    assert set(ends.values()) == {1}
    assert len({run for run, _ in ends}) == len(ends)
    by_state = {state: sum(1 for _, ended in ends if ended == state) for state in ("Completed", "Cancelled", "Crashed")}
    assert by_state["Completed"] == runs // 2
    assert sum(by_state.values()) == len(ends)
    tasks = Counter(event.body["state"] for event in found if event.kind == "task.ended")
    waited = sum(event.kind == "task.state" and event.body["state"] == "AwaitingSlot" for event in found)
    assert waited > 0

    locks = Locks(home.locks)
    assert locks.seen() == []
    free = [locks.try_hold("limit:database", slots=LIMIT) for _ in range(LIMIT)]
    assert [lock.slot for lock in free if lock is not None] == list(range(LIMIT))
    for lock in free:
        assert lock is not None
        lock.release()
    assert [path.name for path in home.locks.iterdir() if path.suffix == ".line"] == []
    print(
        f"B2: {runs:,} runs of a flow whose two tasks need a limit of {LIMIT}, {together} at once, {runs * 3 // 10} killed and "
        f"{runs // 5} cancelled: never over {LIMIT}, 0 slots held afterwards; {waited:,} times AwaitingSlot; each run ended "
        f"once, {by_state}; tasks {dict(tasks)}"
    )
