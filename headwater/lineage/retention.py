"""Retention: log records and the detail of task runs expire when somebody asks for it. Nothing else ever does.

First the closed segments are compacted, then it is recorded which runs lose what, then the archives are written anew
without it, then the projection follows. A process that is killed on the way leaves a projection that the next look builds
anew; pruning again goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from headwater import clock, failpoints
from headwater.assets.durations import parse_duration
from headwater.core.events import LogWritten, TaskCache, TaskEnded, TaskKept, TaskStarted, TaskState
from headwater.core.journal import archive, index
from headwater.core.journal.lines import events_in
from headwater.core.journal.reader import Reader
from headwater.core.journal.writer import Writer
from headwater.core.request_events import PrunedRun, RunsPruned
from headwater.lineage.ingest import transaction
from headwater.lineage.statements import statements
from headwater.lineage.upkeep import mend_archives
from headwater.records import dataclass

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from headwater.core.journal.home import Home
    from headwater.core.journal.index import Archive
    from headwater.core.journal.reader import Batch
    from headwater.lineage.projection import Projection

LOGS: Mapping[str, str] = {LogWritten.kind: "facts.logs"}
"""The events that log records are, each with its table in the projection."""
DETAIL: Mapping[str, str] = {
    **LOGS,
    TaskStarted.kind: "facts.task_started",
    TaskState.kind: "facts.task_state",
    TaskEnded.kind: "facts.task_ended",
    TaskCache.kind: "facts.task_cache",
    TaskKept.kind: "facts.task_kept",
}
"""All events that may ever expire."""

_RUNS = 1_000
"""So many runs stand in one event."""
_ARCHIVED = 0.125
"""About so much of a segment's bytes is left in an archive; only a dry run needs to guess."""
_FRAME = 4_500
"""Bytes of an archive and its index, about, beside the events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What expired, or would: times are microseconds since the epoch, bytes those of the journal."""

    before: int
    """What is older than this expires."""
    dry_run: bool
    events: Mapping[str, int]
    """How many events, by kind."""
    runs: int
    """How many runs lose detail."""
    oldest: int | None
    """When the first of these runs started."""
    newest: int | None
    bytes_before: int
    bytes_after: int
    """An estimate in a dry run."""
    damaged: tuple[str, ...] = ()
    """Archives of which nothing expires because they are damaged."""
    undelivered: int | None = None
    """From when on nothing expires because a collector of traces has not got it yet; None when that holds nothing back."""

    def to_json(self) -> dict[str, Any]:
        """The document that `headwater prune --json` prints.

        >>> found = Pruned(before=0, dry_run=True, events={"log.written": 2}, runs=1, oldest=0, newest=0,
        ...     bytes_before=900, bytes_after=300)
        >>> found.to_json()["bytes"]
        {'before': 900, 'after': 300, 'estimated': True}
        """
        return {
            "before": clock.rfc3339(self.before),
            "dry_run": self.dry_run,
            "events": dict(self.events),
            "runs": {"count": self.runs, "oldest": _rfc3339(self.oldest), "newest": _rfc3339(self.newest)},
            "bytes": {"before": self.bytes_before, "after": self.bytes_after, "estimated": self.dry_run},
            "damaged": list(self.damaged),
            "undelivered": _rfc3339(self.undelivered),
        }


def _rfc3339(us: int | None) -> str | None:
    return None if us is None else clock.rfc3339(us)


