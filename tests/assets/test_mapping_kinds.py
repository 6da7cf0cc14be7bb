"""Mappings between partitions of every kind: one relation followed both ways, how many must be there, what is inferred."""

from collections.abc import Iterator
from typing import Annotated, Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tried import tried_on

from headwater import Asset, materialize
from headwater.assets.asset import AssetInput
from headwater.assets.mappings import (
    AllMapping,
    ByDimension,
    LastMapping,
    OverlapMapping,
    PartitionMapping,
    SameMapping,
    SpecificMapping,
    TableMapping,
    WindowMapping,
    infer_mapping,
    mapping_from_json,
    mapping_of,
)
from headwater.assets.partitions import (
    UNPARTITIONED,
    CronPartitions,
    DailyPartitions,
    DynamicPartitions,
    HourlyPartitions,
    MonthlyPartitions,
    PartitionsDefinition,
    PartitionSet,
    ProductPartitions,
    StaticPartitions,
    WeeklyPartitions,
)
from headwater.errors import DefinitionError, InputMissing
from headwater.testing.sandbox import Sandbox, sandbox

AS_OF = 1_767_225_600_000_000  # 2026-01-01
DAYS = DailyPartitions("2024-01-01", "2024-01-08")
BERLIN = DailyPartitions("2024-01-02", "2024-01-06", timezone="Europe/Berlin", hour_offset=6)
HOURS = HourlyPartitions("2024-01-02T00", "2024-01-03T12", minute_offset=30)
WEEKDAYS = CronPartitions("0 6 * * 1-5", "2023-12-28", "2024-01-12", timezone="America/New_York")
MONTHS = MonthlyPartitions("2023-12", "2024-03", day_offset=3)
EU_US = StaticPartitions(["eu", "us"])
WORLD = StaticPartitions(["asia", "eu", "us"])
SHOPS = StaticPartitions(["kiel", "nice", "york"])
CUSTOMERS, OTHERS = DynamicPartitions("customers"), DynamicPartitions("eu only")
SALES = ProductPartitions(region=WORLD, date=DAYS)
FEW = ProductPartitions(date=DailyPartitions("2024-01-02", "2024-01-05"), region=EU_US)
BY_HOUR = ProductPartitions(hour=HOURS, region=WORLD)
THREE = ProductPartitions(shop=SHOPS, month=MONTHS, region=EU_US)


@pytest.fixture(scope="module", autouse=True)
def project() -> Iterator[Sandbox]:
    with sandbox() as found:
        CUSTOMERS.add("acme", "gone", "eu", "zeta")
        CUSTOMERS.remove("gone")
        OTHERS.add("eu")
        yield found


def by(needs: Any = None, **given: PartitionMapping) -> ByDimension:
    return ByDimension(given=tuple(given.items()), needs=needs)


SAID: list[tuple[PartitionMapping | ByDimension | None, PartitionsDefinition, PartitionsDefinition]] = [
    *((None, up, down) for up in (DAYS, BERLIN, HOURS, WEEKDAYS, MONTHS) for down in (DAYS, BERLIN, WEEKDAYS, MONTHS)),
    *((None, SALES, down) for down in (SALES, FEW, BY_HOUR, THREE, DAYS, MONTHS, EU_US, WORLD, UNPARTITIONED)),
    *((None, up, SALES) for up in (SALES, BY_HOUR, DAYS, HOURS, WORLD, UNPARTITIONED)),
    (None, WORLD, EU_US),
    (SameMapping(), EU_US, WORLD),
    (SameMapping(), CUSTOMERS, WORLD),
    (SameMapping(), OTHERS, CUSTOMERS),
    (WindowMapping(-1, 1), WORLD, WORLD),
    (WindowMapping(-1, 0), CUSTOMERS, CUSTOMERS),
    (WindowMapping(-2, -1), SALES, SALES),
    (WindowMapping(-2, 0), SALES, FEW),
    (WindowMapping(-2, 0), DAYS, SALES),
    (OverlapMapping(), BY_HOUR, SALES),
    (LastMapping(2), DAYS, WORLD),
    (LastMapping(2), CUSTOMERS, DAYS),
    (LastMapping(2), SALES, SALES),
    (SpecificMapping(("eu", "us")), WORLD, DAYS),
    (SpecificMapping(("eu", "never")), CUSTOMERS, SALES),
    (SpecificMapping(("region=eu,date=2024-01-02",)), SALES, DAYS),
    (TableMapping.of({"kiel": "eu", "nice": ["eu", "us"]}), WORLD, SHOPS),
    (TableMapping.of({"kiel": "acme", "nice": "nobody"}), CUSTOMERS, SHOPS),
    (AllMapping(), SALES, THREE),
    (by(date=WindowMapping(-1, 0), region=AllMapping()), SALES, SALES),
    (by(date=LastMapping(3)), SALES, FEW),
    (by(region=WindowMapping(-1, 0)), SALES, SALES),
    (by(region=SpecificMapping(("eu",))), SALES, DAYS),
    (by(region=TableMapping.of({"kiel": "us", "york": "asia"})), SALES, ProductPartitions(shop=SHOPS, date=DAYS)),
    (by(date=WindowMapping(-1, 1)), DAYS, SALES),
]


