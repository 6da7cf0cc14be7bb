"""Mapping: one task run for each item, side by side in threads; what is the same for all goes into `unmapped`.

What changes: nothing. New is `imap`, which takes its items one by one from any iterator and keeps no more in memory than asked.

Prints:
    [11, 12, 13]
    36
    1000000
"""

from collections.abc import Iterator

from headwater import flow, task, unmapped


@task
def add(number: int, to: list[int]) -> int:
    return number + sum(to)


@task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@task
def square(number: int) -> int:
    return number * number


def odd_numbers(many: int) -> Iterator[int]:
    return iter(range(1, 2 * many, 2))


@flow
def main() -> None:
    added = add.map([1, 2, 3], to=unmapped([4, 6]))
    print(added.result())
    # Futures go on as they are: the next task waits for them.
    print(total.submit(added).result())
    print(sum(1000 for _ in square.imap(odd_numbers(1000), ahead=10)))


if __name__ == "__main__":
    main()
