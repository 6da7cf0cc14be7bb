"""Observers of sources: functions and ready-made ones, in a flow, by the command, and what they tell downstream."""

import os
from datetime import UTC, date, datetime

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from headwater import (
    Asset,
    DailyPartitions,
    Freshness,
    Observation,
    clock,
    column_max,
    file_times,
    flow,
    materialize,
    observe,
    observer,
    record,
    sql_observer,
)
from headwater.assets.data_through import data_through
from headwater.clock import from_us
from headwater.core import runtime
from headwater.errors import DefinitionError, LocationError, MaterializationError, ReturnTypeError, UsageError
from headwater.testing import project

NOON = datetime(2013, 1, 5, 12, tzinfo=UTC)


@pytest.fixture
def here(tmp_path):
    with project(tmp_path) as found:
        yield found


def feed_and_totals(tmp_path, key=None, tells=None):
    """A source that holds something (with a `key`, in that partition), and what makes `totals` of it."""
    days = None if key is None else DailyPartitions("2013-01-01", "2013-01-02")
    feed = Asset("feed", at="parquet://feed", partitions=days, observe=tells)

    @materialize(Asset("totals", at="memory://totals", partitions=days), inputs={"rows": feed})
    def count(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.select(pl.len())

    file = tmp_path / ("feed.parquet" if key is None else f"feed/{key}.parquet")
    file.parent.mkdir(exist_ok=True)
    pl.DataFrame({"n": [1]}).write_parquet(file)
    return feed, count if key is None else count.at(key)


def test_a_damaged_file_is_named(here, tmp_path):
    """A half one has no footer, of the other one only the rows can't be read."""
    file = tmp_path / "orders.parquet"
    orders = Asset("orders", at="parquet://orders.parquet", time_column="at")
    pl.DataFrame({"at": [NOON] * 3}).write_parquet(file)
    whole = file.read_bytes()
    for content in (whole[:-20], whole[:4] + bytes(60) + whole[64:]):
        file.write_bytes(content)
        with pytest.raises(LocationError, match="the data of 'orders' can't be read") as caught:
            observe(orders)
        assert caught.value.where == str(file)


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (NOON, (NOON, None, None)),
        (date(2013, 1, 5), (datetime(2013, 1, 6, tzinfo=UTC), None, None)),
        (date.max, (datetime.max.replace(tzinfo=UTC), None, None)),
        (datetime(2013, 1, 5, 12), (NOON, None, None)),
        ("v7", (None, "v7", None)),
        (12, (None, None, 12)),
        (pd.NaT, (None, None, None)),
        (Observation(data_through=NOON, version="v1", rows=3), (NOON, "v1", 3)),
    ],
)
def test_what_a_function_says_is_recorded(here, answer, seen):
    feed = Asset("feed", at="memory://feed")
    observer(feed)(lambda: answer)
    found = observe(feed)
    assert (found.data_through and from_us(found.data_through), found.version, found.rows) == seen
    assert here.catalog.facts().of("feed").observed[None].data_through == found.data_through


def test_an_observer_that_says_nothing_leaves_it_to_a_look(here, tmp_path):
    pl.DataFrame({"at": [NOON], "n": [1]}).write_parquet(tmp_path / "feed.parquet")
    feed = Asset("feed", at="parquet://feed.parquet", time_column="at", observe=lambda: None)
    found = observe(feed)
    assert (from_us(found.data_through), found.rows) == (NOON, 1)


@pytest.mark.parametrize("times", [pl.Series([5_000_000]).cast(pl.Date), pl.Series([1 << 62]).cast(pl.Datetime("us"))])
@pytest.mark.parametrize("said", [{"time_column": "valid_to"}, {"observe": column_max("valid_to")}])
def test_a_time_behind_the_year_9999_is_the_last_that_there_is(here, tmp_path, times, said):
    pl.DataFrame({"valid_to": times}).write_parquet(tmp_path / "rates.parquet")
    found = observe(Asset("rates", at="parquet://rates.parquet", **said))
    assert from_us(found.data_through) == datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "through"),
    [
        ("2013-01-05", datetime(2013, 1, 6, tzinfo=UTC)),
        ("2013-01-05T12:00:00Z", NOON),
        ("2013-01-05 12:00:00", NOON),
    ],
)
def test_times_that_stand_as_text_in_a_file_are_times(here, tmp_path, text, through):
    (tmp_path / "feed.csv").write_text(f"at,n\n{text},1\n,2\n")
    (tmp_path / "rates.csv").write_text(f"at,n\n{text},1\n,2\n")
    for feed in (
        Asset("feed", at="csv://feed.csv", time_column="at"),
        Asset("rates", at="csv://rates.csv", observe=column_max("at")),
    ):
        found = observe(feed)
        assert (from_us(found.data_through), found.rows) == (through, 2)
    assert from_us(observe(feed, version="v1", data_through=text).data_through) == through


