"""What is told of assets that are renamed, moved, retired and checked in several environments of one home, held against worlds
that know which asset is which."""

import random
from dataclasses import dataclass, field

import pytest
from asset_worlds import HOUR, us
from hypothesis import Phase, given
from hypothesis import strategies as st
from recorded_worlds import Recorded, empty_projection
from tried import tried_on

from headwater.assets.definition_json import definition_hash, definition_to_json
from headwater.assets.definitions import AssetDefinition, InputDefinition
from headwater.assets.events import (
    AssetChecked,
    AssetDefined,
    AssetRef,
    CheckResult,
    Evidence,
    InputVersion,
    MaterializationEnded,
    MaterializationStarted,
)
from headwater.assets.freshness import Freshness, board
from headwater.assets.mappings import infer_mapping
from headwater.assets.staleness import staleness
from headwater.lineage.catalog import ProjectionCatalog
from headwater.lineage.reader import Reader

LAG = 5 * HOUR
NAMES = ("a", "A", "b", "\u00e9", "e\u0301")
"""Two differ in case alone, and two are the same letter written in two ways."""
READER = "reader"


@pytest.fixture(scope="module")
def projection():
    with empty_projection() as connection:
        yield connection


@dataclass(eq=False)
class Thing:
    """An asset of one environment, whatever it is called, with all that was ever told of it."""

    name: str
    place: str
    before: str | None = None
    retired: bool = False
    made: list = field(default_factory=list)
    failed: bool = False
    said: dict = field(default_factory=dict)
    """What each check said last."""
    read: str | None = None
    judged: list = field(default_factory=list)


class Names:
    """Environments of one home, each with its own assets; what happens in one is journaled as its modules are at that moment."""

    def __init__(self, connection, dice):
        self.recorded = Recorded(connection)
        self.dice, self.now, self.count = dice, us("2014-01-01"), 0
        self.environments = {env: [] for env in ("dev", "prod")}
        self.readers = {env: Thing(READER, f"/{env}/reader") for env in self.environments}
        for env in self.environments:
            self.begin(env, None)

    def begin(self, env, _):
        """Another asset, whose name may be one that another asset had."""
        for name in self.free(env):
            self.environments[env].append(Thing(name, self.new_place(env)))
            self.define(env, self.environments[env][-1])

    def free(self, env):
        """A name that nothing has now, if there is one."""
        names = [name for name in NAMES if name not in {one.name for one in self.environments[env]}]
        return [self.dice.choice(names)] if names else []

    def new_place(self, env):
        self.count += 1
        return f"/{env}/place-{self.count}"

    def tell(self, body):
        self.now += self.dice.choice([1, HOUR])
        self.recorded.add(self.now, body)

    def definition(self, env, thing):
        inputs, policy = (), Freshness(LAG / 1e6, clock="last_materialized")
        if thing.name == READER:
            source = self.environments[env][0].name
            inputs = (InputDefinition(parameter="rows", asset=source, mapping=infer_mapping(None, None)),)
        return AssetDefinition(
            ref=AssetRef(name=thing.name, uri=thing.place, kind="memory", namespace="file", dataset=thing.place),
            code_version="c1",
            inputs=inputs,
            freshness=policy,
            renamed_from=thing.before,
            retired=thing.retired,
        )

    def loaded(self, env):
        things = [*self.environments[env], self.readers[env]]
        return {one.name: self.definition(env, one) for one in things}

    def define(self, env, thing):
        loaded = self.loaded(env)
        value = definition_to_json(loaded[thing.name], {name: one.ref for name, one in loaded.items()})
        ref = loaded[thing.name].ref
        self.tell(AssetDefined(asset=ref, hash=definition_hash(value), project="world", definition=value))

    def happens(self):
        env = self.dice.choice(list(self.environments))
        thing = self.dice.choice(self.environments[env])
        what = self.dice.choice(["make", "make", "fail", "check", "rename", "move", "begin", "retire", "read", "judge"])
        getattr(self, what)(env, thing)

    def make(self, env, thing, state="published", inputs=()):
        self.define(env, thing)
        self.count += 1
        version, ref = f"v{self.count}", self.definition(env, thing).ref
        started = MaterializationStarted(
            materialization_id=version, run_id=version, task_run_id=version, flow="world", task="make", root_run_id=version,
            root_flow="world", project="world", asset=ref, partition=None, tags={},
        )  # fmt: skip
        checks = self.answers(thing) if state == "published" else ()
        evidence = Evidence(version=version, inputs=inputs, code_version="c1", checks=checks)
        self.tell(
            MaterializationEnded(
                materialization_id=version, started=started, started_at=self.now, state=state,
                evidence=evidence if state == "published" else None,
            )
        )  # fmt: skip
        thing.failed = state == "failed"
        if state == "published":
            thing.made.append((self.now, version))

    def fail(self, env, thing):
        self.make(env, thing, state="failed")

    def answers(self, thing):
        found = tuple(
            CheckResult(name=name, passed=self.dice.random() < 0.5)
            for name in self.dice.choice([(), ("rows",), ("rows", "late")])
        )
        thing.said |= {one.name: one.passed for one in found}
        return found

    def check(self, env, thing):
        if thing.made:
            ref = self.definition(env, thing).ref
            checks = self.answers(thing)
            self.tell(
                AssetChecked(project="world", asset=ref, partition=None, version=thing.made[-1][1], checks=checks)
            )

    def rename(self, env, thing):
        for name in self.free(env):
            thing.before, thing.name = thing.name, name
            self.define(env, thing)

    def move(self, env, thing):
        """Another name and another place at once."""
        for name in self.free(env):
            thing.before, thing.name, thing.place = thing.name, name, self.new_place(env)
            self.define(env, thing)

    def retire(self, env, thing):
        thing.retired = not thing.retired
        self.define(env, thing)

    def read(self, env, thing):
        source, reader = self.environments[env][0], self.readers[env]
        if source.made:
            ref, reader.read = self.definition(env, source).ref, source.made[-1][1]
            used = InputVersion(asset=ref.name, namespace="file", dataset=ref.dataset, version=reader.read)
            self.make(env, reader, inputs=(used,))

    def judge(self, env, thing):
        self.now += 1
        catalog, loaded = ProjectionCatalog(self.recorded.projection(), lambda: self.loaded(env)), self.loaded(env)
        things = {one.name: one for one in [*self.environments[env], self.readers[env]]}
        for found in catalog.news_of_verdicts(self.now, "world"):
            if found.asset.name in loaded:
                if found.before != found.verdict:
                    things[found.asset.name].judged.append((found.before, found.verdict, found.at))
                self.recorded.add(self.now, found)


