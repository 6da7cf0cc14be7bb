import json
from dataclasses import replace
from itertools import pairwise

import pytest
from asset_worlds import DAYS, World, keys, us
from hypothesis import given
from hypothesis import strategies as st
from tried import tried_on

from headwater.assets.backfill import BackfillRequest, Progress, plan, plan_from_json
from headwater.assets.definitions import InputDefinition
from headwater.assets.dependencies import topological
from headwater.assets.mappings import AllMapping, LastMapping, WindowMapping
from headwater.assets.partitions import (
    DailyPartitions,
    DynamicPartitions,
    HourlyPartitions,
    MonthlyPartitions,
    ProductPartitions,
    StaticPartitions,
    TimePartitions,
    partitioning,
)
from headwater.assets.staleness import staleness
from headwater.errors import DefinitionError, UnknownNameError, UsageError
from headwater.testing.sandbox import sandbox

NOW = us("2014-06-01")
SHORT = DailyPartitions("2013-01-01", "2013-01-11")


def river(window=(-2, 0)):
    world = World().source("feed").asset("flights", "feed", partitions=SHORT).asset("weather", partitions=SHORT)
    world.asset("delays", "flights", partitions=SHORT)
    world.asset("risk", ("flights", WindowMapping(*window)), ("weather", WindowMapping(*window)), partitions=SHORT)
    return world.asset("score", "delays").observe("feed", version="f1")


def full():
    world = river()
    for name in ("flights", "weather", "delays", "risk"):
        world.make(name, *keys(SHORT))
    return world.make("score")


def steps(world, *targets, of=None, only=(), **how):
    request = BackfillRequest(targets=targets, partitions=of and SHORT.parse(of), only=frozenset(only), **how)
    return {step.asset: str(step.partitions) for step in plan(world.facts(), request, NOW).steps}


def test_all_of_an_asset_or_the_partitions_asked_for():
    assert steps(river(), "flights") == {"flights": "2013-01-01..2013-01-10"}
    assert steps(river(), "flights", of="2013-01-03..2013-01-04") == {"flights": "2013-01-03..2013-01-04"}


def test_upstream_follows_the_windows_and_stops_at_sources():
    assert steps(river(), "risk", of="2013-01-05..2013-01-06", upstream=True) == {
        "flights": "2013-01-03..2013-01-06",
        "weather": "2013-01-03..2013-01-06",
        "risk": "2013-01-05..2013-01-06",
    }


def test_downstream_follows_them_the_other_way():
    assert steps(river(), "flights", of="2013-01-05", downstream=True) == {
        "flights": "2013-01-05",
        "delays": "2013-01-05",
        "risk": "2013-01-05..2013-01-07",
        "score": "unpartitioned",
    }


def test_steps_are_in_topological_order_whatever_the_targets_order():
    found = plan(river().facts(), BackfillRequest(targets=("score", "risk", "delays", "flights", "weather")), NOW)
    names = [step.asset for step in found.steps]
    assert names.index("flights") < names.index("delays") < names.index("score")
    assert names.index("weather") < names.index("risk")
    assert found.total == 41


def test_only_missing():
    world = river().make("flights", "2013-01-02", "2013-01-03").make("delays", "2013-01-02")
    assert steps(world, "delays", of="2013-01-01..2013-01-03", upstream=True, only=["missing"]) == {
        "flights": "2013-01-01",
        "delays": "2013-01-01, 2013-01-03",
    }
    assert steps(full(), "delays", upstream=True, only=["missing"]) == {}


def test_only_failed():
    world = full().fail("delays", "2013-01-04").fail("flights", "2013-01-09")
    assert steps(world, "delays", only=["failed"]) == {"delays": "2013-01-04"}
    assert steps(world, "delays", only=["failed"], upstream=True) == {"flights": "2013-01-09", "delays": "2013-01-04"}


