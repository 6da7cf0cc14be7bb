"""The first ten lines that a user writes, and the one story that everything tells of them afterwards."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
from ten_lines import ask, ran

VIEWS = {
    "runs": ["run_id", "flow", "attempt", "state", "started", "ended"],
    "task_runs": ["task_run_id", "run_id", "task", "state", "tries", "started", "ended", "error"],
    "assets": ["name", "location", "namespace", "dataset"],
    "materializations": [
        "asset", "partition", "version", "run_id", "at", "rows", "bytes", "data_through", "code_version",
    ],
    "edges": [
        "source", "target", "source_partition", "target_partition", "source_version", "target_version", "run_id",
        "origin", "at",
    ],
    "column_edges": [
        "source", "source_column", "target", "target_column", "type", "subtype", "run_id", "at",
    ],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which the script ran once."""
    return ran(tmp_path)


def test_everything_tells_the_same_story(folder: Path) -> None:
    # A plain client first, before any command: the script's own process left the views complete.
    views = client(folder)
    (asset,) = ask(folder, "status")["assets"]
    lineage = ask(folder, "lineage", "x")
    (run,) = ask(folder, "runs")["runs"]

    (run_row,) = views["runs"]
    assert (run["id"], run["flow"], run["state"]) == (run_row["run_id"], "main", "Completed")
    assert (run_row["flow"], run_row["attempt"], run_row["state"]) == ("main", 1, "Completed")
    assert run["started"] == run_row["started"].isoformat(timespec="microseconds") + "Z"
    assert run["ended"] == run_row["ended"].isoformat(timespec="microseconds") + "Z"
    assert run["tasks"] == {"Completed": len(views["task_runs"])}
    assert {row["task"]: row["state"] for row in views["task_runs"]} == {"numbers": "Completed", "make": "Completed"}
    assert {row["run_id"] for row in views["task_runs"]} == {run["id"]}

    (asset_row,) = views["assets"]
    (made,) = views["materializations"]
    assert (asset["name"], asset["location"]) == (asset_row["name"], asset_row["location"]) == ("x", "parquet://lake/x")
    assert (asset["namespace"], asset["dataset"]) == (asset_row["namespace"], asset_row["dataset"])
    assert (asset["rows"], made["rows"], made["asset"], made["run_id"]) == (3, 3, "x", run["id"])
    assert asset["last_materialized"] == made["at"].isoformat(timespec="microseconds") + "Z"
    assert (asset["stale"]["is_stale"], asset["freshness"]["verdict"]) == (False, "none")
    assert asset["freshness"]["clock"] == "last_materialized"

    assert lineage == {"root": "x", "nodes": [{"id": "x", "kind": "asset", "name": "x"}], "edges": []}
    assert views["edges"] == views["column_edges"] == []


def client(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The documented columns of the documented views, as any DuckDB client reads them."""
    with duckdb.connect(folder / ".headwater" / "headwater.duckdb", read_only=True) as connection:
        found = {}
        for view, columns in VIEWS.items():
            quoted = ", ".join(f'"{column}"' for column in columns)
            rows = connection.execute(f"SELECT {quoted} FROM {view} ORDER BY ALL").fetchall()
            found[view] = [dict(zip(columns, row, strict=True)) for row in rows]
        return found


def test_the_data_is_where_the_script_said(folder: Path) -> None:
    ((file,),) = duckdb.sql(f"SELECT file FROM glob('{folder}/lake/**')").fetchall()
    assert duckdb.sql(f"SELECT n FROM '{file}' ORDER BY n").fetchall() == [(1,), (2,), (3,)]
    assert sorted(path.name for path in folder.iterdir()) == [".headwater", "lake", "script.py"]


def test_a_second_run_is_a_second_version(folder: Path) -> None:
    subprocess.run([sys.executable, "script.py"], cwd=folder, check=True)
    views = client(folder)
    assert len(views["runs"]) == len(views["materializations"]) == 2
    assert len(views["assets"]) == 1
    assert ask(folder, "status")["assets"][0]["rows"] == 3


@pytest.mark.parametrize(
    "lose",
    [
        "sys.modules['duckdb'] = None",
        # Only root may become somebody else; whoever is not loses as much with the folder's rights.
        "os.setuid(65534) if os.geteuid() == 0 else os.chmod('.headwater', 0)",
    ],
    ids=["library", "rights"],
)
def test_a_script_that_gave_up_what_its_exit_needs_is_told_in_a_line(folder: Path, lose: str) -> None:
    code = f"import os, runpy, sys; runpy.run_path('script.py', run_name='__main__'); {lose}"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stderr.startswith("the projection could not be brought up to date: ")
    assert "Traceback" not in done.stderr
    (folder / ".headwater").chmod(0o700)
    assert [run["state"] for run in ask(folder, "runs")["runs"]] == ["Completed", "Completed"]


@pytest.mark.parametrize("how", ["KeyboardInterrupt", "RuntimeError('Query interrupted')"], ids=["python", "query"])
def test_ctrl_c_at_the_exit_of_a_script_leaves_no_traceback(folder: Path, how: str) -> None:
    lose = f"""
import runpy
from headwater.lineage.projection import Projection

def interrupted(*_, **__):
    raise {how}

runpy.run_path("script.py", run_name="__main__")
Projection.refresh = interrupted
"""
    done = subprocess.run([sys.executable, "-c", lose], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert [run["state"] for run in ask(folder, "runs")["runs"]] == ["Completed", "Completed"]
