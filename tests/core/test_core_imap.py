from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from headwater import flow, task, unmapped
from headwater.errors import UsageError


@task
def double(number: int) -> int:
    return 2 * number


def test_results_come_in_order_and_items_are_taken_only_when_needed(project: Any) -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(10):
            taken.append(number)
            yield number

    @flow
    def main() -> None:
        for at, result in enumerate(double.imap(numbers(), ahead=3)):
            assert result == 2 * at
            assert len(taken) == min(at + 3, 10)

    main()
    assert project.states() == {"double": ["Completed"] * 10}


@pytest.mark.parametrize("ahead", [1, 2])
def test_only_so_many_calls_run_ahead_of_their_reader(project: Any, ahead: int) -> None:
    running, most, lock = 0, 0, threading.Lock()

    @task
    def counted(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1
        return number

    @flow(max_workers=16)
    def main() -> list[int]:
        return list(counted.imap(range(200), ahead=ahead))

    assert main() == list(range(200))
    assert most <= ahead


def test_several_arguments_go_side_by_side_and_must_end_together(project: Any) -> None:
    @task
    def add(first: int, second: int, third: list[int]) -> int:
        return first + second + len(third)

    @flow
    def main() -> list[int]:
        return list(add.imap(iter([1, 2]), second=[10, 20], third=unmapped([0, 0])))

    assert main() == [13, 24]

    @flow
    def uneven() -> list[int]:
        return list(add.imap([1, 2], [10], [[0], [0]]))

    with pytest.raises(UsageError, match="argument 2 ended before the others"):
        uneven()
    with pytest.raises(UsageError, match="nothing to map over"):
        list(double.imap(3))
    with pytest.raises(UsageError, match="ahead is a number from 1"):
        double.imap([3], ahead=0)
    for wrong in (2.5, float("nan"), "4"):
        with pytest.raises(UsageError, match="ahead is a number from 1"):
            double.imap([3], ahead=wrong)


def test_an_error_is_raised_where_its_result_would_come(project: Any) -> None:
    @task
    def picky(number: int) -> int:
        if number == 2:
            raise ValueError("not two")
        return number

    @flow
    def main() -> list[int]:
        found: list[int] = []
        with pytest.raises(ValueError, match="not two"):
            found.extend(picky.imap([0, 1, 2, 3]))
        return found

    assert main() == [0, 1]


def test_async_tasks_are_read_with_async_for(project: Any) -> None:
    @task
    async def triple(number: int) -> int:
        await asyncio.sleep(0)
        return 3 * number

    @flow
    async def main() -> list[int]:
        return [number async for number in triple.imap(range(20), ahead=4)]

    assert asyncio.run(main()) == [3 * number for number in range(20)]


def test_a_future_that_nobody_waited_for_is_small(project: Any) -> None:
    @flow
    def main() -> Any:
        futures = double.map(range(3))
        futures.wait()
        late = double.submit(4)
        while not late.done():
            pass
        return sys.getsizeof(late), late._waited_for, late.result()

    size, waited_for, result = main()
    assert (waited_for, result) == (None, 8)
    assert size < 200


def test_many_calls_leave_memory_as_it_was(tmp_path: Any) -> None:
    import subprocess

    script = tmp_path / "many.py"
    script.write_text(
        "import resource\n"
        "from headwater import flow, task\n"
        "@task\n"
        "def one(number):\n"
        "    return number\n"
        "@flow\n"
        "def main():\n"
        "    peaks, total = [], 0\n"
        "    for at, number in enumerate(one.imap(iter(range(20_000)))):\n"
        "        total += number\n"
        "        if at in (2_000, 19_999):\n"
        "            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
        "    assert total == sum(range(20_000))\n"
        "    return peaks\n"
        "print(*main())\n"
    )
    printed = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=True)
    early, late = map(int, printed.stdout.split())
    scale = 1 if sys.platform == "darwin" else 1024
    assert (late - early) * scale < 4 << 20
