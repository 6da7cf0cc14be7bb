"""Ids: UUIDs of version 7 that never repeat and never go back, whatever the clock does."""

from __future__ import annotations

import os
import threading
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater import ids

AT = 4_000_000_000_000_000


@pytest.fixture(autouse=True)
def ids_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is made in a future far away must not be the past of other tests."""
    monkeypatch.setattr(ids, "_now", ids._Millisecond(0))


def _tick() -> int:
    global AT
    AT += 1_000_000
    return AT


def test_an_id_is_a_uuid_of_version_7_and_says_when() -> None:
    at = _tick() + 123_456
    found = uuid.UUID(ids.new_id(at))
    assert (found.version, found.variant) == (7, uuid.RFC_4122)
    assert found.int >> 80 == at // 1_000
    assert (found.int >> 64 & 0xFFF) == at % 1_000 << 2


@given(st.lists(st.integers(-3_000, 3_000), min_size=2, max_size=200))
def test_ids_grow_whatever_the_clock_does(steps: list[int]) -> None:
    at, made = _tick(), []
    for step in steps:
        at += step
        made.append(ids.new_id(at))
    assert made == sorted(set(made))


@given(st.lists(st.tuples(st.integers(-3_000, 3_000), st.integers(1, ids.MOST)), min_size=1, max_size=50))
def test_ids_that_are_reserved_together_are_nobody_elses(steps: list[tuple[int, int]]) -> None:
    at, last = _tick(), ""
    for step, many in steps:
        at += step
        front, first, back = ids.reserve(at, many)
        both = [(b"%b%03x%b" % (front, number, back)).decode() for number in (first, first + many - 1)]
        assert [uuid.UUID(one).version for one in both] == [7, 7]
        assert last < both[0] <= both[1]
        last = both[1]


def test_more_ids_than_fit_into_a_millisecond_go_on_in_the_next() -> None:
    at = _tick()
    made = [ids.new_id(at) for _ in range(10_000)]
    assert made == sorted(set(made))
    assert uuid.UUID(made[-1]).int >> 80 == at // 1_000 + 2
    assert ids.new_id(at + 1_000) > made[-1]


def test_milliseconds_do_not_share_their_random_bits() -> None:
    at = _tick()
    assert len({ids.new_id(at + 1_000 * number)[19:] for number in range(600)}) == 600


def test_threads_never_get_the_same() -> None:
    made: list[list[str]] = [[] for _ in range(4)]

    def make(own: list[str]) -> None:
        own += [ids.new_id() for _ in range(5_000)]

    threads = [threading.Thread(target=make, args=(own,)) for own in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one for own in made for one in own}) == 20_000
    assert all(own == sorted(own) for own in made)


def test_a_forked_child_has_random_bits_of_its_own() -> None:
    at = _tick()
    before = ids.new_id(at)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, "".join(ids.new_id(at) for _ in range(3)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    text = os.read(reading, 1_000).decode()
    os.close(reading)
    os.close(writing)
    theirs = [text[start : start + 36] for start in range(0, 108, 36)]
    ours = [ids.new_id(at) for _ in range(3)]
    assert theirs == sorted(theirs)
    assert theirs[0] > before
    assert not {one[19:] for one in theirs} & {one[19:] for one in ours}
