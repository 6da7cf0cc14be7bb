from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.assets.durations import format_duration, moment, parse_duration
from headwater.assets.freshness import Freshness, freshness_from_json
from headwater.errors import DefinitionError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("26h", 93_600),
        ("90m", 5_400),
        ("1d12h", 129_600),
        ("1d 12h", 129_600),
        ("2w", 1_209_600),
        ("1.5h", 5_400),
        ("30s", 30),
    ],
)
def test_durations_as_people_write_them(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "wrong", ["", "26", "h", "12h1d", "1h1h", "-1h", "1h later", "0s", 0, -5, True, None, float("nan"), 1e300]
)
def test_what_is_no_duration_is_refused_with_a_hint(wrong):
    with pytest.raises(DefinitionError, match="is not a duration") as caught:
        parse_duration(wrong, where="Freshness(max_lag=…)")
    assert "26h" in caught.value.hint
    assert caught.value.where == "Freshness(max_lag=…)"


@given(st.integers(1, 10**9))
def test_durations_come_back_from_json(seconds):
    policy = Freshness(seconds, clock="last_run")
    assert freshness_from_json(policy.to_json()) == policy


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (86_400, "24h"),
        (172_800, "2d"),
        (180_061, "2d 2h"),
        (172_860, "2d"),
        (59.9, "59s"),
        (60, "1m"),
        (3_661, "1h 1m"),
        (0.5, "0.5s"),
    ],
)
def test_durations_as_sentences_show_them(seconds, text):
    assert format_duration(seconds) == text


def test_moments_leave_out_what_is_zero():
    assert moment(1_388_466_000_000_000) == "2013-12-31T05:00Z"
    assert moment(1_388_466_001_000_000) == "2013-12-31T05:00:01Z"


def test_policies_of_equal_durations_are_equal():
    assert Freshness(max_lag="24h") == Freshness(timedelta(days=1)) == Freshness(86_400)
    assert hash(Freshness("24h")) == hash(Freshness("1d"))


def test_a_warning_after_the_limit_is_refused():
    with pytest.raises(DefinitionError, match="warn=26h is not before max_lag=26h"):
        Freshness(max_lag="26h", warn="26h")


def test_an_unknown_clock_is_refused_and_the_known_ones_are_named():
    with pytest.raises(DefinitionError, match="no clock 'wall'") as caught:
        Freshness(max_lag="1h", clock="wall")
    assert "last_materialized" in caught.value.hint


def test_exactly_the_limit_is_still_fresh():
    policy = Freshness(max_lag=10)
    assert policy.judge(0, 10_000_000) == ("fresh", 10_000_001)
    assert policy.judge(0, 10_000_001) == ("late", None)


@given(st.integers(1, 10**6), st.integers(0, 10**6), st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12))
def test_a_verdict_holds_until_its_announced_change_and_not_a_moment_longer(warn, more, value, as_of):
    policy = Freshness(max_lag=warn + more, warn=warn if more else None)
    verdict, change = policy.judge(value, as_of)
    if change is None:
        assert verdict == "late"
        assert policy.judge(value, as_of + 10**15)[0] == "late"
    else:
        assert change > as_of
        assert policy.judge(value, change - 1) == (verdict, change)
        assert policy.judge(value, change)[0] != verdict
