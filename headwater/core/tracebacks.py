"""Errors as users want to see them: without the frames of the engine around their own code."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path
from types import FrameType, TracebackType

from headwater.errors import HeadwaterError
from headwater.types import ErrorInfo

_CORE = "headwater.core"
_OURS = "headwater"
_NOT_THE_USERS = ("<", str(Path(__file__).parents[1]), sysconfig.get_path("stdlib"))
"""Where code lies that is not the user's: generated, ours, Python's own."""


def _module(frame: FrameType) -> str:
    name: str = frame.f_globals.get("__name__", "")
    return name


def _is_ours(frame: FrameType) -> bool:
    name = _module(frame)
    return name == _OURS or name.startswith(_OURS + ".")


def strip(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from where the engine called something: its leading frames are left out, unless nothing else is left."""
    found, one = trace, trace
    while one is not None:
        if not _is_ours(one.tb_frame):
            break
        if _module(one.tb_frame).startswith(_CORE) and one.tb_next is not None:
            found = one.tb_next
        one = one.tb_next
    return found


def shown(error: BaseException) -> TracebackType | None:
    """The traceback that a caller is to see. An error that Headwater itself raised says what is wrong and where: of that none
    of Headwater's own frames is shown.
    """
    trace = strip(error.__traceback__)
    if not isinstance(error, HeadwaterError):
        return trace
    return trace if any(not _is_ours(frame) for frame, _ in traceback.walk_tb(trace)) else None


def as_raised(error: BaseException) -> BaseException:
    """The error that a function raised: a StopIteration leaves no generator as it is, and the engine is made of them."""
    cause = error.__cause__
    if type(error) is not RuntimeError or not isinstance(cause, StopIteration) or cause.__traceback__ is None:
        return error
    # The frame that it came out of: a generator or a coroutine of the user's own makes the same of it, which stays.
    return cause if _is_ours(cause.__traceback__.tb_frame) else error


def error_info(error: BaseException) -> ErrorInfo:
    """An exception as it stands in the journal, its traceback without the engine's own leading frames.

    >>> error_info(ValueError("no")).message
    'no'
    """
    trace = strip(error.__traceback__)
    lines = traceback.format_exception(type(error), error, trace) if trace is not None else None
    return ErrorInfo(type=type(error).__qualname__, message=text_of(error), traceback="".join(lines) if lines else None)


def text_of(error: BaseException) -> str:
    """What an error says; its class may be the user's own, and raise when it is asked.

    >>> text_of(ValueError("no"))
    'no'
    """
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - whatever it raises, what is told is the error that it belongs to
        return "(its text can't be shown)"


def users_line(error: BaseException) -> str | None:
    """The innermost line of the user's own code that an error came through, as `file:line`."""
    found = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        if not (file.startswith(_NOT_THE_USERS) or "site-packages" in file):
            found = f"{file}:{line}"
    return found


def in_users_words(error: BaseException) -> HeadwaterError:
    """An error of any kind as one that says where: one of our own as it is, another with the user's line.

    >>> in_users_words(ValueError("no shop")).message
    'ValueError: no shop'
    """
    if isinstance(error, HeadwaterError):
        return error
    hint = "mend what that line does, and run it again" if (line := users_line(error)) else None
    return HeadwaterError(f"{type(error).__name__}: {text_of(error)}", where=line, hint=hint)


def summary(error: BaseException) -> str:
    """The error in a line.

    >>> summary(ValueError("no"))
    'ValueError: no'
    """
    return "".join(traceback.format_exception_only(type(error), error)).strip().splitlines()[0]
