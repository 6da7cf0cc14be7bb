"""Clocks that tests put in place of the machine's."""

from __future__ import annotations

from headwater import clock


class SetBack(clock.SystemClock):
    """The machine's clock, which somebody sets back."""

    by = 0

    def now_us(self) -> int:
        return super().now_us() - self.by

    def steady_us(self) -> int:
        return clock.machine_us()
