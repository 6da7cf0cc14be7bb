"""Verdicts out of the projection's columns are those of the rules, whatever happened and wherever the definitions are."""

import pytest
from asset_worlds import DAY, us
from hypothesis import given
from hypothesis import strategies as st
from recorded_worlds import RecordedWorld, empty_projection
from test_freshness_oracle import moments, worlds
from tried import tried_on

from headwater.assets.business_days import BusinessCalendar
from headwater.assets.freshness import Freshness, board, standing
from headwater.assets.partitions import DailyPartitions, ProductPartitions, StaticPartitions

clocks = st.sampled_from([None, None, None, "data_through", "complete_through", "last_materialized", "last_run"])
policies = st.none() | st.builds(
    Freshness, st.sampled_from(["36h", "60h"]), warn=st.sampled_from([None, "12h"]), clock=clocks
)
by_days = st.builds(
    Freshness,
    by=st.sampled_from(["00:00", "09:30"]),
    warn=st.sampled_from([None, "90m", "2d"]),
    timezone=st.sampled_from(["UTC", "Europe/Berlin"]),
    covers=st.sampled_from([None, "previous day", "previous week"]),
    calendar=st.sampled_from([None, BusinessCalendar(["2013-01-02"])]),
    clock=clocks,
) | st.builds(Freshness, st.just("2bd"), warn=st.sampled_from([None, "12h"]), clock=clocks)


@pytest.fixture(scope="module")
def projection():
    with empty_projection() as connection:
        yield connection


def expected(catalog, as_of):
    facts = catalog.facts()
    return {name: standing(one) for name, one in board(facts, as_of).items() if name in facts.definitions}


@tried_on(8, full=80)
@given(worlds(policies | by_days, RecordedWorld), moments, st.booleans(), st.none() | st.randoms(use_true_random=False))
def test_columns_and_rules_give_the_same_verdicts(projection, world, as_of, loaded, dice):
    catalog = world.catalog(projection, order=dice and (lambda count: step_by_step(count, dice)), loaded=loaded)
    found = catalog.verdicts(as_of)
    assert found == expected(catalog, as_of)
    assert found.told == {name: one.verdict for name, one in found.items()}
    assert len(found) == len(list(found)) == len(found.told)


def step_by_step(count, dice):
    """Events in any order, some at a time."""
    numbers = dice.sample(range(count), count)
    steps = dice.randint(1, 2)
    return [numbers[step::steps] for step in range(steps)]


def test_a_definition_that_was_changed_and_not_recorded_is_judged_as_it_is_now(projection):
    world = RecordedWorld().asset("a", freshness=Freshness("1h")).make("a")
    catalog, as_of = world.catalog(projection), world.now + DAY
    assert catalog.verdicts(as_of)["a"].verdict == "late"
    world.asset("a", freshness=Freshness("48h"))
    assert catalog.verdicts(as_of)["a"].verdict == "fresh"


def test_most_verdicts_are_given_without_the_facts(projection, monkeypatch):
    world = (
        RecordedWorld().source("raw").asset("a", "raw", freshness=Freshness("1h")).asset("b", freshness=Freshness("2h"))
    )
    world.make("a").make("b")
    catalog = world.catalog(projection, loaded=False)
    monkeypatch.setattr("headwater.lineage.verdicts.board", None)
    found = catalog.verdicts(us("2015-01-01"))
    assert {name: one.verdict for name, one in found.items()} == {"raw": "none", "a": "late", "b": "late"}


def test_a_key_that_was_taken_out_of_a_list_makes_nothing_fresh(projection):
    policy = Freshness("1h", clock="last_materialized")
    world = RecordedWorld().asset("a", partitions=StaticPartitions(["eu", "us"]), freshness=policy).make("a", "eu")
    world.now += DAY
    as_of = world.make("a", "us").now + 1
    assert world.catalog(projection).verdicts(as_of)["a"].verdict == "fresh"
    world.asset("a", partitions=StaticPartitions(["eu"]), freshness=policy)
    catalog = world.catalog(projection)
    assert catalog.verdicts(as_of) == expected(catalog, as_of)
    assert catalog.verdicts(as_of)["a"].verdict == "late"


def test_what_was_made_before_an_asset_was_divided_makes_nothing_fresh(projection):
    policy = Freshness("1h", clock="last_materialized")
    as_of = RecordedWorld().now + 2_000_000
    world = RecordedWorld().asset("a", freshness=policy).make("a")
    world.asset("a", partitions=DailyPartitions("2013-01-01"), freshness=policy)
    catalog = world.catalog(projection)
    assert catalog.verdicts(as_of) == expected(catalog, as_of)
    assert catalog.verdicts(as_of)["a"].verdict == "unknown"


@pytest.mark.parametrize("loaded", [True, False])
def test_what_reads_a_product_with_a_dimension_of_time_is_judged_by_how_far_that_reaches(projection, loaded):
    both = ProductPartitions(region=StaticPartitions(["eu"]), date=DailyPartitions("2013-01-01", "2013-01-02"))
    world = RecordedWorld().asset("sales", partitions=both).asset("total", "sales", freshness=Freshness("26h"))
    world.make("sales", "region=eu,date=2013-01-01").make("total")
    catalog, as_of = world.catalog(projection, loaded=loaded), world.now
    assert catalog.verdicts(as_of) == expected(catalog, as_of)
    assert catalog.verdicts(as_of)["total"].clock == "data_through"
