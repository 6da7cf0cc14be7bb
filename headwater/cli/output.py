"""Printing: one JSON document or something for people; messages and errors always go to standard error."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from datetime import datetime
from typing import Any, TextIO

from headwater.cli import terminal
from headwater.cli.terminal import coloured, fitting, one_line, safe
from headwater.errors import HeadwaterError


class OutputError(HeadwaterError):
    """What a command prints can't be written."""


_document: TextIO | None = None
"""Where the JSON document goes, while standard output is reserved for it."""
_begun = False
"""Whether a part of the document is written, and its end is not."""


@contextmanager
def reserving(as_json: bool) -> Iterator[None]:
    """With --json, keep standard output for the one document: what user code or its children print goes to standard error."""
    global _document, _begun
    _begun = False
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
    if as_json:
        stream = _document or sys.stdout
        _write(_fitted(value, stream) + "\n", stream)
    else:
        show(text())


def emit_pages(value: Mapping[str, Any], name: str, pages: Iterable[Sequence[Mapping[str, Any]]]) -> None:
    """Print the JSON document of a value in which the rows of all pages stand under a name, each page when it comes.

    It is the document that `emit` prints of it all at once; where who reads it leaves, no more pages are asked for.
    """
    global _begun
    stream = _document or sys.stdout
    # Nothing but the member itself looks like this: within a text its quotes would be escaped.
    before, empty, after = _fitted({**value, name: []}, stream).partition(f'"{name}": []')
    _begun, between = True, before + empty[:-1]
    for page in pages:
        rows = ["\n    " + _fitted(row, stream).replace("\n", "\n    ") for row in page]
        if rows and not _write(between + ",".join(rows), stream):
            return
        between = "," if rows else between
    _write(("\n  ]" if between == "," else between + "]") + after + "\n", stream)
    _begun = False


def _fitted(value: Mapping[str, Any], stream: TextIO) -> str:
    document = _encoded(value)
    # What this output can't encode (a lone surrogate, or anything beyond a poor locale) is written as JSON escapes.
    return document if fitting(document, stream) == document else json.dumps(_finite(value), indent=2)


def _encoded(value: Mapping[str, Any]) -> str:
    import orjson

    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    except TypeError:
        # A lone surrogate, a key that is no text, a number of more than 64 bits: seldom, and a long document takes long.
        return json.dumps(_finite(value), indent=2, ensure_ascii=False)


def _finite(value: Any) -> Any:
    """The value without what JSON has no number for: NaN and the infinities are null, as in every other document."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, (list, tuple)) else value


def show(text: str) -> bool:
    """A text for people, on standard output; whether somebody still reads it."""
    stream = _document or sys.stdout
    return _write(fitting(safe(text), stream).rstrip("\n") + "\n", stream)


def _write(text: str, stream: TextIO) -> bool:
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        # Who read our output has left (`headwater status | head`).
        _leave(stream)
        return False
    except OSError as error:
        _leave(stream)
        raise OutputError(
            f"what was to be printed can't be written: {error.strerror or error}",
            where="the standard output",
            hint="make room where it goes to, and ask again",
        ) from error
    return True


def flush() -> None:
    """Send what stands in the buffer of standard output. Raises OutputError."""
    if not sys.stdout.closed:
        _write("", sys.stdout)


def _leave(stream: TextIO) -> None:
    # Python would complain again when it closes it.
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def say(message: str) -> None:
    """A message to standard error."""
    try:
        sys.stderr.write(fitting(safe(message), sys.stderr).rstrip("\n") + "\n")
    except OSError:
        # There is nowhere left to say so: the exit code does.
        _leave(sys.stderr)


def show_error(error: HeadwaterError, as_json: bool) -> None:
    """An error: as JSON on standard output, or for people on standard error."""
    # Where a document can't be written, the error about that can't be one either; and one that has begun takes no other.
    if as_json and not (_begun or isinstance(error, OutputError)):
        with suppress(OutputError):
            emit(error.to_json(), as_json, str)
            return
    # What it quotes may hold anything, colours as well: only its lines are its own.
    text = "\n".join(map(one_line, str(error).split("\n")))
    say(coloured("error: ", "red", sys.stderr) + text)


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


def size_of(count: int | None) -> str:
    """So many bytes, in the unit that fits.

    >>> size_of(0), size_of(2_048), size_of(12_345_678), size_of(None)
    ('0 B', '2.05 kB', '12.3 MB', '-')
    """
    if count is None:
        return "-"
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1_000:
            return f"{size:.3g} {unit}"
        size /= 1_000
    return f"{size:,.3g} TB"


def ago(text: str | None, as_of: str) -> str | None:
    """How long before `as_of` a time was, in its largest unit; both are RFC 3339. What came after it is told by its date.

    >>> ago("2014-01-01T04:00:00Z", "2014-01-01T07:59:00Z"), ago("2014-01-01T04:00:00Z", "2014-01-01T04:00:01Z")
    ('3h ago', 'just now')
    >>> ago("2026-11-21T04:00:00Z", "2014-01-01T00:00:00Z")
    '2026-11-21'
    """
    if text is None:
        return None
    seconds = int((datetime.fromisoformat(as_of) - datetime.fromisoformat(text)).total_seconds())
    size, unit = next((one for one in _UNITS if abs(seconds) >= one[0]), (0, ""))
    if not size:
        return "just now"
    return f"{seconds // size}{unit} ago" if seconds > 0 else text[:10]


_BEHIND = 50
"""So many reasons that stand behind one are shown in a terminal."""
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"))


def instant(text: str | None) -> str:
    """An RFC 3339 time to the second.

    >>> instant("2014-01-01T04:00:00.000000Z")
    '2014-01-01 04:00:00Z'
    """
    return "-" if text is None else text[:10] + " " + text[11:19] + "Z"


def tree(reason: Mapping[str, Any]) -> str:
    """A reason and what stands behind it, a line each; in a terminal the first of very many that stand behind one."""
    return "\n".join(_branches(reason, "", None if terminal.size() is None else _BEHIND))


def _branches(reason: Mapping[str, Any], indent: str, most: int | None) -> Iterator[str]:
    yield indent + reason["text"]
    because = reason["because"]
    for one in because[:most]:
        yield from _branches(one, indent + "  ", most)
    if most is not None and len(because) > most:
        yield f"{indent}  and {len(because) - most:,} more: --json tells all"
