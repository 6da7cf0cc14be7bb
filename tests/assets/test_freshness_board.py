import pytest
from asset_worlds import DAY, DAYS, HOUR, World, keys, us

from headwater.assets.board import Judged, status
from headwater.assets.facts import AssetFacts, Consumed, Facts
from headwater.assets.freshness import Freshness, FreshnessClock, board, data_through, partition_data_through
from headwater.assets.mappings import WindowMapping
from headwater.assets.partitions import DailyPartitions, HourlyPartitions, ProductPartitions, StaticPartitions


def flights_and_delays(**more):
    return (
        World()
        .asset("flights", partitions=DAYS, time_column="time_hour")
        .asset("delays", "flights", partitions=DAYS, **more)
    )


def test_measured_is_the_greatest_value_of_the_time_column():
    world = flights_and_delays().make("flights", "2013-01-05", time_max=us("2013-01-05T22:00"), rows=10)
    found = data_through(world.facts(), "flights")
    assert (found.end, found.basis, found.witness) == (us("2013-01-05T22:00"), "measured", ("flights@2013-01-05",))
    assert found.reason.text == "flights@2013-01-05 has rows up to 2013-01-05T22:00Z"


def test_rows_from_2099_do_not_count():
    world = flights_and_delays().make("flights", "2013-01-05", time_max=us("2099-01-01"), rows=10)
    assert data_through(world.facts(), "flights").end == us("2013-01-06")
    world = (
        World().asset("orders", time_column="at").make("orders", time_max=us("2099-01-01"), started="2014-02-03T04:05")
    )
    assert data_through(world.facts(), "orders").end == us("2014-02-03T04:05")


def test_a_day_that_was_loaded_at_noon_reaches_to_noon():
    world = World().asset("clicks", partitions=DAYS).make("clicks", "2013-01-05", started="2013-01-05T12:00", rows=3)
    found = data_through(world.facts(), "clicks")
    assert (found.end, found.basis) == (us("2013-01-05T12:00"), "claimed")


def test_complete_through_of_a_first_day_that_was_loaded_at_noon():
    world = World().asset("clicks", partitions=DAYS).make("clicks", "2013-01-01", started="2013-01-01T12:00")
    assert data_through(world.facts(), "clicks").complete_through == us("2013-01-01T12:00")


def test_a_day_that_was_made_before_it_began_reaches_nowhere():
    world = World().asset("clicks", partitions=DAYS)
    world.make("clicks", "2013-01-05", started="2013-01-05T12:00").make(
        "clicks", "2013-01-06", started="2013-01-05T12:01"
    )
    assert data_through(world.facts(), "clicks").end == us("2013-01-05T12:00")


def test_claimed_is_the_end_of_the_day_in_the_zone_of_the_partitions():
    days = DailyPartitions("2013-01-01", "2014-01-01", timezone="America/New_York")
    world = World().asset("clicks", partitions=days).make("clicks", "2013-01-05")
    found = data_through(world.facts(), "clicks")
    assert (found.end, found.basis) == (us("2013-01-06T05:00"), "claimed")


def test_an_empty_partition_makes_no_claim():
    world = (
        World()
        .asset("clicks", partitions=DAYS)
        .make("clicks", "2013-01-01", rows=4)
        .make("clicks", "2013-01-02", rows=0)
    )
    found = data_through(world.facts(), "clicks")
    assert found.end == us("2013-01-02")
    assert found.complete_through == us("2013-01-03"), "the empty day is there all the same"
    assert partition_data_through(world.facts(), "clicks", "2013-01-02").reason.kind == "empty"


def test_an_empty_partition_has_no_measured_end_even_if_one_was_recorded():
    world = World().asset("clicks", partitions=DAYS, time_column="at")
    world.make("clicks", "2013-01-02", rows=0, time_max=us("2013-01-02T10:00"))
    assert data_through(world.facts(), "clicks").end is None


def test_derived_is_the_least_of_the_inputs_and_names_it():
    world = World().source("flights_csv").source("weather_csv").source("planes", static=True)
    world.asset("risk", "flights_csv", "weather_csv", "planes")
    world.observe("flights_csv", "2013-12-31T23:00").observe("weather_csv", "2013-12-30T23:00").make(
        "risk",
        inputs=[
            Consumed(asset="flights_csv", partition=None, version=None),
            Consumed(asset="weather_csv", partition=None, version=None),
            Consumed(asset="planes", partition=None, version=None),
        ],
    )
    found = data_through(world.facts(), "risk")
    assert (found.end, found.basis, found.witness) == (us("2013-12-30T23:00"), "derived", ("risk", "weather_csv"))
    assert found.reason.tree().splitlines() == [
        "risk reaches to 2013-12-30T23:00Z, as far as its input weather_csv",
        "  weather_csv was observed to reach to 2013-12-30T23:00Z",
    ]


