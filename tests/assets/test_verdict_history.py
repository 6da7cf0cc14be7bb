"""When verdicts changed: found by whoever looks, dated to when it happened, once."""

import logging
from datetime import UTC, datetime, timedelta

import pytest
from asset_worlds import HOUR, us
from hypothesis import given
from hypothesis import strategies as st
from tried import tried_on

from headwater import Asset, Freshness, clock, materialize, observe, on_freshness, record
from headwater.assets import registry
from headwater.assets.freshness import board
from headwater.assets.freshness_changes import Stood, furthest, turns
from headwater.errors import DefinitionError
from headwater.testing import FakeClock, project

SECOND = 1_000_000
START = us("2013-01-01")
numbers = st.integers(0, 60)


@tried_on(75)
@given(
    st.sampled_from([Freshness(10), Freshness(10, warn=4), Freshness("2s", warn="1s"), None]),
    st.lists(st.tuples(numbers, st.none() | numbers), min_size=1, max_size=6, unique_by=lambda one: one[0]),
    numbers,
    st.integers(0, 80),
)
def test_each_turn_is_where_the_verdict_of_every_moment_says(policy, drawn, since, length):
    stood = [Stood(at * SECOND, None if stands is None else stands * SECOND) for at, stands in sorted(drawn)]
    since, until = since * SECOND, (since + length) * SECOND

    def verdict(at):
        stands = [one.stands for one in stood if one.since <= at] or [stood[0].stands]
        if policy is None or stands[-1] is None:
            return "none" if policy is None else "unknown"
        return policy.judge(stands[-1], at)[0]

    # Whatever changes, changes on a second, or right after it.
    moments = sorted({since, *(at for second in range(since, until + 1, SECOND) for at in (second, second + 1))})
    expected = []
    for at in moments:
        if at <= until and (not expected or expected[-1][1] != verdict(at)):
            expected.append((at, verdict(at)))
    assert [(turn.at, turn.verdict) for turn in turns(policy, stood, since, until)] == expected


@given(st.lists(st.tuples(st.sampled_from([None, "a", "b", "c"]), st.none() | st.integers(0, 9))))
def test_the_furthest_end_is_the_furthest_of_what_is_in_place(came):
    in_place, expected = {}, []
    for partition, end in came:
        in_place[partition] = end
        expected.append(max((one for one in in_place.values() if one is not None), default=None))
    found = list(furthest((partition, at, end) for at, (partition, end) in enumerate(came)))
    assert found == [Stood(at, end) for at, end in enumerate(expected)]


@pytest.fixture
def time():
    return FakeClock(START)


@pytest.fixture
def here(tmp_path, time):
    with project(tmp_path, clock=time) as found:
        yield found


def history(here):
    """What changed, the oldest first."""
    rows = here.reader.freshness_history()["changes"]
    return [(row["asset"], row["before"], row["verdict"], us(row["at"].rstrip("Z"))) for row in reversed(rows)]


def test_changes_that_nobody_looked_at_are_dated_when_they_came(here, time):
    report = Asset("report", at="memory://report", freshness=Freshness("26h", warn="25h"))
    record(report, version="1")
    made = here.catalog.facts().of("report").made[None].at
    assert [(one.verdict, one.at) for one in here.record_verdicts()] == [("fresh", made)]
    time.sleep(10 * 86_400)
    found = here.record_verdicts()
    late = made + 26 * HOUR + 1
    assert [(one.before, one.verdict, one.at) for one in found] == [
        ("fresh", "warn", made + 25 * HOUR + 1),
        ("warn", "late", late),
    ]
    assert here.record_verdicts() == ()
    time.sleep(1)
    record(report, version="2")
    again = here.catalog.facts().of("report").made[None].at
    time.sleep(3600)
    assert [(one.verdict, one.at) for one in here.record_verdicts()] == [("fresh", again)]
    assert history(here) == [
        ("report", None, "fresh", made),
        ("report", "fresh", "warn", made + 25 * HOUR + 1),
        ("report", "warn", "late", late),
        ("report", "late", "fresh", again),
    ]


