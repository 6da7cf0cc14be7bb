"""The outlines that the projection keeps say what the facts say, and what is judged by them is judged as by the facts."""

import random
from dataclasses import replace

import pytest
from asset_worlds import DAY, keys, us
from hypothesis import given
from hypothesis import strategies as st
from recorded_worlds import RecordedWorld, empty_projection
from test_staleness_oracle import AS_OF, is_in_order, worlds
from tried import tried_on

from headwater.assets.backfill import BackfillRequest, plan
from headwater.assets.dependencies import in_turns, planned_by
from headwater.assets.facts import Consumed, Facts, outlines
from headwater.assets.freshness import board
from headwater.assets.partitions import DailyPartitions
from headwater.assets.staleness import staleness
from headwater.lineage.catalog import ProjectionCatalog


@pytest.fixture(scope="module")
def projection():
    with empty_projection() as connection:
        yield connection


def plain(facts):
    """The same facts, without outlines of their own."""
    return Facts(definitions=facts.definitions, assets=dict(facts.assets))


def judged(found):
    return {name: one[:4] for name, one in found.items()}


def told(one):
    reads = {asset: frozenset(pairs) for asset, pairs in one.reads.items()}
    return frozenset(one.keys), one.code, one.mixed, one.oldest, one.newest, reads, one.settled


@tried_on(12)
@given(worlds(RecordedWorld))
def test_the_projection_and_the_facts_say_the_same(projection, world):
    catalog = world.catalog(projection)
    facts = catalog.facts()
    by_outlines = catalog.staleness(AS_OF)
    expected = plain(facts)
    kept, pure = facts.assets.outlines(), outlines(expected.assets)
    assert {name: told(one) for name, one in kept.items()} == {name: told(one) for name, one in pure.items()}
    by_facts = staleness(expected, AS_OF)
    assert judged(by_facts) == judged(staleness(world.facts(), AS_OF))
    assert judged(by_outlines) == judged(staleness(facts, AS_OF)) == judged(by_facts)
    for name, found in by_facts.items():
        for part in found.stale:
            assert by_outlines[name].why(part.key) == found.why(part.key)


@tried_on(6)
@given(worlds(RecordedWorld))
def test_an_asset_is_judged_by_what_is_upstream_of_it_as_by_all(projection, world):
    catalog = world.catalog(projection)
    facts = catalog.facts()
    stale, verdicts = staleness(facts, AS_OF), board(facts, AS_OF)
    for name, definition in facts.definitions.items():
        alone = catalog.facts([definition.ref])
        found = staleness(alone, AS_OF)[name]
        assert judged({name: found}) == judged({name: stale[name]})
        assert [found.why(part.key) for part in found.stale] == [stale[name].why(part.key) for part in found.stale]
        assert board(alone, AS_OF)[name] == verdicts[name]


def test_what_was_read_by_a_call_that_left_out_its_output_is_upstream_of_that(projection):
    week = DailyPartitions("2013-01-01", "2013-01-04")
    world = RecordedWorld().asset("feed").asset("orders", partitions=week)
    world.make("feed")
    world.skip("orders", "2013-01-01", inputs=(Consumed("feed", None, "of before"),))
    catalog = world.catalog(projection)
    alone = catalog.facts([world.definitions["orders"].ref])
    (because,) = staleness(alone, AS_OF)["orders"].why("2013-01-01").because
    assert because.kind == "input_updated"


@tried_on(6)
@given(
    worlds(RecordedWorld).filter(is_in_order), st.sets(st.sampled_from(["missing", "failed", "stale"])), st.booleans()
)
def test_a_plan_needs_no_more_than_what_it_is_said_to_look_at(projection, world, only, upstream):
    catalog = world.catalog(projection)
    facts = catalog.facts()
    for name, definition in facts.definitions.items():
        if definition.is_source:
            continue
        request = BackfillRequest(targets=(name,), only=frozenset(only), upstream=upstream)
        looked_at = planned_by(facts.definitions, [name])
        few = catalog.facts(facts.definitions[one].ref for one in looked_at)
        by_all, by_few = (plan(known, request, AS_OF) for known in (facts, few))
        assert {one.asset: one for one in by_few.steps} == {one.asset: one for one in by_all.steps}
        turns = in_turns(few.definitions)
        places = {one: at for at, group in enumerate(turns) for one in group}
        assert [places[one.asset] for one in by_few.steps] == sorted(places[one.asset] for one in by_few.steps)


