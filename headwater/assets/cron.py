"""The calendar of a cron expression: its firings numbered, from number to local time and back, without stepping through.

A local calendar repeats every 400 years, and which days of a year match depends only on the weekday on which it begins
and on whether it is a leap year: fourteen years are all that there is to look through.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from calendar import isleap, monthrange
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from functools import cached_property, lru_cache
from typing import NoReturn, TypeAlias

from headwater.errors import DefinitionError
from headwater.records import dataclass

_CYCLE = 400
_MONTHS = {
    name: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}
_WEEKDAYS = {name: number for number, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
_NO_NAMES: Mapping[str, int] = {}
_SHORT = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_Days: TypeAlias = Callable[[date], bool]


@dataclass(frozen=True, kw_only=True)
class CronCalendar:
    """The firings of one expression. Number 0 is the first one of the year 1.

    >>> weekdays = calendar_of("0 6 * * 1-5")
    >>> number = weekdays.floor(datetime(2024, 1, 7))
    >>> weekdays.local(number).isoformat(), weekdays.local(number + 1).isoformat()
    ('2024-01-05T06:00:00', '2024-01-08T06:00:00')
    """

    text: str
    times: tuple[int, ...]
    """The minutes of a matching day at which it fires."""
    months: frozenset[int]
    matches: _Days

    def local(self, number: int) -> datetime:
        """The local time (naive) of the firing of that number; the calendar's last minute for what lies behind it."""
        day, place = divmod(number, len(self.times))
        cycle, day = divmod(day, self._before[-1])
        index = bisect_right(self._before, day) - 1
        year = 1 + cycle * _CYCLE + index
        if year > date.max.year:
            return datetime.max.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
        in_year = self._year(year)[day - self._before[index]]
        return datetime(year, 1, 1) + timedelta(days=in_year, minutes=self.times[place])

    def floor(self, moment: datetime) -> int:
        """The number of the last firing at or before a local time (naive)."""
        cycle, index = divmod(moment.year - 1, _CYCLE)
        days, today = self._year(moment.year), moment.timetuple().tm_yday - 1
        place = bisect_right(days, today)
        number = (cycle * self._before[-1] + self._before[index] + place) * len(self.times)
        if place and days[place - 1] == today:
            later = len(self.times) - bisect_right(self.times, moment.hour * 60 + moment.minute)
            number -= later
        return number - 1

    def _year(self, year: int) -> tuple[int, ...]:
        return self._years[isleap(year), date(year, 1, 1).weekday()]

    @cached_property
    def _years(self) -> dict[tuple[bool, int], tuple[int, ...]]:
        """The days that match (from 0) of each kind of year."""
        found: dict[tuple[bool, int], tuple[int, ...]] = {}
        for year in range(2000, 2028):
            first = date(year, 1, 1)
            days = enumerate(map(date.fromordinal, range(first.toordinal(), date(year + 1, 1, 1).toordinal())))
            matching = tuple(place for place, day in days if day.month in self.months and self.matches(day))
            found[isleap(year), first.weekday()] = matching
        return found

    @cached_property
    def _before(self) -> tuple[int, ...]:
        """How many days match before each year of a cycle, and in a whole one."""
        found = [0]
        for year in range(1, _CYCLE + 1):
            found.append(found[-1] + len(self._year(year)))
        return tuple(found)


@lru_cache(maxsize=256)
def calendar_of(expression: str) -> CronCalendar:
    """The calendar of a cron expression: minute, hour, day of the month, month, day of the week.

    Lists, ranges, steps, names of months and weekdays, `L` for the last day of a month, `FRI#2` and `FRIL` for the second
    and the last Friday of a month, and @hourly, @daily, @weekly, @monthly, @yearly. As in cron, a day of the month and a
    day of the week that are both given are alternatives. Raises DefinitionError for anything else.
    """
    fields = _SHORT.get(expression.strip().lower(), expression).upper().split()
    if len(fields) != 5:
        _refuse(expression, f"it has {len(fields)} parts, not 5")
    minutes, hours = _numbers(expression, fields[0], 0, 59), _numbers(expression, fields[1], 0, 23)
    months = _numbers(expression, fields[3], 1, 12, _MONTHS)
    found = CronCalendar(
        text=" ".join(fields),
        times=tuple(sorted({hour * 60 + minute for hour in hours for minute in minutes})),
        months=frozenset(months),
        matches=_matching(expression, fields[2], fields[4]),
    )
    if not any(found._years.values()):
        _refuse(expression, "no day matches it")
    return found


def _matching(expression: str, month_days: str, weekdays: str) -> _Days:
    """Which days match."""
    by_date, by_weekday = _by_date(expression, month_days), _by_weekday(expression, weekdays)
    if month_days.startswith("*") or weekdays.startswith("*"):
        return lambda day: by_date(day) and by_weekday(day)
    return lambda day: by_date(day) or by_weekday(day)


def _by_date(expression: str, field: str) -> _Days:
    parts = field.split(",")
    last, numbers = "L" in parts, [part for part in parts if part != "L"]
    days = frozenset(_numbers(expression, ",".join(numbers), 1, 31)) if numbers else frozenset[int]()
    return lambda day: day.day in days or (last and day.day == _length(day))


def _by_weekday(expression: str, field: str) -> _Days:
    plain: set[int] = set()
    special: set[tuple[int, int]] = set()
    for part in field.split(","):
        found = re.fullmatch(r"(\w+?)(?:#([1-5])|L)", part)
        if found is None:
            plain |= {number % 7 for number in _numbers(expression, part, 0, 7, _WEEKDAYS)}
            continue
        (weekday,) = _numbers(expression, found[1], 0, 7, _WEEKDAYS)
        special.add((weekday % 7, int(found[2] or 0)))
    return lambda day: (
        (weekday := day.isoweekday() % 7) in plain
        or (
            bool(special)
            and ((weekday, (day.day + 6) // 7) in special or (day.day + 7 > _length(day) and (weekday, 0) in special))
        )
    )


def _length(day: date) -> int:
    return monthrange(day.year, day.month)[1]


def _numbers(expression: str, field: str, low: int, high: int, names: Mapping[str, int] = _NO_NAMES) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        if slash and not (step.isascii() and step.isdigit() and int(step) > 0):
            _refuse(expression, f"{part!r} has no step")
        if span == "*":
            first, last = low, high
        else:
            begin, dash, end = span.partition("-")
            first = _number(expression, begin, names)
            last = _number(expression, end, names) if dash else high if slash else first
        if not low <= first <= last <= high:
            _refuse(expression, f"{part!r} is not within {low} and {high}")
        found.update(range(first, last + 1, int(step) if slash else 1))
    return found


def _number(expression: str, text: str, names: Mapping[str, int]) -> int:
    if text.isascii() and text.isdigit():
        return int(text)
    if text.lower() not in names:
        _refuse(expression, f"{text!r} is not known in it")
    return names[text.lower()]


def _refuse(expression: str, why: str) -> NoReturn:
    raise DefinitionError(
        f"{expression[:60]!a} is no cron expression: {why}",
        hint='write minute, hour, day of the month, month and day of the week: "0 6 * * 1-5"',
    )
