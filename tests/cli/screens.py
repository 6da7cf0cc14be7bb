"""A command in a real terminal: a pseudo-terminal of a given size."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

from headwater.cli.terminal import width

NEUTRAL = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "PYTHONIOENCODING", "LC_ALL")


def screen(folder: Path, *command: str, columns: int = 80, lines: int = 24, **environ: str) -> str:
    """What `headwater COMMAND` sends to a terminal of this size."""
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    env = {name: value for name, value in os.environ.items() if name not in NEUTRAL}
    env |= {"TERM": "xterm-256color", "PYTHONUTF8": "1", **environ}
    arguments = [sys.executable, "-m", "headwater", *command]
    with subprocess.Popen(arguments, cwd=folder, env=env, stdin=far, stdout=far, stderr=far) as child:
        os.close(far)
        found = b"".join(iter(lambda: _read(near), b""))
    os.close(near)
    assert child.returncode in (0, 1, 2, 3), found
    return found.decode().replace("\r\n", "\n")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # Linux says so when the last writer has closed its end
        return b""


def widest(text: str) -> int:
    """The columns that the widest line takes."""
    return max(width(line) for line in text.splitlines())
