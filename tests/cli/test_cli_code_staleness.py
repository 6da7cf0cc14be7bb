"""A change of code makes exactly the right partitions stale, and says what differs; a reformatting makes none."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_project import Cli

HELPERS = """
RATES = {"eu": 1.1, "us": 1.0}

class Rules:
    limit = 10

    def keep(self, value):
        return self.below(value)

    def below(self, value):
        return value < self.limit

    def unused(self, value):
        return value > self.limit

def clean(value):
    return value * RATES["eu"]

def other(value):
    return value
"""

FLOWS = """
import helpers
from helpers import Rules
from headwater import Asset, DailyPartitions, materialize

STEP = 1
days = DailyPartitions("2024-01-01", "2024-01-03")
raw = Asset("raw", at="parquet://lake/raw", partitions=days, group="base")
ruled = Asset("ruled", at="parquet://lake/ruled")
total = Asset("total", at="parquet://lake/total")

@materialize(raw)
def make_raw(partition):
    return [{"x": helpers.clean(1.0)}]

@materialize(ruled)
def make_ruled():
    return [{"x": Rules().keep(STEP)}]

@materialize(total, inputs={"rows": raw.all()})
def make_total(rows):
    return rows
"""


@pytest.fixture
def made(folder: Path, cli: Cli) -> Cli:
    """The command line in a project whose assets are made."""
    (folder / "pyproject.toml").write_text('[tool.headwater]\nproject = "code"\nmodules = ["flows"]\n')
    (folder / "helpers.py").write_text(HELPERS)
    (folder / "flows.py").write_text(FLOWS)
    assert cli("materialize", "*").code == 0
    return cli


def edit(folder: Path, module: str, old: str, new: str) -> None:
    file = folder / f"{module}.py"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def stale(cli: Cli) -> dict[str, list[str]]:
    """What is stale, with what differs in its code."""
    rows = cli("status", "--json").json["assets"]
    return {
        row["name"]: [
            part["text"]
            for reason in row["stale"]["reasons"]
            for part in reason["because"] or [{"text": reason["text"]}]
        ]
        for row in rows
        if row["stale"]["is_stale"]
    }


UPSTREAM = {"total": ["its input raw is stale itself"]}


@pytest.mark.parametrize(
    ("module", "old", "new", "expected"),
    [
        ("helpers", "return value * RATES", "return -value * RATES", {"raw": ["code of helpers.clean differs"]}),
        ("helpers", '"eu": 1.1', '"eu": 1.2', {"raw": ["constant 'helpers.RATES' differs"]}),
        ("helpers", "limit = 10", "limit = 11", {"ruled": ["class constant helpers.Rules.limit differs"]}),
        ("helpers", "return value < self", "return value <= self", {"ruled": ["code of helpers.Rules.below differs"]}),
        ("flows", "STEP = 1", "STEP = 2", {"ruled": ["constant 'STEP' differs"]}),
        ("flows", "return rows", "return rows.head(1)", {"total": []}),
        ("flows", "helpers.clean(1.0)", "helpers.other(1.0)", {"raw": None}),
        ("flows", "raw.all()", "raw.last(2)", {"total": ["mapping of 'rows' counts now, and did not then"]}),
        ("flows", "raw.all()", 'raw.all(needs="all")', {}),
        ("flows", "raw.all()", "raw", {}),
        ("flows", '"2024-01-03")', '"2024-01-03", timezone="America/New_York")',
         {"raw": ["division in time counts now, and did not then"]}),
        ("helpers", "return value > self", "return value >= self", {}),
        ("helpers", "def other(value):\n    return value", "def other(value):\n    return 0", {}),
        ("helpers", "def clean(value):\n    return value", "def clean( value ):\n    'Why.'\n    return (  # so\n      value", {}),
        ("helpers", '{"eu": 1.1, "us": 1.0}', '{\n    "eu": 1.1,  # a comment\n    "us": 1.0,\n}', {}),
    ],
)  # fmt: skip
def test_exactly_what_a_change_concerns_is_stale(
    folder: Path, made: Cli, module: str, old: str, new: str, expected: dict[str, list[str] | None]
) -> None:
    assert stale(made) == {}
    edit(folder, module, old, new)
    if new.startswith("def clean("):
        edit(folder, module, '* RATES["eu"]', '* RATES["eu"])')
    found = stale(made)
    assert set(found) == set(expected) | (set(UPSTREAM) if "raw" in expected else set())
    for name, texts in expected.items():
        if texts:
            assert found[name] == texts
    assert made("materialize", "*", "--only", "stale").code == 0
    assert stale(made) == {}


def test_a_version_stands_for_the_code(folder: Path, made: Cli) -> None:
    edit(folder, "flows", "@materialize(ruled)", '@materialize(ruled, version="1")')
    assert stale(made) == {"ruled": ["its version '1' counts now, and its code did then"]}
    assert made("materialize", "stale()").code == 0
    edit(folder, "flows", "STEP = 1", "STEP = 2")
    edit(folder, "helpers", "return value < self", "return value <= self")
    assert stale(made) == {}
    edit(folder, "flows", 'version="1"', 'version="2"')
    assert stale(made) == {"ruled": ["its version is '2', and was '1'"]}
    assert "its version is '2', and was '1'" in made("explain", "ruled").out


def test_what_differs_is_told_of_each_partition(folder: Path, made: Cli) -> None:
    edit(folder, "helpers", '"eu": 1.1', '"eu": 1.2')
    assert made("materialize", "raw", "-p", "2024-01-01").code == 0
    edit(folder, "helpers", "return value * RATES", "return 2 * value * RATES")
    first, second = (made("explain", f"raw@2024-01-0{day}").out for day in (1, 2))
    assert "code of helpers.clean differs" in first
    assert "RATES" not in first
    assert "code of helpers.clean differs" in second
    assert "constant 'helpers.RATES' differs" in second


def test_selections_of_groups_and_by_what_is_known(folder: Path, made: Cli) -> None:
    def names(selection: str) -> set[str]:
        return {row["name"] for row in made("status", selection, "--json").json["assets"]}

    assert names("group:base") == {"raw"}
    assert names("r*") == {"raw", "ruled"}
    assert names("*l* and not group:b*") == {"ruled", "total"}
    assert names("late() or failed()") == set()
    edit(folder, "flows", "return rows", "return 1 / 0")
    assert made("materialize", "total").code == 1
    assert names("failed()") == {"total"}


READS = """
import polars as pl
from headwater import Asset, DailyPartitions, materialize

