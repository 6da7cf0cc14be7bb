"""Functions of several outputs, some of them optional, as the command line tells of them.

What was left out and never made is nothing, and up to date; what one call makes is planned together.
"""

from pathlib import Path
from typing import Any

import pytest
from cli_project import Cli

MODULE = """
import polars as pl
from headwater import Asset, StaticPartitions, materialize

how = {how}
raw, good, bad, report, alarm = (
    Asset(name, at=f"parquet://lake/{{name}}", optional=name == "bad", **how) for name in ("raw", "good", "bad", "report", "alarm")
)
rows = pl.DataFrame({{"id": [1]}})

@materialize(raw)
def fetch():
    return rows

@materialize(good, bad, inputs={{"of": raw}})
def split(of):
    return {{"good": of}}

@materialize(report, inputs={{"of": good}})
def tell(of):
    return of

@materialize(alarm, inputs={{"of": bad}})
def warn(of):
    return of
"""
ALL = "raw or good or bad or report"


@pytest.fixture(params=["{}", "{'partitions': StaticPartitions(['x'])}"], ids=["whole", "partitioned"])
def lake(request: pytest.FixtureRequest, folder: Path) -> Path:
    (folder / "pyproject.toml").write_text('[project]\nname = "lake"\n[tool.headwater]\nmodules = ["lake"]\n')
    (folder / "lake.py").write_text(MODULE.format(how=request.param))
    return folder


def planned(cli: Cli, *command: str) -> list[str]:
    return [step["asset"] for step in cli("materialize", *command, "--dry-run", "--json").json["steps"]]


def row(cli: Cli, name: str) -> dict[str, Any]:
    (found,) = cli("status", name, "--json").json["assets"]
    return found


def test_what_was_left_out_and_never_made_comes_to_rest(cli: Cli, lake: Path) -> None:
    made = cli("materialize", ALL, "--only", "stale", "--json")
    assert (made.code, made.json["partitions"]["completed"]) == (0, 4)
    again = cli("materialize", ALL, "--only", "stale", "--json")
    assert (again.code, again.json["partitions"]["requested"]) == (0, 0)
    found = row(cli, "bad")
    assert (found["last_materialized"], found["stale"]) == (None, {"is_stale": False, "partitions": 0, "reasons": []})
    assert found["partitions"] in (None, {"total": 1, "materialized": 0, "failed": 0, "missing": 1})
    told = cli("explain", "bad" if found["partitions"] is None else "bad@x").out
    assert "skipped this optional output" in told
    assert "up to date" in told
    assert "bad" in planned(cli, ALL, "--only", "missing")


def test_what_reads_what_was_left_out_is_blocked_and_makes_nothing_else_again(cli: Cli, lake: Path) -> None:
    assert cli("materialize", "*", "--only", "stale").code == 3
    done = cli("materialize", "*", "--only", "stale", "--json")
    assert (done.code, done.json["partitions"]["requested"], done.json["partitions"]["blocked"]) == (3, 1, 1)


def test_what_was_left_out_is_tried_again_when_what_that_call_read_is_made_again(cli: Cli, lake: Path) -> None:
    cli("materialize", ALL, "--only", "stale")
    assert cli("materialize", "raw", "--only", "stale", "--dry-run", "--json").json["steps"] == []
    code = (lake / "lake.py").read_text()
    (lake / "lake.py").write_text(code.replace("    return rows", "    return rows.head(1)"))
    assert planned(cli, ALL, "--only", "stale") == ["raw", "bad", "good", "report"]
    assert row(cli, "bad")["stale"]["reasons"][0]["text"].startswith("its input raw is stale itself")
    cli("materialize", "raw", "--only", "stale")
    assert row(cli, "bad")["stale"]["reasons"][0]["text"].startswith("its input raw changed since it was left out")
    (lake / "lake.py").write_text((lake / "lake.py").read_text().replace('{"good": of}', '{"good": of, "bad": of}'))
    cli("materialize", ALL, "--only", "stale")
    assert row(cli, "bad")["last_materialized"] is not None
    assert planned(cli, "*", "--only", "stale") == ["alarm"]


def test_what_one_call_makes_is_planned_together(cli: Cli, lake: Path) -> None:
    code = (lake / "lake.py").read_text()
    pinned = code.replace('inputs={"of": raw})', 'inputs={"of": raw}, version="1")')
    assert pinned != code
    (lake / "lake.py").write_text(pinned.replace("(good, bad, ", "(good, ").replace('{"good": of}', "of"))
    cli("materialize", "raw or good or report", "--only", "stale")
    (lake / "lake.py").write_text(pinned.replace('{"good": of}', '{"good": of, "bad": of}'))
    assert not row(cli, "good")["stale"]["is_stale"]
    assert planned(cli, ALL, "--only", "stale") == ["bad", "good", "report"]
    assert planned(cli, "bad") == ["bad", "good"]
    shown = cli("materialize", ALL, "--only", "stale", "--dry-run").out
    assert "good is made by the call that makes bad" in shown
    done = cli("materialize", ALL, "--only", "stale", "--json")
    assert (done.code, done.json["partitions"]["completed"]) == (0, 3)
    assert planned(cli, ALL, "--only", "stale") == []
    states = cli("backfill", "show", done.json["id"], "--json").json["outcomes"]
    assert {one["asset"]: one["state"] for one in states} == dict.fromkeys(("bad", "good", "report"), "completed")


def test_a_call_that_left_an_output_out_before_its_process_died_is_not_made_again(
    cli: Cli, lake: Path, process: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("materialize", "raw")
    monkeypatch.setenv("HEADWATER_FAILPOINT", "backfill.made:1")
    assert process("materialize", "good or bad or report").code != 0
    monkeypatch.delenv("HEADWATER_FAILPOINT")
    (backfill,) = [one for one in cli("backfill", "list", "--json").json["backfills"] if one["state"] != "completed"]
    before = row(cli, "good")["last_materialized"]
    resumed = cli("backfill", "resume", backfill["id"], "--json")
    assert (resumed.code, resumed.json["partitions"]["completed"]) == (0, 3)
    assert before is not None
    assert row(cli, "good")["last_materialized"] == before
