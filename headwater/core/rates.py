"""Rate limits: never more than so many calls in any stretch of time, for all processes of a home.

Each call that goes on is counted in a small file, under a lock of its name: the moments of the last calls, so the window is
exact. Who has to wait holds that lock until the moment has come: one waits for the time, all others for their turn, and
whoever goes away took nothing from anybody.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
from array import array
from collections.abc import Awaitable, Generator, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from zlib import crc32

from headwater import clock
from headwater.core import runtime
from headwater.core.gates import Turn, check
from headwater.core.runners import waiting
from headwater.core.signals import interruptible, raise_pending
from headwater.errors import DefinitionError, JournalError
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.core.context import Run
    from headwater.core.journal.carrier import LockTable

Rates: TypeAlias = "tuple[tuple[str | None, Rate], ...]"
"""Names and rates; without a name it is the task's own."""

_log = logging.getLogger("headwater")

_SECONDS = {
    "s": 1,
    "sec": 1,
    "second": 1,
    "m": 60,
    "min": 60,
    "minute": 60,
    "h": 3_600,
    "hour": 3_600,
    "d": 86_400,
    "day": 86_400,
}
_FORM = re.compile(r"\s*([0-9]+)\s*/\s*([0-9]+(?:\.[0-9]+)?)?\s*([a-z]+?)(?:s(?<=[a-z]{2}))?\s*")
_MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """So many calls in any stretch of so many microseconds.

    >>> Rate.of("10/minute")
    Rate(calls=10, window=60000000)
    >>> Rate.of("5 / 2 s") == Rate.of("5/2 seconds")
    True
    """

    calls: int
    window: int

    @classmethod
    def of(cls, given: object) -> Rate:
        """A rate as it is written: `10/minute`, `5/2s`, `100/15 minutes`. Raises DefinitionError for what is none."""
        found = _FORM.fullmatch(given) if isinstance(given, str) else None
        seconds = _SECONDS.get(found[3]) if found is not None else None
        if found is None or seconds is None:
            raise DefinitionError(
                f"{given!r} is not a rate", hint="write calls and time: 10/minute, 5/s, 100/15 minutes"
            )
        calls, window = int(found[1]), round(float(found[2] or 1) * seconds * 1e6)
        if not 0 < calls <= _MOST or window <= 0:
            raise DefinitionError(
                f"{given!r} lets nothing through, or everything", hint=f"give 1 to {_MOST:,} calls in a time"
            )
        return cls(calls, window)

    def __str__(self) -> str:
        """As it is written.

        >>> str(Rate.of("10/minute")), str(Rate.of("3 / 1.5 s"))
        ('10/minute', '3/1.5 s')
        """
        for unit in ("day", "hour", "minute", "second"):
            if self.window == _SECONDS[unit] * 1_000_000:
                return f"{self.calls}/{unit}"
        return f"{self.calls}/{self.window / 1e6:g} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Now, on the clock that never jumps but begins anew with the machine, and on the one that people read; microseconds."""

    boot: str | None
    steady: int
    wall: int

    @classmethod
    def now(cls) -> Moment:
        """This moment."""
        from headwater.core.journal.segment import boot_id

        return cls(boot=boot_id(), steady=clock.steady_us(), wall=clock.now_us())

    def since(self, before: Moment) -> int | None:
        """Microseconds since an earlier moment; None when that can't be true. Within one start of the machine no jump of
        a clock counts; beyond it the wall clock is believed, unless it went back.

        >>> early = Moment(boot="a", steady=5, wall=1_000)
        >>> Moment(boot="a", steady=9, wall=0).since(early), Moment(boot="b", steady=1, wall=1_007).since(early)
        (4, 7)
        """
        steady, wall = self.steady - before.steady, max(0, self.wall - before.wall)
        if self.boot != before.boot:
            return wall
        if self.boot is not None:
            return steady if steady >= 0 else None
        # A system that does not say when it was started: the shorter one is never wrong by letting too many through.
        return min(steady, wall) if steady >= 0 else wall


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The moments of the last calls, oldest first, on the steady clock of `at`; `most` and `longest` say which to keep."""

    name: str
    at: Moment
    times: array[int]
    most: int = 1
    longest: int = 1

    def left(self, rate: Rate, now: Moment) -> int:
        """Microseconds until the next call may go on, at a moment on the same steady clock; 0: now.

        >>> now = Moment(boot=None, steady=100, wall=0)
        >>> Tally(name="api", at=now, times=array("q", [90, 95])).left(Rate(2, 60), now)
        50
        """
        if len(self.times) < rate.calls:
            return 0
        return max(0, self.times[-rate.calls] + rate.window - now.steady)

    def counted(self, rate: Rate, now: Moment) -> Tally:
        """With one call more, now."""
        most, longest = max(self.most, rate.calls), max(self.longest, rate.window)
        first = max(0, len(self.times) + 1 - most)
        while first < len(self.times) and self.times[first] + longest <= now.steady:
            first += 1
        times = self.times[first:] + array("q", [now.steady])
        return replace(self, at=now, times=times, most=most, longest=longest)

    def encoded(self) -> bytes:
        """As it stands in its file."""
        head = [self.name, self.at.boot, self.at.steady, self.at.wall, self.most, self.longest]
        data = json.dumps(head).encode() + b"\n" + self.times.tobytes()
        return b"%08x " % crc32(data) + data


def recalled(data: bytes, now: Moment) -> Tally | None:
    """What `encoded` gave, on the steady clock of now; None when it is damaged. Pure.

    >>> now = Moment(boot="a", steady=7, wall=9)
    >>> recalled(Tally(name="api", at=now, times=array("q", [3, 5])).encoded(), now).times
    array('q', [3, 5])
    >>> recalled(b"nonsense", now) is None
    True
    """
    try:
        if crc32(data[9:]) != int(data[:8], 16):
            return None
        head, _, packed = data[9:].partition(b"\n")
        name, boot, steady, wall, most, longest = json.loads(head)
        times = array("q", packed)
    except (ValueError, TypeError):
        return None
    elapsed = now.since(Moment(boot=boot, steady=steady, wall=wall))
    if elapsed is None:
        return None
    shift = now.steady - elapsed - steady
    moved = array("q", (one + shift for one in times)) if shift else times
    return Tally(name=name, at=now, times=moved, most=most, longest=longest)


class Counter:
    """The file in which the calls of one rate are counted; only who holds the rate's lock may use it."""

    def __init__(self, folder: Path, name: str) -> None:
        self._name = name
        self._path = folder / hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:40]

    def left(self, rate: Rate) -> int:
        """Count a call if it may go on now (0), else the microseconds until one may. Raises JournalError."""
        try:
            now = Moment.now()
            tally = self._recall(rate, now)
            left = tally.left(rate, now)
            if not left:
                self._write(tally.counted(rate, now))
            return left
        except OSError as error:
            raise JournalError(
                f"the calls of the rate limit '{self._name}' can't be counted: {error.strerror or error}",
                where=str(self._path),
                hint="free space or make the home writable",
            ) from error

    def _recall(self, rate: Rate, now: Moment) -> Tally:
        try:
            with self._path.open("rb") as file:
                data, changed = file.read(), os.fstat(file.fileno()).st_mtime_ns // 1_000
        except FileNotFoundError:
            return Tally(name=self._name, at=now, times=array("q"))
        tally = recalled(data, now)
        if tally is None:
            # It was not written after it was last changed: as if all calls had gone on then.
            last = now.steady - max(0, now.wall - changed)
            _log.warning(
                "the count of the rate limit '%s' is damaged: it is taken for full (%s)", self._name, self._path
            )
            tally = Tally(name=self._name, at=now, times=array("q", [last] * rate.calls))
        return tally

    def _write(self, tally: Tally) -> None:
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        new = self._path.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(tally.encoded())
        new.replace(self._path)


