"""Recovery: ends what writers left open that died, exactly once, however many processes look at the same time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

from headwater import failpoints
from headwater.core.events import RunEnded, RunStarted, TaskEnded, TaskStarted, TaskState, WriterClosed, WriterOpened
from headwater.core.journal import descriptors
from headwater.core.journal.events import Body, Event
from headwater.core.journal.home import Home
from headwater.core.journal.lines import ODD, REBOOT, events_in, head_of, is_whole, sequence_of
from headwater.core.journal.reader import Reader
from headwater.core.journal.scan import Damage, Scan
from headwater.core.journal.segment import UNBORN, Segment, boot_id, is_closed, segment_path
from headwater.core.long_work import working
from headwater.errors import HeadwaterError, JournalError
from headwater.records import dataclass
from headwater.types import ErrorInfo
from headwater.wording import remedy

Settler = Callable[[Sequence[Event]], Iterable[Body]]
"""Says what must be appended to a dead writer's segment, of all that stands in it: nothing if it has been said before."""

STATE = "Crashed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """One dead writer: the runs that were ended for it, how many events were appended, and the damage found.

    With an `error` a settler could not settle it yet: the next look tries again.
    """

    writer: str
    crashed: tuple[str, ...] = ()
    appended: int = 0
    damage: tuple[Damage, ...] = ()
    error: HeadwaterError | OSError | None = None


def recover(home: Home, settlers: Sequence[Settler] = (), *, skip: Collection[str] = ()) -> list[Recovered]:
    """End what dead writers left open, and close their segments; returns one record for each.

    Appended are, in this order: TaskEnded for open task runs, what the settlers say, RunEnded for open runs (both in state
    Crashed), WriterClosed. Idempotent: a process that is killed in the middle leaves the rest to the next one. `skip` names
    writers that are known to be closed. Raises FormatError and JournalError.
    """
    known = frozenset(skip)
    try:
        _sweep(home)
        unclosed = [writer for writer in Reader(home).writers() if writer not in known]
        found: list[Recovered] = []
        with working("looking after processes that have died", "segments", len(unclosed)) as work:
            for writer in unclosed:
                recovered = _recover_segment(home, writer, settlers)
                found += [recovered] if recovered is not None else []
                work.go(1)
        return found
    except OSError as error:
        raise JournalError(
            f"dead writers can't be recovered: {error.strerror or error}",
            where=str(error.filename or home.journal),
            hint=remedy(error, "free space or make the home writable; nothing is lost, the next look goes on"),
        ) from error


def _sweep(home: Home) -> None:
    """Remove segments whose writers died while they were being born: nothing was ever acknowledged in them."""
    names = os.listdir(home.journal)  # noqa: PTH208 - many names, of which few make a path
    for path in [home.journal / name for name in names if name.endswith(UNBORN)]:
        try:
            descriptor = descriptors.open_descriptor(path, os.O_RDWR)
        except FileNotFoundError:
            continue
        try:
            if descriptors.try_lock(descriptor):
                path.unlink(missing_ok=True)
        finally:
            descriptors.close_descriptor(descriptor)


def _recover_segment(home: Home, writer: str, settlers: Sequence[Settler]) -> Recovered | None:
    path = segment_path(home, writer)
    try:
        descriptor = descriptors.open_descriptor(path, os.O_RDWR | os.O_APPEND)
    except FileNotFoundError:
        return None
    try:
        if is_closed(descriptor) or not descriptors.try_lock(descriptor) or os.fstat(descriptor).st_nlink == 0:
            return None
        # From here nobody else writes: what we see now is all there is.
        failpoints.reach("recovery.locked")
        scan, damage = _look(descriptor, path)
        if _mend_last_newline(descriptor, scan, path):
            scan, damage = _look(descriptor, path)
        if scan.closed:
            return None
        if scan.tail:
            if _is_torn(scan.tail, path):
                damage.append(scan.torn())
                os.ftruncate(descriptor, scan.offset)
            else:
                os.write(descriptor, b"\n")
                scan, damage = _look(descriptor, path)
            failpoints.reach("recovery.cut")
        if scan.offset == 0:
            path.unlink(missing_ok=True)
            return Recovered(writer=writer, damage=tuple(damage))
        return _settle(descriptor, path, scan, settlers, damage)
    finally:
        descriptors.close_descriptor(descriptor)


def _look(descriptor: int, path: Path) -> tuple[Scan, list[Damage]]:
    scan = Scan(descriptor, path)
    return scan, [damage for stretch in scan.stretches() for damage in stretch.damage]


def _mend_last_newline(descriptor: int, scan: Scan, path: Path) -> bool:
    """A last record that is whole but for its newline (missing, or another byte) was acknowledged: complete it."""
    for line in (scan.tail, scan.tail[:-1]):
        number = sequence_of(head_of(path.stem), line) if line and is_whole(line) else None
        if number is not None and number >= scan.seq:
            os.ftruncate(descriptor, scan.offset + len(line))
            os.write(descriptor, b"\n")
            return True
    return False


def _is_torn(tail: bytes, path: Path) -> bool:
    """Whether an unfinished end is the beginning of a record, and not something else: that is kept, for who looks into it."""
    head = head_of(path.stem)
    return tail[: len(head)] == head[: len(tail)] and b"\0" not in tail


def _settle(
    descriptor: int, path: Path, scan: Scan, settlers: Sequence[Settler], damage: Sequence[Damage]
) -> Recovered:
    events = SegmentEvents(descriptor, path)
    ends = endings(events, settlers)
    failpoints.reach("recovery.settled")
    segment = Segment(descriptor, path, seq=_next_number(scan, events), end=scan.offset)
    if ends.bodies:
        # One write and one sync: a kill in between leaves whole records, and the next look finds what is still missing.
        segment.write(ends.bodies)
    failpoints.reach("recovery.appended")
    segment.sync(segment.end)
    return ends.recovered(path.stem, damage)


def _next_number(scan: Scan, events: SegmentEvents) -> int:
    number = scan.seq + scan.broken
    opened = next(iter(events), None)
    boot = opened.body.get("boot") if opened is not None and opened.kind == WriterOpened.kind else None
    if boot is not None and boot == boot_id() and not scan.broken:
        return number
    # The machine itself may have crashed, and the end of what was written may be lost although somebody has read it; or
    # damage hides how many records there were. A number that was read before would be passed over: go on where no reader
    # can have been.
    return (number // REBOOT + 1) * REBOOT


@dataclass(frozen=True, slots=True, kw_only=True)
class Endings:
    """What is to be appended behind a dead writer's events, the runs that it ends, and why a settler could not say all."""

    bodies: tuple[Body, ...]
    crashed: tuple[str, ...] = ()
    error: HeadwaterError | OSError | None = None

    def recovered(self, writer: str, damage: Iterable[Damage] = ()) -> Recovered:
        """The record of them, once they are appended."""
        return Recovered(
            writer=writer,
            crashed=self.crashed,
            appended=len(self.bodies),
            damage=tuple(damage),
            error=self.error,
        )


