import pytest
from asset_worlds import DAYS, World, keys, us

from headwater.assets.facts import Consumed
from headwater.assets.mappings import WindowMapping
from headwater.assets.partitions import DailyPartitions
from headwater.assets.staleness import staleness
from headwater.errors import PartitionError

NOW = us("2014-06-01")
SHORT = DailyPartitions("2013-01-01", "2013-01-11")


def world_of(*, window=(0, 0)):
    world = World().source("feed").asset("flights", "feed", partitions=SHORT)
    world.asset("delays", ("flights", WindowMapping(*window)), partitions=SHORT).asset("score", "delays")
    world.observe("feed", version="f1")
    return world.make("flights", *keys(SHORT)).make("delays", *keys(SHORT)).make("score")


def stale(world, name):
    return str(staleness(world.facts(), NOW)[name].stale)


def kinds(world, name):
    return [reason.kind for reason in staleness(world.facts(), NOW)[name].reasons]


def test_what_has_just_been_made_is_up_to_date():
    found = staleness(world_of().facts(), NOW)
    assert {name: one.is_stale for name, one in found.items()} == dict.fromkeys(
        ["feed", "flights", "delays", "score"], False
    )
    assert found["delays"].reason.text == "delays is up to date"
    assert found["delays"].why("2013-01-05").to_json() == {
        "kind": "up_to_date",
        "text": "delays@2013-01-05 is up to date",
        "because": [],
    }


def test_never_made_partition_by_partition():
    world = World().asset("clicks", partitions=SHORT).make("clicks", "2013-01-02", "2013-01-05")
    found = staleness(world.facts(), NOW)["clicks"]
    assert str(found.missing) == str(found.stale) == "2013-01-01, 2013-01-03..2013-01-04, 2013-01-06..2013-01-10"
    assert (
        found.reasons[0].text
        == "it was never made (8 partitions: 2013-01-01, 2013-01-03..2013-01-04, 2013-01-06..2013-01-10)"
    )
    assert found.why("2013-01-03").text == "clicks@2013-01-03 was never made"


def test_never_made_says_which_input_is_missing():
    world = (
        World().asset("flights", partitions=SHORT).asset("delays", ("flights", WindowMapping(-2, 0)), partitions=SHORT)
    )
    world.make("flights", *keys(SHORT, "2013-01-01", "2013-01-04"))
    why = staleness(world.facts(), NOW)["delays"].why
    assert why("2013-01-04").because == ()
    assert why("2013-01-06").tree() == (
        "delays@2013-01-06 was never made\n  its input flights was never made (2 partitions: 2013-01-05..2013-01-06)"
    )
    assert why("2013-01-06").because[0].kind == "input_missing"


def test_an_empty_partition_is_not_missing():
    world = World().asset("clicks", partitions=SHORT).make("clicks", *keys(SHORT), rows=0)
    assert not staleness(world.facts(), NOW)["clicks"].is_stale


def test_a_failure_makes_nothing_stale():
    assert not staleness(world_of().fail("delays", "2013-01-05").facts(), NOW)["delays"].is_stale


def test_changed_code_makes_everything_made_with_the_old_one_stale_and_what_is_downstream_too():
    world = world_of()
    world.asset("flights", "feed", partitions=SHORT, code="code-2").make("flights", "2013-01-03")
    assert stale(world, "flights") == "2013-01-01..2013-01-02, 2013-01-04..2013-01-10"
    assert kinds(world, "flights") == ["code_changed"]
    assert kinds(world, "delays") == ["input_updated", "upstream_stale"]
    assert stale(world, "delays") == "2013-01-01..2013-01-10"
    assert stale(world, "score") == "unpartitioned"
    assert staleness(world.facts(), NOW)["score"].why().tree() == (
        "score is stale\n"
        "  its input delays is stale itself\n"
        "    delays@2013-01-01 is stale\n"
        "      its input flights is stale itself\n"
        "        flights@2013-01-01 is stale\n"
        "          its code changed since it was made (make_flights)"
    )


def test_an_input_of_which_another_version_is_in_place():
    world = world_of(window=(-2, 0)).make("flights", "2013-01-05")
    assert stale(world, "delays") == "2013-01-05..2013-01-07"
    assert kinds(world, "delays") == ["input_updated"]
    found = staleness(world.facts(), NOW)["delays"]
    assert found.reasons[0].text == "its input flights changed since it was made (3 partitions: 2013-01-05..2013-01-07)"
    assert found.why("2013-01-07").because[0].text == "its input flights@2013-01-05 changed since it was made"
    assert stale(world.make("delays", "2013-01-06"), "delays") == "2013-01-05, 2013-01-07"


