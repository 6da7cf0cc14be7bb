"""The journal as files of a home; and the one place that says what carries the journal of a home."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from headwater.lazily import lazy

if TYPE_CHECKING:
    from headwater.core.journal.carrier import Carrier, WriterState
    from headwater.core.journal.home import Home
    from headwater.core.journal.locks import Locks
    from headwater.core.journal.reader import Batch, Position, Reader
    from headwater.core.journal.recovery import Recovered, Settler
    from headwater.core.journal.scan import Damage
    from headwater.core.journal.writer import Writer


class FileCarrier:
    """The journal as files of a home: a segment a writer, locked while it lives.

    >>> import tempfile
    >>> from headwater.core.events import LogWritten
    >>> from headwater.core.journal.home import Home
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     carrier = FileCarrier(Home.open(folder, create=True))
    ...     writer = carrier.writer()
    ...     writer.append(LogWritten(run_id="r", level=20, logger="shop", message="hello"))
    ...     [state.alive for state in carrier.writers().values()], sum(len(batch.lines) for batch in carrier.read())
    ...     writer.close()
    ([True], 2)
    """

    def __init__(self, home: Home) -> None:
        self._home = home

    @lazy
    def locks(self) -> Locks:
        """The home's locks."""
        from headwater.core.journal.locks import Locks

        return Locks(self._home.locks)

    @lazy
    def _reader(self) -> Reader:
        from headwater.core.journal.reader import Reader

        return Reader(self._home)

    def writer(self) -> Writer:
        """A new writer of this process."""
        from headwater.core.journal.writer import Writer

        return Writer(self._home)

    def read(self, after: Mapping[str, Position] | None = None, *, skip: Collection[str] = ()) -> Iterator[Batch]:
        """Everything behind the positions; see `Reader.read`."""
        return self._reader.read(after, skip=skip)

    def writers(self, *, skip: Collection[str] = ()) -> dict[str, WriterState]:
        """The writers that have a segment, except those in `skip`, oldest first. Raises JournalError."""
        from headwater.core.journal.carrier import WriterState
        from headwater.core.journal.segment import segment_path

        found = {}
        for writer in self._reader.writers():
            if writer not in skip:
                alive = self._reader.is_alive(writer)
                with suppress(FileNotFoundError):
                    found[writer] = WriterState(alive=alive, end=segment_path(self._home, writer).stat().st_size)
        return found

    def recover(self, settlers: Sequence[Settler] = (), *, skip: Collection[str] = ()) -> list[Recovered]:
        """End what dead writers left open; see `recovery.recover`."""
        from headwater.core.journal.recovery import recover

        return recover(self._home, settlers, skip=skip)

    def verify(self) -> list[Damage]:
        """Everything in the files that is not as it was written; see `verify_journal`."""
        from headwater.core.journal.verify import verify_journal

        return verify_journal(self._home)


def carrier_of(home: Home) -> Carrier:
    """What carries the journal of a home."""
    return FileCarrier(home)
