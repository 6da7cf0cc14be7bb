"""`.with_options(assets=…)`: the asset of a call is chosen when it runs, and the graph stays what the decorator says."""

import polars as pl
import pytest

from headwater import Asset, DailyPartitions, check, flow, materialize, materializing, record
from headwater.errors import CheckFailed, DefinitionError
from headwater.testing import project

DAYS = DailyPartitions("2024-01-01", "2024-01-05")


@pytest.fixture
def here(tmp_path):
    with project(tmp_path) as found:
        yield found


def test_a_call_makes_the_asset_that_it_is_given(here):
    orders = Asset("orders", at="memory://orders", partitions=DAYS)
    totals = Asset("totals", at="parquet://lake/totals", partitions=DAYS)
    regions = [Asset(f"totals_{one}", at=f"parquet://lake/{one}", partitions=DAYS) for one in ("north", "south")]

    @materialize(orders)
    def take(partition):
        return pl.DataFrame({"n": [1, 2]})

    @materialize(totals, inputs={"rows": orders})
    def sum_up(rows, partition):
        return rows.select(pl.col("n").sum())

    @flow
    def regional():
        take.at("2024-01-02")()
        for region in regions:
            sum_up.with_options(assets=region, retries=1).at("2024-01-02")()

    regional()
    facts = here.catalog.facts()
    assert {name: list(facts.of(name).made) for name in facts.definitions} == {
        "orders": ["2024-01-02"],
        "totals": [],
        "totals_north": ["2024-01-02"],
        "totals_south": ["2024-01-02"],
    }
    assert [used.asset for used in facts.of("totals_north").made["2024-01-02"].inputs] == ["orders"]
    assert facts.definitions["totals_north"].is_source
    assert facts.definitions["totals"].producer == sum_up.fn.__qualname__
    assert sum_up.assets == (totals,)


def test_what_can_only_be_read_is_refused_before_anything_runs(here):
    calls = []

    @materialize("memory://base")
    def make():
        calls.append("made")
        return [{"n": 1}]

    def at_definition():
        materialize(Asset("upper", at="CSV://upper.csv"))(make.fn)

    def when_chosen():
        make.with_options(assets="csv://x.csv")()

    def in_a_block():
        with materializing("csv://x.csv"):
            calls.append("entered")

    for attempt in (at_definition, when_chosen, in_a_block):
        with pytest.raises(DefinitionError, match="can't be made at csv://, which is only read") as caught:
            attempt()
        assert "duckdb://, memory://, parquet://" in (caught.value.hint or "")
    assert calls == []
    (here.root / "x.csv").write_text("n\n1\n")
    record(Asset("x", at="csv://x.csv"))  # what other code writes is still told


def test_its_own_checks_are_asked(here):
    base, other = Asset("base", at="memory://base"), Asset("other", at="memory://other")

    @materialize(base)
    def make():
        return [{"n": 1}]

    @check(other, blocking=True)
    def never(df: pl.DataFrame) -> bool:
        return False

    make()
    with pytest.raises(CheckFailed, match="'never' failed on other"):
        make.with_options(assets=other)()


def test_what_does_not_fit_is_refused(here):
    base, other = Asset("base", at="memory://base"), Asset("other", at="memory://other", partitions=DAYS)

    @materialize(base)
    def make():
        return [{"n": 1}]

    with pytest.raises(DefinitionError, match="makes 1 asset, and 2 were given"):
        make.with_options(assets=[base, other])
    with pytest.raises(DefinitionError, match="'other' is partitioned differently from 'base'"):
        make.with_options(assets=other)