def endings(events: Sequence[Event], settlers: Sequence[Settler]) -> Endings:
    """What every carrier's recovery appends for a dead writer, of all its events.

    The ends of task runs, what the settlers say, the ends of runs, WriterClosed. A settler that can't say it yet leaves the
    writer unclosed, so that the next look asks it again.

    >>> endings([], []).bodies
    (WriterClosed(reason='recovered'),)
    """
    tasks, runs = crashed(events)
    settled: list[Body] = []
    failure: HeadwaterError | OSError | None = None
    for settler in settlers:
        try:
            settled += settler(events)
        except (HeadwaterError, OSError) as error:
            failure = failure or error
    closing = () if failure else (WriterClosed(reason="recovered"),)
    return Endings(bodies=(*tasks, *settled, *runs, *closing), crashed=tuple(run.run_id for run in runs), error=failure)


def crashed(events: Iterable[Event]) -> tuple[list[TaskEnded], list[RunEnded]]:
    """The ends of all task runs and runs of a dead writer that have none yet, the innermost first. Pure.

    >>> crashed([])
    ([], [])
    """
    left = _Left()
    for event in events:
        # An odd body, of a version or a writer that we don't know, leaves nothing open that could be told: it stops nobody.
        with contextlib.suppress(*ODD):
            left.note(event)
    error = _death(left.opened)
    tasks = [
        _task_ended(task, time, left.tries.get(key, 1), error) for key, (task, time) in reversed(left.tasks.items())
    ]
    return tasks, [_run_ended(run, time, error) for run, time in reversed(left.runs.values())]


