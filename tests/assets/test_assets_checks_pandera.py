"""Schemas of pandera as checks; needs pandera (the extra `pandera`)."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import polars as pl
import pytest
from check_cases import one

pytest.importorskip("pandera.polars", reason="pandera is not installed: its schemas were NOT tested as checks")

import pandera.polars as pa

from headwater import Asset, materialize
from headwater.checks import pandera_check
from headwater.errors import CheckFailed
from headwater.testing import project


class Flights(pa.DataFrameModel):
    """A model, as a class."""

    carrier: str = pa.Field(isin=["AA", "BB"])
    delay: float = pa.Field(ge=-60, nullable=True)


SCHEMA = pa.DataFrameSchema({"carrier": pa.Column(str), "delay": pa.Column(float, pa.Check.ge(-60), nullable=True)})
GOOD = pl.DataFrame({"carrier": ["AA", "BB"], "delay": [1.0, None]})
BAD = pl.DataFrame({"carrier": ["AA", "secret"], "delay": [-99.0, None]})


@pytest.mark.parametrize("schema", [Flights, SCHEMA], ids=["model", "schema"])
def test_a_schema_is_a_check(schema: Any) -> None:
    assert one(GOOD, pandera_check(schema)).passed
    found = one(BAD, pandera_check(schema, name="flights", blocking=True))
    assert (found.passed, found.name, found.blocking, found.kind) == (False, "flights", True, "pandera")
    assert "delay: greater_than_or_equal_to(-60)" in str(found.message)
    assert "secret" not in str(found.message)
    missing = one(GOOD.drop("delay"), pandera_check(schema))
    assert not missing.passed
    assert "delay" in str(missing.message)


def test_a_schema_stands_among_the_checks_as_it_is() -> None:
    with project() as shop:
        flights = Asset("flights", at="parquet://lake/flights", checks=[Flights, pandera_check(SCHEMA, blocking=True)])

        @materialize(flights)
        def ingest() -> pl.DataFrame:
            return BAD

        assert [check.name for check in flights.checks] == ["pandera(Flights)", "pandera(schema)"]
        with pytest.raises(CheckFailed, match="delay: greater_than_or_equal_to"):
            ingest()
        assert shop.reader.checks()["checks"][0]["metrics"] == {"failed": 2}


def test_nothing_imports_pandera_before_it_is_used() -> None:
    code = "import headwater.checks, sys; print('pandera' in sys.modules, 'polars' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
