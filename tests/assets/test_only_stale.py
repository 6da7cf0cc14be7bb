"""What `materialize --only stale` makes is what staleness announced, and afterwards nothing is stale."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from asset_worlds import DAY, World, keys_of
from hypothesis import given
from hypothesis import strategies as st
from test_staleness_oracle import START, WEEK, is_in_order, worlds
from tried import tried_on

from headwater.assets.backfill import BackfillPlan, BackfillRequest, Progress, plan
from headwater.assets.facts import last_said
from headwater.assets.partitions import partitioning
from headwater.assets.staleness import staleness

AS_OF = START + 7 * DAY
"""All days of the worlds are over."""
ONLY = frozenset({"stale"})


def planned(world: World) -> BackfillPlan:
    facts = world.facts()
    targets = tuple(name for name, one in facts.definitions.items() if not one.is_source)
    return plan(facts, BackfillRequest(targets=targets, only=ONLY), AS_OF) if targets else BackfillPlan()


def announced(world: World) -> set[tuple[str, str | None]]:
    judged = staleness(world.facts(), AS_OF)
    return {(name, key) for name, one in judged.items() for key in keys_of(one.stale)}


def units(found: BackfillPlan) -> set[tuple[str, str | None]]:
    return {(step.asset, key) for step in found.steps for key in keys_of(step.partitions)}


def carry_out(world: World, found: BackfillPlan, left_out: Collection[str] = ()) -> None:
    """Make what is planned, one call for all that a function makes; those that are left out stay as they are."""
    progress, done = Progress(found, world.definitions), set[tuple[str, str | None]]()
    while (unit := progress.next()) is not None:
        name, key = unit[0], unit[1].key
        if (name, key) not in done:
            for one in (name, *world.definitions[name].made_with):
                (world.skip if one in left_out else world.make)(one, key)
                done.add((one, key))
        progress.finished(name, key, "completed")
    assert progress.done


def reads_as_declared(world: World) -> bool:
    """Whether no partition read another one of what its function makes, when it was made or left out, that its definition does not
    name."""
    for name, definition in world.definitions.items():
        divided, own = partitioning(definition), {name, *definition.made_with}
        for key, one in last_said(world.facts().of(name)).items():
            others = {(it.asset, it.partition) for it in one.inputs if it.asset in own and it.partition != key}
            named = {
                (it.asset, part)
                for it in definition.inputs
                if it.asset in own
                for part in keys_of(it.mapping.upstream(divided.set_of([key]), divided, as_of=AS_OF))
            }
            if others - named:
                return False
    return True


@tried_on(50)
@given(worlds().filter(is_in_order).filter(reads_as_declared), st.booleans())
def test_what_is_announced_is_made_and_then_nothing_is_stale(world: World, is_left_out: bool) -> None:
    before, found = announced(world), planned(world)
    made = units(found)
    assert before <= made
    # What is up to date is made only by the same call as something else, or where it will read what is made for the first time.
    assert made - before <= readers_of_new(world, found)
    left_out = [name for name in world.definitions if name.endswith("-twin")] if is_left_out else ()
    carry_out(world, found, left_out)
    assert announced(world) == set()
    assert not planned(world).steps


@tried_on(30)
@given(worlds().filter(is_in_order).filter(reads_as_declared))
def test_where_nothing_was_never_made_exactly_what_is_announced_is_made(world: World) -> None:
    for name, one in world.definitions.items():
        stands = last_said(world.facts().of(name))
        for key in () if one.is_source else keys_of(partitioning(one).all(AS_OF)):
            if key not in stands:
                world.make(name, *([] if key is None else [key]))
    found = planned(world)
    assert announced(world) <= units(found)
    alone = not any(one.made_with for one in world.definitions.values())
    assert units(found) - announced(world) <= (set() if alone else readers_of_new(world, found))


def readers_of_new(world: World, found: BackfillPlan) -> set[tuple[str, str | None]]:
    """All that is made for the first time, or by the same call as something else, what reads that, and so on."""
    facts = world.facts()
    new = {
        (name, key) for name, key in units(found) if key not in facts.of(name).made or world.definitions[name].made_with
    }
    while True:
        more = set(new)
        for name, one in facts.definitions.items():
            divided = partitioning(one)
            stands = last_said(facts.of(name)).items()
            more |= {
                (name, key) for key, it in stands if any((used.asset, used.partition) in new for used in it.inputs)
            }
            for used in one.inputs:
                keys = [key for asset, key in new if asset == used.asset]
                above = partitioning(facts.definitions[used.asset])
                if keys:
                    readers = used.mapping.downstream(above.set_of(keys), divided, as_of=AS_OF) & divided.all(AS_OF)
                    more |= {(name, key) for key in keys_of(readers)}
        if more == new:
            return new
        new = more


def test_a_change_of_code_is_announced_and_made_with_all_that_reads_it() -> None:
    world = World()
    world.asset("raw", partitions=WEEK).asset("daily", "raw", partitions=WEEK).asset("other", partitions=WEEK)
    for name in ("raw", "daily", "other"):
        world.make(name, *WEEK.all(AS_OF).keys())
    assert not planned(world).steps
    world.definitions["daily"] = replace(world.definitions["daily"], code_version="code-2")
    assert {name for name, _ in announced(world)} == {"daily"}
    assert units(planned(world)) == announced(world)