def test_only_missing_or_failed():
    world = river().make("flights", *keys(SHORT)).make("delays", *keys(SHORT, "2013-01-01", "2013-01-08"))
    assert steps(world.fail("delays", "2013-01-02"), "delays", only=["missing", "failed"]) == {
        "delays": "2013-01-02, 2013-01-09..2013-01-10",
    }


def test_only_stale_is_nothing_when_everything_is_up_to_date():
    assert steps(full(), "score", "risk", upstream=True, only=["stale"]) == {}


def test_only_stale_says_all_that_will_happen():
    world = full()
    world.facts_of("flights")["made"].pop("2013-01-05")
    assert steps(world, "risk", "score", upstream=True, only=["stale"]) == {
        "flights": "2013-01-05",
        "delays": "2013-01-05",
        "risk": "2013-01-05..2013-01-07",
        "score": "unpartitioned",
    }
    assert steps(world, "risk", only=["stale"]) == {}, (
        "nothing that it was made of differs, and flights isn't asked for"
    )


def test_only_stale_after_a_change_of_code():
    world = full().asset("delays", "flights", partitions=SHORT, code="code-2")
    assert steps(world, "score", upstream=True, only=["stale"]) == {
        "delays": "2013-01-01..2013-01-10",
        "score": "unpartitioned",
    }
    found = plan(world.facts(), BackfillRequest(targets=("delays",), only=frozenset({"stale"})), NOW).steps[0]
    assert found.reason.tree() == (
        "delays was asked for; 10 of 10 partitions are stale\n"
        "  its code changed since it was made (10 partitions: 2013-01-01..2013-01-10)"
    )


def test_only_stale_along_an_asset_that_reads_its_own_day_before():
    world = World().asset("flights", partitions=SHORT)
    world.asset("sums", "flights", ("sums", WindowMapping(-1, -1)), partitions=SHORT)
    world.make("flights", *keys(SHORT)).make("sums", *keys(SHORT))
    world.facts_of("flights")["made"].pop("2013-01-05")
    assert steps(world, "sums", upstream=True, only=["stale"]) == {
        "flights": "2013-01-05",
        "sums": "2013-01-05..2013-01-10",
    }


def test_upstream_of_an_asset_that_reads_itself_is_only_what_is_missing():
    world = World().asset("sums", ("sums", WindowMapping(-1, -1)), partitions=SHORT)
    world.make("sums", *keys(SHORT, "2013-01-01", "2013-01-03"))
    assert steps(world, "sums", of="2013-01-06", upstream=True) == {"sums": "2013-01-04..2013-01-06"}
    assert steps(world, "sums", of="2013-01-06", downstream=True) == {"sums": "2013-01-06..2013-01-10"}


@pytest.mark.parametrize("turned", [False, True])
def test_what_an_asset_reads_of_itself_is_followed_whichever_input_stands_first(turned):
    inputs = ["flights", ("sums", WindowMapping(-1, -1))]
    world = World().asset("flights", partitions=SHORT)
    world.asset("sums", *(reversed(inputs) if turned else inputs), partitions=SHORT)
    assert steps(world, "sums", of="2013-01-03", upstream=True) == {
        "flights": "2013-01-01..2013-01-03",
        "sums": "2013-01-01..2013-01-03",
    }
    assert steps(world, "flights", of="2013-01-03", downstream=True) == {
        "flights": "2013-01-03",
        "sums": "2013-01-03..2013-01-10",
    }


def test_what_an_asset_reads_of_itself_in_two_ways_is_followed_by_turns():
    world = World().asset("sums", ("sums", WindowMapping(-2, -2)), ("sums", WindowMapping(-5, -5)), partitions=SHORT)
    assert steps(world, "sums", of="2013-01-09", upstream=True) == {
        "sums": "2013-01-01..2013-01-05, 2013-01-07, 2013-01-09"
    }
    assert steps(world, "sums", of="2013-01-01", downstream=True) == {
        "sums": "2013-01-01, 2013-01-03, 2013-01-05..2013-01-10"
    }