def subset(data: st.DataObject, definition: PartitionsDefinition) -> PartitionSet:
    return definition.set_of(data.draw(st.lists(st.sampled_from(list(definition.all(AS_OF).keys())), max_size=5)))


@given(st.integers(0, len(SAID) - 1), st.data())
@tried_on(25)
def test_both_ways_are_one_relation(place: int, data: st.DataObject) -> None:
    said, source, target = SAID[place]
    mapping = mapping_of(said, source, target)
    given_up, given_down = subset(data, source), subset(data, target)

    read = mapping.upstream(given_down, source, as_of=AS_OF)
    one_by_one = source.union_of(
        mapping.upstream(target.set_of([part.key]), source, as_of=AS_OF) for part in given_down
    )
    assert read == one_by_one

    readers = mapping.downstream(given_up, target, as_of=AS_OF)
    expected = [
        part
        for part in target.all(AS_OF)
        if mapping.upstream(target.set_of([part.key]), source, as_of=AS_OF) & given_up
    ]
    assert list(readers) == expected

    if read:
        some = [part for part in given_down if mapping.upstream(target.set_of([part.key]), source, as_of=AS_OF)]
        assert target.set_of(part.key for part in some) <= mapping.downstream(read, target, as_of=AS_OF)


@pytest.mark.parametrize(
    ("upstream", "downstream", "key", "read"),
    [
        (EU_US, WORLD, "us", "us"),
        (EU_US, WORLD, "asia", ""),
        (CUSTOMERS, WORLD, "eu", "eu"),
        (DailyPartitions("2024-01-01"), DailyPartitions("2024-01-02"), "2999-01-01", "2999-01-01"),
    ],
)
def test_the_same_partition_is_that_of_the_same_key(
    upstream: PartitionsDefinition, downstream: PartitionsDefinition, key: str, read: str
) -> None:
    assert str(mapping_of(SameMapping(), upstream, downstream).upstream(downstream.set_of([key]), upstream)) == read


@pytest.mark.parametrize(
    ("last", "source", "read"),
    [
        (LastMapping(2), DAYS, "2024-01-02..2024-01-03"),
        (LastMapping(2), DailyPartitions("2024-01-01"), "2024-01-02..2024-01-03"),
        (LastMapping(2), DailyPartitions("2024-01-04", "2024-01-08"), ""),
        (LastMapping(2), SALES, "date=2024-01-02..2024-01-03"),
        (LastMapping(2), WORLD, "eu, us"),
    ],
)
def test_the_last_partitions_are_those_that_have_ended(
    last: LastMapping, source: PartitionsDefinition, read: str
) -> None:
    noon = 1_704_369_600_000_000  # 2024-01-04T12:00
    assert str(mapping_of(last, source, None).upstream(UNPARTITIONED.all(), source, as_of=noon)) == read


@pytest.mark.parametrize("place", range(len(SAID)))
def test_mappings_survive_json_and_say_what_they_are(place: int) -> None:
    mapping = mapping_of(*SAID[place])
    assert mapping_from_json(mapping.to_json()) == mapping
    assert mapping.describe()
    assert mapping_of(mapping, *SAID[place][1:]) == mapping


