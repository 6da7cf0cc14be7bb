"""The shapes of answers about runs, their task runs and their logs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict

from headwater.api.models.base import RUN, TIME, Answer, Page, example


class Run(Answer):
    """A run with its newest attempt; `name` is its own, `tasks` counts its task runs by their states."""

    model_config = example(
        id=RUN, flow="nightly", state="Completed", started=TIME, ended=TIME, duration=4.2, tasks={"Completed": 7}
    )
    id: str
    flow: str | None = None
    name: str | None = None
    state: str
    started: str | None = None
    ended: str | None = None
    duration: float | None = None
    tasks: dict[str, int] = {}


class ErrorDetail(Answer):
    """An error, with the traceback where there is one."""

    type: str
    message: str
    traceback: str | None = None


class Attempt(Answer):
    """An attempt of a run."""

    attempt: int
    state: str
    started: str | None = None
    ended: str | None = None
    duration: float | None = None
    error: ErrorDetail | None = None


class Source(Answer):
    """Where a function stands: its file within the project, and the line."""

    file: str
    line: int
    name: str


class RunOne(Run):
    """A run with how it was called, and its attempts, the newest first.

    `parent` is the run that it is within, `children` counts those within it; `asked_by` is the token that asked for it,
    `cancelled_by` who asked it to stop.
    """

    model_config = example(
        id=RUN,
        flow="nightly",
        state="Failed",
        started=TIME,
        ended=TIME,
        duration=4.2,
        tasks={"Completed": 6, "Failed": 1},
        attempt=1,
        parameters={"day": "2026-01-05"},
        project="shop",
        attempts=[
            {
                "attempt": 1,
                "state": "Failed",
                "started": TIME,
                "ended": TIME,
                "duration": 4.2,
                "error": {"type": "ValueError", "message": "no rows", "traceback": "Traceback …"},
            }
        ],
    )
    attempt: int = 1
    parent: str | None = None
    root: str | None = None
    project: str | None = None
    parameters: dict[str, Any] = {}
    source: Source | None = None
    asked_by: str | None = None
    cancelled_by: str | None = None
    children: int = 0
    attempts: list[Attempt] = []


class Runs(Page):
    """The newest first."""

    runs: list[Run]


class TaskRun(Answer):
    """A task run."""

    id: str
    task: str | None = None
    state: str
    tries: int | None = None
    started: str | None = None
    ended: str | None = None
    duration: float | None = None


class TaskRuns(Page):
    """The task runs of a run, the oldest first."""

    run: str
    task_runs: list[TaskRun]


class LogRow(Answer):
    """A log record; `level` is the number of Python's logging module."""

    id: str
    at: str
    level: int
    logger: str | None = None
    message: str | None = None

    model_config = ConfigDict(extra="allow", coerce_numbers_to_str=False)


class Logs(Page):
    """What a run logged, the oldest first."""

    run: str
    logs: list[LogRow]


class Asking(Answer):
    """That something was asked of what runs; read it again to see it happen."""

    model_config = example(id=RUN, state="Cancelling")
    id: str
    state: str


class Artifact(Answer):
    """Something that a run made: a materialization, whatever came of it, what a check said, or a result that is kept."""

    id: str
    kind: Literal["materialization", "check", "result"]
    name: str | None = None
    at: str
    state: str | None = None
    partition: str | None = None
    version: str | None = None
    message: str | None = None
    rows: int | None = None
    bytes: int | None = None
    attempt: int | None = None
    task_run: str | None = None


class Artifacts(Page):
    """What a run made, the newest first."""

    run: str
    artifacts: list[Artifact]
