"""Identifiers: UUIDs of version 7 (RFC 9562), which sort by the time they were made."""

from __future__ import annotations

import os
import threading
import uuid

from headwater import clock

_lock = threading.RLock()
_last = 0


def _after_fork() -> None:
    # Another thread may have been holding it: in the child nobody would ever let it go.
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)


def new_id() -> str:
    """A new UUIDv7 as text; within a process each is greater than the one before.

    >>> first, second = new_id(), new_id()
    >>> first < second and len(first) == 36 and first[14] == "7"
    True
    """
    global _last
    # 48 bits of milliseconds, then 12 bits that RFC 9562 (section 6.2, method 3) lets us fill with the
    # sub-millisecond part: together one counter, which we never let stand still or go back.
    ms, us = divmod(clock.now_us(), 1_000)
    stamp = (ms << 12) | (us << 2)
    with _lock:
        stamp = _last = max(stamp, _last + 1)
    random = int.from_bytes(os.urandom(8), "big")
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
    return str(uuid.uuid5(uuid.NAMESPACE_OID, "\x1f".join(map(str, parts))))