class _Left:
    """What a writer has begun, and not ended."""

    def __init__(self) -> None:
        self.runs: dict[tuple[str, int], tuple[RunStarted, int]] = {}
        self.tasks: dict[tuple[str, int], tuple[TaskStarted, int]] = {}
        self.tries: dict[tuple[str, int], int] = {}
        self.opened: WriterOpened | None = None

    def note(self, event: Event) -> None:
        """One event more. Raises one of ODD."""
        if event.kind == RunStarted.kind:
            run = event.record(RunStarted)
            self.runs[run.run_id, run.attempt] = run, event.time
        elif event.kind == RunEnded.kind:
            self.runs.pop(_key(event, "run_id"), None)
        elif event.kind == TaskStarted.kind:
            task = event.record(TaskStarted)
            self.tasks[task.task_run_id, task.attempt] = task, event.time
        elif event.kind == TaskState.kind:
            self.tries[_key(event, "task_run_id")] = event.body["tries"]
        elif event.kind == TaskEnded.kind:
            self.tasks.pop(_key(event, "task_run_id"), None)
        elif event.kind == WriterOpened.kind:
            self.opened = event.record(WriterOpened)


def _key(event: Event, name: str) -> tuple[str, int]:
    return event.body[name], event.body.get("attempt", 1)


def _death(opened: WriterOpened | None) -> ErrorInfo:
    process = f"process {opened.pid} on {opened.host}" if opened else "the process"
    return ErrorInfo(type="ProcessDied", message=f"{process} died before this had ended")


def _task_ended(task: TaskStarted, started: int, tries: int, error: ErrorInfo) -> TaskEnded:
    return TaskEnded(
        task_run_id=task.task_run_id,
        run_id=task.run_id,
        attempt=task.attempt,
        task=task.task,
        state=STATE,
        tries=tries,
        started=started,
        error=error,
    )


def _run_ended(run: RunStarted, started: int, error: ErrorInfo) -> RunEnded:
    return RunEnded(
        run_id=run.run_id,
        attempt=run.attempt,
        flow=run.flow,
        type=run.type,
        state=STATE,
        started=started,
        parent_run_id=run.parent_run_id,
        parent_flow=run.parent_flow,
        parent_attempt=run.parent_attempt,
        root_run_id=run.root_run_id,
        root_flow=run.root_flow,
        root_attempt=run.root_attempt,
        project=run.project,
        error=error,
        source=run.source,
        started_by=run.started_by,
    )


class SegmentEvents(Sequence[Event]):
    """All events of an open segment, read anew from the file on every pass, so that a long one need not fit in memory."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path

    def __iter__(self) -> Iterator[Event]:
        for stretch in Scan(self._descriptor, self._path).stretches():
            yield from events_in(stretch.lines)

    def __len__(self) -> int:
        return sum(len(stretch.lines) for stretch in Scan(self._descriptor, self._path).stretches())

    @overload
    def __getitem__(self, index: int) -> Event: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Event]: ...

    def __getitem__(self, index: int | slice) -> Event | Sequence[Event]:
        return tuple(self)[index]