@pytest.mark.parametrize(
    ("column", "says"), [("day", "'05/01/2013', which is no time"), ("n", "7, which"), ("x", "no column")]
)
def test_a_column_that_holds_no_times_is_named(here, tmp_path, column, says):
    (tmp_path / "feed.csv").write_text("day,n\n05/01/2013,7\n")
    (tmp_path / "rates.csv").write_text("day,n\n05/01/2013,7\n")
    for feed in (
        Asset("feed", at="csv://feed.csv", time_column=column),
        Asset("rates", at="csv://rates.csv", observe=column_max(column)),
    ):
        with pytest.raises(MaterializationError, match=says):
            observe(feed)


def test_what_is_said_in_the_call_needs_no_observer(here):
    feed = Asset("feed", at="memory://feed", observe=lambda: 1 / 0)
    assert observe(feed, version="x").version == "x"
    with pytest.raises(ZeroDivisionError):
        observe(feed)


def test_an_async_observer_is_refused_as_such(here):
    """It was told that it can't observe, and to give a function."""
    feed = Asset("feed", at="memory://feed")

    async def newest():
        return NOON

    for declare in (observer(feed), lambda fn: Asset("other", at="memory://other", observe=fn)):
        with pytest.raises(DefinitionError, match="is async: nobody would await it") as caught:
            declare(newest)
        assert caught.value.hint.startswith("write it with def")


@pytest.mark.parametrize("said", [np.datetime64("2013-01-05T12:00"), "yesterday", 1357387200])
@pytest.mark.parametrize("says", [observe, record])
def test_what_is_no_time_is_refused(here, says, said):
    feed = Asset("feed", at="memory://feed")
    with pytest.raises(UsageError, match="data_through can't be"):
        says(feed, version="v1", data_through=said)
    known = here.catalog.facts().of("feed")
    assert (known.made, known.observed, known.last_run) == ({}, {}, None)


@pytest.mark.parametrize("say", [record, observe, lambda asset, **said: Observation(**said)])
@pytest.mark.parametrize("wrong", [{"rows": "12"}, {"rows": 1.5}, {"rows": -1}, {"rows": True}, {"version": 3}])
def test_rows_that_are_no_number_and_a_version_that_is_no_text_are_refused(here, say, wrong):
    """They stood in the journal, and nobody could read them there."""
    source = Asset("source", at="memory://source")
    with pytest.raises(UsageError, match=f"{next(iter(wrong))} can't be") as caught:
        say(source, **{"version": "1", **wrong})
    assert caught.value.hint


def test_a_number_of_rows_may_be_one_of_numpys(here):
    source = Asset("source", at="memory://source")
    record(source, version="1", rows=np.int64(7))
    (made,) = here.reader.sql("SELECT rows FROM materializations")[1]
    assert made == (7,)
    assert observe(source, version="2", rows=np.uint8(8)).rows == 8


def test_the_observer_of_a_flow_is_recorded_with_its_run(here):
    feed = Asset("feed", at="memory://feed", observe=lambda: NOON)

    @flow
    def look():
        return observe(feed)

    assert look().run_id is not None


def test_partitions_are_told_by_a_mapping(here):
    days = Asset("days", at="memory://days", partitions=DailyPartitions("2013-01-01", "2013-02-01"))
    observer(days)(lambda: {"2013-01-01": date(2013, 1, 1), "2013-01-02": NOON})
    observe(days)
    assert sorted(here.catalog.facts().of("days").observed) == ["2013-01-01", "2013-01-02"]
    observer(days)(lambda: NOON)
    with pytest.raises(ReturnTypeError, match="has partitions"):
        observe(days)
    for same in (file_times("landing/*.csv"), sql_observer("select now()")):
        observer(days)(same)
        with pytest.raises(DefinitionError, match="tells the same, whichever it is"):
            observe(days)
    observer(days)(column_max("at"))
    with pytest.raises(LocationError):
        observe(days)


