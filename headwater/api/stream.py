"""Live updates: what changes, told to everybody who listens, as server-sent events (GET /api/events).

A message holds kinds and ids; who listens reads again what it shows. Messages are numbered, and the last ten thousand changes are
kept: who was away for a moment goes on where it was (Last-Event-ID), who was away for longer is told to read everything again.
Who asks for a session is told where the messages stand, and listens from there on (`after`): what comes meanwhile is not missed.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headwater.lineage.changes import Change

KEPT = 2_000
"""Messages that are kept."""
LISTENERS = 200
"""Who may listen at once."""
QUIET = 15.0
"""Seconds after which a line without meaning is sent, so that nobody on the way takes the connection for dead."""


class Hub:
    """Takes changes from the thread that follows the journal, and hands them to whoever listens in the event loop."""

    def __init__(self) -> None:
        # Another server, or the same one started again, counts anew: its numbers must not be taken for ours.
        self._name = secrets.token_hex(4)
        self._messages: deque[tuple[int, str]] = deque(maxlen=KEPT)
        self._count = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: set[asyncio.Event] = set()
        self._closed = False

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return len(self._waiting)

    @property
    def position(self) -> str:
        """The id of the newest message: what is read after it was asked for holds all that was told until then."""
        return f"{self._name}-{self._count}"

    def open(self) -> None:
        """Begin, in the event loop that is running."""
        self._loop, self._closed = asyncio.get_running_loop(), False

    def publish(self, changes: Sequence[Change]) -> None:
        """Tell everybody; from any thread."""
        loop = self._loop
        if loop is not None and changes:
            loop.call_soon_threadsafe(self._tell, [asdict(change) for change in changes])

    def close(self) -> None:
        """Let everybody go, so that the server can stop; safe in a signal handler of the loop's thread."""
        self._closed = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    async def listen(self, last: str | None, may: Callable[[], bool] = lambda: True) -> AsyncIterator[str]:
        """The messages behind the last one that was seen, and all that come, as text of the event stream.

        It ends when whoever listens `may` no longer.
        """
        ring = asyncio.Event()
        self._waiting.add(ring)
        try:
            position = self._position(last)
            if position is None:
                position = self._count
                yield self._text(position, "reset" if last else "hello", {"changes": []})
            while not self._closed and may():
                ring.clear()
                if self._messages and position < self._messages[0][0] - 1:
                    position = self._count
                    yield self._text(position, "reset", {"changes": []})
                for number, text in [one for one in self._messages if one[0] > position]:
                    position = number
                    yield text
                try:
                    await asyncio.wait_for(ring.wait(), QUIET)
                except TimeoutError:
                    yield ": nothing new\n\n"
        finally:
            self._waiting.discard(ring)

    def _tell(self, changes: Sequence[dict[str, str]]) -> None:
        self._count += 1
        self._messages.append((self._count, self._text(self._count, "change", {"changes": changes})))
        self._wake()

    def _wake(self) -> None:
        for ring in self._waiting:
            ring.set()

    def _position(self, last: str | None) -> int | None:
        """The number of the message that was seen last; None when it is none of ours, or too long ago."""
        name, _, number = (last or "").partition("-")
        if name != self._name or not number.isdecimal() or len(number) > 15 or int(number) > self._count:
            return None
        oldest = self._messages[0][0] if self._messages else self._count + 1
        return int(number) if int(number) >= oldest - 1 else None

    def _text(self, number: int, event: str, data: object) -> str:
        return f"id: {self._name}-{number}\nevent: {event}\ndata: {json.dumps(data)}\n\n"
