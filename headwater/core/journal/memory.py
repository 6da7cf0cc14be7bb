"""A journal that lives in memory: the real one's shape, for tests."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping

from headwater import ids
from headwater.core.journal.events import Body, Event
from headwater.core.journal.lines import decode, encode, head_of, plain_json
from headwater.core.journal.reader import Batch, Position


class MemoryJournal:
    """Writer and reader in one; its events have passed through the same bytes as the real ones.

    >>> from headwater.core.events import LogWritten
    >>> journal = MemoryJournal()
    >>> journal.append(LogWritten(run_id="r", level=20, logger="shop", message="hello"))
    >>> journal.events[0].record(LogWritten).message
    'hello'
    """

    def __init__(self) -> None:
        self.id = ids.new_id()
        self.lines: list[bytes] = []
        self._head = head_of(self.id)
        self._lock = threading.RLock()

    def append(self, *bodies: Body) -> None:
        """Append events."""
        with self._lock:
            for body in bodies:
                self.lines.append(encode(self._head, len(self.lines), body, plain_json(body))[:-1])

    @property
    def events(self) -> list[Event]:
        """All events so far, decoded."""
        return [decode(line) for line in list(self.lines)]

    def records(self, *kinds: type[Body]) -> list[Body]:
        """The bodies of some kinds, as the records that they were."""
        by_kind = {kind.kind: kind for kind in kinds}
        return [event.record(by_kind[event.kind]) for event in self.events if event.kind in by_kind]

    def read(self, after: Mapping[str, Position] | None = None, *, skip: Collection[str] = ()) -> Iterator[Batch]:
        """What is new behind the positions, as one batch; offsets count lines."""
        seq = (after or {}).get(self.id, Position()).seq
        lines = tuple(self.lines[seq:])
        if lines and self.id not in skip:
            end = seq + len(lines)
            yield Batch(writer=self.id, lines=lines, first_seq=seq, position=Position(end, end), closed=False)

    def close(self) -> None:
        """Nothing: there is no file to close."""