def test_what_was_late_and_made_good_between_two_looks_is_in_the_history(here, time):
    feed = Asset("feed", at="memory://feed", freshness=Freshness("26h"))
    report = Asset("report", at="memory://report", freshness=Freshness("26h"))
    for day in ("2013-01-01", "2013-01-02", "2013-01-05", "2013-01-09"):
        time.sleep((us(day) - time.now_us()) / SECOND + 3600)
        observe(feed, version=day, data_through=datetime.fromisoformat(day).replace(tzinfo=UTC))
        record(report, version=day, inputs=[feed])
        if day == "2013-01-01":
            here.record_verdicts()
    here.record_verdicts()
    # The report is judged by when it was made, an hour after its day began.
    for name, more in (("feed", 0), ("report", HOUR)):
        made = [us(day) + HOUR for day in ("2013-01-01", "2013-01-05", "2013-01-09")]
        found = [(verdict, at) for asset, _, verdict, at in history(here) if asset == name]
        assert [one[0] for one in found] == ["fresh", "late", "fresh", "late", "fresh"]
        assert [one[1] for one in found][1] == us("2013-01-03T02:00") + more + 1
        assert [one[1] for one in found][3] == us("2013-01-06T02:00") + more + 1
        for (_, at), moment in zip([found[0], found[2], found[4]], made, strict=True):
            assert abs(at - moment) < 10 * SECOND


@pytest.mark.parametrize(("behind", "before"), [(24, "warn"), (30, "late")])
def test_what_was_made_good_for_a_while_between_two_looks_is_in_the_history(here, time, behind, before):
    """It was behind at both looks, in the same way."""
    report = Asset("report", at="memory://report", freshness=Freshness("26h", warn="20h", clock="data_through"))
    moments = []
    for hours in (behind, 1, behind):
        time.sleep(60)
        moments.append(time.now_us())
        record(report, version=str(len(moments)), data_through=clock.now() - timedelta(hours=hours))
        if len(moments) == 1:
            here.record_verdicts()
    assert [(one.before, one.verdict) for one in here.record_verdicts()] == [(before, "fresh"), ("fresh", before)]
    found = [one[2:] for one in history(here)]
    assert [one[0] for one in found] == [before, "fresh", before]
    for (_, at), moment in zip(found, moments, strict=True):
        assert abs(at - moment) < SECOND
    time.sleep(60)
    assert here.record_verdicts() == ()


def test_the_history_says_what_looking_all_the_time_would_have_said(here, time):
    """Somebody judges every six hours what was made last; the history is asked for at the end alone."""
    policy = Freshness("26h", warn="20h")
    report = Asset("report", at="memory://report", freshness=policy)
    seen, last, made = [], None, 0
    for hour in range(0, 24 * 7, 6):
        if hour in (0, 36, 42, 102, 120):
            record(report, version=str(hour))
            made = time.now_us()
        if hour == 0:
            here.record_verdicts()
        verdict, _ = policy.judge(made, time.now_us())
        if verdict != last:
            seen.append((verdict, time.now_us()))
            last = verdict
        time.sleep(6 * 3600)
    here.record_verdicts()
    found = [(verdict, at) for _, _, verdict, at in history(here)]
    assert [one[0] for one in found] == [one[0] for one in seen]
    for (_, at), (_, looked) in zip(found, seen, strict=True):
        assert 0 <= looked - at <= 6 * HOUR


def test_looking_again_and_again_records_nothing(here, time):
    Asset("plain", at="memory://plain")
    report = Asset("report", at="memory://report", freshness=Freshness("26h"))
    assert [one.verdict for one in here.record_verdicts()] == ["unknown"]
    record(report, version="1")
    here.record_verdicts()
    with here.projection.session() as session:
        before = session.rows("SELECT count(*) FROM facts.verdicts")
    for _ in range(3):
        time.sleep(60)
        assert here.record_verdicts() == ()
    with here.projection.session() as session:
        assert session.rows("SELECT count(*) FROM facts.verdicts") == before == [(2,)]


