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


class Stopped(clock.SystemClock):
    """The machine's clock, which somebody sets back again and again."""

    def now_us(self) -> int:
        return 1_800_000_000_000_000

    def steady_us(self) -> int:
        return clock.machine_us()
