"""Concurrency and rate limits, for all processes of a home; one run of a flow at a time.

What changes: nothing is created first: the number stands in the code, or in `[tool.headwater.limits]`. There are no leases and no
slots to reset, since the kernel frees what a dead process held. `headwater limits` shows who holds what. Tag limits are
`"tag:etl" = 2` in the settings.

Prints:
    190
    at most 2 at once: True
    skipped: True
"""

import threading

from headwater import concurrency, flow, rate_limit, task
from headwater.errors import RunSkipped

inside: list[int] = []
most: list[int] = []
lock = threading.Lock()


@task(limits={"warehouse": 2})
def load(number: int) -> int:
    with lock:
        inside.append(number)
        most.append(len(inside))
    with lock:
        inside.remove(number)
    return number


@task(rate="1000/second")
def call(number: int) -> int:
    return number


@flow(max_workers=8)
def main() -> None:
    with concurrency("report", 1):
        rate_limit("api", "1000/second")
        print(sum(load.map(range(20)).result()))
    call.map(range(5)).result()
    print("at most 2 at once:", max(most) <= 2)


@flow(max_runs=1, when_full="skip")
def alone(depth: int) -> bool:
    if depth == 0:
        return False
    found: list[bool] = []
    other = threading.Thread(target=lambda: found.append(is_skipped()))
    other.start()
    other.join()
    return found[0]


def is_skipped() -> bool:
    try:
        alone(0)
    except RunSkipped:
        return True
    return False


if __name__ == "__main__":
    main()
    print("skipped:", alone(1))
