"""`headwater init` and `headwater run`."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cli_project import Cli

LATER = """
from headwater import flow, task

@task
async def two():
    return 2

@flow
async def main():
    return await two()
"""
LOUD = """
import subprocess
from headwater import flow

@flow
def main():
    print("from-python", flush=True)
    subprocess.run(["echo", "from-a-child"])
    return 1
"""
TYPED = {"day": "05.01.2024", "count": 6, "names": ["x", "y"], "rate": 2.0, "deep": True, "note": "7"}


ITEMS = """
from headwater import flow, task

@task
def numbers(count: int):
    if count < 0:
        raise ValueError(count)
    yield from range(count)

@flow
def items(count: int):
    yield from numbers(count)

@flow
async def items_later(count: int):
    for number in numbers(count):
        yield number
"""

KINDS = """
from decimal import Decimal
from headwater import flow

@flow
def decimals(a: Decimal, b: Decimal | None = None, c: list[Decimal] = []):
    return [str(one) for one in (a, b, *c)]

@flow
def placed(x: int, y: int = 5, /, z: int = 0):
    return [x, y, z]

@flow
def more(day: str, **rates: float):
    return {"day": day, **rates}

@flow
def several(*numbers: int):
    return numbers

@flow
def anything(value, text: str = ""):
    return [value, text]
"""

ENDS = """
import sys
from headwater import flow

class Panic(BaseException):
    pass

@flow
def panics():
    raise Panic("the engine is lost")

@flow
def leaves():
    sys.exit(7)
"""

EXITS = """
import asyncio
import os
import sys
from headwater import flow, task

@task
def leave():
    sys.exit(0)

@flow
def plain():
    sys.exit(0)

@flow
async def later():
    sys.exit(0)

@flow
def of_a_task():
    leave()

@flow
def of_a_thread():
    leave.submit()

@flow
def caught():
    try:
        leave()
    except SystemExit:
        return

@flow
def forked():
    child = os.fork()
    if child == 0:
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0

if __name__ == "__main__":
    found = globals()[sys.argv[1]]()
    if asyncio.iscoroutine(found):
        asyncio.run(found)