def test_of_an_input_asset_the_newest_consumed_partition_counts():
    world = flights_and_delays().asset("risk", ("flights", WindowMapping(-6, 0)), partitions=DAYS)
    world.make("flights", *keys(DAYS, "2013-01-01", "2013-01-07"), rows=1).make("risk", "2013-01-07")
    facts = world.facts()
    assert data_through(facts, "risk").end == us("2013-01-08")
    assert data_through(facts, "risk").witness == ("risk@2013-01-07", "flights@2013-01-07")


def test_one_unknown_input_makes_it_unknown_and_is_named():
    world = World().source("a").source("b").asset("c", "a", "b").observe("a", "2013-01-01")
    world.make("c", inputs=[Consumed(asset=name, partition=None, version=None) for name in "ab"])
    found = data_through(world.facts(), "c")
    assert (found.end, found.basis, found.witness) == (None, None, ("c", "b"))
    assert found.reason.text == "c was made of b, and how far that reaches is not known"
    assert found.reason.because[0].text == "b was never observed"


def test_unknown_inputs_make_a_time_partition_unknown_instead_of_claimed():
    world = World().asset("clicks", partitions=DAYS).make("clicks", "2013-01-05", unknown_inputs=True)
    assert data_through(world.facts(), "clicks").reason.kind == "unknown_inputs"


def test_static_inputs_alone_leave_the_claim():
    world = World().source("airlines", static=True).asset("clicks", "airlines", partitions=DAYS)
    world.make("clicks", "2013-01-05", inputs=[Consumed(asset="airlines", partition=None, version="x")])
    assert data_through(world.facts(), "clicks").basis == "claimed"


def test_an_asset_that_reads_itself_is_not_its_own_measure():
    world = World().source("feed").asset("totals", "feed").observe("feed", "2013-02-01", version="f1")
    world.make(
        "totals",
        inputs=[
            Consumed(asset="feed", partition=None, version="f1"),
            Consumed(asset="totals", partition=None, version="v0"),
        ],
    )
    assert data_through(world.facts(), "totals").end == us("2013-02-01")


def test_a_late_observation_of_what_was_read_corrects_it():
    world = (
        World()
        .source("feed")
        .asset("totals", "feed")
        .make("totals", inputs=[Consumed(asset="feed", partition=None, version=None)])
    )
    assert data_through(world.facts(), "totals").end is None
    assert data_through(world.observe("feed", "2013-02-01").facts(), "totals").end == us("2013-02-01")


def test_new_data_upstream_does_not_freshen_what_was_made_of_the_old():
    world = World().source("feed").asset("totals", "feed").observe("feed", "2013-02-01", version="f1").make("totals")
    world.observe("feed", "2013-03-01", version="f2")
    assert data_through(world.facts(), "totals").end == us("2013-02-01")
    assert data_through(world.make("totals").facts(), "totals").end == us("2013-03-01")


def test_the_same_for_an_input_that_is_made_here():
    world = World().asset("orders", time_column="at").asset("report", "orders")
    world.make("orders", time_max=us("2013-02-01")).make("report").make("orders", time_max=us("2013-03-01"))
    assert data_through(world.facts(), "report").end == us("2013-02-01")


def test_an_old_version_of_which_nothing_is_known_is_unknown_never_guessed():
    world = World().asset("orders", time_column="at").asset("report", "orders")
    world.make("orders", time_max=us("2013-02-01")).make("report").make(
        "orders", time_max=us("2013-03-01"), history=False
    )
    found = data_through(world.facts(), "report")
    assert found.end is None
    assert "has been replaced" in found.reason.because[0].text


def test_an_input_that_was_read_as_a_whole_counts_as_far_as_it_was_there():
    world = flights_and_delays().asset("score")
    world.make("flights", *keys(DAYS, "2013-01-01", "2013-01-03"), rows=1)
    world.make("score", inputs=[Consumed(asset="flights", partition=None, version=None)])
    world.make("flights", "2013-01-04", rows=1)
    assert data_through(world.facts(), "score").end == us("2013-01-04")


def test_what_was_observed_to_reach_to_the_beginning_of_1970_reaches_there():
    archive = DailyPartitions("1969-12-25", "1970-01-01")
    world = World().source("feed", partitions=archive)
    world.observe("feed", us("1969-12-31"), "1969-12-30").observe("feed", us("1970-01-01"), "1969-12-31")
    assert data_through(world.facts(), "feed").end == us("1970-01-01")


