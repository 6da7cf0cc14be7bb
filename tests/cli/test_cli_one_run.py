"""`headwater runs show` and `headwater runs --state`: what came of a run."""

from pathlib import Path

import pytest
from cli_project import Cli

FLOWS = """
from headwater import Asset, flow, materialize, task

prices = Asset("prices", at="parquet://lake/prices")


@task
def fetch(count):
    if count > 2:
        raise ValueError(f"{count} are too many\\nfor one")
    return list(range(count))


@materialize(prices)
def price(count):
    import polars as pl

    return pl.DataFrame({"price": fetch(count)})


@flow
def part(count: int):
    price(count)


@flow(name="whole")
def whole(count: int, note: str = "for Ümit"):
    part(count)
"""


@pytest.fixture
def ids(folder: Path, cli: Cli) -> dict[str, str]:
    """The ids of the runs: of one that completed, of one that failed, and of the one within that."""
    (folder / "pyproject.toml").write_text('[tool.headwater]\nproject = "prices"\n')
    (folder / "flows.py").write_text(FLOWS)
    assert cli("run", "flows.py:whole", "-p", "count=2").code == 0
    assert cli("run", "flows.py:whole", "-p", "count=3").code == 1
    found = cli("runs", "--json").json["runs"]
    ids = {(one["flow"], one["state"]): one["id"] for one in found}
    return {
        "well": ids["whole", "Completed"],
        "failed": ids["whole", "Failed"],
        "within": ids["part", "Failed"],
        "well within": ids["part", "Completed"],
    }


def test_a_failed_run_tells_how_it_was_called_and_why_it_failed(cli: Cli, ids: dict[str, str]) -> None:
    lines = cli("runs", "show", ids["failed"]).out.splitlines()
    told = dict(line.split(maxsplit=1) for line in lines[:5] if line)
    assert told["run"] == ids["failed"]
    assert told["flow"].startswith("whole (flows.py:")
    assert told["state"] == "✖ Failed"
    text = "\n".join(lines)
    assert "parameter  count = 3\n" in text
    assert 'parameter  note = "for Ümit"\n' in text
    assert "error      ValueError: 3 are too many\n" in text
    assert "Traceback (most recent call last):\n" in text
    assert f"\n{ids['within']}  part  ✖ Failed" in text


def test_task_runs_stand_below_the_one_that_called_them(cli: Cli, ids: dict[str, str]) -> None:
    text = cli("runs", "show", ids["within"]).out
    assert f"within     {ids['failed']} (whole)\n" in text
    (at,) = (at for at, line in enumerate(text.splitlines()) if line.startswith("task  "))
    called, fetch = text.splitlines()[at + 1 : at + 3]
    assert called.startswith("price    ✖ Failed")
    assert fetch.startswith("  fetch  ✖ Failed")
    assert fetch.endswith("3 are too many")


def test_what_a_run_made_is_told(cli: Cli, ids: dict[str, str]) -> None:
    done = cli("runs", "show", ids["well within"])
    (made,) = (line for line in done.out.splitlines() if line.startswith("prices"))
    assert made.split()[:5] == ["prices", "materialization", "-", "published", "2"]
    value = cli("runs", "show", ids["well within"], "--json").json
    assert [one["task"] for one in value["task_runs"]] == ["price", "fetch"]
    assert ("prices", "published") in [(one["name"], one["state"]) for one in value["artifacts"]]
    assert (value["parent"], value["parameters"]) == (ids["well"], {"count": 2})


def test_runs_and_task_runs_are_asked_for_by_their_state(cli: Cli, ids: dict[str, str]) -> None:
    assert {row["state"] for row in cli("runs", "--state", "failed", "--json").json["runs"]} == {"Failed"}
    assert cli("runs", "--state", "TimedOut").out == "no run is TimedOut\n"
    assert cli("runs", "show", ids["within"], "--state", "completed", "--json").json["task_runs"] == []
    wrong = cli("runs", "--state", "broken")
    assert wrong.code == 2
    assert '"timed-out"' in wrong.err


def test_what_is_not_shown_is_said(cli: Cli, ids: dict[str, str]) -> None:
    few = cli("runs", "show", ids["within"], "--limit", "1").out
    assert few.endswith("\nthe first 1 task runs and things that it made are shown: --limit shows more\n")
    assert "--limit" not in cli("runs", "show", ids["within"]).out
    unknown = cli("runs", "show", "ffff")
    assert unknown.code == 2
    assert "ffff" in unknown.err
