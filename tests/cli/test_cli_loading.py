"""Where the command line finds assets: `-f FILE`, `-m MODULE`, the settings, and the journal of what ran before."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cli_project import Cli

SCRIPT = """\
from __future__ import annotations

from pathlib import Path

import polars as pl
from headwater import Asset, flow, materialize, task

HERE = Path(__file__).parent
first = Asset("first", at="memory://first")

@materialize(first)
def make() -> pl.DataFrame:
    count("make")
    return pl.DataFrame({"id": [1, 2, 3]})

@task
def measure(frame) -> int:
    count("measure")
    return len(frame)

@flow
def main() -> int:
    count("main")
    return measure(make())

def count(what: str) -> None:
    with (HERE / "counter").open("a") as file:
        file.write(what + "\\n")

number = main()
print(f"{number} rows")
double = number * 2
assert double == 6
for made in [make(), make()]:
    last = made.height
print(last)

def halved(value=double) -> int:
    return value // 2

class Report:
    size = halved()

assert Report.size == 3
if number > 2:
    second = Asset("second", at="memory://second")
third = Asset("third", at=f"memory://third")

@materialize(third)
def make_third() -> list:
    return [double]
"""


def test_a_script_is_loaded_without_running_its_unguarded_flows(cli: Cli, python: Cli, folder: Path) -> None:
    (folder / "script.py").write_text(SCRIPT)
    done = cli("status", "-f", "script.py", "--json")
    assert (done.code, done.err) == (0, "")
    assert {row["name"] for row in done.json["assets"]} == {"first", "third"}
    assert not (folder / "counter").exists()
    assert not (folder / ".headwater").exists()  # nothing ran

    ran = python("script.py")
    assert (ran.code, ran.out, ran.err) == (0, "3 rows\n3\n", "")
    before = (folder / "counter").read_text()
    assert before.split() == ["main", "make", "measure", "make", "make"]

    assert cli("status", "-f", "script.py").code == 0
    assert cli("explain", "first", "-f", "script.py").code == 0
    assert (folder / "counter").read_text() == before
    assert len(cli("runs", "--json").json["runs"]) == 3


def test_run_loads_a_script_once_and_runs_what_was_named_once(cli: Cli, folder: Path) -> None:
    (folder / "script.py").write_text(SCRIPT)
    done = cli("run", "script.py:main", "--json")
    assert done.json == {"flow": "main", "state": "Completed", "result": 3}
    assert (folder / "counter").read_text().split() == ["main", "make", "measure"]


def test_materialize_runs_only_what_was_asked_for(cli: Cli, folder: Path) -> None:
    (folder / "script.py").write_text(SCRIPT)
    assert cli("materialize", "first", "-f", "script.py").code == 0
    assert (folder / "counter").read_text().split() == ["make"]


def test_a_script_and_a_module_of_the_same_file_are_one(cli: Cli, shop: Path) -> None:
    done = cli("status", "-f", "shop.py", "-m", "shop", "--json")
    assert {row["name"] for row in done.json["assets"]} == {"shops", "sales", "daily", "totals"}


def test_a_script_in_a_folder_below_with_imports_of_its_own(cli: Cli, folder: Path) -> None:
    (folder / "below").mkdir()
    (folder / "below" / "places.py").write_text("PLACE = 'memory://deep'\n")
    text = "from places import PLACE\nfrom headwater import Asset\ndeep = Asset('deep', at=PLACE)\n"
    (folder / "below" / "flows.py").write_text(text)
    done = cli("status", "-f", "below/flows.py", "--json")
    assert [row["location"] for row in done.json["assets"]] == ["memory://deep"]


PACKAGE = {
    "shop/__init__.py": "",
    "shop/places.py": "PLACE = 'memory://deep'\n",
    "shop/jobs/__init__.py": "from .daily import nightly\n",
    "shop/jobs/daily.py": """
from headwater import Asset, flow, materialize, task

from ..places import PLACE

deep = Asset("deep", at=PLACE)


@materialize(deep)
def make():
    return [{"n": 1}]


@task
def check():
    from pathlib import Path

    assert Path("ready").exists()


@flow
def nightly():
    make()
    check()


if __name__ == "__main__":
    nightly()
""",
    "shop/other.py": """
import shop.jobs.daily
from headwater import Asset

beside = Asset("beside", at=shop.jobs.daily.PLACE + "er")
""",
}


ASSETS = """
from headwater import Asset, flow, materialize
from shop.places import PLACE

deep = Asset("deep", at=PLACE)


@materialize(deep)
def make():
    return [{"n": 1}]


@flow
def nightly():
    make()
