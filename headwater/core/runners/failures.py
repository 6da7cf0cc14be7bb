"""Errors that cross a process boundary: what was raised, with its causes and the lines that it came through.

A traceback can't be pickled. The lines of the user's code are sent, and a traceback of the same lines is made of them, so
that what is recorded and what a caller sees is what a thread would have given.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from itertools import islice
from types import TracebackType
from typing import Any

from headwater.core.tracebacks import strip, summary, text_of
from headwater.records import dataclass

_MOST_FRAMES = 200
_MOST_CAUSES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line that an error came through: its function, and where in the text it stands."""

    file: str
    module: str
    function: str
    line: int
    end_line: int | None = None
    column: int | None = None
    end_column: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error as bytes, its lines, and what it was raised from."""

    error: bytes
    lines: tuple[Line, ...]
    cause: Failure | None = None
    context: Failure | None = None
    quiet: bool = False


def failure_of(error: BaseException, dumps: Callable[[Any], bytes], depth: int = 0) -> Failure:
    """An error to be sent; one that can't be pickled is sent as one of the same name and message."""
    deeper = depth < _MOST_CAUSES
    return Failure(
        error=_bytes_of(error, dumps),
        lines=_lines_of(strip(error.__traceback__) if depth == 0 else error.__traceback__),
        cause=failure_of(error.__cause__, dumps, depth + 1) if deeper and error.__cause__ is not None else None,
        context=failure_of(error.__context__, dumps, depth + 1) if deeper and error.__context__ is not None else None,
        quiet=error.__suppress_context__,
    )


def error_of(failure: Failure) -> BaseException:
    """The error again, with a traceback of its own lines."""
    error: BaseException = pickle.loads(failure.error)  # noqa: S301 - from our own process
    # An error may be a frozen dataclass, which takes no assignment.
    object.__setattr__(error, "__cause__", None if failure.cause is None else error_of(failure.cause))
    object.__setattr__(error, "__context__", None if failure.context is None else error_of(failure.context))
    object.__setattr__(error, "__suppress_context__", failure.quiet)
    return error.with_traceback(_traceback_of(failure.lines))


def _bytes_of(error: BaseException, dumps: Callable[[Any], bytes]) -> bytes:
    reason = ""
    for form in (error, _Plain(type(error), error.args, dict(vars(error)))):
        try:
            data = dumps(form)
            again = pickle.loads(data)  # noqa: S301 - our own bytes: what can't be read back must not be sent
            if type(again).__qualname__ == type(error).__qualname__:
                return data
        except Exception as found:  # noqa: BLE001 - a class of the user's may raise anything
            reason = reason or summary(found)
    note = f"it was raised in a worker process and could not be sent as it is: {reason}"
    kind = type(error)
    return dumps(_Named(kind.__qualname__, kind.__module__, text_of(error), isinstance(error, Exception), note))


class _Plain:
    """An error by its class, arguments and attributes, whatever its constructor wants."""

    def __init__(self, kind: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> None:
        self._parts = (kind, args, state)

    def __reduce__(self) -> tuple[Any, ...]:
        return _revived, self._parts


def _revived(kind: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> BaseException:
    error = kind.__new__(kind, *args)
    object.__setattr__(error, "args", args)
    vars(error).update(state)
    return error


class _Named:
    """An error of which only the name and the message are left."""

    def __init__(self, name: str, module: str, message: str, ordinary: bool, note: str) -> None:
        self._parts = (name, module, message, ordinary, note)

    def __reduce__(self) -> tuple[Any, ...]:
        return _stand_in, self._parts


def _stand_in(name: str, module: str, message: str, ordinary: bool, note: str) -> BaseException:
    kind: type[BaseException] = type(name, (Exception if ordinary else BaseException,), {"__module__": module})
    error = kind(message)
    error.add_note(note)
    return error


def _lines_of(trace: TracebackType | None) -> tuple[Line, ...]:
    found: list[Line] = []
    while trace is not None:
        found.append(_line_at(trace))
        trace = trace.tb_next
    return tuple(found[-_MOST_FRAMES:])


def _line_at(step: TracebackType) -> Line:
    code = step.tb_frame.f_code
    # Two bytes to an instruction; where in the line it stands shows an error's reader the very expression.
    place = next(islice(code.co_positions(), step.tb_lasti // 2, None), (None, None, None, None))
    end, column, end_column = place[1:] if place[0] == step.tb_lineno else (None, None, None)
    return Line(
        file=code.co_filename,
        module=str(step.tb_frame.f_globals.get("__name__", "")),
        function=code.co_name,
        line=step.tb_lineno,
        end_line=end,
        column=column,
        end_column=end_column,
    )


def _traceback_of(lines: tuple[Line, ...]) -> TracebackType | None:
    trace: TracebackType | None = None
    for line in reversed(lines):
        own = _step_at(line)
        trace = TracebackType(trace, own.tb_frame, own.tb_lasti, line.line)
    return trace


class _Mark(Exception):
    """Raised to get a frame."""


def _step_at(line: Line) -> TracebackType:
    """A traceback of one step whose frame says that it is at this line."""
    # By a table of places and not by a syntax tree: in CPython 3.11 two threads that make one at a time disturb each other.
    code = compile("raise _mark", line.file, "exec")
    places = b"".join(_place(line, units) for units in _eights(len(code.co_code) // 2))
    code = code.replace(co_name=line.function, co_firstlineno=line.line, co_linetable=places)
    try:
        exec(code, {"__name__": line.module, "_mark": _Mark})  # noqa: S102 - a statement that is written right above
    except _Mark as mark:
        trace = mark.__traceback__
    assert trace is not None
    assert trace.tb_next is not None
    return trace.tb_next


def _eights(units: int) -> list[int]:
    return [min(8, units - begun) for begun in range(0, units, 8)]


def _place(line: Line, units: int) -> bytes:
    """An entry of a code object's table of places, for so many units of code: all of them stand at the line's place.

    >>> _place(Line(file="f", module="m", function="f", line=7), 3).hex()
    'ea00'
    """
    if line.end_line is None or line.column is None or line.end_column is None:
        return bytes([0x80 | _NO_COLUMNS << 3 | units - 1, 0])
    more = (max(0, line.end_line - line.line), line.column + 1, line.end_column + 1)
    return bytes([0x80 | _LONG << 3 | units - 1, 0]) + b"".join(map(_varint, more))


_NO_COLUMNS, _LONG = 13, 14


def _varint(number: int) -> bytes:
    found = bytearray()
    while number >= 0x40:
        found.append(0x40 | number & 0x3F)
        number >>= 6
    found.append(number)
    return bytes(found)
