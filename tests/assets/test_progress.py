import time

import pytest
from asset_worlds import DAYS, World, keys, keys_of, us
from hypothesis import given
from hypothesis import strategies as st
from test_backfill_plan import SHORT, river, turning
from tried import tried_on

from headwater.assets.backfill import BackfillRequest, Progress, plan
from headwater.assets.mappings import AllMapping, SameMapping, WindowMapping
from headwater.assets.partitions import HourlyPartitions, partitioning
from headwater.errors import PartitionError, UnknownNameError, UsageError

NOW = us("2014-06-01")


def progress(world, *targets, of=None, done=None, order="oldest", upstream=True):
    facts = world.facts()
    request = BackfillRequest(targets=targets, partitions=of and SHORT.parse(of), upstream=upstream, order=order)
    return Progress(plan(facts, request, NOW), facts.definitions, done=done)


def drain(found, outcome=lambda asset, key: "completed"):
    order = []
    while (unit := found.next()) is not None:
        order.append((unit[0], unit[1].key))
        found.finished(*order[-1], outcome(*order[-1]))
    return order


def test_a_day_is_carried_through_before_the_next_one():
    order = drain(progress(river(), "delays", of="2013-01-01..2013-01-03"))
    assert order == [(name, f"2013-01-0{day}") for day in (1, 2, 3) for name in ("flights", "delays")]


def test_the_newest_day_first():
    order = drain(progress(river(), "delays", of="2013-01-01..2013-01-03", order="newest"))
    assert order == [(name, f"2013-01-0{day}") for day in (3, 2, 1) for name in ("flights", "delays")]


def test_a_unit_is_handed_out_once_and_waits_for_what_it_reads():
    found = progress(river(), "risk", of="2013-01-01")
    first, second = found.next(), found.next()
    assert {first[0], second[0]} == {"flights", "weather"}
    assert {name: one["running"] for name, one in found.by_asset().items()} == {"flights": 1, "weather": 1, "risk": 0}
    assert found.next() is None
    assert found.counts() == {"requested": 3, "completed": 0, "failed": 0, "running": 2, "skipped": 0, "blocked": 0}
    found.finished(first[0], first[1].key, "completed")
    assert found.next() is None
    found.finished(second[0], second[1].key, "skipped")
    assert found.next()[0] == "risk"
    assert not found.done
    found.finished("risk", "2013-01-01", "completed")
    assert found.done
    assert found.counts() == {"requested": 3, "completed": 2, "failed": 0, "running": 0, "skipped": 1, "blocked": 0}
    assert {one["running"] for one in found.by_asset().values()} == {0}


def test_a_failure_blocks_only_its_own_downstream_and_says_why():
    found = progress(river(), "risk", "score")
    blocked = []
    while (unit := found.next()) is not None:
        asset, key = unit[0], unit[1].key
        blocked += found.finished(asset, key, "failed" if (asset, key) == ("flights", "2013-01-05") else "completed")
    assert [(one.asset, one.partition) for one in blocked] == [
        ("delays", "2013-01-05"),
        ("risk", "2013-01-07"),
        ("risk", "2013-01-06"),
        ("risk", "2013-01-05"),
        ("score", None),
    ]
    assert blocked[0].reason.text == "its input flights@2013-01-05 was not made"
    assert blocked[-1].reason.text == "its input delays@2013-01-05 was not made"
    assert found.done
    assert found.counts() == {"requested": 41, "completed": 35, "failed": 1, "running": 0, "skipped": 0, "blocked": 5}


def test_a_unit_that_turned_out_to_be_blocked_blocks_too():
    found = progress(river(), "delays", of="2013-01-01")
    found.next()
    (blocked,) = found.finished("flights", "2013-01-01", "blocked")
    assert (blocked.asset, blocked.partition) == ("delays", "2013-01-01")
    assert found.counts()["blocked"] == 2


def test_a_window_that_needs_only_some_of_it_outlives_a_failure():
    world = World().asset("flights", partitions=SHORT)
    world.asset("risk", ("flights", WindowMapping(-2, 0, needs=2)), partitions=SHORT)
    found = progress(world, "risk", of="2013-01-04..2013-01-05")
    lost = {("flights", "2013-01-02"), ("flights", "2013-01-03")}
    drain(found, lambda *unit: "failed" if unit in lost else "completed")
    assert found.counts() == {"requested": 6, "completed": 3, "failed": 2, "running": 0, "skipped": 0, "blocked": 1}


def test_an_asset_that_reads_its_own_day_before_runs_in_order_even_newest_first():
    world = World().asset("sums", ("sums", WindowMapping(-1, -1)), partitions=SHORT)
    days = [("sums", key) for key in keys(SHORT)]
    for order in ("oldest", "newest"):
        assert drain(progress(world, "sums", order=order, upstream=False)) == days
    found = progress(world, "sums", upstream=False)
    drain(found, lambda _, key: "failed" if key == "2013-01-04" else "completed")
    assert found.counts() == {"requested": 10, "completed": 3, "failed": 1, "running": 0, "skipped": 0, "blocked": 6}


def test_a_window_over_itself_that_looks_ahead_does_not_lock_up():
    world = World().asset("sums", ("sums", WindowMapping(-1, 1)), partitions=SHORT)
    assert len(drain(progress(world, "sums", upstream=False))) == 10


def test_what_is_done_is_not_done_again():
    done = {
        ("flights", "2013-01-01"): "completed",
        ("delays", "2013-01-01"): "completed",
        ("flights", "2013-01-02"): "skipped",
    }
    found = progress(river(), "delays", of="2013-01-01..2013-01-03", done=done)
    assert drain(found) == [("delays", "2013-01-02"), ("flights", "2013-01-03"), ("delays", "2013-01-03")]
    assert found.counts()["completed"] == 5


