"""Staleness against a second implementation: partition by partition, as plain as the rules are written."""

from dataclasses import replace

from asset_worlds import DAY, World, keys, us
from hypothesis import given
from hypothesis import strategies as st
from tried import tried_on

from headwater.assets.definitions import InputDefinition
from headwater.assets.dependencies import in_turns
from headwater.assets.facts import Consumed
from headwater.assets.made_graph import MadeGraph
from headwater.assets.mappings import AllMapping, WindowMapping
from headwater.assets.partitions import DailyPartitions, partitioning
from headwater.assets.staleness import staleness
from headwater.errors import DefinitionError

WEEK = DailyPartitions("2013-01-01", "2013-01-08")
OPEN = DailyPartitions("2013-01-01")
START = us("2013-01-01")
AS_OF = START + 5 * DAY


@st.composite
def worlds(draw, kind=World):
    world = kind()
    names = [f"a{number}" for number in range(draw(st.integers(1, 5)))]
    for place, name in enumerate(names):
        divided = draw(st.sampled_from([WEEK, WEEK, OPEN, None, "source", "divided source"]))
        if divided in ("source", "divided source"):
            world.source(name, partitions=None if divided == "source" else WEEK)
            continue
        inputs = [declared(draw, world, other, divided) for other in draw(_some(names[:place]))]
        if divided is not None and draw(st.booleans()):
            inputs.append((name, WindowMapping(-1, -1)))
        world.asset(name, *inputs, partitions=divided)
        if draw(st.integers(0, 3)) == 0:
            twin = f"{name}-twin"
            world.asset(twin, *inputs, partitions=divided).together(name, twin)
    names = [*world.definitions]
    for name, other in draw(st.lists(st.tuples(*[st.sampled_from(names)] * 2), max_size=2)):
        reads_the_past_of(world, name, other)
    for _ in range(draw(st.integers(0, 25))):
        happens(draw, world, names)
    # Modules define assets in any order: also what reads before what is read.
    world.definitions = {name: world.definitions[name] for name in draw(st.permutations(names))}
    return world


def is_in_order(world):
    """Whether its assets can be planned: not where one reads the past of another, that reads it by way of an undivided one."""
    try:
        in_turns(world.definitions)
    except DefinitionError:
        return False
    return True


def _some(names):
    return st.lists(st.sampled_from(names), max_size=3, unique=True) if names else st.just([])


def declared(draw, world, other, divided):
    above = world.definitions[other].partitions
    return (other, WindowMapping(-2, 0)) if divided and above and draw(st.booleans()) else other


def reads_the_past_of(world, name, other):
    """Let an asset read yesterday of another one, that may be made of it; only of what is divided alike there is a yesterday."""
    definition = world.definitions[name]
    if (
        name != other
        and definition.code_version
        and definition.partitions == world.definitions[other].partitions == WEEK
    ):
        more = InputDefinition(parameter=f"past_{other}", asset=other, mapping=WindowMapping(-1, -1))
        for one in (name, *definition.made_with):
            world.definitions[one] = replace(world.definitions[one], inputs=(*definition.inputs, more))


def happens(draw, world, names):
    name = draw(st.sampled_from(names))
    definition = world.definitions[name]
    key = draw(st.sampled_from(keys(WEEK))) if definition.partitions else None
    parts = [key] if key else []
    what = draw(st.sampled_from(["make", "make", "make", "made of", "observe", "code", "skip", "skipped for"]))
    if definition.code_version is None and what == "made of":
        code, version = draw(st.sampled_from([None, None, "once"])), draw(st.sampled_from("xyz"))
        world.make(name, *parts, inputs=[], code_version=code, version=version)  # recorded, or made here once
    elif definition.code_version is None or what == "observe":
        world.observe(name, partition=key, version=draw(st.sampled_from([None, "x", "y"])))
    elif what == "code":
        world.definitions[name] = replace(definition, code_version=draw(st.sampled_from(["code-1", "code-2"])))
    elif what == "skip":
        world.skip(name, *parts)
    elif what == "make":
        world.make(name, *parts, started=draw(st.none() | st.just("2014-06-01")))
    else:
        other = draw(st.sampled_from(names[: names.index(name) + 1]))
        known = [*world.facts_of(other)["made"], *world.facts_of(other)["observed"], key]
        part = draw(st.sampled_from(known))
        version = draw(st.sampled_from([None, "other", world.version(other, part)]))
        does = world.make if what == "made of" else world.skip
        does(name, *parts, inputs=[Consumed(asset=other, partition=part, version=version)])


