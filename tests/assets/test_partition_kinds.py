"""Partitions by cron, by key and of several dimensions: their keys, their text, and sets of them against sets of keys."""

import difflib
import itertools
import pickle
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import cronsim
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tried import tried_on

from headwater import Asset, clock, materialize
from headwater.assets import backfilling, boxes
from headwater.assets.backfill import BackfillRequest, plan
from headwater.assets.board import status
from headwater.assets.cron import calendar_of
from headwater.assets.freshness import board
from headwater.assets.mappings import WindowMapping
from headwater.assets.partitions import (
    CronPartitions,
    DailyPartitions,
    DynamicPartitions,
    HourlyPartitions,
    MonthlyPartitions,
    Partition,
    PartitionsDefinition,
    PartitionSet,
    ProductPartitions,
    ProductSet,
    StaticPartitions,
    WeeklyPartitions,
    partitions_from_json,
)
from headwater.assets.staleness import staleness
from headwater.errors import DefinitionError, PartitionError
from headwater.testing.sandbox import Sandbox, sandbox

DAYS = DailyPartitions("2024-01-01", "2024-01-08")
REGIONS = StaticPartitions(["eu", "us", "a,b", "x..y", "*", "100%", "ü=ñ|;", " z "[1:], "1", "2", "3"])
CUSTOMERS = DynamicPartitions("customers")
DEFINITIONS: list[PartitionsDefinition] = [
    DailyPartitions("2024-01-01", "2024-01-11", hour_offset=6, minute_offset=30),
    HourlyPartitions("2024-03-31T00", "2024-03-31T12", timezone="Europe/Berlin", minute_offset=15),
    WeeklyPartitions("2024-01-07", "2024-03-31", day_offset=6, hour_offset=3),
    MonthlyPartitions("2024-01", "2025-01", day_offset=14),
    CronPartitions("0 6 * * 1-5", "2024-01-01", "2024-02-01", timezone="America/New_York"),
    CronPartitions("*/40 1-3 * * *", "2024-03-30", "2024-04-02", timezone="Europe/Berlin"),
    REGIONS,
    CUSTOMERS,
    ProductPartitions(region=StaticPartitions(["eu", "us", "a,b"]), date=DAYS),
    ProductPartitions(date=DAYS, customer=CUSTOMERS),
    ProductPartitions(
        kind=StaticPartitions(["x", "y"]),
        hour=HourlyPartitions("2024-01-01T00", "2024-01-01T04"),
        region=StaticPartitions(["eu", "us"]),
    ),
    ProductPartitions(day=DAYS, made=MonthlyPartitions("2024-01", "2024-05")),
]


@pytest.fixture(scope="module", autouse=True)
def project() -> Iterator[Sandbox]:
    """The dynamic list has keys, of which one was removed."""
    with sandbox() as found:
        CUSTOMERS.add("acme", "gone", "b,c", "zeta", "ω")
        CUSTOMERS.remove("gone")
        yield found


def some(data: st.DataObject, definition: PartitionsDefinition) -> set[str | None]:
    return set(data.draw(st.lists(st.sampled_from(list(definition.all().keys())), max_size=14)))


