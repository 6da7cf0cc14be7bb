"""The projection of a process that lives long: what becomes of it while it follows the journal."""

from __future__ import annotations

from journal_cases import dead_writer, log, run_ended, run_started, until

from headwater import clock
from headwater.core.journal.home import Home
from headwater.core.journal.writer import Writer
from headwater.lineage.live import LiveProjection


class SetBack(clock.SystemClock):
    """The machine's clock, which somebody sets back."""

    by = 0

    def now_us(self) -> int:
        return super().now_us() - self.by

    def steady_us(self) -> int:
        return clock.machine_us()


def test_a_dead_process_is_found_although_the_clock_was_set_back(home: Home) -> None:
    with clock.use(moved := SetBack()):
        live = LiveProjection(home)
        live.follow()
        try:
            until(lambda: live.looked is not None)
            moved.by = 3_600_000_000
            dead_writer(home, run_started("r"))

            def ended() -> bool:
                with live.session() as session:
                    return session.rows("SELECT state FROM runs") == [("Crashed",)]

            until(ended, seconds=8)
        finally:
            live.close()


def test_many_events_are_taken_in_wherever_the_home_lies(home: Home) -> None:
    live = LiveProjection(home)
    with live.session() as session:
        assert session.rows("FROM logs") == []
    writer = Writer(home)
    writer.append(run_started("r"), *(log("x" * 1_000, "r") for _ in range(1_200)), run_ended("r"))
    writer.close()
    assert live.refresh()
    with live.session() as session:
        assert session.rows("SELECT count(*) FROM logs") == [(1_200,)]
    live.close()
    assert list((home.path / "server").glob("*.damaged-*")) == []