def test_a_partition_of_a_mapping_that_is_not_there_is_named(here):
    landing = Asset("landing", at="parquet://landing", partitions=DailyPartitions("2013-01-01"))
    observer(landing)(lambda: {"2013-01-01": NOON, "2013-01-02": None})
    with pytest.raises(LocationError, match="there is nothing to observe of 'landing@2013-01-02'"):
        observe(landing)


def test_a_date_reaches_to_the_end_of_its_day_in_the_zone_of_its_partition(here, tmp_path):
    days = DailyPartitions("2013-01-01", "2013-02-01", timezone="America/New_York")
    told = Asset("told", at="parquet://told", partitions=days, observe=lambda: {"2013-01-05": date(2013, 1, 5)})
    seen = Asset("seen", at="parquet://seen", partitions=days, time_column="day")
    noted = Asset("noted", at="parquet://noted", partitions=days)
    (tmp_path / "seen").mkdir()
    pl.DataFrame({"day": [date(2013, 1, 5)]}).write_parquet(tmp_path / "seen" / "2013-01-05.parquet")
    end = datetime(2013, 1, 6, 5, tzinfo=UTC)
    assert from_us(observe(told).data_through) == end
    assert from_us(observe(seen, partition="2013-01-05").data_through) == end
    record(noted, partition="2013-01-05", data_through=date(2013, 1, 5))
    assert from_us(here.catalog.facts().of("noted").made["2013-01-05"].time_max) == end


def test_file_times(here, tmp_path):
    (tmp_path / "landing").mkdir()
    for name, second in (("a.csv", 1_357_300_800), ("b.csv", 1_357_387_200)):
        (tmp_path / "landing" / name).write_text("n\n1\n")
        os.utime(tmp_path / "landing" / name, (second, second))
    alone = Asset("alone", at="csv://landing/a.csv", observe=file_times())
    several = Asset("several", at="memory://several", observe=file_times("landing/*.csv"))
    assert from_us(observe(alone).data_through) == datetime(2013, 1, 4, 12, tzinfo=UTC)
    found = observe(several)
    assert from_us(found.data_through) == NOON
    assert found.version.startswith("2 files")
    missing = Asset("missing", at="memory://missing", observe=file_times("nowhere/*"))
    with pytest.raises(LocationError, match="no files of 'missing'"):
        observe(missing)


def test_a_query_and_a_column(here, tmp_path):
    rows = pl.DataFrame({"at": [NOON, datetime(2013, 1, 6, tzinfo=UTC)], "state": ["done", "open"]})
    rows.write_parquet(tmp_path / "events.parquet")
    done = "select max(\"at\") from {asset} where state = 'done'"
    events = Asset("events", at="parquet://events.parquet", observe=sql_observer(done))
    assert from_us(observe(events).data_through) == NOON
    with pytest.raises(MaterializationError, match="the observer of 'events' can't ask"):
        observe(Asset("events", at="parquet://events.parquet", observe=sql_observer("select nothing from {asset}")))
    again = Asset("events", at="parquet://events.parquet", observe=column_max("at"))
    found = observe(again)
    assert (from_us(found.data_through), found.rows) == (datetime(2013, 1, 6, tzinfo=UTC), 2)
    wrong = Asset("events", at="parquet://events.parquet", observe=column_max("when"))
    with pytest.raises(MaterializationError, match="no column 'when'"):
        observe(wrong)


def test_a_query_on_a_database(here, tmp_path):
    import duckdb

    with duckdb.connect(str(tmp_path / "source.duckdb")) as connection:
        connection.execute("create table events as select timestamp '2013-01-05 12:00' as ts")
    latest = sql_observer("select max(ts) from {asset}")
    events = Asset("events", at="duckdb://source.duckdb/main.events", observe=latest)
    assert from_us(observe(events).data_through) == NOON


@pytest.mark.parametrize("wrong", [3, "max(ts)", lambda one: one])
def test_what_can_not_observe_is_refused(here, wrong):
    with pytest.raises(DefinitionError):
        Asset("feed", at="memory://feed", observe=wrong)
    feed = Asset("feed", at="memory://feed")
    with pytest.raises(DefinitionError):
        observer(feed)(wrong)
    with pytest.raises(DefinitionError, match="needs the asset"):
        observer("feed")


@pytest.mark.parametrize("answer", [3.5, -1, True, [NOON]])
def test_an_answer_that_says_nothing_is_refused(here, answer):
    feed = Asset("feed", at="memory://feed", observe=lambda: answer)
    with pytest.raises(ReturnTypeError, match="the observer of 'feed' gave"):
        observe(feed)


