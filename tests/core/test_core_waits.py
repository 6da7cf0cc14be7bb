"""The main thread never waits without an end: a signal may have arrived just before it went to sleep."""

from __future__ import annotations

import threading

from headwater import clock


def test_the_main_thread_waits_in_slices_and_others_at_once() -> None:
    asked: list[float | None] = []

    def attempt(seconds: float | None) -> bool:
        asked.append(seconds)
        return len(asked) == 3

    assert clock.in_slices(attempt, None)
    assert asked == [clock.SLICE] * 3

    thread = threading.Thread(target=clock.in_slices, args=(lambda seconds: asked.append(seconds) or True, None))
    thread.start()
    thread.join()
    assert asked[3:] == [None]


def test_a_wait_with_an_end_ends() -> None:
    asked: list[float | None] = []
    assert not clock.in_slices(lambda seconds: bool(asked.append(seconds)), 0.0)
    assert asked == [0.0]
    event = threading.Event()
    assert not clock.wait(event, 0.01)
    event.set()
    assert clock.wait(event, 60)
