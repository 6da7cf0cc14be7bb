"""Identifiers: UUIDs of version 7 (RFC 9562), which sort by the time they were made."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator

from headwater import clock

_BATCH = struct.Struct("256Q")
_random: Iterator[int] = iter(())
"""Random numbers of 64 bits: asking the system for many at once costs a tenth."""


class _Millisecond:
    """What all ids of one millisecond begin and end with, and the counter that tells them apart."""

    __slots__ = ("back", "began", "count", "front")

    def __init__(self, began: int) -> None:
        global _random
        random = next(_random, None)
        if random is None:
            _random = iter(_BATCH.unpack(os.urandom(_BATCH.size)))
            random = next(_random)
        ms = began // 1_000
        self.began = began
        self.count = -1
        self.front = b"%08x-%04x-7" % (ms >> 16, ms & 0xFFFF)
        self.back = b"-%04x-%012x" % (0x8000 | random >> 50, random & 0xFFFF_FFFF_FFFF)


_lock = threading.RLock()
_now = _Millisecond(0)


def _after_fork() -> None:
    # Another thread may have been holding the lock: in the child nobody would ever let it go. Nor may parent and child
    # use the same random numbers.
    global _lock, _random, _now
    _lock = threading.RLock()
    _random = iter(())
    _now = _Millisecond(_now.began + 1_000)


# A signal that finds a new child in there ends the call, and what it raised is dropped: the next call does the rest.
for _ in range(3):
    os.register_at_fork(after_in_child=_after_fork)


def new_id(at: int | None = None) -> str:
    """A new UUIDv7 as text; within a process each is greater than the one before.

    `at` is the moment that it is made at, where the caller has just looked: microseconds since the epoch.

    >>> first, second = new_id(), new_id()
    >>> first < second and len(first) == 36 and first[14] == "7"
    True
    """
    return (b"%b%03x%b" % reserve(clock.now_us() if at is None else at)).decode()


def asked_id() -> str:
    """The id that a worker gave to what this process was started for (`HEADWATER_REQUEST`), once; else a new one."""
    return os.environ.pop("HEADWATER_REQUEST", None) or new_id()


def resumed_for() -> str | None:
    """The request that a worker started this process for to go on with a run (`HEADWATER_RESUMES`), once; else None."""
    return os.environ.pop("HEADWATER_RESUMES", None)


MOST = 1 << 12
"""How many ids can be reserved at once."""


def reserve(at: int, many: int = 1) -> tuple[bytes, int, bytes]:
    """New ids for who writes very many, `MOST` at most: what they begin with, the first of so many numbers, what they end with.

    >>> front, first, back = reserve(1_763_680_000_000_000, 2)
    >>> [len(b"%b%03x%b" % (front, number, back)) for number in (first, first + 1)]
    [36, 36]
    """
    # 48 bits of milliseconds, then 12 bits that RFC 9562 (section 6.2, method 3) lets us fill with the
    # sub-millisecond part: together one counter, which we never let stand still or go back. It alone tells the ids of a
    # process apart, so those of one millisecond share their random bits.
    global _now
    with _lock:
        while True:
            now = _now
            passed = at - now.began
            count = passed << 2
            if count <= now.count:
                count = now.count + 1
            if passed < 1_000 and count + many <= MOST:
                break
            fresh = _Millisecond(max(at - at % 1_000, now.began + 1_000))
            if fresh.began > _now.began:  # a signal handler may have made an id meanwhile
                _now = fresh
        now.count = count + many - 1  # no call since the look at it, so no signal handler came between
    return now.front, count, now.back


def derived_id(*parts: object) -> str:
    """A stable UUIDv5 made of its parts: the same parts give the same id on every machine.

    >>> derived_id("run", 2) == derived_id("run", 2) != derived_id("run", 3)
    True
    """
    import uuid

    return str(uuid.uuid5(uuid.NAMESPACE_OID, "\x1f".join(map(str, parts))))
