"""Task runners: threads, processes, or one after the other.

What changes: `task_runner=ProcessPoolTaskRunner(max_workers=2)` is `runner=ProcessRunner(max_workers=2)`. No `if __name__ ==
"__main__":` is needed. A worker that dies fails its own task alone; a timeout kills.

Prints:
    [1135, 2568, 4115]
    [1135, 2568, 4115]
    True
"""

import math
import os

from headwater import ProcessRunner, flow, task


@task
def digits(number: int) -> int:
    return len(str(math.factorial(number)))


@task
def process() -> int:
    return os.getpid()


@flow(runner=ProcessRunner(max_workers=2))
def main() -> None:
    print(digits.map([500, 1000, 1500]).result())
    print(main_inline())
    print(process.submit().result() != os.getpid())


@flow(runner="inline")
def main_inline() -> list[int]:
    return digits.map([500, 1000, 1500]).result()


main()
