"""`Freshness`: what an asset's policy asks of it, and when a clock that stands somewhere falls behind it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal, TypeAlias, get_args

from headwater.assets.business_days import BusinessCalendar, calendar_from_text
from headwater.assets.deadlines import Covers, business_limit, deadline
from headwater.assets.durations import format_duration, parse_duration
from headwater.assets.partitions import DailyPartitions
from headwater.errors import DefinitionError
from headwater.records import dataclass
from headwater.wording import counted

FreshnessClock: TypeAlias = Literal["data_through", "complete_through", "last_materialized", "last_run"]
Verdict: TypeAlias = Literal["fresh", "warn", "late", "unknown", "none"]

_US = timedelta(microseconds=1)
_MINUTE = timedelta(minutes=1)
_LONGEST = timedelta(days=3660)
_EVER = timedelta(days=366_000)
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_BUSINESS = re.compile(r"(\d+)\s*bd(?![a-z])")


@dataclass(frozen=True, slots=True, init=False)
class Freshness:
    """A freshness policy: how far behind an asset may be, or by when its data must be there, and from when on to warn.

    `max_lag` is a duration: text ("26h", "1d12h"), a timedelta or seconds; exactly so far behind is still fresh. "2bd" counts
    business days, and so does every duration with a `calendar`: what passes on other days is not counted.

    `by` is a local time, such as "09:00": then, each day, the data must reach the end of what it `covers`, "previous day" (or
    week, or month); with a `calendar` there are deadlines on its business days only, and the "previous business day" is
    covered. `timezone` says whose days these are.

    `warn` comes first: a shorter duration than `max_lag`, or a time before `by`, or how long before it ("30m"). `clock` says
    what is judged. Raises DefinitionError for what is none of these.

    >>> policy = Freshness(max_lag="26h", warn="25h")
    >>> policy.max_lag.total_seconds() / 3600, policy == freshness_from_json(policy.to_json())
    (26.0, True)
    >>> Freshness(by="09:00", timezone="Europe/Berlin", calendar=BusinessCalendar()).covers
    'previous business day'
    """

    max_lag: timedelta | None
    warn: timedelta | None
    clock: FreshnessClock | None
    by: str | None
    timezone: str | None
    covers: Covers | None
    calendar: BusinessCalendar | None

    def __init__(
        self,
        max_lag: str | timedelta | float | None = None,
        warn: str | timedelta | float | None = None,
        clock: FreshnessClock | None = None,
        *,
        by: str | None = None,
        timezone: str | None = None,
        covers: Covers | None = None,
        calendar: BusinessCalendar | None = None,
    ) -> None:
        if (max_lag is None) == (by is None):
            problem = "no limit" if by is None else "two limits, max_lag and by"
            raise DefinitionError(f"a freshness policy has {problem}", where="Freshness", hint=_HINT)
        if clock is not None and clock not in get_args(FreshnessClock):
            known = ", ".join(get_args(FreshnessClock))
            raise DefinitionError(f"there is no clock {clock!r}", where="Freshness(clock=…)", hint=f"known: {known}")
        if calendar is not None and not isinstance(calendar, BusinessCalendar):
            raise DefinitionError(
                f"{calendar!r} is not a calendar"[:200],
                where="Freshness(calendar=…)",
                hint='write calendar=BusinessCalendar(holidays=["2024-12-25"])',
            )
        if by is None:
            limit, early, calendar = _lags(max_lag, warn, calendar)
            if covers is not None or (timezone is not None and calendar is None):
                name = "timezone" if covers is None else "covers"
                raise DefinitionError(f"{name}= says nothing without by=", where="Freshness", hint=_HINT)
        else:
            limit, early = None, _early(by, warn)
            covers = _covers(covers, calendar)
        zone = None if by is None and calendar is None else DailyPartitions("2000-01-01", timezone=timezone or "UTC")
        values = (limit, early, clock, by, zone and zone.timezone, covers, calendar)
        for name, value in zip(self.__slots__, values, strict=True):
            object.__setattr__(self, name, value)

    def to_json(self) -> dict[str, Any]:
        """The policy as JSON, durations in seconds; `freshness_from_json` reads it back."""
        lag, warn = (None if one is None else one.total_seconds() for one in (self.max_lag, self.warn))
        more = {"by": self.by, "timezone": self.timezone, "covers": self.covers}
        return {
            "max_lag": lag,
            "warn": warn,
            "clock": self.clock,
            **{name: value for name, value in more.items() if value is not None},
            **({} if self.calendar is None else {"calendar": self.calendar.to_text()}),
        }

    @property
    def is_plain(self) -> bool:
        """Whether it is a lag of time as it passes, and nothing of days."""
        return self.by is None and self.calendar is None

    def limits(self, value: int) -> tuple[int, int]:
        """The moments from which on a clock that stands at `value` is "warn" and "late"; all in microseconds since the epoch.

        They are the same without a warning.

        >>> Freshness(max_lag=10, warn=5).limits(0)
        (5000001, 10000001)
        """
        if self.max_lag is not None:
            late = self._lag_limit(value, self.max_lag)
            return (late if self.warn is None else self._lag_limit(value, self.warn)), late
        late = self._deadline(value, timedelta(0))
        return (late if self.warn is None else self._deadline(value, self.warn)), late

    def judge(self, value: int, as_of: int) -> tuple[Verdict, int | None]:
        """The verdict of a clock that stands at `value`, and the moment from which on it is another one.

        All in microseconds since the epoch.

        >>> Freshness(max_lag=10, warn=5).judge(0, 6_000_000)
        ('warn', 10000001)
        """
        warn, late = self.limits(value)
        if as_of < warn:
            return "fresh", warn
        return ("warn", late) if as_of < late else ("late", None)

    def describe(self) -> str:
        """What it asks for, as a sentence shows it.

        >>> Freshness("2bd").describe(), Freshness(by="09:00").describe()
        ('limit 2 business days', 'due by 09:00 UTC, through the previous day')
        """
        if self.max_lag is not None:
            return f"limit {self.shown(self.max_lag)}"
        on = "" if self.calendar is None else " on business days"
        return f"due by {self.by} {self.timezone}{on}, through the {self.covers}"

    def shown(self, lag: timedelta) -> str:
        """A lag as a sentence shows it: in business days where these are counted; before a deadline, how long before."""
        text = format_duration(lag.total_seconds())
        if self.by is not None:
            return f"{text} before"
        if self.calendar is None:
            return text
        days, rest = divmod(lag, timedelta(days=1))
        return f"{text} of business days" if rest else counted(days, "business day")

    def _lag_limit(self, value: int, lag: timedelta) -> int:
        if self.calendar is None:
            return value + lag // _US + 1
        return business_limit(value, lag // _US, self.timezone or "UTC", self.calendar) + 1

    def _deadline(self, value: int, early: timedelta) -> int:
        assert self.by is not None
        assert self.covers is not None
        return 1 + deadline(
            value,
            at=_minutes(self.by),
            early=early // _MINUTE,
            timezone=self.timezone or "UTC",
            covers=self.covers,
            calendar=self.calendar,
        )


def judged(policy: Freshness | None, value: int | None, as_of: int) -> tuple[Verdict, int | None]:
    """What `Freshness.judge` says; "none" without a policy, and "unknown" of a clock without a value.

    >>> judged(None, 0, 0), judged(Freshness(10), None, 0)
    (('none', None), ('unknown', None))
    """
    if policy is None:
        return "none", None
    return ("unknown", None) if value is None else policy.judge(value, as_of)


def freshness_from_json(value: Mapping[str, Any]) -> Freshness:
    """The policy that `Freshness.to_json` wrote."""
    calendar = value.get("calendar")
    return Freshness(
        max_lag=value.get("max_lag"),
        warn=value.get("warn"),
        clock=value.get("clock"),
        by=value.get("by"),
        timezone=value.get("timezone"),
        covers=value.get("covers"),
        calendar=None if calendar is None else calendar_from_text(calendar),
    )


_HINT = 'write Freshness(max_lag="26h"), or Freshness(by="09:00", timezone="Europe/Berlin")'


def _lags(
    max_lag: str | timedelta | float | None, warn: str | timedelta | float | None, calendar: BusinessCalendar | None
) -> tuple[timedelta, timedelta | None, BusinessCalendar | None]:
    if any(isinstance(one, str) and _BUSINESS.search(one) for one in (max_lag, warn)):
        calendar = calendar or BusinessCalendar()
    limit = parse_duration(_plain(max_lag), where="Freshness(max_lag=…)")
    early = None if warn is None else parse_duration(_plain(warn), where="Freshness(warn=…)")
    if early is not None and early >= limit:
        shown, longer = (format_duration(one.total_seconds()) for one in (early, limit))
        raise DefinitionError(
            f"warn={shown} is not before max_lag={longer}",
            where="Freshness",
            hint="a warning comes first: give a shorter duration than max_lag",
        )
    longest, told, why = (
        (_EVER, "1,000 years", "") if calendar is None else (_LONGEST, "ten years", " to count business days")
    )
    if limit > longest:
        raise DefinitionError(
            f"max_lag={format_duration(limit.total_seconds())} is too long{why}",
            where="Freshness(max_lag=…)",
            hint=f"{told} at most",
        )
    return limit, early, calendar


def _plain(lag: Any) -> Any:
    """A duration without business days: one of these is a day, of which only business days count."""
    return _BUSINESS.sub(lambda found: f"{found[1]}d", lag) if isinstance(lag, str) else lag


def _early(by: object, warn: str | timedelta | float | None) -> timedelta | None:
    """How long before the deadline the warning comes."""
    if not isinstance(by, str) or not _TIME.fullmatch(by):
        raise DefinitionError(
            f"{by!r} is not a time of the day"[:200], where="Freshness(by=…)", hint='write by="09:00"'
        )
    if isinstance(warn, str) and _TIME.fullmatch(warn):
        early = timedelta(minutes=_minutes(by) - _minutes(warn))
        if early <= timedelta(0):
            raise DefinitionError(
                f"warn={warn} is not before by={by}", where="Freshness", hint="a warning comes before the deadline"
            )
        return early
    if warn is None:
        return None
    early = parse_duration(warn, where="Freshness(warn=…)")
    if early % _MINUTE or early > _LONGEST:
        raise DefinitionError(
            f"{warn!r} is not a whole number of minutes, no more than ten years",
            where="Freshness(warn=…)",
            hint='write warn="30m" or warn="08:30"',
        )
    return early


def _covers(covers: Covers | None, calendar: BusinessCalendar | None) -> Covers:
    if covers is None:
        return "previous day" if calendar is None else "previous business day"
    if covers not in get_args(Covers):
        known = ", ".join(get_args(Covers))
        raise DefinitionError(f"{covers!r} can't be covered"[:200], where="Freshness(covers=…)", hint=f"known: {known}")
    return covers


def _minutes(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])
