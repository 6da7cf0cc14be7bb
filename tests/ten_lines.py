"""A script of ten lines, and how it is run and asked about."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPT = """\
from headwater import flow, materialize, task
import polars as pl
@task
def numbers() -> list[int]:
    return [1, 2, 3]
@materialize("parquet://lake/x")
def make(found: list[int]) -> pl.DataFrame:
    return pl.DataFrame({"n": found})
@flow
def main(): make(numbers())
main()
"""


def ran(folder: Path) -> Path:
    """The folder, after the script ran in it once."""
    (folder / "script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


def ask(folder: Path, *arguments: str) -> Any:
    """What a command of its own process prints with --json."""
    command = [sys.executable, "-m", "headwater", *arguments, "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)
