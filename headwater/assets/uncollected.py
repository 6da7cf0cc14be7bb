"""Work without the cyclic garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """For what is built and stays: looking through it again and again while it grows takes a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            _settle()
            gc.enable()


_INTERPRETERS_OWN = 1_000
"""Python 3.12 starts with 375 frozen objects; whoever freezes has tens of thousands."""


def _settle() -> None:
    """Count everything as old, as if it had been looked through: that alone would take as long as building it took."""
    # Thawing is for all that is frozen: what somebody froze before a fork, say, stays as it is.
    if gc.get_freeze_count() < _INTERPRETERS_OWN:
        gc.freeze()
        gc.unfreeze()