"""


@pytest.mark.parametrize("above", ["", "src/"])
def test_a_file_of_a_package_is_the_module_that_others_import(cli: Cli, folder: Path, above: str) -> None:
    for name, text in PACKAGE.items():
        (folder / above / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / above / name).write_text(text)
    file = f"{above}shop/jobs/daily.py"
    assert cli("run", f"{file}:nightly").code == 1
    run_id = cli("runs", "--json").json["runs"][0]["id"]
    (folder / "ready").write_text("")
    assert cli("runs", "resume", run_id).code == 0
    for first, second in ((file, f"{above}shop/other.py"), (f"{above}shop/other.py", file)):
        done = cli("status", "-f", first, "-f", second, "--json")
        assert {row["name"] for row in done.json["assets"]} == {"deep", "beside"}


def test_a_module_of_the_settings_may_be_named_as_a_file(cli: Cli, folder: Path) -> None:
    (folder / "shop").mkdir()
    for name in ("__init__", "places"):
        (folder / "shop" / f"{name}.py").write_text(PACKAGE[f"shop/{name}.py"])
    (folder / "shop" / "assets.py").write_text(ASSETS)
    (folder / "pyproject.toml").write_text('[tool.headwater]\nmodules = ["shop.assets"]\n')
    assert cli("run", "shop/assets.py:nightly").code == 0
    assert cli("materialize", "deep", "-f", "shop/assets.py").code == 0


def test_a_script_beside_an_init_file_of_the_project_is_a_script(cli: Cli, shop: Path) -> None:
    (shop / "__init__.py").write_text("raise RuntimeError('nobody imports it')\n")
    done = cli("status", "-f", "shop.py", "-m", "shop", "--json")
    assert {row["name"] for row in done.json["assets"]} == {"shops", "sales", "daily", "totals"}


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        ("import polars\nx = (\n", "is not valid Python", 2),
        ("\n\nraise RuntimeError('not today')\n", "RuntimeError: not today", 3),
        ("import no_such_module\n", "no_such_module", 1),
        ("import json\n\njson.loads('{')\n", "JSONDecodeError", 3),
        ("x = 1\nprint(undefined)\n", "undefined", 2),
        ("from headwater import Asset\nAsset('x', at='nowhere://x')\n", "nowhere", 2),
    ],
)
def test_a_script_that_does_not_load_is_named_with_the_line(
    cli: Cli, folder: Path, text: str, said: str, line: int
) -> None:
    (folder / "wrong.py").write_text(text)
    done = cli("status", "-f", "wrong.py", "--json")
    assert done.code == 2, done
    error = done.json["error"]
    assert said in error["message"]
    assert f"wrong.py:{line}" in error["where"]


def test_a_module_that_runs_a_flow_when_imported_is_refused(cli: Cli, folder: Path) -> None:
    (folder / "script.py").write_text(SCRIPT)
    done = cli("status", "-m", "script", "--json")
    assert done.code == 2
    assert "'script' starts a run" in done.json["error"]["message"]
    assert "-f script.py" in done.json["error"]["hint"]
    assert not (folder / "counter").exists()


def test_files_and_modules_that_are_not_there(cli: Cli, folder: Path) -> None:
    done = cli("status", "-f", "absent.py", "--json")
    assert (done.code, done.json["error"]["message"]) == (2, "there is no file absent.py")
    done = cli("status", "-m", "absent", "--json")
    assert done.code == 2
    assert "'absent'" in done.json["error"]["message"]


@pytest.mark.parametrize("command", [["status", "-f"], ["run"]])
def test_a_file_that_can_not_be_read_is_named(cli: Cli, folder: Path, command: list[str]) -> None:
    done = cli(*command, "x" * 300 + ".py")
    assert done.code == 2
    assert "x.py can't be read: File name too long\n  where: " in done.err
    assert "hint: mend its permissions, or name another file" in done.err


def test_nothing_here_is_said_and_no_home_is_made(cli: Cli, folder: Path) -> None:
    for command in (["status"], ["runs"], ["freshness"], ["lineage", "x"], ["verify"], ["backfill", "list"]):
        done = cli(*command, "--json")
        assert done.code != 0
        assert done.json["error"]["kind"] == "home"
        assert "-f my_flow.py" in done.json["error"]["hint"]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("defines", ["", "from headwater import Asset\nAsset('x', at='parquet://lake/x')\n"])
def test_what_only_asks_makes_no_home_in_a_project_either(cli: Cli, folder: Path, defines: str) -> None:
    (folder / "pyproject.toml").write_text('[tool.headwater]\nmodules = ["flows"]\n')
    (folder / "flows.py").write_text(defines)
    asked = "runs, status, freshness, checks, tags, lineage, limits, requests, audit, verify, cache list, backfill list"
    for command in [one.split() for one in asked.split(", ")]:
        assert cli(*command, "--json").code == 0, command
        assert not (folder / ".headwater").exists(), command
    if defines:
        assert [row["name"] for row in cli("status", "--json").json["assets"]] == ["x"]
        assert cli("lineage", "x").out == "x\n"
    completed = "import headwater.cli.completion as shell; print(shell.runs(), shell.assets(''))"
    subprocess.run([sys.executable, "-c", completed], cwd=folder, check=True)
    assert not (folder / ".headwater").exists()
    for command in [["assets"], ["rebuild"]]:  # what they find is kept
        assert cli(*command).code == 0
        assert (folder / ".headwater").is_dir()
        shutil.rmtree(folder / ".headwater")


def test_the_past_is_known_without_any_module(cli: Cli, python: Cli, shop: Path) -> None:
    assert cli("materialize", "sales", "-p", "2024-01-05").code == 0
    (shop / "pyproject.toml").write_text("[tool.headwater]\nproject = 'shop'\n")
    board = {row["name"]: row for row in cli("status", "--json").json["assets"]}
    assert board["sales"]["partitions"]["materialized"] == 1
    assert board["sales"]["owners"] == ["team:ops"]
    done = cli("materialize", "sales", "-p", "2024-01-06", "--json")
    assert done.code == 2
    assert "-f my_flow.py" in done.json["error"]["hint"]


def test_commands_work_from_a_folder_below_the_root(cli: Cli, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop / "notes").mkdir()
    monkeypatch.chdir(shop / "notes")
    assert cli("materialize", "sales", "-p", "2024-01-05").code == 0
    assert (shop / ".headwater").is_dir()
    assert sorted(path.name for path in (shop / "lake" / "sales").iterdir() if path.suffix == ".parquet")
    assert not (shop / "notes" / ".headwater").exists()


def test_the_home_keeps_itself_out_of_version_control(cli: Cli, shop: Path) -> None:
    cli("materialize", "sales", "-p", "2024-01-05")
    home = shop / ".headwater"
    assert (home / ".gitignore").read_text().strip() == "*"
    assert home.stat().st_mode & 0o777 == 0o700
    segments = list((home / "journal").iterdir())
    assert segments
    assert {segment.stat().st_mode & 0o777 for segment in segments} == {0o600}
    lines = [json.loads(line) for segment in segments for line in segment.read_text().splitlines()]
    assert lines[0]["k"] == "writer.opened"


def test_a_home_is_begun_where_the_modules_can_not_be_imported(cli: Cli, folder: Path) -> None:
    (folder / "pyproject.toml").write_text('[tool.headwater]\nmodules = ["flows"]\n')
    (folder / "flows.py").write_text("import only_where_the_flows_run\n")
    assert "can't be imported" in cli("status").err
    for command in (("token", "create"), ("partitions", "add", "customers", "acme")):
        assert cli(*command).code == 0
        shutil.rmtree(folder / ".headwater")


def test_catalogs_are_told_also_while_a_module_is_broken(cli: Cli, shop: Path) -> None:
    assert cli("materialize", "sales", "-p", "2024-01-05").code == 0
    (shop / "shop.py").write_text("import only_where_the_flows_run\n")
    assert cli("openlineage", "export", "--to", "events.ndjson", "--json").json["exported"] > 0
    assert (cli("openlineage", "status").code, cli("status").code) == (0, 2)


def test_what_asks_of_the_past_alone_loads_no_module_in_a_new_project_either(cli: Cli, folder: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    (sentence,) = re.findall(r"Assets of past runs are known.*?no module at all", page, re.DOTALL)
    told = re.findall(r"`([a-z ]+)`", sentence)
    assert "runs" in told
    (folder / "pyproject.toml").write_text('[tool.headwater]\nmodules = ["flows"]\n')
    (folder / "flows.py").write_text("open('loaded', 'w').close()\nimport only_where_the_flows_run\n")
    given = {
        "logs": ["0198a2"],
        "prune": ["--older-than", "90d"],
        "backfill show": ["0198a2"],
        "explain": ["0198a2/load"],
    }
    for command in told:
        for _ in range(2):  # without a home, and with one
            done = cli(*command.split(), *given.get(command, []))
            assert "can't be imported" not in done.err, command
        shutil.rmtree(folder / ".headwater", ignore_errors=True)
    completed = "import headwater.cli.completion as shell; print(shell.runs(), shell.assets(''))"
    subprocess.run([sys.executable, "-c", completed], cwd=folder, check=True)
    assert not (folder / "loaded").exists()


def test_a_column_of_an_asset_with_a_dot_in_its_name_is_told_how_it_is_written(cli: Cli, folder: Path) -> None:
    (folder / "dotted.py").write_text("from headwater import Asset\nAsset('x.y', at='memory://xy')\n")
    done = cli("lineage", "x.y.total", "-f", "dotted.py", "--json")
    assert done.json["error"]["hint"] == "a column of 'x.y' is written '\"x.y\".total'"
