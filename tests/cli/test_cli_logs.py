"""`headwater logs`: what a run logged and printed, also while it runs."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

FLOW = """
import sys
from headwater import flow, get_logger

@flow
def talks():
    print("first")
    get_logger().warning("beware")
    print("waiting", file=sys.stderr, flush=True)
    sys.stdin.readline()
    print("last")

talks()
"""


@pytest.fixture
def talking(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that has said something, and waits for a line."""
    (tmp_path / "job.py").write_text(FLOW)
    command = [sys.executable, "job.py"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=tmp_path, text=True, **pipes) as process:
        assert process.stderr is not None
        while "waiting" not in process.stderr.readline():
            assert process.poll() is None
        yield process
        process.kill()


def headwater(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "headwater", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def run_of(folder: Path) -> str:
    rows = headwater(folder, "runs").stdout.splitlines()
    return rows[1].split()[0]


def test_what_a_run_says_is_followed_until_it_ends(tmp_path: Path, talking: subprocess.Popen[str]) -> None:
    run = run_of(tmp_path)
    command = [sys.executable, "-m", "headwater", "logs", run, "--follow"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=tmp_path, text=True, **pipes) as following:
        assert following.stdout is not None
        assert following.stdout.readline().endswith("INFO     print  first\n")
        assert following.stdout.readline().endswith("WARNING  headwater.run  beware\n")
        assert talking.poll() is None
        assert talking.stdin is not None
        talking.stdin.write("\n")
        talking.stdin.flush()
        rest, told = following.communicate(timeout=60)
    assert rest.endswith("INFO     print  last\n")
    assert rest.count("\n") == 1
    assert "the run has ended: Completed" in told
    assert following.returncode == 0


def test_levels_choose(tmp_path: Path, talking: subprocess.Popen[str]) -> None:
    run = run_of(tmp_path)
    assert [
        line.split()[-1] for line in headwater(tmp_path, "logs", run, "--level", "warning").stdout.splitlines()
    ] == ["beware"]
    done = headwater(tmp_path, "logs", run, "--level", "loud")
    assert (done.returncode, "there is no level 'LOUD'" in done.stderr) == (2, True)


def test_a_stream_is_no_document(tmp_path: Path, talking: subprocess.Popen[str]) -> None:
    done = headwater(tmp_path, "logs", run_of(tmp_path), "--follow", "--json")
    assert (done.returncode, '"usage"' in done.stdout) == (2, True)
