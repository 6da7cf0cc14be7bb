"""Following a journal: what others have appended since the last look, of the kinds that one wants to hear of."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from headwater.core.journal.lines import decode

if TYPE_CHECKING:
    from headwater.core.journal.carrier import Carrier
    from headwater.core.journal.events import Body, Event
    from headwater.core.journal.reader import Position


class Follower:
    """Reads on behind positions: each call of `new` gives what has come since the one before. Not safe among threads.

    A look costs a listing of the journal, and for each open segment the question how long it is.

    >>> from headwater.core.events import RunCancelRequested
    >>> from headwater.testing import MemoryCarrier
    >>> carrier = MemoryCarrier()
    >>> follower, writer = Follower(carrier), carrier.writer()
    >>> writer.append(RunCancelRequested(run_id="r"))
    >>> [event.body["run_id"] for event in follower.new(RunCancelRequested)], follower.new(RunCancelRequested)
    (['r'], [])
    """

    def __init__(
        self, carrier: Carrier, after: Mapping[str, Position] | None = None, *, closed: Collection[str] = ()
    ) -> None:
        self._carrier = carrier
        self._after = dict(after or {})
        self._closed = set(closed)

    def new(self, *kinds: type[Body]) -> list[Event]:
        """The events of these kinds that have come; those of one writer in their order. Raises JournalError."""
        marks = [b'"k":"%b"' % kind.kind.encode() for kind in kinds]
        wanted = {kind.kind for kind in kinds}
        found: list[Event] = []
        for batch in self._carrier.read(self._after, skip=self._closed):
            for line in batch.lines:
                if any(mark in line for mark in marks):
                    event = decode(line)
                    if event.kind in wanted:
                        found.append(event)
            if batch.closed:
                self._closed.add(batch.writer)
            for writer in (batch.writer, *batch.absorbed):
                self._after.pop(writer, None)
            self._closed.difference_update(batch.absorbed)
            if not batch.closed:
                self._after[batch.writer] = batch.position
        return found
