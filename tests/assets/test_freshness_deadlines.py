"""Policies that go by days: deadlines and business days, held to a second implementation that looks at every half hour."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from asset_worlds import DAY, HOUR, World, us
from hypothesis import given
from hypothesis import strategies as st
from tried import tried_on

from headwater import clock
from headwater.assets.business_days import BusinessCalendar
from headwater.assets.freshness import Freshness, board, freshness_from_json
from headwater.errors import DefinitionError

HALF = HOUR // 2
EASTER = BusinessCalendar(holidays=["2024-03-29", "2024-04-01"])
NEVER_MONDAY = BusinessCalendar(holidays=[date(2024, 3, 12)], weekend=[" Monday"])
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"])
NO_WEEKEND = BusinessCalendar(holidays=["2024-03-12"], weekend=[])
calendars = st.sampled_from([None, BusinessCalendar(), EASTER, NEVER_MONDAY, NO_WEEKEND])
# Around both changes of the clocks, and Easter.
values = st.integers(0, 48 * 30).map(lambda half: us("2024-03-06") + half * HALF)


def local(moment, zone):
    return clock.from_us(moment).astimezone(ZoneInfo(zone))


def counted(value, until, zone, calendar):
    """How much of the time between two moments lies on business days, half hour by half hour."""
    return sum(HALF for at in range(value, until, HALF) if calendar.is_business(local(at, zone).date()))


def wanted(day, covers):
    """The first day that the data need not hold, of a deadline on a day."""
    if covers == "previous week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if covers == "previous month" else day


def midnight(day, zone):
    return clock.to_us(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)))


def missed(value, as_of, policy, early=timedelta(0)):
    """Whether a deadline that has passed asked for more than `value`: all of them are looked at."""
    day, last = local(value, policy.timezone).date(), local(as_of, policy.timezone).date() + timedelta(days=3)
    while day <= last:
        hours, minutes = map(int, policy.by.split(":"))
        at = datetime(day.year, day.month, day.day, hours, minutes) - early
        due = clock.to_us(at.replace(tzinfo=ZoneInfo(policy.timezone)))
        if policy.calendar is None or policy.calendar.is_business(day):
            through = wanted(day, policy.covers)
            if policy.covers == "previous business day":
                through = day - timedelta(days=1)
                while not (policy.calendar or BusinessCalendar()).is_business(through):
                    through -= timedelta(days=1)
                through += timedelta(days=1)
            counts = policy.covers != "previous business day" or (policy.calendar or BusinessCalendar()).is_business(
                day
            )
            if counts and due < as_of and midnight(through, policy.timezone) > value:
                return True
        day += timedelta(days=1)
    return False


@tried_on(30)
@given(values, st.integers(0, 96), st.integers(1, 5), st.integers(0, 47), zones, calendars)
def test_a_lag_in_business_days_counts_no_other_day(value, later, days, half, zone, calendar):
    lag, as_of = timedelta(days=days, minutes=30 * half), value + later * 4 * HALF
    policy = Freshness(lag, warn="12h", timezone=zone, calendar=calendar or BusinessCalendar())
    behind = timedelta(microseconds=counted(value, as_of, zone, policy.calendar))
    expected = "late" if behind > lag else "warn" if behind > timedelta(hours=12) else "fresh"
    assert policy.judge(value, as_of)[0] == expected
    last = policy.limits(value)[1] - 1
    assert counted(value, last, zone, policy.calendar) * timedelta(microseconds=1) == lag
    assert counted(value, last + HALF, zone, policy.calendar) * timedelta(microseconds=1) > lag


@tried_on(40)
@given(
    values,
    st.integers(0, 120),
    st.sampled_from(["00:00", "09:00", "18:30"]),
    st.sampled_from([None, "30m", "26h"]),
    st.sampled_from([None, "previous day", "previous business day", "previous week", "previous month"]),
    zones,
    calendars,
)
def test_a_deadline_asks_for_what_it_covers(value, later, by, warn, covers, zone, calendar):
    policy = Freshness(by=by, warn=warn, covers=covers, timezone=zone, calendar=calendar)
    as_of = value + later * 8 * HALF + 1
    late = missed(value, as_of, policy)
    soon = warn is not None and missed(value, as_of, policy, policy.warn)
    assert policy.judge(value, as_of)[0] == ("late" if late else "warn" if soon else "fresh")
    first = policy.limits(value)[1]
    assert missed(value, first, policy)
    assert not missed(value, first - 1, policy)


policies = st.builds(
    Freshness,
    by=st.sampled_from(["02:30", "09:00"]),
    warn=st.sampled_from([None, "3h"]),
    timezone=zones,
    covers=st.sampled_from([None, "previous week"]),
    calendar=calendars,
) | st.builds(Freshness, st.sampled_from(["1bd", "36h"]), warn=st.sampled_from([None, "1h"]), calendar=calendars)


@tried_on(50)
@given(policies, st.integers(-(10**17), 10**17), st.integers(0, 10**13))
def test_a_verdict_holds_until_its_announced_change_and_not_a_moment_longer(policy, value, later):
    as_of = value + later
    verdict, change = policy.judge(value, as_of)
    if change is None:
        assert verdict == "late"
    else:
        assert change > as_of
        assert policy.judge(value, change - 1) == (verdict, change)
        assert policy.judge(value, change)[0] != verdict


@tried_on(30)
@given(policies, values, st.integers(0, 10**12), st.integers(0, 10**12))
def test_who_reaches_further_is_never_late_before(policy, value, more, later):
    assert policy.limits(value + more)[1] >= policy.limits(value)[1]
    assert policy.limits(value)[0] <= policy.limits(value)[1]


@given(policies)
def test_policies_come_back_from_json_and_can_be_keys(policy):
    again = freshness_from_json(policy.to_json())
    assert again == policy
    assert hash(again) == hash(policy)
    assert hash(tuple(policy.to_json().items())) is not None


def test_friday_is_due_on_monday_and_on_tuesday_after_easter():
    policy = Freshness(by="09:00", timezone="Europe/Berlin", calendar=EASTER)
    assert policy.covers == "previous business day"
    # Thursday's data is there; Friday and Monday are holidays, so nothing more is asked for until Wednesday.
    _, late = policy.limits(us("2024-03-28T23:00"))
    assert clock.rfc3339(late - 1) == "2024-04-03T07:00:00.000000Z"
    _, late = Freshness(by="09:00", timezone="Europe/Berlin", covers="previous day").limits(us("2024-03-28T23:00"))
    assert clock.rfc3339(late - 1) == "2024-03-30T08:00:00.000000Z"


def test_a_plain_policy_is_journaled_as_it_always_was():
    assert Freshness("26h").to_json() == {"max_lag": 93_600.0, "warn": None, "clock": None}


def test_the_board_says_what_is_due():
    world = World().asset("report", freshness=Freshness(by="09:00", warn="08:00", clock="last_materialized"))
    made = world.make("report").facts().of("report").made[None].at
    midnight = made - made % DAY + DAY
    found = board(world.facts(), midnight + 8 * HOUR + 1)["report"]
    assert (found.verdict, found.next_change) == ("warn", midnight + 9 * HOUR + 1)
    assert found.reason.text.endswith("; due by 09:00 UTC, through the previous day, warning from 1h before on")
    assert Freshness("2bd", warn="1bd 12h").describe() == "limit 2 business days"


@pytest.mark.parametrize(
    ("written", "days"), [("2bd", 2), (" 2 bd", 2), ("1.5bd", 1.5), ("1w2bd", 9), ("1w 2bd 12h", 9.5)]
)
def test_business_days_count_wherever_they_stand_in_a_duration(written, days):
    assert Freshness(written) == Freshness(timedelta(days=days), calendar=BusinessCalendar())


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "no limit"),
        ({"max_lag": "1h", "by": "09:00"}, "two limits"),
        ({"by": "9"}, "not a time of the day"),
        ({"by": "24:00"}, "not a time of the day"),
        ({"by": "09:00", "warn": "09:00"}, "not before by"),
        ({"by": "09:00", "warn": 30}, "not a whole number of minutes"),
        ({"by": "09:00", "warn": "4000d"}, "no more than ten years"),
        ({"by": "09:00", "covers": "tomorrow"}, "can't be covered"),
        ({"by": "09:00", "timezone": "Berlin"}, "not a time zone"),
        ({"max_lag": "1h", "timezone": "UTC"}, "timezone= says nothing without by="),
        ({"max_lag": "1h", "covers": "previous day"}, "covers= says nothing without by="),
        ({"max_lag": timedelta.max}, "too long"),
        ({"max_lag": "4000bd"}, "too long"),
        ({"max_lag": "1h", "calendar": "weekdays"}, "not a calendar"),
    ],
)
def test_what_is_no_policy_is_refused(given, says):
    with pytest.raises(DefinitionError, match=says) as caught:
        Freshness(**given)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"holidays": ["christmas"]}, "not a date"),
        ({"holidays": [datetime(2024, 1, 1)]}, "not a date"),
        ({"holidays": "2024-12-25"}, "are lists"),
        ({"weekend": "sat"}, "are lists"),
        ({"weekend": ["someday"]}, "not a day of the week"),
        ({"weekend": ["monkey"]}, "not a day of the week"),
        ({"weekend": ["su"]}, "not a day of the week"),
        ({"weekend": [6]}, "not a day of the week"),
        ({"weekend": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}, "no day of the week"),
    ],
)
def test_what_is_no_calendar_is_refused(given, says):
    with pytest.raises(DefinitionError, match=says):
        BusinessCalendar(**given)