def test_failures_that_are_done_block_from_the_start():
    found = progress(river(), "delays", of="2013-01-01..2013-01-02", done={("flights", "2013-01-01"): "failed"})
    assert [(one.asset, one.partition) for one in found.blocked] == [("delays", "2013-01-01")]
    assert drain(found) == [("flights", "2013-01-02"), ("delays", "2013-01-02")]
    assert found.done


def test_what_is_done_but_not_in_the_plan_or_not_an_outcome_is_left_alone():
    done = {("gone", None): "completed", ("flights", "2013-01-09"): "completed", ("flights", "2013-01-01"): "launched"}
    found = progress(river(), "flights", of="2013-01-01", done=done)
    assert found.counts()["completed"] == 0
    assert drain(found) == [("flights", "2013-01-01")]


def test_a_unit_can_be_settled_before_it_was_handed_out_and_its_first_outcome_stands():
    found = progress(river(), "delays", of="2013-01-01")
    assert found.finished("flights", "2013-01-01", "completed") == ()
    assert found.finished("flights", "2013-01-01", "failed") == ()
    assert drain(found) == [("delays", "2013-01-01")]
    assert found.counts()["failed"] == 0


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (("dleays", "2013-01-01", "completed"), UnknownNameError),
        (("delays", "2013-01-02", "completed"), PartitionError),
        (("delays", "2013-01-01", "great"), UsageError),
    ],
)
def test_outcomes_of_nothing_are_refused(outcome, error):
    with pytest.raises(error):
        progress(river(), "delays", of="2013-01-01").finished(*outcome)


def test_an_empty_plan_is_done():
    world = river()
    request = BackfillRequest(targets=("flights",), partitions=SHORT.empty())
    found = Progress(plan(world.facts(), request, NOW), world.definitions)
    assert found.done
    assert found.next() is None


@tried_on(40)
@given(turning(), st.sampled_from(["oldest", "newest"]), st.data())
def test_every_unit_gets_an_outcome_whatever_comes_and_in_whichever_order(world, order, data):
    facts = world.facts()
    targets = tuple(data.draw(st.lists(st.sampled_from(sorted(world.definitions)), min_size=1, unique=True)))
    made = plan(facts, BackfillRequest(targets=targets, upstream=data.draw(st.booleans()), order=order), NOW)
    found = Progress(made, facts.definitions)
    planned = {step.asset: step.partitions for step in made.steps}
    units = {(step.asset, key) for step in made.steps for key in keys_of(step.partitions)}
    ended, running = {}, []
    while not found.done:
        unit = found.next() if len(running) < 4 else None
        if unit is not None:
            asset, partition = unit
            running.append((asset, partition.key))
            for above in reads(world, asset, partition, planned):
                assert ended[above] in ("completed", "skipped"), "it reads something that is not there"
            continue
        assert running, "nothing runs, nothing is ready, and it is not done"
        asset, key = running.pop(data.draw(st.integers(0, len(running) - 1)))
        ended[asset, key] = data.draw(
            st.sampled_from(["completed", "completed", "completed", "skipped", "failed", "blocked"])
        )
        for one in found.finished(asset, key, ended[asset, key]):
            assert (one.asset, one.partition) not in ended
            ended[one.asset, one.partition] = "blocked"
    assert not running
    assert set(ended) == units
    states = list(ended.values())
    assert found.counts() == {"requested": len(units), "running": 0} | {
        state: states.count(state) for state in ("completed", "failed", "skipped", "blocked")
    }
    for asset, key in units:
        bad = {ended[above] for above in reads(world, asset, planned[asset].definition.partition(key), planned)}
        assert ended[asset, key] not in ("completed", "skipped", "failed") or not bad & {"failed", "blocked"}


def reads(world, asset, partition, planned):
    here = partitioning(world.definitions[asset]).set_of([partition.key])
    for used in world.definitions[asset].inputs:
        if used.asset in planned:
            above = planned[used.asset]
            yield from ((used.asset, key) for key in keys_of(used.mapping.upstream(here, above.definition) & above))


@pytest.mark.parametrize("order", ["oldest", "newest"])
@pytest.mark.parametrize(
    "mapping", [SameMapping(), WindowMapping(-167, 0), AllMapping()], ids=["same", "a week of hours", "all"]
)
def test_ten_thousand_units_cost_little_whatever_they_read(mapping, order):
    hours = HourlyPartitions("2013-01-01T00", "2013-07-28T08")
    world = World().asset("a", partitions=hours).asset("b", ("a", mapping), partitions=hours)
    made = plan(world.facts(), BackfillRequest(targets=("a", "b"), order=order), NOW)
    assert made.total == 10_000
    began = time.process_time()
    found = Progress(made, world.definitions)
    assert len(drain(found)) == 10_000
    assert time.process_time() - began < 5, "0.5 s on an idle machine"


def test_a_year_of_which_everything_fails_is_over_soon():
    world = World().asset("a", partitions=DAYS).asset("b", ("a", AllMapping()), partitions=DAYS)
    found = Progress(plan(world.facts(), BackfillRequest(targets=("a", "b")), NOW), world.definitions)
    drain(found, lambda *unit: "failed")
    assert found.counts() == {
        "requested": 730,
        "completed": 0,
        "failed": 365,
        "running": 0,
        "skipped": 0,
        "blocked": 365,
    }
