"""Time limits: a coroutine is cancelled when its time is up; what blocks can't be, so its overrun is told."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Awaitable
from typing import Any

from headwater.core.context import current
from headwater.errors import TimeLimitExceeded

_log = logging.getLogger("headwater.run")


async def within(value: Awaitable[Any], seconds: float) -> Any:
    """What an awaitable gives. Raises TimeLimitExceeded when that takes longer, after it was cancelled.

    What blocks the event loop until it ends can't be cancelled: that is told when it has ended.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds) as limit:
            try:
                return await value
            finally:
                until = limit.when()
                if until is not None and loop.time() > until and not limit.expired():
                    _tell(seconds, "the event loop was blocked, so it could not be stopped: await what takes long")
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise exceeded(seconds) from error


def exceeded(seconds: float) -> TimeLimitExceeded:
    """The error of the task run, or of the run, that this code belongs to, for having taken longer than that."""
    context = current()
    name = "it" if context is None else f"'{context.task or context.flow}'"
    error = TimeLimitExceeded(
        f"{name} took longer than {seconds:g} s", hint="give it more time with timeout=…, or look at what it waits for"
    )
    if context is not None:
        error.of = context.task_run_id or context.run_id
    return error


class overrun:
    """Warn, in the run's log, the moment that the block has taken longer than so many seconds."""

    # No generator: `contextmanager` assigns to what is raised in its block, which may be a frozen dataclass.
    def __init__(self, seconds: float) -> None:
        context = contextvars.copy_context()
        self._timer = threading.Timer(
            seconds, context.run, (_tell, seconds, "a thread can't be stopped, so it goes on")
        )
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()


def _tell(seconds: float, why: str) -> None:
    found = current()
    name = "" if found is None else f"'{found.task or found.flow}' "
    _log.warning("%shas run longer than its timeout of %g s; %s", name, seconds, why)
