"""The kinds of events that core writes: runs, task runs, logs.

Those that a flow writes, for itself, each task and each line of its log, are made without slots: orjson then reads their
members from a dictionary, which takes a quarter of the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from headwater.core.journal.events import Body
from headwater.types import ErrorInfo, SourceCode


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterOpened(Body):
    """The first event of each segment: who writes it, in which format."""

    kind: ClassVar[str] = "writer.opened"

    format: int
    pid: int
    host: str
    headwater: str
    python: str
    boot: str | None = None
    """The machine's boot id: a writer of an earlier boot may have lost the end of what it wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterClosed(Body):
    """The last event of a segment: nothing follows. `reason` is "exit", "full" when its process goes on with another
    segment, or "recovered" when another process found it dead.
    """

    kind: ClassVar[str] = "writer.closed"

    reason: str


@dataclass(frozen=True, kw_only=True)
class RunStarted(Body):
    """An attempt of a run began. `type` is flow, task, materialize or backfill; `source` is where its function stands."""

    kind: ClassVar[str] = "run.started"
    durable: ClassVar[bool] = True

    run_id: str
    attempt: int = 1
    flow: str
    type: str = "flow"
    parent_run_id: str | None = None
    parent_task_run_id: str | None = None
    parent_flow: str | None = None
    parent_attempt: int = 1
    root_run_id: str
    root_flow: str
    root_attempt: int = 1
    project: str
    parameters: dict[str, Any]
    source: SourceCode | None = None
    nominal_start: int | None = None
    nominal_end: int | None = None


@dataclass(frozen=True, kw_only=True)
class RunEnded(Body):
    """An attempt of a run ended in a terminal state; says again what its start said, so that it can be read alone."""

    kind: ClassVar[str] = "run.ended"
    durable: ClassVar[bool] = True

    run_id: str
    attempt: int = 1
    flow: str
    type: str = "flow"
    state: str
    started: int
    parent_run_id: str | None = None
    parent_flow: str | None = None
    parent_attempt: int = 1
    root_run_id: str
    root_flow: str
    root_attempt: int = 1
    project: str
    error: ErrorInfo | None = None
    source: SourceCode | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCancelRequested(Body):
    """Somebody asked a run's attempt to stop; `asked_by` says who, as user@host."""

    kind: ClassVar[str] = "run.cancel_requested"
    durable: ClassVar[bool] = True

    run_id: str
    attempt: int = 1
    asked_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class TaskStarted(Body):
    """A task run began to run."""

    kind: ClassVar[str] = "task.started"

    task_run_id: str
    run_id: str
    attempt: int = 1
    task: str
    parent_task_run_id: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TaskState(Body):
    """A task run changed into a state that is not terminal, on its so-manieth try (from 1)."""

    kind: ClassVar[str] = "task.state"

    task_run_id: str
    run_id: str
    attempt: int = 1
    state: str
    tries: int
    delay: float | None = None
    error: ErrorInfo | None = None


@dataclass(frozen=True, kw_only=True)
class TaskEnded(Body):
    """A task run ended in a terminal state after so many tries."""

    kind: ClassVar[str] = "task.ended"

    task_run_id: str
    run_id: str
    attempt: int = 1
    task: str
    state: str
    tries: int
    started: int
    error: ErrorInfo | None = None


@dataclass(frozen=True, kw_only=True)
class LogWritten(Body):
    """A log record of a run; `level` is the number of Python's logging module."""

    kind: ClassVar[str] = "log.written"

    run_id: str
    attempt: int = 1
    task_run_id: str | None = None
    level: int
    logger: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedRun:
    """An attempt of a run that loses detail. `tasks` says how many of its task runs had ended in which state.

    It is None when only log records expire, and empty when the attempt had not ended yet; `logs` counts log records.
    """

    run_id: str
    attempt: int
    tasks: dict[str, int] | None = None
    logs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsPruned(Body):
    """Detail of these runs from before a moment is about to expire: somebody pruned. Written before anything is removed."""

    kind: ClassVar[str] = "runs.pruned"
    durable: ClassVar[bool] = True

    before: int
    runs: tuple[PrunedRun, ...]


KINDS: dict[str, type[Body]] = {
    body.kind: body
    for body in (
        WriterOpened,
        WriterClosed,
        RunStarted,
        RunEnded,
        RunCancelRequested,
        TaskStarted,
        TaskState,
        TaskEnded,
        LogWritten,
        RunsPruned,
    )
}
