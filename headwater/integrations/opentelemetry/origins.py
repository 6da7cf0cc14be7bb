"""Where runs and task runs belong: what their starts said, which their ends do not say again."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, TypeAlias

from headwater.core.events import RunStarted, TaskStarted
from headwater.core.journal.events import Event
from headwater.errors import ExportError, HeadwaterError
from headwater.lineage.statements import statements
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.lineage.projection import Projection

_KEPT = 100_000
"""So many runs and task runs are kept in mind; those before them are looked up."""

Attempt: TypeAlias = tuple[str, int]
"""A run or a task run, and the attempt of its run."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The attempt of the outermost run that a run is part of, and the task run that called it, if one did."""

    root: Attempt
    caller: str | None = None


class Origins:
    """Keeps in mind what passes by, and asks the projection for what passed before this process was there."""

    def __init__(self, projection: Projection) -> None:
        self._projection = projection
        self._runs: OrderedDict[Attempt, Origin] = OrderedDict()
        self._tasks: OrderedDict[Attempt, str | None] = OrderedDict()

    def hear(self, event: Event) -> None:
        """Keep in mind what the start of a run or of a task run says."""
        body = event.body
        attempt = body.get("attempt", 1)
        if event.kind == RunStarted.kind:
            root = (body["root_run_id"], body.get("root_attempt", 1))
            self._runs[(body["run_id"], attempt)] = Origin(root, body.get("parent_task_run_id"))
        elif event.kind == TaskStarted.kind:
            self._tasks[(body["task_run_id"], attempt)] = body.get("parent_task_run_id")
        for kept in (self._runs, self._tasks):
            if len(kept) > _KEPT:
                kept.popitem(last=False)

    def of_run(self, run_id: str, attempt: int) -> Origin:
        """Where an attempt of a run belongs; to itself, when its start is nowhere any more."""
        known = self._runs.get((run_id, attempt))
        if known is None:
            row = self._asked("run", {"run": run_id, "attempt": attempt})
            known = Origin((row[0], row[1] or 1), row[2]) if row else Origin((run_id, attempt))
            self._runs[(run_id, attempt)] = known
        return known

    def caller_of_task(self, task_run_id: str, attempt: int) -> str | None:
        """The task run that called a task run; None when its flow did."""
        key = (task_run_id, attempt)
        if key in self._tasks:
            # It ends once; heard again, after a delivery that failed, it is looked up.
            return self._tasks.pop(key)
        row = self._asked("task", {"task": task_run_id, "attempt": attempt})
        return row[0] if row else None

    def _asked(self, what: str, values: dict[str, str | int]) -> tuple[Any, ...] | None:
        try:
            found = self._looked_up(what, values)
            if found is None:
                # The projection may not have read yet what was told of.
                self._projection.refresh(wait=5)
                found = self._looked_up(what, values)
        except HeadwaterError as error:
            raise ExportError(f"where a run belongs can't be looked up now: {error.message}") from error
        return found

    def _looked_up(self, what: str, values: dict[str, str | int]) -> tuple[Any, ...] | None:
        with self._projection.session() as session:
            rows = session.rows(statements("spans.sql")[what], values)
        return rows[0] if rows else None
