"""Listening, while a backfill runs, for what others ask of it: to pause, or to be cancelled."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from headwater.errors import HeadwaterError

if TYPE_CHECKING:
    from headwater.assets.backfill_events import BackfillAsked
    from headwater.assets.runtime import AskedOf

EVERY = 0.5
"""Seconds between two looks."""

_log = logging.getLogger("headwater")


@contextmanager
def listening(asked: AskedOf, heard: Callable[[BackfillAsked], None]) -> Iterator[None]:
    """Call `heard`, from a thread of its own, for each thing that is asked while the block runs."""
    over = threading.Event()
    thread = threading.Thread(target=_listen, args=(asked, heard, over), name="headwater-listener", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _listen(asked: AskedOf, heard: Callable[[BackfillAsked], None], over: threading.Event) -> None:
    while not over.wait(EVERY):
        try:
            found = asked.new()
        except HeadwaterError as error:
            # Somebody else is busy with the projection, or the journal can't be read now: the next look may succeed.
            _log.debug("what is asked of a backfill could not be heard: %s", error)
            continue
        for one in found:
            heard(one)
