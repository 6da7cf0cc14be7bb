"""The live board of a backfill on a real terminal: it fits, follows a resize, and leaves a clean screen after Ctrl-C."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from screens import NEUTRAL

from headwater.cli.terminal import width

ASSETS = """
import threading
from pathlib import Path

from headwater import Asset, DailyPartitions, materialize
from headwater.core.context import current

days = DailyPartitions("2024-01-01", "2024-01-03")
for number in range({count}):
    @materialize(Asset(f"{name}_{{number:02}}", at=f"memory://a{{number}}", partitions=days))
    def make(partition):
        while not Path("go").exists() and not current().cancelled.wait(0.02):
            pass
        return [{{"day": partition.key}}]
"""
_CONTROL = re.compile(r"\x1b\[\??([0-9;]*)([a-zA-Z])")


class Terminal:
    """A terminal with a command in it, and what stands on its screen: as much of one as the board makes use of."""

    def __init__(self, folder: Path, *command: str, columns: int, lines: int) -> None:
        self.columns, self.rows, self.at, self.column, self.cursor = columns, [""], 0, 0, True
        self._near, far = pty.openpty()
        self.resize(columns, lines)
        env = {name: value for name, value in os.environ.items() if name not in NEUTRAL}
        env |= {"TERM": "xterm-256color", "PYTHONUTF8": "1"}
        arguments = [sys.executable, "-m", "headwater", *command]
        self.child = subprocess.Popen(
            arguments, cwd=folder, env=env, stdin=far, stdout=far, stderr=far, start_new_session=True
        )
        os.close(far)

    def resize(self, columns: int, lines: int) -> None:
        """Another size from now on; what stands there stays."""
        self.columns, self.lines = columns, lines
        fcntl.ioctl(self._near, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def until(self, holds: Callable[[], bool]) -> None:
        """Show what comes until something holds."""
        end = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < end, "\n".join(self.rows)
            self._take()

    def ended(self) -> bool:
        """Whether the command has ended and all that it said is shown."""
        return not self._take() and self.child.poll() is not None

    def has(self, text: str) -> bool:
        """Whether a line of the screen holds a text."""
        return any(text in row for row in self.rows)

    def _take(self) -> bool:
        if not select.select([self._near], [], [], 0.2)[0]:
            return False
        try:
            data = os.read(self._near, 65_536)
        except OSError:  # Linux says so when the last writer has closed its end
            return False
        self._show(data.decode(errors="replace"))
        return bool(data)

    def _show(self, text: str) -> None:
        while text:
            found = _CONTROL.match(text)
            if found is not None:
                self._obey(found[1], found[2])
                text = text[found.end() :]
                continue
            self._put(text[0])
            text = text[1:]

    def _obey(self, number: str, what: str) -> None:
        if what == "A":
            self.at -= int(number or 1)
            assert self.at >= 0, "it went above the top of what it wrote"
        elif what == "K":
            self.rows[self.at] = ""
        elif (number, what) in (("25", "l"), ("25", "h")):
            self.cursor = what == "h"

    def _put(self, char: str) -> None:
        if char == "\r":
            self.column = 0
            return
        if char == "\n" or width(self.rows[self.at][: self.column] + char) > self.columns:
            self.at, self.column = self.at + 1, 0
            self.rows += [""] if self.at == len(self.rows) else []
        if char != "\n":
            row = self.rows[self.at].ljust(self.column)
            self.rows[self.at] = row[: self.column] + char + row[self.column + 1 :]
            self.column += 1

    def close(self) -> None:
        """End it."""
        self.child.kill()
        self.child.communicate()
        os.close(self._near)


Open = Callable[..., Terminal]


@pytest.fixture
def terminal(folder: Path) -> Iterator[Open]:
    opened: list[Terminal] = []

    def run(columns: int, lines: int, *, count: int, name: str = "asset") -> Terminal:
        (folder / "job.py").write_text(ASSETS.format(count=count, name=name))
        opened.append(Terminal(folder, "backfill", "*", "-f", "job.py", columns=columns, lines=lines))
        return opened[-1]

    yield run
    for one in opened:
        one.close()


@pytest.mark.parametrize(("columns", "lines", "shown"), [(80, 24, 19), (200, 50, 31)])
def test_the_board_fits_the_terminal_and_ends_complete(
    terminal: Open, folder: Path, columns: int, lines: int, shown: int
) -> None:
    found = terminal(columns, lines, count=30, name="a_name_that_is_rather_long_for_a_terminal_of_eighty_columns")
    found.until(lambda: found.has("0/60"))
    assert len([row for row in found.rows if "━" in row]) == shown
    assert len([row for row in found.rows if " 0/2 " in row]) == shown - 1
    assert len(found.rows) <= lines
    assert all(width(row) <= columns for row in found.rows)
    assert not found.cursor
    (folder / "go").touch()
    found.until(found.ended)
    assert found.cursor
    assert found.has("60/60")
    assert [row for row in found.rows if row.startswith("completed: 60 completed of 60")]
    # One board: what was drawn before was drawn over.
    assert len([row for row in found.rows if row.startswith("asset ")]) == 1


def test_a_resize_and_ctrl_c_leave_a_clean_screen(terminal: Open) -> None:
    found = terminal(120, 30, count=12)
    found.until(lambda: found.has("0/24"))
    found.resize(60, 16)
    os.killpg(found.child.pid, signal.SIGWINCH)
    found.until(lambda: found.has("and 2 more assets"))
    assert found.has(" 0/24 ")
    os.killpg(found.child.pid, signal.SIGINT)
    found.until(found.ended)
    assert found.cursor
    assert found.child.returncode == 130
