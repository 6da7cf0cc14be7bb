"""One process, measured: its wall clock, its CPU with its children's, its peak of memory, and what it says itself."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

SIDES = Path(__file__).parent / "sides"
_DROPPED = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONSTARTUP", "VIRTUAL_ENV")
_DROPPED_PREFIXES = ("PREFECT_", "DAGSTER_", "HEADWATER_", "OPENLINEAGE_", "OTEL_", "COVERAGE_")
_QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DAGSTER_DISABLE_TELEMETRY": "yes",
    "NO_PROXY": "127.0.0.1,localhost",
}
_DAGSTER_YAML = "telemetry:\n  enabled: false\nnux:\n  enabled: false\n"


class Failed(Exception):
    """A side's process failed, or took too long; the message says how, in one line."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one process cost, and what it said of itself."""

    figures: Mapping[str, float]
    recorded: str


@contextmanager
def scratch() -> Iterator[Path]:
    """A fresh folder on a disk, outside of any project, and gone afterwards."""
    # /tmp is often kept in memory, where a sync costs nothing.
    with tempfile.TemporaryDirectory(prefix="headwater-bench-", dir=os.environ.get("TMPDIR") or "/var/tmp") as folder:
        yield Path(folder).resolve()


def run(python: Path, arguments: Iterable[str], *, seed: Path | None = None, timeout: float = 240) -> Sample:
    """Run a script with an interpreter in a fresh folder with fresh homes; Prefect's is a copy of `seed`. Raises Failed."""
    with scratch() as folder:
        command = [str(python), *arguments]
        if seed is not None and seed.is_dir():
            shutil.copytree(seed, folder / "prefect")
        stdout, stderr = folder / "stdout", folder / "stderr"
        with stdout.open("wb") as out, stderr.open("wb") as err:
            began = time.perf_counter()
            process = subprocess.Popen(
                command, cwd=_work(folder), env=_environment(folder), stdout=out, stderr=err, start_new_session=True
            )
            status, usage = _wait(process, began + timeout)
            wall = time.perf_counter() - began
        _end_group(process.pid)
        if status:
            last = [line for line in stderr.read_text(errors="replace").splitlines() if line.strip()][-1:]
            took = "took too long" if wall > timeout else f"exit status {status}"
            raise Failed(f"{took}: {last[0].strip()[:200] if last else 'no message'}")
        said = _said(stdout.read_text(errors="replace"))
    unit = 1 if platform.system() == "Darwin" else 1_024  # ru_maxrss is in bytes there, in kB here
    whole = {
        "process_wall_ms": wall * 1_000,
        "process_cpu_ms": (usage.ru_utime + usage.ru_stime) * 1_000,
        "peak_mb": usage.ru_maxrss * unit / 1e6,
    }
    return Sample({**whole, **said.figures}, said.recorded)


def best(samples: Iterable[Sample]) -> Sample:
    """Many samples as one: the least CPU, which noise only adds to (and the most events a second); the median of all else."""
    taken = list(samples)
    names = list(dict.fromkeys(name for sample in taken for name in sample.figures))
    figures = {}
    for name in names:
        values = [sample.figures[name] for sample in taken if name in sample.figures]
        figures[name] = min(values) if "cpu" in name else max(values) if "per_s" in name else median(values)
    return Sample(figures, taken[-1].recorded)


def side(script: str, *arguments: str) -> tuple[str, ...]:
    """The arguments to Python that run one side of a row."""
    return (str(SIDES / f"{script}.py"), *arguments)


def _work(folder: Path) -> Path:
    work = folder / "work"
    work.mkdir()
    return work


def _environment(folder: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _DROPPED and not name.startswith(_DROPPED_PREFIXES)
    }
    homes = {"PREFECT_HOME": folder / "prefect", "DAGSTER_HOME": folder / "dagster", "TMPDIR": folder / "tmp"}
    for path in homes.values():
        path.mkdir(exist_ok=True)
    (homes["DAGSTER_HOME"] / "dagster.yaml").write_text(_DAGSTER_YAML)
    return {**kept, **_QUIET, **{name: str(path) for name, path in homes.items()}}


def _wait(process: subprocess.Popen[bytes], deadline: float) -> tuple[int, os.struct_rusage]:  # type: ignore[name-defined]
    # Not Popen.wait, which would reap the process and keep its usage to itself.
    previous = signal.signal(signal.SIGALRM, lambda *_: _end_group(process.pid))
    signal.setitimer(signal.ITIMER_REAL, max(deadline - time.perf_counter(), 0.001))
    try:
        _, status, usage = os.wait4(process.pid, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage


def _end_group(leader: int) -> None:
    # What a side started and left running (a server, a heartbeat) is in its session, and ends with it.
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def _said(text: str) -> Sample:
    for line in reversed(text.splitlines()):
        if line.startswith('{"figures"'):
            said = json.loads(line)
            return Sample(said["figures"], said["recorded"])
    return Sample({}, "")


def own_python() -> Path:
    """The interpreter that runs this."""
    return Path(sys.executable)
