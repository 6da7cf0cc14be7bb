"""Flows in flows, and tasks in tasks.

What changes: nothing. A subflow is a run of its own; `headwater runs --json` tells which run it is within (`parent`).

Prints:
    6
"""

from headwater import flow, task


@task
def add(first: int, second: int) -> int:
    return first + second


@task
def add_twice(number: int) -> int:
    return add(number, number)


@flow
def inner(number: int) -> int:
    return add_twice(number)


@flow
def outer() -> int:
    return inner(1) + inner(2)


if __name__ == "__main__":
    print(outer())
