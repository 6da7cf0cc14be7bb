"""A2 for kept results: wherever a process dies around keeping one, the next one uses a whole result or computes it anew."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from headwater.core.cache_entries import clear, entries
from headwater.testing import project as project_of

SHOP = """
from headwater import task

@task(once=True)
def large(size: int) -> str:
    with open("calls", "a") as file:
        file.write("x")
    return "ab" * size

assert large(5_000) == "ab" * 5_000
assert large(5) == "ab" * 5
"""


def run(folder: Path, failpoint: str = "") -> int:
    environment = {**os.environ, "HEADWATER_FAILPOINT": failpoint}
    return subprocess.run([sys.executable, "shop.py"], cwd=folder, env=environment, timeout=60, check=False).returncode


@pytest.mark.parametrize("arrival", [3, 4, 5, 6])
def test_a_process_that_dies_around_keeping_a_result_leaves_no_half(tmp_path: Path, arrival: int) -> None:
    # From the start of the first task run on: its look-up, what was kept, its end, the end of its run.
    (tmp_path / "shop.py").write_text(SHOP)
    assert run(tmp_path, f"journal.append:{arrival}") == -signal.SIGKILL
    died = len((tmp_path / "calls").read_text()) if (tmp_path / "calls").exists() else 0
    results = tmp_path / ".headwater" / "results"
    kept = sorted(one.name[:4] for one in results.iterdir()) if results.exists() else []
    assert kept in ([], ["key-", "run-"])

    # Two calls, and those that were kept before the end are not made again. No lock is left.
    assert run(tmp_path) == 0
    assert len((tmp_path / "calls").read_text()) == died + 2 - (1 if kept else 0)
    assert run(tmp_path) == 0
    assert len((tmp_path / "calls").read_text()) == died + 2 - (1 if kept else 0)
    with project_of(tmp_path) as found:
        whole, damaged = entries(found.results)
        assert (len(whole), damaged) == (2, [])
        states = found.reader.sql("SELECT state, count(*) FROM task_runs GROUP BY 1 ORDER BY 1")[1]
        assert dict(states)["Cached"] == (3 if kept else 2)
        gone = clear(found.results, now=0, named=found.reader.result_files(), everything=True)
        assert (len(gone.entries), list(found.results.names())) == (2, [])


def test_what_a_process_left_in_the_middle_of_writing_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    assert run(tmp_path) == 0
    results = tmp_path / ".headwater" / "results"
    for one in results.iterdir():
        # As a machine that loses its power may leave them: the name is there, and not all of the data.
        one.write_bytes(one.read_bytes()[:100])
    assert run(tmp_path) == 0
    assert len((tmp_path / "calls").read_text()) == 4
    assert run(tmp_path) == 0
    assert len((tmp_path / "calls").read_text()) == 4
