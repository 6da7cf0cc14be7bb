"""Async flows and tasks, gathered or submitted; generators and async generators.

What changes: nothing in the calls. Items of a generator task come while it runs; `.submit()` gives a list of them.

Prints:
    [0, 1, 4]
    [0, 1, 4]
    [1, 2, 3]
    [1, 2]
"""

import asyncio
from collections.abc import AsyncIterator, Iterator

from headwater import flow, task


@task
async def square(number: int) -> int:
    await asyncio.sleep(0)
    return number * number


@task
async def pages(last: int) -> AsyncIterator[int]:
    for page in range(1, last + 1):
        await asyncio.sleep(0)
        yield page


@task
def rows(many: int) -> Iterator[int]:
    yield from range(1, many + 1)


@flow
async def main() -> None:
    print(await asyncio.gather(*(square(number) for number in range(3))))
    futures = [square.submit(number) for number in range(3)]
    print([await future for future in futures])
    print([page async for page in pages(3)])
    print(rows.submit(2).result())


if __name__ == "__main__":
    asyncio.run(main())
