"""The kinds of events that core writes: runs, task runs, logs.

Those that a flow writes, for itself, each task and each line of its log, are made without slots: orjson then reads their
members from a dictionary, which takes a quarter of the time.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

from headwater.core.journal.events import Body
from headwater.core.results import KeptResult
from headwater.records import dataclass
from headwater.types import ErrorInfo, OuterRun, SourceCode


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
    numbers: str | None = None
    """Among whose process numbers `pid` is one (a container has its own); None where the system does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterClosed(Body):
    """The last event of a segment: nothing follows. `reason` is "exit", "full" when its process goes on with another
    segment, or "recovered" when another process found it dead.
    """

    kind: ClassVar[str] = "writer.closed"

    reason: str


@dataclass(frozen=True, kw_only=True)
class RunStarted(Body):
    """An attempt of a run began. `type` is flow, task, materialize or backfill; `source` is where its function stands.

    `name` is what the run is called beside its flow, where that gives its runs names; `request_id` is the request that asked
    for this attempt of an earlier run: one that asked for a new run has that run's id.
    `started_by` is the run of another orchestrator that started the process.

    So that another attempt of an outermost flow can be called alike: `kept` has the parameters that JSON does not hold as
    they were, as JSON that keeps types; `defaulted` names those that were left at a default that can't be kept, and `lost`
    those that must be given anew (secrets, objects).
    """

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
    kept: dict[str, str] = field(default_factory=dict)
    defaulted: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    name: str | None = None
    request_id: str | None = None
    started_by: OuterRun | None = None


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
    started_by: OuterRun | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCancelRequested(Body):
    """Somebody asked a run's attempt to stop; `asked_by` says who, as user@host."""

    kind: ClassVar[str] = "run.cancel_requested"
    durable: ClassVar[bool] = True

    run_id: str
    attempt: int = 1
    asked_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState(Body):
    """An attempt of a run changed into a state that is not terminal; `limit` is what it waits for, or has waited for."""

    kind: ClassVar[str] = "run.state"

    run_id: str
    attempt: int = 1
    state: str
    limit: str | None = None


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
    """A task run changed into a state that is not terminal, on its so-manieth try (from 1).

    `limit` is what it waits for as AwaitingSlot, or has waited for as Running again.
    """

    kind: ClassVar[str] = "task.state"

    task_run_id: str
    run_id: str
    attempt: int = 1
    state: str
    tries: int
    delay: float | None = None
    error: ErrorInfo | None = None
    limit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReusedCall:
    """A task run of an earlier attempt, by the attempt of the outermost run."""

    attempt: int
    task_run_id: str


@dataclass(frozen=True, kw_only=True)
class TaskEnded(Body):
    """A task run ended in a terminal state after so many tries.

    Within a flow `identity` says which call it was, the same in each attempt; `result` what it returned, or `unkept` why that
    can't be restored; `code` is a fingerprint of what its function was compiled to, and `sources` are the asset
    versions that the result is known to be the data of. `reused` is the earlier task run whose
    result a task run ended with that was not made again.
    """

    kind: ClassVar[str] = "task.ended"

    task_run_id: str
    run_id: str
    attempt: int = 1
    task: str
    state: str
    tries: int
    started: int
    error: ErrorInfo | None = None
    identity: str | None = None
    result: KeptResult | None = None
    unkept: str | None = None
    code: str | None = None
    sources: tuple[dict[str, Any], ...] | None = None
    reused: ReusedCall | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCache(Body):
    """Whether a call of a task with a cache found a kept result: `verdict` is hit, miss or uncached.

    `because` is a kind of reason and `text` a sentence; `parts` are the fingerprints of what the result depends on, by name.
    After a hit `origin` is the task run that kept the result, in the run `origin_run_id`, at `kept_at`.
    """

    kind: ClassVar[str] = "task.cache"

    task_run_id: str
    run_id: str
    attempt: int = 1
    task: str
    verdict: str
    because: str
    text: str
    policy: str
    key: str | None = None
    parts: dict[str, str]
    origin: str | None = None
    origin_run_id: str | None = None
    kept_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskKept(Body):
    """What a task with a cache returned is kept under its key, or was `refused` for this reason."""

    kind: ClassVar[str] = "task.kept"

    task_run_id: str
    run_id: str
    attempt: int = 1
    task: str
    key: str | None = None
    refused: str | None = None
    expires: int | None = None
    encoding: str | None = None
    size: int | None = None
    file: str | None = None


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


KINDS: dict[str, type[Body]] = {
    body.kind: body
    for body in (
        WriterOpened,
        WriterClosed,
        RunStarted,
        RunEnded,
        RunCancelRequested,
        RunState,
        TaskStarted,
        TaskState,
        TaskEnded,
        TaskCache,
        TaskKept,
        LogWritten,
    )
}