def test_a_source_of_which_another_version_was_seen():
    world = world_of().observe("feed", version="f2")
    assert stale(world, "flights") == "2013-01-01..2013-01-10"
    assert not staleness(world_of().observe("feed", version="f1").facts(), NOW)["flights"].is_stale
    assert not staleness(world_of().observe("feed").facts(), NOW)["flights"].is_stale, "no version, no difference"


def test_a_partition_of_the_window_that_has_come_since():
    world = World().asset("flights", partitions=SHORT)
    world.asset("risk", ("flights", WindowMapping(-6, 0, needs=1)), partitions=SHORT)
    world.make("flights", "2013-01-01", "2013-01-03").make("risk", "2013-01-03")
    assert stale(world, "risk") == "2013-01-01..2013-01-02, 2013-01-04..2013-01-10"
    world.make("flights", "2013-01-02")
    assert "2013-01-03" in staleness(world.facts(), NOW)["risk"].stale
    assert staleness(world.facts(), NOW)["risk"].why("2013-01-03").because[0].kind == "input_updated"
    assert "2013-01-03" not in staleness(world.make("risk", "2013-01-03").facts(), NOW)["risk"].stale


def test_a_partition_of_a_source_that_was_first_seen_since():
    world = World().source("landing", partitions=SHORT)
    world.asset("risk", ("landing", WindowMapping(-6, 0, needs=1)), partitions=SHORT)
    world.asset("total", "landing")
    world.observe("landing", partition="2013-01-01", version="a").observe(
        "landing", partition="2013-01-03", version="b"
    )
    world.make("risk", "2013-01-03").make("total")
    world.observe("landing", partition="2013-01-01", version="a").observe(
        "landing", partition="2013-01-05", version="c"
    )
    assert "2013-01-03" not in staleness(world.facts(), NOW)["risk"].stale
    world.observe("landing", partition="2013-01-02", version="d")
    found = staleness(world.facts(), NOW)
    assert found["risk"].why("2013-01-03").because[0].text == "its input landing@2013-01-02 changed since it was made"
    assert found["total"].is_stale
    world.make("risk", "2013-01-03").make("total", inputs=[]).observe("landing", partition="2013-01-02", version="d")
    found = staleness(world.facts(), NOW)
    assert "2013-01-03" not in found["risk"].stale
    assert not found["total"].is_stale, "what had been seen was left out on purpose"


def test_what_was_there_and_was_not_read_is_no_difference():
    world = World().asset("a").asset("b", "a").make("a").make("b", inputs=[])
    assert not staleness(world.facts(), NOW)["b"].is_stale, "it was given another value on purpose"
    assert staleness(world.make("a").facts(), NOW)["b"].is_stale


def test_a_missing_input_does_not_make_stale_what_was_made_without_it():
    world = (
        World()
        .asset("flights", partitions=SHORT)
        .asset("risk", ("flights", WindowMapping(-6, 0, needs=1)), partitions=SHORT)
    )
    world.make("flights", "2013-01-03").make("risk", "2013-01-03")
    assert "2013-01-03" not in staleness(world.facts(), NOW)["risk"].stale


def test_inputs_that_were_recorded_but_never_declared_count():
    world = World().asset("a").asset("b").make("a")
    world.make("b", inputs=[Consumed(asset="a", partition=None, version=world.version("a"))])
    assert not staleness(world.facts(), NOW)["b"].is_stale
    world.asset("a", code="code-2")
    assert kinds(world, "b") == ["upstream_stale"]
    assert kinds(world.make("a"), "b") == ["input_updated"]


def test_an_asset_that_reads_its_own_last_version_is_not_stale_for_it():
    world = World().asset("totals").make("totals")
    world.make("totals", inputs=[Consumed(asset="totals", partition=None, version=world.version("totals"))])
    assert not staleness(world.facts(), NOW)["totals"].is_stale


def test_an_asset_that_reads_its_own_day_before():
    world = World().asset("sums", ("sums", WindowMapping(-1, -1)), partitions=SHORT)
    world.make("sums", *keys(SHORT))
    assert not staleness(world.facts(), NOW)["sums"].is_stale
    world.make("sums", "2013-01-04")
    assert stale(world, "sums") == "2013-01-05..2013-01-10"
    why = staleness(world.facts(), NOW)["sums"].why("2013-01-06")
    assert why.tree().splitlines()[:4] == [
        "sums@2013-01-06 is stale",
        "  its input sums is stale itself",
        "    sums@2013-01-05 is stale",
        "      its input sums@2013-01-04 changed since it was made",
    ]


