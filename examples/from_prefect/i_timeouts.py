"""Timeouts: a coroutine is cancelled, a worker process is killed, a thread's overrun is told the moment it happens.

What changes: `timeout_seconds` is `timeout`. The state is TimedOut, the error a `TimeoutError`.

Prints:
    'slow' took longer than 0.05 s
"""

import asyncio

from headwater import flow, task


@task(timeout=0.05)
async def slow() -> None:
    await asyncio.sleep(60)


@flow
async def main() -> None:
    try:
        await slow()
    except TimeoutError as error:
        print(str(error).splitlines()[0])


if __name__ == "__main__":
    asyncio.run(main())