def counted(folder: Path) -> list[tuple[str, Rate, int]]:
    """The rates of a folder by name, each with how many calls count now: of the widest rate that was asked for."""
    now, found = Moment.now(), []
    for path in folder.glob("[0-9a-f]*[0-9a-f]"):
        with contextlib.suppress(OSError):
            tally = recalled(path.read_bytes(), now)
            if tally is not None:
                rate = Rate(tally.most, tally.longest)
                used = sum(one + rate.window > now.steady for one in tally.times)
                found.append((tally.name, rate, used))
    return sorted(found, key=lambda one: one[0])


class RateTurn:
    """Somebody's way to a call that may go on; like `gates.Turn`, and done with it once it has been counted."""

    def __init__(
        self, locks: LockTable, folder: Path, name: str, rate: Rate, *, told: str = "", is_async: bool = False
    ) -> None:
        self.name = self.limit = f"rate:{name}"
        """What is told of it, and its lock."""
        self._rate = rate
        self._counter = Counter(folder, name)
        self._turn = Turn(locks, self.name, 1, told=told, is_async=is_async)

    def start(self) -> bool:
        """Whether it may go on at once, and if so, it has been counted."""
        return self._turn.start() and not self._left()

    def wait(self, run: Run | None, seconds: float | None = None) -> bool:
        """Wait in this thread, for so many seconds at most; whether it may go on."""
        until = None if seconds is None else clock.steady_us() + int(seconds * 1e6)
        if not self._turn.wait(run, seconds):
            return False
        with waiting():
            for left in self._pauses(until):
                _sleep(run, left)
                check(run)
        return self._turn.lock is None

    async def wait_async(self, run: Run | None, seconds: float | None = None) -> bool:
        """The same in a coroutine, without holding up its loop."""
        until = None if seconds is None else clock.steady_us() + int(seconds * 1e6)
        if not await self._turn.wait_async(run, seconds):
            return False
        with waiting():
            for left in self._pauses(until):
                await clock.sleep_async(left)
                check(run)
        return self._turn.lock is None

    def free(self) -> None:
        """Leave the way to others."""
        self._turn.free()

    def _pauses(self, until: int | None) -> Generator[float, None, None]:
        """How many seconds to sleep, as often as it is asked, until it has been counted or would come too late."""
        while left := self._left():
            if until is not None and clock.steady_us() + left > until:
                return
            yield left / 1e6

    def _left(self) -> int:
        left = self._counter.left(self._rate)
        if not left:
            self._turn.free()
        return left


