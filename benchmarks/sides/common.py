"""What the sides of all rows share: a stopwatch, the one line that they print, and counting what was recorded.

Standard library only: it runs in the environments of all sides.
"""

import json
import os
import resource
import sqlite3
import sys
import time
from pathlib import Path


class Stopwatch:
    """The wall clock and the CPU of this process (all its threads, no children) inside of a `with`."""

    def __enter__(self):
        self._cpu, self._wall = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *_):
        self.wall_ms = (time.perf_counter() - self._wall) * 1_000
        self.cpu_ms = (time.process_time() - self._cpu) * 1_000


class Syncs:
    """How long fsync and fdatasync took in this process since this was made: what no software makes shorter."""

    def __init__(self):
        self.wall_ms = 0.0
        for name in ("fsync", "fdatasync"):
            if hasattr(os, name):
                setattr(os, name, self._timed(getattr(os, name)))

    def _timed(self, sync):
        def timed(descriptor):
            began = time.perf_counter()
            try:
                return sync(descriptor)
            finally:
                self.wall_ms += (time.perf_counter() - began) * 1_000

        return timed


def say_headwater(run, spent, count, syncs=None):
    """Bring the projection up to date, timed apart, and print what `count` things cost. `run` is the project."""
    unsynced = {} if syncs is None else {"unsynced_wall_ms": (spent.wall_ms - syncs.wall_ms) / count}
    with Stopwatch() as refresh:
        run.projection.refresh()
    say(
        journal_line(),
        cpu_ms=spent.cpu_ms / count,
        wall_ms=spent.wall_ms / count,
        **unsynced,
        refresh_cpu_ms=refresh.cpu_ms / count,
        refresh_wall_ms=refresh.wall_ms / count,
    )


def say(recorded="", **figures):
    """Print what was found: the last thing that a side does."""
    print(json.dumps({"figures": figures, "recorded": recorded}), flush=True)


def main(*sides):
    """Run the side that the command line names, with the rest of it: numbers as int."""
    named = {side.__name__: side for side in sides}
    name, *arguments = sys.argv[1:]
    named[name](*(int(one) if one.isdigit() else one for one in arguments))


def peak_mb():
    """This process's peak of memory so far."""
    return mb(resource.getrusage(resource.RUSAGE_SELF))


def mb(usage):
    """The peak of memory that a usage tells: in bytes on macOS, in kB elsewhere."""
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1_024) / 1e6


def raw_sync_folder(folder):
    """fsync a folder, so that the names in it survive."""
    opened = os.open(folder, os.O_RDONLY)
    os.fsync(opened)
    os.close(opened)


def raw_write(frame, final, journal):
    """What writing one small Parquet file durably costs at least: the same file and the same syncs, nothing else.

    Staged beside its place, synced, noted in the journal, replaced, its folder synced; the outcome is noted with the next.
    """
    staged = final.with_name(f".{final.name}.part")
    frame.write_parquet(staged)
    with staged.open("rb+") as file:
        os.fsync(file.fileno())
    raw_append(journal, 2_000)
    staged.replace(final)
    raw_sync_folder(final.parent)
    raw_append(journal, 2_000, sync=False)


def raw_append(journal, size, *, sync=True):
    """Append so many bytes to an open file, and sync its data."""
    os.write(journal.fileno(), b"x" * (size - 1) + b"\n")
    if sync:
        getattr(os, "fdatasync", os.fsync)(journal.fileno())


def journal_line():
    """How many events, of how many bytes, stand in the journal of the home in this folder."""
    lines = [line for path in Path(".headwater/journal").glob("*.ndjson") for line in path.read_bytes().splitlines()]
    return f"{len(lines):,} events, {sum(map(len, lines)) / 1e6:.2f} MB in the journal"


def sqlite_rows(paths, *tables):
    """How many rows stand in these tables of these databases together, and how large the files are."""
    counts = dict.fromkeys(tables, 0)
    size = 0
    for path in paths:
        size += sum(file.stat().st_size for file in path.parent.glob(path.name + "*"))
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for table in there & set(tables):
            counts[table] += connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]
        connection.close()
    rows = ", ".join(f"{count:,} {table}" for table, count in counts.items() if count)
    return f"{rows or 'no rows'}; {size / 1e6:.1f} MB of SQLite"