@given(st.sampled_from(DEFINITIONS), st.data())
@tried_on(60)
def test_sets_are_sets_of_keys(definition: PartitionsDefinition, data: st.DataObject) -> None:
    every = list(definition.all().keys())
    left, right = some(data, definition), some(data, definition)
    one, other = definition.set_of(left), definition.set_of(right)
    for found, expected in (
        (one | other, left | right),
        (one & other, left & right),
        (one - other, left - right),
        (definition.union_of([one, other, one]), left | right),
        (definition.all() - one, set(every) - left),
    ):
        assert set(found.keys()) == expected
        assert len(found) == len(expected)
        assert bool(found) == bool(expected)
        assert [part.key for part in found] == list(found.keys())
        assert found == definition.set_of(expected)
        assert hash(found) == hash(definition.set_of(expected))
        assert definition.clip(found.intervals) == found
        assert all((key in found) == (key in expected) for key in every[:: len(every) // 9 + 1])
    assert (one <= other, one == other) == (left <= right, left == right)
    assert not [item for item in (None, 7, "no key") if item in definition.all()]
    for key in left:
        assert Partition(key=str(key)) in one
        assert Partition(key=str(key), definition=DailyPartitions("2000-01-01")) not in one
        assert definition.key(definition.ordinal(key)) == key
        assert definition.partition(key).key == key


@given(st.sampled_from(DEFINITIONS), st.data())
@tried_on(60)
def test_what_is_printed_written_and_pickled_reads_back(definition: PartitionsDefinition, data: st.DataObject) -> None:
    found = definition.set_of(some(data, definition))
    if data.draw(st.booleans()):
        found = definition.all() - found
    if found:
        assert definition.parse(str(found)) == found
    assert definition.set_from_json(found.to_json()) == found
    assert pickle.loads(pickle.dumps(found)) == found
    assert not found or [found.first, found.last] == [next(iter(found)), next(reversed(found))]


@pytest.mark.parametrize("definition", DEFINITIONS, ids=repr)
def test_definitions_survive_json_and_processes(definition: PartitionsDefinition) -> None:
    read = partitions_from_json(definition.to_json())
    assert read == definition
    assert hash(read) == hash(definition)
    assert repr(read) == repr(definition)
    assert pickle.loads(pickle.dumps(definition)) == definition
    assert eval(repr(definition)) == definition


@pytest.mark.parametrize(
    ("definition", "text", "expected"),
    [
        (DAYS, "2024-01-06..", "2024-01-06..2024-01-07"),
        (DAYS, "..2024-01-02", "2024-01-01..2024-01-02"),
        (DailyPartitions("2100-01-01"), "..2100-01-02", "2100-01-01..2100-01-02"),
        (DAYS, "*", "2024-01-01..2024-01-07"),
        (StaticPartitions(["eu", "us"]), " us , eu ", "eu, us"),
        (StaticPartitions("abcdefgh"[i] for i in range(8)), "b..g", "b..g"),
        (StaticPartitions("abcdefgh"[i] for i in range(8)), "a..", "*"),
        (REGIONS, "100%, a%2Cb", "a%2Cb, 100%25"),
        (DEFINITIONS[8], "region=eu|us,date=2024-01-03..", "region=eu|us,date=2024-01-03..2024-01-07"),
        (DEFINITIONS[8], "date=2024-01-03", "date=2024-01-03"),
        (DEFINITIONS[8], "2024-01-02..2024-01-03,region=us", "region=us,date=2024-01-02..2024-01-03"),
        (DEFINITIONS[8], "region=eu; date=2024-01-01", "date=2024-01-01; region=eu,date=2024-01-02..2024-01-07"),
        (DEFINITIONS[8], "*", "*"),
    ],
)
def test_what_a_person_writes(definition: PartitionsDefinition, text: str, expected: str) -> None:
    found = definition.parse(text)
    assert str(found) == expected
    assert definition.parse(expected) == found


@pytest.mark.parametrize(
    ("definition", "text", "hint"),
    [
        (StaticPartitions(["eu", "us"]), "euu", "did you mean 'eu'?"),
        (StaticPartitions(["eu", "us"]), "us..eu", "write eu..us"),
        (DEFINITIONS[8], "region=eu,region=us", "with a|b for several keys"),
        (DEFINITIONS[8], "zone=eu", "the dimensions are region and date"),
        (DEFINITIONS[8], "region=eu,date=2023-01-01", "the nearest is 2024-01-01"),
        (DEFINITIONS[8], "", "NAME"),
        (CUSTOMERS, "gone", "it was removed; add it: headwater partitions add customers gone"),
        (CUSTOMERS, "gone..", "it was removed; add it: headwater partitions add customers gone"),
        (DynamicPartitions("nobody"), "acme..", "there are none yet; add it: headwater partitions add nobody acme"),
        (DAYS, "2024-02-01..", "2024-01-07"),
        (DailyPartitions("2024-01-01"), "2100-01-01..", "give both ends"),
        (DailyPartitions("2100-01-01"), "2100-01-01..", "give both ends"),
    ],
)
def test_what_is_no_set_is_refused_with_a_hint(definition: PartitionsDefinition, text: str, hint: str) -> None:
    with pytest.raises(PartitionError) as raised:
        definition.parse(text)
    assert hint in str(raised.value.hint) or hint == "NAME"


@pytest.mark.parametrize(
    "key", ["", "a\0b", "a\nb", "x" * 241, "ü" * 90, "\ud800", "a\u202eb", "region=eu,date=x", 7, None]
)
def test_keys_that_are_not_safe_everywhere_are_refused(key: Any) -> None:
    with pytest.raises(DefinitionError) as raised:
        StaticPartitions(["eu", key])
    assert str(raised.value).isprintable() or "\n" in str(raised.value)
    with pytest.raises(PartitionError):
        CUSTOMERS.add(key)
    assert CUSTOMERS.keys == ("acme", "b,c", "zeta", "ω")


def test_keys_that_a_file_system_may_not_tell_apart_are_refused() -> None:
    with pytest.raises(DefinitionError, match="differ only in case"):
        StaticPartitions(["eu", "EU"])
    with pytest.raises(DefinitionError, match="stands twice") as raised:
        StaticPartitions(["eu", "us", "eu"])
    assert raised.value.hint == "leave one of them out"
    with pytest.raises(PartitionError, match="differ only in case"):
        CUSTOMERS.add("ACME")


def test_a_list_of_keys_is_given_one_by_one() -> None:
    for change in (CUSTOMERS.add, CUSTOMERS.remove):
        with pytest.raises(PartitionError, match="can't be \\['acme', 'new'\\]") as raised:
            change(["acme", "new"])  # type: ignore[arg-type]
        assert raised.value.hint == 'give texts, each by itself: "acme", "zeta", or *keys'
    assert CUSTOMERS.keys == ("acme", "b,c", "zeta", "ω")


def test_a_removed_key_is_no_partition_and_keeps_its_number() -> None:
    numbers = {key: CUSTOMERS.ordinal(key) for key in CUSTOMERS.keys}
    everything = CUSTOMERS.all()
    assert "gone" not in everything
    assert CUSTOMERS.add("gone", "acme") == ("gone",)
    assert CUSTOMERS.keys == ("acme", "gone", "b,c", "zeta", "ω")
    assert {key: CUSTOMERS.ordinal(key) for key in numbers} == numbers
    assert list((CUSTOMERS.all() - everything).keys()) == ["gone"]
    assert CUSTOMERS.remove("gone", "never there") == ("gone",)
    assert CUSTOMERS.all() == everything


def test_to_ask_for_a_key_that_is_gone_takes_no_longer_than_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    monkeypatch.setattr(difflib, "get_close_matches", lambda *args, **kwargs: looked.append(args) or ["eu"])
    product = ProductPartitions(region=REGIONS, date=DAYS)
    for definition, gone in (REGIONS, "e"), (CUSTOMERS, "gone"), (product, "region=e,date=2024-01-01"):
        assert not definition.has(gone)
        assert gone not in definition.all()
    assert looked == []
    with pytest.raises(PartitionError, match="did you mean 'eu'") as raised:
        REGIONS.ordinal("e")
    assert "did you mean 'eu'" in str(pickle.loads(pickle.dumps(raised.value)))
    assert len(looked) == 1


def test_a_long_list_is_hashed_as_quickly_as_a_short_one() -> None:
    hashed = []

    class Key(str):
        __slots__ = ()

        def __hash__(self) -> int:
            hashed.append(self)
            return str.__hash__(self)

    many = StaticPartitions(map(Key, map(str, range(1_000))))
    hashed.clear()
    assert hash(ProductPartitions(region=many, date=DAYS)) == hash(ProductPartitions(region=many, date=DAYS))
    assert len(hashed) < 10
    assert hash(many) == hash(StaticPartitions(map(str, range(1_000))))


def test_what_another_process_adds_is_known_soon(project: Sandbox) -> None:
    others = DynamicPartitions("others")
    assert not others.all()
    from headwater.assets.backfill_events import PartitionsAdded

    project.project.journal.append(PartitionsAdded(name="others", keys=("b", "a"), project="x"))
    assert others.partition("a").key == "a"  # a key that was never heard of is looked for at once
    assert others.keys == ("b", "a")
    project.project.journal.append(PartitionsAdded(name="others", keys=("c",), project="x"))
    project.clock.sleep(2)
    assert others.keys == ("b", "a", "c")


EXPRESSIONS = [
    "0 6 * * 1-5",
    "*/15 9-17 * * MON-FRI",
    "0 0 L * *",
    "0 0 29 2 *",
    "30 2 1,15 * 5",
    "0 12 * * 5#2",
    "0 12 * * 5L",
    "0 12 10 * FRI",
    "5 4 */3 * 1",
    "0 0 1-7 * */2",
    "59 23 31 12 *",
    "0 0 * JAN,jul 7",
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("start", [datetime(1999, 12, 31, 23, 59), datetime(2096, 2, 28)])
def test_firings_are_those_of_cron(expression: str, start: datetime) -> None:
    calendar = calendar_of(expression)
    number = calendar.floor(start) + 1
    for expected in itertools.islice(cronsim.CronSim(calendar.text, start), 300):
        assert calendar.local(number) == expected
        assert calendar.floor(expected) == number
        assert calendar.floor(expected - timedelta(minutes=1)) == number - 1
        number += 1


def test_the_last_friday_has_two_names() -> None:
    assert calendar_of("0 12 * * FRIL").local(5000) == calendar_of("0 12 * * 5L").local(5000)


@pytest.mark.parametrize(
    "expression",
    ["", "* * * *", "60 * * * *", "0 0 31 2 *", "* * * * 8", "a * * * *", "*/0 * * * *", "5-1 * * * *", "@never"],
)
def test_what_is_no_cron_expression_is_refused(expression: str) -> None:
    with pytest.raises(DefinitionError, match="is no cron expression"):
        CronPartitions(expression, "2024-01-01")


def test_far_firings_are_found_without_stepping_through() -> None:
    rare = CronPartitions("0 0 29 2 *", "2000-01-01")
    assert str(rare.ended(clock.to_us(datetime(9990, 1, 1, tzinfo=UTC))).last) == "9984-02-29T00:00"
    days = (date(9000, 1, 1) - date(2000, 1, 1)).days
    assert len(CronPartitions("* * * * *", "2000-01-01", "9000-01-01").all()) == 60 * 24 * days


def test_neighbours_and_windows() -> None:
    days = DailyPartitions("2024-01-01", "2024-01-04", timezone="Europe/Berlin")
    middle = days.partition("2024-01-02")
    assert (str(middle.previous), str(middle.next)) == ("2024-01-01", "2024-01-03")
    assert middle.previous is not None
    assert middle.previous.previous is None
    assert str(middle.window(-5, 5)) == "2024-01-01..2024-01-03"
    product = ProductPartitions(region=StaticPartitions(["eu", "us"]), date=days)
    part = product.partition({"region": "us", "date": date(2024, 1, 2)})
    assert str(part.next) == "region=us,date=2024-01-03"
    assert str(part.window(-1, 0)) == "region=us,date=2024-01-01..2024-01-02"
    assert (part.start, part.end, part.date) == (middle.start, middle.end, middle.date)
    assert part.dimension("date") == middle
    assert part["region"] == "us"
    assert list(part.dimensions) == ["region", "date"]
    assert product.partition("date=2024-01-02,region=us") == part
    with pytest.raises(PartitionError, match="no dimension"):
        part.dimension("zone")
    with pytest.raises(PartitionError, match="has no dimensions"):
        middle.dimension("date")
    keys = ProductPartitions(a=StaticPartitions(["x", "y"]), b=StaticPartitions(["1", "2"]))
    with pytest.raises(PartitionError, match="nothing comes before or after"):
        _ = keys.partition("a=x,b=1").next
    assert StaticPartitions(["x", "y"]).partition("x").next == StaticPartitions(["x", "y"]).partition("y")


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.integers(-3, 3), st.integers(0, 3), st.data())
@tried_on(40)
def test_what_lies_around_a_key_is_counted_among_those_that_are_there(
    kept: list[bool], first: int, more: int, data: st.DataObject
) -> None:
    keys = [f"k{number}" for number in range(len(kept))]
    here = [key for key, is_kept in zip(keys, kept, strict=True) if is_kept] or keys
    with sandbox():
        listed = DynamicPartitions("around")
        listed.add(*keys)
        listed.remove(*(key for key in keys if key not in here))
        fixed = StaticPartitions(here)
        given_keys = data.draw(st.lists(st.sampled_from(here), max_size=4))
        for key in given_keys:
            assert str(listed.partition(key).next) == str(fixed.partition(key).next)
            assert str(listed.partition(key).previous) == str(fixed.partition(key).previous)
        window = WindowMapping(first, first + more)
        for way in (window.upstream, window.downstream):
            found = [way(divided.set_of(given_keys), divided) for divided in (listed, fixed)]
            assert list(found[0].keys()) == list(found[1].keys())


@pytest.mark.parametrize(
    "make",
    [
        lambda: ProductPartitions(date=DAYS),
        lambda: ProductPartitions(date=DAYS, region=["eu"]),  # type: ignore[arg-type]
        lambda: ProductPartitions(**{"a=b": DAYS, "c": REGIONS}),
        lambda: ProductPartitions(a=ProductPartitions(b=DAYS, c=REGIONS), d=REGIONS),
        lambda: StaticPartitions([]),
        lambda: StaticPartitions("eu"),
        lambda: DynamicPartitions(""),
        lambda: DailyPartitions("2024-01-01", hour_offset=24),
        lambda: DailyPartitions("2024-01-01", day_offset=1),
        lambda: HourlyPartitions("2024-01-01", minute_offset=-1),
        lambda: HourlyPartitions("2024-01-01", minute_offset=True),
        lambda: HourlyPartitions("2024-01-01", minute_offset="5"),  # type: ignore[arg-type]
        lambda: CronPartitions("0 6 * * *", "yesterday"),
        lambda: CronPartitions("0 6 * * *", "2024-01-02", "2024-01-02"),
    ],
)
def test_what_is_no_definition_is_refused(make: Any) -> None:
    with pytest.raises(DefinitionError) as raised:
        make()
    assert raised.value.hint


def test_ten_years_of_hours_of_a_thousand_regions_cost_what_a_day_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    hours, regions = HourlyPartitions("2013-01-01", "2023-01-01"), StaticPartitions(f"r{n}" for n in range(1000))
    steps = {"box": 0, "key": 0}
    combined, key = boxes._combined, HourlyPartitions.key

    def counted(*args: Any) -> Any:
        steps["box"] += 1
        return combined(*args)

    def counted_key(self: HourlyPartitions, ordinal: int) -> str:
        steps["key"] += 1
        return key(self, ordinal)

    monkeypatch.setattr(boxes, "_combined", counted)
    monkeypatch.setattr(HourlyPartitions, "key", counted_key)

    def work(ends: str) -> tuple[PartitionSet, dict[str, int]]:
        product = ProductPartitions(region=regions, hour=hours)
        steps.update(box=0, key=0)
        found = product.parse(f"hour={ends}") - product.parse("region=r5..r500,hour=2013-01-01T05")
        found = (found | product.parse("region=r7")) & product.parse("region=r1..r900")
        assert "region=r7,hour=2013-01-01T05" in found
        assert "region=r6,hour=2013-01-01T05" not in found
        assert len(str(found)) < 1000
        return found, dict(steps)

    day, few = work("2013-01-01T00..2013-01-01T23")
    decade, many = work("2013-01-01T00..2022-12-31T23")
    assert isinstance(decade, ProductSet)
    assert (len(day), len(decade)) == (900 * 24 - 496 + 87_648 - 23, 900 * 87_648 - 495)
    assert many["box"] <= few["box"] < 40
    assert many["key"] <= few["key"] + 8 < 60


def test_a_key_of_a_product_names_its_dimensions_in_their_order() -> None:
    both = ProductPartitions(a=REGIONS, b=REGIONS)
    assert "a=eu,b=us" in both.all()
    for key in ("b=eu,a=us", "a=eu", "a=eu,b=us,c=us", "a=eu,a=us", ""):
        assert key not in both.all()


def test_a_range_of_a_product_is_a_range_in_each_dimension() -> None:
    product = ProductPartitions(region=StaticPartitions(["asia", "eu", "us"]), date=DAYS)
    found = product.range("region=asia,date=2024-01-02", "region=eu,date=2024-01-03")
    assert str(found) == "region=asia|eu,date=2024-01-02..2024-01-03"
    with pytest.raises(PartitionError, match="runs backwards"):
        product.range("region=asia,date=2024-01-03", "region=eu,date=2024-01-02")


def test_a_product_is_complete_as_far_as_every_region_is() -> None:
    product = ProductPartitions(region=StaticPartitions(["eu", "us"]), date=DAYS)
    whole = list(product.parse("date=2024-01-01..2024-01-03").keys())
    days = [tuple(product.parse(f"date=2024-01-0{day}").keys()) for day in (1, 2, 3)]
    assert product.before_first_gap(whole) == days[2]
    assert product.before_first_gap(whole[:-1]) == days[1]
    assert product.before_first_gap([*whole[:3], *whole[4:], "region=mars,date=2024-01-02"]) == days[0]
    assert product.before_first_gap([*whole[:4], "region=eu", "region=eu,date=2024-01-03,hour=1"]) == days[1]
    assert product.before_first_gap(whole[1:]) == ()
    assert ProductPartitions(a=REGIONS, b=CUSTOMERS).before_first_gap([]) == ()
    assert ProductPartitions(date=DAYS, of_none=DynamicPartitions("of none")).before_first_gap(whole) == ()


def test_a_product_of_two_times_is_complete_where_all_that_have_ended_are_there() -> None:
    with sandbox(now=clock.to_us(datetime(2024, 2, 3, 12, tzinfo=UTC))) as headwater:
        of_two = ProductPartitions(day=DAYS, known=DailyPartitions("2024-02-01"))
        forecast = Asset("forecast", at="memory://forecast", partitions=of_two)

        @materialize(forecast)
        def predict(partition: Partition) -> list[dict[str, str]]:
            return [{"day": partition["day"]}]

        def complete_through() -> str | None:
            facts = headwater.project.catalog.facts()
            told: str | None = status(facts, ["forecast"], clock.now_us())["assets"][0]["complete_through"]
            return told and told[:10]

        headwater.make(predict, partition="day=2024-01-01,known=2024-02-01")
        headwater.make(predict, partition="day=2024-01-01,known=2024-02-03")
        assert complete_through() is None, "what was made ahead stands in for nothing"
        headwater.make(predict, partition="day=2024-01-01,known=2024-02-02")
        assert complete_through() == "2024-01-02", "what was made ahead is no gap"
        headwater.clock.sleep(86_400)
        assert complete_through() == "2024-01-02", "that of February 3 was there before it ended"
        headwater.clock.sleep(86_400)
        assert complete_through() is None, "that of February 4 is missing"


def test_a_product_is_complete_to_where_the_first_of_its_last_day_was_begun() -> None:
    with sandbox(now=clock.to_us(datetime(2024, 1, 1, 12, tzinfo=UTC))) as headwater:
        product = ProductPartitions(date=DAYS, region=StaticPartitions(["eu", "us"]))
        sold = Asset("sold", at="memory://sold", partitions=product)

        @materialize(sold)
        def sell(partition: Partition) -> list[dict[str, str]]:
            return [{"day": partition["date"]}]

        for region in ("eu", "us"):
            headwater.make(sell, partition=f"date=2024-01-01,region={region}")
            headwater.clock.sleep(86_400)
        facts = headwater.project.catalog.facts()
        told = status(facts, ["sold"], clock.now_us())["assets"][0]
        assert told["complete_through"][:13] == "2024-01-01T12"
        [_, why] = board(facts, clock.now_us())["sold"].reason.because
        assert why.text == "complete only to 2024-01-01T12:00Z: a partition that ends later was begun then", (
            "none is missing"
        )


def test_the_board_of_a_product_of_many_millions_steps_through_nothing() -> None:
    hours, regions = HourlyPartitions("2013-01-01", "2023-01-01"), StaticPartitions(f"r{n}" for n in range(1000))
    with sandbox() as headwater:
        made = Asset("made", at="memory://made", partitions=ProductPartitions(region=regions, hour=hours))

        @materialize(made)
        def make() -> pl.DataFrame:
            return pl.DataFrame({"n": [1]})

        headwater.make(make, partition="region=r7,hour=2020-02-29T05")
        facts = headwater.project.catalog.facts()
        found = staleness(facts, clock.now_us())["made"]
        assert len(found.stale) == 87_648_000 - 1
        assert found.why("region=r7,hour=2020-02-29T05").kind == "up_to_date"
        (row,) = status(facts, ["made"], clock.now_us())["assets"]
        assert row["partitions"] == {"total": 87_648_000, "materialized": 1, "failed": 0, "missing": 87_647_999}
        request = BackfillRequest(targets=("made",), only=frozenset({"missing"}))
        assert plan(facts, request, clock.now_us()).total == 87_648_000 - 1


def test_a_key_that_is_removed_during_a_backfill_is_skipped() -> None:
    with sandbox() as headwater:
        guests = DynamicPartitions("guests")
        guests.add("anna", "bert", "carl")
        visits = Asset("visits", at="memory://visits", partitions=guests)

        @materialize(visits)
        def visit(partition: Partition) -> pl.DataFrame:
            guests.remove("bert", "anna")
            return pl.DataFrame({"guest": [partition.key]})

        facts = headwater.project.catalog.facts()
        planned = plan(facts, BackfillRequest(targets=("visits",)), clock.now_us())
        request = backfilling.request(headwater.project, planned, name="all", targets=["visits"])
        outcome = backfilling.carry_out(headwater.project, request, facts.definitions)
        assert (outcome.counts["completed"], outcome.counts["skipped"], outcome.errors) == (2, 1, ())


@pytest.mark.parametrize("wrong", [None, 5, date(2024, 1, 5), b"2024-01-05", ["2024-01-05"]])
def test_only_a_text_is_parsed(wrong: Any) -> None:
    days, guests = DailyPartitions("2024-01-01", "2024-02-01"), StaticPartitions(["anna"])
    for divided in (days, guests, ProductPartitions(day=days, guest=guests)):
        with pytest.raises(PartitionError, match="partitions are named by a text, got"):
            divided.parse(wrong)
