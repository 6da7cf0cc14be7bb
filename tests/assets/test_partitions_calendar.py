"""Windows of time partitions: no gap, no overlap, no key twice, whatever the clocks do."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tried import tried_on

from headwater import clock
from headwater.assets.partitions import (
    CronPartitions,
    DailyPartitions,
    HourlyPartitions,
    MonthlyPartitions,
    TimePartitions,
    WeeklyPartitions,
)
from headwater.errors import DefinitionError, PartitionError

HOUR = 3_600_000_000
ZONES = [
    "Africa/Casablanca",
    "America/Havana",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Asia/Gaza",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Europe/Dublin",
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "UTC",
]
STEPS: list[tuple[type[TimePartitions], str]] = [
    (DailyPartitions, "1990-01-01"),
    (HourlyPartitions, "1990-01-01T00"),
    (WeeklyPartitions, "1990-01-01"),
    (MonthlyPartitions, "1990-01"),
]


def wall(us: int, zone: str) -> datetime:
    return clock.from_us(us).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


@pytest.mark.parametrize("zone", ZONES)
def test_each_day_of_38_years_starts_at_the_first_instant_that_is_not_before_its_midnight(zone: str) -> None:
    days = DailyPartitions("2000-01-01", "2038-01-01", timezone=zone)
    low, high = days.bounds
    starts = [days.start_us(ordinal) for ordinal in range(low, high + 1)]
    assert starts == sorted(starts)
    for ordinal, start in zip(range(low, high), starts, strict=False):
        midnight = datetime.fromordinal(ordinal)
        assert wall(start, zone) >= midnight
        assert wall(start - 1, zone) < midnight
    lengths = {(after - before) / HOUR for before, after in pairwise(starts)}
    assert lengths <= {0, 23, 23.5, 24, 24.5, 25}
    assert (0 in lengths) == (zone == "Pacific/Apia")


@pytest.mark.parametrize(
    ("zone", "day", "start", "hours"),
    [
        ("America/New_York", "2013-03-09", "2013-03-09T05:00", 24),
        ("America/New_York", "2013-03-10", "2013-03-10T05:00", 23),
        ("America/New_York", "2013-11-03", "2013-11-03T04:00", 25),
        ("Europe/Berlin", "2024-03-31", "2024-03-30T23:00", 23),
        ("Europe/Berlin", "2024-10-27", "2024-10-26T22:00", 25),
        ("Australia/Lord_Howe", "2024-04-07", "2024-04-06T13:00", 24.5),
        ("Australia/Lord_Howe", "2024-10-06", "2024-10-05T13:30", 23.5),
        # The clock goes from 23:59:59 to 01:00: the day has no midnight.
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00", 23),
        # The clock goes from 23:59:59 back to 23:00: the hour belongs to the day that it repeats.
        ("America/Sao_Paulo", "2018-02-17", "2018-02-17T02:00", 25),
        ("America/Sao_Paulo", "2018-02-18", "2018-02-18T03:00", 24),
        # The clock goes from 00:59:59 back to 00:00: the day has two midnights and starts at the first.
        ("America/Havana", "2013-11-03", "2013-11-03T04:00", 25),
        # The clock goes from 00:00:59 back to 23:01: the day has begun at the first midnight and goes on.
        ("America/St_Johns", "2010-11-06", "2010-11-06T02:30", 24),
        ("America/St_Johns", "2010-11-07", "2010-11-07T02:30", 25),
        # The day that the islands skipped.
        ("Pacific/Apia", "2011-12-29", "2011-12-29T10:00", 24),
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00", 0),
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00", 24),
    ],
)
def test_days_on_which_clocks_change(zone: str, day: str, start: str, hours: float) -> None:
    found = DailyPartitions("2010-01-01", timezone=zone).partition(day)
    assert found.start_us is not None
    assert found.end_us is not None
    assert found.start is not None
    assert found.start_us == clock.to_us(datetime.fromisoformat(start).replace(tzinfo=UTC))
    assert (found.end_us - found.start_us) / HOUR == hours
    assert found.date == date.fromisoformat(day)
    assert str(found.start.tzinfo) == zone


def test_the_skipped_day_is_a_partition_of_no_length_and_no_instant_lies_in_it() -> None:
    days = DailyPartitions("2011-12-01", "2012-01-05", timezone="Pacific/Apia")
    assert len(days.all()) == 35
    assert "2011-12-30" in days.all()
    skipped, after = days.partition("2011-12-30"), days.partition("2011-12-31")
    assert skipped.start_us == skipped.end_us == after.start_us
    assert skipped.start is not None
    assert days.partition(skipped.start) == after


def test_an_hour_that_the_clock_sets_back_over_midnight_stays_with_the_new_day() -> None:
    days = DailyPartitions("2010-01-01", timezone="America/St_Johns")
    instant = datetime(2010, 11, 7, 3, 0, tzinfo=UTC)
    assert wall(clock.to_us(instant), "America/St_Johns") == datetime(2010, 11, 6, 23, 30)
    assert days.partition(instant).key == "2010-11-07"


@given(st.sampled_from(ZONES), st.sampled_from(STEPS), st.integers(-150_000, 350_000), st.integers(-2, 2))
@example("Pacific/Apia", STEPS[1], 0, 0)
@tried_on(150)
def test_every_instant_lies_in_exactly_one_partition(
    zone: str, step: tuple[type[TimePartitions], str], hours: int, us: int
) -> None:
    kind, first = step
    definition = kind("1980-01-07" if kind is WeeklyPartitions else first.replace("1990", "1980"), timezone=zone)
    instant = clock.to_us(datetime(2000, 1, 1, tzinfo=UTC)) + hours * HOUR + us
    found = definition.partition(clock.from_us(instant))
    assert found.start_us is not None
    assert found.end_us is not None
    assert found.start_us <= instant < found.end_us
    ordinal = definition.ordinal(found.key)
    before, after = definition.at(ordinal - 1), definition.at(ordinal + 1)
    assert before.end_us == found.start_us
    assert after.start_us == found.end_us


@given(st.sampled_from(ZONES), st.sampled_from(STEPS), st.integers(0, 420_000), st.integers(1, 400))
@tried_on(50)
def test_stretches_have_no_gap_no_overlap_and_no_key_twice(
    zone: str, step: tuple[type[TimePartitions], str], skip: int, count: int
) -> None:
    kind, first = step
    definition = kind(first, timezone=zone)
    low, _ = definition.bounds
    some = definition.clip([(low + skip % 1000, low + skip % 1000 + count)])
    parts = list(some)
    assert all(left.end_us == right.start_us for left, right in pairwise(parts))
    assert all(part.start_us is not None and part.end_us is not None and part.start_us <= part.end_us for part in parts)
    keys = [part.key for part in parts]
    assert len(set(keys)) == len(keys) == count
    assert keys == sorted(keys, key=str)
    assert [definition.at(definition.ordinal(key)) for key in keys] == parts


@pytest.mark.parametrize(
    ("definition", "instant", "key", "hours"),
    [
        (HourlyPartitions("2013-01-01T00", timezone="America/New_York"), "2013-11-03T06:30", "2013-11-03T01", 2),
        (HourlyPartitions("2013-01-01T00", timezone="America/New_York"), "2013-03-10T07:00", "2013-03-10T03", 1),
        (WeeklyPartitions("2012-12-31", timezone="Europe/Berlin"), "2013-03-31T12:00", "2013-03-25", 7 * 24 - 1),
        (MonthlyPartitions("2013-01", timezone="Europe/Berlin"), "2013-10-31T22:59", "2013-10", 31 * 24 + 1),
    ],
)
def test_other_steps(definition: TimePartitions, instant: str, key: str, hours: int) -> None:
    found = definition.partition(datetime.fromisoformat(instant).replace(tzinfo=UTC))
    assert found.key == key
    assert found.start_us is not None
    assert found.end_us is not None
    assert (found.end_us - found.start_us) / HOUR == hours


@given(st.sampled_from(ZONES), st.integers(0, 30 * 24 * 60))
@tried_on(50)
def test_an_open_ended_definition_has_what_has_ended(zone: str, minutes: int) -> None:
    days = DailyPartitions("2011-12-20", timezone=zone)
    as_of = clock.to_us(datetime(2011, 12, 18, tzinfo=UTC)) + minutes * 60_000_000
    ended = days.all(as_of)
    candidates = [days.at(date(2011, 12, 20).toordinal() + number) for number in range(40)]
    assert list(ended) == [day for day in candidates if day.end_us is not None and day.end_us <= as_of]


def test_a_day_has_ended_at_its_last_microsecond_and_not_before() -> None:
    days = DailyPartitions("2013-03-10", timezone="America/New_York")
    end = clock.to_us(datetime(2013, 3, 11, 4, tzinfo=UTC))
    assert not days.all(end - 1)
    assert str(days.all(end)) == "2013-03-10"


def test_the_clock_says_what_has_ended_when_nobody_else_does() -> None:
    class Noon:
        def now_us(self) -> int:
            return clock.to_us(datetime(2013, 1, 3, 12, tzinfo=UTC))

        def sleep(self, seconds: float) -> None:
            raise AssertionError(seconds)

    with clock.use(Noon()):
        assert str(DailyPartitions("2013-01-01").all()) == "2013-01-01..2013-01-02"
        bounded = DailyPartitions("2013-01-01", "2014-01-01")
        assert len(bounded.all()) == 365
        assert str(bounded.ended()) == "2013-01-01..2013-01-02"


@pytest.mark.parametrize("as_of", [-(10**19), 0, 10**19])
def test_what_has_ended_at_absurd_moments(as_of: int) -> None:
    assert len(DailyPartitions("2013-01-01", "2013-01-11").ended(as_of)) == (10 if as_of > 0 else 0)


def test_windows_at_the_far_ends_of_the_calendar() -> None:
    for kind, first, last in [
        (DailyPartitions, "1000-01-01", "9998-12-31"),
        (HourlyPartitions, "1000-01-01T00", "9998-12-31T23"),
        (WeeklyPartitions, "1000-01-06", "9998-12-21"),
        (MonthlyPartitions, "1000-01", "9998-12"),
    ]:
        for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
            definition = kind(first, timezone=zone)
            assert definition.partition(first).key == first
            found = definition.partition(last)
            assert found.end is not None
            assert found.end.year <= 9999
            assert found.end - timedelta(days=1) < datetime.max.replace(tzinfo=found.end.tzinfo)


@pytest.mark.parametrize("day", [date.min, date(999, 12, 31), date.max])
def test_dates_beyond_the_calendar_are_refused(day: date) -> None:
    for definition in (
        DailyPartitions("2013-01-01", hour_offset=6),
        WeeklyPartitions("2013-01-06", day_offset=6),
        MonthlyPartitions("2013-01", day_offset=14),
        CronPartitions("0 6 * * *", "2013-01-01"),
    ):
        for value in (day, day.isoformat()):
            with pytest.raises(PartitionError):
                definition.partition(value)
    with pytest.raises(DefinitionError):
        WeeklyPartitions(day, day_offset=6)
