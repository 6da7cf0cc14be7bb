"""A user's script that runs flows, and what is measured of it."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

SCRIPT = """
import json, sys, time
from headwater import flow, project, task

starting = project.Project._start_courier
spent = [0.0, 0.0]

def timed(self):
    wall, cpu = time.perf_counter(), time.process_time()
    starting(self)
    spent[:] = time.perf_counter() - wall, time.process_time() - cpu

# All that a run does for its collector: from here on a process of its own does the rest.
project.Project._start_courier = timed

@task
def one(n):
    return n

@flow
def nightly(n):
    time.sleep(float(sys.argv[2]))
    return one(n)

wall, cpu = time.perf_counter(), time.process_time()
for n in range(int(sys.argv[1])):
    nightly(n)
figures = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
print(json.dumps({**figures, "own_wall": spent[0], "own_cpu": spent[1]}))
"""


@dataclass(frozen=True)
class Ran:
    """How long the flows took, what of it they did for their collector, and the whole process; seconds."""

    wall: float
    cpu: float
    own_wall: float
    own_cpu: float
    process: float


def clean_environment(folder: Path, url: str | None = None, **more: str) -> dict[str, str]:
    """This environment without what is meant for other collectors, and with a home folder that holds no configuration."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OPENLINEAGE", "HEADWATER_")) and not name.upper().endswith("_PROXY")
    }
    return kept | ({"OPENLINEAGE_URL": url} if url else {}) | {"HOME": str(folder)} | more


def run_flows(folder: Path, count: int, url: str | None = None, sleep: float = 0.0, **more: str) -> Ran:
    """Run so many flows in a process of their own: twice so many events."""
    folder.mkdir(exist_ok=True)
    (folder / "flows.py").write_text(SCRIPT)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "flows.py", str(count), str(sleep)],
        cwd=folder,
        env=clean_environment(folder, url, **more),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return Ran(**json.loads(done.stdout), process=time.monotonic() - began)