@pytest.mark.parametrize(
    ("upstream", "downstream", "text"),
    [
        (SALES, DAYS, "date: the same partition; region: all partitions"),
        (SALES, MONTHS, "date: the partitions that overlap in time; region: all partitions"),
        (DAYS, SALES, "date: the same partition"),
        (BY_HOUR, SALES, "hour (of date): the partitions that overlap in time; region: the same partition"),
        (SALES, FEW, "date: the same partition; region: the same partition"),
        (SALES, EU_US, "region: the same partition; date: all partitions"),
        (WORLD, EU_US, "the same partition"),
        (SALES, SALES, "the same partition"),
        (SALES, None, "all partitions"),
        (CUSTOMERS, CUSTOMERS, "the same partition"),
        (WEEKDAYS, DAYS, "the partitions that overlap in time"),
    ],
)
def test_what_is_inferred(upstream: PartitionsDefinition, downstream: PartitionsDefinition | None, text: str) -> None:
    assert sorted(infer_mapping(upstream, downstream).describe().split("; ")) == sorted(text.split("; "))


ALIKE = ProductPartitions(start=DAYS, end=DAYS)


@pytest.mark.parametrize(
    ("said", "upstream", "downstream", "words"),
    [
        (None, DAYS, WORLD, ["daily, 2024", "static, asia", "asset.all()", "asset.table("]),
        (None, WORLD, DAYS, ["daily, 2024", "static, asia", "asset.last()"]),
        (None, EU_US, WORLD, ["static, eu, us", "static, asia, eu, us", "asset.same()"]),
        (None, CUSTOMERS, WORLD, ["dynamic, customers", "static, asia"]),
        (None, FEW, SALES, ["the dimension 'region'", "static, asia", "asset.by(region="]),
        (None, DAYS, ALIKE, ["could follow start or end", "asset.by("]),
        (None, ProductPartitions(a=EU_US, b=WORLD), DAYS, ["no dimension", "daily, 2024", "asset.by("]),
        (by(zone=WindowMapping(-1, 0)), SALES, SALES, ["no dimension 'zone'", "it has: date, region"]),
        (by(zone=WindowMapping(-1, 0)), DAYS, SALES, ["no dimension 'zone'", "it has: date, region"]),
        (by(date=WindowMapping(-1, 0)), SALES, MONTHS, ["'date'", "could follow none", "monthly"]),
        (by(region=WindowMapping(-1, 0)), SALES, None, ["'region'", "could follow none", "not partitioned"]),
        (mapping_of(by(date=AllMapping()), SALES, DAYS), DAYS, DAYS, ["does not fit an input", "its dimensions"]),
        (mapping_of(None, SALES, FEW), SALES, BY_HOUR, ["does not fit an asset", "followed once"]),
        (WindowMapping(-1, 0), DAYS, MONTHS, ["daily", "monthly", "leave the mapping out"]),
        (WindowMapping(-1, 0), ProductPartitions(a=EU_US, b=WORLD), DAYS, ["needs a dimension", ".by(a=(-1, 0))"]),
        (SameMapping(), DAYS, WORLD, ["daily", "static"]),
        (OverlapMapping(), WORLD, DAYS, ["static", "no windows of time"]),
        (LastMapping(), UNPARTITIONED, DAYS, ["not partitioned"]),
        (SpecificMapping(("mars",)), WORLD, DAYS, ["'mars'", "asia"]),
        (TableMapping.of({"kiel": "mars"}), WORLD, SHOPS, ["'mars'", "input"]),
        (TableMapping.of({"oslo": "eu"}), WORLD, SHOPS, ["'oslo'", "asset"]),
        (TableMapping.of({"kiel": "eu"}), DAYS, SHOPS, ["daily", "partitions by key"]),
    ],
)
def test_what_can_not_be_mapped_is_an_error_that_says_what_to_write(
    said: Any, upstream: PartitionsDefinition, downstream: PartitionsDefinition | None, words: list[str]
) -> None:
    with pytest.raises(DefinitionError) as raised:
        mapping_of(said, upstream, downstream)
    text = f"{raised.value.message} {raised.value.hint}"
    assert raised.value.hint
    assert [word for word in words if word not in text] == []


def test_an_input_that_can_not_be_mapped_is_an_error_at_the_decorator() -> None:
    shops = Asset("shops_unmapped", at="memory://shops_unmapped", partitions=SHOPS)
    days = Asset("days_unmapped", at="memory://days_unmapped", partitions=DAYS)
    with pytest.raises(DefinitionError) as raised:

        @materialize(days)
        def make(shops: Annotated[pl.LazyFrame, shops]) -> None: ...

    assert "daily" in raised.value.message
    assert "static" in raised.value.message
    assert "the input 'shops' (shops_unmapped) of" in str(raised.value.where)


