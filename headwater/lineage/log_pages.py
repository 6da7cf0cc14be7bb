"""The log of a run page by page, in memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headwater.lineage.projection import Projection
from headwater.lineage.session import Session, plain
from headwater.lineage.statements import statements

_RECORDS = 20_000
"""So many records are read at once, at most."""
_BYTES = 16 << 20
"""The page ends with the record whose message goes beyond so many bytes."""


def log_pages(projection: Projection, run_id: str, *, level: int = 0) -> Iterator[list[dict[str, Any]]]:
    """The records of a run from a level on, oldest first. Each page is a look of its own: who prints it slowly holds up nobody.

    What is written meanwhile is among them when it comes behind the last page that was read.
    """
    after: tuple[int, str] | None = None
    while True:
        with projection.session() as session:
            rows = _page(session, run_id, level, after)
        if not rows:
            return
        found = rows[-1]["found"]
        after = rows[-1]["time"], rows[-1]["id"]
        for row in rows:
            del row["time"], row["found"]
        yield [plain(row) for row in rows]
        if len(rows) == found < _RECORDS:
            return


def _page(session: Session, run_id: str, level: int, after: tuple[int, str] | None) -> list[dict[str, Any]]:
    time, last = after or (None, None)
    wanted = {"run": run_id, "level": level, "time": time, "id": last, "limit": _RECORDS, "bytes": _BYTES}
    return session.dicts(statements("run_pages.sql")["log_page"], wanted)