def oracle(facts):
    """The stale keys of each asset with the kinds of their reasons; what reads what is stale is so, until that is no more."""
    before, found = None, {name: {} for name in facts.definitions}
    while found != before:
        before = found
        found = {name: looked_at(facts, before, definition) for name, definition in facts.definitions.items()}
    return found


def looked_at(facts, found, definition):
    name, divided, stands = definition.name, partitioning(definition), last_said(facts.of(definition.name))
    kinds = {}
    if definition.code_version is None:
        return kinds
    for part in divided.all(AS_OF):
        if part.key not in stands:
            kinds[part.key] = {"never_made"}
    there = {key: one for key, one in stands.items() if key in PARTS[divided]}
    for key, one in there.items():
        because = set(reasons(facts, found, definition, key, one))
        if because:
            kinds[key] = because
    # What reads a stale partition of its own is stale, and what reads that, and so on: days only read earlier days.
    for key in sorted(there, key=str):
        for used in definition.inputs:
            if used.asset == name and any(
                "never_made" not in kinds.get(part, {"never_made"}) for part in window(used, divided, key, divided)
            ):
                kinds.setdefault(key, {"upstream_stale"})
    return kinds


def last_said(known):
    """What stands: what was made, and nothing where that is what a call left; a call that left it out later says what was read."""
    return {**known.made, **known.skipped}


PARTS = {
    one: set(one.all(us("2020-01-01")).keys())
    for one in (WEEK, OPEN, partitioning(World().asset("x").definitions["x"]))
}


def window(used, divided, key, above):
    return list(used.mapping.upstream(divided.set_of([key]), above, as_of=AS_OF).keys())


def reasons(facts, found, definition, key, one):
    if one.code_version not in (None, definition.code_version):
        yield "code_changed"
    for used in one.inputs:
        if (used.asset, used.partition) == (definition.name, one.partition):
            continue
        if is_news(facts, used, one.started):
            yield "input_updated"
        elif used.asset != definition.name and is_stale(found, used.asset, used.partition):
            yield "upstream_stale"
    read = {(used.asset, used.partition) for used in one.inputs}
    for used in definition.inputs:
        if used.asset == definition.name:
            continue
        for part in window(used, partitioning(definition), key, partitioning(facts.definitions[used.asset])):
            new = facts.of(used.asset).made.get(part)
            if new is not None and new.since > one.started and (used.asset, part) not in read:
                yield "input_updated"
            seen = facts.of(used.asset).observed.get(part)
            is_source = facts.definitions[used.asset].code_version is None
            if (
                part
                and is_source
                and new is None
                and seen
                and seen.first > one.started
                and (used.asset, part) not in read
            ):
                yield "input_updated"
            if is_stale(found, used.asset, part):
                yield "upstream_stale"
        # What reads all of an input would read those that were made before their time was up, too.
        if isinstance(used.mapping, AllMapping) and any(
            is_stale(found, used.asset, part) for part in found[used.asset]
        ):
            yield "upstream_stale"


def is_stale(found, asset, part):
    return part in found[asset] and "never_made" not in found[asset][part]


def is_news(facts, used, started):
    known, definition = facts.of(used.asset), facts.definitions[used.asset]
    made, seen = known.made.get(used.partition), known.observed.get(used.partition)
    told = []
    if made is not None:
        is_ours = made.code_version is not None and definition.code_version is not None
        told.append((made.version, is_ours or made.since > started))
    if seen is not None and (made is None or (definition.code_version is None and seen.at > made.at)):
        told.append((seen.version, seen.since > started))
    return any(since and None not in (version, used.version) and version != used.version for version, since in told)


@tried_on(60)
@given(worlds())
def test_every_partition_is_stale_or_not_as_the_rules_say(world):
    facts = world.facts()
    expected = oracle(facts)
    for name, found in staleness(facts, AS_OF).items():
        assert set(found.stale.keys()) == set(expected[name])
        assert set(found.missing.keys()) == {key for key, kinds in expected[name].items() if "never_made" in kinds}
        kinds = {cause.kind for cause in found.causes}
        assert kinds == set().union(*expected[name].values())


def test_a_partition_that_was_made_before_it_ends_is_stale_with_its_input():
    world = World()
    world.asset("a", partitions=None)
    world.asset("b", "a", partitions=OPEN)
    world.make("a")
    world.make("b", "2013-01-06", inputs=[])
    world.definitions["a"] = replace(world.definitions["a"], code_version="code-2")
    found = staleness(world.facts(), AS_OF)["b"]
    assert "2013-01-06" not in OPEN.all(AS_OF)
    assert "2013-01-06" in found.stale
    assert found.why("2013-01-06").because[0].kind == "upstream_stale"