def test_the_history_goes_on_when_an_asset_is_renamed_and_moved_and_knows_no_other_environment(here, time, tmp_path):
    def report(name, folder, **more):
        with registry.scope():
            found = Asset(name, at=f"csv://{folder}/{name}.csv", freshness=Freshness("26h"), **more)
            (tmp_path / folder).mkdir(exist_ok=True)
            if not more:
                record(found, version=folder)
            with here.recorded():
                pass
            here.record_verdicts()
            return history(here)

    report("old", "prod")
    time.sleep(3600)
    assert [row[:3] for row in report("old", "dev")] == [("old", None, "fresh")]
    time.sleep(30 * 3600)
    found = report("new", "dev", renamed_from="old")
    assert [row[:3] for row in found] == [("new", None, "fresh"), ("new", "fresh", "late")]
    assert found[1][3] == found[0][3] + 26 * HOUR + 1
    time.sleep(60)
    assert report("new", "dev", renamed_from="old") == found
    with registry.scope():
        Asset("old", at="csv://prod/old.csv", freshness=Freshness("26h"))
        names = {"new", "old"}
        assert {row["asset"] for row in here.reader.freshness_history()["changes"]} == names
        for name, count in (("old", 1), ("new", 2)):
            assert len(here.reader.freshness_history([name])["changes"]) == count


def test_while_somebody_else_records_nothing_is_done(here):
    Asset("report", at="memory://report", freshness=Freshness("26h"))
    with here.locks.hold("freshness"):
        assert here.record_verdicts() == ()
    assert len(here.record_verdicts()) == 1


def test_another_policy_is_held_against_what_was_since_the_last_look(here, time):
    report = Asset("report", at="memory://report", freshness=Freshness("26h"))
    record(report, version="1")
    here.record_verdicts()
    time.sleep(7200)
    Asset("report", at="memory://report", freshness=Freshness("1h"))
    (found,) = here.record_verdicts()
    assert (found.before, found.verdict, found.at) == ("fresh", "late", START + HOUR + 1)
    Asset("report", at="memory://report")
    (found,) = here.record_verdicts()
    assert (found.before, found.verdict) == ("late", "none")


def test_hooks_hear_of_it_once_and_what_they_raise_is_logged(here, time, caplog):
    report = Asset("report", at="memory://report", freshness=Freshness("26h"))
    other = Asset("other", at="memory://other", freshness=Freshness("26h"))
    heard = []

    @on_freshness
    def tell(change):
        heard.append(("all", change.asset, change.verdict))

    @on_freshness(report)
    def page(change):
        heard.append(("report", change.asset, change.verdict))
        raise RuntimeError("the pager is off")

    record(report, version="1")
    record(other, version="1")
    with caplog.at_level(logging.ERROR, "headwater.freshness"):
        here.record_verdicts()
        here.record_verdicts()
    assert sorted(heard) == [("all", "other", "fresh"), ("all", "report", "fresh"), ("report", "report", "fresh")]
    assert "page failed for report" in caplog.text
    for wrong in (3, "report"):
        with pytest.raises(DefinitionError, match="needs a function or assets"):
            on_freshness(wrong)


def test_a_late_source_makes_what_is_made_of_it_late_two_hops_down_and_nothing_else(here, time, tmp_path):
    policy = Freshness("26h")
    feed = Asset("feed", at="csv://feed.csv", freshness=policy, observe=clock.now)
    prompt = Asset("prompt", at="csv://prompt.csv", freshness=policy, observe=clock.now)
    middle = Asset("middle", at="memory://middle")
    far = Asset("far", at="memory://far", freshness=policy)
    near = Asset("near", at="memory://near", freshness=policy)

    @materialize(middle, inputs={"rows": feed})
    def make_middle(rows: Asset):
        return [{"n": 1}]

    @materialize(far, inputs={"rows": middle})
    def make_far(rows: Asset):
        return [{"n": 1}]

    @materialize(near, inputs={"rows": prompt})
    def make_near(rows: Asset):
        return [{"n": 1}]

    for day in range(3):
        for source in (feed, prompt) if day == 0 else (prompt,):
            (tmp_path / f"{source.name}.csv").write_text(f"day\n{day}\n")
            observe(source)
        make_middle()
        make_far()
        make_near()
        here.record_verdicts()
        time.sleep(86_400 - 3600)
    verdicts = board(here.catalog.facts(), time.now_us())
    assert {name: one.verdict for name, one in verdicts.items()} == {
        "feed": "late",
        "middle": "none",
        "far": "late",
        "prompt": "fresh",
        "near": "fresh",
    }
    assert verdicts["far"].witness == ("far", "middle", "feed")
    changes = [(asset, verdict) for asset, before, verdict, _ in history(here) if before is not None]
    assert sorted(changes) == [("far", "late"), ("feed", "late")]
    assert all(
        at == START + timedelta(hours=26) / timedelta(microseconds=1) + 1 for *_, v, at in history(here) if v == "late"
    )