def pair():
    """Flights and delays come of one call; each is read by something."""
    world = World().asset("flights", partitions=SHORT).asset("delays", partitions=SHORT).together("flights", "delays")
    world.asset("a_report", "flights", partitions=SHORT).asset("score", "delays", partitions=SHORT)
    return world.make("flights", *keys(SHORT)).make("delays", *keys(SHORT, "2013-01-01", "2013-01-09"))


def test_what_one_function_makes_is_planned_together_before_what_reads_any_of_it():
    world = pair().make("a_report", *keys(SHORT)).make("score", *keys(SHORT, "2013-01-01", "2013-01-09"))
    asked = ("a_report", "delays", "flights")
    assert steps(world, *asked, only=["stale"]) == dict.fromkeys(("delays", "flights", "a_report"), "2013-01-10")
    request = BackfillRequest(targets=asked, only=frozenset({"stale"}))
    found = {step.asset: step.reason.text for step in plan(world.facts(), request, NOW).steps}
    assert found == {
        "delays": "delays was asked for; 1 of 10 partitions is stale",
        "flights": "flights is made by the call that makes delays",
        "a_report": "a_report was asked for; 1 of 10 partitions is stale",
    }
    assert [*found][-1] == "a_report"
    world.asset("flights", partitions=SHORT).together("flights", "delays")
    world.facts_of("flights")["made"].pop("2013-01-02")
    found = {step.asset: step.reason.text for step in plan(world.facts(), request, NOW).steps}
    assert found["flights"] == (
        "flights was asked for; 1 of 10 partitions is stale; 1 more is made by the call that makes delays"
    )
    assert steps(world, "delays", only=["missing"]) == {"delays": "2013-01-10", "flights": "2013-01-10"}


def test_what_reads_what_is_made_together_is_downstream_of_all_of_it():
    assert steps(pair(), "delays", of="2013-01-03", downstream=True) == dict.fromkeys(
        ("delays", "flights", "a_report", "score"), "2013-01-03"
    )
    request = BackfillRequest(targets=("delays",), partitions=SHORT.parse("2013-01-03"), downstream=True)
    found = {step.asset: step.reason.text for step in plan(pair().facts(), request, NOW).steps}
    assert found["a_report"] == "a_report is made from delays, flights"
    assert steps(pair(), "score", of="2013-01-03", upstream=True) == dict.fromkeys(
        ("delays", "flights", "score"), "2013-01-03"
    ), "what reads the others was not asked for"


def test_what_another_function_makes_now_is_planned_alone():
    world = pair()
    world.asset("flights", partitions=SHORT)
    assert steps(world, "delays", of="2013-01-03") == {"delays": "2013-01-03"}


def by_turns(*more):
    """Stock is what was there yesterday and what was ordered yesterday; an order is made of the stock of its day."""
    yesterday = WindowMapping(-1, -1)
    world = World().asset("sales", partitions=SHORT).asset("orders", partitions=SHORT)
    world.asset("stock", ("orders", yesterday), ("sales", yesterday), *more, partitions=SHORT)
    return world.asset("orders", "stock", partitions=SHORT).asset("report", "orders")


def test_what_reads_the_past_of_each_other_is_planned_by_turns():
    assert steps(by_turns(), "orders", of="2013-01-04", upstream=True) == {
        "sales": "2013-01-01..2013-01-03",
        "stock": "2013-01-01..2013-01-04",
        "orders": "2013-01-01..2013-01-04",
    }
    world = by_turns().make("sales", *keys(SHORT)).make("stock", "2013-01-01", "2013-01-02")
    world.make("orders", "2013-01-01", "2013-01-02")
    assert steps(world, "orders", of="2013-01-04", upstream=True) == {
        "sales": "2013-01-02..2013-01-03",
        "stock": "2013-01-03..2013-01-04",
        "orders": "2013-01-03..2013-01-04",
    }, "of the past what is missing, of the day itself everything"
    assert steps(by_turns(), "stock", of="2013-01-08", downstream=True) == {
        "stock": "2013-01-08..2013-01-10",
        "orders": "2013-01-08..2013-01-10",
        "report": "unpartitioned",
    }
    assert steps(by_turns(), "sales", of="2013-01-09", downstream=True) == {
        "sales": "2013-01-09",
        "stock": "2013-01-10",
        "orders": "2013-01-10",
        "report": "unpartitioned",
    }


