"""A flow that runs for half an hour at a hundred tasks a second must not grow. `make soak`; 1 when it did.

Memory may grow by 1 MB in 10,000 tasks at most, once it has warmed up; files and threads not at all.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks import measure

MOST_MB = 1.0
"""How much memory may grow by in 10,000 tasks."""

NOISE_MB = 12.0
"""What an allocator takes more or less, and what the bounded memory of values needs until it is full: no growth yet."""

FEW = 2
"""So many files or threads more may be open at one moment than at another."""

WARM = 0.25
"""The part of the samples, from the first, in which everything may still grow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the flow's process held after so many tasks."""

    tasks: int
    seconds: float
    mb: float
    files: int
    threads: int
    journal_mb: float

    def __str__(self) -> str:
        return (
            f"{self.seconds:7.0f} s {self.tasks:9,} tasks {self.mb:7.1f} MB {self.files:4} files {self.threads:4} threads "
            f"{self.journal_mb:8.1f} MB of journal"
        )


def slope(samples: Sequence[Held]) -> float:
    """How many MB memory grows by in 10,000 tasks: the line that fits best.

    >>> held = [Held(tasks=n, seconds=n, mb=50 + n / 10_000, files=9, threads=3, journal_mb=0) for n in range(0, 90_000, 1_000)]
    >>> round(slope(held), 3)
    1.0
    """
    tasks, mb = fmean(one.tasks for one in samples), fmean(one.mb for one in samples)
    spread = sum((one.tasks - tasks) ** 2 for one in samples)
    return sum((one.tasks - tasks) * (one.mb - mb) for one in samples) / spread * 10_000 if spread else 0.0


def findings(samples: Sequence[Held]) -> list[str]:
    """What grew that must not."""
    warm = samples[int(len(samples) * WARM) :]
    if len(warm) < 4:
        return [f"only {len(samples)} samples, which say nothing"]
    found = []
    growth = slope(warm)
    if growth > MOST_MB and growth * (warm[-1].tasks - warm[0].tasks) / 10_000 > NOISE_MB:
        found.append(f"memory grew by {growth:.2f} MB in 10,000 tasks")
    half = len(warm) // 2
    for name in ("files", "threads"):
        before, after = (min(getattr(one, name) for one in part) for part in (warm[:half], warm[half:]))
        if after > before + FEW:
            found.append(f"{name} grew from {before} to {after}")
    return found


def soak(seconds: float, rate: float, every: float) -> Iterable[Held]:
    """The samples of a flow in a process and a folder of its own, as they come. Raises CalledProcessError."""
    with measure.scratch() as folder:
        command = [sys.executable, *measure.side("soaked", str(seconds), str(rate), str(every))]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}
        with (folder / "stderr").open("w") as errors:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        with process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    if line.startswith("{"):
                        yield Held(**json.loads(line))
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command, stderr=(folder / "stderr").read_text())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print a line a minute and what grew; 1 when something did."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1_800)
    parser.add_argument("--rate", type=float, default=100, help="tasks a second; 0: as many as there can be")
    parser.add_argument("--every", type=float, default=60, help="seconds between two lines")
    options = parser.parse_args(arguments)
    samples: list[Held] = []
    shown = -options.every
    for held in soak(options.seconds, options.rate, min(options.every, max(options.seconds / 200, 0.05))):
        samples.append(held)
        if held.seconds - shown >= options.every:
            shown = held.seconds
            print(held, flush=True)
    warm = samples[int(len(samples) * WARM) :]
    found = findings(samples)
    print(samples[-1])
    print(
        f"soak: memory {slope(warm):+.2f} MB in 10,000 tasks after warming up; " + ("; ".join(found) or "nothing grew")
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