@pytest.mark.parametrize("gives", ["TIME '07:00'", "TIMETZ '07:00:00+02'", "INTERVAL 3 DAYS"])
def test_a_query_that_gives_a_time_without_a_day_is_refused(here, gives):
    feed = Asset("feed", at="memory://feed", observe=sql_observer(f"SELECT {gives}"))
    with pytest.raises(ReturnTypeError, match="which says no day"):
        observe(feed)


ROWS = "from (values (timestamp '2013-01-05 12:00'), (timestamp '2012-01-01')) as t(ts)"


@pytest.mark.parametrize(("gives", "fault"), [("ts", "More than one row"), ("max(ts), min(ts)", "returns 2 columns")])
def test_a_query_that_gives_several_is_refused(here, gives, fault):
    feed = Asset("feed", at="memory://feed", observe=sql_observer(f"SELECT {gives} {ROWS}"))
    with pytest.raises(MaterializationError, match=fault) as raised:
        observe(feed)
    assert "'feed'" in raised.value.message
    assert "one row and one column" in str(raised.value.hint)


def test_a_query_may_end_with_a_comment_and_give_nothing(here):
    newest = f"with all_of as (select * {ROWS}) select max(ts) from all_of -- newest"
    assert from_us(observe(Asset("feed", at="memory://feed", observe=sql_observer(newest))).data_through) == NOON
    none = sql_observer(f"select ts {ROWS} where ts is null")
    with pytest.raises(LocationError, match="nothing to observe of 'feed'"):
        observe(Asset("feed", at="memory://feed", observe=none))


def test_a_late_source_is_late_by_its_policy(here):
    feed = Asset("feed", at="memory://feed", freshness=Freshness("26h"), observe=lambda: NOON)
    observe(feed)
    assert runtime.current().catalog.verdicts(int(NOON.timestamp() * 1e6))["feed"].verdict == "fresh"


@pytest.mark.parametrize("key", [None, "2013-01-01"])
def test_what_an_observer_tells_again_makes_nothing_stale(here, tmp_path, key):
    """It names versions in its own way: what was read is known by the hash of its content."""
    told = ["etag-1"]
    feed, make = feed_and_totals(tmp_path, key, lambda: {key: told[0]} if key else told[0])

    def stale_after(version):
        told[0] = version
        observe(feed)
        return here.catalog.staleness(clock.now_us())["totals"].is_stale

    assert stale_after("etag-1")
    make()
    assert [stale_after("etag-1") for _ in range(2)] == [False, False]
    assert [stale_after("etag-2"), stale_after("etag-2")] == [True, True]
    make()
    assert [stale_after("etag-2"), stale_after("etag-1")] == [False, True]


@pytest.mark.parametrize("key", [None, "2013-01-01"])
def test_what_is_recorded_again_with_its_version_makes_nothing_stale(here, tmp_path, key):
    feed, make = feed_and_totals(tmp_path, key)

    def after(version):
        record(feed, partition=key, version=version, data_through=noon)
        stale = here.catalog.staleness(clock.now_us())["totals"].is_stale
        return stale or data_through(here.catalog.facts(), "totals").end

    noon = datetime(2013, 1, 1, 12, tzinfo=UTC)
    end = int(noon.timestamp() * 1e6)
    record(feed, partition=key, version="v1", data_through=noon)
    make()
    assert [after("v1"), after("v1"), after("v2"), after("v2")] == [end, end, True, True]
    make()
    assert [after("v2"), after("v1")] == [end, True]


@pytest.mark.parametrize("key", [None, "2013-01-01"])
def test_what_was_read_reaches_as_far_as_before_when_another_version_is_recorded(here, tmp_path, key):
    feed, make = feed_and_totals(tmp_path, key)

    def hour_after(version, hour):
        record(feed, partition=key, version=version, data_through=datetime(2013, 1, 1, hour, tzinfo=UTC))
        end = data_through(here.catalog.facts(), "totals").end
        return end and datetime.fromtimestamp(end / 1e6, UTC).hour

    hour_after("v0", 11)
    hour_after("v1", 12)
    make()
    assert [hour_after("v1", 12), hour_after("v2", 13), hour_after("v3", 14)] == [12, 12, 12]
    make()
    assert [hour_after("v4", 15), hour_after("v4", 15), hour_after("v5", 16)] == [14, 14, 14]