def test_what_is_stale_by_turns_is_made_again_by_turns():
    world = by_turns().make("sales", *keys(SHORT))
    for key in keys(SHORT):
        world.make("stock", key).make("orders", key)
    world.make("report")
    assert steps(world, "orders", "stock", "report", only=("stale",)) == {}
    world.make("orders", "2013-01-07")
    assert steps(world, "orders", "stock", "report", only=("stale",)) == {
        "stock": "2013-01-08..2013-01-10",
        "orders": "2013-01-08..2013-01-10",
        "report": "unpartitioned",
    }


def test_what_is_stale_of_the_past_is_made_with_what_reads_it():
    world = World().asset("sums", ("sums", WindowMapping(-1, -1)), partitions=SHORT)
    for key in keys(SHORT):
        world.make("sums", key)
    world.make("sums", "2013-01-03")
    asked = {"of": "2013-01-06", "upstream": True}
    assert steps(world, "sums", **asked) == {"sums": "2013-01-06"}
    assert steps(world, "sums", **asked, only=("stale",)) == {"sums": "2013-01-04..2013-01-06"}
    turns = by_turns().make("sales", *keys(SHORT))
    for key in keys(SHORT):
        turns.make("stock", key).make("orders", key)
    turns.make("orders", "2013-01-03")
    assert steps(turns, "stock", **asked, only=("stale",)) == {
        "stock": "2013-01-04..2013-01-06",
        "orders": "2013-01-04..2013-01-05",
    }


@pytest.mark.parametrize("order", ["oldest", "newest"])
def test_what_is_made_by_turns_waits_for_what_it_reads(order):
    found = plan(by_turns().facts(), BackfillRequest(targets=("stock", "orders"), order=order), NOW)
    progress = Progress(found, by_turns().definitions)
    made = []
    while (unit := progress.next()) is not None:
        made.append((unit[0], unit[1].key))
        progress.finished(unit[0], unit[1].key, "failed" if made[-1] == ("orders", "2013-01-08") else "completed")
    days = keys(SHORT, "2013-01-01", "2013-01-08")
    assert made == [(name, day) for day in days for name in ("stock", "orders")]
    assert progress.done
    assert progress.counts()["blocked"] == 4


@pytest.mark.parametrize(
    "mapping",
    [None, AllMapping(), WindowMapping(-1, 0), WindowMapping(-1, 1), WindowMapping(1, 1), LastMapping(2)],
)
def test_a_circle_in_which_something_reads_its_own_day_is_refused(mapping):
    world = World().asset("b", partitions=SHORT).asset("a", "b", partitions=SHORT)
    world.asset("b", ("a", mapping), partitions=SHORT)
    with pytest.raises(DefinitionError, match="in a circle: a <- b <- a") as caught:
        plan(world.facts(), BackfillRequest(targets=("a",)), NOW)
    assert "away, or read earlier partitions" in caught.value.hint


@pytest.mark.parametrize("other", [None, DailyPartitions("2013-01-01", "2013-02-01", timezone="Europe/Berlin")])
def test_a_circle_of_assets_whose_partitions_are_not_the_same_is_told_to_give_them_the_same(other):
    world = World().asset("b", partitions=SHORT).asset("a", ("b", WindowMapping(-1, -1)), partitions=other)
    world.asset("b", "a", partitions=other and SHORT)
    with pytest.raises(DefinitionError, match="in a circle: a <- b <- a") as caught:
        plan(world.facts(), BackfillRequest(targets=("a",)), NOW)
    assert "give all of them the same partitions" in caught.value.hint
    # What the hint says leads out of it.
    mended = World().asset("b", partitions=SHORT).asset("a", ("b", WindowMapping(-1, -1)), partitions=SHORT)
    mended.asset("b", "a", partitions=SHORT)
    assert plan(mended.facts(), BackfillRequest(targets=("a", "b")), NOW).total > 0


