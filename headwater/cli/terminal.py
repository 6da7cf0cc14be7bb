"""The terminal: how large it is, whether it shows colours, and which characters are safe to send to it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from typing import TextIO

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}
# What a terminal acts upon instead of showing it, or shows in a way that misleads: C0 and C1 controls, marks that turn the
# direction of writing, invisible characters, and halves of characters. Line ends, tabs and colours (SGR) pass.
_UNSAFE = re.compile(
    "\x1b(?!\\[[0-9;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
# One character for one, so that columns stay in line.
_ASCII = str.maketrans("●▲■✖▶·…←→↑↓─│├└", "o!#x>.~<>^v-|++")


def size(stream: TextIO | None = None) -> os.terminal_size | None:
    """The columns and lines of the terminal behind a stream (standard output); None when it is none."""
    if not (stream or sys.stdout).isatty():
        return None
    return shutil.get_terminal_size((80, 24))


def coloured(text: str, colour: str, stream: TextIO | None = None) -> str:
    """The text in a colour, where the stream is a terminal that knows colours.

    A `NO_COLOR` that is not empty forbids them, `FORCE_COLOR` asks for them also in files and pipes.
    """
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if has_colours(stream or sys.stdout) else text


def has_colours(stream: TextIO) -> bool:
    """Whether a stream gets colours."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and has_cursor()


def has_cursor() -> bool:
    """Whether a line of a terminal can be written again."""
    return os.environ.get("TERM") != "dumb"


def put(stream: TextIO, text: str) -> None:
    """Send a terminal what it acts upon."""
    with contextlib.suppress(OSError):
        stream.write(fitting(text, stream))
        stream.flush()


def safe(text: str) -> str:
    r"""The text with all that a terminal would act upon written out; its lines and colours stay.

    >>> safe("a\x1b]0;title\x07b\rc")
    'a\\x1b]0;title\\x07b\\rc'
    """
    return _UNSAFE.sub(_written_out, text)


def one_line(text: str) -> str:
    r"""The same for a name or a message that must stay within its line, without colours of its own.

    >>> one_line("a\nb\x1b[31mc")
    'a\\nb\\x1b[31mc'
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _written_out(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]


def width(text: str) -> int:
    """How many columns a text takes: wide characters take two.

    >>> width("abc"), width("東京"), width("● fresh")
    (3, 4, 7)
    """
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def cut(text: str, room: int) -> str:
    """The text in so many columns at most, with an ellipsis where it was cut.

    >>> cut("carrier_scorecard", 8), cut("東京都", 5), cut("abc", 3)
    ('carrier…', '東京…', 'abc')
    """
    if width(text) <= room:
        return text
    if text.isascii():
        return text[: max(room - 1, 0)] + "…"
    from rich.cells import set_cell_size

    return set_cell_size(text, max(room - 1, 0)).rstrip() + "…"


def fitting(text: str, stream: TextIO) -> str:
    """The text in what the stream's encoding can write: marks become ASCII ones, the rest is written out."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return text.translate(_ASCII).encode("ascii", "backslashreplace").decode("ascii")
    return text
