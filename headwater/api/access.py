"""The record of who was let in and who was not: in the journal, and bounded, so that nobody can fill it from outside."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Literal, TypeAlias

from headwater import clock
from headwater.core.request_events import AccessRecorded
from headwater.errors import HeadwaterError
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.project import Project

_log = logging.getLogger("headwater.server")
EVERY = 60.0
"""Seconds between two records of refusals of one address."""
SOURCES = 32
"""Addresses that are told apart at a time; those beyond are recorded together."""
OTHERS = "others"

What: TypeAlias = Literal["session.began", "session.ended"]


@dataclass(slots=True)
class _Refused:
    count: int = 0
    recorded: int | None = None
    """When they were last recorded, by the steady clock."""


class AccessLog:
    """Records sessions at once, and refusals by address: the first at once, those of the next minute together."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._refused: dict[str, _Refused] = {}
        self._lock = threading.Lock()

    def note(self, what: What, token_id: str, name: str) -> None:
        """Record that a session began or ended. A journal that can't be written keeps nobody out who may look at why."""
        self._append(AccessRecorded(what=what, subject=token_id, by=name))

    def refuse(self, source: str) -> None:
        """Count what was refused: nothing is written here, so that whoever asks costs nothing."""
        with self._lock:
            known = source if source in self._refused or len(self._refused) < SOURCES else OTHERS
            self._refused.setdefault(known, _Refused()).count += 1

    def flush(self, *, all_of_them: bool = False) -> None:
        """Record the refusals that are due."""
        now = clock.steady_us()
        due = []
        with self._lock:
            for source, one in list(self._refused.items()):
                if one.recorded is not None and now - one.recorded < EVERY * 1e6 and not all_of_them:
                    continue
                if one.count:
                    due.append(AccessRecorded(what="refused", subject=source, count=one.count))
                    self._refused[source] = _Refused(recorded=now)
                else:
                    del self._refused[source]
        for record in due:
            self._append(record)

    def _append(self, record: AccessRecorded) -> None:
        try:
            self._project.journal.append(record)
        except HeadwaterError as error:
            _log.warning("%s of %s could not be recorded: %s", record.what, record.subject, error)