@pytest.mark.parametrize("mapping", [AllMapping(), WindowMapping(0, 2), LastMapping()])
def test_a_circle_through_the_past_and_the_future_is_refused(mapping):
    world = World().asset("b", partitions=SHORT).asset("a", ("b", WindowMapping(-1, -1)), partitions=SHORT)
    world.asset("b", ("a", mapping), partitions=SHORT)
    with pytest.raises(DefinitionError, match="in a circle"):
        plan(world.facts(), BackfillRequest(targets=("a",)), NOW)


def test_the_circle_that_is_named_is_the_one_that_is_refused():
    """b reads a's past, which is fine by itself; what it reads as a whole, made of all of a, is not."""
    world = World().asset("b", partitions=SHORT).asset("a", ("b", WindowMapping(-1, -1)), partitions=SHORT)
    world.asset("whole", "a").asset("b", "a", "whole", partitions=SHORT)
    with pytest.raises(DefinitionError, match="in a circle: b <- whole <- a <- b") as caught:
        plan(world.facts(), BackfillRequest(targets=("a",)), NOW)
    assert "give all of them the same partitions" in caught.value.hint
    assert plan(world.asset("b", "a", partitions=SHORT).facts(), BackfillRequest(targets=("a", "b")), NOW).total > 0


def test_an_input_that_is_missing_and_not_planned_is_noted():
    world = river().make("flights", *keys(SHORT, "2013-01-01", "2013-01-08"))
    found = plan(world.facts(), BackfillRequest(targets=("delays",)), NOW)
    assert found.total == 10, "they are planned all the same"
    assert found.steps[0].reason.tree() == (
        "delays was asked for\n"
        "  2 partitions will be blocked: the input flights was never made and is not planned "
        "(2 partitions: 2013-01-09..2013-01-10)"
    )
    whole = plan(world.facts(), BackfillRequest(targets=("delays",), upstream=True), NOW)
    assert [step.reason.because for step in whole.steps] == [(), ()]


def test_an_input_of_which_enough_is_there_is_not_noted():
    world = World().asset("flights", partitions=SHORT)
    world.asset("risk", ("flights", WindowMapping(-2, 0, needs=1)), partitions=SHORT).make("flights", "2013-01-02")
    request = BackfillRequest(targets=("risk",), partitions=SHORT.parse("2013-01-02"))
    assert plan(world.facts(), request, NOW).steps[0].reason.because == ()


def test_several_targets_that_are_divided_in_different_ways():
    months = MonthlyPartitions("2013-01", "2014-01")
    world = (
        World()
        .asset("flights", partitions=DAYS)
        .asset("monthly", "flights", partitions=months)
        .asset("score", "flights")
    )
    request = BackfillRequest(targets=("score", "monthly", "flights"), partitions=DAYS.parse("2013-02-10..2013-03-05"))
    found = {step.asset: str(step.partitions) for step in plan(world.facts(), request, NOW).steps}
    assert found == {"flights": "2013-02-10..2013-03-05", "monthly": "2013-02..2013-03", "score": "unpartitioned"}


def test_open_ended_partitions_reach_to_as_of():
    world = (
        World()
        .asset("clicks", partitions=DailyPartitions("2013-01-01"))
        .asset("counts", "clicks", partitions=DailyPartitions("2013-01-01"))
    )
    found = plan(world.facts(), BackfillRequest(targets=("counts",), upstream=True), us("2013-01-04T12:00"))
    assert [str(step.partitions) for step in found.steps] == ["2013-01-01..2013-01-03"] * 2


