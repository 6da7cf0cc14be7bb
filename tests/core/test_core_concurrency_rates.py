"""Rate limits: never more than so many calls in any stretch of time, whatever clocks do, whoever dies, whatever is damaged."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from concurrency_cases import expect, finish, free, kill, start, states
from hypothesis import given
from hypothesis import strategies as st
from tried import tried_on

from headwater import flow, rate_limit, task, try_rate_limit
from headwater.clock import use as use_clock
from headwater.core import rates
from headwater.core.rates import Counter, Moment, Rate, counted
from headwater.errors import DefinitionError, JournalError, TimeLimitExceeded
from headwater.project import Project
from headwater.testing import FakeClock, project

SECOND = 1_000_000


class Machine:
    """A machine whose clocks can be set, and which can be started anew; `true` is the time that really passed."""

    def __init__(self) -> None:
        self.true, self.offset, self.started, self.boots = 10**12, 0, 0, 0

    def now_us(self) -> int:
        return self.true + self.offset

    def steady_us(self) -> int:
        return self.true - self.started

    def sleep(self, seconds: float) -> None:
        self.true += round(seconds * SECOND)

    def restart(self) -> None:
        self.started, self.boots = self.true, self.boots + 1


def most_in_a_window(times: list[int], window: int) -> int:
    """The most calls that fell in any stretch of so long."""
    return max((sum(start <= one < start + window for one in times) for start in times), default=0)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("call"), st.integers(0, 4)),
        st.tuples(st.just("wait"), st.integers(0, 15 * SECOND)),
        st.tuples(st.just("jump"), st.integers(-100 * SECOND, 100 * SECOND)),
        st.tuples(st.just("restart"), st.integers(-100 * SECOND, 0)),
        st.tuples(st.just("damage"), st.integers(0, 200)),
    ),
    max_size=40,
)


@tried_on(40)
@given(STEPS, st.integers(1, 5), st.integers(1, 12), st.booleans(), st.booleans())
def test_never_more_than_so_many_in_any_window(
    steps: list[tuple[str, int]], calls: int, seconds: int, restarts: bool, knows_boot: bool
) -> None:
    # Across a start of the machine, and when a count is damaged, the wall clock is all there is: it may only go back then.
    machine, went, rate = Machine(), [], Rate(calls, seconds * SECOND)
    with tempfile.TemporaryDirectory() as folder, use_clock(machine), pytest.MonkeyPatch.context() as patch:
        counter = Counter(Path(folder) / "rates", "api")
        if not restarts or knows_boot:
            name = "boot {}" if knows_boot else None
            patch.setattr(
                Moment,
                "now",
                lambda: Moment(
                    boot=name and name.format(machine.boots), steady=machine.steady_us(), wall=machine.now_us()
                ),
            )
        for step, by in steps:
            path = counter._path
            if step == "wait":
                machine.true += by
            elif step == "jump":
                machine.offset += -abs(by) if restarts or not knows_boot else by
            elif step == "restart" and restarts and knows_boot:
                machine.restart()
                machine.offset += by
            elif step == "damage" and restarts and path.exists():
                changed = path.stat().st_mtime_ns
                data = bytearray(path.read_bytes())
                data[by % len(data)] ^= 1
                path.write_bytes(data)
                os.utime(path, ns=(changed, changed))
            elif step == "call":
                for _ in range(by + 1):
                    left = counter.left(rate)
                    assert 0 <= left <= rate.window
                    if left == 0:
                        went.append(machine.true)
                        os.utime(path, ns=(machine.now_us() * 1_000, machine.now_us() * 1_000))
        assert most_in_a_window(went, rate.window) <= calls
        # It goes on again once it has waited as long as it was told to.
        while left := counter.left(rate):
            machine.true += left


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Project]:
    with project(tmp_path) as found:
        yield found
        assert free(found)


@pytest.fixture
def machine() -> Iterator[Machine]:
    with use_clock(Machine()) as found:
        assert isinstance(found, Machine)
        yield found


def test_calls_wait_until_they_may_go_on(shop: Project, machine: Machine) -> None:
    went = []
    for _ in range(7):
        rate_limit("api", "3/10s")
        went.append((machine.true - 10**12) // SECOND)
    assert went == [0, 0, 0, 10, 10, 10, 20]


def test_the_window_slides(shop: Project, machine: Machine) -> None:
    went = []
    for _ in range(5):
        rate_limit("api", "2/10s")
        went.append((machine.true - 10**12) // SECOND)
        machine.sleep(3)
    assert went == [0, 3, 10, 13, 20]


def test_clocks_that_jump_change_nothing(shop: Project, machine: Machine) -> None:
    for hours in (-5, 5, 48):
        rate_limit(f"api {hours}", "1/minute")
        machine.offset += hours * 3_600 * SECOND
        assert not try_rate_limit(f"api {hours}", "1/minute")
        machine.sleep(60)
        assert try_rate_limit(f"api {hours}", "1/minute")


def test_with_two_rates_of_one_name_each_holds(shop: Project, machine: Machine) -> None:
    assert [try_rate_limit("api", "2/s") for _ in range(3)] == [True, True, False]
    assert [try_rate_limit("api", "4/minute") for _ in range(3)] == [True, True, False]
    machine.sleep(2)
    assert [try_rate_limit("api", "4/minute"), try_rate_limit("api", "2/s")] == [False, True]
    assert [(name, used) for name, _, used in counted(shop.home.path / rates.FOLDER)] == [("api", 4)]


def test_a_damaged_count_is_taken_for_full(shop: Project, machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    rate_limit("api", "5/minute")
    (path,) = (shop.home.path / rates.FOLDER).iterdir()
    for data in (b"", b"\0" * 200, b"0" * 9, path.read_bytes()[:-3], path.read_bytes() + b"x"):
        path.write_bytes(data)
        assert not try_rate_limit("api", "5/minute")
    assert "damaged" in caplog.text
    machine.true = time.time_ns() // 1_000 + 10 * SECOND  # by the file's own time, too
    rate_limit("api", "5/minute")


def test_a_count_that_can_not_be_written_lets_nothing_through(shop: Project) -> None:
    rate_limit("api", "5/minute")
    (path,) = (shop.home.path / rates.FOLDER).iterdir()
    path.with_suffix(".new").mkdir()
    with pytest.raises(JournalError, match="'api' can't be counted"):
        rate_limit("api", "5/minute")


def test_a_timeout_comes_at_once_when_waiting_is_no_use(shop: Project) -> None:
    rate_limit("api", "1/hour")
    with pytest.raises(TimeLimitExceeded, match="'api' lets nothing through within 5 s"):
        rate_limit("api", "1/hour", timeout=5)

    async def main() -> None:
        with pytest.raises(TimeLimitExceeded):
            await rate_limit("api", "1/hour", timeout=5)

    asyncio.run(main())


def test_in_async_code_it_is_awaited_and_the_loop_goes_on(shop: Project) -> None:
    ticks = [0]

    async def main() -> None:
        async def tick() -> None:
            while True:
                ticks[0] += 1
                await asyncio.sleep(0.005)

        ticker = asyncio.ensure_future(tick())
        await asyncio.gather(*(rate_limit("api", "2/0.1s") for _ in range(5)))
        ticker.cancel()

    before = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - before >= 0.2
    assert ticks[0] > 5


def test_a_task_with_a_rate(shop: Project) -> None:
    began: list[float] = []

    @task(rate="2/0.15s", retries=1)
    def load(number: int) -> None:
        began.append(time.monotonic())
        if len(began) == 1:
            raise ValueError("again")

    @flow
    def nightly() -> None:
        load.map(range(4)).wait()

    nightly()
    assert len(began) == 5
    assert began[4] - began[0] >= 0.3 - 0.02
    assert "AwaitingSlot rate:load" in states(shop)


def test_tasks_may_share_a_rate(shop: Project, machine: Machine) -> None:
    @task(rate={"api": "1/minute"})
    def one() -> int:
        return machine.true

    @task(rate={"api": "1/minute"})
    async def other() -> int:
        return machine.true

    @flow
    def nightly() -> int:
        return one() - one()

    assert nightly() == -60 * SECOND
    assert asyncio.run(other()) - 10**12 == 120 * SECOND


def test_ctrl_c_ends_a_wait_for_a_rate(shop: Project) -> None:
    @task(rate="1/hour")
    def load() -> None:
        pass

    @flow
    def nightly() -> None:
        load()
        load()

    def press() -> None:
        deadline = time.monotonic() + 30
        while "AwaitingSlot rate:load" not in states(shop) and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        nightly()
    presser.join()
    assert states(shop)[-1] == "Cancelled"


@pytest.mark.parametrize(
    "rate", ["", "10", "10/", "/minute", "0/minute", "-1/s", "10/0s", "1.5/s", "10/fortnight", 10, None]
)
def test_what_is_no_rate(rate: Any) -> None:
    with pytest.raises(DefinitionError, match=r"is not a rate|lets nothing through"):
        Rate.of(rate)
    if rate is not None:
        with pytest.raises(DefinitionError):
            task(rate=rate or "x")
    with pytest.raises(DefinitionError):
        task(rate={"": "1/s"})


def test_processes_share_a_rate_and_a_killed_one_holds_up_nobody(shop: Project) -> None:
    script = """
    for _ in range(5):
        rate_limit("api", "4/0.2s")
        say(time.clock_gettime_ns(time.CLOCK_MONOTONIC))
    """
    rate_limit("other", "1/hour")
    stuck = start(shop, "say('waits'); rate_limit('other', '1/hour')")
    expect(stuck, "waits")
    processes = [start(shop, script) for _ in range(2)]
    went = sorted(int(word) // 1_000 for process in processes for word in finish(process).split())
    assert len(went) == 10
    # Each says when it went a moment after it was let go.
    assert most_in_a_window(went, 150_000) <= 4
    kill(stuck)
    with pytest.raises(TimeLimitExceeded):
        rate_limit("other", "1/hour", timeout=1)


def test_a_clock_without_a_steady_one_is_taken_for_steady(shop: Project) -> None:
    with use_clock(FakeClock(us=0)) as clock:
        rate_limit("api", "1/minute")
        rate_limit("api", "1/minute")
        assert clock.now_us() == 60 * SECOND
