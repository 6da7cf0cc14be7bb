"""Running at once: a submitted task has ended when `submit` returns."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from headwater.core.context import running_loop

if TYPE_CHECKING:
    from headwater.core.runners.remote import Place


class Inline:
    """Calls each job where it is submitted."""

    place: Place | None = None

    def submit(self, job: Callable[[], object]) -> None:
        """Call it; in a thread beside where an event loop runs here, which can't be entered twice."""
        if running_loop() is None:
            job()
            return
        beside = threading.Thread(target=job, name="headwater-inline")
        beside.start()
        beside.join()

    def close(self, *, join: bool) -> None:
        """Nothing is open."""