@pytest.mark.parametrize("only", [(), ("missing",), ("stale",), ("stale", "failed", "missing")])
def test_a_million_partitions_that_were_never_made_are_planned_without_being_named(only, monkeypatch):
    hours = HourlyPartitions("1990-01-01T00", "2012-10-27T00")
    world = World().asset("first", partitions=hours)
    for above, name in pairwise(["first", "second", "third", "fourth", "last"]):
        world.asset(name, above, partitions=hours)
    facts, named = world.facts(), []
    key = TimePartitions.key
    monkeypatch.setattr(TimePartitions, "key", lambda self, number: named.append(number) or key(self, number))
    found = plan(facts, BackfillRequest(targets=("last",), upstream=True, only=frozenset(only)), NOW)
    assert (len(found.steps), found.total) == (5, 1_000_200)
    assert len(named) < 100


@pytest.mark.parametrize(
    ("request_", "error", "says"),
    [
        ({"targets": ("dealys",)}, UnknownNameError, "did you mean 'delays'"),
        ({"targets": ("feed",)}, UsageError, "'feed' is a source"),
        ({"targets": ()}, UsageError, "needs an asset"),
        ({"targets": ("delays",), "only": frozenset({"old"})}, UsageError, "one of: missing, failed, stale"),
        ({"targets": ("delays",), "order": "sideways"}, UsageError, "one of: oldest, newest"),
    ],
)
def test_what_can_not_be_planned_is_refused(request_, error, says):
    with pytest.raises(error, match=says):
        plan(river().facts(), BackfillRequest(**request_), NOW)


def test_a_cycle_is_refused_by_name():
    world = World().asset("a").asset("b", "a").asset("a", "b")
    with pytest.raises(DefinitionError, match="in a circle: a <- b <- a"):
        plan(world.facts(), BackfillRequest(targets=("a",)), NOW)


def test_a_plan_comes_back_from_json():
    world = full().fail("delays", "2013-01-04")
    request = BackfillRequest(targets=("score", "risk"), upstream=True, order="newest")
    made = plan(world.facts(), request, NOW)
    assert plan_from_json(json.loads(json.dumps(made.to_json())), world.definitions) == made


def test_a_key_that_was_taken_out_since_a_plan_was_made_is_set_aside():
    with sandbox():
        customers = DynamicPartitions("customers")
        customers.add("a", "b", "c")
        world = World().asset("sold", partitions=customers)
        value = json.loads(json.dumps(plan(world.facts(), BackfillRequest(targets=("sold",)), NOW).to_json()))
        customers.remove("b")
        found = plan_from_json(value, world.definitions)
        assert str(found.steps[0].partitions) == "a, c"
        assert found.vanished[0].keys == ("b",)


@pytest.mark.parametrize(
    ("usual", "seconds"), [({"flights": 2, "delays": 1}, 30), ({"flights": 2}, None), ({"flights": 0, "delays": 1}, 10)]
)
def test_how_long_a_plan_takes_is_known_where_that_of_each_step_is(usual, seconds):
    request = BackfillRequest(targets=("delays",), upstream=True)
    assert plan(river().facts(), request, NOW).estimated(usual).seconds == seconds


def test_what_vanished_since_a_plan_was_made_is_set_aside():
    request = BackfillRequest(targets=("delays",), upstream=True)
    value = json.loads(json.dumps(plan(river().facts(), request, NOW).to_json()))
    world = World().asset("flights", partitions=DailyPartitions("2013-01-09", "2013-02-01"))
    found = plan_from_json(value, world.definitions)
    assert {step.asset: str(step.partitions) for step in found.steps} == {"flights": "2013-01-09..2013-01-10"}
    assert [(one.asset, len(one.keys), one.keys[0]) for one in found.vanished] == [
        ("flights", 8, "2013-01-01"),
        ("delays", 10, "2013-01-01"),
    ]
    assert found.vanished[0].reason.startswith("'flights' has no such partition any more (daily")
    assert found.vanished[1].reason == "the asset 'delays' is not defined any more"
    assert found.total == 20
    assert found.only({("delays", "2013-01-03"), ("flights", "2013-01-10")}).total == 2

    divided = ProductPartitions(date=SHORT, kind=StaticPartitions(["a", "b"]))
    value = plan(World().asset("both", partitions=divided).facts(), BackfillRequest(targets=("both",)), NOW).to_json()
    fewer = ProductPartitions(date=SHORT, kind=StaticPartitions(["c", "b"]))
    found = plan_from_json(value, World().asset("both", partitions=fewer).definitions)
    assert str(found.steps[0].partitions) == "kind=b"
    assert len(found.vanished[0].keys) == 10
    assert plan_from_json(value, World().asset("both").definitions).vanished[0].keys[0] == "date=2013-01-01,kind=a"


