"""Errors as users want to see them: without the frames of the engine around their own code."""

from __future__ import annotations

import traceback
from types import TracebackType

from headwater.types import ErrorInfo

_CORE = "headwater.core"
_OURS = "headwater"


def strip(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from where the engine called something: its leading frames are left out, unless nothing else is left."""
    found, one = trace, trace
    while one is not None:
        name: str = one.tb_frame.f_globals.get("__name__", "")
        if not (name == _OURS or name.startswith(_OURS + ".")):
            break
        if name.startswith(_CORE) and one.tb_next is not None:
            found = one.tb_next
        one = one.tb_next
    return found


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
