"""C2: windows in twelve zones whose clocks do odd things, at every transition from 2000 to 2037: no gap, no overlap, no key twice.

The quick form looks at the partitions around each transition, the full one at every partition of the 38 years.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from headwater import clock
from headwater.assets.partitions import (
    CronPartitions,
    DailyPartitions,
    HourlyPartitions,
    MonthlyPartitions,
    TimePartitions,
    WeeklyPartitions,
)

ZONES = [
    "Africa/Casablanca",
    "America/Havana",
    "America/New_York",
    "America/Sao_Paulo",
    "Antarctica/Troll",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Europe/Dublin",
    "Pacific/Apia",
    "Pacific/Chatham",
]
FIRST, END = datetime(2000, 1, 1, tzinfo=UTC), datetime(2038, 1, 1, tzinfo=UTC)
LEAST = {
    "Africa/Casablanca": 75,
    "America/Havana": 70,
    "America/New_York": 76,
    "America/Sao_Paulo": 39,
    "Antarctica/Troll": 66,
    "Asia/Kathmandu": 0,
    "Asia/Kolkata": 0,
    "Australia/Lord_Howe": 76,
    "Europe/Berlin": 76,
    "Europe/Dublin": 76,
    "Pacific/Apia": 20,
    "Pacific/Chatham": 76,
}
"""How often the clocks of each zone change in this time, at least: a zone without changes would show nothing."""


def divided(zone: str) -> list[TimePartitions]:
    years = "2000-01-01", "2038-01-01"
    return [
        HourlyPartitions(*years, timezone=zone),
        HourlyPartitions(*years, timezone=zone, minute_offset=20),
        DailyPartitions(*years, timezone=zone),
        DailyPartitions(*years, timezone=zone, hour_offset=2, minute_offset=30),
        WeeklyPartitions("2000-01-02", "2037-12-27", timezone=zone, day_offset=6),
        MonthlyPartitions("2000-01", "2038-01", timezone=zone, day_offset=14),
        CronPartitions("*/20 * * * *", *years, timezone=zone),
        CronPartitions("30 1,2,3 * * 6,SUN", *years, timezone=zone),
        CronPartitions("0 0 * * *", *years, timezone=zone),
    ]


def transitions(zone: str) -> Iterator[int]:
    """The moments (µs) at which the zone's clock changes: days on which it does, halved down to the second."""
    found = ZoneInfo(zone)

    def offset(seconds: int) -> timedelta | None:
        return datetime.fromtimestamp(seconds, found).utcoffset()

    days = range(int(FIRST.timestamp()), int(END.timestamp()) + 1, 86_400)
    for low, high in pairwise(days):
        if offset(low) != offset(high):
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(middle) == offset(low) else (low, middle)
            yield high * 1_000_000


def look(definition: TimePartitions, numbers: Iterable[int], told: Counter[str]) -> None:
    """Count what is wrong with partitions that follow each other."""
    keys: set[str] = set()
    before: int | None = None
    for number in numbers:
        part = definition.at(number)
        assert part.start_us is not None
        assert part.end_us is not None
        told["partitions"] += 1
        told["gaps"] += before is not None and part.start_us > before
        told["overlaps"] += (before is not None and part.start_us < before) or part.end_us < part.start_us
        told["keys twice"] += part.key in keys
        told["keys that lead elsewhere"] += definition.ordinal(part.key) != number
        keys.add(str(part.key))
        before = part.end_us


def around(definition: TimePartitions, moment: int) -> range:
    low, high = definition.bounds
    number = definition.ordinal_at(moment)
    return range(max(low, number - 2), min(high, number + 4))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("zone", ZONES)
def test_no_gap_no_overlap_and_no_key_twice_whatever_the_clocks_do(zone: str, stress: bool) -> None:
    told: Counter[str] = Counter()
    changes = list(transitions(zone))
    assert len(changes) >= LEAST[zone]
    for definition in divided(zone):
        if stress and len(definition.all()) < 400_000:
            look(definition, range(*definition.bounds), told)
        for moment in changes:
            look(definition, around(definition, moment), told)
            for instant in (moment - 1, moment, moment + 1_800_000_000):
                number = definition.ordinal_at(instant)
                told["instants"] += 1
                found = definition.start_us(number) <= instant < definition.start_us(number + 1)
                told["instants that lie elsewhere"] += not found
    if stress:
        print(f"C2 {zone}: {len(changes)} transitions, " + ", ".join(f"{count} {what}" for what, count in told.items()))
    bad = {what: count for what, count in told.items() if what not in ("partitions", "instants")}
    assert not any(bad.values()), bad


def hours(definition: TimePartitions, key: str) -> float:
    part = definition.partition(key)
    assert part.start_us is not None
    assert part.end_us is not None
    return (part.end_us - part.start_us) / 3_600_000_000


def test_apia_has_no_30th_of_december_2011() -> None:
    days = DailyPartitions("2011-12-28", "2012-01-03", timezone="Pacific/Apia")
    assert [hours(days, f"2011-12-{day}") for day in (29, 30, 31)] == [24, 0, 24]
    late = CronPartitions("0 6 * * *", "2011-12-28", timezone="Pacific/Apia")
    assert [hours(late, f"2011-12-{day}T06:00") for day in (29, 30, 31)] == [18, 6, 24]
    assert clock.to_us(datetime(2011, 12, 30, 10, tzinfo=UTC)) == days.partition("2011-12-30").start_us


def test_lord_howe_changes_by_half_an_hour() -> None:
    days = DailyPartitions("2024-01-01", timezone="Australia/Lord_Howe")
    assert [hours(days, key) for key in ("2024-04-07", "2024-10-06")] == [24.5, 23.5]
    quarters = CronPartitions("*/15 * * * *", "2024-01-01", timezone="Australia/Lord_Howe")
    # The clock jumps from 02:00 to 02:30, and from 02:00 back to 01:30.
    assert [hours(quarters, f"2024-10-06T02:{minute:02}") for minute in (0, 15, 30)] == [0, 0, 0.25]
    assert [hours(quarters, f"2024-04-07T01:{minute:02}") for minute in (15, 30, 45)] == [0.25, 0.25, 0.75]


def test_sao_paulo_has_days_without_a_midnight() -> None:
    days = DailyPartitions("2018-01-01", timezone="America/Sao_Paulo")
    first = days.partition("2018-11-04")
    assert first.start is not None
    assert first.start.isoformat() == "2018-11-04T01:00:00-02:00"
    assert [hours(days, key) for key in ("2018-11-03", "2018-11-04", "2018-02-17")] == [24, 23, 25]
