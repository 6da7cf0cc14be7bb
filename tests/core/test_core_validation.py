from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, make_dataclass
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Protocol, TypedDict

import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr, TypeAdapter, ValidationError

from headwater import flow
from headwater.core.validation import fits
from headwater.errors import ParameterError


class Options(BaseModel):
    limit: int
    tags: list[str] = []


class Color(Enum):
    RED = "red"


@dataclass
class Window:
    first: date
    last: date


@flow
def load(
    day: date,
    limit: int = 3,
    options: Options | None = None,
    color: Color = Color.RED,
    window: Window | None = None,
    mode: Literal["full", "delta"] = "full",
    loose=None,
) -> Any:
    return day, limit, options, color, window, mode, loose


def test_arguments_become_what_their_parameters_are_declared_as(project: Any) -> None:
    found = load(
        "2024-01-05",
        "5",
        options={"limit": "7"},
        color="red",
        window={"first": "2024-01-01", "last": "2024-01-31"},
        mode="delta",
        loose="5",
    )

    window = Window(date(2024, 1, 1), date(2024, 1, 31))
    assert found == (date(2024, 1, 5), 5, Options(limit=7), Color.RED, window, "delta", "5")
    assert project.one("run.started").parameters["day"] == "2024-01-05"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"day": "yesterday"}, ["'day'", "valid date", "'yesterday'", "day: date"]),
        ({"day": "2024-01-05", "limit": "many"}, ["'limit'", "valid integer", "limit: int"]),
        ({"day": "2024-01-05", "options": {"limit": "x"}}, ["'options'", "limit", "Options"]),
        ({"day": "2024-01-05", "mode": "all"}, ["'mode'", "'full' or 'delta'"]),
        ({"day": 1.5, "limit": None}, ["'day'", "'limit'"]),
    ],
)
def test_what_does_not_fit_is_refused_before_the_run_begins(
    project: Any, arguments: dict[str, Any], told: list[str]
) -> None:
    with pytest.raises(ParameterError) as caught:
        load(**arguments)

    assert [text for text in told if text not in str(caught.value)] == []
    assert "test_core_validation.py" in str(caught.value)
    assert project.all("run.started") == []


def test_the_value_of_a_secret_is_not_told(project: Any) -> None:
    @flow
    def main(db_password: int, key: SecretStr) -> None: ...

    with pytest.raises(ParameterError) as caught:
        main(db_password="hunter2", key=["hunter2"])
    assert "'db_password'" in str(caught.value)
    with pytest.raises(ParameterError) as second:
        main(db_password="hunter2", key="x")
    assert "hunter2" not in str(second.value)


def test_what_fits_is_passed_on_as_the_very_same_object(project: Any) -> None:
    @flow
    def main(rows: list[dict[str, int]], more: list[Any], frame: Window) -> tuple[Any, ...]:
        return rows, more, frame

    given = [{"id": 1}], [object()], Window(date(2024, 1, 1), date(2024, 1, 2))
    assert all(one is other for one, other in zip(main(*given), given, strict=True))


def test_defaults_are_as_they_are_written(project: Any) -> None:
    @flow
    def main(day: date = None, *names: int, **more: float) -> Any:  # noqa: RUF013 - as people write it
        return day, names, more

    assert main() == (None, (), {})
    assert main("2024-01-05", "1", 2, share="0.5") == (date(2024, 1, 5), (1, 2), {"share": 0.5})


def test_an_annotation_that_only_a_type_checker_sees_hinders_nothing(project: Any) -> None:
    @flow
    def main(frame: NotImported, limit: int) -> Any:  # type: ignore[name-defined] # noqa: F821
        return frame, limit

    assert main("anything", 3) == ("anything", 3)


