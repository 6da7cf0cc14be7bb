"""A power loss right after something was published: what no sync had reached is gone, and it is published all the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from headwater.core.journal import segment as segments
from headwater.core.journal.reader import Reader
from headwater.project import Project

SCRIPT = """
import os, signal
from pathlib import Path
from headwater import Asset, flow, materialize
from headwater.core.journal import segment

sync = segment._sync_data

def noted(descriptor):
    sync(descriptor)
    Path("synced").write_text(str(os.fstat(descriptor).st_size))

segment._sync_data = noted

@materialize(Asset("orders", at="parquet://lake/orders"))
def orders():
    return [{"id": 1}]

@materialize(Asset("double", at="parquet://lake/double"), inputs={"orders": "parquet://lake/orders"})
def double(orders):
    return orders

@flow
def nightly():
    orders()
    before = Path("synced").read_text()
    double()
    Path("between").write_text(before)
    os.kill(os.getpid(), signal.SIGKILL)

nightly()
"""


def outcomes(lines: list[bytes]) -> list[str]:
    """The assets that these lines of a journal say were published."""
    bodies = [event["b"] for event in map(json.loads, lines) if event["k"] == "materialization.ended"]
    return [body["started"]["asset"]["name"] for body in bodies if body["state"] == "published"]


def test_what_was_published_is_known_without_its_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    (segment,) = (tmp_path / ".headwater" / "journal").glob("*.ndjson")
    written = segment.read_bytes()
    synced, between = (int((tmp_path / name).read_text()) for name in ("synced", "between"))
    # A kill loses none of it; the disk had the first outcome before the second was published.
    assert outcomes(written.splitlines()) == ["orders", "double"]
    assert outcomes(written[:between].splitlines()) == []
    assert outcomes(written[:synced].splitlines()) == ["orders"]

    segment.write_bytes(written[:synced])
    run = Project.open(tmp_path)
    sizes, sync = [], segments._sync_data
    monkeypatch.setattr(segments, "_sync_data", lambda file: (sync(file), sizes.append(os.fstat(file).st_size)))
    run.projection.refresh()
    # The next loss takes nothing of what was settled now.
    assert sizes[-1:] == [segment.stat().st_size]
    ends = [event.body for event in Reader(run.home).events() if event.kind == "materialization.ended"]
    assert [(end["started"]["asset"]["name"], end["state"]) for end in ends] == [
        ("orders", "published"),
        ("double", "published"),
    ]
    assert ends[1]["evidence"]["rows"] == 1
