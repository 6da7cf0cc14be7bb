"""The flights example: after a change of code, a backfill of what is stale does exactly what its dry run announced."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_project import Cli

EXAMPLE = Path(__file__).parents[2] / "examples" / "flights"


@pytest.fixture
def flights(folder: Path) -> Path:
    """The example, with its data."""
    for name in ("flights.py", "data.py", "pyproject.toml"):
        shutil.copy(EXAMPLE / name, folder / name)
    subprocess.run([sys.executable, "data.py"], cwd=folder, check=True)
    return folder


def test_a_backfill_of_what_is_stale_does_what_its_dry_run_announced(cli: Cli, flights: Path) -> None:
    def headwater(*arguments: str) -> Any:
        found = cli(*arguments, "--json")
        assert found.code == 0, found.err
        return found.json

    days = ("--from", "2013-01-01", "--to", "2013-01-03", "--upstream")
    headwater("backfill", "route_risk or daily_delays", *days, "--only", "missing")
    stale = ("backfill", "route_risk", *days, "--only", "stale")

    def change(text: str, other: str) -> None:
        code = (flights / "flights.py").read_text()
        assert code.count(text) == 1
        (flights / "flights.py").write_text(code.replace(text, other))

    def announced(*command: str) -> dict[str, int]:
        return {one["asset"]: one["count"] for one in headwater(*command, "--dry-run")["steps"]}

    def made(backfill: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for one in headwater("backfill", "show", backfill)["outcomes"]:
            found[one["asset"]] = found.get(one["asset"], 0) + (one["state"] == "completed")
        return found

    # Nothing that route_risk reads is made of daily_delays: a change there is nothing to it.
    change('cancelled=pl.col("dep_time").is_null().sum()', 'cancelled=pl.col("dep_time").is_null().sum() + 0')
    assert announced(*stale) == {}
    assert headwater(*stale)["partitions"]["requested"] == 0
    delays = ("backfill", "daily_delays", *days, "--only", "stale", "--parallel", "2")
    assert announced(*delays) == {"daily_delays": 3} == made(headwater(*delays)["id"])

    # What it does read: flights are made again, weather is not, and what is made of flights only when it is asked for.
    change("* 1_000).round()", "* 1_000).floor()")
    assert announced(*stale) == {"route_risk": 3}
    change(
        "raw.filter(local_day == partition.date)\n\n\n@materialize(weather)",
        "raw.filter(partition.date == local_day)\n\n\n@materialize(weather)",
    )
    assert announced(*stale) == {"flights": 3, "route_risk": 3} == made(headwater(*stale)["id"])
    assert announced(*stale) == {}
