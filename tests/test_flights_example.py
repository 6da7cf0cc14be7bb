"""The flights example on a few of its days: what `make demo` shows of a whole year is right."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
from cli_project import as_in_a_new_process

from headwater.cli.app import run

EXAMPLE = Path(__file__).parent.parent / "examples" / "flights"


@pytest.fixture
def flights(tmp_path: Path) -> Path:
    for name in ("flights.py", "data.py", "pyproject.toml"):
        shutil.copy(EXAMPLE / name, tmp_path / name)
    subprocess.run([sys.executable, "data.py"], cwd=tmp_path, check=True)
    return tmp_path


def headwater(folder: Path, *arguments: str) -> Any:
    """A command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "headwater", *arguments, "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def asked(*arguments: str) -> Any:
    """A command in this process, which takes less time."""
    with contextlib.redirect_stdout(io.StringIO()) as printed, as_in_a_new_process():
        code = run([*arguments, "--json"])
    assert code == 0, printed.getvalue()
    return json.loads(printed.getvalue())


def test_the_first_days_of_2013(flights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(flights)
    headwater(flights, "run", "flights.py:observe_sources")
    backfill = (
        "backfill",
        "route_risk",
        "--from",
        "2013-01-01",
        "--to",
        "2013-01-03",
        "--upstream",
        "--only",
        "missing",
    )
    planned = asked(*backfill, "--dry-run")
    assert {step["asset"]: step["count"] for step in planned["steps"]} == {"flights": 3, "weather": 3, "route_risk": 3}
    done = headwater(flights, *backfill)
    assert (done["state"], done["partitions"]["completed"]) == ("completed", 9)
    assert asked(*backfill)["partitions"]["requested"] == 0

    with duckdb.connect(str(flights / ".headwater" / "headwater.duckdb"), read_only=True) as client:
        rows = "select rows from materializations where asset = 'flights' and partition = '2013-01-01'"
        assert client.sql(rows).fetchall() == [(842,)]
        window = (
            "select source_partition from edges "
            "where target = 'route_risk' and target_partition = '2013-01-03' and source = 'weather'"
        )
        assert len(client.sql(window).fetchall()) == 3

    board = {row["name"]: row for row in asked("status", "--as-of", "2013-01-04")["assets"]}
    assert board["route_risk"]["data_through"] == board["weather"]["data_through"] == "2013-01-04T04:00:00.000000Z"
    assert board["weather"]["freshness"]["witness"] == ["weather@2013-01-03"]
    assert board["airlines"]["rows"] == 16
    tagged = {one["id"]: one for one in asked("tags", "--tag", "pii")["columns"]}
    assert tagged["flights.tailnum"]["path"] == ["flights_csv.tailnum", "flights.tailnum"]
    assert {one["asset"] for one in tagged.values()} == {"flights_csv", "flights"}
    columns = asked("lineage", "route_risk.risk", "--up", "--columns")
    sources = {edge["from"] for edge in columns["edges"] if edge["to"] == "route_risk.risk"}
    assert {"flights.dep_delay", "weather.wind_speed", "weather.precip"} <= sources
