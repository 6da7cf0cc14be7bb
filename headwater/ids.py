"""Identifiers: UUIDs of version 7 (RFC 9562), which sort by the time they were made."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator

from headwater import clock

_lock = threading.RLock()
_last = 0
_BATCH = struct.Struct("256Q")
_random: Iterator[int] = iter(())
"""Random numbers of 64 bits: asking the system for many at once costs a tenth."""


def _after_fork() -> None:
    # Another thread may have been holding the lock: in the child nobody would ever let it go. Nor may parent and child
    # use the same random numbers.
    global _lock, _random
    _lock = threading.RLock()
    _random = iter(())


os.register_at_fork(after_in_child=_after_fork)


def new_id(at: int | None = None) -> str:
    """A new UUIDv7 as text; within a process each is greater than the one before.

    `at` is the moment that it is made at, where the caller has just looked: microseconds since the epoch.

    >>> first, second = new_id(), new_id()
    >>> first < second and len(first) == 36 and first[14] == "7"
    True
    """
    global _last, _random
    # 48 bits of milliseconds, then 12 bits that RFC 9562 (section 6.2, method 3) lets us fill with the
    # sub-millisecond part: together one counter, which we never let stand still or go back.
    ms, us = divmod(clock.now_us() if at is None else at, 1_000)
    stamp = (ms << 12) | (us << 2)
    with _lock:
        stamp = _last = stamp if stamp > _last else _last + 1
        random = next(_random, None)
        if random is None:
            _random = iter(_BATCH.unpack(os.urandom(_BATCH.size)))
            random = next(_random)
    return "%08x-%04x-%04x-%04x-%012x" % (  # noqa: UP031 (an f-string takes half as long again)
        stamp >> 28,
        stamp >> 12 & 0xFFFF,
        0x7000 | stamp & 0xFFF,
        0x8000 | random >> 50,
        random & 0xFFFF_FFFF_FFFF,
    )


def derived_id(*parts: object) -> str:
    """A stable UUIDv5 made of its parts: the same parts give the same id on every machine.

    >>> derived_id("run", 2) == derived_id("run", 2) != derived_id("run", 3)
    True
    """
    import uuid

    return str(uuid.uuid5(uuid.NAMESPACE_OID, "\x1f".join(map(str, parts))))
