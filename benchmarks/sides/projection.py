"""The projection of a team's journal of so many events: made anew, and brought up to date after a thousand new ones.

Raw: DuckDB reads the same lines as they are into one table, of their envelope and their body as text, in a file of its own.
"""

import contextlib
import os
import statistics
import time
from pathlib import Path

from common import Stopwatch, main, peak_mb, say

NEW = 1_000
TIMES = 9


def rebuild(events):
    """From the segments alone, as they lie there when no look has compacted any of them."""
    home, _ = _home(events)
    from headwater.lineage.projection import Projection

    before = peak_mb()
    with Stopwatch() as spent:
        Projection(home).rebuild()
    size = home.database.stat().st_size / 1e6
    say(_line(events, home), wall_ms=spent.wall_ms, cpu_ms=spent.cpu_ms, before_mb=before, file_mb=size)


def refresh(events):
    """In a process that has DuckDB, on a projection whose closed segments are compacted; the median of some times."""
    from headwater.core.journal.archive import compact
    from headwater.lineage import projection, store

    home, runs = _home(events)
    while compact(home) is not None:
        pass
    found = projection.Projection(home)
    found.rebuild()
    found.refresh(wait=60)
    parts = {"connect": 0.0, "ingest": 0.0}
    _timed(parts, "connect", store, "connect")
    _timed(parts, "ingest", projection, "ingest")
    walls, cpus, taken = [], [], []
    for _ in _news(home, runs):
        parts.update(dict.fromkeys(parts, 0.0))
        with Stopwatch() as spent:
            found.refresh(wait=60)
        walls.append(spent.wall_ms)
        cpus.append(spent.cpu_ms)
        taken.append({**parts, "close": spent.wall_ms - sum(parts.values())})
    median = {f"{name}_wall_ms": statistics.median(one[name] for one in taken) for name in taken[0]}
    say(_line(events, home), wall_ms=statistics.median(walls), cpu_ms=min(cpus), **median)


def raw_rebuild(events):
    """All lines into one table, and where they end, in a new file."""
    home, _ = _home(events)
    segments = _segments(home)
    with Stopwatch() as spent:
        _take_in(segments)
    say(_raw_line(events), wall_ms=spent.wall_ms, cpu_ms=spent.cpu_ms)


def raw_refresh(events):
    """The file opened, a thousand more lines put into its one table, and where they end; closed."""
    home, runs = _home(events)
    known = _segments(home)
    _take_in(known)
    walls, cpus = [], []
    for _ in _news(home, runs):
        new = _segments(home) - known
        known |= new
        with Stopwatch() as spent:
            _take_in(new)
        walls.append(spent.wall_ms)
        cpus.append(spent.cpu_ms)
    say(_raw_line(events), wall_ms=statistics.median(walls), cpu_ms=min(cpus))


def _news(home, runs):
    """Some times a thousand events more, in a journal that has so many runs; they are younger than its archives, as news are."""
    import team

    from headwater import clock

    for _ in range(TIMES):
        runs += team.write(home, NEW, skip=runs, first=clock.now_us() - runs * team.BETWEEN)
        yield


_RAW = "raw.duckdb"


def _segments(home):
    return {str(path) for path in Path(home.journal).glob("*.ndjson")}


def _take_in(segments):
    import duckdb

    with duckdb.connect(_RAW) as connection:
        connection.execute("BEGIN")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS events (w VARCHAR, n BIGINT, id UUID, t BIGINT, k VARCHAR, v INT, b VARCHAR)"
        )
        connection.execute("CREATE TABLE IF NOT EXISTS positions (segments BIGINT)")
        columns = "{w: 'VARCHAR', n: 'BIGINT', id: 'UUID', t: 'BIGINT', k: 'VARCHAR', v: 'INT', b: 'VARCHAR'}"
        connection.execute(f"INSERT INTO events FROM read_ndjson(?, columns={columns})", [sorted(segments)])
        connection.execute("INSERT INTO positions VALUES (?)", [len(segments)])
        connection.execute("COMMIT")


def _raw_line(events):
    return f"{events:,} events, {Path(_RAW).stat().st_size / 1e6:,.0f} MB of DuckDB"


def _home(events):
    # By a process of its own: who has made the ids of a year makes none of today for a while.
    import team

    from headwater.core.journal.home import Home

    home = Home.open(".headwater", create=True)
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            team.write(home, events)
            os._exit(0)
        os._exit(1)
    if os.waitpid(child, 0)[1]:
        raise SystemExit("the journal could not be made")
    return home, -(-events // team.EVENTS)


def _timed(parts, name, module, function):
    work = getattr(module, function)

    def timed(*arguments, **named):
        began = time.perf_counter()
        try:
            return work(*arguments, **named)
        finally:
            parts[name] += (time.perf_counter() - began) * 1_000

    setattr(module, function, timed)


def _line(events, home):
    size = sum(path.stat().st_size for path in Path(home.journal).rglob("*") if path.is_file())
    return f"{events:,} events, {size / 1e6:,.0f} MB of journal, {home.database.stat().st_size / 1e6:,.0f} MB of DuckDB"


if __name__ == "__main__":
    main(rebuild, refresh, raw_rebuild, raw_refresh)
