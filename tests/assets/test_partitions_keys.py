"""What people give as partitions: what is right is taken, what is wrong is refused with what to do."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from partition_cases import HOSTILE

from headwater.assets.partitions import (
    UNPARTITIONED,
    DailyPartitions,
    HourlyPartitions,
    MonthlyPartitions,
    TimePartitions,
    WeeklyPartitions,
    partitions_from_json,
)
from headwater.errors import DefinitionError, PartitionError

DAYS = DailyPartitions("2013-01-01", "2014-01-01", timezone="America/New_York")
KINDS: list[TimePartitions] = [
    DAYS,
    HourlyPartitions("2013-01-01T00", "2014-01-01T00"),
    WeeklyPartitions("2012-12-31", "2013-12-30"),
    MonthlyPartitions("2013-01", "2014-01"),
]


@pytest.mark.parametrize("key", HOSTILE)
def test_hostile_keys_are_refused_with_one_short_error(key: str) -> None:
    for attempt in (DAYS.partition, DAYS.parse, lambda text: DAYS.range(text, text), lambda text: DAYS.set_of([text])):
        with pytest.raises(PartitionError) as caught:
            attempt(key)
        text = str(caught.value)
        assert len(text) < 500
        assert text.encode().decode() == text
        assert all(letter.isprintable() or letter == "\n" for letter in text)
        assert caught.value.where == "daily, 2013-01-01..2013-12-31, America/New_York"
        assert caught.value.hint
    assert key not in DAYS.all()


@given(st.text(max_size=16), st.sampled_from(KINDS))
@example("2013-01-05", DAYS)
def test_a_text_is_a_key_only_if_it_is_the_key_of_what_it_means(text: str, definition: TimePartitions) -> None:
    try:
        found = definition.partition(text)
    except PartitionError:
        assert text not in set(definition.all().keys())
    else:
        assert found.key == text


@given(st.text(alphabet="0123456789-., T", max_size=30), st.sampled_from(KINDS))
@example("2013-01..2013-03", KINDS[3])
def test_any_text_parses_or_is_refused(text: str, definition: TimePartitions) -> None:
    try:
        found = definition.parse(text)
    except PartitionError:
        return
    assert found
    assert definition.parse(str(found)) == found


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("2013-1-5", "did you mean 2013-01-05?"),
        ("20130105", "did you mean 2013-01-05?"),
        ("2013-02-30", "did you mean 2013-02-28?"),
        ("2013-01-05T00:00:00", "did you mean 2013-01-05?"),
        ("2013-04", "did you mean 2013-04-01?"),
        ("2015/01/05", "did you mean 2013-12-31?"),
        ("2012-12-31", "the nearest is 2013-01-01"),
        ("2014-01-01", "the nearest is 2013-12-31"),
        ("yesterday", "keys look like 2013-01-01 (there are 2013-01-01..2013-12-31)"),
    ],
)
def test_the_error_names_the_nearest_partition(key: str, hint: str) -> None:
    with pytest.raises(PartitionError) as caught:
        DAYS.partition(key)
    assert str(caught.value.hint).startswith(hint)


def test_a_week_is_named_by_its_monday() -> None:
    weeks = KINDS[2]
    with pytest.raises(PartitionError, match="did you mean 2013-01-07"):
        weeks.partition("2013-01-09")
    assert weeks.partition(date(2013, 1, 9)).key == "2013-01-07"


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("2013-03-10", "2013-03-10"),
        (date(2013, 3, 10), "2013-03-10"),
        (datetime(2013, 3, 10, 4, 59, tzinfo=UTC), "2013-03-09"),
        (datetime(2013, 3, 10, 5, 0, tzinfo=UTC), "2013-03-10"),
        (datetime(2013, 3, 10, 23, 59, tzinfo=timezone(timedelta(hours=-4))), "2013-03-10"),
        (DAYS.partition("2013-03-10"), "2013-03-10"),
        (DailyPartitions("2013-03-01", timezone="America/New_York").partition("2013-03-10"), "2013-03-10"),
    ],
)
def test_keys_dates_instants_and_partitions_all_say_which(value: str | date, key: str) -> None:
    found = DAYS.partition(value)
    assert found.key == key
    assert found.definition == DAYS


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (datetime(2013, 3, 10), "has no time zone"),
        (date(2015, 1, 1), "outside"),
        (datetime(1, 1, 1, tzinfo=UTC), "outside"),
        (datetime(9999, 12, 31, 23, tzinfo=UTC), "outside"),
        (DailyPartitions("2013-01-01").partition("2013-03-10"), "not the same window"),
        (UNPARTITIONED.partition(None), "not a daily partition key"),
        (None, "not a daily partition key"),
        (20130310, "not a daily partition key"),
    ],
)
def test_what_is_no_partition_is_refused(value: str, message: str) -> None:
    with pytest.raises(PartitionError, match=message):
        DAYS.partition(value)


def test_a_day_is_not_an_hour() -> None:
    with pytest.raises(PartitionError, match="whole day"):
        KINDS[1].partition(date(2013, 1, 5))


@pytest.mark.parametrize("text", ["", "..", ",", "2013-01-01,", "2013-01-01....2013-01-03"])
def test_half_a_range_is_refused(text: str) -> None:
    with pytest.raises(PartitionError):
        DAYS.parse(text)


def test_a_range_that_runs_backwards_is_refused_with_the_right_one() -> None:
    with pytest.raises(PartitionError, match=r"(?s)backwards.*write 2013-01-05..2013-02-01"):
        DAYS.parse("2013-02-01..2013-01-05")


def test_ranges_include_both_ends() -> None:
    assert len(DAYS.range("2013-01-01", "2013-12-31")) == 365
    assert DAYS.range(date(2013, 1, 1), DAYS.partition("2013-01-02")) == DAYS.set_of(["2013-01-01", "2013-01-02"])
    assert DAYS.parse(" 2013-01-05 .. 2013-01-06 , 2013-01-05 ") == DAYS.set_of(["2013-01-05", "2013-01-06"])


@pytest.mark.parametrize(
    "zone", ["America/New_Yrok", "", "../../etc/passwd", "/etc/passwd", "UTC\0", "x" * 10_000, "America", "a\nb", None]
)
def test_what_is_no_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(DefinitionError, match="is not a time zone") as caught:
        DailyPartitions("2013-01-01", timezone=zone)
    assert len(str(caught.value)) < 300


def test_a_misspelt_time_zone_is_answered_with_the_right_one() -> None:
    with pytest.raises(DefinitionError, match="America/New_York"):
        DailyPartitions("2013-01-01", timezone="America/New_Yrok")


@pytest.mark.parametrize(
    ("kind", "start", "end", "message"),
    [
        (DailyPartitions, "2013-01-01", "2013-01-01", "the end is exclusive"),
        (DailyPartitions, "2013-01-02", "2013-01-01", "has no partition"),
        (DailyPartitions, "yesterday", None, "write keys like 2013-01-01"),
        (DailyPartitions, "0999-12-31", None, "is not where a daily partition starts"),
        (DailyPartitions, "9999-06-01", None, "of the years 1000 to 9998"),
        (DailyPartitions, "2013-01-01", 20140101, "is not where a daily partition starts"),
        (DailyPartitions, datetime(2013, 1, 1, 5), None, "is not where a daily partition starts"),
        (DailyPartitions, datetime(2013, 1, 1, tzinfo=UTC), None, "is not where a daily partition starts"),
        (MonthlyPartitions, date(2013, 1, 15), None, "is not where a monthly partition starts"),
        (WeeklyPartitions, "2013-01-01", None, "is not where a weekly partition starts"),
        (MonthlyPartitions, "2013-01-02", None, "write keys like 2013-01"),
    ],
)
def test_definitions_that_make_no_sense_are_refused(
    kind: type[TimePartitions], start: str, end: str | None, message: str
) -> None:
    with pytest.raises(DefinitionError, match=message):
        kind(start, end)


def test_definitions_print_themselves() -> None:
    assert DAYS.describe() == str(DAYS) == "daily, 2013-01-01..2013-12-31, America/New_York"
    assert repr(DAYS) == "DailyPartitions('2013-01-01', '2014-01-01', timezone='America/New_York')"
    assert DailyPartitions(date(2013, 1, 1)).describe() == "daily, from 2013-01-01, UTC"
    assert repr(HourlyPartitions(date(2013, 1, 1))) == "HourlyPartitions('2013-01-01T00', timezone='UTC')"
    assert (DAYS.start, DAYS.end) == ("2013-01-01", "2014-01-01")
    assert UNPARTITIONED.describe() == "not partitioned"


@pytest.mark.parametrize(
    "value", [{}, {"type": "os.system"}, {"type": ["daily"]}, {"type": "daily"}, {"type": "daily", "start": 5}]
)
def test_json_that_is_no_definition_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(DefinitionError):
        partitions_from_json(value)


def test_a_plain_date_says_where_hours_weeks_and_months_begin() -> None:
    assert HourlyPartitions("2024-01-01", "2024-01-02").all().first.key == "2024-01-01T00"
    assert MonthlyPartitions("2024-01-01", "2024-03-01").all().last.key == "2024-02"
    assert WeeklyPartitions("2024-01-01", "2024-01-08").all().first.key == "2024-01-01"
