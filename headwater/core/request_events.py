"""The kinds of events that a server and its worker write, and pruning: what people asked for, and who had access."""

from __future__ import annotations

from typing import Any, ClassVar

from headwater.core.journal.events import Body
from headwater.records import dataclass


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


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkAsked(Body):
    """Somebody asked, through the server, that work be started: a `headwater worker` does.

    `what` is backfill, resume, retry, materialize, run, runs.resume or runs.retry, `arguments` are those of that command; what
    it starts has the request's id, where it gets one. `asked_by` is the name of the token that it was asked with, `project` that of
    the server that was asked: a home may have several, and only workers of the same one start it.
    """

    kind: ClassVar[str] = "work.asked"
    durable: ClassVar[bool] = True

    request_id: str
    what: str
    arguments: dict[str, Any]
    asked_by: str | None = None
    project: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkTaken(Body):
    """A worker is about to start what was asked for, as a process of its own; `pid` and `host` are the worker's.

    That process holds the lock `work:` and the request's id as long as it lives.
    """

    kind: ClassVar[str] = "work.taken"
    durable: ClassVar[bool] = True

    request_id: str
    pid: int
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkStarted(Body):
    """A worker has started the process of a request: its `pid` (among whose `numbers`, as in WriterOpened) and `host`."""

    kind: ClassVar[str] = "work.started"

    request_id: str
    pid: int
    host: str
    numbers: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkCancelRequested(Body):
    """Somebody takes back a request whose process still loads its code, and has begun no run: it is stopped, or killed."""

    kind: ClassVar[str] = "work.cancel_requested"
    durable: ClassVar[bool] = True

    request_id: str
    asked_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkEnded(Body):
    """The process that was started for a request has ended: its exit code, and what it said last when that is not 0.

    Or somebody, `cancelled_by`, took the request back before it had begun.
    """

    kind: ClassVar[str] = "work.ended"
    durable: ClassVar[bool] = True

    request_id: str
    exit_code: int
    message: str | None = None
    cancelled_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRecorded(Body):
    """Somebody was given access, lost it, used it to log in or out, or was refused.

    `what` is token.created, token.revoked, session.began, session.ended or refused; `subject` the token's id, for a refusal the
    address that it came from. `by` is who did it, or the token's name; `count` says how many refusals it stands for.
    """

    kind: ClassVar[str] = "access.recorded"
    durable: ClassVar[bool] = True

    what: str
    subject: str
    by: str | None = None
    count: int = 1


KINDS: dict[str, type[Body]] = {
    body.kind: body
    for body in (
        RunsPruned,
        WorkAsked,
        WorkTaken,
        WorkStarted,
        WorkCancelRequested,
        WorkEnded,
        AccessRecorded,
    )
}