def test_an_observed_asset_of_its_own_is_capped_by_when_it_was_seen():
    world = World().source("forecast").observe("forecast", "2030-01-01", at="2014-01-01")
    assert data_through(world.facts(), "forecast").end == us("2014-01-01")


def test_complete_through_stops_at_the_first_gap_and_may_be_judged():
    world = World().asset("clicks", partitions=DAYS, freshness=Freshness("48h", clock="complete_through"))
    world.make("clicks", *keys(DAYS, "2013-01-01", "2013-01-10"), *keys(DAYS, "2013-01-12", "2013-01-20"))
    verdict = board(world.facts(), us("2013-01-21"))["clicks"]
    assert verdict.data_through == us("2013-01-21")
    assert verdict.complete_through == us("2013-01-11")
    assert (verdict.verdict, verdict.clock, verdict.lag) == ("late", "complete_through", 10 * 86_400)
    assert verdict.reason.text == "data is complete to 2013-01-11T00:00Z, 10d behind; limit 2d"
    assert [one.text for one in verdict.reason.because] == [
        "complete only to 2013-01-11T00:00Z: a partition behind that is missing"
    ]


@pytest.mark.parametrize("clock", ["complete_through", "data_through"])
def test_a_gap_is_told_only_where_there_is_one(clock: FreshnessClock):
    world = World().asset("clicks", partitions=DAYS, freshness=Freshness("48h", clock=clock))
    world.asset("whole", freshness=Freshness("48h", clock=clock)).make("whole", None)
    world.make("clicks", *keys(DAYS, "2013-01-01", "2013-01-10"))
    for verdict in board(world.facts(), us("2013-01-21")).values():
        assert "gap" not in [one.kind for one in verdict.reason.because], verdict.name


def test_what_was_made_before_its_partitions_had_times_reaches_no_further_than_they_do_now():
    world = World().asset("clicks", partitions=DAYS)
    world.make("clicks", "2013-01-05", partition_start=None, partition_end=None)
    assert data_through(world.facts(), "clicks").end == us("2013-01-06")
    world.observe("clicks", "2013-01-09", partition="2013-01-05")
    assert data_through(world.facts(), "clicks").end == us("2013-01-06")


def test_without_the_first_partition_nothing_is_complete():
    world = World().asset("clicks", partitions=DAYS).make("clicks", "2013-01-02")
    assert data_through(world.facts(), "clicks").complete_through is None


@pytest.mark.parametrize(
    ("as_of", "verdict", "lag", "change"),
    [
        ("2013-01-05T12:00", "fresh", None, us("2013-01-07T01:00") + 1),
        ("2013-01-06T12:00", "fresh", 12 * 3600, us("2013-01-07T01:00") + 1),
        ("2013-01-07T01:30", "warn", 25.5 * 3600, us("2013-01-07T02:00") + 1),
        ("2013-01-08T00:00", "late", 48 * 3600, None),
    ],
)
def test_verdicts_with_the_moment_of_their_change(as_of, verdict, lag, change):
    world = (
        World().asset("clicks", partitions=DAYS, freshness=Freshness("26h", warn="25h")).make("clicks", "2013-01-05")
    )
    found = board(world.facts(), us(as_of))["clicks"]
    assert (found.verdict, found.lag, found.next_change) == (verdict, lag, change)


def test_reasons_are_sentences():
    world = (
        World().asset("clicks", partitions=DAYS, freshness=Freshness("26h", warn="23h")).make("clicks", "2013-01-05")
    )
    say = lambda as_of: board(world.facts(), us(as_of))["clicks"].reason  # noqa: E731
    assert say("2013-01-06T05:00").text == "data reaches 2013-01-06T00:00Z, 5h behind; limit 26h"
    assert (
        say("2013-01-06T23:30").text == "data reaches 2013-01-06T00:00Z, 23h 30m behind; limit 26h, warning from 23h on"
    )
    assert say("2013-01-05").text == "data reaches 2013-01-06T00:00Z, not behind; limit 26h"
    assert say("2013-01-05").because[0].text.startswith("clicks@2013-01-05 reaches to 2013-01-06T00:00Z")


def test_what_was_never_made_is_unknown_with_that_reason():
    world = (
        World().asset("clicks", partitions=DAYS, freshness=Freshness("26h")).source("feed", freshness=Freshness("1h"))
    )
    found = board(world.facts(), us("2013-01-06"))
    assert (found["clicks"].verdict, found["clicks"].reason.text) == ("unknown", "clicks was never made")
    assert (found["feed"].verdict, found["feed"].reason.text) == ("unknown", "feed was never observed")
    assert found["clicks"].witness == ("clicks",)


