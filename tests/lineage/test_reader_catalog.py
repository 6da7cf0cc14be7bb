"""The catalogue: definitions and facts as the assets layer needs them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from lineage_world import defined, made, ref, write

from headwater.assets.definition_json import definition_hash, definition_to_json
from headwater.assets.definitions import AssetDefinition, InputDefinition
from headwater.assets.events import AssetDefined, AssetObserved, CheckResult, MaterializationEnded
from headwater.assets.facts import Consumed, Failure, Observed
from headwater.assets.mappings import SameMapping
from headwater.assets.partitions import DailyPartitions
from headwater.core.journal.home import Home
from headwater.lineage.catalog import ProjectionCatalog
from headwater.lineage.projection import Projection
from headwater.lineage.reader import Reader

DAYS = DailyPartitions("2013-01-01", "2013-02-01")


def definition(name: str, inputs: tuple[str, ...] = (), *, place: str = "/data", code: str = "c1") -> AssetDefinition:
    return AssetDefinition(
        ref=ref(name, place=place),
        partitions=DAYS,
        inputs=tuple(InputDefinition(parameter=one, asset=one, mapping=SameMapping()) for one in inputs),
        code_version=code,
    )


def recorded(one: AssetDefinition, *inputs: AssetDefinition) -> AssetDefined:
    value = definition_to_json(one, {other.name: other.ref for other in inputs})
    return AssetDefined(asset=one.ref, hash=definition_hash(value), project="shop", definition=value)


@pytest.fixture
def catalog(projection: Projection) -> ProjectionCatalog:
    return ProjectionCatalog(projection)


def test_nothing_is_known_of_an_empty_home(catalog: ProjectionCatalog) -> None:
    facts = catalog.facts()
    assert (dict(facts.definitions), dict(facts.assets)) == ({}, {})


def test_facts_tell_what_is_in_place_and_what_it_was_made_of(home: Home, catalog: ProjectionCatalog) -> None:
    flights, delays = definition("flights"), definition("delays", ("flights",))
    write(
        home,
        [
            recorded(flights),
            recorded(delays, flights),
            made("delays", "2013-01-01", "v1", [("flights", "2013-01-01", "f1")]),
            made("delays", "2013-01-01", "v2", [("flights", "2013-01-01", "f2"), ("other", None, "o")], replaces="v1",
                 time_max=77, code_version="c1", unknown_inputs=("a list",)),
            made("delays", "2013-01-02", "v3", state="refused"),
            AssetObserved(observation_id="o1", project="shop", asset=ref("flights"), version="s1", data_through=5),
            AssetObserved(observation_id="o2", project="shop", asset=ref("flights"), version="s2", data_through=9, rows=4),
        ],
    )  # fmt: skip
    facts = catalog.facts()
    assert dict(facts.definitions) == {"flights": flights, "delays": delays}
    found = facts.of("delays")
    one = found.made["2013-01-01"]
    assert set(found.made) == {"2013-01-01"}
    assert (one.version, one.started, one.time_max, one.rows, one.run_id) == ("v2", 100, 77, 3, "r1")
    assert (one.code_version, one.unknown_inputs) == ("c1", True)
    assert one.inputs == (
        Consumed(asset="flights", partition="2013-01-01", version="f2"),
        Consumed(asset="other", partition=None, version="o"),
    )
    failure = found.failed["2013-01-02"]
    assert failure == Failure(partition="2013-01-02", at=failure.at, state="refused", message="no such day")
    assert set(found.failed) == {"2013-01-02"}
    assert found.last_run == 100
    seen = facts.of("flights").observed[None]
    assert seen == Observed(
        partition=None, at=seen.at, first=seen.first, since=seen.at, version="s2", data_through=9, rows=4
    )


def test_a_failure_is_gone_once_a_newer_attempt_published(home: Home, catalog: ProjectionCatalog) -> None:
    one = definition("a")
    write(home, [recorded(one), made("a", "2013-01-01", "v1", state="failed"), made("a", "2013-01-01", "v2")])
    assert dict(catalog.facts().of("a").failed) == {}


def test_the_facts_of_an_asset_hold_everything_upstream_and_nothing_else(
    home: Home, catalog: ProjectionCatalog
) -> None:
    a, b, c, d = definition("a"), definition("b", ("a",)), definition("c", ("b",)), definition("d", ("c",))
    seen = definition("seen")
    write(home, [recorded(seen), recorded(a), recorded(b, a), recorded(c, b), recorded(d, c)])
    write(home, [made("b", "2013-01-01", "v1", [("seen", None, "s1")])])
    assert set(catalog.facts([ref("c")]).definitions) == {"a", "b", "c", "seen"}
    assert set(catalog.facts([ref("a")]).definitions) == {"a"}
    assert set(catalog.facts().definitions) == {"a", "b", "c", "d", "seen"}


def test_loaded_definitions_win_over_what_the_journal_remembers(home: Home, projection: Projection) -> None:
    old, new = definition("a", code="old"), definition("a", code="new")
    write(home, [recorded(old), recorded(definition("b"))])
    loaded = {"a": new, "fresh": definition("fresh", ("b",))}
    facts = ProjectionCatalog(projection, lambda: loaded).facts()
    assert facts.definitions["a"].code_version == "new"
    assert set(facts.definitions) == {"a", "b", "fresh"}
    assert set(ProjectionCatalog(projection, lambda: loaded).facts([ref("fresh")]).definitions) == {"b", "fresh"}


def test_dev_and_prod_in_one_journal_never_mix(home: Home, projection: Projection) -> None:
    prod, dev = definition("a", place="/prod"), definition("a", place="/dev")
    write(home, [recorded(dev), made("a", "2013-01-01", "dev1", place="/dev")])
    write(home, [recorded(prod), made("a", "2013-01-01", "prod1", place="/prod")])
    for one, version in ((prod, "prod1"), (dev, "dev1")):
        facts = ProjectionCatalog(projection).facts([one.ref])
        assert facts.definitions["a"].ref.dataset == one.ref.dataset
        assert facts.of("a").made["2013-01-01"].version == version
        loaded = ProjectionCatalog(projection, lambda one=one: {"a": one}).facts()
        assert loaded.of("a").made["2013-01-01"].version == version


def test_a_check_that_failed_before_a_move_counts_until_the_asset_is_made_in_its_new_place(
    home: Home, catalog: ProjectionCatalog
) -> None:
    failing = (CheckResult(name="rows", passed=False),)
    write(home, [defined("old"), made("old", None, "v1", checks=failing)])
    write(home, [defined("new", place="/new", renamed_from="old")])
    assert [one.name for one in catalog.facts().failed_checks["new"]] == ["rows"]
    write(home, [made("new", None, "v2", place="/new", checks=(CheckResult(name="rows", passed=True),))])
    assert catalog.facts().failed_checks.get("new", ()) == ()


def test_a_definition_with_a_limit_that_is_refused_today_does_not_stop_the_others(
    home: Home, projection: Projection
) -> None:
    odd = {"max_lag": timedelta.max.total_seconds(), "warn": None, "clock": None}
    write(home, [defined("raw", freshness=odd), recorded(definition("clean", ("raw",)), definition("raw"))])
    assert Reader(projection).graph("clean").upstream("clean") == ("raw",)
    write(home, [recorded(definition("raw"))])
    assert dict(ProjectionCatalog(projection).verdicts(5).told) == {"raw": "none", "clean": "none"}


def test_definitions_and_facts_are_enough_without_any_module(home: Home, catalog: ProjectionCatalog) -> None:
    write(home, [defined("bare")])
    assert catalog.facts().definitions["bare"].ref == ref("bare")


def test_a_version_that_was_replaced_is_known_as_long_as_something_was_made_of_it(tmp_path):
    from headwater import Asset, materialize
    from headwater.testing import project

    with project(tmp_path) as shop:
        source, target = Asset("source", at="memory://replaced_source"), Asset("target", at="memory://replaced_target")

        @materialize(source)
        def make():
            return [{"x": 1}]

        @materialize(target, inputs={"rows": source})
        def read(rows):
            return rows

        make()
        read()
        make()
        facts = shop.catalog.facts()
        (consumed,) = facts.of("target").made[None].inputs
        assert facts.of("source").made[None].version != consumed.version
        assert facts.of("source").replaced[None, consumed.version].version == consumed.version
        make()
        # Nothing was made of the second version: it is of no use.
        assert set(shop.catalog.facts().of("source").replaced) == {(None, consumed.version)}


def test_what_is_kept_from_one_question_to_the_next_is_let_go_when_something_comes(
    home: Home, projection: Projection
) -> None:
    loaded = {"flights": definition("flights"), "delays": definition("delays", ("flights",))}
    catalog = ProjectionCatalog(projection, lambda: loaded)
    day = "2013-01-01"

    def causes() -> dict[str, list[str]]:
        asked, again = catalog.staleness(0), catalog.staleness(0)
        anew = ProjectionCatalog(projection, lambda: loaded).staleness(0)
        assert (
            [one[:4] for one in asked.values()]
            == [one[:4] for one in again.values()]
            == [one[:4] for one in anew.values()]
        )
        assert [one.why(day) for one in again.values()] == [one.why(day) for one in anew.values()]
        return {name: [cause.kind for cause in one.causes if day in one.stale] for name, one in again.items()}

    write(home, [recorded(loaded["flights"]), recorded(loaded["delays"], loaded["flights"])])
    assert causes() == {"flights": ["never_made"], "delays": ["never_made"]}
    write(
        home,
        [
            made("flights", day, "f1", code_version="c1"),
            made("delays", day, "d1", [("flights", day, "f1")], code_version="c1"),
        ],
    )
    assert causes() == {"flights": [], "delays": []}
    write(home, [made("flights", day, "f2", replaces="f1", code_version="c1")])
    assert causes() == {"flights": [], "delays": ["never_made", "input_updated"]}
    # Nothing has come, but other code is loaded.
    loaded["flights"] = definition("flights", code="c2")
    assert causes()["flights"] == ["never_made", "code_changed"]


def loaded_as(asset: str, place: str, before: str | None = None) -> AssetDefinition:
    there = replace(ref(asset), uri=place, dataset=place)
    return AssetDefinition(ref=there, renamed_from=before)


def called(asset: str, place: str, before: str | None = None) -> AssetDefined:
    return recorded(loaded_as(asset, place, before))


def made_at(place: str, asset: str, partition: str | None, version: str) -> MaterializationEnded:
    one = made(asset, partition, version)
    return replace(one, started=replace(one.started, asset=loaded_as(asset, place).ref))


@pytest.mark.parametrize("is_loaded", [False, True])
def test_a_name_in_the_middle_of_two_renames_may_be_given_to_another_asset(
    home: Home, projection: Projection, *, is_loaded: bool
) -> None:
    write(home, [called("old", "/1"), made_at("/1", "old", None, "v1"), called("middle", "/2", "old")])
    write(home, [called("new", "/3", "middle"), called("middle", "/4")])
    loaded = {"new": loaded_as("new", "/3", "middle"), "middle": loaded_as("middle", "/4")} if is_loaded else {}
    facts = ProjectionCatalog(projection, lambda: loaded).facts()
    assert {name: set(facts.of(name).made) for name in facts.definitions} == {"new": {None}, "middle": set()}


@pytest.mark.parametrize("is_loaded", [False, True])
def test_what_was_renamed_where_it_is_hands_nothing_on_to_another_environment(
    home: Home, projection: Projection, *, is_loaded: bool
) -> None:
    write(home, [called("old", "/prod"), made_at("/prod", "old", None, "v1"), called("new", "/prod", "old")])
    write(home, [called("new", "/dev", "old")])
    loaded = {"new": loaded_as("new", "/dev", "old")} if is_loaded else {}
    facts = ProjectionCatalog(projection, lambda: loaded).facts()
    assert {name: dict(facts.of(name).made) for name in facts.definitions} == {"new": {}}


@pytest.mark.parametrize("is_loaded", [False, True])
def test_what_was_moved_goes_on_with_what_its_own_environment_had(
    home: Home, projection: Projection, *, is_loaded: bool
) -> None:
    write(home, [called("old", "/prod"), made_at("/prod", "old", None, "p1")])
    write(home, [called("old", "/dev"), made_at("/dev", "old", None, "d1")])
    write(home, [called("new", "/dev2", "old"), called("old", "/prod"), made_at("/prod", "old", None, "p2")])
    loaded = {"new": loaded_as("new", "/dev2", "old")} if is_loaded else {}
    assert ProjectionCatalog(projection, lambda: loaded).facts().of("new").made[None].version == "d1"


@pytest.mark.parametrize("is_loaded", [False, True])
def test_what_was_moved_there_and_back_has_all_of_its_history(
    home: Home, projection: Projection, *, is_loaded: bool
) -> None:
    write(home, [called("old", "/1"), made_at("/1", "old", "d1", "v1")])
    write(home, [called("new", "/2", "old"), made_at("/2", "new", "d2", "v2")])
    write(home, [called("old", "/1", "new")])
    loaded = {"old": loaded_as("old", "/1", "new")} if is_loaded else {}
    facts = ProjectionCatalog(projection, lambda: loaded).facts()
    assert {name: set(facts.of(name).made) for name in facts.definitions} == {"old": {"d1", "d2"}}


def test_the_facts_of_what_was_moved_hold_what_it_was_made_of_before(home: Home, catalog: ProjectionCatalog) -> None:
    write(home, [defined("feed"), defined("old"), made("old", None, "v1", [("feed", None, "f")])])
    write(home, [defined("reader"), made("reader", None, "r1", [("old", None, "v1")])])
    write(home, [called("new", "/2", "old")])
    assert set(catalog.facts([ref("reader")]).definitions) == {"reader", "new", "feed"}


@pytest.mark.parametrize("is_loaded", [False, True])
def test_what_was_moved_goes_on_with_what_was_near_by(home: Home, projection: Projection, *, is_loaded: bool) -> None:
    write(home, [called("old", "/data/dev/old"), made_at("/data/dev/old", "old", None, "d1")])
    write(home, [called("old", "/data/prod/old"), made_at("/data/prod/old", "old", None, "p1")])
    write(home, [called("new", "/data/dev/new", "old")])
    loaded = {"new": loaded_as("new", "/data/dev/new", "old")} if is_loaded else {}
    facts = ProjectionCatalog(projection, lambda: loaded).facts()
    assert facts.of("new").made[None].version == "d1"
    # Without a module nobody knows in which environment we are: the name still stands for something in the other one.
    assert set(facts.definitions) == ({"new"} if is_loaded else {"new", "old"})


def test_the_verdict_on_what_was_moved_is_that_of_the_board_without_a_module(
    home: Home, catalog: ProjectionCatalog
) -> None:
    policy = {"freshness": {"max_lag": 60, "warn": None, "clock": None}}
    write(home, [defined("old", **policy), made("old", None, "v1")])
    write(home, [defined("new", place="/2", renamed_from="old", **policy)])
    now = catalog.facts().of("new").made[None].at + 1
    assert dict(catalog.verdicts(now).told) == {"new": "fresh"}
    assert [(one.asset.name, one.verdict) for one in catalog.news_of_verdicts(now, "shop")] == [("new", "fresh")]


@pytest.mark.parametrize("last", ["new", "old"])
@pytest.mark.parametrize("is_loaded", [False, True])
def test_what_was_moved_and_renamed_again_where_it_is_has_all_of_its_history(
    home: Home, projection: Projection, *, is_loaded: bool, last: str
) -> None:
    write(home, [called("old", "/1"), made_at("/1", "old", None, "v1"), called("middle", "/2", "old")])
    write(home, [called(last, "/2", "middle")])
    loaded = {last: loaded_as(last, "/2", "middle")} if is_loaded else {}
    facts = ProjectionCatalog(projection, lambda: loaded).facts()
    assert {name: set(facts.of(name).made) for name in facts.definitions} == {last: {None}}
