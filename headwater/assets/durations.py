"""Durations as people write them ("26h", "1d12h"), and moments and durations as sentences show them."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from functools import lru_cache

from headwater import clock
from headwater.errors import DefinitionError

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PIECE = re.compile(r"(\d+(?:\.\d+)?)\s*([wdhms])\s*")


def parse_duration(value: str | timedelta | float, *, where: str | None = None) -> timedelta:
    """A duration from text of weeks, days, hours, minutes and seconds, from a timedelta, or from seconds.

    Raises DefinitionError when it can't be read, or is not longer than nothing.

    >>> parse_duration("1d12h") == parse_duration("36h") == parse_duration(129_600)
    True
    """
    if isinstance(value, str):
        found = _parse(value)
    elif isinstance(value, timedelta):
        found = value
    elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        found = _seconds(value)
    else:
        found = None
    if found is None or found <= timedelta(0):
        raise DefinitionError(
            f"{ascii(value)[:60]} is not a duration",
            where=where,
            hint="write a positive duration such as '26h', '90m' or '1d12h', a timedelta, or seconds",
        )
    return found


@lru_cache(maxsize=1024)
def _parse(text: str) -> timedelta | None:
    pieces = _PIECE.findall(text)
    units = [unit for _, unit in pieces]
    in_order = sorted(set(units), key="wdhms".index) == units
    if not pieces or not in_order or _PIECE.sub("", text.strip()):
        return None
    return _seconds(sum(float(number) * _UNITS[unit] for number, unit in pieces))


def _seconds(value: float) -> timedelta | None:
    try:
        return timedelta(seconds=value)
    except OverflowError:
        return None


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
    for unit in "dhms" if left >= 2 * _UNITS["d"] else "hms":
        count, left = divmod(left, _UNITS[unit])
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
