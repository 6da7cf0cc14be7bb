"""Functions that make several assets may leave out optional ones; assets may be chosen at run time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from headwater import Asset, materialize
from headwater.assets.board import status
from headwater.clock import now_us
from headwater.errors import ReturnTypeError
from headwater.testing import project


def table() -> pl.DataFrame:
    return pl.DataFrame({"id": [1]})


def test_an_optional_output_that_is_left_out_is_skipped(tmp_path: Path) -> None:
    with project(tmp_path) as here:
        good = Asset("good", at="parquet://lake/good")
        bad = Asset("bad", at="parquet://lake/bad", optional=True)
        report = Asset("report", at="parquet://lake/report")
        left_out = False

        @materialize(good, bad)
        def split() -> Any:
            return {"good": table()} if left_out else {"good": table(), "bad": table()}

        @materialize(report, inputs={"rows": bad})
        def tell(rows: Any) -> Any:
            return rows

        assert set(split()) == {"good", "bad"}
        tell()
        left_out = True
        assert set(split()) == {"good"}
        facts = here.catalog.facts()
        assert not facts.of("bad").failed
        assert (tmp_path / "lake/bad.parquet").exists()
        rows = {row["name"]: row["stale"]["is_stale"] for row in status(facts, facts.definitions, now_us())["assets"]}
        assert rows == {"good": False, "bad": False, "report": False}
        with here.projection.session() as session:
            states = session.rows("SELECT asset, state FROM materialization_outcomes ORDER BY started, asset")
        assert states == [
            ("bad", "published"), ("good", "published"), ("report", "published"), ("bad", "skipped"), ("good", "published"),
        ]  # fmt: skip


def test_an_output_that_is_not_optional_has_to_be_made(tmp_path: Path) -> None:
    with project(tmp_path):
        good, bad = Asset("good", at="parquet://lake/good"), Asset("bad", at="parquet://lake/bad", optional=True)

        @materialize(good, bad)
        def split() -> Any:
            return {"bad": table()}

        with pytest.raises(ReturnTypeError, match="makes 2 assets"):
            split()