@st.composite
def rivers(draw):
    world = World()
    for number in range(draw(st.integers(1, 5))):
        inputs = []
        for above in range(number):
            if draw(st.booleans()):
                first = draw(st.integers(-3, 1))
                divided = world.definitions[f"a{above}"].partitions is not None
                inputs.append((f"a{above}", WindowMapping(first, first + draw(st.integers(0, 3))) if divided else None))
        divided = draw(st.integers(0, 3)) > 0 or any(isinstance(mapping, WindowMapping) for _, mapping in inputs)
        world.asset(f"a{number}", *inputs, partitions=SHORT if divided else None)
        for key in draw(st.lists(st.sampled_from(keys(SHORT)), unique=True)) if divided else []:
            world.make(f"a{number}", key)
    return world


@st.composite
def turning(draw):
    """A river in which some assets also read the past of what is made of them, as far as that can be planned."""
    world = draw(rivers())
    names = sorted(world.definitions)
    for name, other in draw(st.lists(st.tuples(*[st.sampled_from(names)] * 2), max_size=3)):
        before = world.definitions[name]
        if before.partitions == world.definitions[other].partitions == SHORT:
            last = draw(st.integers(-2, -1))
            window = WindowMapping(last - draw(st.integers(0, 2)), last)
            more = InputDefinition(parameter="past", asset=other, mapping=window)
            world.definitions[name] = replace(before, inputs=(*before.inputs, more))
            try:
                topological(world.definitions)
            except DefinitionError:
                world.definitions[name] = before
    return world


@tried_on(25)
@given(rivers(), st.data())
def test_plans_are_closed_and_in_topological_order(world, data):
    targets = tuple(data.draw(st.lists(st.sampled_from(sorted(world.definitions)), min_size=1, unique=True)))
    made = plan(world.facts(), BackfillRequest(targets=targets, upstream=True), NOW)
    planned = {step.asset: step.partitions for step in made.steps}
    seen = set()
    for step in made.steps:
        seen.add(step.asset)
        for used in world.definitions[step.asset].inputs:
            needed = used.mapping.upstream(step.partitions, partitioning(world.definitions[used.asset]))
            assert not needed or (used.asset in seen and needed <= planned[used.asset])
    assert set(targets) <= set(planned)


@tried_on(25)
@given(turning(), st.data())
def test_carrying_out_what_is_stale_leaves_nothing_stale(world, data):
    targets = tuple(data.draw(st.lists(st.sampled_from(sorted(world.definitions)), min_size=1, unique=True)))
    request = BackfillRequest(targets=targets, upstream=True, only=frozenset({"stale"}))
    progress = Progress(plan(world.facts(), request, NOW), world.definitions)
    while (unit := progress.next()) is not None:
        world.make(unit[0], unit[1].key)
        progress.finished(unit[0], unit[1].key, "completed")
    assert progress.done
    assert plan(world.facts(), request, NOW).steps == ()
    everything = plan(world.facts(), BackfillRequest(targets=targets, upstream=True), NOW)
    found = staleness(world.facts(), NOW)
    assert not any(step.partitions & found[step.asset].stale for step in everything.steps)
