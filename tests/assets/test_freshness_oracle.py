"""The answers against a second implementation, which is as plain as the rules are written and as slow as it likes."""

import itertools
from datetime import timedelta

from asset_worlds import DAY, World, keys, us
from hypothesis import given
from hypothesis import strategies as st
from tried import tried_on

from headwater.assets.facts import Consumed
from headwater.assets.freshness import Freshness, board, data_through, partition_data_through
from headwater.assets.partitions import UNPARTITIONED, DailyPartitions

WEEK = DailyPartitions("2013-01-01", "2013-01-08")
START = us("2013-01-01")
NO_POLICY = st.none()
moments = st.integers(-4, 40).map(lambda quarter: START + quarter * DAY // 4)


@st.composite
def worlds(draw, policies=NO_POLICY, kind=World):
    world = kind()
    names = [f"a{number}" for number in range(draw(st.integers(1, 5)))]
    for place, name in enumerate(names):
        kind, policy = draw(st.sampled_from(["source", "days", "days", "whole"])), draw(policies)
        static = draw(st.integers(0, 5)) == 0
        world.now = draw(moments) + DAY
        if kind == "source":
            world.source(name, static=static, freshness=policy, time_column=draw(st.none() | st.just("time")))
            for word in draw(st.lists(st.sampled_from(["observed", "observed", "recorded"]), max_size=3)):
                if word == "observed":
                    world.observe(name, draw(st.none() | moments), version=draw(st.sampled_from([None, "x", "y"])))
                else:
                    world.make(name, version=draw(st.sampled_from("xyz")), time_max=draw(st.none() | moments))
            continue
        column = draw(st.none() | st.just("time"))
        declared = draw(st.lists(st.sampled_from(names[:place]), max_size=2, unique=True)) if place else []
        world.asset(
            name,
            *declared,
            partitions=WEEK if kind == "days" else None,
            static=static,
            freshness=policy,
            time_column=column,
        )
        parts = draw(st.lists(st.sampled_from(keys(WEEK)), unique=True)) if kind == "days" else [None]
        for key in parts:
            made(draw, world, name, key, names[: place + 1])
        for key in draw(st.lists(st.sampled_from(keys(WEEK) if kind == "days" else [None]), max_size=2, unique=True)):
            world.skip(name, *([key] if key else []))
    return world


def made(draw, world, name, key, names):
    inputs = []
    for other in draw(st.lists(st.sampled_from(names), max_size=3)):
        there = world.facts_of(other)
        known = [*there["made"], *there["observed"]]
        if known:
            part = draw(st.sampled_from(known))
            inputs.append(
                Consumed(asset=other, partition=part, version=draw(st.sampled_from([None, *versions(there, part)])))
            )
    window = WEEK.partition(key) if key else UNPARTITIONED.partition(None)
    world.make(
        name,
        *([key] if key else []),
        inputs=inputs,
        partition_end=draw(st.sampled_from([window.end_us, None])),
        rows=draw(st.sampled_from([None, 0, 7])),
        time_max=draw(st.none() | moments),
        unknown_inputs=draw(st.integers(0, 5)) == 0,
    )
    if draw(st.integers(0, 4)) == 0:
        world.observe(name, draw(st.none() | moments), partition=key)


def versions(there, part):
    """What a partition may have been read as: what is in place, or of a source, where many give their word, any that was told."""
    found = [one.version for one in (there["made"].get(part), there["observed"].get(part)) if one is not None]
    return found if part is None else found[:1]


def read_end(facts, used):
    """The end of what was read: of the version that was named, if anybody told of it and of another one since."""
    known, is_source = facts.of(used.asset), facts.definitions[used.asset].is_source
    made, seen = known.made.get(used.partition), known.observed.get(used.partition)
    told = [one for one in (made, seen) if is_source and one is not None and one.version is not None]
    if used.version is None or not told or max(told, key=lambda one: one.at).version == used.version:
        return oracle(facts, used.asset, used.partition)[0]
    made, seen = (one if one in told and one.version == used.version else None for one in (made, seen))
    return oracle(facts, used.asset, used.partition, made, seen)[0]


def oracle(facts, name, key, *words):
    """The end of a partition and its basis; of a version of it when that is given by the word that was made of it."""
    made, seen = words or (facts.of(name).made.get(key), facts.of(name).observed.get(key))
    is_source, tells = facts.definitions[name].is_source, seen is not None and seen.data_through is not None
    if made is None:
        return (min(seen.data_through, seen.at), "observed") if tells else (None, None)
    if seen is not None and seen.at < made.at and seen.version not in (None, made.version):
        seen, tells = None, False
    ends = WEEK.partition(key).end_us if key else None  # also where that was not recorded
    limit = min(made.started, ends or made.started)
    early = key is not None and made.started <= made.partition_start
    if made.rows != 0 and made.time_max is not None and not (is_source and tells and seen.at > made.at):
        return (None, None) if early else (min(made.time_max, limit), "measured")
    if tells:
        return min(seen.data_through, seen.at, ends or seen.at), "observed"
    if made.unknown_inputs:
        return None, None
    above = {}
    for used in made.inputs:
        if used.asset != name and not facts.definitions[used.asset].static:
            above.setdefault(used.asset, []).append(read_end(facts, used))
    newest = [max((end for end in found if end is not None), default=None) for found in above.values()]
    if newest:
        return (None, None) if None in newest else (min(min(newest), limit), "derived")
    if made.rows == 0 or key is None or early:
        return None, None
    return limit, "claimed"


def clock_oracle(facts, name):
    """The clock that is judged, and where it stands."""
    known, definition = facts.of(name), facts.definitions[name]
    clock = definition.freshness and definition.freshness.clock
    clock = clock or ("data_through" if has_basis(facts, name) else "last_materialized")
    if clock == "last_run":
        return clock, known.last_run
    if clock == "last_materialized":
        return clock, max((one.at for one in known.made.values()), default=None)
    if clock == "data_through":
        ends = [oracle(facts, name, key)[0] for key in {*known.made, *known.observed}]
        return clock, max((end for end in ends if end is not None), default=None)
    end = None
    for part in WEEK.all() if definition.partitions else ():
        if part.key not in known.made and part.key not in known.observed:
            break
        made = known.made.get(part.key)
        end = part.end_us if made is None else min(part.end_us, made.started)
    return clock, end


def has_basis(facts, name):
    definition = facts.definitions[name]
    if definition.time_column or definition.partitions:
        return True
    if any(seen.data_through is not None for seen in facts.of(name).observed.values()):
        return True
    inputs = [used.asset for used in definition.inputs]
    return any(not facts.definitions[one].static and has_basis(facts, one) for one in inputs)


def verdict_oracle(facts, name, as_of):
    policy, (_, value) = facts.definitions[name].freshness, clock_oracle(facts, name)
    if policy is None or value is None:
        return "none" if policy is None else "unknown"
    behind = timedelta(microseconds=as_of - value)
    if behind > policy.max_lag:
        return "late"
    return "warn" if policy.warn is not None and behind > policy.warn else "fresh"


@tried_on(40)
@given(worlds())
def test_every_partition_and_every_asset_reaches_as_far_as_the_rules_say(world):
    facts = world.facts()
    verdicts = board(facts, START)
    for name in facts.definitions:
        known = {*facts.of(name).made, *facts.of(name).observed}
        ends = {key: oracle(facts, name, key) for key in known}
        for key, expected in ends.items():
            found = partition_data_through(facts, name, key)
            assert (found.end, found.basis) == expected
        newest = max((end for end, _ in ends.values() if end is not None), default=None)
        whole = data_through(facts, name)
        assert whole.end == verdicts[name].data_through == newest
        assert whole.end is None or (newest, whole.basis) in ends.values()


@tried_on(25)
@given(worlds())
def test_the_witness_is_a_path_of_consumed_partitions_that_all_reach_no_further_than_the_answer(world):
    facts = world.facts()
    for name in facts.definitions:
        found = data_through(facts, name)
        path = [tuple(step.split("@")) if "@" in step else (step, None) for step in found.witness]
        assert path[0][0] == name
        for (asset, key), (other, part) in itertools.pairwise(path):
            read = [used for used in facts.of(asset).made[key].inputs if (used.asset, used.partition) == (other, part)]
            assert found.end in [read_end(facts, used) for used in read]


@tried_on(25)
@given(worlds(st.just(Freshness("36h", warn="12h"))), moments, moments)
def test_verdicts_change_only_at_the_announced_moments(world, one, other):
    facts = world.facts()
    early, late = sorted((one, other))
    before, after = board(facts, early), board(facts, late)
    for name, verdict in before.items():
        if verdict.next_change is None or late < verdict.next_change:
            assert after[name].verdict == verdict.verdict
        if verdict.next_change is not None:
            assert board(facts, verdict.next_change)[name].verdict != verdict.verdict
            assert board(facts, verdict.next_change - 1)[name].verdict == verdict.verdict


@tried_on(25)
@given(st.integers(1, 7), st.data())
def test_making_an_older_partition_again_never_turns_a_late_asset_fresh(count, data):
    world = World().source("feed").asset("a", "feed", partitions=WEEK, freshness=Freshness("24h"))
    world.asset("b", "a", partitions=WEEK, freshness=Freshness("24h")).observe("feed", "2013-01-09", version="f")
    days = keys(WEEK)[:count]
    world.make("a", *days).make("b", *days)
    as_of = us("2013-01-10") + data.draw(st.integers(0, 10)) * DAY
    before = board(world.facts(), as_of)
    for name, key in data.draw(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(days)), max_size=6)):
        world.make(name, key)
    after = board(world.facts(), as_of)
    assert {name: (found.verdict, found.lag) for name, found in after.items()} == {
        name: (found.verdict, found.lag) for name, found in before.items()
    }
