"""`headwater checks` and `headwater check`, and what the board says of checks."""

from pathlib import Path

import pytest
from cli_project import Cli, write_shop
from screens import screen, widest

MORE = """

from headwater.checks import in_range, not_null, row_count

prices = Asset(
    "prices",
    at="parquet://lake/prices",
    partitions=days,
    checks=[not_null("price", blocking=True), in_range("price", 0, 10, description="A price is small."), row_count(min=1)],
)


@materialize(prices)
def price(partition: Partition) -> pl.DataFrame:
    if Path("none").exists():
        return pl.DataFrame({"price": [None]}, schema={"price": pl.Float64})
    return pl.DataFrame({"price": [1.0, 7.0 * partition.date.day]})
"""


@pytest.fixture
def priced(cli: Cli, folder: Path) -> Cli:
    """Two days of prices were made; the second one has a price that is too high."""
    write_shop(folder)
    (folder / "shop.py").write_text((folder / "shop.py").read_text() + MORE)
    assert cli("materialize", "prices", "-p", "2024-01-01..2024-01-02").code == 0
    return cli


def test_checks_are_listed_with_what_they_said_last(priced: Cli) -> None:
    value = priced("checks", "--json").json
    assert [
        (row["name"], row["passed"], row["partition"], row["failing"], row["partitions"]) for row in value["checks"]
    ] == [
        ("in_range(price)", False, "2024-01-02", 1, 2),
        ("not_null(price)", True, "2024-01-02", 0, 2),
        ("row_count", True, "2024-01-02", 0, 2),
    ]
    first = value["checks"][0]
    assert first["message"] == "1 of 2 rows: price is outside 0 to 10 (price=14.0)"
    assert (first["metrics"], first["severity"], first["description"]) == (
        {"rows": 2, "failed": 1},
        "warn",
        "A price is small.",
    )
    text = priced("checks", "prices").out
    assert "▲ failed" in text
    assert "1 of 2 fail" in text
    assert len(priced("checks", "--failed").out.splitlines()) == 2
    history = priced("checks", "--history", "--json").json["checks"]
    assert len(history) == 6
    assert {row["partition"] for row in history} == {"2024-01-01", "2024-01-02"}
    assert all(row["run"] and row["published"] for row in history)
    assert len(priced("checks", "--history", "--limit", "2", "--json").json["checks"]) == 2
    assert priced("checks", "totals", "--json").json["checks"] == []
    assert "no check was asked yet" in priced("checks", "totals").out
    assert priced("checks", "--limit", "0").code == 2


def test_check_asks_again_about_what_is_in_place(priced: Cli, folder: Path) -> None:
    done = priced("check", "prices", "--json")
    assert done.code == 0
    assert not done.json["passed"]
    assert [(row["partition"], row["name"], row["passed"]) for row in done.json["checks"] if not row["passed"]] == [
        ("2024-01-02", "in_range(price)", False)
    ]
    # Stricter now: what is in place is refused, and stays.
    text = (folder / "shop.py").read_text()
    (folder / "shop.py").write_text(text.replace('"price", 0, 10,', '"price", 5, 10, blocking=True,'))
    done = priced("check", "prices@2024-01-01")
    assert done.code == 3
    assert "✖ failed" in done.out
    assert "1 of 3 checks failed" in done.err
    assert priced("check", "prices@2024-01-01..2024-01-31", "--json").code == 3
    assert priced("check", "prices@2024-01-09").code == 1
    assert priced("check", "nothing").code == 2
    assert priced("check", "totals").code == 2
    done = priced("status", "prices", "--json")
    row = done.json["assets"][0]
    assert [(one["partition"], one["severity"]) for one in row["failed_checks"]] == [
        ("2024-01-02", "error"),
        ("2024-01-01", "error"),
    ]
    # The newest answer to each, of what is in place: the others of a day are told as well.
    assert len(priced("checks", "prices", "--history", "--failed", "--json").json["checks"]) >= 4


def test_the_board_says_that_the_old_table_stays_and_why(priced: Cli, folder: Path) -> None:
    (folder / "none").touch()
    done = priced("materialize", "prices", "-p", "2024-01-01")
    assert done.code == 3
    assert "the check 'not_null(price)' failed on prices@2024-01-01: 1 of 1 rows: price is null" in done.err + done.out
    text = priced("status", "prices").out
    assert "2024-01-01 refused, what was there before is still in place: the check 'not_null(price)' failed" in text
    assert "2024-01-02: 'in_range(price)' failed: 1 of 2 rows: price is outside 0 to 10 (price=14.0)" in text
    explained = priced("explain", "prices@2024-01-02").out
    assert "the check 'in_range(price)' failed on it: 1 of 2 rows" in explained
    assert "not_null(price)" in priced("explain", "prices@2024-01-01").out
    (folder / "none").unlink()
    assert priced("materialize", "prices", "-p", "2024-01-01").code == 0
    assert "refused" not in priced("status", "prices").out


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_a_narrow_terminal_shows_the_checks_too(priced: Cli, folder: Path, columns: int) -> None:
    for more in ([], ["--history"]):
        found = screen(folder, "checks", *more, columns=columns, NO_COLOR="1")
        assert found.splitlines()[0].split()[:2] == ["asset", "check"]
        assert widest(found) <= columns


def test_an_asset_that_no_loaded_module_defines_has_no_checks_to_ask(priced: Cli, folder: Path) -> None:
    (folder / "pyproject.toml").unlink()
    done = priced("check", "prices")
    assert (done.code, done.out) == (2, "")
    assert "nothing in the loaded modules defines 'prices'" in done.err
    assert "name the file that defines it: -f my_flow.py" in done.err
    assert "did you mean 'prices'?" in priced("check", "prizes").err
    assert priced("check", "prices", "-f", "shop.py").code == 0


ODD = """
from headwater import Asset, StaticPartitions, materialize
from headwater.checks import row_count

odd = Asset("odd", at="parquet://lake/odd", partitions=StaticPartitions(["a,b", "a..b", "50%", "a"]), checks=[row_count(min=1)])


@materialize(odd)
def make(partition):
    return {"key": [partition.key]}
"""


@pytest.mark.parametrize(("key", "written"), [("a,b", "a%2Cb"), ("a..b", "a%2E%2Eb"), ("50%", "50%25")])
def test_a_key_that_means_something_in_a_set_is_named_as_it_is_shown_or_written(
    cli: Cli, folder: Path, key: str, written: str
) -> None:
    (folder / "odd.py").write_text(ODD)
    assert cli("materialize", "odd", "-p", written, "-f", "odd.py").code == 0
    for subject in (f"odd@{key}", f"odd@{written}"):
        assert cli("explain", subject, "-f", "odd.py", "--json").json["subject"] == f"odd@{key}"
        answers = cli("check", subject, "-f", "odd.py", "--json").json["checks"]
        assert [(one["partition"], one["passed"]) for one in answers] == [(key, True)]


def test_check_leaves_out_what_is_no_partition_any_more(priced: Cli, folder: Path) -> None:
    text = (folder / "shop.py").read_text()
    later = 'prices",\n    at="parquet://lake/prices",\n    partitions='
    (folder / "shop.py").write_text(text.replace(later + "days", later + 'DailyPartitions("2024-01-02", "2024-01-06")'))
    done = priced("check", "prices", "--json")
    assert (done.code, {row["partition"] for row in done.json["checks"]}) == (0, {"2024-01-02"})
