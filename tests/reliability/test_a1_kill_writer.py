"""A1: SIGKILL a writer at any moment; the parent holds what was acknowledged."""

from __future__ import annotations

import random
import threading
from pathlib import Path

from journal_cases import assert_sound, events, kinds, messages, of_kind, start, states

from headwater.core.journal.events import Event
from headwater.core.journal.home import Home
from headwater.core.journal.recovery import recover
from headwater.core.journal.verify import verify_journal
from headwater.lineage.projection import Projection

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


def killed_writer(home: Home, name: str, threads: int, seconds: float) -> list[str]:
    """What a writer had acknowledged when it was killed so many seconds after its first word."""
    process = start(home, WORKER, name, threads)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip()]
    threading.Event().wait(seconds)
    process.kill()
    said, _ = process.communicate(timeout=30)
    assert process.returncode == -9
    return acknowledged + said.split("\n")[:-1]


def test_a1_a_kill_at_any_moment_loses_nothing_acknowledged(tmp_path: Path, stress: bool) -> None:
    kills, least, longest = (200, 20_000, 0.4) if stress else (5, 300, 0.15)
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    home = Home.open(tmp_path / ".headwater", create=True)
    looks = Projection(home)
    acknowledged: list[str] = []
    for number in range(kills):
        acknowledged += killed_writer(home, f"k{number}", 1 + number % 4, dice.uniform(0, longest))
        if number % 2:
            recover(home)
        if number % 10 == 4:
            assert looks.refresh()
    found = _looked_at(home, looks)
    written = messages(found) + [event.body["run_id"] for event in of_kind(found, "run.ended")]
    lost = set(acknowledged) - set(written)
    twice = len(written) - len(set(written))
    print(f"A1: {kills} kills, {len(acknowledged):,} acknowledged: {len(lost)} lost, {twice} twice, 0 failed opens")
    assert (lost, twice) == (set(), 0)
    assert len(acknowledged) >= least
    assert {(f"k{number}", "Crashed") for number in range(kills)} <= set(states(found))
    assert kinds(found).count("writer.closed") == kills


def _looked_at(home: Home, looks: Projection) -> list[Event]:
    """All events, once they are sound, whole and exactly once in the projection."""
    with looks.session() as session:
        ((logs, different),) = session.rows("SELECT count(*), count(DISTINCT message) FROM logs")
        ((runs,),) = session.rows("SELECT count(*) FROM facts.run_ended")
    found = events(home)
    assert_sound(found)
    assert verify_journal(home) == looks.verify() == []
    assert logs == different == len(messages(found))
    assert runs == len(of_kind(found, "run.ended"))
    return found
