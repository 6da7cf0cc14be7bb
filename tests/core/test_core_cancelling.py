"""A run that was asked to stop hears of it wherever it waits."""

import threading
import time

from headwater.core.cancellation import Cancellation


def test_a_mark_is_heard_although_nobody_wakes_who_waits() -> None:
    outer = Cancellation()
    inner = Cancellation(outer)
    # As a signal's handler leaves it, when what it raised came into a destructor, where Python drops it.
    marking = threading.Timer(0.05, outer.mark)
    marking.start()
    began = time.monotonic()
    assert inner.wait(60)
    assert time.monotonic() - began < 30
    marking.join()