"""


def test_init_writes_a_project_that_runs(cli: Cli, python: Cli, process: Cli, folder: Path) -> None:
    done = cli("init", "--json")
    assert done.code == 0
    assert done.json == {"folder": str(folder), "written": ["pyproject.toml", "flows.py"], "kept": []}
    assert tomllib.loads((folder / "pyproject.toml").read_text())["tool"]["headwater"]["modules"] == ["flows"]

    ran = python("flows.py")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert (folder / ".headwater" / ".gitignore").read_text().split() == ["*"]

    board = {row["name"]: row for row in process("status", "--json").json["assets"]}
    assert board["orders"]["rows"] == 25
    assert board["orders"]["freshness"]["verdict"] == "late"
    assert board["revenue"]["freshness"]["witness"] == ["revenue", "orders"]
    assert {row["flow"]: row["state"] for row in cli("runs", "--json").json["runs"]} == {"daily": "Completed"}


def test_init_keeps_what_is_there(cli: Cli, folder: Path) -> None:
    (folder / "new").mkdir()
    (folder / "new" / "flows.py").write_text("# mine\n")
    done = cli("init", "new")
    assert (done.code, done.out.splitlines()[:2]) == (0, ["wrote pyproject.toml", "kept flows.py"])
    assert (folder / "new" / "flows.py").read_text() == "# mine\n"


def test_init_of_another_folder_says_to_go_there(cli: Cli, folder: Path) -> None:
    assert f"next: cd '{folder}/my shop', then python flows.py, then " in cli("init", "my shop").out
    assert "next: python flows.py, then " in cli("init").out


def test_init_of_the_folder_above_is_named_after_it(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "shop" / "docs").mkdir(parents=True)
    monkeypatch.chdir(folder / "shop" / "docs")
    assert cli("init", "..", "--json").json["folder"] == str(folder / "shop")
    assert tomllib.loads((folder / "shop" / "pyproject.toml").read_text())["tool"]["headwater"]["project"] == "shop"


def test_init_in_a_folder_with_an_odd_name_makes_a_project_that_loads(cli: Cli, folder: Path) -> None:
    odd = folder / 'a "b" \\ ü\'s'
    assert cli("init", str(odd)).code == 0
    assert tomllib.loads((odd / "pyproject.toml").read_text())["tool"]["headwater"]["project"]


def test_init_where_nothing_can_be_written_says_so(cli: Cli, folder: Path) -> None:
    error = cli("init", "x" * 300, "--json").json["error"]
    assert (error["kind"], error["where"]) == ("usage", str(folder / ("x" * 300)))
    assert error["message"] == "the project can't be written: File name too long"


def test_run_reads_parameters_by_their_annotations(cli: Cli, shop: Path) -> None:
    given = ("day=2024-01-05", "count=3", 'names=["x","y"]', "rate=2", "deep=true", "note=7")
    done = cli("run", "shop.py:report", *(part for pair in given for part in ("-p", pair)), "--json")
    assert done.code == 0
    assert done.err == "a line of the user's own\n"
    assert done.json == {"flow": "report", "state": "Completed", "result": {**TYPED, "note": 7}}


def test_run_prints_nothing_of_its_own(process: Cli, shop: Path) -> None:
    done = process("run", "shop.py:report", "-p", "day=2024-01-05")
    # What the flow prints, and what it tells `get_logger()`.
    assert (done.code, done.out, done.err) == (0, "a line of the user's own\n", "doubling 1\n")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["-p", "count=many", "-p", "day=2024-01-05"], ["'count'", "'many'"]),
        (["-p", "day=someday"], ["'day'", "'someday'"]),
        (["-p", "dya=2024-01-05"], ["'dya'", "did you mean 'day'"]),
        (["-p", "day"], ["name=value"]),
        ([], ["'day'"]),
    ],
)
def test_a_wrong_parameter_is_named(cli: Cli, shop: Path, given: list[str], said: list[str]) -> None:
    done = cli("run", "shop.py:report", *given)
    assert done.code == 2
    assert done.out == ""
    for part in said:
        assert part in done.err
    assert "Traceback" not in done.err
    assert cli("runs", "--json").json["runs"] == []


def test_parameters_of_every_kind(cli: Cli, shop: Path) -> None:
    (shop / "kinds.py").write_text(KINDS)

    def run(name: str, *given: str) -> Any:
        return cli("run", f"kinds.py:{name}", *(part for one in given for part in ("-p", one)), "--json").json

    exact = "12345678901234567890.123456789"
    assert run("decimals", f"a={exact}", "b=1.20", "c=[0.10]")["result"] == [exact, "1.20", "0.10"]
    assert run("placed", "y=2", "x=1", "z=3")["result"] == [1, 2, 3]
    assert run("placed", "y=2", "x=1")["result"] == [1, 2, 0]
    assert run("placed", "x=1")["result"] == [1, 5, 0]
    assert run("placed", "y=1")["error"]["hint"] == "give -p x=…"
    assert run("more", "day=2024-01-05", "rate=1.5")["result"] == {"day": "2024-01-05", "rate": 1.5}
    assert "'many'" in run("more", "day=x", "rate=many")["error"]["message"]
    assert run("more", "day=x", "a b=1")["error"]["hint"] == "known: day"
    assert run("several", "numbers=1")["error"]["message"] == "there is no parameter 'numbers'"
    assert run("anything", 'value:="1"', 'text:="2"')["result"] == ["1", "2"]
    assert run("anything", "value:=[1, null]")["result"] == [[1, None], ""]
    assert run("placed", 'x:="1"', "y:=2")["result"] == [1, 2, 0]
    assert "it is no JSON" in run("anything", "value:=one")["error"]["message"]
    long = "9" * 5_000
    assert run("anything", f"value={long}")["result"] == [long, ""]
    assert run("anything", "value=1", f"text={long}")["result"] == [1, long]
    assert run("anything", f"value={'[' * 100_000}")["result"] == ["[" * 100_000, ""]


def test_a_flow_without_parameters_says_so(cli: Cli, shop: Path) -> None:
    done = cli("run", "shop.py:breaks", "-p", "day=2024-01-05", "--json")
    assert (done.code, done.json["error"]["message"]) == (2, "there is no parameter 'day'")
    assert done.json["error"]["hint"] == "it has none: leave -p out"


def test_run_of_a_flow_that_fails(cli: Cli, shop: Path) -> None:
    done = cli("run", "shop.py:breaks", "--json")
    assert done.code == 1
    assert done.json["error"]["message"] == "breaks failed: RuntimeError: the roof is leaking"
    (row,) = cli("runs", "--json").json["runs"]
    assert (row["flow"], row["state"], row["tasks"]) == ("breaks", "Failed", {"Completed": 1})
    assert "the roof is leaking" in json.dumps(row["error"])


def test_run_of_a_flow_that_ends_otherwise(process: Cli, shop: Path) -> None:
    (shop / "ends.py").write_text(ENDS)
    done = process("run", "ends.py:panics", "--json")
    assert (done.code, done.json["error"]["message"]) == (1, "panics failed: Panic: the engine is lost")
    assert "Traceback" not in done.err
    left = process("run", "ends.py:leaves", "--json")
    assert (left.code, left.json["error"]["message"]) == (7, "code of the project ended the command: sys.exit(7)")


def test_what_exits_with_0_in_the_middle_of_a_run_fails_in_its_record_and_in_its_process(
    process: Cli, python: Cli, shop: Path
) -> None:
    (shop / "exits.py").write_text(EXITS)
    for name in ("plain", "later", "of_a_task", "of_a_thread"):
        done = process("run", f"exits.py:{name}", "--json")
        assert done.code == 1
        assert f"'{name}' was left by sys.exit(0) before it had returned" in done.json["error"]["message"]
        ran = python("exits.py", name)
        assert (ran.code, ran.out) == (1, "")
        assert ran.err.startswith(f"'{name}' was left by sys.exit(0)")
    assert {row["state"] for row in process("runs", "--json").json["runs"]} == {"Failed"}
    assert python("exits.py", "forked").code == 0
    assert python("exits.py", "caught").code == 0
    assert [row["state"] for row in process("runs", "--json", "--limit", "2").json["runs"]] == ["Completed"] * 2


def test_debug_shows_the_traceback(process: Cli, shop: Path) -> None:
    done = process("run", "shop.py:breaks", "--debug")
    assert done.code == 1
    assert "Traceback" in done.err
    assert "the roof is leaking" in done.err


def test_run_of_a_name_that_is_not_there(cli: Cli, shop: Path) -> None:
    done = cli("run", "shop.py:reprot", "--json")
    assert done.code == 2
    assert done.json["error"]["kind"] == "unknown_name"
    assert "report" in done.json["error"]["hint"]


def test_run_of_what_can_not_be_run_says_how_to_go_on(cli: Cli, shop: Path) -> None:
    (shop / "helpers.py").write_text("RATE = 3\n")
    (shop / "folder").mkdir()
    for target, what, hint in (
        ("helpers.py", "helpers.py defines no flow and no task", "@flow"),
        ("folder", "folder is a folder", "name a Python file, such as my_flow.py"),
        ("/", "/ is a folder", "name a Python file, such as my_flow.py"),
        ("shop:report", "there is no file shop", "did you mean shop.py?"),
        ("shp:report", "there is no file shp", "name a Python file, such as my_flow.py"),
        (
            "shop.py:ingest",
            "the asset 'sales' is partitioned, and no partition was given",
            "give --partition 2024-01-01",
        ),
    ):
        error = cli("run", target, "--json").json["error"]
        assert (error["kind"], error["message"]) == ("usage", what)
        assert hint in error["hint"]


def test_run_without_a_name_takes_the_only_flow_and_asks_when_there_are_several(cli: Cli, shop: Path) -> None:
    (shop / "one.py").write_text("from headwater import flow\n\n@flow\ndef only():\n    return 5\n")
    assert cli("run", "one.py", "--json").json["result"] == 5
    done = cli("run", "shop.py")
    assert done.code == 2
    assert "shop.py:report" in done.err


def test_run_of_an_async_flow(cli: Cli, shop: Path) -> None:
    (shop / "later.py").write_text(LATER)
    assert cli("run", "later.py", "--json").json == {"flow": "main", "state": "Completed", "result": 2}


@pytest.mark.parametrize("name", ["items", "items_later", "numbers"])
def test_run_of_what_hands_out_items(cli: Cli, shop: Path, name: str) -> None:
    (shop / "items.py").write_text(ITEMS)
    assert cli("run", f"items.py:{name}", "-p", "count=2", "--json").json["result"] == [0, 1]
    (row,) = cli("runs", "--json").json["runs"]
    assert (row["flow"], row["state"]) == (name, "Completed")
    assert cli("run", f"items.py:{name}", "-p", "count=-1").code == 1
    if name != "numbers":
        (run_id, *_) = (row["id"] for row in cli("runs", "--json").json["runs"])
        assert cli("runs", "resume", run_id, "-p", "count=3", "--json").json["result"] == [0, 1, 2]


def test_run_of_a_materialization_with_its_partition(cli: Cli, shop: Path) -> None:
    assert cli("run", "shop.py:ingest", "--partition", "2024-01-05").code == 0
    board = {row["name"]: row for row in cli("status", "--json").json["assets"]}
    assert board["sales"]["partitions"]["materialized"] == 1
    done = cli("run", "shop.py:ingest", "--partition", "2025-01-05")
    assert done.code == 2
    assert "2025-01-05" in done.err
    done = cli("run", "shop.py:report", "--partition", "2024-01-05")
    assert done.code == 2
    assert "--partition is for materializations" in done.err
    (shop / "plain.py").write_text(
        'from headwater import materialize\n@materialize("memory://plain")\ndef plain():\n    return [{"n": 1}]\n'
    )
    done = cli("run", "plain.py:plain", "--partition", "2024-01-05", "--json")
    assert (done.code, done.json["error"]["message"]) == (2, "the asset 'plain' has no partitions")
    assert done.json["error"]["hint"] == "leave --partition out"


def test_a_result_that_is_no_json_is_shown_as_text(cli: Cli, shop: Path) -> None:
    (shop / "odd.py").write_text("from headwater import flow\n\n@flow\ndef odd():\n    return {1, 2}\n")
    assert cli("run", "odd.py", "--json").json["result"] == "{1, 2}"
    (shop / "odd.py").write_text("from headwater import flow\n\n@flow\ndef odd():\n    return [float('nan'), 2**70]\n")
    (shop / "mute.py").write_text(
        "from headwater import flow\n\nclass Mute:\n    def __repr__(self):\n        raise KeyError('name')\n\n"
        "@flow\ndef mute():\n    return Mute()\n\n"
        "@flow\ndef deep():\n    found = []\n    for _ in range(10_000):\n        found = [found]\n    return found\n"
    )
    assert cli("run", "mute.py:mute", "--json").json["result"] == "<Mute>"
    assert cli("run", "mute.py:deep", "--json").json["result"] == "<list>"
    done = cli("run", "odd.py", "--json")
    assert "NaN" not in done.out
    assert done.json["result"] == [None, 2**70]


def test_what_a_flow_and_its_children_print_stays_off_the_document(process: Cli, shop: Path) -> None:
    (shop / "loud.py").write_text(LOUD)
    done = process("run", "loud.py", "--json")
    assert done.json["result"] == 1
    assert done.err.split() == ["from-python", "from-a-child"]


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        (("load", "-p", "2024-01-03"), "write -p day=2024-01-03"),
        (("load", "-p=-x"), "write -p day=-x"),
        (("load", "-p", "day"), "write -p day=…"),
        (("load", "-p", "day=2024-01-03", "-p", "a b"), "write -p 'table=a b'"),
        (("nothing", "-p", "2024-01-03"), "no parameter is left to give: leave -p out"),
        (("anything", "-p", "day"), "write -p day=…"),
        (("anything", "-p", "2024-01-03"), "write -p name=value"),
    ],
)
def test_a_value_without_its_name_gets_one_in_the_hint(
    folder: Path, cli: Cli, given: tuple[str, ...], hint: str
) -> None:
    (folder / "loads.py").write_text(
        "from datetime import date\nfrom headwater import flow\n\n"
        "@flow\ndef load(day: date, table: str = ''): ...\n\n@flow\ndef nothing(): ...\n\n@flow\ndef anything(**more): ...\n"
    )
    done = cli("run", f"loads.py:{given[0]}", *given[1:])
    assert done.code == 2
    assert done.err.endswith(f"hint: {hint}\n")
