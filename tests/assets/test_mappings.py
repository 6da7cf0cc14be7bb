"""Mappings are relations between partitions that can be followed both ways."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tried import tried_on

from headwater.assets.mappings import (
    AllMapping,
    OverlapMapping,
    PartitionMapping,
    SameMapping,
    UnpartitionedMapping,
    WindowMapping,
    infer_mapping,
    mapping_from_json,
)
from headwater.assets.partitions import (
    UNPARTITIONED,
    DailyPartitions,
    HourlyPartitions,
    MonthlyPartitions,
    PartitionsDefinition,
    PartitionSet,
    WeeklyPartitions,
)
from headwater.errors import DefinitionError

AS_OF = 1_325_000_000_000_000  # 2011-12-27
APIA = DailyPartitions("2011-12-24", "2012-01-04", timezone="Pacific/Apia")
DAYS = DailyPartitions("2011-12-20", "2012-01-09")
OPEN_DAYS = DailyPartitions("2011-12-20")

aligned = st.sampled_from(
    [DAYS, DailyPartitions("2011-12-30", "2012-01-14"), DailyPartitions("2011-12-01", "2011-12-25")]
)
timed = st.sampled_from(
    [
        APIA,
        DAYS,
        DailyPartitions("2011-12-25", "2011-12-31", timezone="Pacific/Apia"),
        DailyPartitions("2011-12-30", "2012-01-02", timezone="Pacific/Apia"),
        DailyPartitions("2011-12-28", "2012-01-02", timezone="America/Sao_Paulo"),
        HourlyPartitions("2011-12-29T18", "2012-01-01T06", timezone="Pacific/Apia"),
        HourlyPartitions("2011-12-30T00", "2012-01-01T00"),
        WeeklyPartitions("2011-12-19", "2012-01-16", timezone="Europe/Berlin"),
        MonthlyPartitions("2011-11", "2012-03", timezone="Australia/Lord_Howe"),
    ]
)
at_least = st.none() | st.integers(0, 9)
offsets = st.tuples(st.integers(-9, 9), st.integers(-9, 9)).map(sorted)
windows = st.builds(lambda ends, enough: WindowMapping(*ends, needs=enough), offsets, at_least)
cases = st.one_of(
    st.tuples(st.builds(SameMapping), aligned, aligned),
    st.tuples(windows, aligned, aligned),
    st.tuples(st.builds(OverlapMapping), timed, timed),
    st.tuples(st.builds(AllMapping), timed | st.just(OPEN_DAYS), timed | st.just(UNPARTITIONED)),
    st.tuples(st.builds(UnpartitionedMapping), st.just(UNPARTITIONED), timed | st.just(UNPARTITIONED)),
)


def subset(data: st.DataObject, definition: PartitionsDefinition) -> PartitionSet:
    low = definition.bounds[0]
    stretches = st.tuples(st.integers(0, 40), st.integers(1, 9)).map(lambda pair: (low + pair[0], low + sum(pair)))
    return definition.clip(data.draw(st.lists(stretches, max_size=4))) & definition.all(AS_OF)


@given(cases, st.data())
@tried_on(60)
def test_both_ways_are_one_relation(
    case: tuple[PartitionMapping, PartitionsDefinition, PartitionsDefinition], data: st.DataObject
) -> None:
    mapping, source, target = case
    mapping.check(source, target)
    given_up, given_down = subset(data, source), subset(data, target)

    read = mapping.upstream(given_down, source, as_of=AS_OF)
    assert read.definition == source
    assert read <= source.clip([source.bounds])
    alone = [mapping.upstream(target.set_of([part.key]), source, as_of=AS_OF) for part in given_down]
    assert read == source.union_of(alone)
    numbers = [target.ordinal(part.key) for part in given_down]
    assert mapping.windows(numbers, target, source, as_of=AS_OF) == [one.intervals for one in alone]

    readers = mapping.downstream(given_up, target, as_of=AS_OF)
    expected = [
        part
        for part in target.all(AS_OF)
        if mapping.upstream(target.set_of([part.key]), source, as_of=AS_OF) & given_up
    ]
    assert list(readers) == expected


@given(timed, timed)
@tried_on(25)
def test_overlap_is_overlap_of_windows(source: PartitionsDefinition, target: PartitionsDefinition) -> None:
    for part in target.all():
        assert part.start_us is not None
        assert part.end_us is not None
        found = OverlapMapping().upstream(target.set_of([part.key]), source)
        for other in source.all():
            assert other.start_us is not None
            assert other.end_us is not None
            # A partition of no length counts as its one instant.
            ends = (max(one.end_us or 0, (one.start_us or 0) + 1) for one in (part, other))
            assert (other in found) == (max(part.start_us, other.start_us) < min(ends)), (part, other)


def test_no_row_of_one_calendar_is_missed_by_the_other() -> None:
    here = DailyPartitions("2013-01-01", "2014-01-01", timezone="America/New_York")
    there = DailyPartitions("2013-01-01", "2014-01-01")
    mapping = infer_mapping(there, here)
    assert mapping == OverlapMapping()
    assert str(mapping.upstream(here.parse("2013-03-10"), there)) == "2013-03-10..2013-03-11"
    assert str(mapping.upstream(here.parse("2013-12-31"), there)) == "2013-12-31"
    assert str(mapping.downstream(there.parse("2013-01-01"), here)) == "2013-01-01"
    months = MonthlyPartitions("2013-01", "2014-01", timezone="America/New_York")
    assert str(OverlapMapping().upstream(months.parse("2013-02"), here)) == "2013-02-01..2013-02-28"
    assert str(OverlapMapping().downstream(here.parse("2013-02-28..2013-03-01"), months)) == "2013-02..2013-03"


def test_windows_are_clipped_where_the_definition_begins_and_ends() -> None:
    mapping = WindowMapping(-6, 0)
    assert str(mapping.upstream(DAYS.parse("2011-12-22"), DAYS)) == "2011-12-20..2011-12-22"
    assert str(mapping.downstream(DAYS.parse("2012-01-05"), DAYS)) == "2012-01-05..2012-01-08"
    assert str(WindowMapping(1, 1).upstream(DAYS.parse("2012-01-07..2012-01-08"), DAYS)) == "2012-01-08"


def test_all_of_an_open_ended_input_is_what_has_ended() -> None:
    whole = AllMapping().upstream(UNPARTITIONED.all(), OPEN_DAYS, as_of=AS_OF)
    assert str(whole) == "2011-12-20..2011-12-26"
    assert not AllMapping().upstream(UNPARTITIONED.empty(), OPEN_DAYS, as_of=AS_OF)


@pytest.mark.parametrize(
    ("upstream", "downstream", "expected"),
    [
        (None, None, UnpartitionedMapping()),
        (None, DAYS, UnpartitionedMapping()),
        (DAYS, None, AllMapping()),
        (DAYS, DAYS, SameMapping()),
        (DAYS, OPEN_DAYS, SameMapping()),
        (DAYS, APIA, OverlapMapping()),
        (DAYS, MonthlyPartitions("2013-01"), OverlapMapping()),
        (HourlyPartitions("2013-01-01T00"), DAYS, OverlapMapping()),
    ],
)
def test_what_is_inferred(
    upstream: PartitionsDefinition | None, downstream: PartitionsDefinition | None, expected: PartitionMapping
) -> None:
    found = infer_mapping(upstream, downstream)
    assert found == expected
    found.check(upstream or UNPARTITIONED, downstream or UNPARTITIONED)


@given(st.one_of(windows, *(st.builds(kind, needs=at_least) for kind in (SameMapping, AllMapping, OverlapMapping))))
@example(UnpartitionedMapping())
def test_mappings_survive_json(mapping: PartitionMapping) -> None:
    assert mapping_from_json(mapping.to_json()) == mapping
    assert mapping.describe()


@pytest.mark.parametrize(
    ("mapping", "text"),
    [
        (SameMapping(), "the same partition"),
        (WindowMapping(-6, 0), "window of partitions from -6 to 0"),
        (WindowMapping(-6, 0, needs=5), "window of partitions from -6 to 0, at least 5 of them"),
        (WindowMapping(-1, -1), "the partition -1 away"),
        (AllMapping(needs=300), "all partitions, at least 300 of them"),
        (UnpartitionedMapping(), "the whole asset"),
        (OverlapMapping(), "the partitions that overlap in time"),
    ],
)
def test_mappings_say_what_they_are(mapping: PartitionMapping, text: str) -> None:
    assert mapping.describe() == text


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"type": "os.system"},
        {"type": ["same"]},
        {"type": "window"},
        {"type": "window", "first": 1, "last": 0},
        {"type": "window", "first": "-6", "last": 0},
        {"type": "window", "first": -6, "last": True},
        {"type": "same", "needs": -1},
        {"type": "same", "needs": "5"},
    ],
)
def test_json_that_is_no_mapping_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(DefinitionError):
        mapping_from_json(value)


@pytest.mark.parametrize(
    ("mapping", "upstream", "downstream"),
    [
        (SameMapping(), DAYS, APIA),
        (SameMapping(), DAYS, UNPARTITIONED),
        (WindowMapping(-6, 0), DAYS, MonthlyPartitions("2011-11")),
        (WindowMapping(-6, 0), UNPARTITIONED, DAYS),
        (OverlapMapping(), UNPARTITIONED, DAYS),
        (OverlapMapping(), DAYS, UNPARTITIONED),
        (UnpartitionedMapping(), DAYS, UNPARTITIONED),
    ],
)
def test_mappings_that_do_not_fit_are_refused_in_both_directions(
    mapping: PartitionMapping, upstream: PartitionsDefinition, downstream: PartitionsDefinition
) -> None:
    with pytest.raises(DefinitionError):
        mapping.check(upstream, downstream)
    with pytest.raises(DefinitionError):
        mapping.upstream(downstream.all(AS_OF), upstream, as_of=AS_OF)
    with pytest.raises(DefinitionError):
        mapping.downstream(upstream.all(AS_OF), downstream, as_of=AS_OF)