@tried_on(6)
@given(worlds(RecordedWorld), st.randoms(use_true_random=False))
def test_outlines_do_not_depend_on_the_order_in_which_events_came(projection, world, dice: random.Random):
    def order(count):
        numbers = [number for number in range(count) for _ in range(dice.randint(1, 2))]
        dice.shuffle(numbers)
        cuts = sorted(dice.randint(0, len(numbers)) for _ in range(3))
        return [numbers[low:high] for low, high in zip([0, *cuts], [*cuts, len(numbers)], strict=True) if low < high]

    def content(catalog):
        tables = ("outlines", "reads", "keys", "pairs", "policies", "clocks")
        with catalog._projection.session(outlined=True) as session:
            return {table: sorted(session.rows(f"FROM state.{table}"), key=repr) for table in tables}

    def found(catalog):
        return content(catalog), judged(catalog.staleness(AS_OF))

    assert found(world.catalog(projection)) == found(world.catalog(projection, order))


@tried_on(6)
@given(worlds(RecordedWorld))
def test_inside_a_session_that_began_before_outlines_were_worked_out_the_answers_are_the_same(projection, world):
    catalog = world.catalog(projection)
    with catalog._projection.session():
        inside = judged(catalog.staleness(AS_OF)), catalog.verdicts(AS_OF), judged(staleness(catalog.facts(), AS_OF))
    assert inside == (judged(catalog.staleness(AS_OF)), catalog.verdicts(AS_OF), judged(catalog.staleness(AS_OF)))


def test_an_asset_that_was_renamed_and_moved_is_judged_by_both_of_its_datasets(projection):
    week = DailyPartitions("2013-01-01", "2013-01-04")
    world = (
        RecordedWorld().asset("a", partitions=week).asset("b", "a", partitions=week).asset("c", "b", partitions=week)
    )
    for name in "abc":
        world.make(name, *keys(week))
    there = world.definitions["a"]
    ref = replace(there.ref, name="n", uri="memory://n", dataset="n")
    moved = {"n": replace(there, ref=ref, renamed_from="a")}
    reader = world.definitions["b"]
    moved["b"] = replace(reader, inputs=(reader.inputs[0]._replace(asset="n"),))

    def stale():
        for loaded in (True, False):
            catalog = world.catalog(projection, loaded=False)
            loaded_ones = {name: one for name, one in world.definitions.items() if name != "a"} if loaded else {}
            catalog = ProjectionCatalog(catalog._projection, lambda known=loaded_ones: known)
            expected = judged(staleness(plain(catalog.facts()), AS_OF))
            catalog.facts = None  # it is not asked for all that is known
            assert judged(catalog.staleness(AS_OF)) == expected
        return {name: tuple(one[1].keys()) for name, one in expected.items()}

    assert stale() == {"a": (), "b": (), "c": ()}
    world.definitions |= moved
    assert stale() == {"n": (), "b": (), "c": ()}
    world.make("n", "2013-01-02")
    assert stale() == {"n": (), "b": ("2013-01-02",), "c": ("2013-01-02",)}
    world.make("b", "2013-01-02")
    assert stale() == {"n": (), "b": (), "c": ("2013-01-02",)}


def test_a_dataset_that_has_lost_its_name_to_another_is_no_longer_what_was_read(projection):
    world = RecordedWorld().asset("a").asset("b", "a")
    world.make("a").make("b")
    moved = world.definitions["a"]
    assert not world.catalog(projection).staleness(us("2015-01-01"))["b"].is_stale
    world.definitions["a"] = type(moved)(
        ref=type(moved.ref)(name="a", uri="memory://new", kind="memory", namespace="memory", dataset="new"),
        code_version="code-1",
    )
    world.now += DAY
    catalog = world.catalog(projection)
    found = catalog.staleness(us("2015-01-01"))
    assert judged(found) == judged(staleness(plain(catalog.facts()), us("2015-01-01")))
    assert found["a"].missing