NUMBERS = Asset("numbers_read", at="memory://numbers_read", partitions=SALES)


@pytest.mark.parametrize(
    ("said", "made", "enough"),
    [
        (NUMBERS.window(-2, 0), ["2024-01-03", "2024-01-04"], False),
        (NUMBERS.window(-2, 0, at_least=2), ["2024-01-03", "2024-01-04"], True),
        (NUMBERS.window(-6, 0, at_least=5), [f"2024-01-0{day}" for day in (1, 2, 3, 4)], True),
        (NUMBERS.window(-6, 0, at_least=5), [f"2024-01-0{day}" for day in (2, 3, 4)], False),
        (NUMBERS.window(-2, 0, needs="any"), ["2024-01-03"], True),
        (NUMBERS.window(-2, 0, needs="any"), ["2024-01-07"], False),
        (NUMBERS.window(-2, 0, needs=0), [], True),
        (NUMBERS.same(needs="any"), [], False),
        (NUMBERS.all(), ["2024-01-07"], True),
        (NUMBERS.all(needs="all"), ["2024-01-07"], False),
        (NUMBERS.last(), ["2024-01-07"], True),
        (NUMBERS.last(2), ["2024-01-07"], False),
        (NUMBERS.only("region=eu,date=2024-01-06"), ["2024-01-06"], True),
        (NUMBERS.by(date=NUMBERS.last(2), needs=1), ["2024-01-06"], True),
        (NUMBERS.by(date=(-1, 0), region=NUMBERS.all()), ["2024-01-03", "2024-01-04"], False),
    ],
)
def test_how_many_must_be_there(said: AssetInput, made: list[str], enough: bool) -> None:
    with sandbox() as headwater:
        numbers = Asset("numbers", at="memory://numbers", partitions=SALES)
        sums = Asset("sums", at="memory://sums", partitions=SALES)

        @materialize(numbers)
        def make(partition: Any) -> pl.DataFrame:
            return pl.DataFrame({"day": [partition.date], "region": [partition["region"]]})

        @materialize(sums)
        def add(rows: Annotated[pl.DataFrame, AssetInput(numbers, said.mapping)]) -> pl.DataFrame:
            return rows.select(pl.len())

        for day in made:
            headwater.make(make, partition=f"region=eu,date={day}")
        if enough:
            headwater.make(add, partition="region=eu,date=2024-01-04")
            assert headwater.load(sums, partition="region=eu,date=2024-01-04").item() == len(made)
        else:
            with pytest.raises(InputMissing):
                headwater.make(add, partition="region=eu,date=2024-01-04")


def test_an_asset_may_read_its_own_past_in_a_dimension() -> None:
    with sandbox():
        state = Asset("state", at="memory://state", partitions=SALES)

        @materialize(state)
        def carry(before: Annotated[pl.DataFrame, state.by(date=(-1, -1), region=state.same())]) -> pl.DataFrame:
            return before

        assert carry.inputs[0].mapping.only_past
        with pytest.raises(DefinitionError, match="its own input"):

            @materialize(Asset("state2", at="memory://state2", partitions=SALES))
            def wrong(
                before: Annotated[pl.DataFrame, Asset("state2", at="memory://state2", partitions=SALES)],
            ) -> None: ...


@pytest.mark.parametrize("needs", ["some", -1, 1.5, True])
def test_needs_that_say_nothing_are_refused(needs: Any) -> None:
    with pytest.raises(DefinitionError, match="how many partitions must be there"):
        SameMapping(needs=needs)
    assert mapping_from_json({"type": "window", "first": -1, "last": 0, "at_least": 1}) == WindowMapping(-1, 0, needs=1)


def test_weeks_from_sunday_read_the_days_that_they_hold() -> None:
    weeks = WeeklyPartitions("2024-01-07", "2024-01-28", day_offset=6)
    days = DailyPartitions("2024-01-01", "2024-02-01")
    assert str(infer_mapping(days, weeks).upstream(weeks.parse("2024-01-14"), days)) == "2024-01-14..2024-01-20"
