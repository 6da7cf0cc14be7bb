"""The writer: this process's one way into the journal."""

from __future__ import annotations

import atexit
import threading
import weakref

from headwater import ids
from headwater.core.journal import descriptors
from headwater.core.journal.events import Body
from headwater.core.journal.home import Home
from headwater.core.journal.segment import Segment

MOST_BYTES = 64 << 20
"""A segment that has grown to this is closed as soon as no run is open in it, so that it can be archived."""


class Writer:
    """Appends events to a segment of its own, which it opens with the first one. Safe among threads and across forks.

    Buffered events are handed to the kernel before `append` returns: a killed process loses none of them. Durable ones are
    on the disk, too; threads that wait for that at the same time share one sync. A forked child that appends gets a
    segment of its own. The interpreter's exit closes the segment.

    >>> import tempfile
    >>> from headwater.core.events import LogWritten
    >>> from headwater.core.journal.reader import Reader
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     home = Home.open(folder, create=True)
    ...     writer = Writer(home)
    ...     writer.append(LogWritten(run_id="r", level=20, logger="shop", message="hello"))
    ...     writer.close()
    ...     [event.kind for event in Reader(home).events()]
    ['writer.opened', 'log.written', 'writer.closed']
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._segment: Segment | None = None
        self._closing: weakref.finalize[[str], Writer] | None = None
        self._pending: list[Body] = []
        self._start_afresh()
        with descriptors.importing():
            import orjson  # noqa: F401 (so that no append needs to)
        descriptors.watch(self)
        _writers.add(self)

    def _start_afresh(self) -> None:
        self._id = ids.new_id()
        self._lock = threading.RLock()

    @property
    def id(self) -> str:
        """The id of its segment: another one in a forked child, after `close`, and when a segment is full."""
        return self._id

    def append(self, *bodies: Body) -> None:
        """Append events, in one piece; returns when they are written, or synced when one of them is durable.

        Called by a signal handler or a finalizer in the middle of an append of the same thread, it leaves the events to
        that one. Raises JournalError when they can't be written: they may or may not be in the journal then, whole.
        """
        if self._lock._is_owned():  # type: ignore[attr-defined]
            self._pending.extend(bodies)
            return
        while bodies:
            with self._lock:
                segment = self._segment or self._open()
                end = segment.write(bodies)
            if end:
                segment.sync(end)
            if segment.end >= MOST_BYTES:
                self._roll(segment)
            bodies = self._left_over() if self._pending else ()

    def _left_over(self) -> tuple[Body, ...]:
        with self._lock:
            pending, self._pending = self._pending, []
        return tuple(pending)

    def _open(self) -> Segment:
        try:
            self._segment = segment = Segment.create(self._home, self._id)
        except BaseException:
            # It may be there already, and somebody may have closed it: nothing may ever be put in its place.
            self._id = ids.new_id()
            raise
        self._closing = weakref.finalize(self, segment.close)
        self._closing.atexit = False  # at the exit other threads may still append: `close` holds them off
        return segment

    def _roll(self, full: Segment) -> None:
        # A segment in which a run is open stays: a run lives as long as the one segment that its start is in is held.
        with self._lock:
            if self._segment is not full or full.has_open_runs:
                return
            self._leave()
            full.close("full")

    def _leave(self) -> None:
        self._segment = None
        self._detach()
        self._id = ids.new_id()

    def close(self) -> None:
        """Close the segment, if there is one; a later `append` begins a new one."""
        self.append(*self._left_over())
        with self._lock:
            segment = self._segment
            if segment is None:
                return
            self._leave()
        segment.close()

    def forget(self) -> None:
        """In a forked child: leave the parent's segment alone and begin afresh."""
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.forget()
        self._detach()
        self._pending = []
        self._start_afresh()

    def _detach(self) -> None:
        if self._closing is not None:
            self._closing.detach()


_writers: weakref.WeakSet[Writer] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for writer in list(_writers):
        writer.close()
