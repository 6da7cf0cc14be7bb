"""Encodings: what comes back is equal in value and type, or it was refused with the place where it can't be kept."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import math
import socket
import subprocess
import sys
import typing
import uuid
import zoneinfo
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any

import hypothesis.strategies as st
import numpy as np
import orjson
import polars as pl
import pytest
from hypothesis import given
from pydantic import BaseModel, TypeAdapter
from tried import tried_on

from headwater.core.encodings import Encoded, Refused, decode, encode
from headwater.core.typed_json import same
from headwater.errors import ResultError


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: int
    inner: Point | None = None


@dataclasses.dataclass
class Loose:
    x: int

    def __post_init__(self) -> None:
        self.computed = self.x * 2


class Colour(enum.Enum):
    RED = 1
    GREEN = [2]


class Made(enum.Enum):
    """Makes a member anew for each value that it does not know."""

    ONE = 1

    @classmethod
    def _missing_(cls, value: object) -> Made:
        found = object.__new__(cls)
        found._name_, found._value_ = f"MADE_{value}", value
        return found


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Pair(typing.NamedTuple):
    left: int
    right: Colour


class Order(BaseModel):
    day: dt.date
    points: list[Point] = []


def back(value: Any, hint: Any = None) -> Any:
    encoded = encode(value, hint=hint)
    assert isinstance(encoded, Encoded), encoded
    return decode(encoded.encoding, encoded.data, hint=hint)


def refused(value: Any, **options: Any) -> str:
    found = encode(value, **options)
    assert isinstance(found, Refused), found
    return found.reason


ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**200), max_value=2**200),
    st.floats(allow_nan=True),
    st.text(st.characters(codec=None)),
    st.binary(),
    st.dates(),
    st.datetimes(timezones=st.none() | st.just(dt.UTC) | st.timezones()),
    st.times(),
    st.timedeltas(),
    st.decimals(),
    st.uuids(),
    st.complex_numbers(),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1).map(Path),
)
HASHABLE = st.one_of(st.none(), st.integers(), st.text(), st.binary(), st.dates(), st.tuples(st.integers(), st.text()))
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.dictionaries(HASHABLE, inner),
        st.sets(HASHABLE),
        st.frozensets(HASHABLE),
    ),
    max_leaves=12,
)


@given(VALUES)
@tried_on(75)
def test_what_is_encoded_comes_back_in_value_and_type(value: Any) -> None:
    assert same(back(value), value)


@given(VALUES)
@tried_on(25)
def test_the_same_value_is_the_same_bytes(value: Any) -> None:
    first, second = encode(value), encode(back(value))
    assert first == second


@pytest.mark.parametrize(
    "value",
    [
        -0.0,
        math.nan,
        -math.inf,
        2**63,
        "half a character: \udc80",
        bytearray(b"x"),
        range(1, 10, 3),
        PurePosixPath("a/b"),
        dt.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
        dt.time(1, 2, tzinfo=dt.timezone(dt.timedelta(hours=-3, minutes=-30))),
        TypeAdapter(dt.datetime).validate_python("2024-01-05T06:00:00Z"),
        TypeAdapter(dt.time).validate_python("06:00:00-03:30"),
        Decimal("1.20"),
        Decimal("sNaN"),
        uuid.UUID(int=7),
        {(1, "a"): [{"deep": {2.5}}]},
    ],
    ids=repr,
)
def test_odd_values_come_back(value: Any) -> None:
    assert same(back(value), value)


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame(),
        pl.DataFrame({"a": [1.0, math.nan, None], "b": ["x", "ü", None]}),
        pl.DataFrame(
            {
                "category": pl.Series(["a", "b", "a"], dtype=pl.Categorical),
                "enum": pl.Series(["a", "b", "a"], dtype=pl.Enum(["a", "b"])),
                "list": [[1], [], None],
                "struct": [{"x": 1}, {"x": None}, None],
                "decimal": [Decimal("1.10"), None, Decimal(2)],
                "zoned": pl.Series([dt.datetime(2024, 1, 1)] * 3).dt.replace_time_zone("Europe/Berlin"),
            }
        ),
        pl.Series("s", [1, None, 3], dtype=pl.Int8),
        np.arange(6, dtype="int16").reshape(2, 3),
        np.array(["2024-01-01"], dtype="datetime64[D]"),
        np.float32(1.5),
        (pl.DataFrame({"a": [1]}), {"scores": np.array([0.5])}),
    ],
    ids=lambda one: type(one).__name__,
)
def test_tables_and_arrays_come_back_with_their_types(frame: Any) -> None:
    assert same(back(frame), frame)


def test_pandas_frames_come_back_or_are_refused() -> None:
    pd = pytest.importorskip("pandas")
    day = pd.to_datetime(["2024-01-01", None, "2024-01-03"])
    frame = pd.DataFrame(
        {
            "int": [1, 2, 3],
            "float": [1.0, math.nan, -0.0],
            "text": ["a", None, "ü"],
            "object": pd.Series([1, "x", None], dtype=object),
            "nullable": pd.array([1, None, 3], dtype="Int64"),
            "boolean": pd.array([True, None, False], dtype="boolean"),
            "category": pd.Categorical(["a", "b", None], categories=["b", "a"], ordered=True),
            "day": day,
            "zoned": day.tz_localize("Europe/Berlin"),
        }
    )
    for one in (frame, frame.set_index("text"), frame[["int"]], frame[:0], frame["zoned"], pd.DataFrame(), frame[::2]):
        assert same(back({"frame": one})["frame"], one)
    assert "several levels" in refused(frame.set_index(["int", "float"]))
    assert "can't be kept" in refused(pd.DataFrame({"a": pd.period_range("2024-01", periods=2, freq="M")}))
    assert "object" in refused(pd.DataFrame({"a": [object()]}))
    noted = frame.copy()
    noted.attrs["unit"] = "km"
    assert "does not come back equal" in refused(noted)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (Point(1, Point(2)), Point),
        ([Point(1), None], list[Point | None]),
        ({"a": Colour.GREEN, "b": Access.READ | Access.WRITE}, dict[str, Colour | Access]),
        (Pair(1, Colour.RED), Pair),
        (Order(day=dt.date(2024, 1, 1), points=[Point(1)]), typing.Annotated[Order, "x"]),
    ],
    ids=repr,
)
def test_classes_come_back_through_the_return_annotation_alone(value: Any, hint: Any) -> None:
    assert back(value, hint) == value
    assert type(back(value, hint)) is type(value)
    assert "which the return annotation of the task does not name" in refused(value)
    encoded = encode(value, hint=hint)
    assert isinstance(encoded, Encoded)
    with pytest.raises(ResultError, match="does not name"):
        decode(encoded.encoding, encoded.data, hint=int)


MANY_CLASSES = """
from __future__ import annotations
from dataclasses import dataclass
from headwater.core.encodings import encode
"""


def test_every_class_that_an_annotation_names_is_known_however_many_there_are(tmp_path: Path) -> None:
    lines = [MANY_CLASSES]
    for number in range(20):
        lines += ["@dataclass", f"class Item{number}:", "    x: int"]
        lines += ["@dataclass", f"class Box{number}:", f"    items: list[Item{number}]"]
    lines += ["@dataclass", "class Shop:", *(f"    box{number}: Box{number}" for number in range(20))]
    boxes = ", ".join(f"Box{number}([Item{number}(1)])" for number in range(20))
    (tmp_path / "shop.py").write_text("\n".join([*lines, f"print(encode(Shop({boxes}), hint=Shop))\n"]))
    # In a process of its own: whether an address is used again depends on all that was made before.
    done = subprocess.run([sys.executable, "shop.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Encoded("), done.stdout


def test_no_name_that_is_read_is_ever_imported() -> None:
    for name in ("antigravity.fly", "os.system", f"{__name__}.Point"):
        data = orjson.dumps({"record": [name, [["x", 1]]]})
        with pytest.raises(ResultError, match="does not name"):
            decode("json", data, hint=Colour | int)
    assert "antigravity" not in sys.modules


def test_a_refusal_says_where() -> None:
    with socket.socket() as one:
        assert refused({"a": [1, 2, one]}) == "result['a'][2] is a socket.socket"
    assert refused(Order(day=dt.date(2024, 1, 1)), hint=Point).startswith(f"result is a {__name__}.Order, which")
    assert refused([Point(1, Colour.RED)], hint=list[Point]).startswith("result[0].inner is a ")  # type: ignore[arg-type]
    assert refused(Made(2), hint=Made) == "result does not come back equal"
    assert refused(Loose(1), hint=Loose) == "result has attributes that are no fields: computed"
    assert refused(iter([])) == "result is a list_iterator, which can be gone through once only: return a list"
    assert "a subclass that may hold more" in refused(collections.OrderedDict(a=1))
    assert refused({1: print}) == "result[1] is a builtin_function_or_method"
    assert refused(pl.LazyFrame({"a": [1]})).endswith("a plan without data: collect it, and return what comes of that")
    assert "can't be stored" in refused(pl.DataFrame({"a": [object()]}))
    assert "can't be stored" in refused(np.array([object()]))
    assert "time zone" in refused(dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(0), "mine")))


def test_what_never_ends_is_refused() -> None:
    around: list[Any] = []
    around.append(around)
    assert refused(around) == "result[0] holds itself"
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    assert refused(deep) == "result is nested more than 60 levels deep"


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4),
    max_leaves=12,
)


@tried_on(30)
@given(plain_values)
def test_what_is_plain_is_written_as_what_is_not(value: Any) -> None:
    found, beside = encode(value), encode([value, (1,)])  # a tuple is not plain: the list is written the longer way
    assert isinstance(found, Encoded)
    assert isinstance(beside, Encoded)
    assert orjson.loads(beside.data) == [orjson.loads(found.data), {"t": [1]}]
    back = decode(found.encoding, found.data)
    assert same(value, back)


def test_what_is_larger_than_the_limit_is_not_walked() -> None:
    class Counting(list[int]):
        seen = 0

    looked = 0

    def endless() -> Any:
        nonlocal looked
        while True:
            looked += 1
            yield [looked]

    many = [next(one) for one in [endless()] for _ in range(50_000)]
    assert refused(many, limit=4_096) == "result is larger than 4,096 bytes"
    assert refused("x" * 5_000, limit=4_096) == "result is larger than 4,096 bytes"
    assert refused([b"x" * 5_000], limit=4_096) == "result is larger than 4,096 bytes"
    assert refused({"a": pl.DataFrame()}, limit=4_096) == "result['a'] is a polars.DataFrame, which may be large"
    assert isinstance(encode([1, "x"], limit=4_096), Encoded)
    # Without one, a value may be as large as it is.
    for large in (["ü" * 5_000_001, 1], b"x" * 5_000_001):
        assert back(large) == large


def test_pickle_is_written_and_read_only_where_it_is_asked_for() -> None:
    value = {Loose(1).x: {Colour.RED}, "point": Loose(3)}
    assert isinstance(encode(value), Refused)
    encoded = encode(value, pickle=True)
    assert isinstance(encoded, Encoded)
    assert encoded.encoding == "pickle"
    assert decode("pickle", encoded.data, pickle=True) == value
    with pytest.raises(ResultError, match="only read for a task that asks for it"):
        decode("pickle", encoded.data)
    # What has an encoding of its own never needs it.
    assert encode([1], pickle=True) == encode([1])
    assert refused(lambda: 1, pickle=True).startswith("result can't be pickled: ")


@given(st.binary(max_size=60), st.sampled_from(["json", "polars", "polars.series", "numpy", "arrow", "x", "pickle"]))
@tried_on(40)
def test_bytes_of_somebody_else_are_an_error_and_nothing_else(data: bytes, encoding: str) -> None:
    try:
        decode(encoding, data)
    except ResultError:
        return
    assert encoding == "json"


@given(VALUES, st.data())
@tried_on(30)
def test_json_of_another_shape_is_an_error_or_another_value(value: Any, data: st.DataObject) -> None:
    encoded = encode({"value": value})
    assert isinstance(encoded, Encoded)
    at = data.draw(st.integers(0, len(encoded.data) - 1))
    changed = bytearray(encoded.data)
    changed[at] ^= data.draw(st.integers(1, 255))
    try:
        decode("json", bytes(changed))
    except ResultError:
        return
