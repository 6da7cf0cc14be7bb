"""Fingerprints: the same for what is alike in value and type, in any order of dicts and sets; none for what can't be told."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from typing import Any

import hypothesis.strategies as st
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from test_core_encodings import HASHABLE, VALUES, Colour, Loose, Order, Point
from tried import tried_on

from headwater.core.hashing import Unhashable, fingerprint
from headwater.core.typed_json import same


@given(VALUES, VALUES)
@tried_on(75)
def test_only_what_is_alike_has_the_same_fingerprint(one: Any, other: Any) -> None:
    assert (fingerprint(one) == fingerprint(other)) <= _alike(one, other)


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys()
    return same(one, other) or repr(one) == repr(other) or isinstance(one, (list, tuple, set, frozenset))


@given(st.dictionaries(HASHABLE, VALUES, max_size=6), st.randoms())
@tried_on(30)
def test_the_order_of_dicts_and_sets_does_not_count(value: dict[Any, Any], random: Any) -> None:
    keys = list(value)
    random.shuffle(keys)
    assert fingerprint({key: value[key] for key in keys}) == fingerprint(value)
    assert fingerprint(set(keys)) == fingerprint(set(value))
    assert fingerprint([frozenset(keys)]) == fingerprint([frozenset(value)])


DIFFERENT = [
    0, False, 0.0, -0.0, "", b"", bytearray(), None, [], (), {}, set(), frozenset(), "0", b"0", [0], (0,), {0}, {0: 0},
    [[], []], [[[]]], ["a", "b"], ["ab"], ["a,b"], {"a": "b"}, [("a", "b")], dt.date(2024, 1, 1), dt.datetime(2024, 1, 1),
    "2024-01-01", Point(0), Point(1), Colour.RED, Colour.GREEN, Loose, np.int64(0), np.int32(0), np.array([0]), np.array(0),
    pl.Series([0]), pl.DataFrame({"": [0]}), pl.DataFrame({"a": [0]}), pl.DataFrame({"a": [None]}),
]  # fmt: skip


def test_what_differs_in_type_alone_differs() -> None:
    values = [one for one in DIFFERENT if one is not Loose]
    assert len({fingerprint(one) for one in values}) == len(values)
    assert len({fingerprint([one]) for one in values}) == len(values)


def test_a_frame_is_known_by_its_rows_however_they_lie_in_memory() -> None:
    whole = pl.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"]})
    parts = pl.concat([whole[:1], whole[1:]], rechunk=False)
    assert parts.n_chunks() == 2
    assert fingerprint(parts) == fingerprint(whole)
    assert fingerprint(pl.concat([whole, whole])[2:5][1:].vstack(whole[2:])[:3]) == fingerprint(whole)
    assert fingerprint(whole[::-1]) != fingerprint(whole)
    assert fingerprint(whole.cast({"a": pl.Int32})) != fingerprint(whole)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (object(), "x is an object"),
        ({"a": [print]}, "x['a'][0] is a builtin_function_or_method"),
        (Loose, "x is a type"),
        (pl.LazyFrame({"a": [1]}), "a plan without data: collect it"),
        (np.array([object()]), "Object arrays cannot be saved"),
        (iter([]), "x is a list_iterator, which can be gone through once only: return a list"),
    ],
)
def test_what_cannot_be_told_by_its_content_has_none(value: Any, told: str) -> None:
    with pytest.raises(Unhashable) as raised:
        fingerprint(value)
    assert told in raised.value.told("x")


def test_a_value_that_holds_itself_has_none() -> None:
    around: list[Any] = []
    around.append(around)
    with pytest.raises(Unhashable):
        fingerprint(around)


def test_fingerprints_are_the_same_in_every_process() -> None:
    values = "[{'b': {1, 'x', (2,)}, 'a': frozenset('hello')}, 1.5, None, {'k'}]"
    code = f"from headwater.core.hashing import fingerprint; print(fingerprint({values}))"
    told = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert told == {fingerprint([{"b": {1, "x", (2,)}, "a": frozenset("hello")}, 1.5, None, {"k"}])}


def test_models_and_dataclasses_count_by_class_and_fields() -> None:
    day = dt.date(2024, 1, 1)
    assert fingerprint(Order(day=day)) == fingerprint(Order(day=day))
    assert fingerprint(Order(day=day)) != fingerprint(Order(day=day, points=[Point(1)]))
    assert fingerprint(Order(day=day)) != fingerprint({"day": day, "points": []})