days = DailyPartitions("2024-01-01", "2024-01-03")
rates, raw, clean = (Asset(name, at=f"parquet://lake/{name}", partitions=days) for name in ("rates", "raw", "clean"))

@materialize(rates)
def make_rates(partition):
    return pl.DataFrame({"id": [1], "rate": [1.5]})

@materialize(raw)
def make_raw(partition):
    return pl.DataFrame({"id": [1], "x": [2], "y": [3]})

@materialize(clean, inputs={"rows": raw, "rates": rates})
def make_clean(rows: pl.LazyFrame, rates: pl.LazyFrame):
    return rows.join(rates, on="id").select("id", "x", "y", "rate")
"""


def reached(cli: Cli, subject: str) -> list[str]:
    found = cli("lineage", "impact", subject, "--json").json
    return [one["id"] for one in found["columns"] or found["assets"]]


def test_impact_counts_what_the_code_reads_and_not_what_earlier_code_read(folder: Path, cli: Cli) -> None:
    (folder / "pyproject.toml").write_text('[tool.headwater]\nproject = "code"\nmodules = ["flows"]\n')
    (folder / "flows.py").write_text(READS)
    assert cli("materialize", "*").code == 0
    assert (reached(cli, "raw.y"), reached(cli, "rates")) == (["clean.y"], ["clean"])
    edit(folder, "flows", ', "rates": rates}', "}")
    edit(folder, "flows", "rows: pl.LazyFrame, rates: pl.LazyFrame", "rows: pl.LazyFrame")
    edit(folder, "flows", 'rows.join(rates, on="id").select("id", "x", "y", "rate")', 'rows.select("id", "x")')
    # The second partition is still what the earlier code made of it.
    assert cli("materialize", "clean", "--partition", "2024-01-01").code == 0
    assert (reached(cli, "raw.y"), reached(cli, "rates"), reached(cli, "rates.rate")) == ([], [], [])
    assert (reached(cli, "raw.x"), reached(cli, "raw")) == (["clean.x"], ["clean"])


def test_impact_leaves_out_what_only_code_between_read_that_was_taken_back(folder: Path, cli: Cli) -> None:
    (folder / "pyproject.toml").write_text('[tool.headwater]\nproject = "code"\nmodules = ["flows"]\n')
    without = READS.replace('"id", "x", "y", "rate"', '"id", "x", "rate"')
    for code in (without, READS, without):
        (folder / "flows.py").write_text(code)
        assert cli("materialize", "*").code == 0
    assert (reached(cli, "raw.y"), reached(cli, "raw.x")) == ([], ["clean.x"])


EXCHANGED = """
import sys
from headwater import Asset, DailyPartitions, flow, materialize