def test_an_asset_that_reads_itself_in_two_ways_is_followed_by_turns():
    world = World().asset("flights", partitions=SHORT).make("flights", *keys(SHORT))
    world.asset("sums", "flights", ("sums", WindowMapping(-2, -2)), ("sums", WindowMapping(-5, -5)), partitions=SHORT)
    world.make("sums", "2013-01-01", "2013-01-06", "2013-01-08").make("flights", "2013-01-01")
    found = staleness(world.facts(), NOW)["sums"]
    assert str(found.stale - found.missing) == "2013-01-01, 2013-01-06, 2013-01-08"


def test_open_ended_partitions_become_missing_as_days_end():
    world = World().asset("clicks", partitions=DailyPartitions("2013-01-01")).make("clicks", "2013-01-01")
    facts = world.facts()
    assert not staleness(facts, us("2013-01-02T23:00"))["clicks"].is_stale
    assert str(staleness(facts, us("2013-01-03"))["clicks"].missing) == "2013-01-02"


def test_partitions_of_an_earlier_definition_are_left_alone():
    world = World().asset("clicks", partitions=DAYS).make("clicks", "2013-05-05").asset("clicks", partitions=SHORT)
    assert len(staleness(world.facts(), NOW)["clicks"].missing) == 10


def test_an_input_that_has_been_divided_anew_does_not_break_the_board():
    world = world_of()
    world.asset("flights", "feed", partitions=DailyPartitions("2013-01-01", "2013-01-11", timezone="Asia/Kolkata"))
    world.observe("feed", version="f2")
    assert staleness(world.facts(), NOW)["flights"].is_stale


def test_an_unknown_partition_is_refused():
    with pytest.raises(PartitionError):
        staleness(world_of().facts(), NOW)["delays"].why("2019-01-01")


def test_a_long_chain_and_its_tree_stay_printable():
    world = World().asset("a0", code="code-1").make("a0")
    for number in range(1, 2000):
        world.asset(f"a{number}", f"a{number - 1}").make(f"a{number}")
    world.asset("a0", code="code-2")
    found = staleness(world.facts(), NOW)
    assert all(one.is_stale for one in found.values())
    assert 10 < len(found["a1999"].why().tree().splitlines()) < 40


def test_assets_that_were_made_of_one_another_can_be_judged():
    world = World().asset("a").asset("b").make("a")
    world.make("b", inputs=[Consumed(asset="a", partition=None, version=world.version("a"))])
    world.make("a", inputs=[Consumed(asset="b", partition=None, version=world.version("b"))])
    found = staleness(world.facts(), NOW)
    assert found["b"].causes[0].kind == "input_updated"
    assert found["b"].why().text == "b is stale"


def test_a_year_of_five_assets_is_judged_at_once():
    import time

    world = World()
    window = WindowMapping(-6, 0)
    for number in range(5):
        world.asset(f"a{number}", *([(f"a{number - 1}", window)] if number else []), partitions=DAYS)
    for key in keys(DAYS):
        for number in range(5):
            world.make(f"a{number}", key)
    facts = world.facts()
    began = time.process_time()
    found = staleness(facts, NOW)
    assert time.process_time() - began < 0.5, "0.02 s on an idle machine"
    assert not any(one.is_stale for one in found.values())


def test_an_observation_that_is_older_than_the_reading_makes_nothing_stale():
    world = World().source("feed").asset("totals", "feed").observe("feed", version="f1")
    world.make("totals", inputs=[Consumed(asset="feed", partition=None, version="f2")])
    assert not staleness(world.facts(), NOW)["totals"].is_stale, "it read what nobody had observed yet"
    assert staleness(world.observe("feed", version="f3").facts(), NOW)["totals"].is_stale


def test_a_file_that_was_put_back_after_it_was_read_is_news():
    """Nobody had observed what was read; hashes tell of that by themselves, names that an observer gives don't."""
    for before, read, stale in (("sha256:1", "sha256:2", True), ("etag-1", "sha256:2", False)):
        world = World().source("feed").asset("totals", "feed").observe("feed", version=before)
        world.make("totals", inputs=[Consumed(asset="feed", partition=None, version=read)])
        assert staleness(world.observe("feed", version=before).facts(), NOW)["totals"].is_stale == stale
