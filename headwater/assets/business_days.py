"""Business days: the calendars that freshness policies count by."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import lru_cache

from headwater.errors import DefinitionError
from headwater.records import dataclass

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NAMES = tuple(one[:3] for one in _DAYS)


@dataclass(frozen=True, slots=True, init=False)
class BusinessCalendar:
    """Which days are business days: all but the `weekend` and the `holidays`.

    Holidays are dates, or texts such as "2024-12-25"; days of the week are named by their first three letters or more.
    Raises DefinitionError for what is no date or no day, or when no day of the week is left.

    >>> calendar = BusinessCalendar(holidays=["2024-12-25", "2024-12-26"])
    >>> calendar.is_business(date(2024, 12, 24)), calendar.is_business(date(2024, 12, 25))
    (True, False)
    """

    holidays: tuple[date, ...]
    weekend: tuple[str, ...]
    _off: frozenset[int]
    _free: frozenset[int]

    def __init__(self, holidays: Iterable[str | date] = (), weekend: Iterable[str] = ("sat", "sun")) -> None:
        if any(isinstance(one, str) or not isinstance(one, Iterable) for one in (holidays, weekend)):
            raise DefinitionError("holidays and weekend are lists", where="BusinessCalendar", hint=_HINT)
        days = sorted({_date(one) for one in holidays})
        free = {_weekday(one) for one in weekend}
        if len(free) == len(_NAMES):
            raise DefinitionError(
                "no day of the week is a business day", where="BusinessCalendar", hint="leave one out of weekend="
            )
        object.__setattr__(self, "holidays", tuple(days))
        object.__setattr__(self, "weekend", tuple(_NAMES[one] for one in sorted(free)))
        object.__setattr__(self, "_off", frozenset(one.toordinal() for one in days))
        object.__setattr__(self, "_free", frozenset(free))

    def is_business(self, day: date | int) -> bool:
        """Whether a day is a business day; a day may be given by its number, `date.toordinal()`."""
        number = day if isinstance(day, int) else day.toordinal()
        return (number + 6) % 7 not in self._free and number not in self._off

    def on_or_after(self, number: int) -> int:
        """The number of the first business day from this day on."""
        while not self.is_business(number):
            number += 1
        return number

    def to_text(self) -> str:
        """The calendar as one text, as the journal keeps it; `calendar_from_text` reads it back."""
        return " ".join([",".join(self.weekend) or "-", *(one.isoformat() for one in self.holidays)])


@lru_cache(maxsize=256)
def calendar_from_text(text: str) -> BusinessCalendar:
    """The calendar that `to_text` wrote.

    >>> calendar_from_text(BusinessCalendar(["2024-12-25"]).to_text()) == BusinessCalendar(["2024-12-25"])
    True
    """
    weekend, *holidays = text.split(" ")
    return BusinessCalendar(holidays, [] if weekend == "-" else weekend.split(","))


_HINT = 'write BusinessCalendar(holidays=["2024-12-25"], weekend=["sat", "sun"])'


def _date(value: object) -> date:
    try:
        found = date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        found = None
    # A moment is a date for Python, too; as a holiday it would never be met.
    if type(found) is not date:
        raise DefinitionError(f"{value!r} is not a date"[:200], where="BusinessCalendar(holidays=…)", hint=_HINT)
    return found


def _weekday(value: object) -> int:
    name = value.strip().lower() if isinstance(value, str) else ""
    for number, day in enumerate(_DAYS):
        if len(name) >= 3 and day.startswith(name):
            return number
    raise DefinitionError(f"{value!r} is not a day of the week"[:200], where="BusinessCalendar(weekend=…)", hint=_HINT)
