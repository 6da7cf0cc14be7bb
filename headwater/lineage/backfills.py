"""A backfill as it stands in the journal: what was asked for, and what became of each unit. What resuming starts from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from headwater.errors import UnknownNameError
from headwater.lineage.projection import Projection
from headwater.lineage.statements import statements

Unit: TypeAlias = tuple[str, str | None]
"""An asset's name and a partition's key."""


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
        found = session.dicts(sql["backfill_requests"], {"wanted": backfill_id})
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
        outcomes={(unit["asset"], unit["partition"]): unit["state"] for unit in units if unit["state"] != "running"},
    )