def test_what_was_left_out_and_never_made_is_judged_by_what_that_call_read():
    world = World()
    world.asset("a").asset("b", "a").asset("c", "b")
    world.make("a").skip("b")
    found = staleness(world.facts(), AS_OF)
    assert not found["b"].stale
    assert not found["b"].missing
    assert found["c"].why().tree() == "c was never made"
    world.make("a")
    found = staleness(world.facts(), AS_OF)["b"]
    assert found.why().tree() == "b is stale\n  its input a changed since it was left out"
    assert found.reason.tree() == found.why().tree()
    assert not found.missing
    world.skip("b").asset("b", "a", code="code-2")
    found = staleness(world.facts(), AS_OF)["b"]
    assert found.why().because[0].text == "its code changed since it was left out (make_b)"
    assert found.reason.because[0].text == "its code changed since it was left out"
    world.skip("b")
    assert not staleness(world.facts(), AS_OF)["b"].stale


def test_what_stands_as_it_was_left_out_makes_stale_what_would_read_it_once_it_is_stale_itself():
    world = World().asset("a", partitions=WEEK).asset("b", "a", partitions=WEEK)
    world.asset("c", ("b", AllMapping(needs=1)), partitions=None)
    world.make("a", "2013-01-01", "2013-01-02").make("b", "2013-01-01").skip("b", "2013-01-02").make("c")
    assert not staleness(world.facts(), AS_OF)["c"].stale
    world.make("a", "2013-01-02")
    assert staleness(world.facts(), AS_OF)["c"].why().tree() == (
        "c is stale\n  its input b is stale itself\n"
        "    b@2013-01-02 is stale\n      its input a@2013-01-02 changed since it was left out"
    )
    world.skip("b", "2013-01-02")
    assert not staleness(world.facts(), AS_OF)["c"].stale, "it is nothing still"
    world.make("b", "2013-01-02")
    assert staleness(world.facts(), AS_OF)["c"].why().because[0].kind == "input_updated"


def test_what_a_call_read_that_left_its_output_as_it_is_counts_though_the_one_in_place_read_nothing():
    world = World()
    world.asset("a").asset("b").asset("c", "b")
    world.make("a").make("b", inputs=[]).make("c")
    world.skip("b", inputs=[Consumed(asset="a", partition=None, version=world.version("a"))])
    assert not staleness(world.facts(), AS_OF)["b"].stale
    world.make("a")
    found = staleness(world.facts(), AS_OF)
    assert [cause.kind for cause in found["b"].causes] == ["input_updated"]
    assert [cause.kind for cause in found["c"].causes] == ["upstream_stale"]


@tried_on(15)
@given(worlds(), st.permutations([-2, 0, 1, 4]), st.randoms(use_true_random=False))
def test_what_is_kept_for_the_next_question_says_the_same_at_any_moment_and_in_any_order(world, days, dice):
    facts = world.facts()
    mixed = list(facts.definitions.items())
    dice.shuffle(mixed)
    graph, mixed_facts = MadeGraph(facts), replace(facts, definitions=dict(mixed))
    for day in days:
        at = AS_OF + day * DAY
        anew = {name: one[:4] for name, one in staleness(facts, at).items()}
        assert {name: one[:4] for name, one in staleness(facts, at, graph).items()} == anew
        assert {name: one[:4] for name, one in staleness(mixed_facts, at).items()} == anew


def test_what_reads_yesterday_of_each_other_is_stale_by_turns():
    world = World().asset("a", partitions=WEEK).asset("b", ("a", WindowMapping(-1, -1)), partitions=WEEK)
    reads_the_past_of(world, "a", "b")
    for key in keys(WEEK):
        world.make("a", key).make("b", key)
    world.make("a", "2013-01-02")
    found = staleness(world.facts(), AS_OF)
    assert str(found["b"].stale) == "2013-01-03, 2013-01-05, 2013-01-07"
    assert str(found["a"].stale) == "2013-01-04, 2013-01-06"
    assert found["a"].why("2013-01-06").tree() == (
        "a@2013-01-06 is stale\n  its input b is stale itself\n"
        "    b@2013-01-05 is stale\n      its input a is stale itself\n"
        "        a@2013-01-04 is stale\n          its input b is stale itself\n"
        "            b@2013-01-03 is stale\n              its input a@2013-01-02 changed since it was made"
    )