def verdict(thing, as_of):
    if not thing.made:
        return "unknown"
    return "late" if as_of - thing.made[-1][0] > LAG else "fresh"


# A world is small as it is, and slow: to make one that fails smaller takes minutes.
@tried_on(5, full=200, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.randoms(use_true_random=False), st.integers(1, 15))
def test_what_is_told_of_an_asset_is_what_happened_to_it_whatever_it_is_called(projection, dice: random.Random, steps):
    world = Names(projection, dice)
    for _ in range(steps):
        world.happens()
    for env, things in world.environments.items():
        loaded, as_of = world.loaded(env), world.now + 1
        seen = world.recorded.projection()
        catalog, reader = (
            ProjectionCatalog(seen, lambda loaded=loaded: loaded),
            Reader(seen, lambda loaded=loaded: loaded),
        )
        facts, told = catalog.facts(), catalog.verdicts(as_of).told
        stale, checks = catalog.staleness(as_of), reader.checks(limit=1_000)["checks"]
        answers, changes = (
            reader.checks(history=True, limit=1_000)["checks"],
            reader.freshness_history(limit=1_000)["changes"],
        )
        assert facts.definitions.keys() == catalog.definitions().keys() == told.keys()
        for thing in [*things, world.readers[env]]:
            name = thing.name
            alone = catalog.facts([loaded[name].ref])
            for known in (facts, alone):
                assert known.definitions[name] == loaded[name]
                assert [one.version for one in known.of(name).made.values()] == [one[1] for one in thing.made[-1:]]
                assert bool(known.of(name).failed) == thing.failed
            assert told[name] == verdict(thing, as_of)
            assert board(alone, as_of)[name].verdict == told[name]
            assert staleness(alone, as_of)[name].is_stale == stale[name].is_stale
            assert {one["name"]: one["passed"] for one in checks if one["asset"] == name} == thing.said
            assert {one["name"] for one in answers if one["asset"] == name} == thing.said.keys()
            mine = [(row["before"], row["verdict"]) for row in changes if row["asset"] == name]
            assert sorted(mine, key=str) == sorted([one[:2] for one in thing.judged], key=str)
            versions = (
                [row["version"] for row in reader.materializations(name, limit=1_000)["materializations"]]
                if thing.made
                else []
            )
            assert [one for one in versions if one is not None] == [one[1] for one in reversed(thing.made)]
        source, consumer = things[0], world.readers[env]
        is_stale = not consumer.made or consumer.read != source.made[-1][1] or stale[source.name].is_stale
        assert stale[READER].is_stale == is_stale
        assert all(stale[one.name].is_stale == (not one.made) for one in things)


def test_what_was_renamed_there_and_back_is_not_what_another_environment_calls_so(projection):
    world = Names(projection, random.Random(0))
    mine, other = world.environments["dev"][0], world.environments["prod"][0]
    other.name, first = "called", mine.name
    world.make("prod", other)
    for name, before in ("called", first), (first, "called"), ("last", first):
        mine.name, mine.before = name, before
        world.make("dev", mine)
    reader = Reader(world.recorded.projection(), lambda: world.loaded("dev"))
    told = reader.materializations("last")["materializations"]
    assert [row["version"] for row in told] == [version for _, version in reversed(mine.made)]
