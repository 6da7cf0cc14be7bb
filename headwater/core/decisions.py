"""What comes next after a try of a task or an attempt of a flow: pure, so that both drivers decide alike."""

from __future__ import annotations

import sys
from typing import Any

from headwater.core.options import RetryDelay, TaskOptions, is_delay
from headwater.core.states import State
from headwater.errors import Cancelled, DefinitionError
from headwater.records import dataclass


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after so many seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class Finish:
    """It is over, in this state."""

    state: State


def after_error(
    options: TaskOptions,
    tries: int,
    error: BaseException,
    *,
    refused: bool = False,
    timed_out: bool = False,
    crashed: bool = False,
    final: bool = False,
) -> Retry | Finish:
    """What follows when try number `tries` (from 1) raised `error`; `final` says that no other try may follow.

    >>> after_error(TaskOptions(retries=1, retry_delay=3), 1, ValueError())
    Retry(delay=3.0)
    >>> after_error(TaskOptions(retries=1), 2, ValueError())
    Finish(state=<State.FAILED: 'Failed'>)
    """
    if is_cancellation(error):
        return Finish(State.CANCELLED)
    if refused:
        return Finish(State.BLOCKED)
    failed = State.TIMED_OUT if timed_out else State.CRASHED if crashed else State.FAILED
    if final or not isinstance(error, Exception) or tries > options.retries:
        return Finish(failed)
    if options.retry_if is not None and not options.retry_if(error):
        return Finish(failed)
    return Retry(retry_delay(options.retry_delay, tries))


def retry_delay(delay: RetryDelay, tries: int) -> float:
    """Seconds to wait after try number `tries` (from 1) has failed. Raises DefinitionError for a function that gives none.

    >>> [retry_delay([1, 10], tries) for tries in (1, 2, 3)]
    [1.0, 10.0, 10.0]
    """
    if callable(delay):
        found = _plain(delay(tries))
        if not is_delay(found):
            from headwater.core.definition import place_of

            raise DefinitionError(
                f"the function of retry_delay gave {found!r} after try {tries}, which is no number of seconds from 0",
                where=place_of(delay),
                hint="return 0 to try again at once; retry_if says whether to try again at all",
            )
        return float(found)
    if isinstance(delay, (int, float)):
        return float(delay)
    return float(delay[min(tries, len(delay)) - 1])


def _plain(value: Any) -> Any:
    """A number of NumPy, a Decimal or a Fraction as a float; anything else as it is."""
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
        return value
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return value


def is_cancellation(error: BaseException) -> bool:
    """Whether an error says "stop" rather than "this went wrong".

    >>> is_cancellation(KeyboardInterrupt()), is_cancellation(ValueError())
    (True, False)
    """
    if isinstance(error, (Cancelled, KeyboardInterrupt, GeneratorExit)):
        return True
    if isinstance(error, Exception):
        return False
    # asyncio costs 30 ms to import: who has not imported it can't have raised its error.
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and isinstance(error, asyncio.CancelledError)
