"""A backfill as it stands in the journal: what was asked for, and what became of each unit. What resuming starts from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headwater.assets.backfill_events import BackfillAsked
from headwater.core.journal.carrier import Carrier
from headwater.core.journal.following import Follower
from headwater.errors import UnknownNameError
from headwater.lineage.known_positions import POSITIONS, Known
from headwater.lineage.projection import Projection
from headwater.lineage.statements import statements
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.assets.progress import Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillRecord:
    """The request, the newest attempt (0 when none began), the units that were launched, and the outcomes by unit."""

    backfill_id: str
    name: str
    targets: tuple[str, ...]
    range: str | None
    options: Mapping[str, Any]
    plan: Mapping[str, Any]
    attempt: int
    launched: tuple[Unit, ...]
    outcomes: Mapping[Unit, str]


def backfill_record(projection: Projection, backfill_id: str) -> BackfillRecord:
    """The record of a backfill, by its id or the beginning of it. Raises UnknownNameError."""
    sql = statements("runs.sql")
    with projection.session() as session:
        found = session.dicts(sql["backfill_requests"], {"wanted": backfill_id}) if backfill_id else []
        if len(found) > 1:
            raise UnknownNameError(
                f"several backfills begin with '{backfill_id}'",
                hint="give more of the id: headwater backfill list shows them",
            )
        if not found:
            known = [row["backfill_id"] for row in session.dicts(sql["backfill_requests"], {"wanted": ""})]
            raise UnknownNameError.of("backfill", backfill_id, known)
        row = found[0]
        units = session.dicts(sql["backfill_partitions"], {"backfill": row["backfill_id"]})
    return BackfillRecord(
        backfill_id=row["backfill_id"],
        name=row["name"],
        targets=tuple(row["targets"]),
        range=row["range"],
        options=json.loads(row["options"]),
        plan=json.loads(row["plan"]),
        attempt=row["attempt"],
        launched=tuple((unit["asset"], unit["partition"]) for unit in units),
        outcomes={
            (unit["asset"], unit["partition"]): unit["state"]
            for unit in units
            if unit["state"] not in ("running", "interrupted")
        },
    )


class AskedOfBackfill:
    """What is asked of a backfill while it runs: to pause, to be cancelled. Not safe among threads."""

    def __init__(self, projection: Projection, carrier: Carrier, backfill_id: str, since: int) -> None:
        self._projection, self._carrier = projection, carrier
        self._backfill_id, self._since = backfill_id, since
        self._follower: Follower | None = None

    def new(self) -> list[BackfillAsked]:
        """What has been asked since the last look, or since the moment that was given (microseconds). Raises HeadwaterError.

        The first look goes to the projection, which knows how far the journal was read; the others read on from there.
        """
        if self._follower is not None:
            asked = [event.record(BackfillAsked) for event in self._follower.new(BackfillAsked)]
            return [one for one in asked if one.backfill_id == self._backfill_id]
        with self._projection.session(timeout=_PATIENCE) as session:
            known = Known.of(session.rows(POSITIONS))
            wanted = {"backfill": self._backfill_id, "since": self._since}
            rows = session.dicts(statements("runs.sql")["backfill_asked"], wanted)
        self._follower = Follower(self._carrier, known.positions, closed=known.closed)
        return [BackfillAsked(backfill_id=self._backfill_id, **row) for row in rows]


_PATIENCE = 5.0
