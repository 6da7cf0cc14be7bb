"""Durations as people write them, such as 26h or 1d12h."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache

from headwater.errors import DefinitionError

UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
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
    elif isinstance(value, int | float) and not isinstance(value, bool):
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
    return _seconds(sum(float(number) * UNITS[unit] for number, unit in pieces))


def _seconds(value: float) -> timedelta | None:
    try:
        return timedelta(seconds=value)
    except (OverflowError, ValueError):  # too long, endless, or no number
        return None