def cutoff(older_than: str | timedelta | float, now: int) -> int:
    """The moment that lies so long before `now`; both are microseconds since the epoch. Raises UsageError.

    >>> cutoff("1h", 3_600_000_001)
    1
    """
    return max(0, now - parse_duration(older_than, where="older_than") // timedelta(microseconds=1))


def expires(kind: str, time: int, *, kinds: Container[str], before: int) -> bool:
    """Whether an event of an archive expires when `kinds` older than `before` do: never what is no detail.

    >>> [expires(kind, 1, kinds=DETAIL, before=2) for kind in ("log.written", "run.ended")]
    [True, False]
    >>> expires("log.written", 2, kinds=DETAIL, before=2)
    False
    """
    return kind in DETAIL and kind in kinds and time < before


def prune(
    projection: Projection,
    *,
    older_than: str | timedelta | float,
    logs_only: bool = False,
    dry_run: bool = False,
    undelivered: int | None = None,
) -> Pruned:
    """Let log records, and unless `logs_only` the detail of task runs, expire that are older than a duration.

    Of what a living process wrote, nothing expires. Repeating it after it was killed goes on where that stopped. A dry
    run lets nothing expire. What is not older than `undelivered` (microseconds since the epoch) stays, for somebody has not got
    it yet. Raises DefinitionError for what is no duration, JournalError and ProjectionError.
    """
    before = cutoff(older_than, clock.now_us())
    held_back = undelivered if undelivered is not None and undelivered < before else None
    before = before if held_back is None else held_back
    kinds = tuple(LOGS if logs_only else DETAIL)
    home = projection.home
    bytes_before = _bytes(home)
    if not dry_run:
        home.check_writable()
        _compact(projection)
    with projection.changing() as connection:
        # A look leaves the damaged index of an archive that it knows as it is: nothing would expire of that archive.
        if home.is_writable():
            mend_archives(home, ())
        leaving = _leaving(home) if dry_run else _Leaving()
        sound, damaged = _judged(home, before)
        _find_staying(connection, _segments(home, leaving.writers, damaged), kinds, before)
        plan = _plan(connection, kinds, before)
        if dry_run:
            bytes_after = _guess(home, leaving, sum(plan.events.values()))
        else:
            if plan.runs:
                _carry_out(connection, home, plan, sound)
            bytes_after = _bytes(home)
    return Pruned(
        before=before,
        dry_run=dry_run,
        events=plan.events,
        runs=len({run.run_id for run in plan.runs}),
        oldest=plan.oldest,
        newest=plan.newest,
        bytes_before=bytes_before,
        bytes_after=bytes_after,
        damaged=tuple(str(one.path) for one in damaged),
        undelivered=held_back,
    )


def _compact(projection: Projection) -> None:
    """Move all closed segments into archives; others get at the projection between one archive and the next."""
    more = True
    while more:
        with projection.changing():
            more = archive.compact(projection.home) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What expires: events by kind, the attempts of runs that lose it, and when the first and last of those started."""

    kinds: Sequence[str]
    before: int
    events: Mapping[str, int]
    runs: Sequence[PrunedRun]
    oldest: int | None
    newest: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leaving:
    """The writers whose segments the next compaction moves, and how much they hold."""

    writers: frozenset[str] = frozenset()
    events: int = 0
    bytes: int = 0


def _plan(connection: DuckDBPyConnection, kinds: Sequence[str], before: int) -> _Plan:
    sql = statements("retention.sql")
    events = {kind: _one(connection, f"SELECT count(*) {_OLD.format(DETAIL[kind])}", before) for kind in kinds}
    connection.execute(sql["runs"], {"kinds": list(kinds), "before": before})
    rows = connection.execute(sql["losing"]).fetchall()
    return _Plan(
        kinds=kinds,
        before=before,
        events=events,
        runs=[PrunedRun(run_id=run, attempt=attempt, logs=logs, tasks=tasks) for run, attempt, logs, tasks, _ in rows],
        oldest=rows[0][-1] if rows else None,
        newest=rows[-1][-1] if rows else None,
    )


_OLD = "FROM {} WHERE time < $before AND id NOT IN (FROM staying)"


def _one(connection: DuckDBPyConnection, query: str, before: int) -> int:
    row = connection.execute(query, {"before": before}).fetchone()
    return int(row[0]) if row else 0


def _carry_out(connection: DuckDBPyConnection, home: Home, plan: _Plan, archives: Sequence[Archive]) -> None:
    runs = plan.runs
    writer = Writer(home)
    writer.append(
        *(RunsPruned(before=plan.before, runs=tuple(runs[at : at + _RUNS])) for at in range(0, len(runs), _RUNS))
    )
    writer.close()
    failpoints.reach("prune.recorded")
    written = [archive.expire(home, one, plan.kinds, plan.before) for one in archives]
    failpoints.reach("prune.expired")
    with transaction(connection):
        for kind in plan.kinds:
            connection.execute(f"DELETE {_OLD.format(DETAIL[kind])}", {"before": plan.before})
        for one in written:
            if one is not None:
                connection.execute(
                    statements("retention.sql")["generation"], {"archive": one.id, "seq": one.generation}
                )
        failpoints.reach("prune.commit")
    failpoints.reach("prune.committed")


def _judged(home: Home, before: int) -> tuple[list[Archive], list[Archive]]:
    """The archives with something old, those that are sound and those that are damaged: nothing of these expires."""
    sound: list[Archive] = []
    damaged: list[Archive] = []
    for one in index.archives(home):
        if one.first < before:
            whole = one.path.exists() and index.checksum_of(one.path) == one.checksum
            (sound if whole else damaged).append(one)
    return sound, damaged


def _find_staying(connection: DuckDBPyConnection, batches: Iterable[Batch], kinds: Sequence[str], before: int) -> None:
    """Note the old detail of what stays: the segments of living writers, and whatever is damaged."""
    sql = statements("retention.sql")
    connection.execute(sql["begin"])
    for batch in batches:
        # A whole line that is no event stays as well.
        ids = [
            event.id for event in events_in(batch.lines) if expires(event.kind, event.time, kinds=kinds, before=before)
        ]
        if ids:
            connection.execute(sql["stay"], {"ids": ids})


def _leaving(home: Home) -> _Leaving:
    """What the next compaction moves: segments that are closed and without any damage."""
    events: Counter[str] = Counter()
    ends: dict[str, int] = {}
    closed: set[str] = set()
    damaged: set[str] = set()
    for batch in _segments(home):
        events[batch.writer] += len(batch.lines)
        ends[batch.writer] = batch.position.offset
        if batch.closed:
            closed.add(batch.writer)
        if batch.damage:
            damaged.add(batch.writer)
    writers = frozenset(closed - damaged)
    return _Leaving(
        writers=writers,
        events=sum(events[writer] for writer in writers),
        bytes=sum(ends[writer] for writer in writers),
    )


def _segments(home: Home, skip: Collection[str] = (), damaged: Collection[Archive] = ()) -> Iterator[Batch]:
    """What stands in segments, without those of the writers to skip, and in damaged archives."""
    read = {one.id for one in damaged}
    archived = {name for one in index.archives(home) if one.id not in read for name in (one.id, *one.writers)}
    return Reader(home).read(skip=archived.union(skip))


def _guess(home: Home, leaving: _Leaving, expiring: int) -> int:
    archives = index.archives(home)
    events = leaving.events + sum(one.events for one in archives)
    kept = 1 - expiring / events if events else 1
    archived = sum(one.size for one in archives)
    staying = _bytes(home) - archived - leaving.bytes
    frame = _FRAME if leaving.bytes else 0
    return round(staying + frame + (archived + leaving.bytes * _ARCHIVED) * kept)


def _bytes(home: Home) -> int:
    found = 0
    for path in home.journal.rglob("*"):
        # A process that ends or begins may rename its file meanwhile.
        with suppress(FileNotFoundError):
            found += path.stat().st_size if path.is_file() else 0
    return found
