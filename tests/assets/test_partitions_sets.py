"""Sets of partitions behave as Python's sets of their keys, and cost nothing by the key."""

import copy
import pickle
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from partition_cases import defined
from tried import tried_on

from headwater.assets import intervals
from headwater.assets.partitions import (
    UNPARTITIONED,
    DailyPartitions,
    MonthlyPartitions,
    Partition,
    PartitionsDefinition,
    PartitionSet,
    partitioning,
    partitions_from_json,
)
from headwater.errors import PartitionError

DAYS = DailyPartitions("2013-02-20", "2013-04-01", timezone="Europe/Berlin")
KEYS = [str(day) for day in DAYS.all()]

some_keys = st.sets(st.sampled_from(KEYS))
some_numbers = st.sets(st.integers(-20, 20)) | st.sets(st.integers(-30, 30), min_size=15)


@given(some_keys, some_keys)
@tried_on(50)
def test_algebra_is_that_of_sets_of_keys(left: set[str], right: set[str]) -> None:
    one, other = DAYS.set_of(left), DAYS.set_of(right)
    for found, expected in [
        (one, left),
        (one | other, left | right),
        (one & other, left & right),
        (one - other, left - right),
    ]:
        assert list(found.keys()) == sorted(expected)
        assert [part.key for part in found] == sorted(expected)
        assert [part.key for part in reversed(found)] == sorted(expected, reverse=True)
        assert len(found) == len(expected)
        assert bool(found) == bool(expected)
        assert found == DAYS.set_of(expected)
        assert hash(found) == hash(DAYS.set_of(expected))
        assert {key for key in KEYS if key in found} == expected
        assert {part.key for part in DAYS.all() if part in found} == expected
    assert (one <= other) == (left <= right)
    assert (one == other) == (left == right)


@given(some_keys)
def test_intervals_are_sorted_disjoint_and_merged(keys: set[str]) -> None:
    found = DAYS.set_of(keys).intervals
    edges = [edge for interval in found for edge in interval]
    assert edges == sorted(set(edges))


@given(some_keys)
def test_what_is_printed_and_what_is_written_as_json_reads_back(keys: set[str]) -> None:
    found = DAYS.set_of(keys)
    assert DAYS.set_from_json(found.to_json()) == found
    if keys:
        assert DAYS.parse(str(found)) == found
        assert found.first.key == min(keys)
        assert found.last.key == max(keys)


@given(some_numbers, some_numbers)
def test_intervals_of_numbers(left: set[int], right: set[int]) -> None:
    one, other = intervals.of_numbers(left), intervals.of_numbers(right)
    assert intervals.intersection(one, other) == intervals.of_numbers(left & right)
    assert intervals.difference(one, other) == intervals.of_numbers(left - right)
    assert intervals.merged(one + other) == intervals.of_numbers(left | right)


def test_ten_years_cost_as_much_as_a_day() -> None:
    definition = DailyPartitions("2010-01-01", "2020-01-01", timezone="America/New_York")
    tracemalloc.start()
    years = definition.all() - definition.parse("2014-06-01..2014-06-30")
    assert len(years) == 3652 - 30
    assert "2019-12-31" in years
    assert str(next(iter(years))) == "2010-01-01"
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(years.intervals) == 2
    assert peak < 50_000


def test_ranges_are_the_contiguous_stretches() -> None:
    found = DAYS.parse("2013-02-28..2013-03-02, 2013-03-09")
    assert [(first.key, last.key) for first, last in found.ranges()] == [
        ("2013-02-28", "2013-03-02"),
        ("2013-03-09", "2013-03-09"),
    ]
    assert found.to_json() == [["2013-02-28", "2013-03-02"], ["2013-03-09", "2013-03-09"]]


def test_clip_leaves_out_what_the_definition_does_not_have() -> None:
    low, high = DAYS.bounds
    assert DAYS.clip([(low - 5, low + 1), (high - 1, high + 9)]) == DAYS.set_of(["2013-02-20", "2013-03-31"])


def test_sets_of_different_definitions_do_not_mix() -> None:
    other = DailyPartitions("2013-02-20", "2013-04-01", timezone="UTC")
    for operation in (PartitionSet.__or__, PartitionSet.__and__, PartitionSet.__sub__):
        with pytest.raises(PartitionError, match=r"daily.*Europe/Berlin; daily.*UTC"):
            operation(DAYS.all(), other.all())
    assert other.partition("2013-03-01") not in DAYS.all()
    assert DAYS.all() != other.all()


def test_nothing_has_no_ends() -> None:
    assert str(DAYS.empty()) == ""
    assert DAYS.empty().to_json() == []
    for end in ("first", "last"):
        with pytest.raises(PartitionError, match="empty"):
            getattr(DAYS.empty(), end)


def test_things_that_are_no_partitions_are_not_in_a_set() -> None:
    for odd in (None, 5, "2013-02-30", "", b"2013-03-01", object(), ["2013-03-01"]):
        assert odd not in DAYS.all()
    assert Partition(key="2013-03-01") in DAYS.all()


def test_partitions_are_equal_by_key_and_definition() -> None:
    same = DailyPartitions("2013-02-20", "2013-04-01", timezone="Europe/Berlin")
    shorter = DailyPartitions("2013-02-20", "2013-03-20", timezone="Europe/Berlin")
    assert {DAYS.partition("2013-03-01"), same.partition("2013-03-01")} == {DAYS.partition("2013-03-01")}
    assert DAYS.partition("2013-03-01") != DAYS.partition("2013-03-02")
    assert DAYS.partition("2013-03-01") != shorter.partition("2013-03-01")


def test_an_asset_without_partitions_has_one() -> None:
    whole = UNPARTITIONED.all()
    assert [part.key for part in whole] == [None]
    assert len(whole) == 1
    assert None in whole
    assert None not in UNPARTITIONED.empty()
    assert str(whole) == "unpartitioned"
    assert str(UNPARTITIONED.empty()) == ""
    assert UNPARTITIONED.parse("unpartitioned") == whole == UNPARTITIONED.set_of([None])
    assert UNPARTITIONED.set_from_json(whole.to_json()) == whole
    assert whole - whole == UNPARTITIONED.empty()
    only = UNPARTITIONED.partition(None)
    assert (only.start, only.end, only.start_us, only.end_us) == (None, None, None, None)
    with pytest.raises(PartitionError, match="has no date"):
        _ = only.date
    with pytest.raises(PartitionError, match="has no partitions"):
        UNPARTITIONED.partition("2013-01-05")


@pytest.mark.parametrize(
    "definition",
    [
        UNPARTITIONED,
        DAYS,
        DailyPartitions("2013-01-01"),
        MonthlyPartitions("2013-01", "2014-01", timezone="Pacific/Apia"),
    ],
)
def test_definitions_survive_json_copies_and_processes(definition: PartitionsDefinition) -> None:
    assert partitions_from_json(definition.to_json()) == definition
    assert pickle.loads(pickle.dumps(definition)) == definition
    assert copy.deepcopy(definition) == definition
    assert hash(partitions_from_json(definition.to_json())) == hash(definition)
    part = definition.all(as_of=1_400_000_000_000_000).last
    again = pickle.loads(pickle.dumps(part))
    assert (again, again.start_us, again.end_us) == (part, part.start_us, part.end_us)


def test_the_partitioning_of_an_asset_definition() -> None:
    assert partitioning(defined("a")) is UNPARTITIONED
    assert partitioning(defined("a", partitions=DAYS)) is DAYS
    assert partitions_from_json(None) is UNPARTITIONED
