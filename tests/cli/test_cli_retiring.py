"""Retiring and renaming an asset: it leaves the board, or goes on under another name; its history stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_project import Cli

FLOWS = """
from headwater import Asset, DailyPartitions, materialize

days = DailyPartitions("2024-01-01", "2024-01-03")
old = Asset("old", at="parquet://lake/old", partitions=days)
below = Asset("below", at="parquet://lake/below")

@materialize(old)
def make_old(partition):
    return [{"x": partition.key}]

@materialize(below, inputs={"rows": old.all()})
def make_below(rows):
    return rows
"""


@pytest.fixture
def made(folder: Path, cli: Cli) -> Cli:
    """The command line in a project whose assets are made."""
    (folder / "pyproject.toml").write_text('[tool.headwater]\nproject = "names"\nmodules = ["flows"]\n')
    (folder / "flows.py").write_text(FLOWS)
    assert cli("materialize", "*").code == 0
    return cli


def names(cli: Cli, selection: str = "*") -> set[str]:
    return {row["name"] for row in cli("status", selection, "--json").json["assets"]}


def test_an_asset_that_nothing_defines_any_more_is_retired(folder: Path, made: Cli) -> None:
    refused = made("retire", "below")
    assert (refused.code, "is defined in the modules" in refused.err) == (2, True)
    (folder / "flows.py").write_text(FLOWS[: FLOWS.index("@materialize(below")].replace("below = ", "# "))
    assert names(made) == {"old", "below"}
    assert made("materialize", "old", "--partition", "*").code == 0
    refused = made("materialize", "*")
    assert (refused.code, "when it is gone for good: headwater retire below" in refused.err) == (2, True)
    assert made("retire", "below").code == 0
    assert made("materialize", "*").code == 0
    assert made("retire", "nothing").code == 2
    assert names(made) == {"old"}
    assert names(made, "old+") == {"old"}
    assert made("status", "--count", "--json").json["assets"] == 1
    assert "with 2 rows as version" in made("explain", "below").out or "below" in made("explain", "below").out
    assert names(made, "below") == {"below"}
    # Defined again, it is back.
    (folder / "flows.py").write_text(FLOWS)
    assert names(made) == {"old", "below"}


def test_an_asset_is_retired_in_its_definition(folder: Path, made: Cli) -> None:
    (folder / "flows.py").write_text(
        FLOWS.replace('at="parquet://lake/below"', 'at="parquet://lake/below", retired=True')
    )
    assert names(made) == {"old"}
    assert made("status", "--count", "--json").json["assets"] == 1


@pytest.mark.parametrize("moved", [False, True])
def test_a_renamed_asset_keeps_its_history(folder: Path, made: Cli, *, moved: bool) -> None:
    text = FLOWS.replace('Asset("old"', 'Asset("new"').replace("partitions=days", 'partitions=days, renamed_from="old"')
    if moved:
        text = text.replace("lake/old", "lake/new")
        (folder / "lake/old").rename(folder / "lake/new")
    (folder / "flows.py").write_text(text)
    rows = {row["name"]: row for row in made("status", "--json").json["assets"]}
    assert set(rows) == {"new", "below"}
    assert rows["new"]["partitions"] == {"total": 2, "materialized": 2, "failed": 0, "missing": 0}
    assert (rows["new"]["data_through"], rows["new"]["stale"]["is_stale"]) == ("2024-01-03T00:00:00.000000Z", False)
    assert not rows["below"]["stale"]["is_stale"]
    assert rows["below"]["data_through"] == "2024-01-03T00:00:00.000000Z"
    counted = made("status", "--count", "--json").json
    assert (counted["assets"], counted["stale"]) == (2, 0)
    assert "it was named old before" in made("explain", "new").out
    assert "made at" in made("explain", "new@2024-01-02").out
    (step,) = made("materialize", "new", "-p", "2024-01-02", "--dry-run", "--json").json["steps"]
    assert step["usual_seconds"] > 0
    assert made("materialize", "new", "-p", "2024-01-02").code == 0
    assert made("materialize", "*", "--only", "stale").code == 0
    rows = {row["name"]: row for row in made("status", "--json").json["assets"]}
    assert [row["stale"]["is_stale"] for row in rows.values()] == [False, False]


def test_a_name_that_nothing_was_made_under_is_told(folder: Path, made: Cli) -> None:
    text = FLOWS.replace('Asset("old"', 'Asset("new"').replace("lake/old", "lake/new")
    (folder / "lake/old").rename(folder / "lake/new")
    (folder / "flows.py").write_text(text.replace("partitions=days", 'partitions=days, renamed_from="middle"'))
    unknown = "it was named middle before, and nothing that was made is known of that name"
    assert unknown in made("explain", "new").out
    (folder / "flows.py").write_text(text.replace("partitions=days", 'partitions=days, renamed_from="old"'))
    assert "nothing that was made" not in made("explain", "new").out


@pytest.mark.parametrize("moved", [False, True])
def test_checks_compare_with_what_was_made_under_the_earlier_name(folder: Path, made: Cli, *, moved: bool) -> None:
    text = FLOWS.replace('Asset("old"', 'Asset("new"').replace(
        "partitions=days", 'partitions=days, renamed_from="old", checks=[schema(blocking=True), anomaly("rows")]'
    )
    text = text.replace("def make_old", "def make_new").replace('"x"', '"y"')
    if moved:
        text = text.replace("lake/old", "lake/new")
        (folder / "lake/old").rename(folder / "lake/new")
    (folder / "flows.py").write_text("from headwater.checks import anomaly, schema\n" + text)
    refused = made("materialize", "new", "-p", "2024-01-02")
    assert refused.code == 3
    assert "x is gone" in refused.out
    (said,) = (one for one in made("checks", "new", "--json").json["checks"] if one["kind"] == "anomaly")
    assert said["message"] == "not enough history: 1 of 8 earlier values of rows"


@pytest.mark.parametrize("moved", [False, True])
def test_checks_are_told_by_the_name_of_now(folder: Path, made: Cli, *, moved: bool) -> None:
    text = "from headwater.checks import not_null\n" + FLOWS.replace(
        'lake/old", partitions=days', 'lake/old", partitions=days, checks=[not_null("x")]'
    )
    (folder / "flows.py").write_text(text)
    assert made("check", "old").code == 0
    for name in ("middle", "new"):
        before = "old" if name == "middle" else "middle"
        text = text.replace(f'Asset("{before}"', f'Asset("{name}", renamed_from="{before}"')
        text = text.replace('renamed_from="middle", renamed_from="old"', 'renamed_from="middle"')
        if moved:
            text = text.replace(f"lake/{before}", f"lake/{name}")
            (folder / f"lake/{before}").rename(folder / f"lake/{name}")
        (folder / "flows.py").write_text(text)
        (told,) = made("checks", "--json").json["checks"]
        assert (told["asset"], told["partitions"]) == (name, 2)
    assert made("check", "new@2024-01-02").code == 0
    (told,) = made("checks", "new", "--json").json["checks"]
    assert (told["asset"], told["partitions"]) == ("new", 2)
    assert {one["asset"] for one in made("checks", "--history", "--json").json["checks"]} == {"new"}


def test_what_is_renamed_where_it_is_takes_nothing_over_from_another_environment(folder: Path, made: Cli) -> None:
    (folder / "flows.py").write_text(FLOWS.replace("lake/", "prod/"))
    assert made("materialize", "old", "-p", "2024-01-01").code == 0
    (folder / "flows.py").write_text(FLOWS)
    (before,) = made("status", "old", "--json").json["assets"]
    renamed = FLOWS.replace('Asset("old"', 'Asset("new"').replace(
        "partitions=days", 'partitions=days, renamed_from="old"'
    )
    (folder / "flows.py").write_text(renamed)
    (after,) = made("status", "new", "--json").json["assets"]
    assert names(made) == {"new", "below"}
    assert made("status", "--count", "--json").json["assets"] == 2
    for what in ("location", "partitions", "rows", "last_materialized", "data_through"):
        assert after[what] == before[what]


AGAIN = """
again = Asset("old", at="parquet://lake/again")

