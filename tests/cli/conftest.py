"""The command line as a user has it, in a folder of its own: in this process where possible, in one of its own where not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_project import Cli, Done, as_in_a_new_process, write_shop

from headwater.cli.app import run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("HEADWATER_", "OPENLINEAGE_")):
            monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def shop(folder: Path) -> Path:
    """A project with a source, two partitioned assets and a summary, in `shop.py`."""
    write_shop(folder)
    return folder


@pytest.fixture
def cli(folder: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """`cli("status", "--json")`: a command as in a process of its own, without the cost of one."""

    def call(*arguments: str) -> Done:
        capsys.readouterr()
        with as_in_a_new_process():
            code = run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Done(code, out, err)

    return call


@pytest.fixture
def process(folder: Path) -> Cli:
    """`process("status")`: the same in a real process."""

    def call(*arguments: str, timeout: float = 60) -> Done:
        command = [sys.executable, "-m", "headwater", *map(str, arguments)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout, check=False)
        return Done(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def python(folder: Path) -> Cli:
    """`python("flows.py")`: a script, run as a user runs it."""

    def call(*arguments: str, timeout: float = 60) -> Done:
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout, check=False)
        return Done(done.returncode, done.stdout, done.stderr)

    return call
