from __future__ import annotations

import json
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from headwater.core.flow import flow
from headwater.core.parameters import plain_parameters

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.dates()
    | st.complex_numbers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), anything, max_size=4))
def test_parameters_are_always_json(values: dict[str, Any]) -> None:
    plain = plain_parameters(values)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_secrets_are_redacted_wherever_they_are(project: Any) -> None:
    @flow
    def main(day: date, db_password: str, key: SecretStr, options: dict[str, Any], API_TOKEN: str = "t0p") -> None: ...

    main(
        date(2024, 1, 1), "hunter2", SecretStr("hunter3"), {"client_secret": "hunter4", "keys": [SecretStr("hunter5")]}
    )
    parameters = project.one("run.started").parameters
    assert "hunter" not in str(parameters)
    assert "t0p" not in str(parameters)
    assert parameters["day"] == "2024-01-01"
    assert parameters["db_password"] == parameters["key"] == parameters["API_TOKEN"] == "***"


def test_what_is_no_json_is_told_in_short() -> None:
    class Color(Enum):
        RED = "red"

    class Wide:
        def __repr__(self) -> str:
            return "w" * 5_000

    class Broken:
        def __repr__(self) -> str:
            raise ValueError

    found = plain_parameters(
        {
            "color": Color.RED,
            "path": Path("a/b"),
            "wide": Wide(),
            "broken": Broken(),
            "many": list(range(5_000)),
            "huge": 2**70,
            "nan": float("nan"),
            "set": {1},
        }
    )
    assert len(found.pop("wide")) == 1_000
    assert found == {
        "color": "red",
        "path": "a/b",
        "broken": "<Broken>",
        "many": "<list of 5000 items>",
        "huge": str(2**70),
        "nan": "nan",
        "set": [1],
    }
