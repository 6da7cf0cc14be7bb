"""How far a projection has read the journal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from headwater.core.journal.reader import Position
from headwater.records import dataclass

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

POSITIONS = 'SELECT writer, seq, "offset", closed FROM state.positions'
"""What `Known.of` is made of, for whoever asks in a session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """How far each writer was read; which are `closed`, so that nothing follows; which were `gone` when the file was made."""

    positions: dict[str, Position]
    closed: frozenset[str]
    gone: frozenset[str]

    @classmethod
    def of(cls, rows: Iterable[tuple[str, int, int, bool | None]]) -> Known:
        """From the rows that `POSITIONS` gives.

        >>> known = Known.of([("a", 2, 700, True), ("b", 1, 350, False)])
        >>> sorted(known.positions), sorted(known.closed)
        (['a', 'b'], ['a'])
        """
        found = list(rows)
        return cls(
            positions={writer: Position(seq=seq, offset=offset) for writer, seq, offset, _ in found},
            closed=frozenset(writer for writer, _, _, closed in found if closed),
            gone=frozenset(writer for writer, _, _, closed in found if closed is None),
        )


def known_positions(connection: DuckDBPyConnection) -> Known:
    """How far the projection of a connection has read."""
    return Known.of(connection.execute(POSITIONS).fetchall())
