"""The one place where the time is read; a test swaps it for a clock that it moves itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, tzinfo
from datetime import time as clock_time
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_NAIVE = datetime(1970, 1, 1)


class Clock(Protocol):
    """What Headwater asks of a clock: microseconds since 1970-01-01 UTC, and a wait."""

    def now_us(self) -> int:
        """Microseconds since the epoch."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_us(self) -> int:
        """Microseconds since the epoch."""
        return time.time_ns() // 1_000

    def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        time.sleep(seconds)


_system = SystemClock()
_clock: Clock = _system


def now_us() -> int:
    """Microseconds since the epoch: the unit of every time in the journal."""
    return time.time_ns() // 1_000 if _clock is _system else _clock.now_us()


def now() -> datetime:
    """The current time, aware, in UTC.

    >>> now().tzinfo is UTC
    True
    """
    return from_us(_clock.now_us())


def steady_us() -> int:
    """Microseconds of a clock that never jumps, the same for all processes until the machine starts anew.

    A test's clock may have its own `steady_us`; one that has none is taken for steady itself.
    """
    if _clock is _system:
        return machine_us()
    steady: Callable[[], int] = getattr(_clock, "steady_us", _clock.now_us)
    return steady()


def machine_us() -> int:
    """Microseconds of the machine's own steady clock, for waits that are real whatever clock is in place."""
    return time.monotonic_ns() // 1_000


def deadline(seconds: float | None) -> int | None:
    """When so many seconds are over, in microseconds of the machine's own steady clock; None: never."""
    return None if seconds is None else machine_us() + int(seconds * 1e6)


def left(until: int | None) -> float | None:
    """Seconds until a deadline, 0 once it is past; None: there is none.

    >>> left(deadline(-1)), left(deadline(None))
    (0.0, None)
    """
    return None if until is None else max(0.0, (until - machine_us()) / 1e6)


def sleep(seconds: float) -> None:
    """Wait for so many seconds of the current clock."""
    _clock.sleep(seconds)


SLICE = 0.25
"""Seconds that the main thread waits without a look at what signals have arrived."""


def in_slices(attempt: Callable[[float | None], bool], seconds: float | None) -> bool:
    """Wait by attempts: `attempt(seconds)` waits so long at most and says whether what it waits for is there.

    A signal that arrives after the interpreter's last look, and before the kernel puts the main thread to sleep, wakes
    nobody: a wait without an end would never hear of it. So the main thread, which alone handles signals, waits in slices.
    """
    if threading.current_thread() is not threading.main_thread():
        return attempt(seconds)
    until = None if seconds is None else time.monotonic() + seconds
    while True:
        left = SLICE if until is None else max(0.0, min(SLICE, until - time.monotonic()))
        if attempt(left):
            return True
        if until is not None and time.monotonic() >= until:
            return False


def patience(timeout: float | None) -> float | None:
    """Seconds that somebody waits, None for ever, which is also what no clock could count. Raises UsageError for no number.

    >>> patience(1.5), patience(float("inf")), patience(float("-inf"))
    (1.5, None, 0)
    """
    if timeout is None:
        return None
    try:
        if timeout > threading.TIMEOUT_MAX:
            return None
        is_number = timeout == timeout
    except TypeError:
        is_number = False
    if not is_number:
        from headwater.errors import UsageError

        raise UsageError(
            f"{timeout!r} is no number of seconds to wait", hint="give a number of seconds, or None for ever"
        )
    return max(timeout, 0)


class Waitable(Protocol):
    """What can be waited for, like `threading.Event`."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for so many seconds at most; says whether it is set."""
        ...

    def is_set(self) -> bool:
        """Whether it is set."""
        ...


def wait(event: Waitable, seconds: float) -> bool:
    """Wait for so many seconds of the current clock, at most until the event is set; says whether it is set."""
    if isinstance(_clock, SystemClock):
        return in_slices(event.wait, seconds)
    _clock.sleep(seconds)
    return event.is_set()


async def sleep_async(seconds: float) -> None:
    """Wait for so many seconds of the current clock without holding up the event loop."""
    if isinstance(_clock, SystemClock):
        import asyncio

        await asyncio.sleep(seconds)
    else:
        _clock.sleep(seconds)


def from_us(us: int) -> datetime:
    """The aware UTC datetime of so many microseconds since the epoch.

    >>> from_us(0).isoformat()
    '1970-01-01T00:00:00+00:00'
    """
    return EPOCH + timedelta(microseconds=us)


def to_us(moment: datetime) -> int:
    """Microseconds since the epoch of an aware datetime.

    >>> to_us(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    return (moment - EPOCH) // timedelta(microseconds=1)


def given_us(moment: datetime) -> int:
    """Microseconds since the epoch of a datetime that somebody gave: without a zone it is UTC.

    >>> given_us(datetime(1970, 1, 1, 0, 0, 1))
    1000000
    """
    return to_us(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def day_us(day: date, zone: tzinfo, *, end: bool = False) -> int:
    """The start of a local day, or its end, in microseconds since the epoch. No day ends later than time can be written.

    >>> day_us(date(1970, 1, 1), UTC), day_us(date(1970, 1, 1), UTC, end=True), is_time(day_us(date.max, UTC, end=True))
    (0, 86400000000, True)
    """
    if end and day == date.max:
        return to_us(datetime.max.replace(tzinfo=UTC))
    return to_us(datetime.combine(day + timedelta(days=1) if end else day, clock_time.min, zone))


def is_time(us: int) -> bool:
    """Whether so many microseconds since the epoch lie in a year from 1 to 9999: others can't be written.

    >>> is_time(0), is_time(to_us(datetime.max.replace(tzinfo=UTC))), is_time(to_us(datetime.max.replace(tzinfo=UTC)) + 1)
    (True, True, False)
    """
    return to_us(datetime.min.replace(tzinfo=UTC)) <= us <= to_us(datetime.max.replace(tzinfo=UTC))


def rfc3339(us: int) -> str:
    """RFC 3339 in UTC with microseconds, the form of every time that `--json` prints.

    >>> rfc3339(0)
    '1970-01-01T00:00:00.000000Z'
    """
    return (_EPOCH_NAIVE + timedelta(microseconds=us)).isoformat(timespec="microseconds") + "Z"


@contextmanager
def use(clock: Clock) -> Iterator[Clock]:
    """Put another clock in place for a while (tests)."""
    global _clock
    before, _clock = _clock, clock
    try:
        yield clock
    finally:
        _clock = before