@pytest.mark.parametrize("version", [None, "v1"])
def test_what_is_observed_after_it_was_recorded_counts(here, tmp_path, version):
    feed, count = feed_and_totals(tmp_path)

    def stale_after(rows):
        pl.DataFrame({"n": rows}).write_parquet(tmp_path / "feed.parquet")
        observe(feed)
        return here.catalog.staleness(clock.now_us())["totals"].is_stale

    record(feed, version=version)
    count()
    assert [stale_after([1]), stale_after([1, 2])] == [False, True]
    count()
    assert not stale_after([1, 2])


@pytest.mark.parametrize(("say", "other", "key"), [(observe, record, None), (record, observe, "2013-01-01")])
def test_a_version_that_is_told_again_after_another_one_is_news(here, tmp_path, say, other, key):
    feed, count = feed_and_totals(tmp_path, key)

    def stale_after(tells, version):
        tells(feed, partition=key, version=version)
        return here.catalog.staleness(clock.now_us())["totals"].is_stale

    say(feed, partition=key, version="v1")
    other(feed, partition=key, version="v2")
    count()
    assert [stale_after(other, "v2"), stale_after(say, "v1")] == [False, True]
    count()
    assert not stale_after(other, "v1")


@pytest.mark.parametrize(
    ("say", "other", "key"), [(observe, observe, None), (record, record, "2013-01-01"), (observe, record, None)]
)
def test_what_has_read_a_version_that_was_told_again_later_reaches_as_far(here, tmp_path, say, other, key):
    feed, count = feed_and_totals(tmp_path, key)

    def tell(tells, version, hour):
        tells(feed, partition=key, version=version, data_through=datetime(2013, 1, 1, hour, tzinfo=UTC))

    tell(say, "v1", 12)
    count()
    for one in [(other, "v2", 13), (say, "v1", 12), (other, "v3", 14)]:
        tell(*one)
    assert data_through(here.catalog.facts(), "totals").end == NOON.replace(day=1).timestamp() * 1e6


def test_hashes_of_the_content_and_names_that_are_told_in_turns_say_nothing_of_each_other(here, tmp_path):
    feed, count = feed_and_totals(tmp_path)
    for version in (None, "etag-1"):
        observe(feed, version=version)
    count()
    for say, version in [(record, None), (record, "etag-1")]:
        say(feed, version=version)
        assert not here.catalog.staleness(clock.now_us())["totals"].is_stale


@pytest.mark.parametrize(
    "words",
    [
        [(record, "v1"), (observe, "v2"), (record, "v3"), (observe, "v4")],
        [(observe, "v1"), (record, "v2"), (observe, "v3"), (record, "v4")],
        [(record, None), (observe, None), (record, None), (observe, None)],
    ],
)
def test_how_far_a_source_reaches_is_the_last_word_on_it_and_what_read_it_reaches_as_far_as_that_was_then(
    here, tmp_path, words
):
    feed, count = feed_and_totals(tmp_path)

    def hours():
        facts = here.catalog.facts()
        ends = [data_through(facts, name).end for name in ("feed", "totals")]
        return [end and datetime.fromtimestamp(end / 1e6, UTC).hour for end in ends]

    found = []
    for hour, (say, version) in enumerate(words, 1):
        pl.DataFrame({"n": [hour]}).write_parquet(tmp_path / "feed.parquet")
        say(feed, version=version, data_through=datetime(2013, 1, 1, hour, tzinfo=UTC))
        found.append(hours())
        count()
        found.append(hours())
    assert found == [[1, None], [1, 1], [2, 1], [2, 2], [3, 2], [3, 3], [4, 3], [4, 4]]


@pytest.mark.parametrize("told", [[None], [12, 13], [12, None]])
def test_what_has_read_a_source_reaches_as_far_as_was_last_said_of_what_it_read(here, tmp_path, told):
    feed, count = feed_and_totals(tmp_path)
    ends = [hour and NOON.replace(hour=hour) for hour in told]
    for end in ends:
        record(feed, data_through=end)
    count()
    pl.DataFrame({"n": [2]}).write_parquet(tmp_path / "feed.parquet")
    observe(feed, data_through=NOON.replace(hour=14))
    assert data_through(here.catalog.facts(), "totals").end == (ends[-1] and ends[-1].timestamp() * 1e6)
    count()
    assert data_through(here.catalog.facts(), "totals").end == NOON.replace(hour=14).timestamp() * 1e6


