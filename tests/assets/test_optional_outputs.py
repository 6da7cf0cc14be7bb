"""Functions that make several assets may leave out optional ones; assets may be chosen at run time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import polars as pl
import pytest

from headwater import Asset, DailyPartitions, materialize, transaction
from headwater.assets.board import explain, status
from headwater.assets.staleness import staleness
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


def test_a_single_optional_output_is_named_or_left_out_as_well(tmp_path: Path) -> None:
    with project(tmp_path) as here:
        alerts = Asset("alerts", at="parquet://lake/alerts", optional=True)
        values: list[Any] = [table(), {}, {"alerts": table()}]

        @materialize(alerts)
        def find() -> Any:
            return values.pop(0)

        states = []
        while values:
            find()
            facts = here.catalog.facts().of("alerts")
            states.append((facts.made[None].rows, bool(facts.skipped)))
        assert states == [(table().height, False), (table().height, True), (table().height, False)]


def test_what_is_left_out_in_a_transaction_is_so_when_that_commits(tmp_path: Path) -> None:
    with project(tmp_path) as here:
        source = Asset("source", at="parquet://lake/source")
        alerts = Asset("alerts", at="parquet://lake/alerts", optional=True)
        left_out = False

        @materialize(source)
        def load() -> Any:
            return table()

        @materialize(alerts)
        def find(rows: Annotated[pl.DataFrame, source]) -> Any:
            return {} if left_out else {"alerts": rows}

        @materialize(Asset("report", at="parquet://lake/report"))
        def tell(rows: Annotated[pl.DataFrame, alerts]) -> Any:
            return rows

        def is_stale() -> bool:
            facts = here.catalog.facts()
            (row,) = status(facts, ["alerts"], now_us())["assets"]
            return bool(row["stale"]["is_stale"])

        load()
        find()
        load()
        left_out = True
        with transaction() as rolled:
            find()
            rolled.rollback("it was not meant")
        assert is_stale()
        with transaction():
            find()
            tell()  # what is in place stays, and can be read
            assert is_stale()
        assert not is_stale()
        with here.projection.session() as session:
            states = session.rows("SELECT state FROM materialization_outcomes WHERE asset = 'alerts' ORDER BY started")
        assert [state for (state,) in states] == ["published", "discarded", "skipped"]


def test_an_output_that_is_not_optional_has_to_be_made(tmp_path: Path) -> None:
    with project(tmp_path):
        good, bad = Asset("good", at="parquet://lake/good"), Asset("bad", at="parquet://lake/bad", optional=True)

        @materialize(good, bad)
        def split() -> Any:
            return {"bad": table()}

        with pytest.raises(ReturnTypeError, match="makes 2 assets"):
            split()


def splitting(left_out: list[str], *, optional: bool = True, **of_all: Any) -> tuple[Any, Any, Asset]:
    """What makes `raw`, what makes `good` and `bad` of it but for those that are left out, and `bad`."""
    raw, good = (Asset(name, at=f"parquet://lake/{name}", **of_all) for name in ("raw", "good"))
    bad = Asset("bad", at="parquet://lake/bad", optional=optional, **of_all)

    @materialize(raw)
    def fetch() -> Any:
        return table()

    @materialize(good, bad)
    def split(rows: Annotated[pl.DataFrame, raw]) -> Any:
        return {name: rows for name in ("good", "bad") if name not in left_out}

    return fetch, split, bad


def test_what_a_call_left_as_it_was_is_stale_by_what_that_call_read(tmp_path: Path) -> None:
    with project(tmp_path) as here:
        left_out: list[str] = []
        fetch, split, bad = splitting(left_out)
        report = Asset("report", at="parquet://lake/report")

        @materialize(report, inputs={"rows": bad})
        def tell(rows: Any) -> Any:
            return rows

        def stale() -> list[str]:
            return [name for name, one in here.catalog.staleness(now_us()).items() if one.is_stale]

        fetch()
        split()
        tell()
        left_out.append("bad")
        fetch()
        assert sorted(stale()) == ["bad", "good", "report"]
        split()
        assert stale() == []
        facts = here.catalog.facts()
        (why,) = [one for one in explain(facts, "bad", None, now_us())["reason"]["because"] if one["kind"] == "skipped"]
        run_id = facts.of("good").made[None].run_id
        assert why["text"].startswith("left out at ")
        assert why["text"].endswith(f": run {run_id} skipped this optional output")
        fetch()
        assert sorted(stale()) == ["bad", "good", "report"]
        left_out.clear()
        split()
        assert stale() == ["report"]
        assert not here.catalog.facts().of("bad").skipped


@pytest.mark.parametrize("was_made", [False, True])
def test_what_a_call_left_out_says_nothing_once_each_call_has_to_make_it(tmp_path: Path, was_made: bool) -> None:
    left_out: list[str] = []

    def told(here: Any) -> tuple[bool, bool]:
        found, facts = here.catalog.staleness(now_us())["bad"], here.catalog.facts()
        assert staleness(facts, now_us())["bad"][:4] == found[:4], "both ways to ask"
        return bool(found.stale), bool(found.missing)

    with project(tmp_path) as here:
        fetch, split, _ = splitting(left_out)
        fetch()
        if was_made:
            split()
            fetch()
        left_out.append("bad")
        split()
        assert told(here) == (False, False)
    with project(tmp_path) as here:
        _, split, _ = splitting(left_out, optional=False)
        assert told(here) == (True, not was_made)
        with pytest.raises(ReturnTypeError):
            split()
    with project(tmp_path) as here:
        assert told(here) == (True, not was_made), "from the journal alone"
    with project(tmp_path) as here:
        _, split, _ = splitting([], optional=False)
        split()
        assert told(here) == (False, False)


def test_what_was_left_out_stands_when_a_later_call_fails(tmp_path: Path) -> None:
    with project(tmp_path) as here:
        left_out = ["bad"]
        fetch, split, _ = splitting(left_out)

        def told() -> tuple[bool, bool, list[str]]:
            facts, found = here.catalog.facts(), here.catalog.staleness(now_us())["bad"]
            assert staleness(facts, now_us())["bad"][:4] == found[:4], "both ways to ask"
            kinds = [one["kind"] for one in explain(facts, "bad", None, now_us())["reason"]["because"]]
            return found.is_stale, bool(found.missing), [one for one in kinds if one in ("skipped", "failed")]

        fetch()
        split()
        left_out.append("good")  # what is no optional output
        with pytest.raises(ReturnTypeError):
            split()
        left_out.remove("good")
        assert told() == (False, False, ["skipped", "failed"])
        fetch()
        assert told() == (True, False, ["skipped", "failed"])
        split()
        assert told() == (False, False, ["skipped"])


def test_a_partition_that_a_call_left_as_it_was_is_stale_by_what_that_call_read(tmp_path: Path) -> None:
    with project(tmp_path) as here:
        days = DailyPartitions("2024-01-01", "2024-01-03")
        left_out: list[str] = []
        fetch, split, _ = splitting(left_out, partitions=days)
        for day in ("2024-01-01", "2024-01-02"):
            fetch.at(day)()
            split.at(day)()
        left_out.append("bad")
        for day in ("2024-01-01", "2024-01-02"):
            fetch.at(day)()
        split.at("2024-01-02")()
        assert str(here.catalog.staleness(now_us())["bad"].stale) == "2024-01-01"