days = DailyPartitions("2024-01-01", "2024-01-03")
first = Asset("first", at="parquet://lake/first", partitions=days)
second = Asset("second", at="parquet://lake/second", partitions=days)
table = Asset("table", at="csv://table.csv")
daily = Asset("daily", at="parquet://lake/daily", partitions=days)
pinned = Asset("pinned", at="parquet://lake/pinned", partitions=days)
passed = Asset("passed", at="parquet://lake/passed")
whole = Asset("whole", at="parquet://lake/whole")

@materialize(first)
def make_first(partition):
    return [{"x": 1}]

@materialize(second)
def make_second(partition):
    return [{"x": 2}]

@materialize(daily, inputs={"rows": first})
def make_daily(rows):
    return rows

@materialize(pinned, inputs={"rows": first}, version="1")
def make_pinned(rows):
    return rows

@materialize(passed, inputs={"rows": first.all()})
def make_passed(rows):
    return rows

@materialize(whole, inputs={"rows": table})
def make_whole(rows):
    return rows

@flow
def by_hand():
    make_passed(rows=make_pinned.at("2024-01-01")())
"""


def test_what_was_made_of_another_asset_than_the_input_is_now_is_stale(folder: Path, cli: Cli) -> None:
    (folder / "pyproject.toml").write_text('[tool.headwater]\nproject = "code"\nmodules = ["flows"]\n')
    (folder / "flows.py").write_text(EXCHANGED)
    for name in ("table", "other"):
        (folder / f"{name}.csv").write_text(f"name\n{name}\n")
    for selection in ("first or second", "not passed"):
        assert cli("materialize", selection).code == 0
    assert cli("run", "flows.py:by_hand").code == 0
    assert stale(cli) == {}
    # The text of no function is another one; nothing that is read now is newer than what was made.
    edit(folder, "flows", '(daily, inputs={"rows": first}', '(daily, inputs={"rows": second}')
    edit(folder, "flows", '(pinned, inputs={"rows": first}', '(pinned, inputs={"rows": second}')
    edit(folder, "flows", 'Asset("table", at="csv://table.csv")', 'Asset("other", at="csv://other.csv")')
    gone = {one: [f"it read {one}, which is no input any more"] for one in ("first", "table")}
    assert stale(cli) == {"daily": gone["first"], "whole": gone["table"]}
    assert cli("status", "--count", "--json").json["stale"] == 2
    assert gone["first"][0] in cli("explain", "daily@2024-01-02").out
    assert cli("materialize", "daily", "--partition", "2024-01-01").code == 0
    assert cli("explain", "daily@2024-01-01").out.startswith("daily@2024-01-01 is up to date")
    assert stale(cli) == {"daily": gone["first"], "whole": gone["table"]}
    assert cli("materialize", "*", "--only", "stale").code == 0
    assert stale(cli) == {}
    # A name is no other asset.
    edit(
        folder,
        "flows",
        'Asset("second", at="parquet://lake/second"',
        'Asset("next", renamed_from="second", at="parquet://lake/next"',
    )
    (folder / "lake" / "second").rename(folder / "lake" / "next")
    assert stale(cli) == {}