def test_an_async_flow_and_a_subflow_are_held_to_it_too(project: Any) -> None:
    import asyncio

    @flow
    async def inner(limit: int) -> int:
        return limit

    @flow
    async def outer(limit: str) -> int:
        return await inner(limit)

    assert asyncio.run(outer("7")) == 7
    with pytest.raises(ParameterError, match="'limit'"):
        asyncio.run(outer("x"))
    assert project.all("run.ended")[-1].state == "Failed"


def test_pydantic_is_loaded_only_when_it_is_needed(tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text(
        "import sys\n"
        "from headwater import flow\n"
        "@flow\n"
        "def main(day: str, tags: list[str], limit: int | None = None): ...\n"
        "main('2024-01-05', ['a'], 3)\n"
        "print([name for name in sys.modules if name.startswith('pydantic')])\n"
    )
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


hints = st.recursive(
    st.sampled_from([int, float, str, bool, bytes, None, date, Any]),
    lambda inner: (
        st.builds(lambda one: list[one], inner)
        | st.builds(lambda one: set[one], st.sampled_from([int, str]))
        | st.builds(lambda one: tuple[one, ...], inner)
        | st.builds(lambda one, two: tuple[one, two], inner, inner)
        | st.builds(lambda one: dict[str, one], inner)
        | st.builds(lambda one, two: one | two if one and two else int | None, st.sampled_from([int, str]), inner)
    ),
    max_leaves=4,
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=5,
)


@given(hints, values)
def test_what_is_said_to_fit_pydantic_accepts_unchanged(hint: Any, value: Any) -> None:
    if fits(value, hint):
        try:
            found = TypeAdapter(hint).validate_python(value, strict=True)
        except ValidationError as error:
            raise AssertionError(f"{value!r} is no {hint}") from error
        assert found == value


def test_a_value_that_can_not_be_shown_is_refused_like_any_other(project: Any) -> None:
    class Mute:
        def __repr__(self) -> str:
            raise RuntimeError("no words")

    @flow
    def main(number: int) -> int:
        return number

    with pytest.raises(ParameterError, match=r"'number' does not fit: .*got a Mute"):
        main(Mute())  # type: ignore[arg-type]


class Row(TypedDict):
    number: int


class Shop(Protocol):
    def sell(self) -> int: ...


class Bakery:
    def sell(self) -> int:
        return 3


def test_a_class_that_no_value_can_be_asked_about_is_no_trap(project: Any) -> None:
    @flow
    def open_shop(row: Row, shop: Shop, others: list[Shop], none: Shop | None = None) -> int:
        return row["number"] + shop.sell() + len(others)

    assert open_shop({"number": 4}, Bakery(), [Bakery()], none=Bakery()) == 8


def test_what_can_be_gone_through_again_is_there_for_a_second_attempt(project: Any) -> None:
    seen: list[list[int]] = []

    @flow(retries=1)
    def add(numbers: Iterable[int]) -> int:
        seen.append(list(numbers))
        if len(seen) == 1:
            raise ValueError("first")
        return sum(seen[-1])

    assert add([1, 2]) == 3
    assert seen == [[1, 2], [1, 2]]
    with pytest.raises(ParameterError, match="'numbers'"):
        add(3)  # type: ignore[arg-type]


def test_a_frame_is_held_against_words_that_may_stand_for_it(project: Any) -> None:
    @flow
    def total(rows: Literal["all"] | pl.DataFrame | pd.DataFrame) -> int:
        return len(rows)

    assert total(pl.DataFrame({"a": [1, 2]})) == total(pd.DataFrame({"a": ["x", "y"]})) == 2
    assert total("all") == 3


Priced = make_dataclass("Priced", [("price", "Unseen")])


def test_a_class_whose_own_annotations_are_hidden_takes_its_instances_and_refuses_the_rest(project: Any) -> None:
    @flow
    def main(item: Priced) -> Any:
        return item

    given = Priced(1)
    assert main(given) is given
    with pytest.raises(ParameterError, match="no Priced can be made of it"):
        main({"price": 1})
