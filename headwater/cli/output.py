"""Printing: one JSON document or something for people; messages and errors always go to standard error."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

from headwater.errors import HeadwaterError

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}


_document: TextIO | None = None
"""Where the JSON document goes, while standard output is reserved for it."""


@contextmanager
def reserving(as_json: bool) -> Iterator[None]:
    """With --json, keep standard output for the one document: what user code or its children print goes to standard error."""
    global _document
    if not as_json:
        yield
        return
    before = _document
    with _kept(sys.stdout) as stream, redirect_stdout(sys.stderr):
        _document = stream
        try:
            yield
        finally:
            _document = before


@contextmanager
def _kept(stream: TextIO) -> Iterator[TextIO]:
    try:
        number = stream.fileno()
    except (AttributeError, OSError, ValueError):
        number = None
    if number != 1:
        # Not the process's own output (somebody captures it): children can't reach it anyway.
        yield stream
        return
    stream.flush()
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as kept:
        os.dup2(2, 1)
        try:
            yield kept
        finally:
            os.dup2(kept.fileno(), 1)


def emit(value: Mapping[str, Any], as_json: bool, text: Callable[[], str]) -> None:
    """Print the JSON document, or else the text for people."""
    _print(json.dumps(value, indent=2, ensure_ascii=False) if as_json else text())


def _print(text: str) -> None:
    stream = _document or sys.stdout
    try:
        stream.write(text.rstrip("\n") + "\n")
        stream.flush()
    except BrokenPipeError:
        # Who read our output has left (`headwater status | head`); Python would complain again when it closes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def say(message: str) -> None:
    """A message to standard error."""
    sys.stderr.write(message.rstrip("\n") + "\n")


def show_error(error: HeadwaterError, as_json: bool) -> None:
    """An error: as JSON on standard output, or for people on standard error."""
    if as_json:
        _print(json.dumps(error.to_json(), indent=2, ensure_ascii=False))
    else:
        say(coloured("error: ", "red", sys.stderr) + str(error))


def coloured(text: str, colour: str, stream: Any = None) -> str:
    """The text in a colour, where the stream is a terminal and `NO_COLOR` is not set."""
    stream = stream or sys.stdout
    if os.environ.get("NO_COLOR") or not stream.isatty():
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]], *, colours: Mapping[str, str] | None = None) -> str:
    """Columns of text that fit the terminal; the last one is cut. `colours` gives the colour of whole cells by their text.

    >>> print(table(["name", "rows"], [["flights", 842], ["weather", None]]))
    name     rows
    flights  842
    weather  -
    """
    cells = [[("-" if cell is None else str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]
    room = shutil.get_terminal_size((160, 24)).columns if sys.stdout.isatty() else 10_000
    lines = [_line(headers, widths, room, dict.fromkeys(headers, "bold"))]
    lines += [_line(row, widths, room, colours or {}) for row in cells]
    return "\n".join(lines)


def _line(row: Sequence[str], widths: Sequence[int], room: int, colours: Mapping[str, str]) -> str:
    parts, used = [], 0
    for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
        left = max(room - used, 1)
        shown = cell if len(cell) <= left else cell[: max(left - 1, 0)] + "…"
        pad = "" if place == len(row) - 1 else " " * (width - len(shown) + 2)
        parts.append((coloured(shown, colours[cell]) if cell in colours else shown) + pad)
        used += width + 2
    return "".join(parts).rstrip()


def duration(seconds: float | None) -> str:
    """Seconds in the two largest units that fit.

    >>> duration(93_600), duration(0.25), duration(75), duration(None)
    ('1d 2h', '0.25s', '1m 15s', '-')
    """
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.2f}s"
    units = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
    left = int(seconds)
    found: list[tuple[int, str]] = []
    for unit, size in units:
        count, left = divmod(left, size)
        if count or found:
            found.append((count, unit))
        if len(found) == 2:
            break
    return " ".join(f"{count}{unit}" for count, unit in found if count)


def instant(text: str | None) -> str:
    """An RFC 3339 time to the second.

    >>> instant("2014-01-01T04:00:00.000000Z")
    '2014-01-01 04:00:00Z'
    """
    return "-" if text is None else text[:10] + " " + text[11:19] + "Z"


def tree(reason: Mapping[str, Any], indent: str = "") -> str:
    """A reason and what stands behind it, a line each."""
    lines = [indent + reason["text"]]
    lines += [tree(one, indent + "  ") for one in reason["because"]]
    return "\n".join(lines)
