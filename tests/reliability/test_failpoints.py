"""Failpoints: each that is named is somewhere in the package, and an armed one kills exactly there."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import headwater
from headwater import failpoints
from headwater.errors import SettingsError, UnknownNameError

SCRIPT = """
from headwater import flow

@flow
def main():
    print("made")

main()
print("over")
"""


def reached() -> list[str]:
    """The names that stand in the package's calls of `failpoints.reach`."""
    found: list[str] = []
    for path in Path(headwater.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "failpoints.reach":
                (argument,) = node.args
                assert isinstance(argument, ast.Constant), f"{path}: a failpoint's name stands where it is reached"
                found.append(argument.value)
    return found


def test_every_named_point_is_reached_and_every_reached_point_is_named() -> None:
    assert set(reached()) == set(failpoints.POINTS)


def run(folder: Path, failpoint: str, *command: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(SCRIPT)
    environment = {**os.environ, failpoints.VARIABLE: failpoint}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("failpoint", "said"), [("journal.append", ""), ("journal.append:3", "made\n"), ("journal.close", "made\nover\n")]
)
def test_an_armed_process_dies_there_and_nowhere_else(tmp_path: Path, failpoint: str, said: str) -> None:
    # Nothing that a killed process printed was flushed, unless Python was told not to buffer it.
    done = run(tmp_path, failpoint, "-u", "script.py")
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, said)
    again = run(tmp_path, "", "script.py")
    assert (again.returncode, again.stdout) == (0, "made\nover\n")


@pytest.mark.parametrize("command", [["script.py"], ["-m", "headwater", "status"]])
def test_a_wrong_name_is_told_before_anything_happens(tmp_path: Path, command: list[str]) -> None:
    done = run(tmp_path, "journal.apend", *command)
    assert done.returncode in (1, 2)
    assert "there is no failpoint 'journal.apend'" in done.stderr
    assert f"where: {failpoints.VARIABLE}" in done.stderr
    assert "did you mean 'journal.append'" in done.stderr
    assert "made" not in done.stdout
    assert not (tmp_path / ".headwater").exists()


@pytest.mark.parametrize("count", ["", "0", "-1", "two", "1.5"])
def test_a_number_of_arrivals_must_be_one(count: str) -> None:
    with pytest.raises(SettingsError, match="not a number of arrivals"):
        failpoints.armed_by({failpoints.VARIABLE: f"journal.append:{count}"})


def test_a_wrong_name_is_also_told_where_no_settings_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failpoints, "_armed", "nothing")
    with pytest.raises(UnknownNameError, match="there is no failpoint 'nothing'"):
        failpoints.reach("journal.append")
