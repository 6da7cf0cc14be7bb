"""Durations as people write them ("26h", "1d12h"), and moments and durations as sentences show them."""

from __future__ import annotations

from functools import lru_cache

from headwater import clock
from headwater.core.durations import UNITS, parse_duration

__all__ = ["format_duration", "moment", "parse_duration"]


@lru_cache(maxsize=4096)
def format_duration(seconds: float) -> str:
    """A duration as a sentence shows it: its two greatest units; hours up to two days.

    >>> format_duration(93_600), format_duration(5_400), format_duration(266_400), format_duration(0.25)
    ('26h', '1h 30m', '3d 2h', '0.25s')
    """
    if seconds < 1:
        return f"{seconds:.3g}s"
    left = int(seconds)
    parts: list[str] = []
    for unit in "dhms" if left >= 2 * UNITS["d"] else "hms":
        count, left = divmod(left, UNITS[unit])
        if count or parts:
            parts.append(f"{count}{unit}" if count else "")
    return " ".join(part for part in parts[:2] if part)


def moment(us: int) -> str:
    """A moment (microseconds since the epoch) as a sentence shows it: UTC, without what is zero behind the minutes.

    >>> moment(0), moment(1_500_000)
    ('1970-01-01T00:00Z', '1970-01-01T00:00:01.500000Z')
    """
    at = clock.from_us(us)
    unit = "microseconds" if at.microsecond else "seconds" if at.second else "minutes"
    return at.replace(tzinfo=None).isoformat(timespec=unit) + "Z"
