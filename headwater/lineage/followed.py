"""The log of a run while it is written: look by look what has come, without reading all of it each time."""

from __future__ import annotations

from typing import Any

from headwater.lineage.projection import Projection
from headwater.lineage.run_pages import tail
from headwater.lineage.statements import statements

_BESIDES = 1_000
"""So many records more than are new are read from the end of the log: one that comes late stands a little before it."""


class FollowedLog:
    """The log of a run from a level on, as one who follows it sees it."""

    def __init__(self, projection: Projection, run_id: str, *, level: int = 0) -> None:
        self._projection = projection
        self._run_id = run_id
        self._level = level
        self._seen: set[str] = set()

    def news(self) -> list[dict[str, Any]]:
        """The records that have come since the last look, oldest first: at the first one, all that there are."""
        with self._projection.session() as session:
            wanted = {"run": self._run_id, "level": self._level}
            count: int = session.rows(statements("run_pages.sql")["log_records"], wanted)[0][0]
            # A record may come with an earlier time than one that was seen: whether all are found, only their number tells.
            # Where there are fewer than were seen, some have expired, and it tells nothing.
            new = count - len(self._seen)
            limit = (new if new >= 0 else count) + _BESIDES
            while True:
                rows = tail(session, self._run_id, level=self._level, limit=limit)
                found = [row for row in rows if row["id"] not in self._seen]
                if len(found) >= new or len(rows) < limit:
                    break
                limit *= 4
        if new < 0:
            self._seen = {row["id"] for row in rows}
        self._seen.update(row["id"] for row in found)
        found.reverse()
        return found