@interruptible
def _sleep(run: Run | None, seconds: float) -> None:
    raise_pending()
    if run is None:
        clock.sleep(seconds)
    else:
        run.cancelled.wait(seconds)


def rate_limit(name: str, rate: str, *, timeout: float | None = None) -> Awaitable[None]:
    """Go on as soon as a rate allows it: never more than so many calls in any stretch of time, in all processes of a home.

    Waits where it is called; in a coroutine write `await rate_limit(…)`. The rate is written as `10/minute`, `5/s` or
    `100/15 minutes`. Raises TimeLimitExceeded when that takes longer than `timeout` seconds, DefinitionError for what is
    no rate.

    >>> from headwater.testing import project
    >>> with project():
    ...     _ = rate_limit("api", "10/minute")
    ...     try_rate_limit("api", "1/minute")
    False
    """
    found, timeout = Rate.of(rate), clock.patience(timeout)
    from headwater.core.concurrency import Slots
    from headwater.core.context import running_loop

    slots = Slots.of((), {}, rates=((name, found),), is_async=running_loop() is not None)
    if slots.is_async:
        return slots.pass_async(timeout)
    slots.take(timeout)
    slots.free()
    return _Passed()


def try_rate_limit(name: str, rate: str) -> bool:
    """Whether a call may go on now, and if so, it has been counted: what `rate_limit` does, for who would rather not wait.

    >>> from headwater.testing import project
    >>> with project():
    ...     [try_rate_limit("api", "2/hour") for _ in range(3)]
    [True, True, False]
    """
    found = runtime.current()
    turn = RateTurn(found.locks, found.home.path / FOLDER, name, Rate.of(rate))
    try:
        return turn.start()
    finally:
        turn.free()


FOLDER = "rates"
"""Where in the home the counts are."""


class _Passed:
    def __await__(self) -> Generator[None, None, None]:
        yield from ()


def rates_of(given: object) -> Rates:
    """Names and rates, as the option `rate` is written; without a name it is the task's own. Raises DefinitionError.

    >>> rates_of({"api": "10/minute"})
    (('api', Rate(calls=10, window=60000000)),)
    """
    if given is None or isinstance(given, tuple):
        return given or ()
    items: Iterable[tuple[object, object]] = given.items() if isinstance(given, Mapping) else [(None, given)]
    found: list[tuple[str | None, Rate]] = []
    for name, rate in items:
        if name is not None and not (isinstance(name, str) and name):
            raise DefinitionError(f"the name of a rate is a text, got {name!r}", hint='write rate={"api": "10/minute"}')
        found.append((name, rate if isinstance(rate, Rate) else Rate.of(rate)))
    return tuple(sorted(found, key=lambda one: one[0] or ""))
