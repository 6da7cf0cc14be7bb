"""Identities of calls: the same for the same arguments, in every process, and never the same for different ones."""

import copy
import datetime
import decimal
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tried import tried_on

from headwater.core.identity import LARGEST, Unidentified, code_of, identify, identify_plain

ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.complex_numbers(),
)
KEYS = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=4), st.tuples(st.integers()))
PLAIN = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.lists(inner, max_size=3).map(tuple), st.dictionaries(KEYS, inner, max_size=4),
        st.frozensets(KEYS, max_size=4), st.sets(KEYS, max_size=4),
    ),
    max_leaves=12,
)  # fmt: skip


def of(*args: Any, **kwargs: Any) -> str:
    found = identify_plain("", "load", args, kwargs)
    assert found is not None
    return found


def spelled(value: Any) -> Any:
    """A value with its types, so that what compares equal without being alike (1 and True, 0.0 and -0.0) is told apart."""
    if isinstance(value, dict):
        return ["dict", [(spelled(key), spelled(one)) for key, one in value.items()]]
    if isinstance(value, (set, frozenset)):
        return [type(value).__name__, sorted(map(repr, map(spelled, value)))]
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, [spelled(one) for one in value]]
    return [type(value).__name__, repr(value)]


@tried_on(75)
@given(PLAIN, PLAIN)
def test_two_calls_have_one_identity_if_and_only_if_their_arguments_are_alike(one: Any, two: Any) -> None:
    assert of(one) == of(copy.deepcopy(one))
    assert (of(one) == of(two)) == (spelled(one) == spelled(two))
    assert of(one) != of(key=one)


def said_elsewhere(code: str) -> set[bytes]:
    """What two processes print that keep their sets in another order."""
    return {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }


def test_it_is_the_same_in_another_process() -> None:
    code = (
        "from headwater.core.identity import identify_plain, identify; import datetime, uuid;"
        "print(identify_plain('s', 'load', ({'b', 'a', 'c'}, 'x' * 3, {'k': (1, 2.5)}), {'y': None}),"
        "identify('s', 'load', (datetime.date(2024, 1, 5), [uuid.UUID(int=1)]), {}))"
    )
    assert len(said_elsewhere(code)) == 1


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (datetime.date(2024, 1, 5), datetime.datetime(2024, 1, 5)),
        (datetime.date(2024, 1, 5), "datetime.date(2024, 1, 5)"),
        (decimal.Decimal("1.0"), decimal.Decimal("1.00")),
        (Path("a"), "a"),
        ([Path("a")], [Path("b")]),
    ],
)
def test_values_of_the_standard_library(one: Any, two: Any) -> None:
    found = [identify("", "load", (value,), {}) for value in (one, two, copy.deepcopy(one))]
    assert found[0] == found[2] != found[1]
    assert not any(isinstance(identity, Unidentified) for identity in found)


class Named(str):
    __slots__ = ()


@pytest.mark.parametrize("value", [object(), Named("x"), bytearray(b"x"), memoryview(b"x"), print, [{"a": object()}]])
def test_what_can_not_be_told_apart_has_none(value: Any) -> None:
    assert identify_plain("", "load", (value,), {}) is None
    assert isinstance(identify("", "load", (value,), {}), Unidentified)


def test_large_arguments_cost_no_more_than_a_bounded_walk() -> None:
    assert identify_plain("", "load", ([1] * LARGEST,), {}) is None
    large = ["x" * LARGEST]
    assert identify_plain("", "load", (large,), {}) is None
    assert isinstance(identify("", "load", (large,), {}), Unidentified)
    whole = identify("", "load", (large,), {}, whole=True)
    assert whole == identify("", "load", (["x" * LARGEST],), {}, whole=True)
    assert whole != identify("", "load", (["x" * LARGEST + "y"],), {}, whole=True)


def test_a_list_that_holds_itself_has_none() -> None:
    knot: list[Any] = [1]
    knot.append(knot)
    assert identify_plain("", "load", (knot,), {}) is None
    assert isinstance(identify("", "load", (knot,), {}), Unidentified)


def test_the_fingerprint_of_code_is_of_what_it_does() -> None:
    def one(value: int) -> int:
        """Say it."""
        return sum(each + 1 for each in [value])

    def same(value: int) -> int:
        """Say it."""
        return sum(each + 1 for each in [value])

    def other(value: int) -> int:
        """Say it."""
        return sum(each + 2 for each in [value])

    assert code_of(one) == code_of(same) != code_of(other)
    assert code_of(print) is None


def test_the_fingerprint_of_code_is_the_same_in_another_process() -> None:
    code = (
        "from headwater.core.identity import code_of\n"
        "def keep(row): return row in {'north', 'south', 'east', 'west'}\n"
        "print(code_of(keep))"
    )
    assert len(said_elsewhere(code)) == 1
