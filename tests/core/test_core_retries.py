from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from headwater import clock
from headwater.core.decisions import Finish, Retry, after_error
from headwater.core.flow import flow
from headwater.core.options import TaskOptions, exponential_backoff
from headwater.core.states import State
from headwater.core.task import task
from headwater.errors import Cancelled, DefinitionError


class FakeClock:
    def __init__(self) -> None:
        self.us = 1_700_000_000_000_000
        self.slept: list[float] = []

    def now_us(self) -> int:
        return self.us

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.us += int(seconds * 1e6)


def failing_times(times: int, **options: Any) -> Any:
    tries = 0

    @task(**options)
    def flaky() -> int:
        nonlocal tries
        tries += 1
        if tries <= times:
            raise ValueError(f"try {tries}")
        return tries

    return flaky


@pytest.mark.parametrize(
    ("delay", "slept"),
    [(30, [30, 30, 30]), ([1, 10], [1, 10, 10]), (lambda tries: tries * 5.0, [5, 10, 15])],
)
def test_delays_between_tries(project: Any, delay: Any, slept: list[float]) -> None:
    with clock.use(FakeClock()) as fake:
        assert failing_times(3, retries=3, retry_delay=delay)() == 4
    assert fake.slept == slept
    waits = project.all("task.state", state="AwaitingRetry")
    assert [(one.tries, one.delay, one.error.message) for one in waits] == [
        (number, slept[number - 1], f"try {number}") for number in (1, 2, 3)
    ]
    assert [one.tries for one in project.all("task.state", state="Running")] == [2, 3, 4]
    ended = project.one("task.ended")
    assert (ended.state, ended.tries) == ("Completed", 4)


@pytest.mark.parametrize("gives", [float("nan"), float("inf"), -1, None, "soon", True, 1e300])
def test_a_delay_that_can_not_be_waited_for_is_told_and_ends_it(project: Any, gives: Any) -> None:
    def wait(tries: int) -> Any:
        return gives

    @flow(retries=1, retry_delay=wait)
    def main() -> None:
        raise ValueError("no")

    for call in (failing_times(1, retries=1, retry_delay=wait), main):
        with pytest.raises(DefinitionError, match=r"retry_delay gave .* after try 1") as caught:
            call()
        assert f"{__file__}:" in str(caught.value.where)
    assert project.one("task.ended").state == "Failed"
    assert project.all("task.state") == []


def test_a_delay_may_be_any_kind_of_number(project: Any) -> None:
    with clock.use(FakeClock()) as fake:
        failing_times(2, retries=2, retry_delay=lambda tries: [Decimal("1.5"), np.int64(2)][tries - 1])()
    assert fake.slept == [1.5, 2]


def test_the_last_error_is_raised_when_no_try_is_left(project: Any) -> None:
    @flow
    def main() -> None:
        failing_times(9, retries=2).submit().result()

    with pytest.raises(ValueError, match="try 3"):
        main()
    assert project.one("task.ended").tries == 3


def test_a_condition_says_which_errors_are_worth_it(project: Any) -> None:
    with pytest.raises(ValueError, match="try 2"):
        failing_times(9, retries=5, retry_if=lambda error: "1" in str(error))()
    assert project.one("task.ended").tries == 2


def test_a_condition_that_raises_is_how_it_ends(project: Any) -> None:
    def condition(error: Exception) -> bool:
        raise KeyError("wrong condition")

    with pytest.raises(KeyError, match="wrong condition"):
        failing_times(9, retries=5, retry_if=condition)()
    assert project.one("task.ended").state == "Failed"
    assert project.one("task.ended").error.type == "KeyError"


def test_backoff_grows_to_its_limit_and_jitter_only_shortens() -> None:
    assert [exponential_backoff(1, limit=10)(tries) for tries in range(1, 6)] == [1, 2, 4, 8, 10]
    assert exponential_backoff(1, limit=10)(100_000) == exponential_backoff(1, factor=10.0, limit=10)(100_000) == 10
    jittered = [exponential_backoff(8, jitter=0.5)(1) for _ in range(50)]
    assert all(4 <= delay <= 8 for delay in jittered)
    assert len(set(jittered)) > 1


@pytest.mark.parametrize(
    "given", [{"first": -1}, {"first": float("nan")}, {"factor": -2}, {"limit": "10"}, {"jitter": 1.5}]
)
def test_a_backoff_of_wrong_numbers_is_refused_where_it_is_written(given: Any) -> None:
    with pytest.raises(DefinitionError, match=f"{next(iter(given))} of exponential_backoff is a number from 0"):
        exponential_backoff(**{"first": 1, **given})


@pytest.mark.parametrize(
    ("error", "refused", "decision"),
    [
        (ValueError(), False, Retry(2.0)),
        (ValueError(), True, Finish(State.BLOCKED)),
        (Cancelled(), False, Finish(State.CANCELLED)),
        (KeyboardInterrupt(), False, Finish(State.CANCELLED)),
        (SystemExit(), False, Finish(State.FAILED)),
    ],
)
def test_what_follows_an_error(error: BaseException, refused: bool, decision: Any) -> None:
    assert after_error(TaskOptions(retries=1, retry_delay=2), 1, error, refused=refused) == decision
    if isinstance(decision, Retry):
        assert after_error(TaskOptions(retries=1), 2, error) == Finish(State.FAILED)


@pytest.mark.parametrize("option", ["retry_if", "retry_delay"])
def test_a_condition_or_a_delay_of_a_flow_that_raises_is_how_its_run_ends(project: Any, option: str) -> None:
    def wrong(_: Any) -> float:
        raise KeyError("wrong condition")

    @flow(retries=5)
    def main() -> None:
        raise ValueError("no")

    with pytest.raises(KeyError, match="wrong condition"):
        main.with_options(**{option: wrong})()
    assert project.one("run.ended").state == "Failed"
    assert project.one("run.ended").error.type == "KeyError"
