"""How the projection's file is doing, seen without changing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.core.journal.files import carrier_of
from headwater.core.journal.locks import Locks
from headwater.errors import LockTimeout, ProjectionError
from headwater.lineage import store
from headwater.lineage.known_positions import known_positions
from headwater.lineage.projection import LOCK
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.core.journal.home import Home

_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What was found. `behind` counts the journal's events that the file does not hold yet; None when it is not known."""

    behind: int | None = None
    held: str | None = None
    """Who has it open, when somebody has."""
    damage: str | None = None
    """Why it can't be used, when it can't: the next look rebuilds it."""


def condition(home: Home) -> Condition:
    """Open the file for reading alone, under the lock that all who open it hold, and see how far it is."""
    try:
        with Locks(home.locks).hold(LOCK, timeout=_SECONDS):
            return _condition(home)
    except LockTimeout as error:
        return Condition(held=error.message)


def _condition(home: Home) -> Condition:
    import duckdb

    try:
        with duckdb.connect(str(home.database), read_only=True) as connection:
            known = known_positions(connection)
    except duckdb.Error as error:
        found = store.finding(error, home.database)
        if isinstance(found, ProjectionError):
            raise found from error
        return Condition(held=str(found)) if isinstance(found, store.Held) else Condition(damage=str(found))
    batches = carrier_of(home).read(known.positions, skip=known.closed)
    return Condition(behind=sum(len(batch.lines) for batch in batches))
