"""Exit codes, errors for people and for programs, help, and signals."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from cli_project import Cli, Done

from headwater.lineage.session import Session

WAITING = """
from collections.abc import Iterator
from pathlib import Path
from typing import IO
import threading
import polars as pl
from headwater import Asset, DailyPartitions, Partition, materialize

slow = Asset("slow", at="parquet://lake/slow", partitions=DailyPartitions("2024-01-01", "2024-01-11"))

@materialize(slow)
def make(partition: Partition) -> pl.DataFrame:
    if Path("wait").exists() and partition.key == "2024-01-04":
        Path("waiting").touch()
        threading.Event().wait(60)
    return pl.DataFrame({"day": [partition.date]})
"""


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (["stauts"], "usage"),
        (["-f", "shop.py", "status"], "usage"),
        (["status", "--jsn"], "usage"),
        (["status", "dialy"], "unknown_name"),
        (["status", "daily and"], "usage"),
        (["lineage", "daily", "--depth", "many"], "usage"),
        (["run"], "usage"),
        (["run", "absent.py:main"], "usage"),
        (["logs"], "usage"),
        (["status", "--as-of", "soon"], "usage"),
    ],
)
def test_wrong_usage_exits_with_2(cli: Cli, shop: Path, command: list[str], kind: str) -> None:
    done = cli(*command, "--json")
    assert (done.code, done.err) == (2, "")
    error = done.json["error"]
    assert error["kind"] == kind
    assert error["message"]
    assert set(error) <= {"kind", "message", "where", "hint"}
    plain = cli(*command)
    assert (plain.code, plain.out) == (2, "")
    assert plain.err.startswith(f"error: {error['message'].splitlines()[0]}")
    assert ("options stand behind it" in plain.err) == command[0].startswith("-")
    assert "Traceback" not in plain.err


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("prune --older-than -5d", "'-5d' is not a duration"),
        ("cache clear --older-than -5d", "'-5d' is not a duration"),
        ("token create --expires -5d", "'-5d' is not a duration"),
        ("runs --limit -x", "--limit needs a value, and '-x' begins with a hyphen"),
        ("materialize sales --partition -rf", "where that is its value: --partition=-rf"),
        ("freshness --as-of -5d", "--as-of=-5d"),
        ("materialize sales --partition -- -rf", "--partition requires an argument"),
        ("runs --limit", "--limit requires an argument"),
    ],
)
def test_a_value_that_begins_with_a_hyphen_is_not_said_to_be_missing(
    cli: Cli, shop: Path, command: str, said: str
) -> None:
    done = cli(*command.split())
    assert (done.code, done.out) == (2, "")
    assert said in done.err


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (f"runs --limit {10**22}", "is not a number of runs"),
        (f"checks --limit {10**22}", "is not a number of rows"),
        (f"freshness --partitions --limit {10**22}", "is not a number of rows"),
        (f"audit --limit {10**22}", "is not a number of entries"),
        ("lineage sales --depth -1", "--depth -1 is not a number of steps"),
        ("runs cancel 0 --wait nan", "--wait nan is not a number of seconds"),
        ("serve --port 70000", "--port 70000 is not a port"),
        ("serve --port -1", "--port -1 is not a port"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(cli: Cli, shop: Path, command: str, said: str) -> None:
    done = cli(*command.split())
    assert done.code == 2
    assert said in done.err
    assert "hint: give " in done.err


@pytest.mark.parametrize(
    "name", ["https://shop.example.com", "shop.example.com/headwater", "*", "", "a b", "é.example"]
)
def test_a_name_that_no_browser_sends_is_refused_by_the_server(cli: Cli, shop: Path, name: str) -> None:
    done = cli("serve", "--port", "0", "--allow-host", name)
    assert done.code == 2
    assert f"{name!r} is no name or address of a server" in done.err
    assert "where: --allow-host\n  hint: give it as it stands in the browser's address" in done.err


def test_a_worker_that_could_start_nothing_says_so_at_once(
    cli: Cli, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = cli("worker", "-f", "shpo.py")
    assert (done.code, done.out) == (2, "")
    assert "there is no file shpo.py" in done.err
    (shop / "taken").touch()
    monkeypatch.setenv("HEADWATER_HOME", "taken/home")
    done = cli("worker")
    assert (done.code, done.out) == (1, "")
    assert "error: the home can't be used: Not a directory" in done.err


def test_no_id_at_all_means_no_run_and_no_backfill(cli: Cli, shop: Path) -> None:
    assert cli("backfill", "sales", "--partition", "2024-01-05").code == 0
    for command in (["logs"], ["runs", "cancel"], ["runs", "resume"], ["backfill", "show"], ["backfill", "cancel"]):
        done = cli(*command, "")
        assert done.code == 2
        assert "there is no " + ("backfill" if "backfill" in command else "run") + " ''" in done.err
    assert "there is no run ''" in cli("lineage", "diff", "", "").err
    assert "--run names no run" in cli("openlineage", "replay", "--run", "").err


def test_a_wrong_setting_is_named_with_its_place(cli: Cli, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop / "pyproject.toml").write_text("[tool.headwater]\nprojekt = 'x'\n")
    error = cli("status", "--json").json["error"]
    assert error["message"] == "there is no setting 'projekt'"
    assert error["where"] == f"[tool.headwater] in {shop / 'pyproject.toml'}"
    (shop / "pyproject.toml").write_text("[tool.headwater]\nmodules = 'shop'\n")
    assert "'modules'" in cli("status", "--json").json["error"]["message"]
    (shop / "pyproject.toml").write_text("[tool.headwater\n")
    assert "pyproject.toml can't be read" in cli("status", "--json").json["error"]["message"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tool]\nheadwater = 3\n", "'tool.headwater' in pyproject.toml is no table"),
        ("[[tool.headwater]]\nhome = 'x'\n", "'tool.headwater' in pyproject.toml is no table"),
        ("tool = 'x'\n", "'tool' in pyproject.toml is no table"),
        ("project = 'name'\n", "'project' in pyproject.toml is no table"),
        ("[tool.headwater]\nhome = 'a\\u0000b'\n".replace("'", '"'), "the setting 'home' is no path"),
        ("[tool.headwater]\nopenlineage_drain = nan\n", "the setting 'openlineage_drain' is a number of seconds"),
        ("[tool.headwater]\nopenlineage_drain = inf\n", "the setting 'openlineage_drain' is a number of seconds"),
        ("[tool.headwater]\nmodules = ['shop.py']\n", "there is no module 'shop.py'"),
        ("[tool.headwater]\nmodules = ['']\n", "there is no module ''"),
        ("[tool.headwater]\nmodules = ['.shop']\n", "there is no module '.shop'"),
    ],
)
def test_settings_of_a_wrong_shape_are_named(cli: Cli, shop: Path, text: str, said: str) -> None:
    (shop / "pyproject.toml").write_text(text)
    done = cli("status", "--json")
    assert done.code == 2
    assert said in done.json["error"]["message"]
    assert done.json["error"]["where"]
    assert done.json["error"]["hint"]


def test_modules_of_the_environment_may_be_written_with_spaces(
    cli: Cli, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shop / "other.py").write_text("")
    monkeypatch.setenv("HEADWATER_MODULES", "other, shop ,")
    assert len(cli("assets", "--json").json["assets"]) == 4


def test_a_home_that_is_none_is_said(cli: Cli, shop: Path) -> None:
    (shop / ".headwater").write_text("a file")
    done = cli("materialize", "sales", "-p", "2024-01-05", "--json")
    assert done.code == 1
    assert done.json["error"]["kind"] == "home"
    assert str(shop / ".headwater") in done.json["error"]["where"]


def test_a_home_of_another_version_is_left_alone(cli: Cli, shop: Path) -> None:
    assert cli("materialize", "sales", "-p", "2024-01-05").code == 0
    (shop / ".headwater" / "format").write_text("headwater journal 99\n")
    before = sorted(path.name for path in (shop / ".headwater" / "journal").iterdir())
    done = cli("materialize", "sales", "-p", "2024-01-06", "--json")
    assert (done.code, done.json["error"]["kind"]) == (1, "format")
    assert sorted(path.name for path in (shop / ".headwater" / "journal").iterdir()) == before


def test_debug_adds_the_traceback_and_keeps_the_exit_code(cli: Cli, shop: Path) -> None:
    done = cli("status", "dialy", "--debug", "--json")
    assert done.code == 2
    assert done.json["error"]["kind"] == "unknown_name"
    assert "Traceback" in done.err


def test_help_and_version(cli: Cli, folder: Path) -> None:
    done = cli("--help")
    assert done.code == 0
    for name in ("init", "run", "materialize", "backfill", "status", "freshness", "lineage", "explain", "runs", "logs"):
        assert name in done.out
    done = cli("backfill", "--help")
    for name in ("--from", "--upstream", "--dry-run", "--max-failures", "resume"):
        assert name in done.out
    assert cli("--version").out.strip().count(".") == 2
    assert list(folder.iterdir()) == []


PRINTING = "from headwater.cli.output import emit\nfor n in range(9): emit({}, False, lambda: 'x' * 99_999)"


def test_a_reader_that_leaves_early_gets_no_complaint(folder: Path) -> None:
    command = [sys.executable, "-c", PRINTING]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == b""
    assert child.returncode == 0


def interrupted(folder: Path, signum: int, *command: str) -> Done:
    """A command that was sent a signal once the file `waiting` appeared."""
    with subprocess.Popen(
        [sys.executable, "-m", "headwater", *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        deadline = time.monotonic() + 60
        while not (folder / "waiting").exists():
            assert child.poll() is None, child.communicate()
            assert time.monotonic() < deadline, "it never came so far"
            threading.Event().wait(0.02)
        os.kill(child.pid, signum)
        out, err = child.communicate(timeout=30)
    return Done(child.returncode, out, err)


FULL = Path("/dev/full")
ABSENT = f"there is no {FULL} here, so commands whose output can't be written were NOT tested"


@pytest.fixture
def full() -> Iterator[IO[str]]:
    """A device that is always full. In CI it has to be there."""
    if not FULL.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(ABSENT)
        pytest.skip(ABSENT)
    with FULL.open("w") as device:
        yield device


@pytest.mark.parametrize("command", [["--help"], ["status"], ["status", "--json"], ["completion", "bash"]])
def test_what_can_not_be_written_is_said(shop: Path, full: IO[str], command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "headwater", *command], stdout=full, stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: what was to be printed can't be written: No space left on device\n")
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 3


def test_what_a_task_printed_and_can_not_be_written_is_said(shop: Path, full: IO[str]) -> None:
    text = "from headwater import task\n\n@task\ndef tell():\n    print('done')\n"
    (shop / "telling.py").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "headwater", "run", "telling.py:tell"],
        stdout=full,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: what was to be printed can't be written: No space left on device\n")
    assert done.stderr.count("\n") == 3


@pytest.mark.parametrize(("command", "code"), [("--version", 0), ("status", 0), ("status --json", 0), ("status x", 2)])
def test_closed_outputs_are_no_error(shop: Path, command: str, code: int) -> None:
    for closed in (">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"):
        script = f"{sys.executable} -m headwater {command} {closed}"
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
        assert done.returncode == code, closed
        assert "Traceback" not in done.stderr
        assert done.stderr == "" or (code and done.stderr.startswith("error: there is no asset 'x'"))


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_backfill_that_is_interrupted_is_cancelled_and_resumed(
    cli: Cli, folder: Path, signum: int, code: int
) -> None:
    (folder / "slow.py").write_text(WAITING)
    (folder / "wait").touch()
    done = interrupted(
        folder, signum, "backfill", "slow", "-f", "slow.py", "--from", "2024-01-01", "--to", "2024-01-10"
    )
    assert (done.code, done.out) == (code, "")
    assert "Traceback" not in done.err
    (run,) = cli("runs", "--json").json["runs"]
    assert run["state"] == "Cancelled"
    assert run["tasks"] == {"Completed": 3, "Cancelled": 1}
    (listed,) = cli("backfill", "list", "--json").json["backfills"]
    assert (listed["state"], listed["partitions"]["completed"]) == ("cancelled", 3)
    assert f"what is left is run by: headwater backfill resume {listed['id']}\n" in done.err
    # What was in the middle of it has not ended, and runs no more.
    assert "  ███·······\n" in cli("backfill", "show", listed["id"]).out

    (folder / "wait").unlink()
    resumed = cli("backfill", "resume", listed["id"], "-f", "slow.py", "--json")
    assert (resumed.code, resumed.json["partitions"]["completed"]) == (0, 10)
    (run,) = cli("runs", "--json").json["runs"]
    assert (run["state"], run["attempt"], run["tasks"]) == ("Completed", 2, {"Completed": 7})
    assert len(list((folder / "lake" / "slow").glob("*.parquet"))) == 10
    assert cli("verify").code == 0


def test_a_flow_that_is_interrupted_is_cancelled(cli: Cli, folder: Path) -> None:
    text = WAITING + "\nfrom headwater import flow\n@flow\ndef main():\n    make.at('2024-01-04')()\n"
    (folder / "slow.py").write_text(text)
    (folder / "wait").touch()
    done = interrupted(folder, signal.SIGINT, "run", "slow.py:main", "--json")
    assert done.code == 130
    assert done.json["error"]["kind"] == "cancelled"
    (run,) = cli("runs", "--json").json["runs"]
    assert (run["flow"], run["state"], run["tasks"]) == ("main", "Cancelled", {"Cancelled": 1})


def test_ctrl_c_before_an_async_flow_has_begun_leaves_no_warning(cli: Cli, folder: Path) -> None:
    # Python says on standard error of a coroutine that nobody awaited, when it is let go.
    (folder / "begins.py").write_text(
        """
import asyncio
from headwater import flow

def interrupted(*_, **__):
    raise KeyboardInterrupt

asyncio.run = interrupted

@flow
async def main(): ...
"""
    )
    done = subprocess.run(
        [sys.executable, "-m", "headwater", "run", "begins.py:main"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "cancelled\n")


def test_ctrl_c_in_the_middle_of_a_query_cancels_too(cli: Cli, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As DuckDB tells it, which has taken the interruption itself for its own.
    def interrupted(*_: object) -> None:
        raise RuntimeError("Query interrupted")

    assert cli("runs").code == 0
    monkeypatch.setattr(Session, "execute", interrupted)
    done = cli("runs", "--json")
    assert (done.code, done.json["error"]["kind"]) == (130, "cancelled")
    assert cli("runs").code == 130


def test_an_address_of_another_machine_is_no_address_to_serve_on(cli: Cli, shop: Path) -> None:
    done = cli("serve", "--host", "192.0.2.1", "--port", "0", "--json")
    assert (done.code, done.json["error"]["where"]) == (1, "192.0.2.1:0")
    assert done.json["error"]["hint"].startswith("--host is an address of this machine")