def test_without_a_policy_the_verdict_is_none_but_the_clocks_are_shown():
    world = World().asset("clicks", partitions=DAYS).make("clicks", "2013-01-05")
    found = board(world.facts(), us("2013-01-06T05:00"))["clicks"]
    assert (found.verdict, found.next_change, found.lag) == ("none", None, 5 * 3600)
    assert found.reason.text == "data reaches 2013-01-06T00:00Z, 5h behind; no freshness policy"


def test_the_clock_follows_from_the_definitions():
    world = (
        World()
        .source("feed", time_column="at")
        .source("names", static=True, time_column="at")
        .source("blob")
        .source("seen")
    )
    world.asset("days", partitions=DAYS).asset("measured", time_column="at").asset("plain").asset("of_plain", "plain")
    world.asset("of_feed", "feed", "blob").asset("further", "of_feed").asset("of_names", "names").asset(
        "of_seen", "seen"
    )
    regions = StaticPartitions(["eu", "us"])
    world.asset("regions", partitions=regions).asset("kinds", partitions=ProductPartitions(a=regions, b=regions))
    world.asset("own", "days", freshness=Freshness("1h", clock="last_run")).observe("seen", "2013-01-01")
    by = {name: found.clock for name, found in board(world.facts(), us("2014-01-01")).items()}
    data = {"feed", "names", "seen", "days", "measured", "of_feed", "further", "of_seen"}
    assert {name for name, clock in by.items() if clock == "data_through"} == data
    assert by["own"] == "last_run"
    assert {name for name, clock in by.items() if clock == "last_materialized"} == {
        "blob",
        "plain",
        "of_plain",
        "of_names",
        "regions",
        "kinds",
    }


def test_last_materialized_is_judged_where_nothing_tells_of_the_data():
    world = World().asset("plain", freshness=Freshness("1h")).make("plain")
    made = world.facts().of("plain").made[None].at
    found = board(world.facts(), made + 2 * HOUR)["plain"]
    assert (found.verdict, found.clock, found.lag, found.last_materialized) == ("late", "last_materialized", 7200, made)
    assert found.reason.text.startswith("last materialized 2014-06-01T00:00:01Z, 2h behind; limit 1h")


def test_making_an_old_partition_again_never_turns_a_late_asset_fresh():
    world = (
        World()
        .asset("clicks", partitions=DAYS, freshness=Freshness("26h"))
        .make("clicks", *keys(DAYS, "2013-01-01", "2013-01-05"))
    )
    as_of = us("2013-01-09")
    before = board(world.facts(), as_of)["clicks"]
    assert before.verdict == "late"
    after = board(world.make("clicks", "2013-01-02", "2013-01-03").facts(), as_of)["clicks"]
    assert (after.verdict, after.lag, after.data_through) == (before.verdict, before.lag, before.data_through)


def test_several_hops_and_the_witness_leads_to_the_source():
    world = World().source("feed").asset("a", "feed", partitions=DAYS).asset("b", "a", partitions=DAYS).asset("c", "b")
    world.observe("feed", "2013-01-04T10:00", version="f").make("a", *keys(DAYS, "2013-01-01", "2013-01-04"))
    world.make("b", *keys(DAYS, "2013-01-01", "2013-01-04")).make("c")
    found = board(world.facts(), us("2013-01-05"))["c"]
    assert found.witness == ("c", "b@2013-01-04", "a@2013-01-04", "feed")
    assert (found.data_through, found.basis) == (us("2013-01-04T10:00"), "derived")


def test_the_end_of_an_own_partition_holds_nobody_else_responsible():
    world = (
        World()
        .source("feed")
        .asset("a", "feed", partitions=DAYS)
        .observe("feed", "2013-06-01", version="f")
        .make("a", "2013-01-04")
    )
    found = data_through(world.facts(), "a")
    assert (found.end, found.basis, found.witness) == (us("2013-01-05"), "derived", ("a@2013-01-04",))


def test_a_chain_of_two_thousand_assets():
    world = World().source("a0").observe("a0", "2013-01-01", version="x")
    for number in range(1, 2000):
        world.asset(f"a{number}", f"a{number - 1}").make(f"a{number}")
    found = board(world.facts(), us("2013-01-02"))
    assert found["a1999"].data_through == us("2013-01-01")
    assert len(found["a1999"].witness) == 2000
    assert found["a1999"].witness[-1] == "a0"
    assert len(found["a1999"].reason.tree().splitlines()) < 15