@materialize(again)
def make_again():
    return [{"x": 1}] * 3
"""


def test_a_name_that_was_given_up_may_be_given_to_another_asset(folder: Path, made: Cli) -> None:
    moved = FLOWS.replace('Asset("old"', 'Asset("new"').replace("lake/old", "lake/new")
    moved = moved.replace("partitions=days", 'partitions=days, renamed_from="old"')
    (folder / "lake/old").rename(folder / "lake/new")
    (folder / "flows.py").write_text(moved)
    assert made("materialize", "new", "-p", "2024-01-01").code == 0
    (folder / "flows.py").write_text(moved + AGAIN)
    assert made("materialize", "old").code == 0
    for modules in ('["flows"]', "[]"):
        (folder / "pyproject.toml").write_text(f'[tool.headwater]\nproject = "names"\nmodules = {modules}\n')
        rows = {row["name"]: row["rows"] for row in made("status", "--json").json["assets"]}
        assert rows == {"old": 3, "new": 2, "below": 2}
        assert made("status", "--count", "--json").json["assets"] == 3


def test_what_is_retired_in_one_environment_alone_counts_where_it_is_not(folder: Path, made: Cli) -> None:
    retired = 'at="parquet://dev/below", retired=True'
    for text in (FLOWS.replace('at="parquet://lake/below"', retired), FLOWS.replace("lake/", "prod/")):
        (folder / "flows.py").write_text(text)
        assert made("materialize", "+below").code == 0
    (folder / "pyproject.toml").write_text('[tool.headwater]\nproject = "names"\n')
    assert names(made) == {"old", "below"}
    assert made("status", "--count", "--json").json["assets"] == 2


def test_what_failed_before_it_was_renamed_and_moved_has_not_failed_once_it_is_made(folder: Path, made: Cli) -> None:
    (folder / "flows.py").write_text(FLOWS.replace('[{"x": partition.key}]', "1 / 0"))
    assert made("materialize", "old", "-p", "2024-01-02").code == 1
    moved = FLOWS.replace('Asset("old"', 'Asset("new"').replace("lake/old", "lake/new")
    (folder / "flows.py").write_text(moved.replace("partitions=days", 'partitions=days, renamed_from="old"'))
    (folder / "lake/old").rename(folder / "lake/new")
    assert names(made, "failed()") == {"new"}
    assert made("materialize", "new", "-p", "2024-01-02").code == 0
    assert made("status", "failed()", "--count").out == "0 assets\n"
    (row,) = made("status", "new", "--json").json["assets"]
    assert (row["refused"], row["partitions"]["failed"]) == ([], 0)


def told(cli: Cli, *which: str) -> set[tuple[str, str]]:
    """Which checks stand there by which names."""
    return {(one["asset"], one["name"]) for one in cli("checks", *which, "--json").json["checks"]}


def test_checks_of_a_name_that_was_given_to_another_asset_are_told_apart(folder: Path, made: Cli) -> None:
    checked = "from headwater.checks import not_null\n" + FLOWS.replace(
        'lake/old", partitions=days', 'lake/old", partitions=days, checks=[not_null("x")]'
    )
    (folder / "flows.py").write_text(checked)
    assert made("check", "old").code == 0
    moved = checked.replace('Asset("old"', 'Asset("new"').replace("lake/old", "lake/new")
    moved = moved.replace("partitions=days,", 'partitions=days, renamed_from="old",')
    (folder / "lake/old").rename(folder / "lake/new")
    again = "from headwater.checks import row_count\n" + AGAIN.replace('again")', 'again", checks=[row_count(min=1)])')
    (folder / "flows.py").write_text(moved)
    assert told(made) == {("new", "not_null(x)")}
    (folder / "flows.py").write_text(moved + again)
    assert made("materialize", "old").code == 0
    # The one that was renamed is defined anew after the other one.
    (folder / "flows.py").write_text(moved.replace("partitions=days,", 'partitions=days, description="anew",') + again)
    for modules in ('["flows"]', "[]"):
        (folder / "pyproject.toml").write_text(f'[tool.headwater]\nproject = "names"\nmodules = {modules}\n')
        everything = {("new", "not_null(x)"), ("old", "row_count")}
        assert told(made) == told(made, "--history") == everything
        for name in ("new", "old"):
            assert told(made, name) == told(made, name, "--history") == {one for one in everything if one[0] == name}


def test_checks_of_two_environments_are_told_apart(folder: Path, made: Cli) -> None:
    checked = "from headwater.checks import not_null\n" + FLOWS.replace(
        'lake/old", partitions=days', 'lake/old", partitions=days, checks=[not_null("x")]'
    )
    for text in (checked, checked.replace("lake/", "prod/"), checked):
        (folder / "flows.py").write_text(text)
        assert made("materialize", "old", "-p", "2024-01-01").code == 0
    assert len(made("checks", "--history", "--json").json["checks"]) == 2
    (folder / "flows.py").write_text(checked.replace("lake/", "prod/"))
    assert len(made("checks", "old", "--history", "--json").json["checks"]) == 1
    (row,) = made("checks", "--json").json["checks"]
    assert (row["asset"], row["partitions"]) == ("old", 1)


def test_lineage_is_that_of_the_environment_that_is_loaded(folder: Path, made: Cli) -> None:
    prod = FLOWS.replace("lake/", "prod/").replace(', inputs={"rows": old.all()}', "")
    prod = prod.replace("def make_below(rows):\n    return rows", 'def make_below():\n    return [{"x": 1}]')
    (folder / "flows.py").write_text(prod)
    assert made("materialize", "below").code == 0

    def read() -> set[str]:
        return {one["from"] for one in made("lineage", "below", "--json").json["edges"]}

    assert read() == set()
    for text, sources in ((FLOWS, {"old"}), (prod, set()), (FLOWS, {"old"})):
        (folder / "flows.py").write_text(text)
        assert read() == sources
