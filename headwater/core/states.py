"""The states of runs and task runs, and which of them holds when several were recorded."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a run or a task run stands. The value is what stands in the journal.

    >>> State("Completed") is State.COMPLETED
    True
    """

    SCHEDULED = "Scheduled"
    """It is due at a time in the future."""
    LATE = "Late"
    """It was due and has not started."""
    PENDING = "Pending"
    """It waits for its upstream, or for a free thread."""
    AWAITING_RETRY = "AwaitingRetry"
    """A try failed; the next one starts after a delay."""
    AWAITING_SLOT = "AwaitingSlot"
    """It waits for a concurrency limit."""
    RUNNING = "Running"
    """Its function is being called."""
    PAUSED = "Paused"
    """It waits for a person, and its process waits with it."""
    SUSPENDED = "Suspended"
    """It waits for a person, and its process has gone."""
    BLOCKED = "Blocked"
    """A check or a policy refused it. The attempt is over; it may run once what refused it says yes."""
    CANCELLING = "Cancelling"
    """It was asked to stop and has not stopped yet."""
    COMPLETED = "Completed"
    """It returned."""
    CACHED = "Cached"
    """It did not run: an earlier result was used."""
    FAILED = "Failed"
    """It raised an error."""
    CRASHED = "Crashed"
    """Its process died: nobody heard how it ended."""
    TIMED_OUT = "TimedOut"
    """It took longer than it may."""
    CANCELLED = "Cancelled"
    """It was asked to stop, and stopped."""
    ROLLED_BACK = "RolledBack"
    """It completed, and its transaction took it back."""
    SKIPPED = "Skipped"
    """It did not run, because an upstream of it failed."""


PRECEDENCE: tuple[State, ...] = (
    State.ROLLED_BACK,
    State.FAILED,
    State.TIMED_OUT,
    State.CANCELLED,
    State.SKIPPED,
    State.COMPLETED,
    State.CACHED,
    State.CRASHED,
)
"""The terminal states, strongest first: bad news beats good news, and what an attempt said of itself beats Crashed,
which is only ever inferred by others."""

TERMINAL: frozenset[State] = frozenset(PRECEDENCE)
"""The states that nothing follows."""