def test_assets_that_were_made_of_one_another_are_unknown_whichever_is_asked_first():
    world = World().asset("a").asset("b")
    world.make("a", inputs=[Consumed(asset="b", partition=None, version=None)])
    world.make("b", inputs=[Consumed(asset="a", partition=None, version=None)])
    facts = world.facts()
    assert data_through(facts, "a").reason.kind == data_through(facts, "b").reason.kind == "cycle"
    assert (board(facts, world.now)["a"].data_through, board(facts, world.now)["a"].witness) == (None, ("a",))


def test_assets_without_a_definition_are_on_the_board():
    facts = Facts(assets={"old": AssetFacts(last_run=5)})
    found = board(facts, DAY)["old"]
    assert (found.verdict, found.last_run, found.clock) == ("none", 5, "last_materialized")


def test_what_was_made_before_the_asset_was_divided_does_not_count():
    world = World().asset("clicks").make("clicks").asset("clicks", partitions=DAYS)
    found = data_through(world.facts(), "clicks")
    assert (found.end, found.reason.text, found.witness) == (None, "clicks was never made", ("clicks",))


def test_what_was_observed_by_the_time_of_reading_counts_when_versions_are_named_differently():
    world = World().source("feed").asset("totals", "feed").observe("feed", "2013-02-01", version="release 7")
    world.make("totals", inputs=[Consumed(asset="feed", partition=None, version="sha256:5d41")])
    assert data_through(world.facts(), "totals").end == us("2013-02-01")
    world.observe("feed", "2013-03-01", version="release 8")
    assert data_through(world.facts(), "totals").end == us("2013-02-01")


def test_a_later_observation_of_another_version_tells_nothing_of_what_was_read():
    world = World().source("feed").asset("totals", "feed")
    world.make("totals", inputs=[Consumed(asset="feed", partition=None, version="f1")])
    world.observe("feed", "2013-03-01", version="f2")
    assert data_through(world.facts(), "totals").reason.because[0].kind == "replaced"


def test_what_was_recorded_without_versions_counts_as_far_as_it_was_known_then():
    world = World().source("feed").asset("totals", "feed").observe("feed", "2013-02-01", version="f1")
    world.make("totals", inputs=[Consumed(asset="feed", partition=None, version=None)]).observe(
        "feed", "2013-03-01", version="f2"
    )
    assert data_through(world.facts(), "totals").end == us("2013-02-01")


def test_an_input_that_was_read_as_a_whole_when_nothing_was_there_is_unknown():
    world = (
        flights_and_delays()
        .asset("score")
        .make("score", inputs=[Consumed(asset="flights", partition=None, version=None)])
    )
    world.make("flights", "2013-01-04", rows=1)
    found = data_through(world.facts(), "score")
    assert (found.end, found.witness) == (None, ("score", "flights"))


def test_what_is_made_by_turns_reaches_as_far_as_what_else_it_is_made_of():
    yesterday = WindowMapping(-1, -1)
    world = World().asset("sales", partitions=DAYS).asset("orders", partitions=DAYS)
    world.asset("stock", ("orders", yesterday), ("sales", yesterday), partitions=DAYS).asset(
        "orders", "stock", partitions=DAYS
    )
    for key in keys(DAYS, "2013-01-01", "2013-01-05"):
        world.make("sales", key).make("stock", key).make("orders", key)
    found = data_through(world.facts(), "orders")
    assert found.end == us("2013-01-05")
    assert found.witness == ("orders@2013-01-05", "stock@2013-01-05", "sales@2013-01-04")


def test_the_board_reads_the_key_of_each_partition_once_for_its_counts_and_its_rows(monkeypatch):
    hours = HourlyPartitions("2013-01-01")
    made = keys(hours, "2013-01-01T00", "2013-02-01T00")
    world = World().asset("clicks", partitions=hours)
    world.make("clicks", *made, rows=2)
    facts, as_of = world.facts(), us("2013-01-03")
    judged = Judged(board(facts, as_of), {})
    read, ordinal = [], HourlyPartitions.ordinal
    monkeypatch.setattr("headwater.assets.board._MANY", 10)
    monkeypatch.setattr(HourlyPartitions, "ordinal", lambda self, key: read.append(key) or ordinal(self, key))
    (row,) = status(facts, ["clicks"], as_of, judged)["assets"]
    assert row["partitions"] == {"total": 48, "materialized": 48, "failed": 0, "missing": 0}
    assert row["rows"] == 2 * len(made)
    # Those that are to come are looked at again: they have rows, and are not there yet.
    assert len(read) == 2 * len(made) - 48
