"""Which process a run lives in, and asking it to stop."""

from __future__ import annotations

import os
from collections.abc import Collection

from headwater.core import processes
from headwater.core.events import RunStarted, WriterOpened
from headwater.core.journal.carrier import Carrier
from headwater.core.journal.lines import decode
from headwater.core.journal.segment import process_numbers
from headwater.records import dataclass

_OPENED = b'"k":"' + WriterOpened.kind.encode() + b'"'
_STARTED = b'"k":"' + RunStarted.kind.encode() + b'"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process that writes to the journal: its writer, and where it is."""

    writer: str
    pid: int
    host: str
    numbers: str | None = None

    @property
    def is_here(self) -> bool:
        """Whether its number is one of ours."""
        return is_here(self.host, self.numbers)


def is_here(host: str, numbers: str | None) -> bool:
    """Whether process numbers are those of this machine, and not of a container that has its own, under the same host name."""
    here = process_numbers()
    return host == os.uname().nodename and (None in (numbers, here) or numbers == here)


def process_of(carrier: Carrier, run_id: str, *, closed: Collection[str]) -> Process | None:
    """The living process that a run began in; None when there is none. `closed` names writers that need no look."""
    alive = {writer for writer, state in carrier.writers(skip=closed).items() if state.alive}
    wanted, opened = run_id.encode(), b""
    for batch in carrier.read(skip=closed):
        if batch.writer not in alive:
            continue
        for line in batch.lines:
            if _OPENED in line:
                opened = line
            elif wanted in line and _STARTED in line and opened and decode(line).body.get("run_id") == run_id:
                found = decode(opened)
                body = found.body
                return Process(writer=found.writer, pid=body["pid"], host=body["host"], numbers=body.get("numbers"))
    return None


def terminate(carrier: Carrier, process: Process) -> bool:
    """Send a process of this machine SIGTERM; False when it has ended before. Raises OSError when we may not."""

    def lives() -> bool:
        state = carrier.writers().get(process.writer)
        return state is not None and state.alive

    return processes.terminate(process.pid, lives)
