"""Errors as users want to see them: without the frames of the engine around their own code."""

from __future__ import annotations

import traceback
from types import FrameType, TracebackType

from headwater.errors import HeadwaterError
from headwater.types import ErrorInfo

_CORE = "headwater.core"
_OURS = "headwater"


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


def error_info(error: BaseException) -> ErrorInfo:
    """An exception as it stands in the journal, its traceback without the engine's own leading frames.

    >>> error_info(ValueError("no")).message
    'no'
    """
    trace = strip(error.__traceback__)
    lines = traceback.format_exception(type(error), error, trace) if trace is not None else None
    return ErrorInfo(type=type(error).__qualname__, message=str(error), traceback="".join(lines) if lines else None)


def summary(error: BaseException) -> str:
    """The error in a line.

    >>> summary(ValueError("no"))
    'ValueError: no'
    """
    return "".join(traceback.format_exception_only(type(error), error)).strip().splitlines()[0]
