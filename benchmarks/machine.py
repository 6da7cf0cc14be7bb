"""What the figures were measured on: processor, memory, kernel, file system, Python, versions, and how fast a sync is."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from benchmarks import measure, peers

_OURS = ("headwater", "polars", "duckdb", "orjson", "openlineage-python")


def describe() -> list[tuple[str, str]]:
    """Name and value of each fact, in the order in which they are printed."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return [
        ("date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("processor", f"{_processor()}, {os.cpu_count()} cores"),
        ("memory", f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB"),
        ("system", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("file system", _file_system()),
        ("an append of 2,000 bytes and its sync", f"{_sync_ms():.2f} ms (median of 200)"),
        ("load before the start (1, 5, 15 min)", load),
        ("Python", platform.python_version()),
        ("versions", ", ".join(f"{name} {_version(name)}" for name in _OURS)),
        ("peers", "; ".join(", ".join(peer.requirements) for peer in peers.PEERS.values())),
    ]


def _processor() -> str:
    if sys.platform == "darwin":
        said = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True)
        return said.stdout.strip()
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].partition(":")[2].strip() if names else platform.processor()


def _file_system() -> str:
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return "unknown"
    with measure.scratch() as folder:
        fields = [line.split() for line in mounts.read_text().splitlines()]
        over = [(mount, kind) for _, mount, kind, *_ in fields if folder.is_relative_to(mount)]
    return max(over, key=lambda one: len(one[0]))[1]


def _sync_ms() -> float:
    times = []
    with measure.scratch() as folder, (folder / "file").open("wb", buffering=0) as file:
        for _ in range(200):
            began = time.perf_counter()
            file.write(b"x" * 2_000)
            getattr(os, "fdatasync", os.fsync)(file.fileno())
            times.append((time.perf_counter() - began) * 1_000)
    return median(times)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "?"