@pytest.mark.parametrize("say", [record, observe])
def test_what_is_made_after_an_observer_told_more_of_the_same_content_reaches_as_far(here, tmp_path, say):
    feed, count = feed_and_totals(tmp_path)
    say(feed, data_through=NOON)
    later = NOON.replace(hour=13)
    observe(feed, version="etag-1", data_through=later)
    count()
    assert {data_through(here.catalog.facts(), name).end for name in ("feed", "totals")} == {later.timestamp() * 1e6}


@pytest.mark.parametrize("looks", [True, False])
def test_what_is_written_by_others_now_is_no_news_to_what_has_read_it(tmp_path, looks):
    """Its own function made it once, and is gone."""
    feed = Asset("feed", at="parquet://feed.parquet")
    with project(tmp_path):

        @materialize(feed)
        def ours() -> pl.DataFrame:
            return pl.DataFrame({"n": [1]})

        ours()
    with project(tmp_path) as here:

        @materialize(Asset("totals", at="memory://totals"), inputs={"rows": feed})
        def count(rows: pl.DataFrame) -> pl.DataFrame:
            return rows.select(pl.len())

        pl.DataFrame({"n": [1, 2]}).write_parquet(tmp_path / "feed.parquet")
        if looks:
            observe(feed)
        count()
        assert not here.catalog.staleness(clock.now_us())["totals"].is_stale


def test_what_was_read_reaches_as_far_as_before_when_an_observer_tells_the_same_again(here, tmp_path):
    told = [Observation(version="etag-1", data_through=NOON)]
    feed, count = feed_and_totals(tmp_path, tells=lambda: told[0])
    observe(feed)
    count()
    noon = int(NOON.timestamp() * 1e6)
    later = Observation(version="etag-2", data_through=datetime(2013, 1, 6, tzinfo=UTC))
    for seen in (told[0], told[0], Observation(data_through=NOON, version=None), later, later):
        told[0] = seen
        observe(feed)
        assert data_through(here.catalog.facts(), "totals").end == noon, seen


def test_a_ready_made_observer_looks_at_each_partition_that_is_there(here, tmp_path):
    days = DailyPartitions("2013-01-01", "2013-01-05")
    for day, hour in (("2013-01-01", 23), ("2013-01-03", 7)):
        (tmp_path / "landing" / day).mkdir(parents=True)
        (tmp_path / "landing" / day / "part.csv").write_text("n\n1\n")
        (tmp_path / "lake").mkdir(exist_ok=True)
        at = datetime.fromisoformat(day).replace(hour=hour, tzinfo=UTC)
        pl.DataFrame({"at": [at]}).write_parquet(tmp_path / "lake" / f"{day}.parquet")
    os.utime(tmp_path / "landing" / "2013-01-03" / "part.csv", (1_357_200_000, 1_357_200_000))
    seven, late = datetime(2013, 1, 3, 7, tzinfo=UTC), datetime(2013, 1, 1, 23, tzinfo=UTC)
    for looks in (column_max("at"), sql_observer('select max("at") from {asset}')):
        observe(Asset("found", at="parquet://lake", partitions=days, observe=looks))
        seen = here.catalog.facts().of("found").observed
        assert {key: from_us(one.data_through) for key, one in seen.items()} == {
            "2013-01-01": late,
            "2013-01-03": seven,
        }
    observe(Asset("landed", at="memory://landed", partitions=days, observe=file_times("landing/{partition}/*.csv")))
    landed = here.catalog.facts().of("landed").observed
    assert set(landed) == {"2013-01-01", "2013-01-03"}
    assert landed["2013-01-03"].data_through == 1_357_200_000_000_000


def test_partitions_that_a_table_has_no_rows_of_are_not_observed(here, tmp_path):
    with duckdb.connect(str(tmp_path / "source.duckdb")) as connection:
        connection.execute("CREATE TABLE t AS SELECT DATE '2013-01-02' AS day, TIMESTAMP '2013-01-02 07:00' AS at")
    days = DailyPartitions("2013-01-01", "2013-01-05")
    place, column = "duckdb://source.duckdb/main.t", {"partition_column": "day"}
    for looks in (column_max("at"), sql_observer('select max("at") from {asset}'), file_times()):
        observe(Asset("rows", at=place, partitions=days, observe=looks, **column))
        assert set(here.catalog.facts().of("rows").observed) == {"2013-01-02"}
    with duckdb.connect(str(tmp_path / "source.duckdb")) as connection:
        connection.execute("DELETE FROM t")
    with pytest.raises(LocationError, match="there is nothing of the partition 2013-01-04 of 'rows'"):
        observe(Asset("rows", at=place, partitions=days, observe=column_max("at"), **column))
