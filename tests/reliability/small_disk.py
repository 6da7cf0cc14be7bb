"""A disk that is full: run as a program, in a mount namespace of its own where the system lets it, and otherwise with a limit.

With a namespace the shop lies on a small tmpfs that a filler fills but for so many bytes. Without one, no file may grow
beyond so many bytes, which is the smaller form: a write fails in the same way, making a file does not.
"""

from __future__ import annotations

import os
import random
import re
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from journal_cases import assert_sound, events, log, messages
from kill_world import BACKFILL, Shop
from nursery import Nursery, opened, said

from headwater.core.journal.home import Home
from headwater.core.journal.writer import Writer
from headwater.errors import JournalError
from headwater.testing import project

SIZE = 64 << 20
COMMANDS = BACKFILL, ("runs",), ("shop.py",), ("rebuild",), ("openlineage", "export")
LOOKS = (
    ("runs", "--json"),
    ("status", "--as-of", "2100-01-01", "-f", "shop.py", "--json"),
    ("lineage", "report", "--json"),
)


class SmallDisk:
    """A folder whose disk is full when a test says so."""

    def __init__(self, folder: Path, form: str) -> None:
        self.folder = folder
        self.form = form
        self._filler = folder / "filler"
        folder.mkdir()
        if form == "tmpfs":
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(folder)], check=True)

    @contextmanager
    def full(self, left: int) -> Iterator[None]:
        """For a while no more than so many bytes are left (of a file, in the smaller form)."""
        if self.form == "tmpfs":
            state = os.statvfs(self.folder)
            with self._filler.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, max(state.f_frsize, state.f_bavail * state.f_frsize - left))
            yield
            self._filler.unlink()
        else:
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (left, hard))
            yield
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    @contextmanager
    def nest(self, left: int) -> Iterator[Nursery]:
        """A nest of processes which the full disk concerns."""
        with self.full(left), opened() as nest:
            yield nest


def acknowledged_events_survive(disk: SmallDisk, dice: random.Random) -> str:
    """One process writes until the disk is full, goes on when there is room again, and so on."""
    home = Home.open(disk.folder / "alone", create=True)
    writer, told, refused = Writer(home), [], 0
    for _ in range(4):
        try:
            with disk.full(dice.randrange(30_000) if disk.form == "tmpfs" else 4_096 + dice.randrange(30_000)):
                refused += not _write_until_full(writer, told)
        finally:
            (disk.folder / "filler").unlink(missing_ok=True)
    writer.append(log("room again"))
    told.append("room again")
    writer.close()
    found = events(home)
    assert_sound(found)
    counted = Counter(messages(found))
    assert set(counted.values()) == {1}
    assert [message for message in messages(found) if message in set(told)] == told
    assert refused == 4
    return f"{len(told)} acknowledged, 0 lost, {refused} times full"


def _write_until_full(writer: Writer, told: list[str]) -> bool:
    for number in range(100_000):
        message = f"{len(told)}.{number} " + "x" * (number % 700)
        try:
            writer.append(log(message))
        except JournalError as error:
            if error.hint and ("No space left" in error.message or "File too large" in error.message):
                return False
            raise
        told.append(message)
    return True


def the_shop_survives(disk: SmallDisk, nest: Nursery, dice: random.Random, rounds: int) -> str:
    """The disk is full at any moment of a backfill, a look, a script, a rebuild, an export; then there is room, and all goes on."""
    codes: Counter[int] = Counter()
    shop = Shop.make(disk.folder / "shop")
    # What is said must not be lost with the room.
    (shop.folder / "said.txt").symlink_to(disk.folder.with_name("said.txt"))
    shop.set_factor(1)
    assert nest.run(shop.folder, ["shop.py"]) == 0, said(shop.folder)
    shop.judge()
    first = dice.randrange(len(COMMANDS))
    for number in range(rounds):
        chosen = COMMANDS[(first + number) % len(COMMANDS)]
        shop.set_factor(number + 2)
        if chosen == ("runs",):
            (shop.folder / ".headwater" / "headwater.duckdb").unlink(missing_ok=True)
        left = 0 if number % 4 == 3 else int(2 ** dice.uniform(10, 23))
        codes[_starved(disk, shop, nest, left, chosen)] += 1
        shop.judge()
        assert nest.run(shop.folder, ["shop.py"]) == 0, said(shop.folder)
        with project(shop.folder) as found:
            problems = list(map(str, found.projection.verify()))
            assert not problems, (chosen, left, problems)
        shop.finished()
    return (
        f"{rounds} commands on a full disk: {codes[1]} refused, {codes[0]} done; 0 lost, 0 half, all went on with room"
    )


def _starved(disk: SmallDisk, shop: Shop, nest: Nursery, left: int, arguments: tuple[str, ...]) -> int:
    if disk.form == "tmpfs":
        with disk.full(left):
            code = nest.run(shop.folder, arguments)
    else:
        # Here the limit is on what is said as well.
        with disk.nest(max(left, 20_000)) as limited:
            code = limited.run(shop.folder, arguments)
    words = said(shop.folder)
    assert code in (0, 1), f"{arguments} with {left} bytes left ended with {code}: {words}"
    # Python shows where in a script an error was raised; a command says what is wrong and what to do, and no more.
    assert arguments == ("shop.py",) or "Traceback" not in words, f"{arguments} with {left} bytes left: {words}"
    assert code == 0 or "hint: " in words, f"{arguments} with {left} bytes left: {words}"
    return code


def a_read_only_disk_is_looked_at(disk: SmallDisk, nest: Nursery) -> str:
    """What lies on a disk that is mounted read-only answers as ever, and takes nothing."""
    shop = Shop(disk.folder / "shop")
    before = [_asked(shop, nest, look) for look in LOOKS]
    files = _all_files(shop.folder)
    subprocess.run(["mount", "-o", "remount,ro", str(disk.folder)], check=True)
    for look, answer in zip(LOOKS, before, strict=True):
        now = _asked(shop, nest, look)
        assert now == answer, f"{look}: {now}\n{answer}"
    for refused in (("shop.py",), ("rebuild",)):
        assert nest.run(shop.folder, refused) == 1
        assert "the home is not writable" in said(shop.folder)
    subprocess.run(["mount", "-o", "remount,rw", str(disk.folder)], check=True)
    assert _all_files(shop.folder) == files
    assert nest.run(shop.folder, ["shop.py"]) == 0, said(shop.folder)
    assert nest.run(shop.folder, ["verify"]) == 0, said(shop.folder)
    return f"{len(LOOKS)} questions answered as before, {len(files)} files untouched"


def _asked(shop: Shop, nest: Nursery, look: tuple[str, ...]) -> str:
    assert nest.run(shop.folder, look) == 0, said(shop.folder)
    # Statuses tell how long ago something was.
    return re.sub(r"[0-9.]+ ?(s|seconds|min)\b", "", said(shop.folder))


def _all_files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "said.txt"}


def main(folder: Path, form: str, seed: int, rounds: int) -> None:
    disk, dice = SmallDisk(folder, form), random.Random(seed)
    print(f"A7: {form}, seed {seed}: {acknowledged_events_survive(disk, dice)}", flush=True)
    with opened() as nest:
        print(f"A7: {form}, seed {seed}: {the_shop_survives(disk, nest, dice, rounds)}", flush=True)
        if form == "tmpfs":
            print(f"A7: read-only: {a_read_only_disk_is_looked_at(disk, nest)}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
