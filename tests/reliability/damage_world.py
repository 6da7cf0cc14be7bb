"""A home with a bit of everything, that can be damaged and put back as it was."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import damage_look
from journal_cases import dead_writer
from lineage_world import ended, made, started, story, task_story, write
from nursery import Nursery, said

from headwater.core.journal.archive import compact
from headwater.core.journal.home import Home
from headwater.core.journal.locks import Locks
from headwater.lineage.openlineage.dead import DeadLetters, letter_of
from headwater.lineage.openlineage.destination import Refusal
from headwater.lineage.projection import Projection

LOOK = str(Path(damage_look.__file__))
REFRESH = """
import sys
from headwater.core.journal.home import Home
from headwater.lineage.projection import Projection
Projection(Home.open(sys.argv[1], create=False)).refresh(wait=30)
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a process saw that looked; `code` is how it ended, and `told` what it warned of."""

    code: int
    told: list[str]
    steps: dict[str, dict[str, Any]]

    def answer(self, step: str) -> Any:
        """What a step answered; None when it was refused."""
        assert "broken" not in self.steps[step], self.steps[step]
        return self.steps[step].get("answer")

    def refused(self, step: str) -> str | None:
        """With which words a step was refused."""
        return self.steps[step].get("refused")


class World:
    """The home, its files as they were, and a nest of processes that look at it."""

    def __init__(self, folder: Path, nest: Nursery) -> None:
        self.folder = folder
        self.nest = nest
        self.home = Home.open(folder / ".headwater", create=True)
        self.files: dict[Path, bytes] = {}

    def keep(self) -> None:
        """From here on this is what `restore` goes back to."""
        self.files = {path: path.read_bytes() for path in self.home.path.rglob("*") if path.is_file()}

    def restore(self, *, without: Sequence[Path] = ()) -> None:
        """Put all files back as they were kept, but for some; nothing else is left there."""
        for path in list(self.home.path.rglob("*")):
            if path.is_symlink() or (path.is_file() and path not in self.files):
                path.unlink()
            elif path.is_dir() and path.suffix:
                shutil.rmtree(path)
        for path, data in self.files.items():
            if path in without:
                path.unlink(missing_ok=True)
            elif not path.is_file() or path.read_bytes() != data:
                path.write_bytes(data)

    def look(self, *steps: str) -> Seen:
        """A process that takes these steps: verify, answers, facts, outbox."""
        found = self.folder / "seen.json"
        found.unlink(missing_ok=True)
        code = self.nest.run(self.folder, [LOOK, str(self.home.path), *steps])
        assert code >= 0, f"the interpreter was killed by signal {-code}: {said(self.folder)}"
        assert found.exists(), said(self.folder)
        seen = json.loads(found.read_bytes())
        return Seen(code, seen.pop("told"), seen)


def make_world(folder: Path, nest: Nursery) -> World:
    """Closed segments, one of a dead process, an archive of two, a projection, and an outbox with dead letters."""
    world = World(folder, nest)
    home = world.home
    write(home, story())
    for number in range(3):
        run = f"x{number}"
        write(
            home,
            [started(run), *task_story(f"t{run}", run), made("board", f"d{number}", f"b{number}", run=run), ended(run)],
        )
    first, *_, last = sorted(home.journal.glob("*.ndjson"))
    dead_writer(home, started("dead"), *task_story("tdead", "dead")[:2], made("board", "d9", "b9", run="dead"))
    one = damage_look.exporter(home)
    one.drain()
    DeadLetters(home, one.destination.id).add(letter_of(Refusal(reason="no"), event=b'{"eventType":"START"}'))
    DeadLetters(home, one.destination.id).add(letter_of(Refusal(reason="no"), event=b'{"eventType":"COMPLETE"}'))
    assert Projection(home).refresh()
    one.drain()
    with Locks(home.locks).hold("projection"):
        assert compact(home, {first.stem, last.stem}) is not None
    assert Projection(home).refresh()
    one.drain()
    world.keep()
    return world


def leave_a_log(world: World) -> Path:
    """A process takes in what is new and is killed before it closes the database: its write-ahead log stays."""
    world.restore()
    write(world.home, [started("late"), made("board", "d0", "late", run="late"), ended("late")])
    damage_look.exporter(world.home).drain()
    environment = {**os.environ, "HEADWATER_FAILPOINT": "projection.close"}
    command = [sys.executable, "-c", REFRESH, str(world.home.path)]
    assert subprocess.run(command, env=environment, check=False).returncode == -9
    log = world.home.database.with_name(world.home.database.name + ".wal")
    assert log.stat().st_size > 0
    world.keep()
    return log


def flip(data: bytes, dice: random.Random) -> tuple[str, bytes]:
    """The bytes with one damage, and what that is called."""
    kind = dice.choice(("bit", "byte", "run", "block", "cut"))
    changed, at = bytearray(data), dice.randrange(len(data))
    if kind == "bit":
        changed[at] ^= 1 << dice.randrange(8)
    elif kind == "byte":
        changed[at] ^= dice.randrange(1, 256)
    elif kind == "run":
        for place in range(at, min(len(changed), at + dice.randrange(2, 64))):
            changed[place] ^= dice.randrange(1, 256)
    elif kind == "block":
        place = at // 512 * 512
        changed[place : place + 512] = bytes(len(changed[place : place + 512]))
    else:
        del changed[at:]
    return kind, bytes(changed)
